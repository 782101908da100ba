"""The README describes every command, option and exit status."""

import re
from pathlib import Path

import click
import pytest

from amp_console.cli.app import COMMANDS, commands
from amp_console.cli.exits import Exit

README = (Path(__file__).parent.parent / "README.md").read_text()
COMMON = {"--help", "--connection"}


def options_of(command: click.Command) -> set[str]:
    """The long options of a command."""
    found = (
        option
        for param in command.params
        if isinstance(param, click.Option)
        for option in (*param.opts, *param.secondary_opts)
    )
    return {option for option in found if option.startswith("--")} - COMMON


@pytest.mark.parametrize("name", COMMANDS)
def test_names_each_command_with_its_options(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    rows = [row for row in README.splitlines() if re.match(rf"\| `{name}\b", row)]
    assert len(rows) == 1, f"one row of the table is to begin with `{name}"
    missing = {option for option in options_of(command) if option not in rows[0]}
    assert not missing


@pytest.mark.parametrize("status", Exit)
def test_names_each_exit_status(status: Exit) -> None:
    assert re.search(rf"^\| {status.value} \|", README, re.MULTILINE)
