"""A button that shows, even without color, that Enter presses it."""

from collections.abc import Callable
from typing import Any

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Button


class EnterButton(Button):
    """A compact button with a sign in front of its label while Enter presses it.

    The columns of the sign are blank otherwise, so that no button moves.
    """

    def __init__(
        self, label: Content, sign: str, is_entered: Callable[[], bool], **more: Any
    ) -> None:
        """`is_entered` returns whether Enter presses it now; `more` as for Textual's `Button`."""
        super().__init__(label, compact=True, **more)
        self._sign = f"{sign} "
        self._is_entered = is_entered

    def render(self) -> RenderResult:
        """The sign, or blanks of the same width, and the label."""
        lead = self._sign if self._is_entered() else " " * len(self._sign)
        return Content(lead) + Content.from_text(self.label, markup=False)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return super().get_content_width(container, viewport) + len(self._sign)
