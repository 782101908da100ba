"""The errors screen: rejected users, and events that could not be read."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from amp_console.console.background import in_thread
from amp_console.console.dialogs.export import SAVE_AS, TITLE, ExportRequest, export_to
from amp_console.console.lifecycle import deferred, is_open
from amp_console.console.routes import (
    MainScreen,
    OpenAudienceSettings,
    OpenMapping,
    OpenPerson,
    OpenPlan,
)
from amp_console.console.screens.base import FILTER, NO_MATCH, BaseScreen
from amp_console.console.screens.errors.invalid import InvalidEvents
from amp_console.console.screens.errors.rejected import (
    RejectedUsers,
    ask_amplitude,
    asked_of_reason,
    asked_users,
    audience_id_of,
)
from amp_console.console.screens.errors.rejected_user import RejectedUserDetail
from amp_console.console.screens.errors.retry import RetryOutcome, finish_retry, reason_not_to_retry
from amp_console.console.screens.errors.retry_question import MAX_ASKED, is_retriable
from amp_console.console.screens.footer import Labelled, UsefulActions, Withheld
from amp_console.console.session import Session
from amp_console.console.widgets.filter_bar import clear_filters
from amp_console.console.widgets.grid import Grid, clear_marks
from amp_console.ledger.audiences import audience
from amp_console.ledger.rejected import RejectedFilter, RejectedUser
from amp_console.sync.queries.errors_export import write_errors_csv
from amp_console.text import clean, plural

PERSON = Labelled("person", "This person")
NARROW = {"ask": Labelled("ask", "Ask"), "retry_one": Labelled("retry_one", "Retry user")}
"""Shorter labels in the list of users, with which both fit into a narrow footer."""
MAX_NAME = 30  # characters of an audience's name in the footer
NOTHING_TO_ASK = (
    "Not asked: the IDs of these users are missing, so nothing can be sent. Set the ID's field "
    "(press m), then import the events again."
)
NOT_RETRIED = "Invalid events can't be retried. Fix them, and import the file again."


class ErrorsScreen(BaseScreen):
    """Rejected users of one audience, one run, or all, and invalid events."""

    NAME = "Errors"
    BELONGS_TO = MainScreen.ERRORS
    HELP = """\
The list of reasons comes first, then its users, then the details of one user: Amplitude's words,
the request and the answer. Enter goes from a reason to its users, from a user to the details, and
from there to the request. Esc goes back.

