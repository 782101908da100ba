"""What comes too late for a screen: work that ends, or a key, when it was left already.

Textual takes a closed screen's widgets away first, and ends its workers and its bindings last.
Between the two, work that comes back from the ledger, the disk or Amplitude finds nothing to show
its result in, and a key finds nothing to work on; Textual would end the whole console for it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from textual.app import App
from textual.worker import Worker


class LateEventGuard:
    """Stands before `Screen`: what comes too late does nothing, and ends in silence.

    It is no `DOMNode` itself: Textual takes component classes and style sheets from the first
    base that is one.
    """

    @property
    def is_here(self) -> bool:
        """Whether the screen is open, in front or behind others, and the console goes on."""
        app: App[object] = self.app  # type: ignore[attr-defined]
        screens: Sequence[object] = app.screen_stack
        return app.is_running and bool(self.is_attached) and self in screens  # type: ignore[attr-defined]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key works on a screen that was left."""
        if not self.is_here:
            return False
        return super().check_action(action, parameters)  # type: ignore[misc,no-any-return]

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """Run a worker as Textual does; one that fails after the screen was left is let go."""
        until_left = partial(self._until_left, work)
        return super().run_worker(until_left, *args, **kwargs)  # type: ignore[misc,no-any-return]

    async def _until_left(self, work: Any) -> Any:
        try:
            return await (work() if callable(work) else work)
        except Exception:
            if self.is_here:
                raise
            return None
