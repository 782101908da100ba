"""Work that ends, and keys that come, after a screen was left.

Textual removes a closed screen's widgets first, and ends its workers and bindings last. In between,
work that returns from the ledger, the disk or Amplitude finds no widget to show its result, and a
key finds none to act on; Textual would end the whole console because of that.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual.screen import Screen


class NoSession(Exception):
    """No connection is open: the console is quitting, and unfinished work no longer matters."""


def is_open(screen: Screen[Any]) -> bool:
    """Whether a screen is open, even behind another one or another connection."""
    app = screen.app
    is_in_a_stack = any(screen in stack for stack in app._screen_stacks.values())
    return app.is_running and bool(screen.is_attached) and is_in_a_stack


def is_seen(screen: Screen[Any]) -> bool:
    """Whether a screen is in front, or only behind dialogs."""
    for above in reversed(screen.app.screen_stack):
        if above is screen:
            return True
        if not above.is_modal:
            return False
    return False


def unless_left(
    screen: Screen[Any], work: Any, failed: Callable[[Exception], None]
) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Return work for a worker that fails silently once its screen was left.

    Until then, `failed` is called with the failure: Textual would end the whole console because of
    a ledger that can't be read at the moment.
    """

    async def run() -> Any:
        try:
            return await (work() if callable(work) else work)
        except Exception as error:
            if is_open(screen):
                failed(error)
            return None

    return run


def deferred(work: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:
    """Return a function for `run_worker` that makes this call when the worker starts.

    A coroutine created earlier warns if the application ends before it runs. Textual accepts a
    function, although its types do not say so.
    """
    return partial(work, *args)
