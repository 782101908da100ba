"""Who could not be delivered and why: groups, then users; and the events that were invalid."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.console.background import aside
from amp_console.console.screens.ask import Ask
from amp_console.console.screens.dialog import Confirm
from amp_console.console.screens.errors_rows import (
    EVENT_COLUMNS,
    GROUP_COLUMNS,
    USER_COLUMNS,
    event_row,
    group_rows,
    user_row,
)
from amp_console.console.screens.place import Place
from amp_console.console.screens.text_view import TextView
from amp_console.console.texts import said
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.grid_rows import Paged, Row
from amp_console.console.work import KNOWN
from amp_console.ledger.audiences import audience
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import (
    RejectedFilter,
    RejectedUser,
    RejectionGroup,
    count_rejected,
    rejected_page,
    rejection_groups,
)
from amp_console.ledger.sources import InvalidEvent, count_invalid, invalid_page
from amp_console.sync.export import ExportError, write_errors_csv
from amp_console.sync.rejected import retry, retry_these
from amp_console.sync.words import plural
from amp_console.values import IdType

NOBODY = """\
Nobody is rejected.

Whomever Amplitude skips or refuses is listed here, with the reason. Press i for the events that
could not be read."""
ALL_READ = """\
Every event could be read.

Broken lines, and events without a usable identifier, are listed here with file and line."""


class ErrorsPlace(Place):
    """Rejected users of one audience, of one run, or of all."""

    NAME = "Errors"
    HELP = """\
Above are the reasons, below the users of the reason under the cursor. Enter goes from a reason to
its users, and from a user to everything that is known: Amplitude's words, request and answer.

