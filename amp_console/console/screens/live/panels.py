"""The panels of the live screen: audiences, sources beside the last changes, and one audience."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content

from amp_console.console.context import services_of
from amp_console.console.dialogs.request_view import RequestView
from amp_console.console.jobs.live import LiveJob
from amp_console.console.screens.base import screen_of
from amp_console.console.screens.live import rows
from amp_console.console.screens.live.changes import LastChanges
from amp_console.console.screens.live.headline import shared_folder, trouble
from amp_console.console.screens.live.start import READY, SessionStart, ready_row
from amp_console.console.screens.runs.panels import RequestsPanel
from amp_console.console.texts import safe_text
from amp_console.console.widgets.grid import Column, Grid, Row, shortened_path
from amp_console.console.widgets.grid.columns import fitted_text
from amp_console.console.widgets.split import Split
from amp_console.console.widgets.steady_text import FittedText, SteadyText
from amp_console.ledger.runs import AudienceCounts, RunAudience
from amp_console.sync.live.progress import LiveChange, LiveSnapshot
from amp_console.text import plural

SOURCES = "Files and addresses"
IN_FOLDER = "Files in "
NO_AUDIENCE = "No audiences yet. They appear with their first event."
NO_DETAIL = "A live session shows more about an audience: press n or l to start one."
HIGH = 14  # lines from which on an audience's changes have room above its deliveries


class LiveAudiences(Vertical):
    """The audiences of the session."""

    def __init__(self) -> None:
        super().__init__(id="audiences", classes="panel")
        self.border_title = "Audiences"
        self._grid: Grid | None = None

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        self._grid = Grid(
            rows.AUDIENCES, glyphs=glyphs, empty=NO_AUDIENCE, opens="Details", id="list"
        )
        yield self._grid

    @property
    def grid(self) -> Grid:
        """The list."""
        assert self._grid is not None
        return self._grid

    @property
    def key(self) -> Hashable | None:
        """The row under the cursor; None if there is none, or before the list is composed."""
        return self._grid.key if self._grid is not None else None

    def show_rows(
        self, columns: Sequence[Column], audience_rows: Sequence[Row], when: str = ""
    ) -> None:
        """Show audiences in these columns; the title counts them, and adds `when`."""
        title = plural(len(audience_rows), "audience") + when
        if str(self.border_title) != title:
            self.border_title = title
        self.grid.reshape(columns)
        self.grid.opens = "Details"
        self.grid.show(audience_rows)
        if self.screen.is_current and self.screen.focused is None:
            self.grid.focus()

    def show_start(self, begin: SessionStart) -> None:
        """Show what a session would start with."""
        glyphs = services_of(self).glyphs
        self.show_rows(READY, [ready_row(item, begin, glyphs) for item in begin.problems_first()])
        self.grid.opens = ""

    def on_grid_opened(self) -> None:
        """Go to the detail of the audience; before a session, say that there is none."""
        split = self.screen.query_one(Split)
        if split.has_detail:
            split.enter()
        else:
            services_of(self).notifications.post(NO_DETAIL, is_kept=False)


class _RequestsOf(NamedTuple):
    """Identifies the requests shown; they are read again when one is sent or answered."""

    run_id: int
    audience_id: int
    name: str
    counts: AudienceCounts
    is_over: bool


class LiveAudienceDetail(Vertical):
    """One audience of a session: its lag, its figures, its last changes, and its requests."""

    DEFAULT_CSS = """
    LiveAudienceDetail { layout: horizontal; }
    LiveAudienceDetail #facts { width: 2fr; height: 1fr; }
    LiveAudienceDetail #detail-text { height: auto; }
    LiveAudienceDetail #of-audience { width: 3fr; height: 1fr; }
    LiveAudienceDetail #own-changes { padding: 0 1 0 0; display: none; height: 1fr; }
    LiveAudienceDetail #requests { height: 1fr; }
    LiveAudienceDetail.-high { layout: vertical; }
    LiveAudienceDetail.-high #facts { width: 1fr; height: auto; }
    LiveAudienceDetail.-high #of-audience { width: 1fr; }
    LiveAudienceDetail.-high #own-changes.-known { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="audience")
        self._requests_of: _RequestsOf | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="facts", classes="panel"):
            yield FittedText(id="detail-text")
        with Vertical(id="of-audience"):
            yield LastChanges(
                "Its last changes", rows.OWN_CHANGES, rows.own_change_row, id="own-changes"
            )
            yield RequestsPanel()

    def on_resize(self) -> None:
        self.set_class(self.size.height > HIGH, "-high")

    def follow(
        self,
        now: LiveSnapshot | None,
        others: Mapping[tuple[int, int], RunAudience],
        key: Hashable,
        *,
        is_over: bool = False,
    ) -> None:
        """Show the audience of a row: of this console's session, or another's by run and ID.

        `now` is the snapshot of this console's session that the list shows, None without one. The
        audience's requests are read if they have changed.
        """
        shown = None
        if now is not None:
            found = next((item for item in now.audiences if item.audience_id == key), None)
            if found is not None:
                own = [change for change in now.latest if change.audience == found.name]
                facts = partial(rows.detail_text, found, services_of(self).glyphs, is_over=is_over)
                self._show(found.name, facts, own)
                shown = _RequestsOf(
                    now.run_id, found.audience_id, found.name, found.counts, is_over
                )
        elif isinstance(key, tuple) and (other := others.get(key)) is not None:
            self._show(other.name, partial(rows.other_detail_text, other), None)
            shown = _RequestsOf(
                int(key[0]), other.audience_id, other.name, other.counts, is_over=False
            )
        self.screen.query_one(Split).has_detail = shown is not None
        if shown is not None and shown != self._requests_of:
            self._requests_of = shown
            screen_of(self).loader.follow("requests", self._load_requests)

    async def _load_requests(self) -> None:
        if self._requests_of is None:
            return
        target, panel = self._requests_of, self.query_one(RequestsPanel)
        panel.audience = target.audience_id, target.name
        await panel.load(screen_of(self).session, target.run_id)
        panel.border_title = safe_text(f"Deliveries to {target.name}", max_length=60)

    def _show(
        self, name: str, facts: Callable[[int], Content], changes: Sequence[LiveChange] | None
    ) -> None:
        """Show an audience; `changes` is None if they are not known here."""
        self.query_one("#facts").border_title = safe_text(name, max_length=60)
        self.query_one("#detail-text", FittedText).fit(facts)
        own_changes = self.query_one(LastChanges)
        own_changes.set_class(changes is not None, "-known")
        own_changes.show(changes or ())

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Keep the cursors of these lists separate from that of the audiences."""
        event.stop()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open a request."""
        event.stop()
        if event.grid.id == "log" and isinstance(event.key, int):
            self.app.push_screen(RequestView(event.key))


