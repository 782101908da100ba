"""People who come and go while the demo is open, as an S3 archive would bring them."""

import random
import threading
from pathlib import Path

from amp_console.connections import Connection
from amp_console.demo.dataset import ABANDONERS, SHOPPERS, Crossing, Role, event_lines, user_ids
from amp_console.ledger import Ledger
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.timing import Timing

BUSY = ((SHOPPERS, 5), (ABANDONERS, 9))
"""Which audiences are lively, and how many people cross their border at a time, at most."""
FIRST_NEWCOMER = 500_000  # the number of the first person who is new
FIRST_LEAVER = 2_000  # everybody of a lower number stays


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
        self._dice = random.Random(seed)
        self._crossed = dict.fromkeys((role.key for role, _ in BUSY), 0)
        self._files = 0

    def run(self, pause: float, over: threading.Event) -> None:
        """Let people come and go every `pause` seconds, until it is over."""
        while not over.wait(pause):
            self.step()

    def step(self) -> None:
        """Let a few people come and go."""
        lines = [
            self._cross(role) for role, most in BUSY for _ in range(self._dice.randint(0, most))
        ]
        if not lines:
            return
        self._files += 1
        file = self._folder / f"live-{self._files:05}.ndjson"
        file.write_text("".join(lines), encoding="utf-8")
        options = read_options(self._connection)
        Importer(self._ledger, options, now=self._timing.now, is_logged=False).run([str(file)])

    def _cross(self, role: Role) -> str:
        """One person enters or leaves; nobody does so twice."""
        number = self._crossed[role.key]
        self._crossed[role.key] += 1
        is_member = self._dice.random() < 0.6
        first = FIRST_NEWCOMER + number
        if not is_member:
            first = FIRST_LEAVER + number % (role.people - FIRST_LEAVER - 1_000)
        who = user_ids(self._seed, role, first, 1)
        return event_lines(role, Crossing(self._timing.now(), is_member, who))