R makes users pending again: the marked ones, or all of the reason under the cursor. The next sync
delivers them. i shows the events that could not be read, with file and line."""
    CSS_PATH = "errors.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "retry", "Retry", id="errors.retry"),
        Binding("E", "export", "Export", id="errors.export"),
        Binding("i", "invalid", "Invalid events", id="errors.invalid"),
        Binding("s", "sync", "Sync them", show=False, id="errors.sync"),
        Binding("A", "everything", "All audiences", id="errors.everything"),
        Binding("tab", "other_list", "Other list", show=False, id="errors.other"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
    ]

    def __init__(
        self, audience_id: int | None = None, run_id: int | None = None, *, invalid: bool = False
    ) -> None:
        """`invalid` shows the events that could not be read first."""
        super().__init__()
        self.set_class(invalid, "-invalid")
        self._wish = RejectedFilter(audience_id=audience_id, run_id=run_id)
        self._groups: list[RejectionGroup] = []
        self._users: dict[Hashable, RejectedUser] = {}
        self._events: dict[Hashable, InvalidEvent] = {}
        self._retried: set[int] = set()
        self._shown: tuple[RejectedFilter, int] | None = None
        self._shown_events: tuple[str, int] | None = None

    def body(self) -> ComposeResult:
        """Two lists under each other, or the one of invalid events."""
        look = self.console.look
        with Container(id="rejected"):
            with Container(id="groups-panel", classes="panel") as panel:
                panel.border_title = "Errors"
                yield Grid(GROUP_COLUMNS, look=look, empty=NOBODY, id="groups")
            with Container(id="users-panel", classes="panel"):
                yield FilterBar()
                yield Grid(USER_COLUMNS, look=look, marks=True, id="users")
        with Container(id="invalid-panel", classes="panel") as panel:
            panel.border_title = "Invalid events"
            yield FilterBar()
            yield Grid(EVENT_COLUMNS, look=look, empty=ALL_READ, id="events")

    # Looking.

    async def look(self) -> None:
        """Read the groups, and the users of the one under the cursor."""
        session = self.session
        self._groups = await session.read(rejection_groups, self._wish)
        now = self.console.now
        self.query_one("#groups", Grid).show(group_rows(self._groups, self.console.look, now))
        panel = self.query_one("#groups-panel")
        panel.border_title = said(await self._title())
        self.query_one("#users-panel").display = bool(self._groups)
        await self._look_at_users()
        await self._look_at_events()

    async def _title(self) -> str:
        dot = f" {self.console.look.dot} "
        if self._wish.run_id is not None:
            return f"Errors{dot}run {self._wish.run_id}"
        if self._wish.audience_id is not None:
            known = await self.session.read(audience, self._wish.audience_id)
            return f"Errors{dot}{known.name}"
        return f"Errors{dot}all audiences"

    async def _look_at_users(self) -> None:
        wish = self._meant
        count = await self.session.read(count_rejected, wish)
        panel = self.query_one("#users-panel")
        panel.border_title = said(self._group.reason if self._group else "Users", longest=90)
        panel.border_subtitle = plural(count, "user")
        if self._shown == (wish, count):
            return  # the pages that were fetched are still right
        self._shown = wish, count

        async def load(offset: int, limit: int) -> Sequence[Row]:
            users = await self.session.read(rejected_page, wish, offset, limit)
            rows = [user_row(each, self.console.look, self.console.now) for each in users]
            self._users.update(zip((row.key for row in rows), users, strict=True))
            return rows

        self.query_one("#users", Grid).show_pages(Paged(count, load))

    async def _look_at_events(self) -> None:
        text = self.query(FilterBar).last().value
        count = await self.session.read(count_invalid, text)
        self.query_one("#invalid-panel").border_subtitle = plural(count, "event")
        if self._shown_events == (text, count):
            return
        self._shown_events = text, count

        async def load(offset: int, limit: int) -> Sequence[Row]:
            events = await self.session.read(invalid_page, offset, limit, text)
            self._events.update(enumerate(events, offset))
            return [event_row(number, each) for number, each in enumerate(events, offset)]

        self.query_one("#events", Grid).show_pages(Paged(count, load))

    @property
    def _group(self) -> RejectionGroup | None:
        """The group under the cursor; None where the row stands for all."""
        key = self.query_one("#groups", Grid).key
        return key if isinstance(key, RejectionGroup) else None

    @property
    def _meant(self) -> RejectedFilter:
        """The users shown: of the group under the cursor, with the filter's text."""
        group, text = self._group, self.query(FilterBar).first().value
        wish = self._wish
        if group is not None:
            wish = msgspec.structs.replace(group.filter, run_id=wish.run_id)
        return msgspec.structs.replace(wish, text=text)

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # both are looked at
        """Filter by identifier, or by file and reason."""
        self.look_again()

    # Moving about.

    @property
    def _is_invalid(self) -> bool:
        return self.has_class("-invalid")

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the users of another group."""
        if event.grid.id == "groups":
            self.look_again()

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go from a group to its users, from a user to all that is known, from an event to it."""
        if event.grid.id == "groups":
            self.query_one("#users").focus()
        elif event.grid.id == "users":
            self._open_user(self._users[event.key])
        else:
            each = self._events[event.key]
            text = f"{each.source}\nline {each.line:,}\n\n{each.reason}"
            self.app.push_screen(TextView("Invalid event", text))

    def _open_user(self, user: RejectedUser) -> None:
        from amp_console.console.screens.rejected_user import RejectedUserPlace

        self.app.push_screen(RejectedUserPlace(user))

    def action_back(self) -> None:
        """From users to groups, from invalid events to rejected users, else out."""
        if self._is_invalid:
            self.action_invalid()
        elif self.query_one("#users").has_focus:
            self.query_one("#groups").focus()
        else:
            super().action_back()

    def action_other_list(self) -> None:
        """Go to the other list."""
        if not self._is_invalid:
            self.query_one("#groups" if self.query_one("#users").has_focus else "#users").focus()

    def action_invalid(self) -> None:
        """Show invalid events, or rejected users again."""
        self.toggle_class("-invalid")
        self.query_one("#events" if self._is_invalid else "#groups").focus()
        self.update_keys()

    def action_filter(self) -> None:
        """Filter the list that is shown."""
        bars = self.query(FilterBar)
        (bars.last() if self._is_invalid else bars.first()).open()

    def on_filter_bar_left(self) -> None:
        """Go back from the filter to the rows."""
        self.query_one("#events" if self._is_invalid else "#users").focus()

    def action_copy(self) -> None:
        """Copy the row under the cursor, of the list that has the keys."""
        grid = self.focused
        if isinstance(grid, Grid) and grid.row is not None:
            self.console.copy("\t".join(cell.text for cell in grid.row.cells))

    def action_everything(self) -> None:
        """Show the errors of all audiences and runs."""
        self._wish = RejectedFilter()
        self.look_again()

    # Doing something about it.

    def why_not(self, action: str) -> str | None:
        """What can't be done now, and why."""
        if action == "retry":
            return self._why_no_retry()
        if action == "everything" and self._wish == RejectedFilter():
            return "These are the errors of all audiences."
        if action == "sync" and not self._retried:
            return "Retry some users first: they become pending, and a sync delivers them."
        return None

    def _why_no_retry(self) -> str | None:
        if self._is_invalid:
            return "An event that can't be read can't be retried: get the file again, import it."
        if not self._groups:
            return "Nobody is rejected."
        if self.session.connection.read_only:
            return "The connection is read-only: nobody is made pending again."
        if self._group is not None and self._group.code is Reason.NO_IDENTIFIER:
            return "There is nothing to send for them: map the identifier, and import the events."
        return None

    def action_retry(self) -> None:
        """Make the marked users, or the group's, pending again."""
        marked = [
            (user.audience_id, user.id_type, user.id)
            for key in self.query_one("#users", Grid).marked
            if (user := self._users.get(key)) is not None
        ]
        self.run_worker(self._retry(marked))

    async def _retry(self, marked: list[tuple[int, IdType, str]]) -> None:
        wish = self._meant
        count = len(marked) or await self.session.read(count_rejected, wish)
        question = Confirm(
            f"Retry {plural(count, 'user')}?",
            ["They become pending again.", "The next sync of their audience delivers them."],
            "Retry",
        )
        if not await self.app.push_screen_wait(question):
            return
        ledger, connection = self.session.ledger, self.session.connection
        try:
            if marked:
                done = await aside(retry_these, ledger, connection, marked)
            else:
                done = await aside(retry, ledger, connection, wish)
        except KNOWN as error:
            self.console.say(str(error), "error")
            return
        self._retried |= {of for of, _, _ in marked} or self._audiences_of(wish)
        self.query_one("#users", Grid).unmark()
        self.console.say(f"{plural(done, 'user')} pending again. Press s to sync them.")
        self.look_again()

    def _audiences_of(self, wish: RejectedFilter) -> set[int]:
        return {
            each.audience_id
            for each in self._groups
            if wish.audience_id in {None, each.audience_id}
        }

    def action_sync(self) -> None:
        """Plan a sync of the audiences whose users were retried."""
        from amp_console.console.screens.plan import PlanPlace

        self.app.push_screen(PlanPlace(tuple(sorted(self._retried))))

    def action_export(self) -> None:
        """Write what is shown into a CSV file."""
        self.run_worker(self._export())

    async def _export(self) -> None:
        name = "invalid-events.csv" if self._is_invalid else "rejected-users.csv"
        question = Ask(
            "Export as CSV",
            "Into which file? One that is there is replaced.",
            str(Path.cwd() / name),
            "Export",
        )
        path = await self.app.push_screen_wait(question)
        if path is None:
            return
        users: list[RejectedUser] = []
        events: list[InvalidEvent] = []
        if self._is_invalid:
            events = await self.session.read(
                invalid_page, 0, -1, self.query(FilterBar).last().value
            )
        else:
            users = await self.session.read(rejected_page, self._meant, 0, 1 << 62)
        try:
            count = await aside(write_errors_csv, Path(path).expanduser(), users, events)
        except ExportError as error:
            self.console.say(str(error), "error")
        else:
            self.console.say(f"{plural(count, 'row')} written to {path}.")
