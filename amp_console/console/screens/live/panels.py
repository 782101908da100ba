"""The panels of the live screen: the audiences, and the sources beside the last changes."""

from collections.abc import Hashable, Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from amp_console.console.context import services_of
from amp_console.console.jobs.live import LiveJob
from amp_console.console.screens.live import rows
from amp_console.console.texts import safe_text
from amp_console.console.widgets.grid import Column, Grid, Row
from amp_console.console.widgets.steady_text import SteadyText
from amp_console.sync.live.progress import LiveAudience
from amp_console.text import plural

NO_CHANGE = "No change has arrived yet."


class LiveAudiences(Vertical):
    """The audiences of the session, and more about the one under the cursor."""

    def __init__(self) -> None:
        super().__init__(id="audiences", classes="panel")

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        yield Grid(rows.AUDIENCES, glyphs=glyphs, empty=NO_CHANGE, id="list")
        yield SteadyText(id="closer")

    @property
    def grid(self) -> Grid:
        """The list."""
        return self.query_one(Grid)

    @property
    def key(self) -> Hashable | None:
        """The row under the cursor; None also before the list is composed."""
        grids = self.query(Grid)
        return grids.first().key if grids else None

    def show_rows(self, columns: Sequence[Column], audience_rows: Sequence[Row]) -> None:
        """Show audiences under these columns; the title counts them."""
        title = plural(len(audience_rows), "audience")
        if str(self.border_title) != title:
            self.border_title = title
        self.grid.reshape(columns)
        self.grid.show(audience_rows)
        if self.screen.is_current and self.screen.focused is None:
            self.grid.focus()

    def show_current(self, current: LiveAudience | None) -> None:
        """Show more about an audience."""
        text = rows.closer(current) if current else safe_text("")
        self.query_one("#closer", SteadyText).say(text)


class LiveSources(Horizontal):
    """The sources with what is wrong with one, and the last changes."""

    def __init__(self) -> None:
        super().__init__(id="below")

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        with Vertical(id="sources", classes="panel") as panel:
            panel.border_title = "Sources"
            yield Grid(rows.SOURCES, glyphs=glyphs, id="files")
            yield SteadyText(id="trouble")
        with Vertical(id="changes", classes="panel") as panel:
            panel.border_title = "Last changes"
            yield Grid(rows.CHANGES, glyphs=glyphs, empty=NO_CHANGE, id="latest")

    def show_job(self, job: LiveJob) -> None:
        """Show a session's sources and changes as they are now."""
        now, glyphs = job.snapshot, services_of(self).glyphs
        sources = rows.source_rows(job.history, job.now, glyphs)
        self.query_one("#files", Grid).show(sources)
        failing = next((source for source in now.sources if source.trouble), None) if now else None
        text = rows.trouble(failing, glyphs) if failing else safe_text("")
        self.query_one("#trouble", SteadyText).say(text)
        latest = now.latest if now else ()
        self.query_one("#latest", Grid).show(
            [rows.change_row(number, change, glyphs) for number, change in enumerate(latest)]
        )
