"""Read-only, for one connection or for one command: nothing is sent, and nothing is set."""

from pathlib import Path

import pytest

from amp_console.cli.app import COMMANDS
from tests.cli.operator import Operator


def sent(operator: Operator) -> int:
    return len(operator.simulator.requests)


EVERY_COMMAND: dict[str, tuple[str, ...] | None] = {
    "connect": ("other", "--app-id", "1", "--owner-email", "ana@acme.example", "--save-keys"),
    "connections": (),
    "disconnect": ("acme", "--yes"),
    "doctor": (),
    "source": ("remove", "lake"),
    "sources": (),
    "segment": ("connect", "--space", "spa_1"),
    "refresh": (),
    "ledger": ("move", "postgresql://ana@127.0.0.1/acme", "--yes"),
    "import": ("-",),
    "audiences": (),
    "audience": ("shoppers", "--id-type", "amplitude_id"),
    "sync": ("--yes",),
    "reconcile": ("shoppers", "--apply", "both", "--yes"),
    "watch": (".",),
    "listen": ("--save-secret",),
    "errors": ("--retry",),
    "person": ("u1",),
    "forget": ("u1", "--yes"),
    "runs": (),
    "log": (),
    "prune": ("--older-than", "90d", "--yes"),
    "simulate": None,  # it runs until Ctrl-C, and knows no settings
    "demo": None,  # it has its own settings, which it deletes
}
KEPT = {
    "connect": "Nothing was changed.",
    "disconnect": "Nothing was changed.",
    "ledger": "Nothing was changed.",
    "source": "Nothing was changed.",
    "segment": "Nothing was changed.",
    "audience": "Nothing was changed.",
    "sync": "Nothing was sent.",
    "reconcile": "Nothing was downloaded or sent.",
    "watch": "Nothing was read or sent.",
    "listen": "Nothing was changed.",
    "errors": "Nothing was changed.",
    "forget": "Nothing was erased.",
    "prune": "Nothing was deleted.",
}
"""The output of commands that would send or change something."""


def test_no_command_sends_or_changes_settings(operator: Operator, file: Path) -> None:
    assert set(EVERY_COMMAND) == set(COMMANDS), "list the new command here"
    operator.run("sync", "--from", file, "--yes")
    config = operator.home / "amp-console/config/config.toml"
    audiences = operator.run("audiences", "--json").out
    before = config.read_bytes(), sent(operator)
    for command, arguments in EVERY_COMMAND.items():
        if arguments is None:
            continue
        ended = operator.run("--read-only", command, *arguments)
        assert (config.read_bytes(), sent(operator)) == before, command
        assert (ended.status == 2) == (command in KEPT), (command, ended)
        said = f"amp-console was started with --read-only. {KEPT.get(command)}"
        assert ended.err.startswith(said) == (command in KEPT), (command, ended)
    assert operator.run("audiences", "--json").out == audiences


def test_looking_and_reading_continue(operator: Operator, file: Path) -> None:
    assert operator.run("--read-only", "import", file).status == 0
    for command in ("audiences", "errors", "runs", "doctor"):
        assert operator.run("--read-only", command).status in {0, 1}, command
    assert operator.run("--read-only", "sync", "--dry-run").status == 0
    assert operator.run("--read-only", "person", "u1").status == 0


def test_a_connection_stays_read_only_until_it_is_made_writable(
    fresh: Operator, file: Path
) -> None:
    assert fresh.connect("acme", "--read-only").status == 0
    fresh.run("import", file)
    before = sent(fresh)
    refused = fresh.run("sync", "--yes")
    assert refused.status == 2
    assert "The connection “acme” is read-only. Nothing was sent." in refused.err
    assert sent(fresh) == before
    assert fresh.connect("acme").status == 0, "connected again, for other keys"
    assert fresh.run("sync", "--yes").status == 2
    assert fresh.connect("acme", "--writable").status == 0
    assert fresh.run("sync", "--yes").status == 1
    assert fresh.cohort("shoppers") == {"u1", "u2"}


NEED_A_TERMINAL = [(), ("runs", "--open", "1"), ("demo",), ("demo", "--ascii", "--theme", "nord")]


@pytest.mark.parametrize("command", NEED_A_TERMINAL, ids=str)
def test_what_needs_a_terminal_says_so_in_a_pipe(
    operator: Operator, command: tuple[str, ...]
) -> None:
    ended = operator.run(*command)
    assert ended.status == 2
    assert ended.out == ""
    assert "needs a terminal" in ended.err
