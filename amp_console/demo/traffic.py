"""Members who enter and leave while the demo is open, in files as an S3 archive has them."""

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
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.timing import Timing

BUSY = ((SHOPPERS, 5), (ABANDONERS, 9))
"""The audiences with traffic, and the largest number of changes per file."""
STARTED = (
    "The demo writes simulated events into segment-logs/live and imports them as long as it is "
    "open. It does not log each import."
)
FIRST_NEWCOMER = 500_000  # the number of the first person who is new
FIRST_LEAVER = 2_000  # people with lower numbers stay


class Traffic:
    """Writes a small file of events now and then, and imports it."""

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

    def run(self, pause: float, ended: threading.Event) -> None:
        """Write and import a file every `pause` seconds, until `ended` is set."""
        self._ledger.write(add_log_entry, LogEntry(self._timing.now(), LogKind.IMPORT, STARTED))
        while not ended.wait(pause):
            self.step()

    def step(self) -> None:
        """Write and import one file of changes."""
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
        options = read_options(self._connection)
        Importer(self._ledger, open_reader, options, now=self._timing.now, is_logged=False).run(
            [str(file)]
        )

    def _next_event(self, definition: AudienceDefinition) -> str:
        """The event of one person who enters or leaves; no person does so twice."""
        number = self._moved[definition.key]
        self._moved[definition.key] += 1
        is_member = self._rng.random() < 0.6
        first = FIRST_NEWCOMER + number
        if not is_member:
            first = FIRST_LEAVER + number % (definition.people - FIRST_LEAVER - 1_000)
        who = user_ids(self._seed, definition, first, 1)
        return event_lines(definition, ChangeGroup(self._timing.now(), is_member, who))
