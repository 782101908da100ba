"""Who could not be delivered and why: groups, then users; and the events that were invalid."""

from collections.abc import Hashable, Sequence
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from amp_console.connections.read_only import refusal
from amp_console.console.routes import OpenPlan, OpenRejectedUser
from amp_console.console.screens.base import BaseScreen
from amp_console.console.screens.errors.export import Shown, export
from amp_console.console.screens.errors.invalid import InvalidEvents
from amp_console.console.screens.errors.retry import NOTHING_TO_SEND, ask_and_retry, is_retriable
from amp_console.console.screens.errors.rows import (
    GROUP_COLUMNS,
    NO_MATCH,
    OF_ALL_GROUPS,
    OF_ONE_GROUP,
    group_rows,
    user_row,
)
from amp_console.console.texts import said
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, Paged, Row, rows_or_pages
from amp_console.ledger.audiences import audience
from amp_console.ledger.rejected import (
    RejectedFilter,
    RejectedUser,
    RejectionGroup,
    count_rejected,
    rejected_page,
    rejection_groups,
)
from amp_console.ledger.sources import count_invalid
from amp_console.text import plural

NOBODY = """\
Nobody is rejected.

Whomever Amplitude skips or refuses is listed here, with the reason.
"""
ONLY_HERE = "\nThese are the errors of one audience or run: press A for all of them."
EVERYTHING = 1 << 62  # as a limit


