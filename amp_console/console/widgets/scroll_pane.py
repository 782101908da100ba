"""Panes with a text that scrolls with the keys of lists."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll


class ScrollPane(VerticalScroll, inherit_bindings=False):
    """Scrolls with the keys that move a list's cursor, including remapped ones."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_lines(1)", show=False, id="grid.down"),
        Binding("up,k", "scroll_lines(-1)", show=False, id="grid.up"),
        Binding("pagedown,ctrl+d,space", "scroll_pages(1)", show=False, id="grid.page_down"),
        Binding("pageup,ctrl+u", "scroll_pages(-1)", show=False, id="grid.page_up"),
        Binding("home,g", "scroll_to_first", show=False, id="grid.first"),
        Binding("end,G", "scroll_to_last", show=False, id="grid.last"),
    ]

    def action_scroll_lines(self, count: int) -> None:
        """Scroll by `count` lines."""
        self.scroll_relative(y=count, animate=False, immediate=True)

    def action_scroll_pages(self, count: int) -> None:
        """Scroll by `count` pages."""
        self.action_scroll_lines(count * max(1, self.container_size.height - 1))

    def action_scroll_to_first(self) -> None:
        """Show the first line."""
        self.scroll_home(animate=False, immediate=True)

    def action_scroll_to_last(self) -> None:
        """Show the last line."""
        self.scroll_end(animate=False, immediate=True)


class ScrollBox(ScrollPane):
    """A pane in a border, which says whether there is more text below, and that Esc closes it."""

    def __init__(self, arrow: str, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(id=id, classes=classes)
        self._arrow = arrow

    def on_mount(self) -> None:
        """Show whether there is more below, whenever that may have changed."""
        for name in ("scroll_y", "virtual_size", "size"):
            self.watch(self, name, self._show_more_later)

    def _show_more_later(self) -> None:
        # The height is not known before the layout.
        self.call_after_refresh(self._show_more)

    def _show_more(self) -> None:
        is_more = self.scroll_offset.y < self.max_scroll_y
        self.border_subtitle = f"{f'more below: {self._arrow} ' if is_more else ''}Esc closes"
