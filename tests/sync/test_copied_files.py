"""A copy of an imported file leaves the same rows as reading it, but is not read."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.engage import ReadOptions, Source, open_file
from amp_console.ledger import Db, Ledger, open_ledger
from amp_console.ledger.applied_lists import AppliedList, keep_applied_list
from amp_console.ledger.audiences import discover, set_id_type
from amp_console.ledger.forgotten import Identity, keep_forgotten
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportReport
from amp_console.values import AudienceRef, IdType
from tests.engage.events import DEFAULTS
from tests.engage.test_accounting import LINES
from tests.engage.test_columns import EVENTS
from tests.examples import examples
from tests.sync.test_import_in_pieces import all_rows
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no ctime there")

REF = AudienceRef("spa_1", "aud_shoppers", "shoppers")
LONG_AFTER = 1_800_000_000_000_000
JUST_AFTER = 1_777_836_200_000_000  # 30 s


class Files:
    """Imports files as if they had settled; only the first ledger accepts copies."""

    def __init__(self, folder: Path, *ledgers: Ledger, now: int = LONG_AFTER) -> None:
        self.folder = folder
        self.ledgers = ledgers
        self._now = now

    def write(self, name: str, lines: list[bytes]) -> Path:
        path = self.folder / name
        path.write_bytes(b"\n".join([*lines, b""]))
        return path

    def read(self, ledger: Ledger, path: Path, options: ReadOptions = DEFAULTS) -> ImportReport:
        def settled(address: str, options: ReadOptions) -> Source:
            return open_file(address, options, now=lambda: time.time_ns() + 10_000_000_000)

        copied_from = 1 if ledger is self.ledgers[0] else sys.maxsize
        importer = Importer(
            ledger, settled, options, now=lambda: self._now, copied_from=copied_from
        )
        return importer.run([str(path)])

    def __call__(self, path: Path) -> None:
        for ledger in self.ledgers:
            self.read(ledger, path)


def changes(random: Random, seconds: int = 3) -> list[bytes]:
    """Some events of a few people, many of them at the same time."""
    users = random.choices(range(12), k=random.randint(1, 40))
    events = [
        event(f"u{user}", random.random() < 0.5, at=random.randint(0, seconds)) for user in users
    ]
    return [json.dumps(item).encode() for item in events]


def import_another(files: Files, random: Random) -> None:
    files(files.write(f"{random.random()}.ndjson", changes(random)))


def import_a_later_one(files: Files, random: Random) -> None:
    events = [event(f"u{user}", True, at=60) for user in range(random.randint(1, 12))]
    path = files.write(f"{random.random()}.ndjson", [json.dumps(e).encode() for e in events])
    files(path)


def import_what_the_copy_held(files: Files, random: Random) -> None:
    files(files.write("copy.ndjson", changes(random)))


def rewrite_the_original(files: Files, random: Random) -> None:
    files(files.write("original.ndjson", changes(random)))


def import_the_original_again(files: Files, _: Random) -> None:
    files(files.folder / "original.ndjson")


def copy_before(files: Files, random: Random) -> None:
    content = (files.folder / "original.ndjson").read_bytes()
    files(files.write(f"{random.random()}.ndjson", content.split(b"\n")[:-1]))


def forget_someone(files: Files, random: Random) -> None:
    forgotten = Identity(IdType.USER_ID, f"u{random.randint(0, 11)}")
    for ledger in files.ledgers:
        ledger.write(keep_forgotten, [forgotten], 1_777_836_171_000_000)


def apply_a_list(files: Files, random: Random) -> None:
    at = 1_777_836_170_000_000 + random.randint(0, 3) * 1_000_000
    for ledger in files.ledgers:
        ledger.write(keep_applied_list, 1, [IdType.USER_ID], AppliedList(at, 1))


def switch_the_id_type(files: Files, _: Random) -> None:
    for ledger in files.ledgers:
        ledger.write(set_id_type, 1, IdType.AMPLITUDE_ID)


def deliver_and_reject_some(files: Files, _: Random) -> None:
    def change(db: Db) -> None:
        db.execute("UPDATE member SET delivered = n % 2 WHERE n % 3 = 0")
        db.execute("UPDATE member SET rejection_id = n, refusals = 2 WHERE n % 4 = 0")

    for ledger in files.ledgers:
        ledger.write(change)


BEFORE = [import_another, import_what_the_copy_held, rewrite_the_original]
BETWEEN = [
    *(import_another, import_a_later_one, import_the_original_again, copy_before),
    *(forget_someone, apply_a_list, switch_the_id_type, deliver_and_reject_some),
]
Step = Callable[[Files, Random], None]


@examples(40, suppress_health_check=[*HealthCheck])
@given(
    seed=st.integers(0, 1 << 32),
    odd=st.lists(EVENTS, max_size=8),
    mess=LINES,
    before=st.lists(st.sampled_from(BEFORE), max_size=2),
    between=st.lists(st.sampled_from(BETWEEN), max_size=3),
    now=st.sampled_from([LONG_AFTER, LONG_AFTER, JUST_AFTER]),
)
def test_a_copy_leaves_the_rows_that_reading_it_leaves(
    seed: int,
    odd: list[bytes],
    mess: list[bytes],
    before: list[Step],
    between: list[Step],
    now: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    random, folder = Random(seed), tmp_path_factory.mktemp("copies")
    plain = [line for line in odd if b"external_audience_id" not in line]
    lines = [*changes(random), *plain, *mess]
    random.shuffle(lines)
    with open_ledger(folder / "one.db") as one, open_ledger(folder / "other.db") as other:
        files = Files(folder, one, other, now=now)
        for ledger in files.ledgers:
            ledger.write(discover, REF)
            ledger.write(lambda db: db.execute("INSERT INTO forgotten_key VALUES (x'07')"))
        for step in before:
            step(files, random)
        original = files.write("original.ndjson", [*changes(random), *lines])
        files(original)
        for step in between:
            step(files, random)
        copy = files.folder / "copy.ndjson"
        copy.write_bytes(original.read_bytes())
        report = files.read(one, copy)
        read = files.read(other, copy)
        assert one.read(all_rows) == other.read(all_rows)
    assert (report.tally, report.filtered, report.updated) == (
        read.tally,
        read.filtered,
        read.updated,
    )
    assert sorted(report.audience_ids) == sorted(read.audience_ids)


TAMPERED = 77


@pytest.fixture
def files(tmp_path: Path, workspace: Workspace) -> Files:
    return Files(tmp_path, workspace.ledger)


def is_taken_over(files: Files, original: Path, copy: Path) -> bool:
    """Whether a copy got the counts of its original, one of which is wrong in this ledger."""
    [ledger] = files.ledgers

    def tamper(db: Db) -> None:
        values = (TAMPERED, str(original))
        db.execute("UPDATE source SET filtered = ? WHERE path = ?", values)

    ledger.write(tamper)
    return files.read(ledger, copy).tally.filtered == TAMPERED


def members(db: Db) -> list[tuple[str, int, int, int, int]]:
    query = "SELECT id, is_member, event_at, line, source_id FROM member ORDER BY id"
    return db.execute(query).fetchall()


@pytest.mark.both_engines
def test_a_copy_is_not_read(files: Files) -> None:
    original = files.write("original.ndjson", changes(Random(1)))
    files(original)
    [ledger] = files.ledgers
    before = ledger.read(members)
    copy = files.write("copy.ndjson", changes(Random(1)))
    assert is_taken_over(files, original, copy)
    (first,) = {source_id for *_, source_id in before}
    assert ledger.read(members) == [(*row, first + 1) for *row, _ in before]
    assert files.read(ledger, copy).unchanged == (str(copy),)


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("before", "between"),
    [
        ([import_what_the_copy_held], []),
        ([rewrite_the_original], []),
        ([], [import_another]),
        ([], [apply_a_list]),
        ([], [forget_someone]),
    ],
)
def test_a_copy_is_read_where_that_may_give_something_else(
    files: Files, before: list[Step], between: list[Step]
) -> None:
    for step in before:
        step(files, Random(1))
    files(files.write("original.ndjson", changes(Random(2))))
    for step in between:
        step(files, Random(3))
    original = files.folder / "original.ndjson"
    copy = files.folder / "copy.ndjson"
    copy.write_bytes(original.read_bytes())
    assert not is_taken_over(files, original, copy)


def test_a_copy_of_what_changed_just_now_is_read(files: Files) -> None:
    recent = Files(files.folder, *files.ledgers, now=JUST_AFTER)
    original = files.write("original.ndjson", changes(Random(1)))
    recent(original)
    copy = files.write("copy.ndjson", changes(Random(1)))
    assert not is_taken_over(recent, original, copy)


def test_a_file_of_the_same_size_is_no_copy(files: Files) -> None:
    original = files.write("original.ndjson", [b"#", *changes(Random(1))])
    files(original)
    other = files.write("other.ndjson", [b"!", *changes(Random(1))])
    assert not is_taken_over(files, original, other)


def test_a_copy_that_is_judged_otherwise_is_read(files: Files) -> None:
    original = files.write("original.ndjson", changes(Random(1)))
    files.read(files.ledgers[0], original, ReadOptions(audience="shoppers"))
    copy = files.write("copy.ndjson", changes(Random(1)))
    assert not is_taken_over(files, original, copy)


def test_a_copy_of_what_has_changed_since_is_read(files: Files) -> None:
    original = files.write("original.ndjson", changes(Random(1)))
    files(original)
    copy = files.write("copy.ndjson", changes(Random(1)))
    os.utime(original)
    assert not is_taken_over(files, original, copy)


def test_a_small_copy_in_a_large_ledger_is_read(files: Files) -> None:
    many = [json.dumps(event(f"v{n}", True, at=100)).encode() for n in range(300)]
    files(files.write("many.ndjson", many))
    original = files.write("original.ndjson", changes(Random(1))[:20])
    files(original)
    copy = files.write("copy.ndjson", changes(Random(1))[:20])
    assert not is_taken_over(files, original, copy)