Tab moves between the reasons and the users. u asks Amplitude whether it now knows the marked users,
the user under the cursor, or all users listed for the reason. f shows what every audience knows
about the user under the cursor. U makes that user pending again. R does so for the marked users, or
for all users of the reason. The next sync delivers them, with everything else that is pending in
their audiences; you can open its plan at once. v shows the events that could not be read, with file
and line. m sets the fields of the identifiers and tries them on the event in question. e opens the
settings of the audience. E writes what is shown to a CSV file."""
    CSS_PATH = "list.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "U",
            "retry_one",
            "Retry this user",
            tooltip="Make this user pending again",
            id="errors.retry_one",
        ),
        Binding(
            "R",
            "retry",
            "Retry all",
            tooltip="Make users pending again: the marked ones, or all of the reason",
            id="errors.retry",
        ),
        Binding(
            "u",
            "ask",
            "Ask Amplitude",
            tooltip="Ask whether Amplitude knows them: the marked users, or those under the cursor",
            id="errors.ask",
        ),
        Binding("E", "export", "Export", id="errors.export"),
        Binding(
            "v",
            "invalid",
            "Invalid events",
            tooltip="Show events that could not be read",
            id="errors.invalid",
        ),
        Binding(
            "v",
            "rejected",
            "Users",
            tooltip="Show users who were not delivered",
            id="errors.rejected",
        ),
        Binding("A", "everything", "All audiences", id="errors.everything"),
        Binding(
            "enter",
            "request",
            "Request",
            key_display="Enter",
            tooltip="Show the request and its answer",
            id="errors.request",
        ),
        Binding(
            "f",
            "person",
            "Person",
            tooltip="Why someone is (not) in a cohort",
            id="errors.person",
        ),
        Binding(
            "m",
            "mapping",
            "Field mapping",
            tooltip="Set which event fields hold IDs, and try them on this event",
            id="errors.mapping",
        ),
        Binding(
            "e",
            "settings",
            "Settings",
            tooltip="Open the settings of the audience, which has the ID type",
            id="errors.settings",
        ),
        Binding("tab", "other_list", "Users / reasons", key_display="Tab", id="errors.other_list"),
        FILTER,
        Binding("s", "sync", "Plan a sync", show=False, id="errors.sync"),
        Binding("y", "copy", "Copy", show=False, id="copy"),
    ]

    def __init__(
        self, audience_id: int | None = None, run_id: int | None = None, *, invalid: bool = False
    ) -> None:
        """With `invalid`, it first shows the events that could not be read."""
        super().__init__()
        self.set_class(invalid, "-invalid")
        self._retried: dict[int, str] = {}
        """The names of the audiences shown here whose users the next sync retries, by ID."""
        self._rejected = RejectedUsers(RejectedFilter(audience_id=audience_id, run_id=run_id))
        self._invalid = InvalidEvents()

    def body(self) -> ComposeResult:
        yield self._rejected
        yield self._invalid

    async def load(self) -> None:
        only, session = self._rejected.scope.audience_id, self.session
        self._retried = {
            id_: (await session.read(audience, id_)).name
            for id_ in sorted(session.retried)
            if only in {None, id_}
        }
        await self._rejected.load()
        await self._invalid.load()

    def apply_filter(self, needle: str) -> None:  # noqa: ARG002  # the list reads its own filter
        self._rejected.follow_cursor()

    # Navigation.

    @property
    def _is_invalid(self) -> bool:
        return self.has_class("-invalid")

    def action_back(self) -> None:
        """Unmark users, clear a filter, or go from users to groups, from invalid to rejected."""
        if clear_marks(self):
            return
        is_entered = self._rejected.split.is_entered or self._invalid.is_entered
        if not is_entered and clear_filters(self):
            return
        if self._is_invalid and not self._invalid.is_entered:
            self.action_rejected()
        elif self._rejected.users.has_cursor:
            self._rejected.go_to_groups()
        else:
            super().action_back()
        self.refresh_bindings()

    def action_invalid(self) -> None:
        self.add_class("-invalid")
        self._invalid.query_one(Grid).focus()
        self.action_keys.refresh()

    def action_rejected(self) -> None:
        self.remove_class("-invalid")
        self._rejected.go_to_groups()
        self.action_keys.refresh()

    def action_other_list(self) -> None:
        """Go from the reasons to the users, or back; from a detail, to the next panel."""
        if self._is_invalid or self._rejected.split.is_entered:
            self.focus_next()
        elif self._rejected.users.has_cursor:
            self._rejected.go_to_groups()
        else:
            self._rejected.users.focus_list()

    def action_filter(self) -> None:
        (self._invalid if self._is_invalid else self._rejected.users).open_filter()

    def revisit(self) -> None:
        """Show all rejected users: the key that opens this screen also works on it."""
        super().revisit()
        self.action_rejected()
        self.action_everything()

    def action_everything(self) -> None:
        """Show all errors, of every audience and run."""
        self._rejected.scope = RejectedFilter()
        self.reload()

    # Actions.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide actions that lead to the current list, or need a user if there is none."""
        if action == ("invalid" if self._is_invalid else "rejected"):
            return False
        if action in {"other_list", "retry_one", "settings"} and self._is_invalid:
            return False  # there, Tab moves between panels
        if action == "everything" and self._rejected.scope == RejectedFilter():
            return False
        if is_open(self) and action == "request":
            user = self._rejected.detail.user
            if not self._rejected.split.is_entered or user is None or user.request_id is None:
                return False
        is_no_sync = action == "sync" and not self._retried
        if is_no_sync or (
            is_open(self) and action in {"person", "ask"} and _is_no_one(self, action)
        ):
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        useful = _useful_here(self)
        names = [clean(name) for name in self._retried.values()]
        if not names or self._is_invalid:
            return useful
        what = names[0] if len(names) == 1 else plural(len(names), "audience")
        label = f"Plan a sync of {what}" if len(what) <= MAX_NAME else "Plan a sync"
        sync = Labelled("sync", "Sync" if self.has_class("-narrow") else label)
        # For an audience whose users were not retried, its own useful actions come first.
        at = 0 if audience_id_of(self._rejected) in {None, *self._retried} else 1
        return *useful[:at], sync, *useful[at:]

    def disabled_reason(self, action: str) -> str | None:
        if action in {"retry", "retry_one"}:
            is_one = action == "retry_one"
            reason = _reason_not_to_retry(self.session, self._rejected, is_one=is_one)
            return NOT_RETRIED if self._is_invalid else reason
        if action in {"settings", "everything"}:
            return _reason_of_scope(self._rejected, action)
        if action == "request":
            return _reason_without_request(self)
        if action == "export" and not self._is_invalid and self._rejected.users.is_without_match:
            return NO_MATCH
        if action in {"filter", "export"} and not self._is_invalid and self._rejected.is_empty:
            return "No one is rejected."
        return _reason_not_to_ask(self._rejected) if action == "ask" else None

    def action_retry(self) -> None:
        """Make the marked users, or the group's, pending again."""
        self.early_keys.ask_soon(_retry(self, self._rejected.retry))

    def action_retry_one(self) -> None:
        """Make the user under the cursor, or in detail, pending again."""
        self.early_keys.ask_soon(_retry(self, self._rejected.retry_one))

    def action_ask(self) -> None:
        """Ask Amplitude whether it knows the user in question, or the marked ones."""
        self.run_worker(deferred(ask_amplitude, self._rejected), exclusive=True, group="ask")

    def action_request(self) -> None:
        """Show the request that sent the user, with its answer."""
        self._rejected.detail.show_request()

    def action_mapping(self) -> None:
        """Set the fields of the identifiers, by the event in question."""
        place = self._invalid.place if self._is_invalid else self._rejected.detail.place
        self.services.navigate(OpenMapping(*place))

    def action_settings(self) -> None:
        """Open the settings of the audience of the user or the reason."""
        if (audience_id := audience_id_of(self._rejected)) is not None:
            self.services.navigate(OpenAudienceSettings(audience_id))

    def action_person(self) -> None:
        """Show why the user is, or is not, in each cohort."""
        user = self._rejected.current
        if user is not None:
            answer = self._rejected.detail.answer_about(user)
            self.services.navigate(OpenPerson(user.id, answer))

    def action_copy(self) -> None:
        """Copy the detail, or the row under the cursor."""
        if self._rejected.split.is_entered:
            self.services.clipboard.copy(self._rejected.detail.text.plain)
        else:
            super().action_copy()

    def action_sync(self) -> None:
        """Plan a sync of retried users, with all changes of their audiences."""
        self.services.navigate(OpenPlan(tuple(self._retried)))

    def action_export(self) -> None:
        """Write what is shown to a CSV file."""
        name = "invalid-events.csv" if self._is_invalid else "rejected-users.csv"
        write = partial(_export, self)
        self.run_worker(export_to(self.services, TITLE, SAVE_AS, name, write))


