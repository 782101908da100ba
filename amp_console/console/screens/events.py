"""The event log: everything the console has said, also when its toast is long gone."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.console.screens.place import Place
from amp_console.console.screens.text_view import TextView
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid_layout import Column
from amp_console.console.widgets.grid_rows import Cell, Row
from amp_console.console.words import at, clock

COLUMNS = (Column("Time", 8), Column("", 2), Column("What happened", 30, flex=1))
EMPTY = """\
Nothing has happened yet.

Whatever the console tells you is kept here until you quit."""
TONES = {"information": "", "warning": "warn", "error": "bad"}


class EventsPlace(Place):
    """What was said, the newest first."""

    NAME = "Event log"
    HELP = """\
Everything that was said since the console was opened, the newest first: what was done, what was
refused and why. Enter shows a long one whole."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Show whole", id="events.open"),
        Binding("y", "copy", "Copy", id="copy"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
    ]

    def body(self) -> ComposeResult:
        """The list."""
        with Container(classes="panel fill") as panel:
            panel.border_title = "Event log"
            yield FilterBar()
            yield Grid(COLUMNS, look=self.console.look, empty=EMPTY)

    async def look(self) -> None:
        """Show what was said so far."""
        look = self.console.look
        signs = {"information": look.dot, "warning": "!", "error": look.bad}
        rows = [
            Row(
                number,
                (
                    Cell(clock(each.at), "dim"),
                    Cell(signs[each.severity], TONES[each.severity]),
                    Cell(each.text, TONES[each.severity]),
                ),
            )
            for number, each in enumerate(self.console.happenings)
        ]
        self.query_one(Grid).show(rows[::-1])

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Show one whole."""
        assert isinstance(event.key, int)
        each = self.console.happenings[event.key]
        self.app.push_screen(TextView(f"Event log · {at(each.at)}", each.text))

    def action_open(self) -> None:
        """Show the one under the cursor whole."""
        self.query_one(Grid).action_open()
