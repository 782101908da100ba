"""What a console is given: where settings and keys are, what time it is, what to open first."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from amp_console.connections import ConnectionBook, Folders, Vault
from amp_console.console.signals import told_to_end
from amp_console.sync.timing import Timing

if TYPE_CHECKING:
    from textual.events import Key

    from amp_console.console.app import ConsoleApp

DEVELOPER = "AMP_CONSOLE_DEVELOPER"
"""Set, this lets Textual's own debugging variables work."""


@dataclass(frozen=True, slots=True)
class DemoTrouble:
    """One kind of trouble a demo can make. `name` is for code, `label` for the screen."""

    name: str
    label: str
    is_on: bool


class DemoSession(Protocol):
    """What a demo adds to the console: people coming and going, and trouble on request."""

    def open(self) -> None:
        """Fill the ledger and let people come and go, in a thread of its own; returns at once."""

    def is_ready(self) -> bool:
        """Whether the ledger is filled. Raises what kept it from being filled."""

    def progress(self) -> float:
        """How much of the ledger is filled, from 0.0 to 1.0."""

    def troubles(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble there are, and which of them are on."""

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off; return a sentence that says what happens now."""


class Guide(Protocol):
    """Somebody who leads through the console by pressing its keys."""

    async def lead(self, console: "ConsoleApp") -> None:
        """Lead through a console that has just been opened; returns when it is over."""

    def takes(self, key: "Key") -> bool:
        """Take a key before the console gets it, if it is meant for the guide; say whether."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What to open first, and how it is to look. None: what a newcomer needs."""

    connection: str | None = None
    audience: str | None = None
    run_id: int | None = None
    read_only: bool = False
    ascii_only: bool = False
    theme: str | None = None
    guide: Guide | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """The places a console works in. `environ` is asked for keys before the keyring is.

    A keyring that takes longer than `say_waiting_after` seconds is waited for in a dialog. A live
    session delivers `flush_seconds` after the first change, and `live_folder` is offered to follow.
    With `read_only`, settings and keys stay as they are. `encoding` is the terminal's.
    """

    folders: Folders
    vault: Vault
    environ: Mapping[str, str]
    timing: Timing = field(default_factory=Timing)
    stage: DemoSession | None = None
    say_waiting_after: float = 2.0
    flush_seconds: float = 5.0
    read_only: bool = False
    live_folder: str = ""
    encoding: str = "utf-8"

    @property
    def book(self) -> ConnectionBook:
        """The book of connections."""
        return ConnectionBook(self.folders.config_file, read_only=self.read_only)


def run(premises: Environment, opening: LaunchOptions) -> int:
    """Show the console until the operator quits, or it is told to end; return the exit status."""
    if DEVELOPER not in os.environ:
        os.environ.pop("TEXTUAL_LOG", None)  # it writes down every key press, pasted keys too
    from amp_console.console.app import ConsoleApp
    from amp_console.console.terminal_text import terminal_encoding

    app = ConsoleApp(replace(premises, encoding=terminal_encoding()), opening)
    try:
        asyncio.run(_show(app))
    finally:
        app.let_go_of_terminal()
    return app.return_code or 0


async def _show(app: "ConsoleApp") -> None:
    with told_to_end(app.end):
        await app.run_async()
