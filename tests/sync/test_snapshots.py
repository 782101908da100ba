"""A snapshot removes members only if it is complete, and many only after confirmation."""

import gzip
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from amp_console.engage import ReadOptions
from amp_console.ledger import snapshots
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.report import ImportReport
from amp_console.sync.ingest.snapshot import SnapshotReader, SnapshotReport, SnapshotState
from amp_console.sync.sources.registry import open_reader
from amp_console.values import IdType
from tests.ledgers import sqlite_only
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.both_engines

AT = int(datetime(2026, 5, 3, 20, tzinfo=UTC).timestamp()) * 1_000_000
MEMBERS = [f"m-{number}" for number in range(10)]
WHOLE = "user_id,email\n" + "".join(f"{user},{user}@acme.example\n" for user in MEMBERS)
APPLIED, ASKS, INCOMPLETE = SnapshotState.APPLIED, SnapshotState.ASKS, SnapshotState.INCOMPLETE


@pytest.fixture(autouse=True)
def _members(workspace: Workspace) -> None:
    workspace.enter(*MEMBERS)


def listed(*users: str) -> bytes:
    return "".join(f"{line}\n" for line in ("user_id", *users)).encode()


def read(
    workspace: Workspace, *contents: bytes, allow_incomplete: bool = False, **options: object
) -> tuple[SnapshotReader, ImportReport]:
    """Read these contents as the parts of a snapshot."""
    paths = []
    for number, content in enumerate(contents):
        path = workspace.folder / f"part-{number}.csv"
        path.write_bytes(content)
        paths.append(str(path))
    reader = SnapshotReader(workspace.ledger, allow_incomplete=allow_incomplete)
    chosen = ReadOptions(**{"audience": "shoppers", "taken_at": AT, **options})  # type: ignore[arg-type]
    return reader, Importer(workspace.ledger, open_reader, chosen, snapshot=reader).run(paths)


def outcome(workspace: Workspace, *contents: bytes, **options: object) -> SnapshotReport:
    _, report = read(workspace, *contents, **options)  # type: ignore[arg-type]
    assert report.snapshot is not None
    return report.snapshot


def wanted(workspace: Workspace, id_type: int = 1) -> set[str]:
    rows = workspace.ledger.read(
        lambda db: db.execute(
            "SELECT id FROM member WHERE wanted = 1 AND id_type = ?", (id_type,)
        ).fetchall()
    )
    return {id_ for (id_,) in rows}


DAMAGED = {
    "a gzip file that ends early": gzip.compress(WHOLE.encode())[:-30],
    "a gzip file with a damaged byte": gzip.compress(WHOLE.encode())[:-8] + b"damaged!",
    "an unclosed quote": WHOLE.replace("m-7,", 'm-7,"').encode(),
    "a row with a cell too many": WHOLE.replace("m-7,", "m-7,x,").encode(),
    "a row without its identifier": WHOLE.replace("m-7,", ",").encode(),
    "an identifier that is not UTF-8": WHOLE.encode().replace(b"m-7,", b"m-7\xff,"),
    "a row that ends early": WHOLE.encode()[: WHOLE.index("m-7") + 2],
}


@sqlite_only
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_download_removes_no_one(workspace: Workspace, content: bytes) -> None:
    found = outcome(workspace, content)
    assert found.state is INCOMPLETE
    assert found.problems
    assert wanted(workspace) >= set(MEMBERS)


@sqlite_only
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_the_operator_can_insist_on_a_damaged_download_and_still_confirms_it(
    workspace: Workspace, content: bytes
) -> None:
    workspace.enter("gone-1", "gone-2", "gone-3", "gone-4")
    reader, report = read(workspace, content, allow_incomplete=True)
    assert report.snapshot is not None
    assert report.snapshot.removal is not None
    assert report.snapshot.state is ASKS
    assert wanted(workspace) == {*MEMBERS, "gone-1", "gone-2", "gone-3", "gone-4"}
    assert reader.confirm(report.snapshot.removal).state is APPLIED
    assert not wanted(workspace) & {"gone-1", "gone-2", "gone-3", "gone-4"}


