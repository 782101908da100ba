"""What importing each package loads: no package of a higher layer, and nothing slow too early."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from amp_console.connections import Connection, ConnectionStore, Folders
from amp_console.ledger import open_ledger
from amp_console.sync.connection_options import read_options
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.sources.registry import open_reader
from tests.sync.workspace import OWNER, event

HEAVY = ("textual", "rich", "httpx", "msgspec", "keyring", "uvicorn", "starlette", "asyncio")
NETWORK = {"httpx", "httpcore", "anyio", "certifi", "socksio", "uvicorn", "starlette"}
"""What only asking Amplitude or receiving webhooks needs."""
SCREEN = {"textual", "rich", "pygments", "markdown_it"}
"""What only the console needs."""


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
    folders = Folders.locate({"AMP_CONSOLE_HOME": str(tmp_path)})
    folders.prepare()
    connection = Connection(name="Acme", app_id=153957, owner_email=OWNER)
    ConnectionStore(folders.config_file).save(connection)
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event("ana", True, audience="newsletter")) + "\n")
    with open_ledger(folders.ledger(connection.id)) as ledger:
        Importer(ledger, open_reader, read_options(connection)).run([str(file)])
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


def test_commands_that_read_the_ledger_load_no_network_and_no_screen(home: Path) -> None:
    loaded = loaded_by_commands(
        home,
        "audiences",
        "audiences --json",
        "audience newsletter",
        "errors",
        "errors --json",
        "person ana",
        "runs",
        "runs --json",
        "connections",
        "sync --dry-run",
    )
    assert "sqlite3" in loaded
    assert loaded & (NETWORK | SCREEN | {"keyring", "watchfiles"}) == set()


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
        ("engage", ["amp_console.ledger", "amp_console.amplitude", "httpx", "sqlite3"]),
        ("ledger", ["amp_console.engage", "amp_console.amplitude", "httpx", "keyring"]),
        ("connections", ["amp_console.ledger", "amp_console.amplitude", "httpx", "keyring"]),
        ("sync.delivery", ["amp_console.cli", "amp_console.simulator", "keyring", "textual"]),
        ("simulator", ["amp_console.amplitude", "amp_console.sync", "amp_console.ledger"]),
    ],
)
def test_a_package_loads_nothing_above_or_beside_it(package: str, never: list[str]) -> None:
    assert loaded_by(f"import amp_console.{package}").isdisjoint(never)
