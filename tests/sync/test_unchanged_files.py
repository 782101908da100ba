"""A file unchanged since its import is not read again, and gives the same result."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amp_console.engage import FieldMapping, ReadOptions, Source, open_file
from amp_console.ledger import Ledger
from amp_console.ledger.audiences import all_audiences, discover
from amp_console.ledger.forgotten import Identity, keep_forgotten
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportProgress, ImportReport, set_sentences
from amp_console.values import AudienceRef, IdType
from tests.sync.workspace import Workspace, event, ndjson

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="files have no ctime there")

TABLES = ("source", "filtered", "invalid_event", "invalid_reason", "member", "membership_day")


def settled(address: str, options: ReadOptions) -> Source:
    """Open a file as if some time had passed since it was changed."""
    return open_file(address, options, now=lambda: time.time_ns() + 10_000_000_000)


class _Files:
    """Imports files as if they had settled."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.read = 0

    def __call__(self, *paths: Path, **options: Any) -> ImportReport:
        importer = Importer(self.ledger, settled, ReadOptions(**options), now=self._now)
        return importer.run(map(str, paths))

    def _now(self) -> int:
        self.read += 1
        return 1_777_838_000_000_000 + self.read

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """The content of the ledger, without the times when sources were read."""
        return {table: self._rows(table) for table in TABLES}

    def _rows(self, table: str) -> list[tuple[object, ...]]:
        columns = "id, name, path, read, changes, filtered, invalid" if table == "source" else "*"
        query = f"SELECT {columns} FROM {table} ORDER BY 1, 2"
        return self.ledger.read(lambda db: db.execute(query).fetchall())

    def read_at(self) -> int:
        """When the only source was read."""
        query = "SELECT max(read_at) FROM source"
        return int(self.ledger.read(lambda db: db.execute(query).fetchone()[0]))


