"""Running the console in a terminal, and ending it when the terminal or a signal says so."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from amp_console.console.environment import Environment, LaunchOptions

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp

DEVELOPER = "AMP_CONSOLE_DEVELOPER"
"""Set, this lets Textual's own debugging variables work."""
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Windows has no SIGHUP."""


def run(environment: Environment, options: LaunchOptions) -> int:
    """Show the console until the operator quits or a signal ends it; return the exit status."""
    if DEVELOPER not in os.environ:
        # Textual reads it when it is imported, and writes down every key press, pasted keys too.
        os.environ.pop("TEXTUAL_LOG", None)
    from amp_console.console.app import ConsoleApp
    from amp_console.console.terminal_text import terminal_encoding

    app = ConsoleApp(replace(environment, encoding=terminal_encoding()), options)
    try:
        asyncio.run(_show(app))
    finally:
        app.release_terminal()
    return app.return_code or 0


async def _show(app: "ConsoleApp") -> None:
    with end_signals(app.end):
        await app.run_async()


@contextmanager
def end_signals(end: Callable[[int], None]) -> Iterator[None]:
    """While inside, a signal to end calls `end` with its number, between two steps of the loop.

    A handler of Python's own may run in the middle of anything: an exception that it raises
    surfaces in whatever code runs just then. For the main thread, and inside a running loop.
    """
    loop = asyncio.get_running_loop()

    def handle(number: int, _: object) -> None:
        loop.call_soon_threadsafe(end, number)

    before = {number: signal.signal(number, handle) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
