"""Making rejected users pending again, once confirmed, and planning a sync if wanted."""

import enum
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Button, Static

from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Dialog
from amp_console.console.failures import KNOWN
from amp_console.console.texts import lines, safe_text, with_key
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import (
    RejectedFilter,
    RejectedUser,
    RejectionGroup,
    rejection_groups,
)
from amp_console.sync.delivery.retry import retry, retry_these
from amp_console.text import clean, plural

NOTHING_TO_SEND = (
    "Nothing to send for them: map the identifier (press m under Audiences), and import the "
    "events again."
)
NAMED = 3  # audiences that are named; of more only the number is said


def is_retriable(code: Reason) -> bool:
    """Whether another try may end differently; without an identifier there is nothing to send."""
    return code is not Reason.NO_IDENTIFIER


class Retried(NamedTuple):
    """The users to retry: how many, in which audiences (id, name), and how many stay rejected."""

    many: int
    audiences: dict[int, str]
    staying: int


class RetryOutcome(NamedTuple):
    """The result: the audiences with users pending again, and whether to plan a sync."""

    audience_ids: frozenset[int] = frozenset()
    wants_sync: bool = False


class RetryAnswer(enum.Enum):
    """What the operator chose: all users in question, the one under the cursor, or a sync, too."""

    ALL = "all"
    ONE = "one"
    SYNC = "sync"


class RetryDialog(Dialog[RetryAnswer | None]):
    """Asks before users become pending again; None: they stay rejected.

    `only` is the identifier of the user under the cursor where it is to be chosen between this
    one and all.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "dismiss(None)", "No", show=False),
        Binding("y", "answer('all')", "Retry", show=False),
        Binding("u", "answer('one')", "Only this user", show=False),
        Binding("s", "answer('sync')", "Retry and plan a sync", show=False),
    ]

    def __init__(self, summary: Retried, only: str | None = None) -> None:
        super().__init__()
        self._summary = summary
        self._only = only

    @property
    def box_title(self) -> str:
        """The question."""
        if self._only is not None:
            return "Retry which users?"
        return f"Retry {plural(self._summary.many, 'user')}?"

    def box(self) -> ComposeResult:
        """What will happen, and the answers."""
        many, only = self._summary.many, self._only
        rows = [safe_text(consequence) for consequence in _consequences(self._summary)]
        if only is not None:
            can_be = f"{plural(many, 'user')} of the list can be retried"
            which = f"The cursor is on “{clean(only, 60)}”; {can_be}."
            rows = [safe_text(which), *rows]
        yield Static(lines(*rows))
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "n"), id="no", compact=True)
            if only is not None:
                yield Button(
                    with_key("Only this user", "u"), id="one", variant="primary", compact=True
                )
                yield Button(with_key(f"All {many:,} users", "y"), id="all", compact=True)
                return
            yield Button(with_key("Retry", "y"), id="all", compact=True)
            yield Button(
                with_key("Retry and plan a sync", "s"), id="sync", variant="primary", compact=True
            )

    def on_mount(self) -> None:
        """Focus the answer that does nothing."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "no":
            self.dismiss(None)
        else:
            self.action_answer(event.button.id or "")

    def action_answer(self, name: str) -> None:
        """Give one of the answers that the dialog offers."""
        if self.query(f"#{name}"):
            self.dismiss(RetryAnswer(name))


def _consequences(summary: Retried) -> list[str]:
    names = list(summary.audiences.values())
    where = ", ".join(names) if len(names) <= NAMED else f"{len(names):,} audiences"
    rows = [
        f"They become pending again in {where}.",
        "The next sync delivers them, once you have seen its plan.",
    ]
    if summary.staying:
        stay = "stays" if summary.staying == 1 else "stay"
        why = "no identifier to send."
        rows.append(f"{plural(summary.staying, 'more user')} {stay} rejected: there is {why}")
    return rows


async def ask_and_retry(
    services: Services,
    query: RejectedFilter,
    marked: Sequence[RejectedUser],
    current: RejectedUser | None = None,
) -> RetryOutcome:
    """Ask, and make the marked users pending again, or without marks all that match `query`.

    `current` is the user that the cursor is on, if it is on one: this one alone can be chosen.
    """
    session = services.session
    assert session is not None  # screens that retry are opened only with one
    summary = (
        _of_users(marked) if marked else _of_groups(await session.read(rejection_groups, query))
    )
    if not summary.many:
        services.notifications.post(NOTHING_TO_SEND, "warning")
        return RetryOutcome()
    is_choice = current is not None and not marked and summary.many > 1
    only = current.id if is_choice and current is not None else None
    answer = await services.ask(RetryDialog(summary, only))
    if answer is None:
        return RetryOutcome()
    if answer is RetryAnswer.ONE and current is not None:
        marked, summary = [current], _of_users([current])
    if not summary.many:
        services.notifications.post(NOTHING_TO_SEND, "warning")
        return RetryOutcome()
    try:
        if marked:
            these = [(item.audience_id, item.id_type, item.id) for item in marked]
            done = await aside(retry_these, session.ledger, session.connection, these)
        else:
            done = await aside(retry, session.ledger, session.connection, query)
    except KNOWN as error:
        services.notifications.post(str(error), "error")
        return RetryOutcome()
    is_sync = answer is RetryAnswer.SYNC
    hint = "" if is_sync else " Press s to sync them."
    services.notifications.post(f"{plural(done, 'user')} pending again.{hint}", is_kept=False)
    return RetryOutcome(frozenset(summary.audiences), is_sync)


def _of_users(users: Sequence[RejectedUser]) -> Retried:
    return _sum((user.code, user.audience_id, user.audience_name, 1) for user in users)


def _of_groups(groups: Sequence[RejectionGroup]) -> Retried:
    return _sum(
        (group.code, group.audience_id, group.audience_name, group.count) for group in groups
    )


def _sum(parts: Iterable[tuple[Reason, int, str, int]]) -> Retried:
    sums, audiences = {True: 0, False: 0}, {}
    for code, audience_id, name, many in parts:
        sums[is_retriable(code)] += many
        if is_retriable(code):
            audiences[audience_id] = name
    return Retried(sums[True], audiences, sums[False])
