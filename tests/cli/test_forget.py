"""`forget`: its questions, its output and its exit statuses."""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest

from amp_console.engage.lines import BOM
from amp_console.simulator import Answer, Call, Rule
from tests.cli.operator import Operator
from tests.cli.processes import Process
from tests.sync.workspace import event, ndjson

ANA = "ana-7c41@acme.example"


@pytest.fixture
def synced(operator: Operator, tmp_path: Path) -> Operator:
    path = tmp_path / "events.ndjson"
    path.write_text(ndjson(event(user, True) for user in (ANA, "u2")))
    assert operator.run("sync", "--from", path, "--yes").status == 0
    return operator


def members(operator: Operator) -> set[str]:
    (cohort,) = operator.simulator.world.cohorts()
    return operator.simulator.world.members(cohort.id)


def test_someone_is_forgotten(synced: Operator) -> None:
    ended = synced.run("forget", ANA, "--yes")
    assert ended.status == 0, ended.err
    assert "Forgot 1 person." in ended.out
    assert members(synced) == {"u2"}
    assert synced.run("person", ANA).status == 1
    home = synced.home / "amp-console"
    assert not [
        path for path in home.rglob("*") if path.is_file() and ANA.encode() in path.read_bytes()
    ]


def test_the_plan_has_to_be_confirmed(synced: Operator) -> None:
    ended = synced.run("forget", ANA)
    assert ended.status == 2
    assert f"User ID {ANA}: removed from the cohort of “shoppers”" in ended.err
    assert "Nothing was changed. To confirm in advance, add --yes." in ended.err
    assert members(synced) == {ANA, "u2"}


def test_identifiers_can_stay_out_of_the_history_of_the_shell(synced: Operator) -> None:
    ended = synced.run("forget", "-", "--yes", stdin=BOM + f"{ANA}\r\n\nu2\n".encode())
    assert ended.status == 0, ended.err
    assert "Forgot 2 people." in ended.out
    assert members(synced) == set()
    assert synced.run("forget", "-", "--yes", stdin=b"\n").status == 2


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_identifier_is_misuse(synced: Operator, blank: str) -> None:
    """An unset shell variable once turned every text of the ledger into "[erased]"."""
    log = synced.run("log").out
    ended = synced.run("forget", blank, ANA, "--yes")
    assert ended.status == 2
    assert "An ID is blank. Nothing was changed." in ended.err
    assert synced.run("log").out == log
    assert members(synced) == {ANA, "u2"}


def test_blank_lines_of_stdin_are_skipped(synced: Operator) -> None:
    ended = synced.run("forget", "-", "--yes", stdin=f" \n{ANA}\n\t\n".encode())
    assert "Forgot 1 person." in ended.out
    assert "Import of events.ndjson" in synced.run("log").out
    assert members(synced) == {"u2"}


@pytest.mark.parametrize(
    "command",
    [
        ("forget", "-", "--yes"),
        ("connect", "b", "--app-id", "1", "--owner-email", "a@b.c", "--keys-stdin"),
        ("segment", "connect", "--space", "sp1", "--token-stdin"),
        ("listen", "--save-secret"),
    ],
    ids=lambda command: command[0],
)
def test_stdin_that_is_no_text_is_misuse(synced: Operator, command: tuple[str, ...]) -> None:
    ended = [synced.run(*command, stdin=b"\xff\n\xff\n")]
    if command[0] in {"forget", "listen"}:  # a process reads its real stdin: as a whole, or a line
        ended.append(synced.run_process(*command, stdin=b"\xff\n\xff\n"))
    for one in ended:
        assert one.status == 2, one.err
        assert "The input on stdin is not valid UTF-8. Nothing was done." in one.err


