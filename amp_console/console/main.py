"""Running the console in a terminal, and ending it when a signal arrives or the terminal closes."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from amp_console.console.environment import Environment, LaunchOptions

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp

DEVELOPER = "AMP_CONSOLE_DEVELOPER"
"""The environment variable that enables Textual's own debugging variables."""
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Windows has no SIGHUP."""
PAINTS_PER_SECOND = "120"
"""At most. Textual paints at the ticks of a timer, and after a late paint it skips one: with its
default of 60, a key right after another paint may be shown 33 ms later."""
COLLECT_AFTER = 2.0
"""Seconds after which garbage collection starts: start-up creates almost no garbage."""


def run(environment: Environment, options: LaunchOptions) -> int:
    """Show the console until the operator quits or a signal ends it; return the exit status."""
    prepare_textual(os.environ)
    gc.disable()  # it would take a tenth of the time until the first paint
    from amp_console.console.app import ConsoleApp
    from amp_console.console.terminal_text import terminal_encoding

    app = ConsoleApp(replace(environment, encoding=terminal_encoding()), options)
    try:
        asyncio.run(_show(app))
    finally:
        app.release_terminal()
    return app.return_code or 0


def prepare_textual(environ: MutableMapping[str, str]) -> None:
    """Set the environment variables that Textual reads on import."""
    environ.setdefault("TEXTUAL_FPS", PAINTS_PER_SECOND)
    if DEVELOPER not in environ:
        # With it, Textual logs every key press, including pasted API keys.
        environ.pop("TEXTUAL_LOG", None)


def collect_garbage() -> None:
    """Start collecting garbage, but only among objects created from now on.

    Existing objects, such as modules, style sheets and screens, stay as long as the console.
    Scanning them would delay a key by 50 ms now and then.
    """
    gc.freeze()
    gc.enable()


async def _show(app: "ConsoleApp") -> None:
    asyncio.get_running_loop().call_later(COLLECT_AFTER, collect_garbage)
    with end_signals(app.end):
        await app.run_async()


@contextmanager
def end_signals(end: Callable[[int], None]) -> Iterator[None]:
    """Call `end` with the number of a signal to end, between two steps of the event loop.

    A plain Python handler may run in the middle of anything: an exception in it surfaces in
    whatever code is running. Use this in the main thread, inside a running loop.
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
