"""The three panels of a run: its progress, its requests, and who was rejected."""

from functools import partial

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from amp_console.console.context import services_of
from amp_console.console.run_lines import RunLine
from amp_console.console.run_view import RunView
from amp_console.console.screens.errors.retry import count_in_vain
from amp_console.console.screens.runs import rows as run_rows
from amp_console.console.session import Session
from amp_console.console.texts import MUTED, TONE, lines, safe_text
from amp_console.console.widgets.grid import Grid, Paged, Row, RowsState
from amp_console.console.words import lasting, stopwatch
from amp_console.ledger import requests
from amp_console.ledger.rejected import RejectedFilter, RejectionGroup, rejection_groups
from amp_console.ledger.runs import Run, RunKind, run
from amp_console.text import local_time, plural

FRAME = 4  # columns of a panel's border and padding; lines of its border, header and margin
BORDER_AND_HEADER = 3  # lines of the panel of the progress
DOING = 33  # minimum columns for what an audience is doing
DOING_LINES = 3  # maximum lines for the same, below the list
LEAST_AUDIENCES = 2  # shown of a run, if it has so many
REQUEST_LINES = 14  # lines of a run from which on requests fit below its progress
LEAST_BELOW = 5  # minimum lines of the requests in that case
NONE_YET = "No request yet."
NONE_SENT = "None."
ONLY_READ = "A comparison downloads cohorts, and changes nothing in Amplitude."
NONE_REJECTED = "This run rejected no one."
NONE_SO_FAR = "No one rejected so far."
NONE_STILL = "All of these users have since been retried or changed."
_KINDS = {
    RunKind.SYNC: "Sync",
    RunKind.COMPARE: "Comparison",
    RunKind.REPAIR: "Repair",
    RunKind.LIVE: "Live",
    RunKind.FORGET: "Deletion request",
}