def test_what_was_not_removed_is_listed_and_finished_later(synced: Operator) -> None:
    synced.simulator.faults.set([Rule(Answer(status=404), frozenset({Call.MEMBERSHIP}))])
    synced.simulator.world.drop_cohort(synced.simulator.world.cohorts()[0].id)
    ended = synced.run("forget", ANA, "--yes")
    assert ended.status == 4
    assert f"Not erased: User ID {ANA} in “shoppers”." in ended.out
    assert "To finish it: amp-console forget" in ended.out
    document = synced.run("forget", "--yes", "--json").document
    assert document["erased"] == 0
    (left,) = document["not_erased"]
    assert (left["id"], left["audience"]) == (ANA, "shoppers")
    assert synced.run("audience", "shoppers", "--unlink").status == 0
    ended = synced.run("forget", "--yes")
    assert ended.status == 0, ended.out
    assert synced.run("forget").out.startswith("All deletion requests are finished.")


def test_an_identifier_of_both_kinds_is_asked_back(operator: Operator, tmp_path: Path) -> None:
    assert operator.connect("acme", "--amplitude-id-path", "$.traits.amplitude_id").status == 0
    path = tmp_path / "events.ndjson"
    events = [event("7", True), event(None, True, traits={"amplitude_id": "7"})]
    path.write_text(ndjson(events))
    assert operator.run("import", path).status == 0
    ended = operator.run("forget", "7", "--yes")
    assert ended.status == 2
    assert "--id-type user_id or amplitude_id" in ended.err
    assert operator.run("forget", "7", "--id-type", "amplitude_id", "--yes").status == 0
    assert operator.run("person", "7").status == 0


def test_a_query_that_names_someone_is_for_the_operator_to_change(
    synced: Operator, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "lake.db")) as db:
        db.execute("CREATE TABLE members (user_id)")
    assert synced.run("source", "add", "lake", f"sqlite:{tmp_path / 'lake.db'}").status == 0
    query = f"SELECT user_id FROM members WHERE user_id <> '{ANA}'"
    named = synced.run("audience", "shoppers", "--source", "lake", "--query", query)
    assert named.status == 0, named.err
    ended = synced.run("forget", ANA, "--yes")
    assert ended.status == 1
    assert "Still contained in the query of an audience: change that yourself." in ended.out


def test_a_ledger_that_was_set_aside_is_for_the_operator_to_delete(synced: Operator) -> None:
    (ledger,) = (synced.home / "amp-console").rglob("*.db")
    (ledger.parent / f"{ledger.name}.damaged-1777836170").write_bytes(ledger.read_bytes())
    ended = synced.run("forget", ANA, "--yes")
    assert ended.status == 1
    assert f"Delete earlier copies of the ledger yourself: {ledger.name}.damaged-" in ended.out


class Dying:
    """Lets a process die before a statement on SQLite: the `left`th, counted from 1.

    One that ends writes to the standard error how many were left.
    """

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        connect = sqlite3.connect

        def counting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args, **kwargs)
            db.set_trace_callback(self._count)
            return db

        sqlite3.connect = counting  # type: ignore[assignment]
        Finalize(None, lambda: sys.stderr.write(str(self.left)), exitpriority=1)

    def _count(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_killed_at_any_statement_it_is_finished_by_the_next_request(
    operator: Operator, tmp_path: Path
) -> None:
    """From the first statement to the last, through the request, the erasure and VACUUM."""
    path = tmp_path / "events.ndjson"
    people = [f"person-{number:02}-7c41" for number in range(17)]
    path.write_text(ndjson(event(user, True) for user in [*people, "u2"]))
    assert operator.run("sync", "--from", path, "--yes").status == 0

    def forget_and_die(user: str, at: int) -> Process:
        process = operator.start("forget", user, "--yes", prepare=Dying(at))
        process.wait()
        return process

    first = people.pop()
    statements = 1_000_000 - int(forget_and_die(first, 1_000_000).err.split()[-1])
    assert first not in members(operator)
    home = operator.home / "amp-console"
    for number, user in enumerate(people):
        died = forget_and_die(user, 1 + number * (statements - 5) // (len(people) - 1))
        assert died.status == -signal.SIGKILL, died.err
        ended = operator.run("forget", user, "--yes")
        assert ended.status == 0, ended
        assert user not in members(operator)
        files = [found for found in home.rglob("*") if found.is_file()]
        assert [found for found in files if user.encode() in found.read_bytes()] == []
    assert members(operator) == {"u2"}
