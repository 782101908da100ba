"""No number contradicts another: a day at the console, with every number read after each step."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from amp_console.connections import NamedSource, SegmentSpace
from amp_console.console.jobs.live import LiveJob, paths
from amp_console.ledger.audience_queries import RefreshOutcome, query_of
from amp_console.ledger.rejected import RejectedFilter
from amp_console.ledger.segment_audiences import keep_audiences
from amp_console.simulator import Simulator
from amp_console.sync.audience_queries import set_query
from amp_console.sync.delivery.retry import retry
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.sources.warehouse import open_engine
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh
from amp_console.values import SegmentAudience
from tests.console.gate import gate_sleeps, rate_limit, start_sync
from tests.console.harness import NOW, ConsoleHarness, console, services, until, until_shown
from tests.console.readings import Reader, contradictions
from tests.console.sample_audiences import (
    FRESH,
    GHOSTS,
    LAPSED,
    SHOPPERS,
    broken_events,
    connect_with_audiences,
)
from tests.sync.warehouses import Warehouse, sqlite_warehouse
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio
SPACE = SegmentSpace(id="spa_1")  # that of the sample's events
MAX_READS = 5  # until the effects of a step are visible everywhere

Step = Callable[[Workspace], Coroutine[Any, Any, object]]


class Day:
    """A console, and another process on the same ledger; after each step the numbers agree."""

    def __init__(self, harness: ConsoleHarness, pilot: Pilot[None]) -> None:
        self.harness = harness
        self.pilot = pilot
        self.reader = Reader(harness, pilot)

    async def elsewhere(self, step: Step) -> None:
        """Do something in another process, as far as the console can see."""
        connection = self.harness.environment.connections.pick(None)

        def work() -> None:
            with self.harness.workspace(connection) as workspace:
                workspace.files = 100
                asyncio.run(step(workspace))

        with ThreadPoolExecutor(1) as thread:
            await asyncio.wrap_future(thread.submit(work))
        services(self.pilot).publish_ledger_change()

    async def check(self, step: str, *facts: str) -> None:
        """Compare every number that is shown in several places, at least these facts."""
        found: dict[str, dict[str, object]] = {}
        for _ in range(MAX_READS):
            if not (found := await contradictions(self.reader)):
                said = self.reader.said
                assert not [fact for fact in facts if len({*said.get(fact, ())}) < 2], step
                return
        raise AssertionError(f"{step}: {json.dumps(found, indent=2, ensure_ascii=False)}")


def listed_in_segment(workspace: Workspace) -> None:
    """Store Segment's answer about two audiences, one of which the ledger has never seen."""
    found = (
        SegmentAudience(f"aud_{LAPSED}", LAPSED, LAPSED, True, "Live", 11, "USERS", None),
        SegmentAudience("aud_else", "else", "Else", True, "Live", 400, "USERS", None),
    )
    workspace.ledger.write(keep_audiences, SPACE.id, found, NOW)


async def _import_with_errors(workspace: Workspace) -> None:
    workspace.read([event("s1", False, 120, audience=SHOPPERS), event(None, True)])
    workspace.read([event(f"ghost-{n}", True, 120, audience=FRESH) for n in range(5)])


async def _drift_and_compare(workspace: Workspace) -> None:
    workspace.remove_in_amplitude("l1", "l2", key=LAPSED)
    await workspace.compare(LAPSED)


async def _repair(workspace: Workspace) -> None:
    await workspace.apply(await workspace.compare(LAPSED))


async def _import_and_compare(workspace: Workspace) -> None:
    workspace.read([event("new-0", True, 250, audience=LAPSED)])
    await workspace.compare(LAPSED)


async def _retry(workspace: Workspace) -> None:
    audience_id = workspace.audience(GHOSTS).id
    retry(workspace.ledger, workspace.connection, RejectedFilter(audience_id=audience_id))


