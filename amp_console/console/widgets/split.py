"""A list and the detail of the row under its cursor: side by side, stacked, or one at a time."""

from dataclasses import dataclass
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from amp_console.console.widgets.grid import Grid

BESIDE, BELOW = 140, 110
"""From how many columns on the detail may be beside its list, and below it."""
LEAST_BESIDE = 56
"""The minimum width of a detail beside its list, in columns."""
BELOW_LINES = 28
"""From how many lines on both fit below each other, the detail with at most half of them."""
LIST_FRAME = 4
"""Lines of a list besides its rows: borders, header, filter."""
SCREEN_FRAME = 3
"""Lines of a screen above a split and below it."""
SIDES = 4
"""Columns of a list besides its grid: borders and padding."""
PASSING = "passing"
"""The class of a child of the screen that is shown for a while, such as a notification."""


class Split(Container):
    """A list and its detail.

    From `BESIDE` columns on, the detail is beside the list, unless the list would lose a column:
    the list gets three fifths of the width, or more if its columns need it. A screen may set a
    smaller width, which grows up to three fifths if the cells need it to be shown in full.
    Otherwise, from `BELOW` columns on, the detail is below the list, with half of the lines, or all
    that the list's rows leave. At any width, it is below a list that leaves enough lines. With less
    room, it replaces the list once it is entered. Its content does not matter: the list stays where
    it is while its cursor moves, and while its rows get narrower. Nor do the lines matter that a
    notification takes for a while: the detail gets shorter. `-all` is set while one of them has all
    the room. `enter` moves the focus to the detail and `leave` moves it back; neither changes
    anything else about the list.
    """

    @dataclass
    class Widened(Message):
        """There is now room for the detail, which was not shown before."""

        split: "Split"

    DEFAULT_CSS = """
    Split { layout: vertical; height: 1fr; }
    Split > .split--list { width: 1fr; height: 1fr; }
    Split > .split--detail { width: 1fr; height: 1fr; }
    Split.-beside { layout: horizontal; }
    Split.-beside > .split--list { width: 3fr; }
    Split.-beside > .split--detail { width: 2fr; }
    """

    def __init__(
        self,
        main: Widget,
        detail: Widget,
        *,
        stacks: bool = False,
        detail_lines: int = 8,
        id: str | None = None,  # noqa: A002  # Textual's word
    ) -> None:
        """With `stacks`, the detail is always below the list, however little room there is.

        `detail_lines` is how many lines the detail needs to be shown below a short list.
        """
        super().__init__(
            main.add_class("split--list", update=False),  # there are no styles yet
            detail.add_class("split--detail", update=False),
            id=id,
            classes="-all",
        )
        self._main = main
        self._detail = detail
        self._stacks = stacks
        self._detail_lines = detail_lines
        self._is_beside = self._is_below = False
        self._rows: int | None = None
        self._list_lines: int | None = None
        self._list_columns: int | None = None  # the minimum, beside the detail
        self._wanted = 0  # the most columns that the list has needed at this size
        self._whole = 0  # and those that show all of its cells in full
        self._has_detail = False
        self._came_from: Widget | None = None

    def compose(self) -> ComposeResult:
        # Each change of a class styles everything inside again, so the likely classes are set
        # first.
        width, height = self.app.size
        if width >= BELOW and height - SCREEN_FRAME >= BELOW_LINES:
            self.add_class("-below", update=False)  # no style of the split depends on this
        yield from super().compose()

    @property
    def is_beside(self) -> bool:
        """Whether the detail is shown beside the list."""
        return self._is_beside

    @property
    def is_alone(self) -> bool:
        """Whether there is room only for the list or the detail."""
        return not (self._stacks or self._is_beside or self._is_below)

    @property
    def hides_detail(self) -> bool:
        """Whether there is a detail that is only shown once it is entered."""
        return self._has_detail and self.is_alone and not self.is_entered

    @property
    def is_entered(self) -> bool:
        """Whether the detail has the focus."""
        focused = self.screen.focused
        return focused is not None and self._detail in focused.ancestors_with_self

    @property
    def has_detail(self) -> bool:
        """Whether there is a detail to show; without one, the list has all the room.

        It is False at first, so that no detail is shown before its list was read.
        """
        return self._has_detail

    @has_detail.setter
    def has_detail(self, has_detail: bool) -> None:
        if has_detail != self._has_detail:
            self._has_detail = has_detail
            if not has_detail:
                self.leave()
            self._fit(self.size)

    def fit_rows(self, rows: int | None) -> None:
        """Give a list of so many rows only the lines it needs; None gives it its usual share."""
        if rows != self._rows:
            self._rows = rows
            if self.is_mounted:
                self._fit(self.size)

    def enter(self) -> None:
        """Move the focus to the detail, and show it if it was not shown."""
        if not self._has_detail or self.is_entered:
            return
        self._came_from = self.screen.focused
        self._detail.display = True
        target = _first_focusable(self._detail)
        if target is not None:
            self.screen.set_focus(target)
        self._arrange()

    def leave(self) -> bool:
        """Move the focus back to the list; False if it was not in the detail."""
        if not self.is_entered:
            return False
        self._main.display = True
        back = self._came_from
        if back is None or not back.focusable or not _is_shown(back):
            back = _first_focusable(self._main)
        self.screen.set_focus(back)
        self._arrange()
        return True

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the detail of another row from its top."""
        if self._main in event.grid.ancestors_with_self:
            for pane in (self._detail, *self._detail.query(VerticalScroll)):
                pane.scroll_home(animate=False)

    def on_grid_measured(self, event: Grid.Measured) -> None:
        """Adjust the widths to new rows of the list."""
        if self._main in event.grid.ancestors_with_self:
            self._fit(self.size)

    def on_resize(self, event: events.Resize) -> None:
        self._wanted = self._whole = 0
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        """Arrange both for this size."""
        width, height = size.width, size.height + self._lines_taken
        grids = self._main.query(Grid) if self.is_mounted else ()
        self._wanted = max(self._wanted, *(grid.fitting.wanted + SIDES for grid in grids), 0)
        is_beside = width >= BESIDE and self._wanted <= width - LEAST_BESIDE
        has_halves = width >= BELOW and height >= BELOW_LINES
        lines = height if self._rows is None else self._rows + LIST_FRAME
        is_below = not is_beside and (has_halves or height - lines >= self._detail_lines)
        self._is_beside, self._is_below = is_beside, is_below
        self._whole = max(self._whole, *(grid.fitting.whole + SIDES for grid in grids), 0)
        columns = max(self._wanted, min(self._whole, width * 3 // 5))
        self._list_columns = columns if is_beside else None
        self._list_lines = None
        if is_below and self._rows is not None:
            self._list_lines = min(lines, height // 2) if has_halves else lines
        self._arrange()

    @property
    def _lines_taken(self) -> int:
        """The lines that passing widgets take from the split."""
        passing = (child for child in self.screen.children if child.has_class(PASSING))
        return sum(child.outer_size.height for child in passing if child.display)

    def _arrange(self) -> None:
        is_entered, was_shown = self.is_entered, self._detail.display
        self._detail.display = self._has_detail and (is_entered or not self.is_alone)
        if self._detail.display and not was_shown:
            self.post_message(self.Widened(self))
        if self._detail.display is not was_shown:  # Tab moves only to what is shown
            self.call_after_refresh(self.screen.refresh_bindings)
        self._main.display = not (is_entered and self.is_alone)
        set_size(self._main, "height", self._list_lines if self._detail.display else None)
        set_size(self._main, "min_width", self._list_columns if self._detail.display else None)
        # All at once: each change of a class styles everything inside again.
        self.update_classes(
            {
                "-beside": self._is_beside,
                "-below": self._is_below,
                "-all": not self._detail.display,
            }
        )


def set_size(widget: Widget, rule: Literal["height", "min_width"], cells: int | None) -> None:
    """Set a size of a widget in cells; None leaves it to the style sheet.

    For None, Textual would lay out the whole screen, even if the widget has no size of its own.
    """
    if cells is not None or widget.styles.inline.has_rule(rule):
        setattr(widget.styles, rule, cells)


def _first_focusable(widget: Widget) -> Widget | None:
    """The first widget that can have the focus, and is visible."""
    candidates = (widget, *widget.query("*"))
    return next((found for found in candidates if found.focusable and _is_shown(found)), None)


def _is_shown(widget: Widget) -> bool:
    return all(node.display for node in widget.ancestors_with_self)
