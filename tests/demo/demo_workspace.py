"""A seeded demo, and what tests read from it."""

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass

from amp_console.demo import SimulatedSession
from amp_console.demo.dataset import AudienceDefinition
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import find_audience
from amp_console.simulator import Simulator
from amp_console.sync.queries.status import AudienceSummary, audience_summary
from amp_console.sync.timing import Timing

NOW = 1_777_900_000_000_000  # 2026-05-04, microseconds since 1970
MINUTE, DAY = 60_000_000, 86_400_000_000


def still_timing() -> Timing:
    """A fixed clock, and random numbers that repeat."""
    return Timing(now=lambda: NOW, rng=random.Random(1))


@dataclass(frozen=True, slots=True)
class DemoWorkspace:
    """A demo session with its ledger open."""

    session: SimulatedSession
    ledger: Ledger

    @property
    def simulator(self) -> Simulator:
        assert self.session.simulator is not None
        return self.session.simulator

    def audience_summary(self, definition: AudienceDefinition) -> AudienceSummary:
        audience = self.ledger.read(find_audience, definition.key)
        return self.ledger.read(audience_summary, self.session.connection, audience.id)

    def size(self, definition: AudienceDefinition) -> int:
        """The size of the audience's cohort in Amplitude."""
        cohort_id = self.audience_summary(definition).audience.cohort_id
        assert cohort_id is not None
        return self.simulator.world.size(cohort_id)


def _open(session: SimulatedSession) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(session.environment.folders.ledger(session.connection.id)))


def tables(session: SimulatedSession) -> list[str]:
    """The tables of a session's ledger."""
    with _open(session) as db:
        return [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")]


def content(session: SimulatedSession, table: str) -> list[tuple[object, ...]]:
    """All rows of a table; paths are relative to the session's folder."""
    with _open(session) as db:
        if table == "source":
            home = str(session.home)
            columns = "id, replace(name, ?1, ''), replace(path, ?1, ''), read_at, read, changes"
            return db.execute(f"SELECT {columns}, filtered, invalid FROM source", [home]).fetchall()
        return db.execute(f"SELECT * FROM {table}").fetchall()


def files_read(session: SimulatedSession) -> list[tuple[int, int]]:
    """When each file was read, and how many events it contained; queries are left out."""
    with _open(session) as db:
        return db.execute(
            "SELECT read_at, read FROM source WHERE path NOT LIKE 'query:%' ORDER BY id"
        ).fetchall()