class ErrorsScreen(BaseScreen):
    """Rejected users of one audience, of one run, or of all."""

    NAME = "Errors"
    HELP = """\
Above are the reasons, below the users of the reason under the cursor. Enter goes from a reason to
its users, and from a user to everything that is known: Amplitude's words, request and answer.

R makes users pending again: the marked ones, or all of the reason under the cursor. The next sync
delivers them; it can be planned at once. i shows the events that could not be read, with file and
line. E writes what is shown into a CSV file."""
    CSS_PATH = "list.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("R", "retry", "Retry", id="errors.retry"),
        Binding("E", "export", "Export", id="errors.export"),
        Binding("i", "invalid", "Invalid events", id="errors.invalid"),
        Binding("i", "rejected", "Rejected users", id="errors.rejected"),
        Binding("A", "everything", "All audiences", id="errors.everything"),
        Binding("slash", "filter", "Filter", key_display="/", id="filter"),
        Binding("s", "sync", "Sync who was retried", show=False, id="errors.sync"),
        Binding("tab", "other_list", "Other list", show=False, id="errors.other"),
        Binding("y", "copy", "Copy the row", show=False, id="copy"),
    ]

    def __init__(
        self, audience_id: int | None = None, run_id: int | None = None, *, invalid: bool = False
    ) -> None:
        """`invalid` shows the events that could not be read first."""
        super().__init__()
        self.set_class(invalid, "-invalid")
        self._wish = RejectedFilter(audience_id=audience_id, run_id=run_id)
        self._groups: dict[Hashable, RejectionGroup] = {}
        self._users: dict[Hashable, RejectedUser] = {}
        self._count = 0
        self._shown: tuple[RejectedFilter, tuple[RejectionGroup, ...]] | None = None
        self._retried: frozenset[int] = frozenset()

    def body(self) -> ComposeResult:
        """Two lists under each other, or the one of invalid events."""
        glyphs = self.services.glyphs
        with Container(id="rejected"):
            with Container(id="groups-panel", classes="panel") as panel:
                panel.border_title = "Errors"
                yield Grid(GROUP_COLUMNS, glyphs=glyphs, id="groups")
            with Container(id="users-panel", classes="panel"):
                yield FilterBar()
                yield Grid((), glyphs=glyphs, empty=NO_MATCH, marks=True, id="users")
        yield InvalidEvents()

    # Looking.

    async def load(self) -> None:
        """Read the groups, and the users of the one under the cursor."""
        groups = await self.session.read(rejection_groups, self._wish)
        invalid = await self.session.read(count_invalid)
        title = await self._title()
        self._groups = {group.filter: group for group in groups}
        self._show_groups(title, groups, invalid)
        await self._look_at_users()
        await self.query_one(InvalidEvents).load()

    async def _title(self) -> str:
        dot = f" {self.services.glyphs.dot} "
        if self._wish.run_id is not None:
            return f"Errors{dot}run {self._wish.run_id}"
        if self._wish.audience_id is not None:
            known = await self.session.read(audience, self._wish.audience_id)
            return f"Errors{dot}{known.name}"
        return f"Errors{dot}all audiences"

    def _show_groups(self, title: str, groups: list[RejectionGroup], invalid: int) -> None:
        grid, panel = self.query_one("#groups", Grid), self.query_one("#groups-panel")
        rows = group_rows(groups, self.services.glyphs, self.services.clock.age_now)
        grid.empty = self._nobody(invalid)
        grid.show(rows)
        panel.border_title = said(title, longest=80)
        panel.border_subtitle = plural(invalid, "invalid event") if invalid else ""
        panel.styles.height = len(rows) + 3 if rows else "1fr"  # with header and border
        self.set_class(not rows, "-no-people")
        if not rows and self.query_one("#users").has_focus:
            grid.focus()

    def _nobody(self, invalid: int) -> str:
        events = plural(invalid, "event")
        more = f"{events} could not be read: press i." if invalid else "No event was invalid."
        return NOBODY + more + (ONLY_HERE if self._wish != RejectedFilter() else "")

    async def _look_at_users(self) -> None:
        wish, group = self._meant, self._group
        shown = wish, tuple(self._groups.values())
        if shown == self._shown:
            return  # the pages that were fetched are still right
        count = await self.session.read(count_rejected, wish)

        async def load(offset: int, limit: int) -> Sequence[Row]:
            users = await self.session.read(rejected_page, wish, offset, limit)
            glyphs, now = self.services.glyphs, self.services.clock.age_now
            rows = [user_row(user, glyphs, now, of_all=group is None) for user in users]
            self._users.update(zip((row.key for row in rows), users, strict=True))
            return rows

        rows = await rows_or_pages(count, load)
        if wish != self._meant:
            return  # the cursor is elsewhere by now
        is_other = self._shown is None or self._shown[0] != wish
        self._shown, self._count = shown, count
        self._show_users(rows, unmark=is_other)

    def _show_users(self, rows: Sequence[Row] | Paged, *, unmark: bool) -> None:
        grid = self.query_one("#users", Grid)
        if unmark:
            grid.marks.clear()
        grid.reshape(OF_ALL_GROUPS if self._group is None else OF_ONE_GROUP)
        grid.show(rows)
        self._entitle_users()

    def _entitle_users(self) -> None:
        group, panel = self._group, self.query_one("#users-panel")
        dot = f" {self.services.glyphs.dot} "
        title = f"{group.reason}{dot}{group.audience_name}" if group else "Users"
        panel.border_title = said(title, longest=90)
        marked = len(self.query_one("#users", Grid).marks)
        parts = [plural(self._count, "user"), *([f"{marked:,} marked"] if marked else [])]
        panel.border_subtitle = dot.join(parts)

    @property
    def _group(self) -> RejectionGroup | None:
        """The group under the cursor; None where the row stands for all."""
        return self._groups.get(self.query_one("#groups", Grid).key)

    @property
    def _meant(self) -> RejectedFilter:
        """The users shown: of the group under the cursor, with the filter's text."""
        wish, group = self._wish, self._group
        if group is not None:
            wish = msgspec.structs.replace(group.filter, run_id=wish.run_id)
        text = self.query_one("#users-panel FilterBar", FilterBar).value
        return msgspec.structs.replace(wish, text=text)

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # it is asked for when looking
        """Filter by a part of the identifier."""
        self.loader.start("users", self._look_at_users)

    # Moving about.

    @property
    def _is_invalid(self) -> bool:
        return self.has_class("-invalid")

    def on_grid_moved(self, event: Grid.Moved) -> None:
        """Show the users of another group."""
        if event.grid.id == "groups":
            self.action_keys.refresh()
            self.loader.start("users", self._look_at_users)

    def on_grid_marks_changed(self) -> None:
        """Say how many are marked."""
        self._entitle_users()

    async def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go from a group to its users, and from a user to all that is known."""
        if event.grid.id == "groups":
            self.query_one("#users").focus()
            return
        await self.loader.run(self._look_at_users)  # the cursor may have left their group just now
        user = self._users.get(event.grid.key)
        if user is not None:
            self.services.navigate(OpenRejectedUser(user))

    def action_back(self) -> None:
        """From users to groups, from invalid events to rejected users, else out."""
        if self._is_invalid:
            self.action_rejected()
        elif self.query_one("#users").has_focus:
            self.query_one("#groups").focus()
        else:
            super().action_back()

    def action_other_list(self) -> None:
        """Go to the other list."""
        if not self._is_invalid and self._groups:
            self.query_one("#groups" if self.query_one("#users").has_focus else "#users").focus()

    def action_invalid(self) -> None:
        """Show invalid events."""
        self.add_class("-invalid")
        self.query_one("#events").focus()
        self.refresh_bindings()

    def action_rejected(self) -> None:
        """Show rejected users again."""
        self.remove_class("-invalid")
        self.query_one("#groups").focus()
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Filter the list that is shown."""
        panel = "#invalid-panel" if self._is_invalid else "#users-panel"
        self.query_one(f"{panel} FilterBar", FilterBar).open()

    def on_filter_bar_left(self, event: FilterBar.Left) -> None:  # type: ignore[override]
        """Go back from the filter to the users."""
        event.prevent_default()  # or the place's own handler would go on to the first list
        self.query_one("#users").focus()

    def action_copy(self) -> None:
        """Copy the row under the cursor, of the list that has the keys."""
        grid = self.focused
        if isinstance(grid, Grid) and grid.row is not None:
            self.services.clipboard.copy("\t".join(cell.text for cell in grid.row.cells))

    def action_everything(self) -> None:
        """Show the errors of all audiences and runs."""
        self._wish = RejectedFilter()
        self.reload()

    # Doing something about it.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of the two actions of i, show the one that leads to the other list."""
        if action == ("invalid" if self._is_invalid else "rejected"):
            return False
        return super().check_action(action, parameters)

    def disabled_reason(self, action: str) -> str | None:
        """What can't be done now, and why."""
        if action == "retry":
            return self._why_no_retry()
        if action == "everything" and self._wish == RejectedFilter():
            return "These are the errors of all audiences."
        if action == "sync" and not self._retried:
            return "Retry some users first: they become pending, and a sync delivers them."
        if action in {"filter", "export"} and not self._is_invalid and not self._groups:
            return "No one is rejected."
        return None

    def _why_no_retry(self) -> str | None:
        if self._is_invalid:
            return "An event that can't be read can't be retried: mend it, and import the file."
        if not self._groups:
            return "No one is rejected."
        if self.session.connection.read_only:
            return refusal(self.session.connection)
        meant = [self._group] if self._group is not None else self._groups.values()
        return None if any(is_retriable(item.code) for item in meant) else NOTHING_TO_SEND

    def action_retry(self) -> None:
        """Make the marked users, or the group's, pending again."""
        self.run_worker(self._retry())

    async def _retry(self) -> None:
        await self.loader.run(self._look_at_users)
        grid = self.query_one("#users", Grid)
        marked = [self._users[key] for key in grid.marks if key in self._users]
        outcome = await ask_and_retry(self.services, self._meant, marked)
        if not outcome.audience_ids:
            return
        self._retried |= outcome.audience_ids
        grid.marks.clear()
        self.reload()
        if outcome.wants_sync:
            self.action_sync()

    def action_sync(self) -> None:
        """Plan a sync of the audiences whose users were retried."""
        self.services.navigate(OpenPlan(tuple(sorted(self._retried))))

    def action_export(self) -> None:
        """Write what is shown into a CSV file."""
        name = "invalid-events.csv" if self._is_invalid else "rejected-users.csv"
        self.run_worker(export(self.services, name, self._all_shown))

    async def _all_shown(self) -> Shown:
        if self._is_invalid:
            return [], await self.query_one(InvalidEvents).all_shown()
        return await self.session.read(rejected_page, self._meant, 0, EVERYTHING), []
