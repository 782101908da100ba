"""Live: cohorts that follow their audiences, watched second by second."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content

from amp_console.console.jobs.live import LiveJob
from amp_console.console.lifecycle import is_open
from amp_console.console.routes import MainScreen, OpenRun, Visit
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.live import actions as doing
from amp_console.console.screens.live import rows
from amp_console.console.texts import lines, said
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.steady_text import SteadyText
from amp_console.ledger.runs import Run, RunAudience, RunKind, run_audiences, runs_under_way
from amp_console.sync.live.progress import LiveAudience
from amp_console.text import plural

NOTHING = """\
No live session.

Press n to follow a folder or a growing file, l to receive Segment's webhooks, or both.
What arrives is in its cohort seconds later, as long as the console is open.

For long sessions run amp-console watch or listen; their progress shows here."""
NO_CHANGE = "No change has arrived yet."


class LiveScreen(BaseScreen):
    """The live session of this console, or what another process does."""

    NAME = "Live"
    HELP = """\
n follows files and folders: growing files line by line, others once they are whole. l receives
Segment's webhooks. Both work at once: press the other key during a session. Each change is in the
ledger at once, and in its cohort after the window (five seconds). Audiences without a cohort wait:
N and L begin a session that creates theirs, s lets the one under the cursor go live.

Queue counts changes that are not delivered yet, Lag is the age of the oldest of them. What waits
for you (no cohort, paused, switched off) is counted apart, and is no lag. Moves are people who
entered or left, minute by minute.

p pauses the audience under the cursor, P all of them: events are read, and nothing is sent until
you press it again. t disables an audience until you press t again.

e ends the session after you confirm it: what is pending and not paused is delivered first. Leaving
this view ends nothing. Sessions of other processes on this connection (amp-console watch, listen)
are shown, too; w opens the requests of the one under the cursor.

