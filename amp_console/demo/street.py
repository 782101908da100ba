"""People who come and go while the demo is open, as an S3 archive would bring them."""

import random
import threading
from pathlib import Path

from amp_console.demo.cast import ABANDONERS, SHOPPERS, Entrance, Role, lines, user_id
from amp_console.sync.intake import Intake
from amp_console.sync.timing import Timing
from amp_console.sync.workplace import Workplace

BUSY = ((SHOPPERS, 5), (ABANDONERS, 9))
"""Which audiences are lively, and how many people cross their border at a time, at most."""
KNOWN = 1_000  # of an audience's people; these are the ones who may leave


class Street:
    """Writes a small file of events now and then, and imports it."""

    def __init__(self, place: Workplace, folder: Path, timing: Timing, *, seed: int) -> None:
        self._place = place
        self._folder = folder
        self._timing = timing
        self._seed = seed
        self._dice = random.Random(seed)
        self._newcomers = 500_000
        self._files = 0

    def run(self, pause: float, over: threading.Event) -> None:
        """Let people come and go every `pause` seconds, until it is over."""
        while not over.wait(pause):
            self.step()

    def step(self) -> None:
        """Let a few people come and go."""
        for role, most in BUSY:
            crossing = [self._cross(role) for _ in range(self._dice.randint(0, most))]
            if crossing:
                self._import(role, crossing)

    def _cross(self, role: Role) -> Entrance:
        now = self._timing.now()
        if self._dice.random() < 0.6:
            self._newcomers += 1
            return Entrance(user_id(self._seed, role, self._newcomers), True, now)
        return Entrance(user_id(self._seed, role, self._dice.randrange(KNOWN)), False, now)

    def _import(self, role: Role, crossing: list[Entrance]) -> None:
        self._files += 1
        file = self._folder / f"live-{self._files:05}-{role.key}.ndjson"
        file.write_text("".join(lines(role, crossing)), encoding="utf-8")
        Intake(self._place.ledger, self._place.read_options()).run([str(file)])
