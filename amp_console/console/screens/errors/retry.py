"""Making rejected users pending again, once confirmed, and planning a sync if wanted."""

import enum
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from textual.app import ComposeResult
from textual.widgets import Static

from amp_console.connections.read_only import refusal
from amp_console.console.background import aside
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Answer, Question
from amp_console.console.failures import KNOWN
from amp_console.console.routes import OpenPlan
from amp_console.console.texts import lines, safe_text
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
    """The users to retry: how many, in which audiences (id, name), and how many stay rejected.

    `only` is the identifier of a single user.
    """

    many: int
    audiences: dict[int, str]
    staying: int
    only: str = ""


class RetryOutcome(NamedTuple):
    """The result: the audiences with users pending again, and whether to plan a sync."""

    audience_ids: frozenset[int] = frozenset()
    wants_sync: bool = False


class RetryAnswer(enum.Enum):
    """What the operator chose: to retry the users, or to plan a sync of them, too."""

    RETRY = "retry"
    SYNC = "sync"


class RetryDialog(Question[RetryAnswer | None]):
    """Asks before users become pending again; None: they stay rejected."""

    def __init__(self, summary: Retried) -> None:
        super().__init__()
        self._summary = summary

    @property
    def box_title(self) -> str:
        """The question."""
        return f"Retry {plural(self._summary.many, 'user')}?"

    def answers(self) -> Sequence[Answer]:
        """Retry, or retry and plan a sync."""
        return (
            Answer("retry", "Retry", "y", "primary"),
            Answer("sync", "Retry and plan a sync", "s"),
        )

    def text(self) -> ComposeResult:
        """What will happen."""
        yield Static(lines(*(safe_text(item) for item in _consequences(self._summary))))

    def give(self, name: str) -> None:
        """Answer."""
        self.dismiss(None if name == self.LEAVE else RetryAnswer(name))


def _consequences(summary: Retried) -> list[str]:
    names = list(summary.audiences.values())
    where = ", ".join(names) if len(names) <= NAMED else f"{len(names):,} audiences"
    become = f"“{clean(summary.only, 60)}” becomes" if summary.only else "They become"
    them = "this user" if summary.only else "them"
    rows = [
        f"{become} pending again in {where}.",
        f"The next sync delivers {them}, once you have seen its plan.",
    ]
    if summary.staying:
        stay = "stays" if summary.staying == 1 else "stay"
        why = "no identifier to send."
        rows.append(f"{plural(summary.staying, 'more user')} {stay} rejected: there is {why}")
    return rows


async def ask_and_retry(
    services: Services, query: RejectedFilter, users: Sequence[RejectedUser] = ()
) -> RetryOutcome:
    """Ask, and make these users pending again, or without any all that match `query`."""
    session = services.session
    assert session is not None  # screens that retry are opened only with one
    if session.connection.read_only:
        services.notifications.post(refusal(session.connection), "warning")
        return RetryOutcome()
    summary = _of_users(users) if users else _of_groups(await session.read(rejection_groups, query))
    if not summary.many:
        services.notifications.post(NOTHING_TO_SEND, "warning")
        return RetryOutcome()
    answer = await services.ask(RetryDialog(summary))
    if answer is None:
        return RetryOutcome()
    try:
        if users:
            these = [(item.audience_id, item.id_type, item.id) for item in users]
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


def finish_retry(services: Services, outcome: RetryOutcome) -> None:
    """Remember the audiences with retried users, and open the plan of a sync where it is wanted."""
    session = services.session
    assert session is not None
    session.retried |= outcome.audience_ids
    if outcome.wants_sync:
        services.navigate(OpenPlan(tuple(sorted(session.retried))))


def _of_users(users: Sequence[RejectedUser]) -> Retried:
    summary = _sum((user.code, user.audience_id, user.audience_name, 1) for user in users)
    return summary._replace(only=users[0].id) if len(users) == 1 else summary


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
