"""A text that changes often: it lays the screen out again only if its height changes."""

from collections.abc import Callable

from textual.content import Content
from textual.widgets import Static


class SteadyText(Static):
    """Text that lays the screen out only for a new height: layout takes longer than painting."""

    def __init__(
        self,
        text: Content | None = None,
        *,
        id: str,  # noqa: A002  # Textual's own word
    ) -> None:
        self._said = text or Content("")
        super().__init__(self._said, id=id)

    def say(self, text: Content) -> None:
        """Show a text."""
        if not text.is_same(self._said):
            width = self.content_size.width
            heights = {len(item.wrap(width)) for item in (text, self._said)} if width else set()
            self._said = text
            is_resized = len(heights) != 1 or self.content_size.height not in heights
            if is_resized:
                # Otherwise, Textual may keep the former height: it counts a second request for a
                # layout only once the first one has been handled.
                self.styles.merge_rules({})
            self.update(text, layout=is_resized)


class FittedText(SteadyText):
    """A steady text that is laid out for its width, and again whenever that changes."""

    def __init__(
        self,
        text: Content | None = None,
        *,
        id: str,  # noqa: A002  # Textual's own word
    ) -> None:
        """`text` is shown until there is something to lay out."""
        super().__init__(text, id=id)
        self._lay_out: Callable[[int], Content] | None = None

    @property
    def lines(self) -> int:
        """How many lines the text takes."""
        return len(self._said.wrap(self._width))

    def fit(self, lay_out: Callable[[int], Content]) -> None:
        """Show the text that `lay_out` returns for the current width in columns."""
        self._lay_out = lay_out
        self.say(lay_out(self._width))

    def on_resize(self) -> None:
        if self._lay_out is not None:
            self.say(self._lay_out(self._width))

    @property
    def _width(self) -> int:
        return self.content_size.width or self.screen.size.width
