"""A file read by two processes leaves the same rows in every table as with one process."""

import json
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.engage import ReadOptions, Source, open_file
from amp_console.engage.pieces import PieceOptions
from amp_console.ledger import Db, open_ledger
from amp_console.ledger.audiences import discover
from amp_console.sync.ingest.importer import Importer
from amp_console.values import AudienceRef
from tests.engage.test_accounting import LINES
from tests.engage.test_columns import EVENTS
from tests.examples import examples
from tests.sync.workspace import event

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="one process reads it elsewhere")

ALONE = PieceOptions(processors=1)
AUDIENCES = (
    AudienceRef("spa_1", "aud_shoppers", "shoppers"),
    AudienceRef("spa_1", "aud_1", "shoppers"),
    AudienceRef("spa_1", "aud_2", 'quoted "vips"'),
)
BLOCK_BYTES = 30_000  # with some hundred lines, which are judged at once
NOW = 1_777_838_000_000_000


def rows_after(folder: Path, files: list[Path], pieces: PieceOptions) -> dict[str, list[object]]:
    """Import files into a new ledger; return the rows of all its tables."""

    def opened(address: str, options: ReadOptions) -> Source:
        return open_file(address, options, pieces=pieces, block_bytes=BLOCK_BYTES)

    with open_ledger(folder / "ledger.db") as ledger:
        for audience in AUDIENCES:  # so that they have the same ids, however they are met
            ledger.write(discover, audience)
        Importer(ledger, opened, ReadOptions(), now=lambda: NOW).run(map(str, files))
        return ledger.read(all_rows)


def all_rows(db: Db) -> dict[str, list[object]]:
    """The rows of every table, without the numbers of members, which follow the batches."""
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    found = {}
    for (table,) in db.execute(names).fetchall():
        rows = db.execute(f"SELECT * FROM {table}").fetchall()
        found[table] = sorted(row[1:] for row in rows) if table == "member" else rows
    return found


def changes(random: Random) -> list[bytes]:
    """Some hundred events of a hundred people, many of them at the same time."""
    users = random.choices(range(100), k=random.randint(100, 300))
    events = [event(str(user), random.random() < 0.5, at=random.randint(0, 3)) for user in users]
    return [json.dumps(item).encode() for item in events]


@examples(8, suppress_health_check=[*HealthCheck])
@given(
    messes=st.lists(st.tuples(st.lists(EVENTS), LINES), min_size=1, max_size=2),
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 60_000),
)
def test_two_processes_leave_the_rows_that_one_leaves(
    messes: list[tuple[list[bytes], list[bytes]]],
    seed: int,
    size: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder, random = tmp_path_factory.mktemp("pieces"), Random(seed)
    files = []
    for number, (odd, mess) in enumerate(messes):
        lines = [*changes(random), *odd, *mess]
        random.shuffle(lines)
        files.append(folder / f"{number}.ndjson")
        files[-1].write_bytes(b"\n".join([*changes(random), *lines, b""]))
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    together = PieceOptions(least=0, size=size, processors=2)
    found = rows_after(folder / "two", files, together)
    assert found == rows_after(folder / "one", files, ALONE)
    assert len(found["source"]) == len(files)
    assert found["member"]
