"""What a scene is set with: files that are imported and runs that are carried out, long ago."""

import random
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from amp_console.amplitude import AmplitudeClient
from amp_console.connections import Connection, Limits
from amp_console.demo.clock import Clock
from amp_console.demo.dataset import Crossing, Role, event_lines
from amp_console.engage import FieldMapping, ReadOptions
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import Audience, Link, find_audience, set_link, set_name
from amp_console.ledger.sources import ReadCounts
from amp_console.sync.audience_settings import SettingsChange, change
from amp_console.sync.connection_options import read_options
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.delivery.plan import plan_sync
from amp_console.sync.delivery.progress import RunSnapshot
from amp_console.sync.delivery.run import deliver
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.timing import Stop, Timing

if TYPE_CHECKING:
    from amp_console.simulator import Cohort

# One cohort after the other, so that the same seed makes the same requests in the same order.
PAST_LIMITS = Limits(parallel_cohorts=1, first_batch=2_000, largest_batch=20_000)


class SeedingStopped(Exception):
    """The demo is over before the scene was set."""


class Seeder:
    """Seeds the demo through the product's own use cases.

    Every method raises `SeedingStopped` once `over` is set.
    """

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        folder: Path,
        clock: Clock,
        dice: random.Random,
        over: threading.Event,
    ) -> None:
        self.clock = clock
        self.dice = dice
        self._connection = connection
        self._ledger = ledger
        self._past = msgspec.structs.replace(connection, limits=PAST_LIMITS)
        self._folder = folder
        self._over = over
        self._files = 0
        self._unsynced: list[tuple[int, ReadCounts]] = []

    def read(self, role: Role, at: int, crossings: Iterable[Crossing]) -> None:
        """Read that people crossed an audience's border, in a file that was imported at `at`."""
        lines = (event_lines(role, crossing) for crossing in crossings)
        self.read_lines(role.key, at, lines, has_amplitude_ids=role.has_amplitude_ids)
        found = self.audience(role)
        if found.name != role.name:
            self._ledger.write(set_name, found.id, role.name)

    def read_lines(
        self, name: str, at: int, lines: Iterable[str], *, has_amplitude_ids: bool = True
    ) -> None:
        """Read a file of these lines, which was imported at `at`."""
        self._go_on()
        self._files += 1
        file = self._folder / f"{self._files:02}-{name}.ndjson"
        with file.open("w", encoding="utf-8") as out:
            out.writelines(lines)
        self.clock.set(at)
        intake = Importer(
            self._ledger,
            self._options(has_amplitude_ids),
            on_progress=lambda _: intake.stop() if self._over.is_set() else None,
            now=self.clock.now,
        )
        self._unsynced.append((at, intake.run([str(file)]).tally))
        self._go_on()

    def link(self, role: Role, cohort: "Cohort", wish: SettingsChange) -> None:
        """Link an audience to a cohort that was there before, and change its settings."""
        wish = msgspec.structs.replace(wish, cohort_id=cohort.id)
        known = change(
            self._ledger, self._connection, self.audience(role), wish, now=self.clock.now
        )
        self._ledger.write(set_link, known.id, cohort.id, cohort.name, Link.EXISTING)

    async def sync(self, client: AmplitudeClient, at: int, *roles: Role) -> None:
        """A run that began at `at`, over real HTTP."""
        self._go_on()
        self.clock.set(at)
        ledger, stop = self._ledger, Stop()

        def look(_: RunSnapshot) -> None:
            if self._over.is_set():
                stop.ask()

        plan = ledger.read(plan_sync, self._past, [self.audience(role) for role in roles])
        timing = Timing(now=self.clock.now, sleep=self.clock.sleep, rng=self.dice)
        context = RunContext(self._past, ledger, client, timing, stop, look)
        await deliver(plan, context, tally=self._read_until(at))
        self._go_on()

    def audience(self, role: Role) -> Audience:
        """The audience as the ledger has it."""
        return self._ledger.read(find_audience, role.key)

    def cohort(self, role: Role) -> str:
        """The cohort an audience is linked to."""
        cohort_id = self.audience(role).cohort_id
        assert cohort_id is not None
        return cohort_id

    def _read_until(self, at: int) -> ReadCounts:
        """What was read for a run that began at `at`: all since the run before."""
        read = sum((tally for when, tally in self._unsynced if when <= at), ReadCounts())
        self._unsynced = [item for item in self._unsynced if item[0] > at]
        return read

    def _options(self, has_amplitude_ids: bool) -> ReadOptions:
        if has_amplitude_ids:
            return read_options(self._connection)
        # Looking for what no event carries takes a third of the time.
        return ReadOptions(mapping=FieldMapping.parse(self._connection.user_id_path))

    def _go_on(self) -> None:
        if self._over.is_set():
            raise SeedingStopped
