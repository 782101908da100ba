"""Read-only, for one connection or for one command: nothing is sent, and nothing is set."""

import json
from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.sync.office import event


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.ndjson"
    users = ("u1", "u2", "ghost-1")
    path.write_text("".join(json.dumps(event(user, True)) + "\n" for user in users))
    return path


def sent(operator: Operator) -> int:
    return len(operator.simulator.requests)


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (("sync", "--yes"), "Nothing was sent."),
        (("audience", "shoppers", "--disable"), "Nothing was changed."),
        (("audience", "shoppers", "--unlink"), "Nothing was changed."),
        (("errors", "--retry"), "Nothing was changed."),
    ],
    ids=str,
)
def test_before_a_command_it_holds_for_that_command(
    operator: Operator, file: Path, command: tuple[str, ...], kept: str
) -> None:
    operator.run("sync", "--from", file, "--yes")
    before = sent(operator), operator.run("audiences", "--json").document
    ended = operator.run("--read-only", *command)
    assert ended.status == 2
    assert f'The connection "acme" is read-only. {kept}' in ended.err
    assert (sent(operator), operator.run("audiences", "--json").document) == before
    assert operator.run("sync", "--yes").status == 1


def test_looking_and_reading_go_on(operator: Operator, file: Path) -> None:
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
    assert fresh.run("sync", "--yes").status == 2
    assert sent(fresh) == before
    assert fresh.connect("acme").status == 0, "connected again, for other keys"
    assert fresh.run("sync", "--yes").status == 2
    assert fresh.connect("acme", "--writable").status == 0
    assert fresh.run("sync", "--yes").status == 1
    assert fresh.cohort("shoppers") == {"u1", "u2"}


def test_connecting_again_keeps_the_limits(operator: Operator) -> None:
    config = operator.home / "amp-console/config/config.toml"
    (head,) = [line for line in config.read_text().splitlines() if line.startswith("[")]
    with config.open("a") as settings:
        settings.write(f"\n{head.removesuffix(']')}.limits]\ntries = 3\n")
    assert operator.connect("acme").status == 0
    assert "tries = 3" in config.read_text()


@pytest.mark.parametrize("command", [(), ("runs", "--open", "1"), ("demo",)], ids=str)
def test_what_needs_a_terminal_says_so_in_a_pipe(
    operator: Operator, command: tuple[str, ...]
) -> None:
    ended = operator.run(*command)
    assert ended.status == 2
    assert ended.out == ""
    assert "needs a terminal" in ended.err
