"""A box to tick."""

from textual.content import Content
from textual.widgets import Checkbox

from amp_console.console.texts import safe_text


class Tick(Checkbox):
    """A box to tick that shows its state by more than its colour."""

    def render(self) -> Content:
        return safe_text(f"[{'x' if self.value else ' '}] ") + self._label
