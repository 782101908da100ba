"""Live: cohorts that follow their audiences, updated every second."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size

from amp_console.console.dialogs.end_session import ask_to_end
from amp_console.console.jobs.live import LiveJob
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import MainScreen, OpenRun
from amp_console.console.screens.actions import Need, not_writable
from amp_console.console.screens.base import COPY_ROW, BaseScreen
from amp_console.console.screens.footer import Labelled, UsefulActions
from amp_console.console.screens.live import actions, rows, start
from amp_console.console.screens.live.headline import headline
from amp_console.console.screens.live.layout import LiveBody
from amp_console.console.screens.live.panels import (
    LiveAudienceDetail,
    LiveAudiences,
    LiveSources,
)
from amp_console.console.screens.live.start import SessionStart, session_start
from amp_console.console.texts import lines
from amp_console.console.words import clock
from amp_console.ledger.operators import has_several_operators
from amp_console.ledger.runs import (
    Run,
    RunAudience,
    RunKind,
    run_audiences,
    runs_under_way,
)
from amp_console.sync.live.progress import LiveAudience, LiveSnapshot
from amp_console.sync.sources.checkpoints import followed_folders


class LiveScreen(BaseScreen):
    """The live session of this console, and those of other processes."""

    NAME = "Live"
    BELONGS_TO = MainScreen.LIVE
    HELP = """\
n follows files and folders: growing files line by line, others once they are complete. l receives
Segment's webhooks. To do both at once, press the other key during a session. A session first sends
pending changes; its dialog says how many. After that, each change is in the ledger at once, and in
its cohort after the window (five seconds). Audiences without a cohort wait, unless you choose in
the dialog to create their cohorts. s creates the cohort of the audience under the cursor, once you
confirm it. A large removal also waits: more than half of a cohort's members, if those changes were
pending before the session, concern 100 users or more, or follow a switched ID type. s asks you to
type its name, as a sync does.

Everything is counted from the start of this session. Events are counted as they are read, minute by
minute, if they say that someone entered (+) or left (−). Many repeat what the ledger already knows.
Members updated are those who entered, left or got a different identifier, and only their changes
are listed as the last ones. If a file updated no one, the list says "nothing new".

Rejected counts the users that Amplitude rejected in this session. Members who came without an
identifier to send are counted beside them; Errors lists both.

A change is a user to add or to remove. The line of changes adds up: changes pending at the start or
later were delivered or rejected, are still pending, or needed no request, because a later event
undid them or another process sent them. Lag is how long the oldest change has been pending since it
was read, whatever the time of its event. How soon 95% are delivered leaves out those pending at the
start, and how long changes waited for you. Audiences that wait for you (no cohort, large removal,
broken link, paused, disabled) have no lag, and their changes are counted separately.

p pauses the audience under the cursor, P all of them. Events are still read, but nothing is sent
until you press the key again. t disables an audience until you press t again.

c ends the session after you confirm it. What has been read is delivered first, except for audiences
that wait for you. Leaving this view does not end the session. Sessions of other processes on this
connection (amp-console watch, listen) are shown, too; w opens the requests of the one under the
cursor.

Sources with the newest events come first. The list follows them while its cursor is at the top; g
goes back there.

In Last changes, Enter or f explains why the person under the cursor is, or is not, in each cohort.
The newest change stays in view until you go there with Tab; then the cursor stays on its person.

