"""Running the console in a terminal, and ending it when the terminal or a signal says so."""

import asyncio
import gc
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
COLLECT_AFTER = 2.0
"""Seconds after which garbage is collected: next to nothing of what a start makes is any."""


def run(environment: Environment, options: LaunchOptions) -> int:
    """Show the console until the operator quits or a signal ends it; return the exit status."""
    if DEVELOPER not in os.environ:
        # Textual reads it when it is imported, and writes down every key press, pasted keys too.
        os.environ.pop("TEXTUAL_LOG", None)
    gc.disable()  # it takes a tenth of the time until the first screen is painted
    from amp_console.console.app import ConsoleApp
    from amp_console.console.terminal_text import terminal_encoding

    app = ConsoleApp(replace(environment, encoding=terminal_encoding()), options)
    try:
        asyncio.run(_show(app))
    finally:
        app.release_terminal()
    return app.return_code or 0


def collect_garbage() -> None:
    """Collect garbage from now on, in what comes from now on.

    What is there by now stays as long as the console: modules, style sheets, screens. Looking
    through them once more would hold up a key for 50 ms now and then.
    """
    gc.freeze()
    gc.enable()


async def _show(app: "ConsoleApp") -> None:
    asyncio.get_running_loop().call_later(COLLECT_AFTER, collect_garbage)
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
