"""The rejected users: groups, the users of the current group, and one user in detail."""

from collections.abc import Hashable, Iterable, Sequence
from functools import partial

import msgspec
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from amp_console.console.screens.base import screen_of
from amp_console.console.screens.errors.rejected_user import RejectedUserDetail
from amp_console.console.screens.errors.retry import (
    RetryOutcome,
    ask_about_users,
    ask_and_retry,
    count_in_vain,
    is_in_vain,
)
from amp_console.console.screens.errors.retry_question import is_retriable, lacking
from amp_console.console.screens.errors.rows import (
    GROUP_COLUMNS,
    OF_ALL_GROUPS,
    OF_ONE_GROUP,
    group_rows,
    user_row,
)
from amp_console.console.texts import safe_text
from amp_console.console.widgets.grid import Grid, Row
from amp_console.console.widgets.list_pane import ListPane, ListSource
from amp_console.console.widgets.split import Split
from amp_console.ledger.audiences import audience
from amp_console.ledger.db import EVERY
from amp_console.ledger.rejected import (
    RejectedFilter,
    RejectedUser,
    RejectionGroup,
    count_rejected,
    rejected_page,
    rejection_groups,
)
from amp_console.ledger.sources import count_invalid
from amp_console.sync.queries.person import group_reason
from amp_console.text import plural

NO_ONE = """\
No one is rejected.

Users that Amplitude skips or refuses are listed here with the reason. So are
users with missing IDs: no event has their ID of the audience's ID type.
"""
BORDER = 6  # columns of a border line that text can't use


class GroupsPanel(Container):
    """The list of reasons, with a text on them in its border."""

    _says: tuple[str, ...] = ()

    def say(self, texts: Iterable[str]) -> None:
        """Show the first of these texts that fits into the border."""
        self._says = tuple(texts)
        self.on_resize()

    def on_resize(self) -> None:
        """Show the text that fits into the new width."""
        room = (self.outer_size.width or self.screen.size.width) - BORDER
        self.border_subtitle = next((text for text in self._says if cell_len(text) <= room), "")


