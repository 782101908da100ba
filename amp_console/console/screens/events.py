"""The event log: what was done with the ledger, by any process, and what the console has said."""

from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.console.dialogs.text_view import TextView
from amp_console.console.routes import OpenRun
from amp_console.console.screens.base import BaseScreen
from amp_console.console.texts import safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.words import at
from amp_console.sync.queries.history import history
from amp_console.text import plural

MAX_ENTRIES = 1_000  # entries of the ledger's history that are shown
COLUMNS = (
    Column("Time", 19),
    Column("", 2),
    Column("What happened", 30, flex=1),
)
EMPTY = """\
Nothing has happened yet.

Imports, runs, comparisons, live sessions and changed settings are listed here, also those of
other processes, and everything that the console tells you."""
TONES = {"information": "", "warning": "warn", "error": "bad"}


class LogLine(NamedTuple):
    """One line of the log. `run_id` is the run that it is about."""

    at: int
    severity: str
    text: str
    run_id: int | None = None


class EventsScreen(BaseScreen):
    """What was done and said, the newest first."""

    NAME = "Event log"
    HELP = """\
Everything that was done with this connection, the newest first: imports with their counts, runs,
comparisons, live sessions and changed settings, from this console and from other processes. What
the console told you since it was opened is among them.

Enter opens the run of a line, or shows a long line whole."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="copy"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[object, LogLine] = {}
        self._said = 0  # notifications that are shown

    def body(self) -> ComposeResult:
        with Container(id="log", classes="panel fill") as panel:
            panel.border_title = "Event log"
            yield FilterBar()
            yield Grid(COLUMNS, glyphs=self.services.glyphs, empty=EMPTY)

    def on_mount(self) -> None:
        """Show notifications posted while the log is open, too: nothing else reloads it."""
        self.set_interval(self.services.environment.tick_seconds, self._look_for_more)

    def _look_for_more(self) -> None:
        if self.services.notifications.count != self._said:
            self.reload()

    async def load(self) -> None:
        """Show what was done and said; the line above the footer would only repeat it."""
        services = self.services
        services.notifications.shown.clear()
        self._said = services.notifications.count
        lines = [
            LogLine(happening.at, happening.severity, happening.text)
            for happening in services.notifications.entries
        ]
        if services.session is not None:
            for done in await services.session.read(
                history, MAX_ENTRIES, await services.session.dead_runs()
            ):
                severity = "warning" if done.is_bad else "information"
                lines.append(LogLine(done.at, severity, done.text, done.run_id))
        lines.sort(key=lambda item: item.at)
        signs = {"information": services.glyphs.dot, "warning": "!", "error": services.glyphs.bad}
        self._shown = dict(enumerate(lines))
        rows = [
            Row(
                number,
                (
                    Cell(at(item.at), "dim"),
                    Cell(signs[item.severity], TONES[item.severity]),
                    Cell(item.text, TONES[item.severity]),
                ),
            )
            for number, item in self._shown.items()
        ]
        self.query_one(Grid).show(rows[::-1])
        count = plural(len(lines), "entry", "entries") if lines else ""
        self.query_one("#log").border_subtitle = safe_text(count)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open the run of a line, or show it whole."""
        line = self._shown[event.key]
        if line.run_id is not None:
            self.services.navigate(OpenRun(line.run_id))
            return
        title = f"Event log {self.services.glyphs.dot} {at(line.at)}"
        self.app.push_screen(TextView(title, line.text))
