"""A text that changes often: the screen is laid out anew only where its height changes."""

from textual.content import Content
from textual.widgets import Static


class SteadyText(Static):
    """Text that lays the screen out only for another height: that takes longer than painting."""

    def __init__(self, *, id: str) -> None:  # noqa: A002  # Textual's own word
        super().__init__(id=id)
        self._said = Content("")

    def say(self, text: Content) -> None:
        """Show a text."""
        if not text.is_same(self._said):
            width = self.content_size.width
            heights = {len(item.wrap(width)) for item in (text, self._said)} if width else set()
            self._said = text
            self.update(text, layout=len(heights) != 1 or self.content_size.height not in heights)
