"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def connection_option(command: F) -> F:
    """Add --connection; left out, it is the one named before the command, or the only one."""

    def pick(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
        return value or ctx.find_root().obj

    return click.option(
        "--connection", metavar="NAME", callback=pick, help="The connection to use."
    )(command)


def json_option(command: F) -> F:
    """Add --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
    )(command)