async def _export(screen: ErrorsScreen, request: ExportRequest) -> int:
    users = [] if screen._is_invalid else await screen._rejected.all_shown()
    events = await screen._invalid.all_shown() if screen._is_invalid else []
    return await in_thread(write_errors_csv, request.path, users, events, exact=request.exact)


def _useful_here(screen: ErrorsScreen) -> UsefulActions:
    """The useful actions, besides a sync of retried users."""
    rejected = screen._rejected
    if screen._is_invalid:
        others = "export", "rejected"
        # No mapping makes a broken text valid.
        return others if screen._invalid.is_broken_text else ("mapping", *others)
    everything = ("everything",) if rejected.scope != RejectedFilter() else ()
    users = rejected.users
    label = rejected.retry_label
    retry: UsefulActions = (Labelled("retry", label) if label else Withheld("retry"),)
    user = rejected.shown
    can_retry = user is None or is_retriable(user.code)
    one = ("retry_one",) if can_retry else ("mapping", "settings")
    if rejected.split.is_entered:
        retry_one = Labelled("retry_one", "Retry")
        if not rejected.detail.is_rejected:
            of_one: UsefulActions = (Withheld("retry_one"),)
        else:
            of_one = (retry_one,) if can_retry else one
        here = _of_user(rejected.detail, *of_one)
        return *here, "request", PERSON, "copy", *retry, Withheld("filter")
    if rejected.is_empty:
        return *everything, "invalid"
    if users.is_without_match:
        return Labelled("other_list", "Reasons"), *everything, "invalid"
    if users.marked:
        retry = _of_marked(screen.session, users.marked, *retry)
    if users.has_cursor:
        of_user = () if users.marked else _of_user(rejected.detail, *one)
        labels = NARROW if screen.has_class("-narrow") else {}
        return (
            *(labels.get(item, item) if isinstance(item, str) else item for item in of_user),
            *retry,
            Labelled("other_list", "Reasons"),
            PERSON,
            "export",
            *everything,
            "invalid",
        )
    mapping = () if any(is_retriable(group.code) for group in rejected.chosen) else one
    many = asked_of_reason(rejected)
    ask = (Labelled("ask", f"Ask about {many:,}"),) if 1 < many <= MAX_ASKED else ()
    return *mapping, *retry, *ask, "export", *everything, "invalid"


