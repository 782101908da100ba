"""What importing each package loads: no package of a higher layer, and nothing slow too early."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.benchmarks.start_up import prepare

HEAVY = ("textual", "rich", "httpx", "msgspec", "keyring", "uvicorn", "starlette", "asyncio")
NETWORK = {"httpx", "httpcore", "anyio", "certifi", "socksio", "uvicorn", "starlette"}
"""Modules needed only for asking Amplitude or receiving webhooks."""
SCREEN = {"textual", "rich", "pygments", "markdown_it"}
"""Modules needed only by the console."""


def loaded_by(statement: str, environ: Mapping[str, str] | None = None) -> set[str]:
    """The modules that are loaded after running a statement in a new interpreter."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environ or {})},
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with one connection, and an audience in its ledger."""
    prepare(tmp_path)
    return tmp_path


def loaded_by_commands(home: Path, *commands: str) -> set[str]:
    """The modules that are loaded after these commands, one after the other in one interpreter."""
    code = (
        "from amp_console.cli.app import commands\n"
        f"for line in {commands!r}:\n"
        "    status = commands.main(line.split(), standalone_mode=False)\n"
        "    assert not status, line"
    )
    return loaded_by(code, {"AMP_CONSOLE_HOME": str(home)})


READING = (
    "audiences",
    "audiences --json",
    "audience newsletter",
    "errors",
    "errors --json",
    "person ana",
    "runs",
    "runs --json",
    "connections",
)


def test_commands_that_read_the_ledger_load_no_network_no_screen_and_no_event_loop(
    home: Path,
) -> None:
    loaded = loaded_by_commands(home, *READING)
    assert "sqlite3" in loaded
    assert loaded & (NETWORK | SCREEN | {"asyncio", "ssl", "filelock", "keyring"}) == set()


def test_a_plan_that_is_only_shown_loads_no_network(home: Path) -> None:
    assert loaded_by_commands(home, "sync --dry-run") & (NETWORK | SCREEN | {"keyring"}) == set()


def test_what_asks_amplitude_and_segment_loads_no_screen() -> None:
    """The HTTP library has its own command line, which draws."""
    loaded = loaded_by("import amp_console.amplitude.client, amp_console.segment.client")
    assert "httpx" in loaded
    assert loaded & SCREEN == set()


WATCH = """
import click
from amp_console.cli.app import commands
try:
    commands.main(["watch", r"{file}", "--every", "5m"], standalone_mode=False)
except click.UsageError as error:
    assert "--every needs" in error.message, error.message
else:
    raise AssertionError("the session began")
"""
"""Starts to follow a file, up to an interval that does not apply."""


@pytest.mark.parametrize(
    "statement", ["from amp_console.cli.sources import path_source, webhook_source", WATCH]
)
def test_following_files_loads_no_warehouse_and_no_receiver(home: Path, statement: str) -> None:
    code = statement.format(file=home / "events.ndjson")
    loaded = loaded_by(code, {"AMP_CONSOLE_HOME": str(home)})
    assert "amp_console.cli.sources" in loaded
    unused = tuple(map(OWN.format, ("sync.sources.warehouse", "sync.sources.webhook")))
    assert {name for name in loaded if name.startswith(unused)} | loaded & NETWORK == set()


def test_receiving_webhooks_loads_no_warehouse() -> None:
    loaded = loaded_by("import amp_console.sync.sources.webhook")
    assert not {name for name in loaded if name.startswith(OWN.format("sync.sources.warehouse"))}


OPEN = """
import asyncio, os, sys
from amp_console.cli.resources import folders
from amp_console.connections import Keyring
from amp_console.console import Environment, LaunchOptions
from amp_console.console.app import ConsoleApp

async def main():
    app = ConsoleApp(Environment(folders(), Keyring(os.environ), os.environ), LaunchOptions())
    async with app.run_test():
        while app.services.sessions.is_opening:
            await asyncio.sleep(0.01)
        assert type(app.screen).__name__ == "{screen}", app.screen
        loaded = list(sys.modules)
        assert not (said := app.services.notifications.entries), said  # a failure loads more
        await app.services.sessions.close()
    return loaded

print(*asyncio.run(main()))
sys.exit()
"""
"""Opens the console, and prints what is loaded once its first screen shows the ledger's content.

What is cancelled when it closes may load more: handlers of failures are looked up then, too.
"""


@pytest.mark.parametrize(
    ("screen", "own"), [("AudiencesScreen", "audiences"), ("ConnectionForm", "connections")]
)
def test_the_console_opens_without_what_other_screens_and_jobs_need(
    screen: str, own: str, home: Path, tmp_path: Path
) -> None:
    where = home if screen == "AudiencesScreen" else tmp_path / "empty"
    loaded = loaded_by(OPEN.format(screen=screen), {"AMP_CONSOLE_HOME": str(where)})
    assert loaded & (NETWORK | {"watchfiles", "keyring", "markdown_it"}) == set()
    console = "amp_console.console."
    assert {name for name in loaded if name.startswith(f"{console}jobs.")} == {
        f"{console}jobs.base",
        f"{console}jobs.under_way",
    }
    screens = {name.removeprefix(f"{console}screens.").partition(".")[0] for name in loaded}
    assert screens & OTHER_SCREENS == OTHER_SCREENS & {own}
    unused = (
        *("sync.live.", "sync.sources.", "sync.reconcile.repair", "sync.delivery.run"),
        *("demo", "engage", "segment"),
    )
    assert {name for name in loaded if name.startswith(tuple(map(OWN.format, unused)))} == set()


OTHER_SCREENS = {"connections", "errors", "live", "person", "plan", "reconcile", "runs"}
OWN = "amp_console.{}"


def test_the_command_line_starts_without_anything_heavy() -> None:
    loaded = loaded_by("import amp_console.cli")
    assert loaded.isdisjoint(HEAVY)
    assert not any(name.startswith("amp_console.") and ".cli" not in name for name in loaded)


def test_help_loads_no_package_but_the_commands() -> None:
    loaded = loaded_by(
        "from amp_console.cli.app import commands\n"
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    commands.main(['--help'], standalone_mode=False)"
    )
    packages = {name for name in loaded if name.startswith("amp_console.")}
    assert all(name.startswith("amp_console.cli") for name in packages)
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("amplitude", ["amp_console.ledger", "amp_console.engage", "sqlite3", "keyring"]),
        ("segment", ["amp_console.ledger", "amp_console.amplitude", "httpx", "keyring"]),
        ("engage", ["amp_console.ledger", "amp_console.amplitude", "httpx", "sqlite3"]),
        ("ledger", ["amp_console.engage", "amp_console.amplitude", "httpx", "keyring"]),
        ("connections", ["amp_console.ledger", "amp_console.amplitude", "httpx", "keyring"]),
        ("sync.delivery", ["amp_console.cli", "amp_console.simulator", "keyring", "textual"]),
        ("simulator", ["amp_console.amplitude", "amp_console.sync", "amp_console.ledger"]),
    ],
)
def test_a_package_loads_nothing_above_or_beside_it(package: str, never: list[str]) -> None:
    assert loaded_by(f"import amp_console.{package}").isdisjoint(never)


def test_what_ends_is_not_searched_for_garbage() -> None:
    """Collecting takes 0.1 s, and commands close what they open."""
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
        "sys.argv[1:] = ['--version']\n"
        "from amp_console.cli import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"
