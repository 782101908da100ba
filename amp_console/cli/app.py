"""The `amp-console` command: a list of subcommands, each imported only when it is called.

`--help` and `--version` need only this file and the top level of the commands' modules, which
imports nothing but click. That takes 0.1 s; importing httpx and the rest would double it.
"""

import atexit
import gc
import importlib
import sys

import click

from amp_console import __version__
from amp_console.cli import output
from amp_console.cli.exits import Exit
from amp_console.cli.options import CommonOptions
from amp_console.cli.output import say

COMMANDS = {
    "connect": "connect:connect",
    "connections": "connections:connections",
    "disconnect": "connections:disconnect",
    "doctor": "doctor:doctor",
    "ledger": "ledger:ledger",
    "source": "warehouse:source",
    "sources": "warehouse:sources",
    "segment": "segment:segment",
    "import": "import_events:import_events",
    "audiences": "audiences:audiences",
    "audience": "audiences:audience",
    "sync": "sync:sync",
    "refresh": "refresh:refresh",
    "reconcile": "reconcile:reconcile",
    "watch": "watch:watch",
    "listen": "listen:listen",
    "errors": "errors:errors",
    "person": "person:person",
    "forget": "forget:forget",
    "runs": "runs:runs",
    "log": "log:log",
    "prune": "prune:prune",
    "simulate": "simulate:simulate",
    "demo": "demo:demo",
}
"""The module and function of each command, in the order of the help."""


class Commands(click.Group):
    """A group that imports its commands by name and reports failures as sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order a newcomer needs them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import only the requested command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command = getattr(importlib.import_module(f"amp_console.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; report expected errors as a sentence and an exit status."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except UnicodeEncodeError as error:
            if not _came_from_arguments(error):
                raise
            say("An argument is not valid UTF-8. Nothing was done.", err=True)
            return Exit.MISUSE
        except Exception as error:
            from amp_console.cli.failures import failure

            found = failure(error)
            if found is None:
                raise
            say(str(error), err=True)
            return found


def _came_from_arguments(error: UnicodeEncodeError) -> bool:
    """Whether an argument contains bytes that are not text: Python passes them as surrogates."""
    return any(error.object[error.start : error.end] in argument for argument in sys.argv)


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="amp-console")
@click.option(
    "--connection", metavar="NAME", envvar="AMP_CONSOLE_CONNECTION", help="Use this connection."
)
@click.option("--read-only", is_flag=True, help="Send nothing and change no settings or keys.")
@click.option("--audience", metavar="KEY", help="Open the console at this audience.")
@click.option("--theme", metavar="NAME", help="Theme of the console, e.g. catppuccin-latte.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw the console in plain ASCII.")
@click.pass_context
def commands(
    ctx: click.Context,
    connection: str | None,
    read_only: bool,
    audience: str | None,
    theme: str | None,
    ascii_only: bool,
) -> int:
    """Sync Twilio Segment Engage audiences into Amplitude cohorts.

    Without a command, this opens the console. To try it without an account, run `amp-console demo`.
    Everything that is read is kept, and every user who could not be delivered is listed with the
    reason.
    """
    ctx.obj = CommonOptions(connection, read_only, theme, ascii_only)
    if ctx.invoked_subcommand is not None:
        return Exit.DELIVERED
    from amp_console.cli.console import open_console

    return open_console(ctx.obj, audience=audience)


def main() -> None:
    """Run the command line and exit with its status."""
    # Imported modules are never garbage: 150 collections would take a tenth of the start-up time.
    gc.set_threshold(20_000, 20, 20)
    # The collection at the end of the process would be as pointless.
    atexit.register(gc.freeze)
    output.prepare()
    try:
        status = commands.main(prog_name="amp-console", standalone_mode=False)
    except click.ClickException as error:
        output.say_misuse(error)
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("Interrupted. Everything that was read or delivered is kept.", err=True)
        status = Exit.INTERRUPTED
    except Exception as error:
        output.say_defect(error)
        status = Exit.PARTIAL
    sys.exit(output.finish(status if isinstance(status, int) else 0))
