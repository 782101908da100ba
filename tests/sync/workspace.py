"""A whole sync in a test: events go in as a file, requests go out over real HTTP."""

import asyncio
import dataclasses
import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from amp_console.amplitude.client import AmplitudeClient
from amp_console.connections import Connection, Limits
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import Audience, all_audiences, find_audience
from amp_console.ledger.comparisons import Comparison
from amp_console.ledger.rejected import RejectedUser, rejected_users
from amp_console.ledger.repairs import RepairChoice
from amp_console.ledger.unread_sources import unread_sources
from amp_console.simulator import Rule, Simulator
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import Plan, plan_sync
from amp_console.sync.delivery.progress import Observer, ignore
from amp_console.sync.delivery.run import RunReport, deliver
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportReport
from amp_console.sync.reconcile.compare import CompareReport, compare_audiences
from amp_console.sync.reconcile.member_list import read_member_list
from amp_console.sync.reconcile.plan import plan_repair
from amp_console.sync.reconcile.repair import RepairReport, RepairResult, repair
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.timing import Stop, Timing
from amp_console.values import IdType, Operation

OWNER = "ana@acme.example"
BOTH = RepairChoice(add=True, remove=True)


class RecordedSleep:
    """Records how long each sleep would have been, in seconds, and returns at once.

    Beside a console, it lasts at most `at_most` seconds: a live session that retries all the time
    would leave less CPU time to the screen under test.
    """

    def __init__(self, at_most: float = 0.0) -> None:
        self.seconds: list[float] = []
        self._at_most = at_most

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(min(seconds, self._at_most))


class Clock:
    """A time that only `advance` changes, in microseconds since 1970."""

    def __init__(self) -> None:
        self.now = 1_777_836_170_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1_000_000)


