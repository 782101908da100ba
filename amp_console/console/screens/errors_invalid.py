"""The events that could not be read: page by page, with file and line."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Container

from amp_console.console.screens.errors_rows import EVENT_COLUMNS, NO_MATCH, event_row
from amp_console.console.screens.text_view import TextView
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid_rows import Paged, Row
from amp_console.ledger.sources import InvalidEvent, count_invalid, invalid_page
from amp_console.sync.words import plural

if TYPE_CHECKING:
    from amp_console.console.screens.place import Place

ALL_READ = """\
No event was invalid.

Broken lines, and events without a usable identifier, are listed here with
file and line."""
WHAT_NOW = """\
The event was passed over, and nothing of it was kept. Mend it where it comes from, or say under \
Field mapping (m on the audiences) where its identifiers stand. Then import the file again: what \
was read from it before changes nothing."""
EVERYTHING = -1  # as a limit


class InvalidEvents(Container):
    """The list, with its filter."""

    def __init__(self) -> None:
        super().__init__(id="invalid-panel", classes="panel")
        self._events: dict[Hashable, InvalidEvent] = {}
        self._shown: tuple[str, int] | None = None

    @property
    def _place(self) -> "Place":
        return cast("Place", self.screen)

    @property
    def _text(self) -> str:
        return self.query_one(FilterBar).value

    def compose(self) -> ComposeResult:
        """The filter and the list."""
        self.border_title = "Invalid events"
        yield FilterBar()
        yield Grid(EVENT_COLUMNS, look=self._place.console.look, id="events")

    async def look(self) -> None:
        """Read how many there are; pages are read when they are looked at."""
        text, session = self._text, self._place.session
        count = await session.read(count_invalid, text)
        if text != self._text or self._shown == (text, count):
            return  # another filter by now, or the pages that were fetched are still right
        self._shown = text, count
        self.border_subtitle = plural(count, "event")

        async def load(offset: int, limit: int) -> Sequence[Row]:
            events = await session.read(invalid_page, offset, limit, text)
            self._events.update(enumerate(events, offset))
            return [event_row(number, each) for number, each in enumerate(events, offset)]

        pages = Paged(count, load)
        await pages.fetch(0)
        grid = self.query_one(Grid)
        grid.empty = NO_MATCH if text else ALL_READ
        grid.show_pages(pages)

    async def all_shown(self) -> list[InvalidEvent]:
        """Every event the filter lets through."""
        return await self._place.session.read(invalid_page, 0, EVERYTHING, self._text)

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        """Look for another text, in file and reason."""
        event.stop()
        self._place.read_beside("events", self.look)

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:
        """Go back from the filter to the rows."""
        event.stop()
        self.query_one(Grid).focus()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Show one whole, and what to do about it."""
        event.stop()
        each = self._events[event.key]
        where = f"{each.source}\nline {each.line:,}" if each.line else each.source
        self.app.push_screen(TextView("Invalid event", f"{where}\n\n{each.reason}\n\n{WHAT_NOW}"))
