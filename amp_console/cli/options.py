"""Options that several commands share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    from pathlib import Path

    from amp_console.values import Secret

F = TypeVar("F", bound=Callable[..., Any])

_WEEK = 7 * 86_400  # far below what a timer or a server's limit can hold


class CommonOptions(NamedTuple):
    """The options before the command: those of every command, and the console's appearance."""

    connection: str | None = None
    read_only: bool = False
    theme: str | None = None
    ascii_only: bool = False


def common() -> CommonOptions:
    """Return the options given before the current command."""
    found = click.get_current_context().find_root().obj
    assert isinstance(found, CommonOptions)
    return found


def connection_option(command: F) -> F:
    """Add --connection; the default is the one named before the command, or the only one."""

    def pick(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
        return value or ctx.find_root().obj.connection

    return click.option(
        "--connection",
        "connection_name",
        metavar="NAME",
        callback=pick,
        help="Use this connection.",
    )(command)


def refuse_password(in_url: "Secret | None", option: str) -> None:
    """Refuse a password in a URL that was an argument; `option` reads it from elsewhere.

    Any user of a machine can list the arguments of its processes. Raises `click.UsageError`.
    """
    if in_url is not None:
        raise click.UsageError(
            "The URL contains a password, and anyone on this machine can see the arguments of a "
            f"command. Nothing was saved. Leave it out of the URL and add {option}, which reads it "
            "from a hidden prompt or from stdin."
        )


@contextmanager
def misuse() -> Iterator[None]:
    """Turn a `ValueError` about what was entered into misuse of the command."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def console_options(command: F) -> F:
    """Add the options of the console to a command that opens it."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: object) -> None:
        if value:
            root = ctx.find_root()
            root.obj = root.obj._replace(**{str(parameter.name): value})

    for option in (
        click.option(
            "--ascii",
            "ascii_only",
            is_flag=True,
            callback=keep,
            expose_value=False,
            help="Draw the console in plain ASCII.",
        ),
        click.option(
            "--theme",
            metavar="NAME",
            callback=keep,
            expose_value=False,
            help="Theme of the console, e.g. catppuccin-latte.",
        ),
        click.option(
            "--read-only",
            is_flag=True,
            callback=keep,
            expose_value=False,
            help="Send nothing and change no settings or keys.",
        ),
    ):
        command = option(command)
    return command


exact_option = click.option(
    "--exact",
    is_flag=True,
    help="Write CSV cells unchanged, even those a spreadsheet would run as formulas.",
)


def is_to_stdout(option: str, file: "Path | None", *, exact: bool, as_json: bool = False) -> bool:
    """Whether `option` writes to stdout and not to a file. Raises `click.UsageError`."""
    if exact and file is None:
        raise click.UsageError(f"--exact applies to CSV files: add {option} FILE.")
    is_stdout = file is not None and str(file) == "-"
    if is_stdout and as_json:
        raise click.UsageError(f"--json and {option} - both write to stdout. Use one of them.")
    return is_stdout


def json_option(command: F) -> F:
    """Add --json."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document instead of text."
    )(command)


def timeout_option(command: F) -> F:
    """Add --timeout of the queries of audiences."""
    return click.option(
        "--timeout",
        type=click.IntRange(1, _WEEK),
        default=3600,
        show_default=True,
        metavar="SECONDS",
        help="Cancel a query that takes longer.",
    )(command)


def is_given(option: str) -> bool:
    """Whether an option of the current command was given, and is not just its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def read_duration(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Read a time such as 90, 90s, 15m or 2h, in seconds."""
    from amp_console.text import parsed_duration

    try:
        return None if value is None else parsed_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


FOREVER = "forever"


def read_age(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Read an age such as 90d, in days; 0 is forever."""
    from amp_console.connections.connection import MAX_HISTORY

    if value is None:
        return None
    if value == FOREVER:
        return 0
    digits = value.removesuffix("d")
    if value.endswith("d") and digits.isdecimal() and 1 <= int(digits) <= MAX_HISTORY:
        return int(digits)
    raise click.BadParameter(f"{value!r} is not an age from 1d to {MAX_HISTORY}d, or {FOREVER}.")


every_option = click.option(
    "--every",
    metavar="TIME",
    callback=read_duration,
    help=(
        "How often to list a bucket (default 60s) or refresh audiences with a query (default 15m), "
        "e.g. 5m."
    ),
)


def live_options(command: F) -> F:
    """Add the options of every live session: what it may do without asking, and --flush-seconds."""
    window = click.option(
        "--flush-seconds",
        type=click.FloatRange(0.1, 3600),
        metavar="SECONDS",
        default=5.0,
        show_default=True,
        help="Deliver this many seconds after the first change.",
    )
    create = click.option(
        "--create", is_flag=True, help="Create cohorts for audiences that have none."
    )
    remove = click.option(
        "--allow-large-removals",
        "remove",
        is_flag=True,
        help="Remove more than half of a cohort's members without waiting for you.",
    )
    return create(remove(window(command)))


def receiver_options(command: F) -> F:
    """Add the options of a webhook receiver: where it listens, and what it accepts."""
    single = click.option(
        "--single-events",
        is_flag=True,
        help="Refuse arrays: Segment signs only their first event.",
    )
    port = click.option(
        "--port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        default=8766,
        show_default=True,
        help="Port to listen on.",
    )
    host = click.option(
        "--host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        help="Address to listen on.",
    )
    return host(port(single(command)))


class ServiceOptions(NamedTuple):
    """What a live session prints, and the separate port for metrics and health, if there is one."""

    metrics_host: str
    metrics_port: int | None
    log_format: str
    as_json: bool


def service_options(command: F) -> F:
    """Add the options of a live session as a service: its metrics, and how it prints."""
    port = click.option(
        "--metrics-port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="Serve metrics and health on this port.",
    )
    host = click.option(
        "--metrics-host",
        metavar="HOST",
        default="127.0.0.1",
        show_default=True,
        help="Address of the metrics port.",
    )
    log_format = click.option(
        "--log-format",
        type=click.Choice(["lines", "json"]),
        default="lines",
        show_default=True,
        help="Print everything as text, or as one JSON object per line.",
    )
    figures = click.option(
        "--json", "as_json", is_flag=True, help="Print only the figures, one JSON object per line."
    )
    return port(host(log_format(figures(command))))


def read_service_options(
    metrics_host: str, metrics_port: int | None, log_format: str, *, as_json: bool
) -> ServiceOptions:
    """Refuse a host without a port, which would have no effect, and options that conflict."""
    if metrics_port is None and is_given("metrics_host"):
        raise click.UsageError("--metrics-host needs --metrics-port.")
    if log_format == "json" and as_json:
        raise click.UsageError(
            "--json prints only the figures as JSON, and --log-format json prints everything. Use "
            "one of them."
        )
    return ServiceOptions(metrics_host, metrics_port, log_format, as_json)
