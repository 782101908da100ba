"""The backlog of an audience: how much, since when, and how long deliveries take."""

from amp_console.sync.live.backlog import Backlog, Lags, Minutes


class Run:
    """A clock, and how many users a run has answered for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done = 0

    def backlog(self, *counts: tuple[float, int]) -> Backlog:
        """A backlog with the pending users that the ledger counted at these times."""
        found = Backlog(lambda: self.now, lambda: self.done)
        for self.now, pending in counts:
            found.recount(pending)
        return found


def test_what_a_delivery_has_answered_for_counts_no_more() -> None:
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 7))
    run.done = 5
    assert (backlog.size, backlog.age(10.0)) == (2, 9.0)
    assert list(backlog.settle()) == [(1.0, 3), (0.0, 2)]
    assert (backlog.size, backlog.age(10.0)) == (2, 8.0)
    run.done = 7
    assert list(backlog.settle()) == [(0.0, 2)]
    assert (backlog.size, backlog.age(10.0), len(backlog)) == (0, 0.0, 0)


def test_a_count_during_a_delivery_leaves_out_what_was_answered_for() -> None:
    run = Run()
    backlog = run.backlog((1.0, 10))
    run.done = 8
    run.now = 2.0
    assert backlog.recount(5)  # two of the ten, and three more
    run.now, run.done = 4.0, 10
    assert list(backlog.settle()) == [(3.0, 10)]
    assert (backlog.size, backlog.age(4.0)) == (3, 2.0)


def test_how_long_changes_took_that_were_pending_before_is_not_known() -> None:
    run = Run()
    backlog = run.backlog()
    backlog.begin(5)
    run.now = 3.0
    backlog.recount(7)
    run.now, run.done = 4.0, 2
    assert list(backlog.settle()) == []
    assert (backlog.size, backlog.age(4.0)) == (5, 4.0)
    run.now, run.done = 9.0, 7
    assert list(backlog.settle()) == [(6.0, 2)]


def test_of_fewer_pending_users_those_from_before_are_no_more_than_are_left() -> None:
    run = Run()
    backlog = run.backlog()
    backlog.begin(5)
    backlog.recount(2)
    run.now = 3.0
    backlog.recount(4)
    run.now, run.done = 4.0, 4
    assert list(backlog.settle()) == [(1.0, 2)]


def test_counting_again_adds_nothing() -> None:
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 3), (3.0, 3))
    assert (backlog.size, len(backlog), backlog.age(4.0)) == (3, 1, 3.0)


def test_fewer_pending_users_are_the_newest_ones_less() -> None:
    """Users who left again before delivery, or were delivered by another run."""
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 7), (3.0, 12))
    assert not backlog.recount(4)
    run.now, run.done = 4.0, 4
    assert list(backlog.settle()) == [(3.0, 3), (2.0, 1)]


def test_what_waited_for_the_operator_is_no_lag() -> None:
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 7))
    run.now = 900.0
    backlog.restart()
    assert (backlog.size, backlog.age(901.0)) == (7, 1.0)


def test_arrivals_are_merged_and_keep_the_time_of_the_oldest() -> None:
    run = Run()
    backlog = run.backlog(*((float(n), 2 * n + 2) for n in range(11)))
    backlog.merge(5)
    assert (len(backlog), backlog.size, backlog.age(20.0)) == (3, 22, 20.0)


def test_the_oldest_change_opens_the_window() -> None:
    run = Run()
    assert run.backlog().seconds_left(5.0) == 0.0
    assert run.backlog((1.0, 1), (3.0, 2)).seconds_left(5.0) == 3.0


def test_changes_are_counted_by_the_minute() -> None:
    minutes = Minutes(-1_800.0)
    assert minutes.last(0.0) == ((), ())
    for moment, entered, left in [(60.0, 1, 0), (119.0, 2, 1), (120.0, 5, 0), (301.0, 7, 2)]:
        minutes.add(moment, entered, left)
    ins, outs = minutes.last(361.0)
    assert (ins[-6:], outs[-6:]) == ((3, 5, 0, 0, 7, 0), (1, 0, 0, 0, 2, 0))
    assert len(ins) == len(outs) == 30


def test_no_minute_before_the_session_is_counted() -> None:
    minutes = Minutes(50.0)  # ten seconds before the clock's next minute
    minutes.add(59.0, 3, 1)
    assert minutes.last(62.0) == ((3,), (1,))
    assert minutes.last(110.0) == ((3, 0), (1, 0))


def test_the_95th_percentile_counts_changes_and_not_deliveries() -> None:
    lags = Lags()
    assert lags.percentile(0.95) == 0.0
    lags.add(1.0, 94)
    lags.add(5.0, 5)
    lags.add(60.0, 1)
    assert (lags.percentile(0.5), lags.percentile(0.95), lags.percentile(1.0)) == (1.0, 5.0, 60.0)


def test_what_arrived_is_answered_for_dropped_or_pending() -> None:
    done = 0
    backlog = Backlog(lambda: 0.0, lambda: done)

    def adds_up() -> bool:
        return backlog.arrived == done + backlog.dropped + backlog.size

    backlog.recount(5)
    assert (backlog.arrived, backlog.dropped, backlog.size) == (5, 0, 5)
    backlog.recount(3)  # two have changed back
    assert (backlog.arrived, backlog.dropped, backlog.size) == (5, 2, 3)
    done = 7  # the request took four that arrived after the count
    assert (backlog.arrived, backlog.size) == (9, 0)
    assert adds_up()
    assert backlog.recount(2)
    assert (backlog.arrived, backlog.size) == (11, 2)
    assert adds_up()
    assert [count for _, count in backlog.settle()] == [3, 4]
    assert adds_up()
    done = 10
    assert [count for _, count in backlog.settle()] == [2]
    assert (backlog.arrived, backlog.size) == (12, 0)
    assert adds_up()