@pytest.fixture
def import_files(workspace: Workspace) -> _Files:
    return _Files(workspace.ledger)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Events that are valid, filtered and invalid."""
    trait = event("u1", True, personas={"computation_class": "computed_trait"})
    events = [event("u1", True), event("u2", False), trait, event(None, True), event("u2", True)]
    path = tmp_path / "events.ndjson"
    path.write_text(ndjson(events) + "{broken\n")
    return path


def test_a_file_that_has_not_changed_is_not_read_and_its_report_is_the_same(
    import_files: _Files, file: Path
) -> None:
    first = import_files(file)
    before, read_at = import_files.rows(), import_files.read_at()
    again = import_files(file)
    assert (first.unchanged, again.unchanged) == ((), (str(file),))
    assert (again.tally, again.filtered) == (first.tally, first.filtered)
    assert (again.updated, again.audience_ids) == (0, first.audience_ids)
    assert again.audiences == first.new_audiences
    assert import_files.rows() == before
    assert list(set_sentences(again)) == [
        f"{file} has not changed since it was imported: it was not read again."
    ]
    assert import_files.read_at() > read_at


def test_of_many_files_that_have_not_changed_some_are_named(
    import_files: _Files, file: Path, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n}.ndjson" for n in range(7)]
    for path in files:
        path.write_bytes(file.read_bytes())
    import_files(*files)
    sentences = list(set_sentences(import_files(*files)))
    assert len(sentences) == 6
    assert sentences[-1] == "The same is true of 2 more files."


def grow(file: Path) -> None:
    with file.open("a") as stream:
        stream.write(json.dumps(event("u3", True)) + "\n")


def rewrite_with_the_same_times(file: Path) -> None:
    status = file.stat()
    file.write_bytes(file.read_bytes().replace(b'"u1"', b'"u9"'))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_with_the_same_times(file: Path) -> None:
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(file.read_bytes().replace(b'"u1"', b'"u9"'))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


@pytest.mark.parametrize("change", [grow, rewrite_with_the_same_times, replace_with_the_same_times])
def test_a_file_that_has_changed_is_read(
    import_files: _Files, file: Path, change: Callable[[Path], None]
) -> None:
    import_files(file)
    change(file)
    report = import_files(file)
    assert (report.unchanged, report.updated) == ((), 1)
    assert import_files(file).unchanged == (str(file),)


def test_a_file_that_was_changed_just_now_is_read_again(workspace: Workspace, file: Path) -> None:
    """Two changes in one tick of the clock look alike."""
    now = file.stat().st_ctime_ns + 1_000_000
    for _ in range(2):
        report = Importer(
            workspace.ledger, lambda *args: open_file(*args, now=lambda: now), ReadOptions()
        ).run([str(file)])
        assert report.unchanged == ()


def test_a_file_that_changes_while_it_is_read_is_read_again(
    workspace: Workspace, file: Path
) -> None:
    content = file.read_bytes()

    def cut(_: ImportProgress) -> None:
        file.write_bytes(content[:-1])

    Importer(workspace.ledger, settled, ReadOptions(), on_progress=cut).run([str(file)])
    report = Importer(workspace.ledger, settled, ReadOptions()).run([str(file)])
    assert report.unchanged == ()


def test_a_file_that_is_judged_otherwise_is_read_and_then_again(
    import_files: _Files, file: Path
) -> None:
    import_files(file)
    mapping = FieldMapping.parse("$.traits.email")
    for options in ({"audience": "vips"}, {}, {"mapping": mapping}, {}):
        assert import_files(file, **options).unchanged == ()
    assert import_files(file).unchanged == (str(file),)


@pytest.mark.parametrize("was_read", [False, True])
def test_an_import_that_was_stopped_is_no_whole_one(
    workspace: Workspace, file: Path, was_read: bool
) -> None:
    if was_read:
        Importer(workspace.ledger, settled, ReadOptions()).run([str(file)])
    only = ReadOptions(audience="vips") if was_read else ReadOptions()
    importer = Importer(workspace.ledger, settled, only, on_progress=lambda _: importer.stop())
    assert importer.run([str(file)]).was_stopped
    assert Importer(workspace.ledger, settled, ReadOptions()).run([str(file)]).unchanged == ()


def test_who_is_forgotten_since_is_filtered_from_a_file_that_is_the_same(
    import_files: _Files, file: Path
) -> None:
    import_files(file)
    until = 1_900_000_000_000_000
    import_files.ledger.write(keep_forgotten, [Identity(IdType.USER_ID, "u1")], until)
    report = import_files(file)
    assert report.unchanged == ()
    assert report.tally.filtered == 2


def test_a_key_that_means_several_audiences_since_is_refused(
    import_files: _Files, tmp_path: Path
) -> None:
    path = tmp_path / "keys.ndjson"
    path.write_text(json.dumps(event("u1", True, personas={"computation_id": None})) + "\n")
    assert import_files(path).tally.valid == 1
    for number in range(2):
        import_files.ledger.write(discover, AudienceRef("spa", f"aud_{number}", "shoppers"))
    report = import_files(path)
    assert report.unchanged == ()


def test_settings_that_events_bring_are_taken_by_an_audience_that_lacks_them_again(
    import_files: _Files, tmp_path: Path
) -> None:
    path = tmp_path / "hints.ndjson"
    personas = {"audience_settings": {"owner_email": "ben@acme.example"}}
    path.write_text(json.dumps(event("u1", True, personas=personas)) + "\n")
    import_files(path)
    import_files.ledger.write(lambda db: db.execute("UPDATE audience SET owner_email = NULL"))
    assert import_files(path).unchanged == ()
    [audience] = import_files.ledger.read(all_audiences)
    assert audience.owner_email == "ben@acme.example"


def test_events_with_two_identifiers_are_read_again(import_files: _Files, file: Path) -> None:
    """The pair that was read last is kept, not that of the newest event."""
    mapping = FieldMapping.parse("$.userId", "$.traits.email")
    for _ in range(2):
        assert import_files(file, mapping=mapping).unchanged == ()


def test_events_of_the_future_are_counted_again(workspace: Workspace, file: Path) -> None:
    for _ in range(2):
        report = Importer(workspace.ledger, settled, ReadOptions(), now=lambda: 1).run([str(file)])
        assert (report.unchanged, report.dated_ahead) == ((), 3)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_no_text_is_remembered_as_well(import_files: _Files, file: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(file.parent) + b"/\xff.ndjson"))
    path.write_bytes(file.read_bytes())
    import_files(path)
    assert import_files(path).unchanged == (str(path),)