def test_an_incomplete_snapshot_can_be_insisted_on_afterwards(workspace: Workspace) -> None:
    reader, report = read(workspace, listed(*MEMBERS[:8], ""), listed(*MEMBERS[:8], '"'))
    assert report.snapshot is not None
    assert report.snapshot.can_be_insisted
    assert wanted(workspace) == set(MEMBERS)
    assert report.snapshot.removal is not None
    asked = reader.insist(report.snapshot.removal)
    assert asked.removal is not None
    assert asked.removal.leaving == 2
    assert reader.confirm(asked.removal).removed == 2
    assert wanted(workspace) == set(MEMBERS[:8])


def test_a_stop_in_the_middle_removes_no_one(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "download.csv"
    path.write_bytes(listed(*(f"user-{number}" for number in range(5_000))))
    reader = SnapshotReader(workspace.ledger, allow_incomplete=True)
    options = ReadOptions(audience="shoppers", taken_at=AT)
    importer = Importer(
        workspace.ledger,
        open_reader,
        options,
        snapshot=reader,
        on_progress=lambda _: importer.stop(),
    )
    report = importer.run([str(path)])
    assert report.snapshot is not None
    assert report.snapshot.state is INCOMPLETE
    assert wanted(workspace) == {*MEMBERS, *(f"user-{number}" for number in range(2_000))}


def test_a_routine_snapshot_is_applied_at_once(workspace: Workspace) -> None:
    found = outcome(workspace, listed(*MEMBERS[:8], "new"))
    assert (found.state, found.removed) == (APPLIED, 2)
    assert wanted(workspace) == {*MEMBERS[:8], "new"}


@pytest.mark.parametrize("users", [MEMBERS[:7], ["x-1", "x-2"], [*MEMBERS[:7], *"abcdefgh"], []])
def test_one_that_removes_more_than_a_fifth_or_lists_no_one_is_confirmed_first(
    workspace: Workspace, users: Sequence[str]
) -> None:
    reader, report = read(workspace, listed(*users))
    asked = report.snapshot
    assert asked is not None
    assert asked.removal is not None
    assert asked.state is ASKS
    assert wanted(workspace) == set(
        MEMBERS
    )  # not even those it lists: it may be another audience's
    leaving = set(MEMBERS) - set(users)
    assert (asked.removal.leaving, asked.removal.members) == (len(leaving), 10)
    assert reader.confirm(asked.removal).removed == len(leaving)
    assert wanted(workspace) == set(users)


def test_an_empty_one_is_confirmed_however_few_it_removes(workspace: Workspace) -> None:
    workspace.leave(*MEMBERS[1:], at=1)
    assert outcome(workspace, listed()).state is ASKS


def test_a_declined_snapshot_changes_nothing(workspace: Workspace) -> None:
    reader, report = read(workspace, listed("x-1"))
    assert report.snapshot is not None
    assert report.snapshot.removal is not None
    assert reader.decline(report.snapshot.removal).state is SnapshotState.DECLINED
    assert wanted(workspace) == set(MEMBERS)


def test_it_asks_again_where_more_would_leave_than_was_agreed(workspace: Workspace) -> None:
    reader, report = read(workspace, listed("m-0"))
    assert report.snapshot is not None
    assert report.snapshot.removal is not None
    workspace.enter("late-1", "late-2")
    again = reader.confirm(report.snapshot.removal)
    assert again.state is ASKS
    assert again.removal is not None
    assert (again.removal.leaving, len(wanted(workspace))) == (11, 12)
    assert reader.confirm(again.removal).state is APPLIED
    assert wanted(workspace) == {"m-0"}


def test_it_reports_as_many_as_it_removed_where_fewer_were_left_than_agreed(
    workspace: Workspace,
) -> None:
    reader, report = read(workspace, listed("m-0"))
    assert report.snapshot is not None
    assert report.snapshot.removal is not None
    workspace.leave("m-8", "m-9")
    assert reader.confirm(report.snapshot.removal).removed == 7


def test_several_files_are_the_parts_of_one_download(workspace: Workspace) -> None:
    found = outcome(workspace, listed(*MEMBERS[:4]), listed(*MEMBERS[3:9]), listed(*MEMBERS[:4]))
    assert (found.state, found.removed) == (APPLIED, 1)
    assert wanted(workspace) == set(MEMBERS[:9])


@sqlite_only
@pytest.mark.parametrize("damaged", [*DAMAGED.values(), b""], ids=[*DAMAGED, "empty"])
def test_one_damaged_part_removes_no_one(workspace: Workspace, damaged: bytes) -> None:
    for parts in ((listed(*MEMBERS[:9]), damaged), (damaged, listed(*MEMBERS[:9]))):
        assert outcome(workspace, *parts).state is INCOMPLETE
        assert wanted(workspace) >= set(MEMBERS)


def test_a_missing_part_removes_no_one(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "part.csv"
    path.write_bytes(listed(*MEMBERS[:9]))
    reader = SnapshotReader(workspace.ledger)
    options = ReadOptions(audience="shoppers", taken_at=AT)
    report = Importer(workspace.ledger, open_reader, options, snapshot=reader).run(
        [str(path), str(path) + "-2"]
    )
    assert report.snapshot is not None
    assert report.snapshot.state is INCOMPLETE
    assert wanted(workspace) == set(MEMBERS)


@sqlite_only
@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_even_a_header_is_no_snapshot(workspace: Workspace, content: bytes) -> None:
    found = outcome(workspace, content, allow_incomplete=True)
    assert (found.state, found.can_be_insisted) == (INCOMPLETE, False)
    assert "is empty" in found.problems[0]
    assert wanted(workspace) == set(MEMBERS)


@sqlite_only
def test_events_are_no_snapshot(workspace: Workspace) -> None:
    _, report = read(workspace, b'{"type": "page"}\n')
    assert report.snapshot is None
    assert len(report.event_files) == 1
    assert wanted(workspace) == set(MEMBERS)


def test_members_with_newer_events_stay_as_those_say(workspace: Workspace) -> None:
    long_ago = AT - 3_600_000_000 - 1  # a microsecond before they entered
    found = outcome(workspace, listed(*MEMBERS[:3], "x"), taken_at=long_ago)
    assert (found.state, found.removed) == (APPLIED, 0)
    assert wanted(workspace) == {*MEMBERS, "x"}


def test_reading_it_again_removes_no_one_else(workspace: Workspace) -> None:
    assert outcome(workspace, listed(*MEMBERS[:9])).removed == 1
    assert outcome(workspace, listed(*MEMBERS[:9])).removed == 0
    assert wanted(workspace) == set(MEMBERS[:9])


def test_another_one_of_the_same_name_and_time_is_the_truth(workspace: Workspace) -> None:
    outcome(workspace, listed(*MEMBERS[:9]))
    assert outcome(workspace, listed(*MEMBERS[:8])).removed == 1
    assert wanted(workspace) == set(MEMBERS[:8])


class TestByAmplitudeId:
    """Everyone has both identifiers; the list has one column."""

    @pytest.fixture(autouse=True)
    def _both(self, workspace: Workspace) -> None:
        workspace.map_amplitude_ids()
        workspace.read(
            event(user, True, at=1, traits={"amplitude_id": f"10{user[2:]}"}) for user in MEMBERS
        )

    def _listed(self, workspace: Workspace, users: Sequence[str]) -> SnapshotReport:
        rows = "".join(f"10{user[2:]}\n" for user in users)
        content = f"amplitude_id\n{rows}".encode()
        return outcome(workspace, content, amplitude_id_column="amplitude_id")

    def test_only_those_who_are_not_listed_leave_by_both_identifiers(
        self, workspace: Workspace
    ) -> None:
        found = self._listed(workspace, MEMBERS[:9])
        assert (found.state, found.removed) == (APPLIED, 1)
        assert wanted(workspace) == set(MEMBERS[:9])
        assert "no column of User IDs" in found.note

    def test_of_the_id_type_in_use_nothing_else_is_to_note(self, workspace: Workspace) -> None:
        workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID))
        found = self._listed(workspace, MEMBERS[:9])
        assert (found.removed, found.note) == (1, "")
        assert wanted(workspace, 2) == {f"10{user[2:]}" for user in MEMBERS[:9]}

    def test_many_are_confirmed_by_their_true_number(self, workspace: Workspace) -> None:
        found = self._listed(workspace, MEMBERS[:2])
        assert found.removal == snapshots.Removal(members=10, listed=2, leaving=8)


def test_a_file_without_a_stated_time_has_its_own(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "download.csv"
    path.write_bytes(listed(*MEMBERS[:9]))
    os.utime(path, (AT / 1_000_000, AT / 1_000_000))
    reader = SnapshotReader(workspace.ledger)
    report = Importer(
        workspace.ledger, open_reader, ReadOptions(audience="shoppers"), snapshot=reader
    ).run([str(path)])
    assert report.snapshot is not None
    assert report.snapshot.removed == 1