def _is_no_one(screen: ErrorsScreen, action: str) -> bool:
    """Whether an action needs a user, and there is none."""
    rejected = screen._rejected
    found = rejected.current if action == "person" else asked_users(rejected)
    return screen._is_invalid or not (found or (action == "ask" and asked_of_reason(rejected)))


def _reason_without_request(screen: ErrorsScreen) -> str | None:
    """Why there is no request to show; for an invalid event, which key shows the event."""
    if screen._is_invalid:
        if screen._invalid.is_broken_text:
            return "These events are not JSON: correct them in the file at the line that is shown."
        return "Press m to see the first of these events, with the paths of the identifiers."
    user = screen._rejected.detail.user
    return None if user and user.request_id else "No request ever included this user."


def _reason_of_scope(rejected: RejectedUsers, action: str) -> str | None:
    """Why no audience's settings can be opened, or why all audiences can't be shown."""
    if action == "everything":
        is_all = rejected.scope == RejectedFilter()
        return "The errors of all audiences are shown already." if is_all else None
    if audience_id_of(rejected) is None:
        return "Move the cursor to a user, or to a reason: each belongs to one audience."
    return None


def _of_user(detail: RejectedUserDetail, *others: str | Labelled | Withheld) -> UsefulActions:
    """The useful actions for a user, depending on whether Amplitude knows them."""
    if not detail.is_retry_in_vain:
        return ("ask", *others) if detail.is_known is None else (*others, "ask")
    ask = () if detail.is_known else ("ask",)
    return *ask, Withheld("retry_one")


def _of_marked(
    session: Session, marked: Sequence[RejectedUser], *retry: str | Labelled | Withheld
) -> UsefulActions:
    """The useful actions for the marked users: ask about them first, or retry them."""
    can_retry = [user for user in marked if is_retriable(user.code)]
    if not can_retry:
        return retry
    ask = Labelled("ask", f"Ask about {len(can_retry):,} marked")
    is_asked = all(session.search_answers.about(user) is not None for user in can_retry)
    return (*retry, ask) if is_asked else (ask, *retry)


def _reason_not_to_ask(rejected: RejectedUsers) -> str | None:
    """Why Amplitude can't be asked about the users in question."""
    users, of_reason = asked_users(rejected), asked_of_reason(rejected)
    many = of_reason or sum(is_retriable(user.code) for user in users)
    if not many and len(users) > 1:
        return NOTHING_TO_ASK
    if many <= MAX_ASKED:
        return None
    most = f"Amplitude is asked about at most {MAX_ASKED} users at a time"
    if of_reason:
        return f"{most}, and there are {many:,}: press Enter, and mark some of them with space."
    return f"{most}, and {many:,} are marked."


def _reason_not_to_retry(session: Session, rejected: RejectedUsers, *, is_one: bool) -> str | None:
    """Why the user under the cursor, or the chosen ones, can't be retried."""
    if rejected.users.is_without_match and not rejected.split.is_entered:
        return NO_MATCH
    if is_one and rejected.split.is_entered and not rejected.detail.is_rejected:
        return "This user is no longer rejected: they have been retried since."
    if is_one and not rejected.is_empty and rejected.current is None:
        return "Press Enter to go to the users of this reason, and U retries one of them."
    shown = [rejected.shown] if rejected.shown is not None else []
    chosen = shown if is_one else rejected.users.marked or rejected.chosen
    if not chosen:
        return "No one is rejected." if rejected.is_empty else "No user is selected."
    return reason_not_to_retry(session.connection, [item.code for item in chosen])


async def _retry(screen: ErrorsScreen, ask: Callable[[], Awaitable[RetryOutcome]]) -> None:
    outcome = await ask()
    screen.reload()  # Amplitude may also have been asked
    finish_retry(screen.services, outcome)
