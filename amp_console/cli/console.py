"""Opening the console from the command line."""

import os
import sys

import click

from amp_console.cli.exits import Exit
from amp_console.cli.options import CommonOptions
from amp_console.cli.output import say


def open_console(
    given: CommonOptions, *, audience: str | None = None, run_id: int | None = None
) -> int:
    """Open the console on this user's connections; return the exit status.

    Without a terminal, print the help of the commands instead.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        root = click.get_current_context().find_root()
        say(*root.get_help().splitlines(), "", err=True)
        say("The console needs a terminal. Name a command.", err=True)
        return Exit.MISUSE
    from amp_console.cli.resources import folders
    from amp_console.connections import Keyring
    from amp_console.console import Environment, LaunchOptions
    from amp_console.console.main import run

    opening = LaunchOptions(
        connection=given.connection,
        audience=audience,
        run_id=run_id,
        read_only=given.read_only,
        ascii_only=given.ascii_only,
        theme=given.theme,
    )
    return run(Environment(folders(), Keyring(os.environ), os.environ), opening)
