"""Seeding the demo: importing files and running syncs as if it were days ago."""

import random
import threading
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amp_console.connections import Connection, Limits, named_source
from amp_console.demo.clock import Clock
from amp_console.demo.dataset import AudienceDefinition, ChangeGroup, event_lines
from amp_console.demo.group_reader import GroupReader
from amp_console.ledger import Ledger
from amp_console.ledger.audience_queries import query_of
from amp_console.ledger.audiences import Audience, Link, find_audience, set_link, set_name
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.audience_queries import set_query
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.connection_options import read_options
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import plan_sync
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import deliver
from amp_console.sync.ingest.batch_reader import OpenReader
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.sources.warehouse import open_engine
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh
from amp_console.sync.timing import Stop, Timing

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient
    from amp_console.simulator import Cohort

# One cohort at a time, so that the same seed sends the same requests in the same order.
PAST_LIMITS = Limits(parallel_cohorts=1, first_batch=500, largest_batch=2_000)
QUERY_SECONDS = 0.3  # that a query seems to take, so that screenshots repeat


class SeedingStopped(Exception):
    """The demo ended before its history was seeded."""


class Seeder:
    """Seeds the demo through the product's own use cases.

    Every method raises `SeedingStopped` once `ended` is set.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        folder: Path,
        clock: Clock,
        rng: random.Random,
        ended: threading.Event,
    ) -> None:
        self.clock = clock
        self.rng = rng
        self._connection = connection
        self._ledger = ledger
        self._past_connection = msgspec.structs.replace(connection, limits=PAST_LIMITS)
        self._folder = folder
        self._ended = ended
        self._files = 0
        self._unwritten: list[tuple[Path, AudienceDefinition, list[ChangeGroup]]] = []
        self._unsynced: list[tuple[int, ReadCounts]] = []

    def read(
        self, definition: AudienceDefinition, at: int, change_groups: Iterable[ChangeGroup]
    ) -> None:
        """Import changes of an audience as of `at`; `write_files` writes their file."""
        groups = list(change_groups)
        file = self._next_file(definition.key)
        self._unwritten.append((file, definition, groups))
        self._import(file, at, lambda *_: GroupReader(file, definition, groups))
        found = self.audience(definition)
        if found.name != definition.name:
            self._ledger.write(set_name, found.id, definition.name)

    def read_lines(self, name: str, at: int, lines: Iterable[str]) -> None:
        """Import a file of these lines as of `at`."""
        file = self._next_file(name)
        _write(file, lines)
        self._import(file, at, open_reader)

    def write_files(self) -> None:
        """Write the files of changes that are already imported: home appears sooner this way."""
        while self._unwritten:
            self._check_running()
            file, definition, groups = self._unwritten.pop()
            _write(file, (event_lines(definition, group) for group in groups))

    def _next_file(self, name: str) -> Path:
        self._check_running()
        self._files += 1
        return self._folder / f"{self._files:02}-{name}.ndjson"

    def _import(self, file: Path, at: int, reader: OpenReader) -> None:
        self.clock.set(at)
        importer = Importer(
            self._ledger,
            reader,
            read_options(self._connection),
            on_progress=lambda _: importer.stop() if self._ended.is_set() else None,
            now=self.clock.now,
        )
        self._unsynced.append((at, importer.run([str(file)]).tally))
        self._check_running()

    def link(
        self, definition: AudienceDefinition, cohort: "Cohort", requested: SettingsChange
    ) -> None:
        """Link an audience to an existing cohort, and change its settings."""
        requested = msgspec.structs.replace(requested, cohort_id=cohort.id)
        known = change(
            self._ledger, self._connection, self.audience(definition), requested, now=self.clock.now
        )
        self._ledger.write(set_link, known.id, cohort.id, cohort.name, Link.EXISTING)

    def refresh(self, definition: AudienceDefinition, source: str, sql: str, at: int) -> None:
        """Give an audience a query, and refresh it as of `at`."""
        self._check_running()
        self.clock.set(at)
        ledger, connection = self._ledger, self._connection
        known = set_query(ledger, connection, definition.key, source, sql, now=self.clock.now)
        query = ledger.read(query_of, known.id)
        assert query is not None
        url = named_source(connection, source).url
        AudienceRefresh(
            ledger,
            known,
            query,
            lambda: open_engine(url, None),
            now=self.clock.now,
            monotonic=count(0.0, QUERY_SECONDS).__next__,
        ).run()
        self._check_running()

    async def sync(
        self, client: "AmplitudeClient", at: int, *definitions: AudienceDefinition
    ) -> None:
        """Run a sync as of `at`, over real HTTP."""
        self._check_running()
        self.clock.set(at)
        ledger, stop = self._ledger, Stop()

        def check(_: RunSnapshot) -> None:
            if self._ended.is_set():
                stop.ask()

        plan = ledger.read(
            plan_sync,
            self._past_connection,
            [self.audience(definition) for definition in definitions],
        )
        timing = Timing(now=self.clock.now, sleep=self.clock.sleep, rng=self.rng)
        context = RunContext(self._past_connection, ledger, client, timing, stop, check)
        await deliver(plan, context, tally=self._read_until(at))
        self._check_running()

    def audience(self, definition: AudienceDefinition) -> Audience:
        """The audience in the ledger."""
        return self._ledger.read(find_audience, definition.key)

    def cohort(self, definition: AudienceDefinition) -> str:
        """The ID of the cohort that an audience is linked to."""
        cohort_id = self.audience(definition).cohort_id
        assert cohort_id is not None
        return cohort_id

    def _read_until(self, at: int) -> ReadCounts:
        """The counts of what was read for a run at `at`: everything since the previous run."""
        read = sum((tally for when, tally in self._unsynced if when <= at), ReadCounts())
        self._unsynced = [item for item in self._unsynced if item[0] > at]
        return read

    def _check_running(self) -> None:
        if self._ended.is_set():
            raise SeedingStopped


def _write(file: Path, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(lines)