class RejectedUsers(Container):
    """Groups and users that match a filter, of one audience, one run or all."""

    def __init__(self, scope: RejectedFilter) -> None:
        super().__init__(id="rejected")
        self.scope = scope
        self.detail = RejectedUserDetail()
        self._groups: dict[Hashable, RejectionGroup] = {}
        self._in_vain = 0  # users of the group whose retry would fail again, by Amplitude's answers

    def compose(self) -> ComposeResult:
        services = screen_of(self).services
        glyphs, age = services.glyphs, services.age_of
        groups = GroupsPanel(
            Grid(GROUP_COLUMNS, glyphs=glyphs, age=age, opens="Users", id="groups"),
            id="groups-panel",
            classes="panel",
        )
        groups.border_title = "Errors"
        users: ListPane[RejectedFilter, RejectedUser] = ListPane(
            self._source,
            ("user", "users"),
            id="users-panel",
            grid_id="users",
            opens="Details",
            glyphs=glyphs,
            age=age,
            empty="No one.",
        )
        yield Split(Vertical(groups, users), self.detail)

    @property
    def users(self) -> ListPane[RejectedFilter, RejectedUser]:
        """The list of users."""
        return self.query_one("#users-panel", ListPane)

    @property
    def split(self) -> Split:
        return self.query_one(Split)

    @property
    def current(self) -> RejectedUser | None:
        """The user that keys act on: in the detail, or under the cursor of the list of users."""
        if self.split.is_entered:
            return self.detail.user
        return self.users.current if self.users.has_cursor else None

    @property
    def shown(self) -> RejectedUser | None:
        """The user in the detail, even if the focus is on the reasons."""
        return self.detail.user if self.split.is_entered else self.users.current

    @property
    def is_empty(self) -> bool:
        """Whether no one is rejected, as last read from the ledger."""
        return not self._groups

    @property
    def chosen(self) -> list[RejectionGroup]:
        """The group under the cursor, or every group."""
        group = self._group
        return list(self._groups.values()) if group is None else [group]

    @property
    def retry_label(self) -> str:
        """The label for retrying several users, with their number.

        "" if no one can be retried, or if a retry would fail again.
        """
        if marked := self.users.marked:
            session = screen_of(self).session
            many = sum(is_retriable(user.code) and not is_in_vain(session, user) for user in marked)
            which = f"{many:,}" if many == len(marked) else f"{many:,} of {len(marked):,}"
            return f"Retry {which} marked" if many else ""
        many = sum(group.count for group in self.chosen if is_retriable(group.code))
        many = max(0, many - self._in_vain)
        if self.users.filter_text:  # it leaves some of them, and not all of these can be retried
            return "Retry matches" if many and self.users.count > self._in_vain else ""
        total = sum(group.count for group in self.chosen)
        if many == total == 1:
            return "Retry 1 user"
        which = f"all {many:,}" if many == total else f"{many:,} of {total:,}"
        return f"Retry {which}" if many else ""

    @property
    def _group(self) -> RejectionGroup | None:
        """The group under the cursor; None for the row of all groups."""
        return self._groups.get(self.query_one("#groups", Grid).key)

    # Reading.

    async def load(self) -> None:
        """Read the groups, and the users of the group under the cursor."""
        session = screen_of(self).session
        groups = await session.read(rejection_groups, self.scope)
        invalid = await session.read(count_invalid)
        others = 0 if groups else await session.read(count_rejected)
        title, in_vain = await self._title(), await count_in_vain(session, self.scope)
        self._groups = {group.filter: group for group in groups}
        self._show_groups(title, groups, invalid, others, in_vain)
        await self._load_users()

    async def _load_users(self) -> None:
        session, query = screen_of(self).session, self._source(self.users.filter_text).query
        self._in_vain = await count_in_vain(session, query)
        await self.users.load()
        await self._load_detail()

    async def _load_detail(self) -> None:
        """Read the user under the cursor; one in a focused detail stays until that is left."""
        has_users = bool(self._groups) and not self.users.is_without_match
        self.split.has_detail = has_users or self.split.is_entered
        wanted = self.detail.user if self.split.is_entered else self.users.current
        await self.detail.load(wanted)
        screen_of(self).action_keys.refresh()

    def follow_cursor(self) -> None:
        """Show the users of the group, and the user, under the cursors."""
        screen_of(self).loader.follow("users", self._load_users)

    async def _title(self) -> str:
        screen = screen_of(self)
        dot = screen.services.glyphs.separator
        if self.scope.run_id is not None:
            return f"Errors{dot}run {self.scope.run_id}"
        if self.scope.audience_id is not None:
            known = await screen.session.read(audience, self.scope.audience_id)
            return f"Errors{dot}{known.name}"
        return f"Errors{dot}all audiences"

    def _show_groups(
        self,
        title: str,
        groups: list[RejectionGroup],
        invalid: int,
        others: int,
        in_vain: int,
    ) -> None:
        grid, panel = self.query_one("#groups", Grid), self.query_one(GroupsPanel)
        services = screen_of(self).services
        rows = group_rows(groups, services.glyphs, services.clock.age_now)
        events = plural(invalid, "event")
        more = f"{events} could not be read: press v." if invalid else "No event was invalid."
        grid.empty = (
            NO_ONE + more if self.scope == RejectedFilter() else _no_one_here(self.scope, others)
        )
        grid.show(rows)
        panel.border_title = safe_text(title, max_length=80)
        # Invalid events are not recorded by run or audience.
        invalid = 0 if self.scope.run_id is not None else invalid
        of_all = "" if self.scope.audience_id is None else " (all audiences)"
        unsent = [group for group in groups if not is_retriable(group.code)]
        stuck = sum(group.count for group in unsent)
        why = lacking(group.reason for group in unsent)
        says_invalid = f"press v for {plural(invalid, 'invalid event')}{of_all}" if invalid else ""
        says_stuck = f"{plural(stuck, 'user')} can't be retried" if stuck else ""
        with_why = f"{says_stuck}: {why}" if stuck else ""
        says_vain = f"{in_vain:,} likely rejected again" if in_vain else ""
        dot = services.glyphs.separator
        # The key stays; the rest is shown if there is room.
        panel.say(
            dot.join(filter(None, parts))
            for parts in (
                (says_invalid, with_why, says_vain),
                (says_invalid, says_stuck, says_vain),
                (says_invalid.replace("press v for", "v:"), says_stuck, says_vain),
                (says_invalid,),
            )
        )
        panel.styles.height = len(rows) + 3 if rows else "1fr"  # including header and border
        self.screen.set_class(not rows, "-no-people")
        if not rows and self.users.has_cursor:
            grid.focus()

    def _source(self, text: str) -> ListSource[RejectedFilter, RejectedUser]:
        """The users of the group under the cursor whose identifier contains the text."""
        screen, group, query = screen_of(self), self._group, self.scope
        if group is not None:
            query = msgspec.structs.replace(group.filter, run_id=query.run_id)
        query = msgspec.structs.replace(query, text=text)
        services, answers = screen.services, screen.session.search_answers
        dot = services.glyphs.separator

        async def count() -> int:
            return await screen.session.read(count_rejected, query)

        async def read(offset: int, limit: int) -> Sequence[RejectedUser]:
            return await screen.session.read(rejected_page, query, offset, limit)

        def row(user: RejectedUser) -> Row:
            answer, now = answers.about(user), services.clock.age_now
            return user_row(user, answer, services.glyphs, now, of_all=group is None)

        return ListSource(
            query,
            f"{group_reason(group.code, group.reason)}{dot}{group.audience_name}"
            if group
            else "Users",
            OF_ALL_GROUPS if group is None else OF_ONE_GROUP,
            count,
            read,
            row,
            revision=(tuple(self._groups.values()), answers.revision),
            subject=group.filter if group is not None else None,
        )

    async def all_shown(self) -> Sequence[RejectedUser]:
        """Read every user of the group under the cursor that matches the filter."""
        return await self._source(self.users.filter_text).read(0, EVERY)

    # Keys.

    def go_to_groups(self) -> None:
        self.query_one("#groups").focus()

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        screen_of(self).action_keys.refresh()
        self.follow_cursor()

    async def on_grid_opened(self, event: Grid.Opened) -> None:
        """Go from a group to its users, and from a user to its request and answer."""
        event.stop()
        if event.grid.id == "groups":
            self.users.focus_list()
            return
        screen = screen_of(self)
        await screen.loader.run(self.users.load)  # by now, the row may belong to another group
        user = self.users.find(event.key)
        if user is not None:
            await screen.loader.run(partial(self.detail.load, user))
            self.split.enter()
            screen.refresh_bindings()

    def on_descendant_blur(self) -> None:
        """Let the detail follow the cursor again after it was left."""
        self.follow_cursor()

    async def retry(self) -> RetryOutcome:
        """After confirmation, make the marked users, or the whole group, pending."""
        await screen_of(self).loader.run(self.users.load)
        return await self._retry(self.users.marked)

    async def retry_one(self) -> RetryOutcome:
        """After confirmation, make the user in question pending."""
        await screen_of(self).loader.run(self.users.load)
        user = self.shown
        if user is None:
            return RetryOutcome()
        answer, age_of = self.detail.answer_about(user), screen_of(self).services.age_of
        said = "" if answer is None else answer.for_retry(age_of(answer.asked_at), user)
        return await self._retry([user], said)

    async def _retry(self, users: Sequence[RejectedUser], said: str = "") -> RetryOutcome:
        query = self._source(self.users.filter_text).query
        outcome = await ask_and_retry(screen_of(self).services, query, users, said)
        if outcome.counts:
            self.users.unmark()
        return outcome


