"""A finished run is played back from its request log, with its waits, refusals and rates."""

from dataclasses import replace
from pathlib import Path

import pytest

from amp_console.console.glyphs import ASCII
from amp_console.console.replay import Replay
from amp_console.console.routes import OpenReplay
from amp_console.console.screens.runs.list import RunsScreen
from amp_console.console.screens.runs.replay import ReplayScreen, chart
from amp_console.console.widgets.grid import Grid
from amp_console.ledger import Db
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestRecord, RequestState
from amp_console.ledger.runs import RunStatus, begin_run, end_run
from amp_console.ledger.sources import ReadCounts
from amp_console.values import IdType, Operation
from tests.console.harness import until_shown
from tests.console.host import NOW, hosted

pytestmark = pytest.mark.anyio
SECOND = 1_000_000
SHOPPERS, LAPSED = 1, 2


def sent(  # a row of the log
    id_: int,
    at: float,
    took: float | None,
    size: int = 100,
    status: int | None = 200,
    audience_id: int = SHOPPERS,
    kind: RequestKind = RequestKind.MEMBERSHIP,
    skipped: int = 0,
) -> RequestRecord:
    """A request `at` seconds into a run, answered after `took` seconds."""
    return RequestRecord(
        id_,
        1,
        audience_id,
        {SHOPPERS: "Shoppers", LAPSED: "Lapsed"}[audience_id],
        kind,
        IdType.USER_ID,
        Operation.ADD,
        size,
        round(at * SECOND),
        None if took is None else round((at + took) * SECOND),
        RequestState.CONFIRMED if status == 200 else RequestState.VOID,
        status,
        "",
        skipped,
    )


RUN = Replay(
    [
        sent(1, 1, 1, kind=RequestKind.UPLOAD),
        sent(2, 2.1, 0.5, status=429),
        sent(3, 12.6, 1, skipped=3),
        sent(4, 3, 2, size=50, audience_id=LAPSED),
        sent(5, 19, 40, status=None, audience_id=LAPSED),
    ],
    0,
    20 * SECOND,
)


def moment(seconds: float) -> list[tuple[str, int, int, str]]:
    found = RUN.audiences(round(seconds * SECOND))
    return [(item.name, item.done, item.requests, item.doing) for item in found]


def test_at_every_moment_it_knows_what_was_known_then() -> None:
    assert moment(0.5) == [("Shoppers", 0, 0, "not begun"), ("Lapsed", 0, 0, "not begun")]
    assert moment(1.5)[0] == ("Shoppers", 0, 1, "waiting for an answer")
    assert moment(4.6) == [
        ("Shoppers", 0, 2, "rate limited, next request in 8 s"),
        ("Lapsed", 0, 1, "waiting for an answer"),
    ]
    assert moment(13.6)[0] == ("Shoppers", 100, 3, "last request answered")
    assert RUN.audiences(20 * SECOND)[0].rejected == 3


def test_an_answer_after_the_run_s_end_is_none() -> None:
    assert RUN.duration == 20 * SECOND
    assert moment(20)[1] == ("Lapsed", 50, 2, "waiting for an answer")


def test_requests_come_when_they_were_sent_the_newest_first() -> None:
    found = RUN.sent_until(3 * SECOND)
    assert [(item.id, item.state) for item in found] == [
        (4, RequestState.OPEN),
        (2, RequestState.VOID),
        (1, RequestState.CONFIRMED),
    ]


def test_the_chart_has_rates_failures_and_waits_where_they_were() -> None:
    buckets = RUN.buckets(20)
    assert [at for at, item in enumerate(buckets) if item.users] == [5, 13]
    assert [(buckets[5].users, buckets[13].users)] == [(50, 97)]
    assert [at for at, item in enumerate(buckets) if item.failures] == [2]
    assert all(buckets[at].waits for at in range(5, 19))
    drawn = chart(buckets, 0.5, RUN.duration, ASCII).plain.splitlines()
    assert drawn[1][10 + 2] == ASCII.bad
    assert {len(line) for line in drawn} == {30}
    assert drawn[3].split() == ["00:00", "00:20"]


def test_a_run_without_requests_has_a_length_and_no_audience() -> None:
    empty = Replay([], 5, 5)
    assert (empty.duration, empty.audiences(5), empty.waits) == (1, [], ())
    assert len(empty.buckets(10)) == 10


def keep_run(db: Db) -> None:
    """A run of a minute with two requests, of which one was rate limited."""
    db.execute(
        "INSERT INTO audience (id, space_id, computation_id, key) VALUES (1, 's', 'a', 'shoppers')"
    )
    start = NOW - 3_600 * SECOND
    run_id = begin_run(db, ReadCounts(), start, "lock")
    for at, status, state in ((1, 429, "void"), (40, 200, "confirmed")):
        db.execute(
            "INSERT INTO request (run_id, audience_id, kind, id_type, operation, size, first_n, "
            "last_n, sent_at, settled_at, state, status) VALUES (?, 1, 'membership', 1, 'add', "
            "1200, 1, 2, ?, ?, ?, ?)",
            (run_id, start + at * SECOND, start + (at + 1) * SECOND, state, status),
        )
    end_run(db, run_id, RunStatus.DELIVERED, "", start + 60 * SECOND)


