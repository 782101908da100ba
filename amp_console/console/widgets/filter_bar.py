"""The filter above a grid: / opens it, and it stays until it is empty."""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.widgets import Input

from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid.widget import keep_cursor


class FilterBar(Input):
    """An input for a filter; hidden while it is empty and unfocused."""

    DEFAULT_CSS = """
    FilterBar {
        display: none;
        height: 1;
        border: none;
        padding: 0 1;
        background: $boost;
        &:focus { border: none; background: $boost; }
        &.-open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Clear the filter", key_display="Esc"),
        Binding("enter,down", "leave(False)", "Keep the filter", key_display="Enter"),
    ]

    @dataclass
    class Filtered(Message):
        """The filter has changed."""

        needle: str

    @dataclass
    class Left(Message):
        """The operator has finished typing; the screen's first list has the focus."""

    def __init__(self) -> None:
        super().__init__(placeholder="type to filter, Enter keeps it, Esc clears it")
        self.select_on_focus = False
        self.can_focus = False

    def open(self) -> None:
        """Show the line and focus it."""
        self.add_class("-open")
        self.can_focus = True
        self.focus()

    def put(self, needle: str) -> None:
        """Filter by this text; hide the line if it is empty."""
        self.value = needle
        self.set_class(bool(needle), "-open")

    def clear_shown(self) -> bool:
        """Show all rows again; False if none were filtered, or the bar is not on screen."""
        if not self.value or not self.region:
            return False
        self.put("")
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Filtered(event.value))

    def action_leave(self, clear: bool) -> None:
        """Return the focus to the rows; hide an empty filter."""
        if clear:
            self.value = ""
        self.set_class(bool(self.value), "-open")
        self.can_focus = False
        grid = self.screen.query(Grid).first()
        if not clear:  # the row under the cursor is the one that was looked for
            keep_cursor(grid)
        grid.focus()
        self.post_message(self.Left())


def clear_filters(node: DOMNode) -> bool:
    """Clear the filter on screen below a node; False if there is none."""
    return any(bar.clear_shown() for bar in node.query(FilterBar))