v shows the last changes where there is no room for them beside the sources."""
    CSS_PATH = "view.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "follow(False)", "Follow files", id="live.follow"),
        Binding("N", "follow(True)", "Follow, make cohorts", show=False, id="live.follow_create"),
        Binding("l", "listen(False)", "Listen", id="live.listen"),
        Binding("L", "listen(True)", "Listen, make cohorts", show=False, id="live.listen_create"),
        Binding("p", "pause", "Pause", id="live.pause"),
        Binding("p", "resume", "Resume", id="live.resume"),
        Binding("P", "pause_all", "Pause all", show=False, id="live.pause_all"),
        Binding("s", "go_live", "Go live", id="live.go_live"),
        Binding("t", "switch", "Enable / disable", show=False, id="live.switch"),
        Binding("e", "end", "End", id="live.end"),
        Binding("x", "errors", "Errors", id="live.errors"),
        Binding("w", "run", "Requests", show=False, id="live.run"),
        Binding("v", "changes", "Last changes", show=False, id="live.changes"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._others: list[Run] = []

    def body(self) -> ComposeResult:
        """The session, its audiences; below them its sources, and the last changes."""
        glyphs = self.services.glyphs
        with Vertical(id="session", classes="panel") as panel:
            panel.border_title = "Live"
            yield SteadyText(id="headline")
        with Vertical(id="audiences", classes="panel"):
            yield Grid(rows.AUDIENCES, glyphs=glyphs, empty=NO_CHANGE, id="list")
            yield SteadyText(id="closer")
        with Horizontal(id="below"):
            with Vertical(id="sources", classes="panel") as panel:
                panel.border_title = "Sources"
                yield Grid(rows.SOURCES, glyphs=glyphs, id="files")
                yield SteadyText(id="trouble")
            with Vertical(id="changes", classes="panel") as panel:
                panel.border_title = "Last changes"
                yield Grid(rows.CHANGES, glyphs=glyphs, empty=NO_CHANGE, id="latest")

    def on_mount(self) -> None:
        """Draw the session as it goes."""
        self.set_interval(self.services.environment.live_tick_seconds, self._tick)

    # Looking.

    @property
    def work(self) -> LiveJob | None:
        """The console's own session, under way or over."""
        work = self.services.jobs.live
        return work if work is not None and work.session is self.services.session else None

    @property
    def is_live(self) -> bool:
        """Whether this console follows."""
        return self.work is not None and not self.work.is_over

    @property
    def current(self) -> LiveAudience | None:
        """The audience under the cursor, while this console follows it."""
        now = self.work.snapshot if self.work is not None and self.is_live else None
        if now is None:
            return None
        key = self.query_one("#list", Grid).key
        return next((audience for audience in now.audiences if audience.audience_id == key), None)

    async def load(self) -> None:
        """Show the session, and those of other processes."""
        found = await self.session.read(
            runs_under_way, RunKind.LIVE, await self.session.dead_runs()
        )
        ours = self.work.snapshot.run_id if self.work and self.work.snapshot else None
        self._others = [run for run in found if run.id != ours]
        if self.work is not None:
            self.draw()
        elif self._others:
            of = [
                (run, run_audience)
                for run in self._others
                for run_audience in await self.session.read(run_audiences, run.id)
            ]
            self._show_others(of)
        else:
            self._show_nothing()

    def _tick(self) -> None:
        work = self.work
        if self.is_current and work is not None:
            self.draw()  # also where nothing is new: ages go on

    def draw(self) -> None:
        """Show this console's session as it is now."""
        work, glyphs = self.work, self.services.glyphs
        if work is None:
            return
        now = work.snapshot
        audiences = now.audiences if now else ()
        others = [rows.other_line(run, glyphs) for run in self._others]
        self._arrange("-live", lines(rows.headline(work, glyphs), *others), len(audiences))
        self.query_one("#list", Grid).show(
            [rows.audience_row(audience, glyphs) for audience in audiences]
        )
        self.query_one("#files", Grid).show(rows.source_rows(work.history, work.now, glyphs))
        ill = next((source for source in now.sources if source.trouble), None) if now else None
        self.query_one("#trouble", SteadyText).say(rows.trouble(ill, glyphs) if ill else said(""))
        latest = list(now.latest if now else ())
        self.query_one("#latest", Grid).show(
            [rows.change_row(number, item, glyphs) for number, item in enumerate(latest)]
        )
        self._look_closer()
        self._focus_list()

    def _show_others(self, of: list[tuple[Run, RunAudience]]) -> None:
        glyphs = self.services.glyphs
        told = [rows.other_line(run, glyphs) for run in self._others]
        self._arrange("-elsewhere", lines(*told, rows.HOW_TO_END), len(of))
        self.query_one("#list", Grid).show([rows.other_row(run, item, glyphs) for run, item in of])
        self._focus_list()

    def _show_nothing(self) -> None:
        self._arrange("-nothing", lines(*(said(line) for line in NOTHING.splitlines())), 0)

    def _arrange(self, state: str, headline: Content, audiences: int) -> None:
        if not self.has_class(state):
            self.remove_class("-live", "-elsewhere", "-nothing").add_class(state)
            columns = rows.OTHERS if state == "-elsewhere" else rows.AUDIENCES
            self.query_one("#list", Grid).reshape(columns)
        self.query_one("#headline", SteadyText).say(headline)
        panel, title = self.query_one("#audiences"), plural(audiences, "audience")
        if str(panel.border_title) != title:
            panel.border_title = title
        self.action_keys.refresh()

    def _focus_list(self) -> None:
        if self.is_current and self.focused is None:
            self.query_one("#list", Grid).focus()

    def on_grid_moved(self) -> None:
        """Say more of the audience that the cursor is on."""
        self._look_closer()
        self.action_keys.refresh()
        self.refresh_bindings()

    def _look_closer(self) -> None:
        current = self.current
        self.query_one("#closer", SteadyText).say(rows.closer(current) if current else said(""))

    # Doing something about it.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of two keys that exclude each other, the one that does not apply is not there."""
        if is_open(self):
            current = self.current
            is_paused = current is not None and current.is_paused
            hidden = {"pause" if is_paused else "resume"}
            hidden |= set() if self.is_live else {"go_live"}
            if action in hidden:
                return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """What can't be done now, and why."""
        return doing.disabled_reason(self, action)

    def action_follow(self, create: bool) -> None:
        """Ask which files or folders to follow, and begin."""
        doing.ask_paths(self, create=create)

    def action_listen(self, create: bool) -> None:
        """Ask for the address to listen on, and begin."""
        doing.ask_address(self, create=create)

    def action_pause(self) -> None:
        """Send nothing more for the audience until told to go on."""
        if self.work is not None and self.current is not None:
            self.work.pause(self.current.audience_id)
            self._moved()

    def action_resume(self) -> None:
        """Go on with the audience."""
        if self.work is not None and self.current is not None:
            self.work.resume(self.current.audience_id)
            self._moved()

    def action_pause_all(self) -> None:
        """Send nothing more, or go on, for all audiences."""
        if self.work is not None:
            (self.work.resume if self.work.is_paused else self.work.pause)()
            self._moved()

    def action_go_live(self) -> None:
        """Let the audience follow that waits."""
        if self.current is not None:
            doing.go_live(self, self.current)

    def action_switch(self) -> None:
        """Switch the audience off for good, or on again."""
        if self.current is not None:
            self.run_worker(doing.switch(self, self.current))

    def action_end(self) -> None:
        """Ask, then end the session; what is pending and not paused is delivered first."""
        doing.ask_to_end(self)

    def _moved(self) -> None:
        self.draw()
        self.refresh_bindings()

    def action_errors(self) -> None:
        """Open the errors of all audiences."""
        self.services.navigate(Visit(MainScreen.ERRORS))

    def action_run(self) -> None:
        """Open the session's run, with its requests."""
        run_id = self.run_id
        if run_id is not None:
            self.services.navigate(OpenRun(run_id))

    @property
    def run_id(self) -> int | None:
        """The run of the session that is shown; of several, that of the row under the cursor."""
        if self.work is not None:
            return self.work.snapshot.run_id if self.work.snapshot else None
        key = self.query_one("#list", Grid).key
        if isinstance(key, tuple):
            return int(key[0])
        return self._others[0].id if self._others else None

    def action_changes(self) -> None:
        """Show the last changes instead of the sources, or these again."""
        self.toggle_class("-changes")
