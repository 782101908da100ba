"""A line of short texts, any of which can be clicked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from textual import events
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget


class BarLink(NamedTuple):
    """A text that can be clicked; `name` identifies it."""

    name: str
    text: Content


class LinkBar(Widget):
    """Links beside each other, some at the left end and some at the right one.

    It is a single widget: a widget for each link would cost more than the rest of a small screen.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"link-bar--hover"}
    DEFAULT_CSS = """
    LinkBar { height: 1; width: 100%; background: $surface; color: $foreground; }
    LinkBar > .link-bar--hover { background: $primary 20%; }
    """
    ALLOW_SELECT = False
    GAP: ClassVar[int] = 0
    """Columns between two links."""

    @dataclass
    class Clicked(Message):
        """A link was clicked."""

        bar: "LinkBar"
        name: str

        @property
        def control(self) -> "LinkBar":
            return self.bar

    def __init__(self) -> None:
        super().__init__()
        self._left: tuple[BarLink, ...] = ()
        self._right: tuple[BarLink, ...] = ()
        self._hovered: str | None = None

    def show_links(self, left: Sequence[BarLink], right: Sequence[BarLink] = ()) -> None:
        """Show these links; the caller chooses as many as fit, because others are cut off."""
        before = self._left, self._right
        self._left, self._right = tuple(left), tuple(right)
        if not all(map(_is_same, before, (self._left, self._right))):
            self.refresh()

    def links(self) -> Iterator[tuple[BarLink, Region]]:
        """The links that are shown, with their regions on the screen."""
        x, y = self.content_region.offset
        for link, start in self._placed():
            yield link, Region(x + start, y, link.text.cell_length, 1)

    def _placed(self) -> Iterator[tuple[BarLink, int]]:
        """Each link with the column it begins in."""
        start = 0
        for link in self._left:
            yield link, start
            start += link.text.cell_length + self.GAP
        start = max(start, self.content_size.width - extent(self._right, self.GAP))
        for link in self._right:
            yield link, start
            start += link.text.cell_length + self.GAP

    def render(self) -> Content:
        """Draw the links; the one under the mouse has a different background."""
        line = Content("")
        for link, start in self._placed():
            text = link.text
            if link.name == self._hovered:
                text = text.stylize(self.get_visual_style("link-bar--hover", partial=True))
            line += Content(" " * (start - line.cell_length)) + text
        return line

    def on_click(self, event: events.Click) -> None:
        name = self._name_at(event)
        if name is not None:
            event.stop()
            self.post_message(self.Clicked(self, name))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover(self._name_at(event))

    def on_leave(self) -> None:
        self._hover(None)

    def _hover(self, name: str | None) -> None:
        if name != self._hovered:
            self._hovered = name
            self.refresh()

    def _name_at(self, event: events.MouseEvent) -> str | None:
        offset = event.get_content_offset(self)
        if offset is None:
            return None
        for link, start in self._placed():
            if start <= offset.x < start + link.text.cell_length:
                return link.name
        return None


def _is_same(some: Sequence[BarLink], other: Sequence[BarLink]) -> bool:
    """Whether links are painted alike: `Content` ignores styles when compared."""
    pairs = zip(some, other, strict=False)
    return len(some) == len(other) and all(
        one.name == two.name and one.text.is_same(two.text) for one, two in pairs
    )


def extent(links: Sequence[BarLink], gap: int) -> int:
    """Return how many columns the links take side by side."""
    return sum(link.text.cell_length for link in links) + gap * max(0, len(links) - 1)