async def test_on_no_step_of_a_day_does_a_number_contradict_another(
    harness: ConsoleHarness, simulator: Simulator, tmp_path: Path
) -> None:
    connection = connect_with_audiences(harness, broken_events, listed_in_segment)
    harness.environment.connections.put_space(connection, SPACE)
    gate = gate_sleeps(harness)
    async with harness.open(size=(120, 36)) as pilot:
        day = Day(harness, pilot)
        await until_shown(pilot, GHOSTS)
        await day.elsewhere(_import_with_errors)
        await day.check(
            "after an import with invalid events", f"{LAPSED}: in Segment", f"{SPACE.id}: rows"
        )

        rate_limit(simulator)
        console(pilot).action_go("audiences")
        await start_sync(pilot, "rate limited")
        await day.check(
            "while a sync waits for a rate limit", "sync: percent", "sync: done", "run 2: requests",
            f"{SHOPPERS}: under way",
        )  # fmt: skip
        gate.open()
        await until(pilot, lambda: not services(pilot).jobs.is_busy)
        await day.check("after a sync with a rate limit and rejected users")

        await day.elsewhere(_drift_and_compare)
        await day.check(
            "after a comparison that found drift",
            f"{LAPSED}: differed",
            f"{LAPSED}: differs by",
            "run 3: differing",
            "run 3: outcome",
        )
        await day.elsewhere(_repair)
        await day.elsewhere(_retry)
        await day.check(
            "after a repair and a retry of rejected users", "run 5: differing", "run 5: rejected"
        )
        await day.elsewhere(_import_and_compare)
        await day.check("after a comparison with a user pending", f"{LAPSED}: verdict")

        lake = sqlite_warehouse(tmp_path)
        store = harness.environment.connections
        store.put_source(store.pick(None), NamedSource(name="lake", url=lake.url))
        await day.elsewhere(partial(_refresh_by_query, lake))
        await day.check(
            "after a refresh by a query",
            f"{FRESH}: rows", f"{FRESH}: entering", f"{FRESH}: leaving", "rows of all queries",
        )  # fmt: skip

        file = tmp_path / "growing.ndjson"
        file.write_text(json.dumps(event("new-1", True, 300, audience=LAPSED)) + "\n")
        live = _follow(pilot, file)
        await until(pilot, lambda: live.snapshot is not None and live.snapshot.counts.added > 0)
        live.cancel()
        await until(pilot, lambda: live.is_over)
        assert live.report is not None
        run = f"run {live.report.run_id}"
        await day.check(
            "after a live session", f"{run}: read", f"{run}: added", f"{LAPSED}: verdict",
            f"{run}, {LAPSED}: requests", f"{run}, {LAPSED}: pending",
        )  # fmt: skip

        with file.open("a") as growing:
            for who, audience in (("new-2", LAPSED), ("new-3", "Waiters")):
                growing.write(json.dumps(event(who, True, 400, audience=audience)) + "\n")
        live = _follow(pilot, file, create=False)
        await until(pilot, lambda: live.snapshot is not None and live.snapshot.waiting > 0)
        await until(pilot, lambda: live.snapshot is not None and live.snapshot.counts.added > 0)
        run = f"run {live.run_id}"
        await day.check(
            "during a session in which an audience waits", f"{run}: pending", f"{run}: audiences",
            f"{run}: added",
        )  # fmt: skip
        live.cancel()
        await until(pilot, lambda: live.is_over)
        assert live.report is not None
        run = f"run {live.report.run_id}"
        await day.check("after a session in which an audience waited", f"{run}: pending")
        assert {*day.reader.said[f"{run}: pending"].values()} == {1}


async def _refresh_by_query(lake: Warehouse, workspace: Workspace) -> None:
    """One user leaves the newsletter, and five enter it."""
    listed = [f"n{n}" for n in range(1, 12)] + [f"ghost-{n}" for n in range(5)]
    lake.members(*listed, *(f"q{n}" for n in range(5)))
    sql = "SELECT user_id FROM vips"
    known = set_query(workspace.ledger, workspace.connection, FRESH, "lake", sql)
    query = workspace.ledger.read(query_of, known.id)
    assert query is not None
    refresh = AudienceRefresh(workspace.ledger, known, query, lambda: open_engine(lake.url, None))
    report = refresh.run()
    assert (report.outcome, report.leaving) == (RefreshOutcome.APPLIED, 1)


def _follow(pilot: Pilot[None], file: Path, *, create: bool = True) -> LiveJob:
    session = services(pilot).session
    assert session is not None
    options = LiveOptions(services(pilot).environment.flush_seconds, create=create)
    timing, publish = services(pilot).timing, services(pilot).publish
    job = LiveJob(session, paths(str(file)), options, timing, publish)
    services(pilot).jobs.live = job
    job.start()
    return job
