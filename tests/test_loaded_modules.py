"""What importing each package loads: no package of a higher layer, and nothing slow too early."""

import subprocess
import sys

import pytest

HEAVY = ("textual", "rich", "httpx", "msgspec", "keyring", "uvicorn", "starlette", "asyncio")


def loaded_by(statement: str) -> set[str]:
    """The modules that are loaded after running a statement in a new interpreter."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


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
