"""The events that could not be read: by reason, with file and line of some."""

from collections.abc import Hashable

from textual.app import ComposeResult
from textual.containers import Container

from amp_console.console.dialogs.text_view import TextView
from amp_console.console.screens.base import screen_of
from amp_console.console.screens.errors.rows import EVENT_COLUMNS, NO_MATCH, invalid_row, where
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.ledger.sources import InvalidEvent, InvalidGroup, invalid_groups, invalid_page
from amp_console.text import plural

ALL_READ = """\
No event was invalid.

Broken lines, and events without a usable identifier, are listed here with
file and line."""
WHAT_NOW = """\
The event was skipped; nothing from it was kept. Fix it at its source, or say under \
Field mapping (m on the audiences) where its identifiers stand. Then import the file again: what \
was read from it before changes nothing."""
EVERYTHING = -1  # as a limit
SAMPLES = 10  # events that are shown of each reason


class InvalidEvents(Container):
    """Invalid events by reason, with a filter."""

    def __init__(self) -> None:
        super().__init__(id="invalid-panel", classes="panel")
        self._groups: dict[Hashable, InvalidGroup] = {}

    @property
    def _text(self) -> str:
        return self.query_one(FilterBar).value

    def compose(self) -> ComposeResult:
        self.border_title = "Invalid events"
        yield FilterBar()
        yield Grid(EVENT_COLUMNS, glyphs=screen_of(self).services.glyphs, id="events")

    async def load(self) -> None:
        """Read the groups."""
        text = self._text
        groups = await screen_of(self).session.read(invalid_groups, text, SAMPLES)
        if text != self._text:
            return  # another filter by now
        self._groups = {group.reason: group for group in groups}
        self.border_subtitle = plural(sum(group.count for group in groups), "event")
        grid = self.query_one(Grid)
        grid.empty = NO_MATCH if text else ALL_READ
        grid.show([invalid_row(group) for group in groups])

    async def all_shown(self) -> list[InvalidEvent]:
        """Read every listed event that matches the filter."""
        return await screen_of(self).session.read(invalid_page, 0, EVERYTHING, self._text)

    def open_filter(self) -> None:
        self.query_one(FilterBar).open()

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        """Filter by file and reason."""
        event.stop()
        screen_of(self).loader.start("events", self.load)

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        event.stop()
        self.query_one(Grid).focus()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Show a reason with some of its events, and what to do about it."""
        event.stop()
        group = self._groups[event.key]
        lines = [where(sample) for sample in group.samples]
        if group.count > len(lines):
            lines.append(f"and {group.count - len(lines):,} more; E exports them")
        text = "\n".join([group.reason, "", *lines, "", WHAT_NOW])
        self.app.push_screen(TextView(plural(group.count, "invalid event"), text))