def audience_id_of(rejected: RejectedUsers) -> int | None:
    """The audience of the user or the reason under the cursor; None for all reasons."""
    if rejected.current is not None:
        return rejected.current.audience_id
    return rejected._group.audience_id if rejected._group is not None else None


def asked_users(rejected: RejectedUsers) -> Sequence[RejectedUser]:
    """The users to ask Amplitude about: in the detail, marked, or under the cursor."""
    marked = () if rejected.split.is_entered else rejected.users.marked
    return marked or ([rejected.current] if rejected.current is not None else [])


def asked_of_reason(rejected: RejectedUsers) -> int:
    """About how many users of the reason under the cursor Amplitude can be asked.

    0 if the focus is in the list of users: Amplitude is then asked about those.
    """
    if rejected.split.is_entered or rejected.users.has_cursor:
        return 0
    return sum(group.count for group in rejected.chosen if is_retriable(group.code))


async def ask_amplitude(rejected: RejectedUsers) -> None:
    """Ask Amplitude whether it now knows those users, or all users of the reason."""
    asked, screen = asked_users(rejected), screen_of(rejected)
    if asked_of_reason(rejected):
        await ask_about_users(screen.services, await rejected.all_shown())
        screen.reload()
    elif len(asked) == 1:
        await rejected.detail.ask(asked[0])
    elif asked:
        await ask_about_users(screen.services, asked)
        screen.reload()  # the list shows the answer, too


def _no_one_here(scope: RejectedFilter, others: int) -> str:
    """Say that a part of the errors is empty, and where the `others` are."""
    if scope.run_id is not None:
        none, where = "No user's last rejection was by this run.", ""
    else:
        none, where = "No one is rejected.", " of other audiences"
    if not others:
        return none
    return f"{none}\n\nPress A to show {plural(others, 'other user')}{where}."
