"""What comes too late for a screen: work that ends, or a key, when it was left already.

Textual takes a closed screen's widgets away first, and ends its workers and its bindings last.
Between the two, work that comes back from the ledger, the disk or Amplitude finds nothing to show
its result in, and a key finds nothing to work on; Textual would end the whole console for it.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from textual.screen import Screen


class NoSession(Exception):
    """No connection is open: the console quits, and what was begun matters no more."""


def is_open(screen: Screen[Any]) -> bool:
    """Whether a screen is open, also behind another one or another connection's."""
    app = screen.app
    is_in_a_stack = any(screen in stack for stack in app._screen_stacks.values())
    return app.is_running and bool(screen.is_attached) and is_in_a_stack


def is_seen(screen: Screen[Any]) -> bool:
    """Whether a screen is in front, or behind dialogs alone."""
    for above in reversed(screen.app.screen_stack):
        if above is screen:
            return True
        if not above.is_modal:
            return False
    return False


def unless_left(
    screen: Screen[Any], work: Any, failed: Callable[[Exception], None]
) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Return a worker's work that fails in silence once its screen was left.

    Before that `failed` is called with the failure: Textual would end the whole console for a
    ledger that can't be read just now.
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
    """Return what `run_worker` takes to make this call once the worker begins.

    A coroutine that is made before complains when the application ends first. Textual takes the
    call, which its types leave out.
    """
    return partial(work, *args)
