"""Users whose delivered state a late request may undo, as an operator sees them."""

from pathlib import Path

from amp_console.simulator import Call, Late, Simulator
from amp_console.text import local_time
from tests.cli.operator import Operator
from tests.cli.test_person import write
from tests.sync.workspace import event


def test_every_command_says_so_until_they_are_confirmed_again(
    operator: Operator, simulator: Simulator, tmp_path: Path
) -> None:
    founded = write(tmp_path, event("u0", True))
    assert operator.run("sync", "--from", founded, "--yes").status == 0
    simulator.faults.once(Late(504), Call.MEMBERSHIP)
    entered = write(tmp_path, event("u1", True, 1))
    assert operator.run("sync", "--from", entered).status == 0

    ended = operator.run("sync", "--from", write(tmp_path, event("u1", False, 2)))
    assert ended.status == 4
    assert "1 user not yet certain: an earlier request without an answer" in ended.out
    assert "everything sent, 1 user to confirm again" in ended.out
    (shown,) = operator.run("audiences", "--json").document
    assert (shown["uncertain"], shown["status"]) == (1, "not yet certain")
    assert shown["certain_at"]
    assert "1 user not yet certain" in operator.run("audience", "shoppers").out
    assert "may still take effect and undo this" in operator.run("person", "u1").out
    planned = operator.run("sync", "--dry-run").out
    assert f"1 user to confirm again after {local_time(shown['certain_at'])}" in planned
    simulator.faults.release()
    document = operator.run("sync", "--json").document
    assert document["status"] == "stopped"
    assert [item["uncertain"] for item in document["audiences"]] == [1]
