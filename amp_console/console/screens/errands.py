"""What a screen begins and may be left during: it ends in silence when nobody is there any more."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from textual.dom import DOMNode
from textual.worker import Worker


class Errands(DOMNode):
    """For screens: work of theirs that fails after they were left is of no concern.

    Textual takes a screen's widgets away first and cancels its workers then; a worker that goes
    on in between finds nothing where it wants to show something, and would end the console.
    """

    @property
    def is_here(self) -> bool:
        """Whether the screen is open: in front, or behind others."""
        screens: Sequence[object] = self.app.screen_stack
        return self.is_attached and self in screens

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """Run a worker as Textual does; see the class."""
        return super().run_worker(partial(self._until_left, work), *args, **kwargs)

    async def _until_left(self, work: Any) -> Any:
        try:
            return await (work() if callable(work) else work)
        except Exception:
            if self.is_here:
                raise
            return None
