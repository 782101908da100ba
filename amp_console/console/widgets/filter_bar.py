"""The filter over a grid: opened with /, and it stays until it is emptied."""

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.widgets import Input

from amp_console.console.widgets.grid import Grid


class FilterBar(Input):
    """A line to type a filter into; hidden while it is empty and not in use."""

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
        """The filter is another one now."""

        needle: str

    @dataclass
    class Left(Message):
        """The operator is done typing; the screen's first list has the focus."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002  # Textual's word
        super().__init__(placeholder="type to filter, Enter keeps it, Esc clears it", id=id)
        self.select_on_focus = False
        self.can_focus = False

    def open(self) -> None:
        """Show the line and type into it."""
        self.add_class("-open")
        self.can_focus = True
        self.focus()

    def put(self, needle: str) -> None:
        """Filter by this text; without one the line goes away."""
        self.value = needle
        self.set_class(bool(needle), "-open")

    def clear_shown(self) -> bool:
        """Show all rows again; False where none were filtered, or the bar is not on screen."""
        if not self.value or not self.region:
            return False
        self.put("")
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Filtered(event.value))

    def action_leave(self, clear: bool) -> None:
        """Give the keys back to the rows; an empty filter goes away."""
        if clear:
            self.value = ""
        self.set_class(bool(self.value), "-open")
        self.can_focus = False
        self.screen.query(Grid).first().focus()
        self.post_message(self.Left())


def clear_filters(node: DOMNode) -> bool:
    """Clear the filter on screen below a node; False where there is none."""
    return any(bar.clear_shown() for bar in node.query(FilterBar))
