"""`import --snapshot`: its output, questions and exit status, with and without a terminal."""

import os
import pty
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.inside import Ended
from tests.cli.operator import MODULE, Operator

MEMBERS = [f"m-{number}" for number in range(10)]
LATER = ("--taken-at", "2026-05-04T00:00:00Z")


@pytest.fixture
def vip(operator: Operator, tmp_path: Path) -> Operator:
    """An operator with an audience of ten."""
    first = _listed(tmp_path / "first.csv", MEMBERS)
    taken = ("--taken-at", "2026-05-03T00:00:00Z")
    assert operator.run("import", first, "--audience", "vip", *taken).status == 0
    return operator


def _listed(path: Path, users: Sequence[str], more: str = "") -> Path:
    path.write_text("user_id,city\n" + "".join(f"{user},Graz\n" for user in users) + more)
    return path


def _snapshot(vip: Operator, *arguments: str | Path) -> Ended:
    return vip.run("import", *arguments, "--audience", "vip", "--snapshot", *LATER)


def _members(vip: Operator) -> int:
    (audience,) = vip.run("audiences", "--json").document
    members = audience["members"]
    assert isinstance(members, int)
    return members


def test_an_incomplete_one_says_what_was_refused_and_that_no_one_was_removed(
    vip: Operator, tmp_path: Path
) -> None:
    damaged = _listed(tmp_path / "damaged.csv", MEMBERS[:9], ',Linz\n"m-9,Graz\n')
    ended = _snapshot(vip, damaged)
    assert ended.status == 1
    assert "Read 11 events: 9 valid, 0 filtered, 2 invalid." in ended.out
    assert "No one was removed, because the snapshot is incomplete:" in ended.out
    assert f"2 rows were refused in {damaged}." in ended.out
    assert "--allow-incomplete" in ended.out
    assert _members(vip) == 10
    ended = _snapshot(vip, damaged, "--allow-incomplete")
    assert ended.status == 1
    assert "1 member has left" in ended.out
    assert _members(vip) == 9


def test_without_a_terminal_a_large_one_needs_yes(vip: Operator, tmp_path: Path) -> None:
    small = _listed(tmp_path / "small.csv", ["m-0", "new"])
    ended = _snapshot(vip, small)
    assert ended.status == 2
    assert "It removes 9 of the 10 members of “vip”." in ended.err
    assert "--yes" in ended.err
    assert "Nothing was changed." in ended.out
    assert _members(vip) == 10
    assert _snapshot(vip, small, "--yes").status == 0
    assert _members(vip) == 2


@pytest.mark.parametrize(
    ("answer", "status", "members"), [("y\n", 0, 2), ("n\n", 2, 10), (None, 130, 10)]
)
def test_at_a_terminal_it_asks_and_an_interrupt_leaves_everyone_in(
    vip: Operator, tmp_path: Path, answer: str | None, status: int, members: int
) -> None:
    small = _listed(tmp_path / "small.csv", ["m-0", "new"])
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*MODULE, "import", str(small), "--audience", "vip", "--snapshot", *LATER],
        env=vip.environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while b"Remove them?" not in seen:
        seen += os.read(ours, 1_000)
    if answer is not None:
        os.write(ours, answer.encode())
    for _ in range(12):  # one between the question and the wait for an answer would come too late
        if answer is None:
            process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
            break
    assert process.poll() == status
    os.close(ours)
    assert _members(vip) == members


def test_a_file_of_events_is_no_snapshot(vip: Operator, tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "page"}\n')
    ended = _snapshot(vip, events)
    assert "contains events, not a list of members: --snapshot has no effect on it." in ended.out
    assert _members(vip) == 10
