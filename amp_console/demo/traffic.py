"""Members who enter and leave while the demo is open, in files like those of an S3 archive."""

import random
import threading
from pathlib import Path

from amp_console.connections import Connection
from amp_console.demo.dataset import (
    ABANDONERS,
    SHOPPERS,
    AudienceDefinition,
    ChangeGroup,
    event_lines,
    user_ids,
)
from amp_console.ledger import Ledger
from amp_console.ledger.event_log import LogEntry, LogKind, add_log_entry
from amp_console.ledger.runs import RunKind, runs_under_way
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.timing import Timing

BUSY = ((SHOPPERS, 5), (ABANDONERS, 9))
"""The audiences with traffic, and the largest number of changes per file."""
STARTED = (
    "The demo writes simulated events into segment-logs/live as long as it is open, and imports "
    "them while no live session runs. It does not log each import."
)
FIRST_NEWCOMER = 500_000  # the number of the first new person
FIRST_LEAVER = 2_000  # people with lower numbers stay


class Traffic:
    """Writes a small file of events now and then, and imports it.

    While a live session runs, it imports none: the session would deliver changes it never read, and
    its numbers would not add up. Files that the session does not follow are imported after it.
    """

    def __init__(
        self, connection: Connection, ledger: Ledger, folder: Path, timing: Timing, *, seed: int
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._folder = folder
        self._timing = timing
        self._seed = seed
        self._rng = random.Random(seed)
        self._moved = dict.fromkeys((definition.key for definition, _ in BUSY), 0)
        self._files = 0
        self._waiting: list[str] = []  # the files to import

    def run(self, pause: float, ended: threading.Event) -> None:
        """Write and import a file every `pause` seconds, until `ended` is set."""
        self._ledger.write(add_log_entry, LogEntry(self._timing.now(), LogKind.IMPORT, STARTED))
        while not ended.wait(pause):
            self.step()

    def step(self) -> None:
        """Write one file of changes, and import it with those that are waiting."""
        lines = [
            self._next_event(definition)
            for definition, most in BUSY
            for _ in range(self._rng.randint(0, most))
        ]
        if not lines:
            return
        self._files += 1
        file = self._folder / f"live-{self._files:05}.ndjson"
        file.write_text("".join(lines), encoding="utf-8")
        self._waiting.append(str(file))
        if self._ledger.read(runs_under_way, RunKind.LIVE):
            return
        options = read_options(self._connection)
        Importer(self._ledger, open_reader, options, now=self._timing.now, is_logged=False).run(
            self._waiting
        )
        self._waiting = []

    def _next_event(self, definition: AudienceDefinition) -> str:
        """The event of one person who enters or leaves; each person does so only once."""
        number = self._moved[definition.key]
        self._moved[definition.key] += 1
        is_member = self._rng.random() < 0.6
        first = FIRST_NEWCOMER + number
        if not is_member:
            first = FIRST_LEAVER + number % (definition.people - FIRST_LEAVER - 1_000)
        who = user_ids(self._seed, definition, first, 1)
        return event_lines(definition, ChangeGroup(self._timing.now(), is_member, who))