class ProgressPanel(Vertical):
    """The audiences of a run with their bars, and the funnel."""

    def __init__(self) -> None:
        super().__init__(id="progress", classes="panel")
        self._view: RunView | None = None
        self._room = 0  # lines of the panel's container

    def fit_into(self, lines: int) -> None:
        """Limit the audiences to a part of `lines`; the rest scroll."""
        if lines != self._room:
            self._room = lines
            self.call_after_refresh(self._fit)

    def compose(self) -> ComposeResult:
        yield Static(id="headline")
        yield Grid(run_rows.AUDIENCES, glyphs=services_of(self).glyphs, opens="Requests", id="bars")
        yield Static(id="doing")
        yield Static(id="funnel")

    def on_mount(self) -> None:
        services_of(self).clock.ticked.subscribe(self, lambda _: self._show_frame(), immediate=True)

    def show_missing(self, why: str) -> None:
        """Show why there is no run."""
        self._view = None
        self.query_one("#bars", Grid).show_notice(RowsState.UNKNOWN, "")
        self.query_one("#headline", Static).update(safe_text((why, MUTED)))

    def show(self, view: RunView) -> None:
        """Show a run."""
        self._view = view
        is_comparison = view.kind is RunKind.COMPARE
        self.query_one("#bars", Grid).opens = "Who differs" if is_comparison else "Requests"
        self._show_bars(view)
        self._show_frame()

    def _show_texts(self, view: RunView) -> None:
        """Show how the run ended, why the current audience ended as it did, and the sums.

        If there is too little room, the sums are left out, and the first text is cut, so that some
        audiences and requests stay visible.
        """
        glyphs = services_of(self).glyphs
        said, doing, funnel = (
            self.query_one(name, Static) for name in ("#headline", "#doing", "#funnel")
        )
        width = said.size.width or self.screen.size.width - FRAME
        headline = run_rows.headline(view, glyphs, width).split("\n", allow_blank=True)
        height = self._room or self.screen.size.height
        audiences = min(len(view.lines), LEAST_AUDIENCES)
        room = max(1, height - self._below(height) - audiences - BORDER_AND_HEADER)
        why = self._doing(view)
        taken = min(len(why.wrap(width)), DOING_LINES) if why is not None else 0
        doing.display = 0 < taken < room
        if why is not None:
            doing.update(why)
        room -= taken if doing.display else 0
        if len(headline) > room:
            more = f" ({plural(len(headline) - room, 'more line')})"
            last = headline[room - 1].truncate(width - len(more))
            headline = [*headline[: room - 1], last + safe_text((more, MUTED))]
        said.update(lines(*headline))
        room -= len(headline)
        sums = run_rows.funnel(view, glyphs, width)
        funnel.update(sums)
        reads_only = view.kind is RunKind.COMPARE
        funnel.display = not reads_only and sums.plain.count("\n") + 1 <= room

    @staticmethod
    def _below(height: int) -> int:
        """How many lines the requests keep below the progress, for a run of `height` lines."""
        return LEAST_BELOW if height >= REQUEST_LINES else 0

    def line(self, audience_id: object) -> RunLine | None:
        """An audience of the run."""
        lines = self._view.lines if self._view else ()
        return next((line for line in lines if line.audience_id == audience_id), None)

    def on_resize(self) -> None:
        """Fit the texts and the number of audiences to the new size."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        if self._view is not None and self.query("#headline"):  # otherwise the screen is closing
            self.show(self._view)

    def on_grid_moved(self) -> None:
        if self._view is not None:
            self._show_texts(self._view)

    def _show_bars(self, view: RunView) -> None:
        grid, glyphs = self.query_one("#bars", Grid), services_of(self).glyphs
        grid.show([run_rows.audience_row(line, glyphs) for line in view.lines])
        self._show_texts(view)
        grid.styles.height = min(len(view.lines), self._most_rows()) + 1

    def _most_rows(self) -> int:
        """How many audiences to show: a third of the lines, but the requests keep some lines."""
        height = self._room or self.screen.size.height
        texts = [self.query_one(name, Static) for name in ("#headline", "#funnel")]
        taken = sum(str(text.content).count("\n") + 1 for text in texts if text.display)
        most = min(height // 3, height - self._below(height) - taken - FRAME)
        return max(LEAST_AUDIENCES, most)

    def _doing(self, view: RunView) -> Content | None:
        """What the audience under the cursor is doing, in full, as its column may be too narrow.

        None if the sentences about the run already say it.
        """
        line = self.line(self.query_one("#bars", Grid).key)
        if (
            line is None
            or len(line.doing) <= DOING
            or any(line.doing in said for said in view.says)
        ):
            return None
        return safe_text((f"{line.name}: ", MUTED), (line.doing, TONE[line.tone]))

    def _show_frame(self) -> None:
        view, services = self._view, services_of(self)
        if view is None:
            return
        dot = services.glyphs.separator
        parts = [_KINDS[view.kind], plural(len(view.lines), "audience")]
        if view.run_id is not None:
            parts.append(f"run {view.run_id}")
        self.border_title = safe_text(dot.join(parts))
        spent = stopwatch(view.elapsed) if view.is_under_way else lasting(view.elapsed)
        time = f"{spent} elapsed"
        if view.started_at is not None:
            when = services.age_of(view.started_at)
            time = f"{local_time(view.started_at)} ({when}){dot}{spent}"
        self.border_subtitle = safe_text(time)


class RequestsPanel(Vertical):
    """The requests of a run, of all its audiences or one: a small log, or a full-size one."""

    def __init__(self) -> None:
        super().__init__(id="requests", classes="panel")
        self.audience: tuple[int, str] | None = None
        """The audience whose requests are shown (ID, name); None for all."""
        self._is_full = False

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        yield Grid(run_rows.REQUESTS, empty=NONE_YET, glyphs=glyphs, opens="Request", id="log")
        full = Grid(
            run_rows.FULL_REQUESTS, empty=NONE_YET, glyphs=glyphs, opens="Request", id="full-log"
        )
        full.display = False  # not on mount, when a run that was left has no lists
        yield full

    @property
    def shown_log(self) -> Grid:
        """The visible log."""
        return self.query_one("#full-log" if self._is_full else "#log", Grid)

    def resize_log(self, *, is_full: bool) -> None:
        """Show the full-size log, or the small one of all audiences."""
        self._is_full = is_full
        if not is_full:
            self.audience = None
        self.query_one("#log").display = not is_full
        self.query_one("#full-log").display = is_full

    async def load(self, session: Session, run_id: int) -> None:
        """Read the requests again, page by page. Raises `LedgerError`."""
        audience, is_full = self.audience, self._is_full
        audience_id = audience[0] if audience else None
        known = await session.read(run, run_id)
        count = await session.read(requests.count_requests, run_id, audience_id)
        rows = Paged(count, partial(self._load_page, session, run_id, audience_id, is_full))
        columns = run_rows.FULL_REQUESTS if is_full else run_rows.REQUESTS
        await rows.fetch(0)
        if (audience, is_full) != (self.audience, self._is_full):
            return  # by now, the other log is shown, and its requests are being read
        grid = self.shown_log
        grid.empty = _why_empty(known)
        is_at_top = grid.cursor == 0
        grid.reshape(run_rows.columns_of_one(columns) if audience else columns)
        grid.show(rows)
        if is_at_top:
            grid.cursor = 0
        what = f"Requests of {audience[1]}" if audience else "Requests"
        self.border_title = safe_text(what, max_length=60)
        parts = [f"{count:,}"] if count else []
        if await session.read(requests.has_uncounted, run_id, audience_id):
            parts.append(run_rows.LEGEND)
        dot = f" {services_of(self).glyphs.dot} "
        self.border_subtitle = safe_text(dot.join(parts))

    async def _load_page(
        self,
        session: Session,
        run_id: int,
        audience_id: int | None,
        is_full: bool,
        offset: int,
        limit: int,
    ) -> list[Row]:
        found = await session.read(requests.requests_page, run_id, offset, limit, audience_id)
        row = run_rows.full_request_row if is_full else run_rows.request_row
        rows = [row(request, services_of(self).glyphs) for request in found]
        return rows if audience_id is None else [run_rows.row_of_one(row) for row in rows]


class RejectedPanel(Vertical):
    """The users that a run's requests rejected, by reason."""

    def __init__(self) -> None:
        super().__init__(id="rejected", classes="panel")
        self._groups: dict[object, RejectionGroup] = {}
        self.is_in_vain = False
        """Whether Amplitude would reject all of these users again if they were retried."""

    def compose(self) -> ComposeResult:
        glyphs = services_of(self).glyphs
        yield Grid(run_rows.REASONS, empty=NONE_SO_FAR, glyphs=glyphs, opens="Users", id="reasons")

    @property
    def has_users(self) -> bool:
        """Whether any user of the run is rejected now."""
        return bool(self._groups)

    def group(self, key: object) -> RejectionGroup | None:
        """The group of a row."""
        return self._groups.get(key)

    async def load(self, session: Session, run_id: int, rejected: int, *, is_over: bool) -> None:
        """Read the groups again; the run rejected `rejected` users. Raises `LedgerError`."""
        query = RejectedFilter(run_id=run_id)
        groups = await session.read(rejection_groups, query)
        in_vain = await count_in_vain(session, query)
        of_several = len({group.audience_id for group in groups}) > 1
        rows = [run_rows.reason_row(group, of_several=of_several) for group in groups]
        self._groups = {row.key: group for row, group in zip(rows, groups, strict=True)}
        grid = self.query_one("#reasons", Grid)
        grid.empty = NONE_STILL if rejected else NONE_REJECTED if is_over else NONE_SO_FAR
        grid.reshape(run_rows.REASONS_OF_SEVERAL if of_several else run_rows.REASONS)
        grid.show(rows)
        still = sum(group.count for group in groups)
        self.is_in_vain = 0 < still <= in_vain
        gone = max(0, rejected - still)
        count = f" ({rejected:,})" if rejected else ""
        self.border_title = safe_text(f"Rejected by this run{count}")
        self.border_subtitle = f"{gone:,} more retried or changed since" if gone and still else ""


def _why_empty(known: Run | None) -> str:
    """Why a run has no requests that change a cohort, or none yet."""
    if known is not None and known.kind is RunKind.COMPARE:
        return ONLY_READ
    return NONE_SENT if known is not None and known.ended_at is not None else NONE_YET
