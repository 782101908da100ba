"""Live: the cohorts that follow their audiences, seconds behind."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from amp_console.console.live_work import LiveWork
from amp_console.console.screens import live_rows as rows
from amp_console.console.screens.ask import Ask
from amp_console.console.screens.place import Place
from amp_console.console.texts import lines, said
from amp_console.console.widgets.grid import Grid
from amp_console.ledger.runs import Run, RunKind, RunStatus, all_runs
from amp_console.sync.live import LiveWish
from amp_console.sync.words import plural

OFTEN = 0.5  # seconds between two pictures
NOTHING = """\
Nothing is followed.

Press n and name a folder, or a file that grows: what arrives there is in its cohort seconds later,
as long as the console is open. For days, use the command: amp-console watch, or listen."""
NO_CHANGE = "No change has arrived yet."


class LivePlace(Place):
    """The live session of this console, or what another process does."""

    NAME = "Live"
    HELP = """\
n follows files and folders: growing files line by line, others once they are whole. Each change is
in the ledger at once, and in its cohort after the window (five seconds). Audiences that have no
cohort yet wait, unless N was pressed, which allows to make theirs.

Lag is the age of the oldest change that is not delivered yet. p pauses: events are taken in, and
nothing is sent until p is pressed again. To pause one audience, switch it off (t on the audiences).

e ends the session: what is pending is delivered first. Leaving this view ends nothing. A session of
another process on this connection (amp-console watch, listen) is among the runs, under 3."""
    CSS_PATH = "live.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "follow(False)", "Follow", id="live.follow"),
        Binding("N", "follow(True)", "Follow, make cohorts", show=False, id="live.follow_create"),
        Binding("p", "pause", "Pause", id="live.pause"),
        Binding("p", "resume", "Go on", id="live.resume"),
        Binding("e", "end", "End", id="live.end"),
        Binding("x", "errors", "Errors", id="live.errors"),
        Binding("w", "run", "Requests", id="live.run"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def body(self) -> ComposeResult:
        """The session, its audiences, its sources."""
        look = self.console.look
        with Vertical(id="session", classes="panel") as panel:
            panel.border_title = "Live"
            panel.border_subtitle = "the last minute, second by second"
            yield Static(id="headline")
        with Vertical(id="audiences", classes="panel"):
            yield Grid(rows.AUDIENCES, look=look, empty=NO_CHANGE, id="list")
        with Vertical(id="sources", classes="panel") as panel:
            panel.border_title = "Sources"
            yield Grid(rows.SOURCES, look=look, id="files")

    def on_mount(self) -> None:
        """Draw the session as it goes."""
        self.set_interval(OFTEN, self._show)

    # Looking.

    @property
    def _work(self) -> LiveWork | None:
        work = self.console.following
        return work if work is not None and work.session is self.console.session else None

    @property
    def _is_live(self) -> bool:
        return self._work is not None and not self._work.is_over

    async def look(self) -> None:
        """Show the session; without one, say whether another process has one."""
        others = [] if self._work else await self.session.read(all_runs, 20)
        live = [
            each
            for each in others
            if each.kind is RunKind.LIVE and each.status is RunStatus.RUNNING
        ]
        self._show(live[0] if live else None)

    def _show(self, other: Run | None = None) -> None:
        work, look = self._work, self.console.look
        for name in ("#audiences", "#sources"):
            self.query_one(name).display = work is not None
        head = self.query_one("#headline", Static)
        if work is None:
            if other is not None or not self.has_class("-other"):
                head.update(self._without(other))
            self.set_class(other is not None, "-other")
            self.update_keys()
            return
        head.update(rows.headline(work, look))
        audiences = work.snapshot.audiences if work.snapshot else ()
        self.query_one("#list", Grid).show([rows.audience_row(each, look) for each in audiences])
        self.query_one("#files", Grid).show([rows.source_row(each) for each in work.files])
        panel = self.query_one("#audiences")
        panel.border_title = said(plural(len(audiences), "audience"))
        if self.is_current and self.focused is None:
            self.query_one("#list", Grid).focus()
        self.update_keys()

    def _without(self, other: Run | None) -> Content:
        text = [said(line) for line in NOTHING.splitlines()]
        if other is not None:
            words = f"Another amp-console ({other.holder}) is live: its run {other.id} is under 3."
            text = [said(words), said(""), *text]
        return lines(*text)

    # Doing something about it.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One key is pause and resume; the one that does not apply is not there."""
        is_paused = self._work is not None and self._work.is_paused
        if self.is_here and action == ("pause" if is_paused else "resume"):
            return False
        return super().check_action(action, parameters)

    def why_not(self, action: str) -> str | None:
        """What can't be done now, and why."""
        if action == "follow":
            if self._is_live:
                return "A session is under way: press e to end it first."
            if self.session.connection.read_only:
                return "The connection is read-only: nothing is sent."
        if action in {"end", "pause", "resume"} and not self._is_live:
            return f"Nothing is followed: there is nothing to {action}."
        if action == "run" and (self._work is None or self._work.snapshot is None):
            return "No session was begun since the console was opened. Past ones: press 3."
        return None

    def action_follow(self, create: bool) -> None:
        """Ask what to follow, and begin."""
        question = "Which folder, or which file that grows?"
        if create:
            question += " Cohorts are made for audiences that have none; they can't be deleted."
        self.app.push_screen(
            Ask("Follow", question, "", "Follow"), lambda path: self._begin(path, create=create)
        )

    def _begin(self, path: str | None, *, create: bool) -> None:
        if path is None:
            return
        console = self.console
        work = LiveWork(
            self.session,
            [path.strip()],
            LiveWish(create=create),
            console.premises.timing,
            console.tell,
            console.alarm,
        )
        console.following = work
        work.start()
        self._show()

    def action_end(self) -> None:
        """End the session; what is pending is delivered first."""
        if self._work is not None:
            self._work.cancel()
            self._show()

    def action_pause(self) -> None:
        """Send nothing more until told to go on."""
        if self._work is not None:
            self._work.pause()
            self._show()
            self.refresh_bindings()

    def action_resume(self) -> None:
        """Go on."""
        if self._work is not None:
            self._work.resume()
            self._show()
            self.refresh_bindings()

    def action_errors(self) -> None:
        """Open the errors of all audiences."""
        self.console.action_go("errors")

    def action_run(self) -> None:
        """Open the session's run, with its requests."""
        if self._work is not None and self._work.snapshot is not None:
            from amp_console.console.screens.run import RunPlace

            self.app.push_screen(RunPlace(self._work.snapshot.run_id))
