"""Making rejected users pending again, once confirmed, and planning a sync if wanted."""

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
from amp_console.text import plural

NOTHING_TO_SEND = (
    "There is nothing to send for them: map the identifier (m on the audiences), and import the "
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


class RetryDialog(Dialog[str | None]):
    """Answers "retry", "sync" (retry, and plan a sync at once) or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "dismiss(None)", "No", show=False),
        Binding("y", "dismiss('retry')", "Retry", show=False),
        Binding("s", "dismiss('sync')", "Retry and plan a sync", show=False),
    ]

    def __init__(self, summary: Retried) -> None:
        super().__init__()
        self._summary = summary

    @property
    def box_title(self) -> str:
        """The question."""
        return f"Retry {plural(self._summary.many, 'user')}?"

    def box(self) -> ComposeResult:
        """What will happen, and the three answers."""
        yield Static(
            lines(*(safe_text(consequence) for consequence in _consequences(self._summary)))
        )
        with Horizontal(classes="buttons"):
            yield Button(with_key("Cancel", "n"), id="no", compact=True)
            yield Button(with_key("Retry", "y"), id="retry", compact=True)
            yield Button(
                with_key("Retry, plan a sync", "s"), id="sync", variant="primary", compact=True
            )

    def on_mount(self) -> None:
        """Focus the answer that does nothing."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(None if event.button.id == "no" else event.button.id)


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
    services: Services, query: RejectedFilter, marked: Sequence[RejectedUser]
) -> RetryOutcome:
    """Ask, and make the marked users pending again, or without marks all that match `query`."""
    session = services.session
    assert session is not None  # screens that retry are opened only with one
    summary = (
        _of_users(marked) if marked else _of_groups(await session.read(rejection_groups, query))
    )
    if not summary.many:
        services.notifications.post(NOTHING_TO_SEND, "warning")
        return RetryOutcome()
    answer = await services.ask(RetryDialog(summary))
    if answer is None:
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
    hint = "" if answer == "sync" else " Press s to sync them."
    services.notifications.post(f"{plural(done, 'user')} pending again.{hint}", is_kept=False)
    return RetryOutcome(frozenset(summary.audiences), answer == "sync")


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
