"""The event log: everything the console has said, also when its toast is long gone."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.console.saying import Happening
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
TICK = 1.0  # seconds
TONES = {"information": "", "warning": "warn", "error": "bad"}


class EventsPlace(Place):
    """What was said, the newest first."""

    NAME = "Event log"
    HELP = """\
Everything that was said since the console was opened, the newest first: what was done, what was
refused and why. Enter shows a long one whole."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="copy"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown: list[Happening] = []

    def body(self) -> ComposeResult:
        """The list."""
        with Container(classes="panel fill") as panel:
            panel.border_title = "Event log"
            yield FilterBar()
            yield Grid(COLUMNS, look=self.console.look, empty=EMPTY)

    def on_mount(self) -> None:
        """Look for what is said while the log is open, too: nothing else tells of it."""
        self.set_interval(TICK, self._look_for_more)

    def _look_for_more(self) -> None:
        happenings = self.console.happenings
        if happenings and happenings[-1] not in self._shown[-1:]:
            self.look_again()

    async def look(self) -> None:
        """Show what was said so far; toasts would only hide it."""
        self.app.clear_notifications()
        self._shown = list(self.console.happenings)
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
            for number, each in enumerate(self._shown)
        ]
        self.query_one(Grid).show(rows[::-1])

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Show one whole."""
        assert isinstance(event.key, int)
        each = self._shown[event.key]
        title = f"Event log {self.console.look.dot} {at(each.at)}"
        self.app.push_screen(TextView(title, each.text))