class LiveSources(Horizontal):
    """The sources with any trouble, and the last changes."""

    def __init__(self) -> None:
        super().__init__(id="below")
        self._folder = ""  # shared by all files

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        with Vertical(id="sources", classes="panel") as panel:
            panel.border_title = SOURCES
            yield Grid(rows.SOURCES, glyphs=glyphs, id="files")
            yield SteadyText(id="trouble")
        yield LastChanges("Last changes read", rows.CHANGES, rows.change_row, id="changes")

    def show_job(self, job: LiveJob) -> None:
        """Show a session's current sources and changes."""
        now, glyphs = job.snapshot, services_of(self).glyphs
        sources = rows.source_rows(job.history, job.now, glyphs)
        count = now.source_count if now is not None else 0
        is_cut = count > len(sources)
        self._folder = shared_folder(now.sources) if now is not None else ""
        self._show_folder()
        panel = self.query_one("#sources")
        panel.border_subtitle = f"{len(sources):,} newest of {count:,}" if is_cut else ""
        files = self.query_one("#files", Grid)
        is_at_top = files.cursor == 0
        files.show(sources)
        if is_at_top:
            files.cursor = 0  # the source with the newest events is the first
        failing = trouble(now, glyphs) if now is not None else None
        self.query_one("#trouble", SteadyText).say(failing or safe_text(""))
        self.query_one(LastChanges).show(now.latest if now else ())

    def on_resize(self) -> None:
        self._show_folder()

    def _show_folder(self) -> None:
        panel, more = self.query_one("#sources"), services_of(self).glyphs.more
        room = panel.size.width - len(IN_FOLDER)
        path = fitted_text(self._folder, room, False, more, shortened_path).strip()
        panel.border_title = safe_text(f"{IN_FOLDER}{path}" if self._folder else SOURCES)
