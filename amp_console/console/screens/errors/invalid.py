"""The events that could not be read: by reason, with some examples by file and line."""

from collections.abc import Hashable

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widgets import Static

from amp_console.console.screens.base import screen_of
from amp_console.console.screens.errors.rows import EVENT_COLUMNS, invalid_row, where
from amp_console.console.texts import BAD, MUTED, STRONG, lines, safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, no_match
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.widgets.split import Split
from amp_console.ledger.db import EVERY
from amp_console.ledger.sources import InvalidEvent, InvalidGroup, invalid_groups, invalid_page
from amp_console.text import plural

ALL_READ = """\
No event was invalid.

Broken lines, and events without a usable identifier, are listed here with
file and line."""
WHAT_NOW = """\
Fix the events at their source, or set the fields of the identifiers (press m). Then import the \
whole file again: reading an event twice changes nothing."""
NOT_JSON = "not JSON"
BROKEN_TEXT = """\
Correct the text at its source, then import the whole file again: reading an event twice changes \
nothing."""
SAMPLES = 10  # events shown for each reason


class InvalidEvents(Container):
    """Invalid events by reason, with a filter; beside or below, those of one reason."""

    def __init__(self) -> None:
        super().__init__(id="invalid")
        self._groups: dict[Hashable, InvalidGroup] = {}

    @property
    def _text(self) -> str:
        return self.query_one(FilterBar).value

    def compose(self) -> ComposeResult:
        grid = Grid(
            EVENT_COLUMNS, glyphs=screen_of(self).services.glyphs, opens="Events", id="events"
        )
        panel = Container(FilterBar(), grid, id="invalid-panel", classes="panel")
        panel.border_title = "Invalid events"
        detail = ScrollPane(Static(id="reason-text"), id="reason", classes="panel")
        yield Split(panel, detail)

    @property
    def place(self) -> tuple[str, int]:
        """The source and the line of the first event with the reason under the cursor."""
        group = self._groups.get(self.query_one(Grid).key)
        if group is None or not group.samples:
            return "", 0
        return group.samples[0].source, group.samples[0].line

    @property
    def is_broken_text(self) -> bool:
        """Whether the events with the reason under the cursor are not even JSON."""
        return str(self.query_one(Grid).key).startswith(NOT_JSON)

    @property
    def is_entered(self) -> bool:
        """Whether the focus is in a reason's text, not in the list."""
        return self.query_one(Split).is_entered

    async def load(self) -> None:
        """Read the groups."""
        text = self._text
        groups = await screen_of(self).session.read(invalid_groups, text, SAMPLES)
        if text != self._text:
            return  # the filter has changed
        self._groups = {group.reason: group for group in groups}
        total = sum(group.count for group in groups)
        self.query_one("#invalid-panel").border_subtitle = plural(total, "event")
        grid = self.query_one(Grid)
        grid.empty = no_match("event", text) if text else ALL_READ
        grid.show([invalid_row(group) for group in groups])
        self._show_reason()

    def _show_reason(self) -> None:
        """Show the reason under the cursor, some of its events, and what to do about it."""
        group = self._groups.get(self.query_one(Grid).key)
        split = self.query_one(Split)
        split.fit_rows(len(self._groups))
        split.has_detail = group is not None
        if group is not None:
            self.query_one("#reason").border_title = plural(group.count, "invalid event")
            self.query_one("#reason-text", Static).update(_reason_text(group))

    async def all_shown(self) -> list[InvalidEvent]:
        """Read every listed event that matches the filter."""
        return await screen_of(self).session.read(invalid_page, 0, EVERY, self._text)

    def open_filter(self) -> None:
        self.query_one(FilterBar).open()

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        """Filter by file and reason."""
        event.stop()
        screen_of(self).loader.start("events", self.load)

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        event.stop()
        self.query_one(Grid).focus()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        self._show_reason()
        screen_of(self).refresh_bindings()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go to the text of the reason."""
        event.stop()
        self.query_one(Split).enter()


def _reason_text(group: InvalidGroup) -> Content:
    rows = [safe_text((group.reason, BAD)), safe_text("")]
    rows += [safe_text(where(sample)) for sample in group.samples]
    if group.count > len(group.samples):
        rest = group.count - len(group.samples)
        rows.append(safe_text((f"and {rest:,} more; E exports them", MUTED)))
    todo = BROKEN_TEXT if group.reason.startswith(NOT_JSON) else WHAT_NOW
    rows += [safe_text(""), safe_text(("What to do", STRONG)), safe_text(todo, max_length=900)]
    return lines(*rows)
