"""What has arrived for an audience and is not delivered yet: how much, since when, how long."""

from amp_console.sync.live.backlog import Backlog, Lags, Minutes


class Run:
    """A clock, and how many users a run has answered for."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done = 0

    def backlog(self, *arrivals: tuple[float, int]) -> Backlog:
        found = Backlog(lambda: self.now, lambda: self.done)
        for self.now, count in arrivals:
            found.add(count)
        return found


def test_what_a_delivery_has_answered_for_counts_no_more() -> None:
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 4))
    backlog.begin_delivery()
    run.done = 5
    assert (backlog.size, backlog.age(10.0)) == (2, 9.0)
    assert list(backlog.remove(2)) == [(1.0, 3), (0.0, 4)]
    backlog.begin_delivery()
    assert (backlog.size, backlog.age(10.0), len(backlog)) == (0, 0.0, 0)


def test_the_ledger_says_how_many_of_those_that_arrived_are_pending() -> None:
    """The oldest count first; what arrived during the count stays as it is."""
    run = Run()
    backlog = run.backlog((1.0, 3), (2.0, 4), (3.0, 5))
    backlog.recount(4, arrivals=2)
    run.now = 4.0
    assert list(backlog.remove(3)) == [(3.0, 3), (2.0, 1), (1.0, 5)]


def test_users_who_were_pending_before_count_as_arrivals() -> None:
    run = Run()
    backlog = run.backlog((1.0, 3))
    backlog.recount(10, arrivals=1)
    assert (backlog.size, len(backlog), backlog.age(3.0)) == (10, 1, 2.0)


def test_arrivals_are_merged_and_keep_the_time_of_the_oldest() -> None:
    run = Run()
    backlog = run.backlog(*((float(n), 2) for n in range(11)))
    backlog.merge(5)
    assert (len(backlog), backlog.size, backlog.age(20.0)) == (3, 22, 20.0)


def test_the_oldest_arrival_opens_the_window() -> None:
    run = Run()
    assert run.backlog().seconds_left(5.0) == 0.0
    assert run.backlog((1.0, 1), (3.0, 1)).seconds_left(5.0) == 3.0


def test_changes_are_counted_by_the_minute() -> None:
    minutes = Minutes()
    assert minutes.last(0.0) == ((), ())
    for moment, entered, left in [(60.0, 1, 0), (119.0, 2, 1), (120.0, 5, 0), (301.0, 7, 2)]:
        minutes.add(moment, entered, left)
    ins, outs = minutes.last(361.0)
    assert (ins[-6:], outs[-6:]) == ((3, 5, 0, 0, 7, 0), (1, 0, 0, 0, 2, 0))
    assert len(ins) == len(outs) == 30


def test_the_95th_percentile_counts_changes_and_not_deliveries() -> None:
    lags = Lags()
    assert lags.percentile(0.95) == 0.0
    lags.add(1.0, 94)
    lags.add(5.0, 5)
    lags.add(60.0, 1)
    assert (lags.percentile(0.5), lags.percentile(0.95), lags.percentile(1.0)) == (1.0, 5.0, 60.0)