class SteppingClock:
    """A clock that moves one second per reading, so that every step of a run is published."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def __call__(self) -> float:
        self._seconds += 1.0
        return self._seconds


def event(user: str | None, is_member: bool, at: int = 0, **more: object) -> dict[str, object]:
    """One identify event; `at` is seconds into an hour."""
    key = str(more.pop("audience", "shoppers"))
    extra = more.pop("personas", {})
    assert isinstance(extra, dict)
    traits = more.pop("traits", {})
    assert isinstance(traits, dict)
    personas = {
        "computation_class": "audience",
        "computation_id": f"aud_{key}",
        "computation_key": key,
        "space_id": "spa_1",
        **extra,
    }
    return {
        "type": "identify",
        "userId": user,
        "timestamp": f"2026-05-03T19:{at // 60:02}:{at % 60:02}.000Z",
        "context": {"personas": personas},
        "traits": {key: is_member, **traits},
        **more,
    }


def ndjson(events: Iterable[object]) -> str:
    """Events as the lines of a file."""
    return "".join(json.dumps(item) + "\n" for item in events)


def lines(*users: str, is_member: bool = True, at: int = 0, key: str = "shoppers") -> str:
    """The lines of a file with an event of each user, `at` seconds into an hour."""
    return ndjson(event(user, is_member, at, audience=key) for user in users)


class Workspace:
    """A ledger, a connection, a simulated Amplitude, and sleeps that return at once."""

    def __init__(self, simulator: Simulator, ledger: Ledger, folder: Path) -> None:
        self.simulator = simulator
        self.ledger = ledger
        self.waits = RecordedSleep()
        self.timing = Timing(sleep=self.waits, rng=random.Random(1))
        self.mapping = FieldMapping.parse()
        self.connection = Connection(
            name="test",
            app_id=simulator.world.app_id,
            owner_email=OWNER,
            base_url=simulator.base_url,
        )
        self.folder = folder
        self.files = 0

    def limit(self, **limits: float) -> None:
        """Set some of the connection's limits."""
        changed = msgspec.structs.replace(Limits(), **limits)
        self.connection = msgspec.structs.replace(self.connection, limits=changed)

    def show_every_step(self) -> None:
        """Publish every snapshot of a run, instead of at most ten a second."""
        self.timing = dataclasses.replace(self.timing, monotonic=SteppingClock())

    def on_sleep(self, act: Callable[[], object]) -> None:
        """Call this whenever a run would wait."""

        async def sleep(seconds: float) -> None:
            act()
            await self.waits(seconds)

        self.timing = dataclasses.replace(self.timing, sleep=sleep)

    def set_faults(self, *rules: Rule) -> None:
        """Replace the simulator's fault rules."""
        self.simulator.faults.set(rules)

    def read(self, events: Iterable[dict[str, object]]) -> ImportReport:
        """Read events as one more file."""
        self.files += 1
        path = self.folder / f"events-{self.files}.ndjson"
        path.write_text(ndjson(events))
        return self.read_file(path)

    def read_file(self, path: Path) -> ImportReport:
        return Importer(self.ledger, open_reader, self.read_options()).run([str(path)])

    def read_options(self) -> ReadOptions:
        return ReadOptions(mapping=self.mapping)

    def enter(self, *users: str, at: int = 0) -> None:
        self.read(event(user, True, at) for user in users)

    def leave(self, *users: str, at: int = 1) -> None:
        self.read(event(user, False, at) for user in users)

    def plan(self) -> Plan:
        now = self.timing.now()
        return self.ledger.read(lambda db: plan_sync(db, self.connection, all_audiences(db), now))

    def client(self) -> AmplitudeClient:
        return AmplitudeClient(
            self.simulator.base_url,
            self.simulator.credentials,
            timeout=self.connection.limits.timeout,
        )

    @asynccontextmanager
    async def opened(
        self, stop: Stop | None = None, observe: Observer = ignore
    ) -> AsyncIterator[RunContext]:
        """The context of a run, with a client that is open."""
        async with self.client() as client:
            yield self.context(client, stop, observe)

    def context(
        self, client: AmplitudeClient, stop: Stop | None = None, observe: Observer = ignore
    ) -> RunContext:
        return RunContext(
            self.connection, self.ledger, client, self.timing, stop or Stop(), observe
        )

    async def compare(
        self, key: str = "shoppers", against: Path | None = None, stop: Stop | None = None
    ) -> Comparison:
        """Compare an audience with its cohort; fail if there is no comparison."""
        report = await self.compare_report(key, against, stop)
        assert not report.run.audiences[0].note, report.run.audiences[0].note
        (comparison,) = report.comparisons.values()
        return comparison

    async def compare_report(
        self, key: str = "shoppers", against: Path | None = None, stop: Stop | None = None
    ) -> CompareReport:
        audience = self.audience(key)
        listing = (
            read_member_list(self.ledger, open_reader, audience, str(against)) if against else None
        )
        async with self.opened(stop) as context:
            return await compare_audiences([audience], context, listing)

    async def apply(
        self,
        comparison: Comparison,
        choice: RepairChoice = BOTH,
        *,
        replace: bool = False,
        verify: bool = True,
    ) -> RepairResult:
        """Repair differences."""
        report = await self.apply_report(comparison, choice, replace=replace, verify=verify)
        (applied,) = report.results.values()
        return applied

    async def apply_report(
        self,
        comparison: Comparison,
        choice: RepairChoice = BOTH,
        *,
        replace: bool = False,
        verify: bool = True,
        stop: Stop | None = None,
    ) -> RepairReport:
        connection = self.connection
        plan = self.ledger.read(plan_repair, connection, comparison, choice, replace=replace)
        async with self.opened(stop) as context:
            return await repair([plan], context, verify=verify)

    def write_member_list(self, *users: str, at: int = 3599) -> Path:
        """Write a list of members, dated `at` seconds into the hour of the events."""
        path = self.folder / "list.txt"
        path.write_text("".join(f"{user}\n" for user in users))
        seconds = datetime(2026, 5, 3, 19, tzinfo=UTC).timestamp() + at
        os.utime(path, (seconds, seconds))
        return path

    def map_amplitude_ids(self) -> None:
        """Read Amplitude IDs from the events too."""
        self.mapping = FieldMapping.parse(amplitude_id="$.traits.amplitude_id")

    def add_in_amplitude(self, *users: str, key: str = "shoppers") -> None:
        """Add users to a cohort directly in Amplitude."""
        self._change(Operation.ADD, users, key)

    def remove_in_amplitude(self, *users: str, key: str = "shoppers") -> None:
        """Remove users from a cohort directly in Amplitude."""
        self._change(Operation.REMOVE, users, key)

    def _change(self, operation: Operation, users: Sequence[str], key: str) -> None:
        world, cohort_id = self.simulator.world, self.audience(key).cohort_id
        assert cohort_id is not None
        found = world.resolve(users, IdType.USER_ID)
        assert not found.skipped
        world.change(cohort_id, operation, found.found)

    async def sync(self, stop: Stop | None = None, observe: Observer = ignore) -> RunReport:
        async with self.opened(stop, observe) as context:
            return await deliver(self.plan(), context)

    def change(self, requested: SettingsChange, key: str = "shoppers") -> None:
        """Change the settings of an audience."""
        change(self.ledger, self.connection, self.audience(key), requested)

    def audience(self, key: str = "shoppers") -> Audience:
        return self.ledger.read(find_audience, key)

    def cohort(self, key: str = "shoppers") -> set[str]:
        """The members of the audience's cohort in Amplitude."""
        cohort_id = self.audience(key).cohort_id
        assert cohort_id is not None
        return self.simulator.world.members(cohort_id)

    def ever(self, key: str = "shoppers") -> set[str]:
        """Everyone who was ever in the audience's cohort in Amplitude."""
        cohort_id = self.audience(key).cohort_id
        assert cohort_id is not None
        return self.simulator.world.ever(cohort_id)

    def rejected(self) -> list[RejectedUser]:
        return self.ledger.read(rejected_users)


def unread(workspace: Workspace) -> dict[str, str]:
    """The unreadable sources in the ledger, with the reasons."""
    return {item.name: item.reason for item in workspace.ledger.read(unread_sources, 10)}