async def test_it_plays_pauses_and_goes_back_and_forth(tmp_path: Path) -> None:
    async with hosted(tmp_path, RunsScreen) as (host, pilot):
        session = host.services.session
        assert session is not None
        session.ledger.write(keep_run)
        clock = [0.0]
        timing = replace(host.services.timing, monotonic=lambda: clock[0])
        host.services.environment = replace(host.services.environment, timing=timing)
        host.services.publish_ledger_change()
        await until_shown(pilot, "1 run")
        await pilot.press("b")
        assert host.routes == [OpenReplay(1)]

        await host.push_screen(ReplayScreen(1))
        await until_shown(pilot, "PLAYBACK", "playing at 10x", "00:00 of 01:00")
        await until_shown(pilot, "What this run sent, from its log. Nothing is sent now.")
        await until_shown(pilot, "0/1,200", "0 of 2", "not begun")
        await until_shown(pilot, "No request yet.")
        clock[0] = 1.0  # ten seconds of the run
        await until_shown(pilot, "00:10 of 01:00", "1 of 2", "rate limited, next request in 30 s")
        await pilot.press("space")
        await until_shown(pilot, "paused at 10x")
        clock[0] = 2.0
        await pilot.press("right", "right", "plus")
        await until_shown(pilot, "00:16 of 01:00", "paused at 60x")
        await pilot.press("space")
        clock[0] = 9.0
        await until_shown(pilot, "finished at 60x", "01:00 of 01:00", "1,200/1,200", "2 of 2")
        await until_shown(
            pilot, "The run ended: ● delivered. All changes to shoppers were delivered."
        )
        await until_shown(pilot, "Nothing was sent by playing it back.")
        assert host.screen.query_one("#log", Grid).cursor == 0
        await until_shown(pilot, "← Earlier  → Later")
        await pilot.press("0")
        await until_shown(pilot, "playing at 60x", "00:00 of 01:00")


async def test_requests_that_are_no_longer_in_the_log_are_said_to_be(tmp_path: Path) -> None:
    async with hosted(tmp_path, lambda: ReplayScreen(1), size=(80, 24)) as (host, pilot):
        session = host.services.session
        assert session is not None
        session.ledger.write(keep_run)
        session.ledger.write(
            lambda db: db.execute(
                "INSERT INTO run_audience (run_id, audience_id, requests) VALUES (1, 1, 5)"
            )
        )
        host.services.publish_ledger_change()
        await until_shown(pilot, "3 older requests of this run", "are no longer in its log.")


async def test_a_run_that_is_not_there_is_not_played(tmp_path: Path) -> None:
    async with hosted(tmp_path, lambda: ReplayScreen(9)) as (_, pilot):
        await until_shown(pilot, "Run 9 is under way, or does not exist.")
        await pilot.press("0")
        await until_shown(pilot, "The run is still loading, or has not finished.")


async def test_the_playback_of_a_run_that_failed_ends_with_the_reason(tmp_path: Path) -> None:
    why = "Amplitude has no cohort anymore. The audience's users stay pending."

    def fail_run(db: Db) -> None:
        keep_run(db)
        db.execute("UPDATE run SET status = 'stopped', note = ?", ("Amplitude refused the keys.",))
        db.execute(
            "INSERT INTO run_audience (run_id, audience_id, note, is_stuck) VALUES (1, 1, ?, 1)",
            (why,),
        )

    async with hosted(tmp_path, lambda: ReplayScreen(1)) as (host, pilot):
        session = host.services.session
        assert session is not None
        session.ledger.write(fail_run)
        host.services.publish_ledger_change()
        await until_shown(pilot, "PLAYBACK")
        await pilot.press("space", *["right"] * 20)
        await until_shown(pilot, "The run ended: ◐ incomplete. Amplitude refused the keys.")
        await until_shown(pilot, "Amplitude has no cohort anymore.")


async def test_the_playback_of_a_run_that_sent_nothing_names_the_reason(tmp_path: Path) -> None:
    def block_run(db: Db) -> None:
        keep_run(db)
        db.execute("DELETE FROM request")
        db.execute("UPDATE run SET status = 'stopped'")
        db.execute(
            "INSERT INTO run_audience (run_id, audience_id, note, is_stuck, pending) "
            "VALUES (1, 1, 'The cohort is gone.', 1, 18)"
        )

    async with hosted(tmp_path, lambda: ReplayScreen(1)) as (host, pilot):
        session = host.services.session
        assert session is not None
        session.ledger.write(block_run)
        host.services.publish_ledger_change()
        await until_shown(pilot, "there is nothing to play back")
        await pilot.press("space", *["right"] * 20)
        await until_shown(pilot, "18 changes still pending. shoppers: The cohort is gone.")