The audience under the cursor is shown beside or below the list, or when you press Enter: its lag,
its last changes and what was sent for it. v shows the last changes of all audiences, and the
sources if a small terminal has no room for them otherwise."""
    CSS_PATH = "view.tcss"
    LEAST = Size(60, 18)
    NEEDS: ClassVar = dict.fromkeys(("follow", "listen", "resume", "go_live"), (Need.WRITABLE,))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "n",
            "follow",
            "Follow files",
            tooltip="Follow a folder or a growing file",
            id="live.follow",
        ),
        Binding("l", "listen", "Listen", tooltip="Receive Segment's webhooks", id="live.listen"),
        Binding("p", "pause", "Pause audience", id="live.pause"),
        Binding(
            "p",
            "resume",
            "Resume audience",
            tooltip="Deliver to this audience again",
            id="live.resume",
        ),
        Binding("P", "pause_all", "Pause all audiences", show=False, id="live.pause_all"),
        Binding(
            "s",
            "go_live",
            "Let the audience go live",
            tooltip="Let it go live; this creates its cohort or sends its large removal",
            id="live.go_live",
        ),
        Binding(
            "t",
            "switch",
            "Enable / disable",
            tooltip="Deliver nothing to this audience, or deliver again",
            show=False,
            id="live.switch",
        ),
        Binding("c", "end", "End session", id="live.end"),
        Binding(
            "x",
            "app.go('errors')",
            "Errors",
            tooltip="Users not delivered, and invalid events",
            id="live.errors",
        ),
        Binding("w", "run", "Requests", show=False, id="live.run"),
        Binding("v", "changes", "Last changes", show=False, id="live.changes"),
        COPY_ROW,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._drawn: LiveSnapshot | None = None
        self._others: list[Run] = []
        self._is_shared = False
        self._other_audiences: dict[tuple[int, int], RunAudience] = {}
        self._start: SessionStart | None = None  # what a session would start with
        self._begun: LiveJob | None = None  # the session for which the cursor was placed
        self._audiences = LiveAudiences()
        self._detail = LiveAudienceDetail()
        self._body = LiveBody(self._audiences, self._detail)

    def body(self) -> ComposeResult:
        yield self._body

    def on_mount(self) -> None:
        # Even if nothing is new, ages advance.
        self.set_interval(self.services.environment.live_tick_seconds, self._draw)
        self.services.place_counts.changed.subscribe(self, lambda _: _agree_with_counts(self))

    # Showing.

    @property
    def _job(self) -> LiveJob | None:
        return actions.own_job(self.services)

    @property
    def _current(self) -> LiveAudience | None:
        """The audience under the cursor, if this console follows it."""
        job = under_way(self._job)
        if job is None or (now := job.snapshot) is None:
            return None
        key = self._audiences.key
        return next((audience for audience in now.audiences if audience.audience_id == key), None)

    async def load(self) -> None:
        """Show the session, and those of other processes."""
        session, job = self.session, self._job
        found = await session.read(runs_under_way, RunKind.LIVE, await session.dead_runs())
        ours = job.run_id if job is not None else None
        self._others = [run for run in found if run.id != ours]
        self._is_shared = await session.read(has_several_operators)
        now = self.services.clock.now
        self._start = await session.read(session_start, session.connection, now)
        actions.ask_again(self.app.screen)
        if self._job is not None:
            self._draw()
            return
        glyphs = self.services.glyphs
        if self._others:
            self._other_audiences = {
                (run.id, run_audience.audience_id): run_audience
                for run in self._others
                for run_audience in await session.read(run_audiences, run.id)
            }
            runs = {run.id: run for run in self._others}
            others = [
                rows.other_row(runs[run_id], run_audience, glyphs)
                for (run_id, _), run_audience in self._other_audiences.items()
            ]
            sessions = [
                rows.other_line(run, glyphs, is_shared=self._is_shared) for run in self._others
            ]
            self._arrange("-elsewhere", lambda _: lines(*sessions, rows.HOW_TO_END))
            self._audiences.show_rows(rows.OTHERS, others)
            self._detail.follow(None, self._other_audiences, self._audiences.key)
        else:
            await self._show_before()

    async def _show_before(self) -> None:
        """Show what a session would start with."""
        session = self.session
        folders = await session.read(followed_folders)
        if self._job is not None or (begin := self._start) is None:  # one has just started
            return
        demo = self.services.environment.demo
        has_traffic = demo is not None and demo.has_traffic
        before = start.before(begin, folders, has_traffic=has_traffic)
        self._arrange("-nothing", lambda _: before)
        self._audiences.show_start(begin)
        self._detail.follow(None, {}, self._audiences.key)

    def _draw(self) -> None:
        """Show the current state of this console's session."""
        job, glyphs = self._job, self.services.glyphs
        if job is None or not self.is_current:
            return
        others = [rows.other_line(run, glyphs, is_shared=self._is_shared) for run in self._others]

        def session(width: int) -> Content:
            said = headline(job, glyphs, width, is_short=self._body.is_short)
            following = [start.after(self._start)] if job.is_over else []
            return lines(said, *following, *others)

        self._arrange("-live", session)
        if job.snapshot and job.snapshot.audiences:
            self._audiences.show_rows(
                rows.AUDIENCES,
                [
                    rows.audience_row(audience, glyphs, is_over=job.is_over)
                    for audience in rows.problems_first(job.snapshot.audiences)
                ],
                _as_of(job, glyphs.separator),
            )
            if self._begun is not job:
                self._begun = job
                self._audiences.grid.cursor = rows.first_live(job.snapshot.audiences)
        elif self._start is not None:  # it is starting, or never started
            self._audiences.show_start(self._start)
        self.query_one(LiveSources).show_job(job)
        self._drawn = job.snapshot
        self._follow_cursor()
        if self.loader.is_outdated:
            self.loader.rows_shown()

    def _follow_cursor(self) -> None:
        is_over = self._job is not None and self._job.is_over
        drawn = self._drawn if self._job is not None else None
        self._detail.follow(drawn, self._other_audiences, self._audiences.key, is_over=is_over)

    def _arrange(self, state: str, lay_out: Callable[[int], Content]) -> None:
        if not self.has_class(state):
            self.remove_class("-live", "-elsewhere", "-nothing").add_class(state)
        self._body.show_session(lay_out)
        self.action_keys.refresh()

    def on_grid_moved(self) -> None:
        """Show more about the audience under the cursor, as of the snapshot that the list shows."""
        self._follow_cursor()
        self.action_keys.refresh()

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of two keys that exclude each other, hide the one that does not apply."""
        if action in {"pause", "resume"} and is_open(self):
            current = self._current
            is_paused = current is not None and current.is_paused
            if action == ("pause" if is_paused else "resume"):
                return False
        if action == "go_live" and is_open(self):
            return actions.confirmation_label(self._current) is not None
        if action == "end" and is_open(self) and self._job is not None and self._job.is_ending:
            return False
        if action == "changes" and is_open(self) and self._job is None:
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        if not under_way(self._job):
            return "follow", "listen"
        confirmation_label = actions.confirmation_label(self._current)
        go_live = (Labelled("go_live", confirmation_label),) if confirmation_label else ()
        return *go_live, "pause", "resume", "end", "go('errors')", "follow", "listen"

    def disabled_reason(self, action: str) -> str | None:
        if action == "run" and actions.run_id(self._job, self._others, self._audiences.key) is None:
            return "No live session has run since the console was opened. For past runs press 3."
        current = self._current if action in actions.OF_AUDIENCE else None
        reason = actions.disabled_reason(self._job, current, action)
        if action == "pause_all" and self._job is not None and self._job.is_paused:
            reason = reason or not_writable(self.services)
        return reason or super().disabled_reason(action)

    def _do(self, work: Awaitable[None]) -> None:
        """Do work that changes the session, and show the change."""

        async def do_and_show() -> None:
            await work
            self._draw()

        self.run_worker(do_and_show())

    def action_follow(self) -> None:
        asked = actions.path_dialog(self.services, lambda: self._start).asked(self.services)
        self._do(actions.follow_path(self.services, asked))

    def action_listen(self) -> None:
        asked = actions.address_dialog(self.services, lambda: self._start).asked(self.services)
        self._do(actions.listen(self.services, asked))

    def action_pause(self) -> None:
        """Send nothing for this audience, until it is resumed."""
        if self._job is not None and self._current is not None:
            self._job.pause(self._current.audience_id)
            self._draw()

    def action_resume(self) -> None:
        if self._job is not None and self._current is not None:
            self._job.resume(self._current.audience_id)
            self._draw()

    def action_pause_all(self) -> None:
        """Stop sending for all audiences, or resume them."""
        if self._job is not None:
            (self._job.resume if self._job.is_paused else self._job.pause)()
            self._draw()

    def action_go_live(self) -> None:
        """Ask, then do what the audience under the cursor is waiting for."""
        if self._job is not None and (current := self._current) is not None:
            self._do(actions.go_live(self.services, self._job, current))

    def action_switch(self) -> None:
        if self._job is not None and self._current is not None:
            self._do(actions.switch(self.services, self._current))

    def action_end(self) -> None:
        """Ask, then end the session; pending changes are delivered first, unless paused."""
        if self._job is not None:
            self._do(ask_to_end(self.services, self._job))

    def action_run(self) -> None:
        """Open the session's run, with its requests."""
        run_id = actions.run_id(self._job, self._others, self._audiences.key)
        if run_id is not None:
            self.services.navigate(OpenRun(run_id))

    def action_changes(self) -> None:
        """Show or hide the last changes; they replace the sources, or both replace the detail."""
        self.toggle_class("-changes")
        self._body.fit_later()


def _agree_with_counts(screen: LiveScreen) -> None:
    """Show the figures of the moment at which the errors were counted, as their tab does."""
    job, counts = screen._job, screen.services.place_counts.counts
    if job is not None and counts is not None:
        job.counted(counts)
        screen._draw()


def _as_of(job: LiveJob, dot: str) -> str:
    """What follows the number of a session's audiences: how many are live, or as of when."""
    if job.ended_at:
        return f" at the end of the session ({clock(job.ended_at)})"
    is_all = job.snapshot is not None and len(job.followed) == len(job.snapshot.audiences)
    return "" if is_all else f"{dot}{len(job.followed):,} live"
