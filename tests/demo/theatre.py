"""A demo whose scene is set, and the questions tests ask of it."""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from amp_console.demo import SimulatedSession
from amp_console.demo.dataset import Role
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import find_audience
from amp_console.simulator import Simulator
from amp_console.sync.queries.status import Standing, standing
from amp_console.sync.timing import Timing

NOW = 1_777_900_000_000_000  # 2026-05-04, microseconds since 1970
MINUTE, DAY = 60_000_000, 86_400_000_000


def still_timing() -> Timing:
    """A clock that stands still once the past is played."""
    return Timing(now=lambda: NOW, rng=random.Random(1))


@dataclass(frozen=True, slots=True)
class Theatre:
    """A stage with its ledger open."""

    stage: SimulatedSession
    ledger: Ledger

    @property
    def simulator(self) -> Simulator:
        assert self.stage.simulator is not None
        return self.stage.simulator

    def standing(self, role: Role) -> Standing:
        audience = self.ledger.read(find_audience, role.key)
        return self.ledger.read(standing, self.stage.connection, audience.id)

    def size(self, role: Role) -> int:
        """How many people are in the audience's cohort, in Amplitude."""
        cohort_id = self.standing(role).audience.cohort_id
        assert cohort_id is not None
        return self.simulator.world.size(cohort_id)


def _open(stage: SimulatedSession) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(stage.premises.folders.ledger(stage.connection.id)))


def tables(stage: SimulatedSession) -> list[str]:
    """The tables of a stage's ledger."""
    with _open(stage) as db:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]


def content(stage: SimulatedSession, table: str) -> list[tuple[object, ...]]:
    """All that a table holds; files are called by their place in the stage's home."""
    with _open(stage) as db:
        if table == "source":
            home = str(stage.home)
            columns = "id, replace(name, ?1, ''), replace(path, ?1, ''), read_at, read, changes"
            return db.execute(f"SELECT {columns}, filtered, invalid FROM source", [home]).fetchall()
        return db.execute(f"SELECT * FROM {table}").fetchall()


def files_read(stage: SimulatedSession) -> list[tuple[int, int]]:
    """When each file was read, and how many events stood in it."""
    with _open(stage) as db:
        return db.execute("SELECT read_at, read FROM source ORDER BY id").fetchall()
