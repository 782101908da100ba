"""The question before rejected users become pending again: what it knows, says and offers."""

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from textual.app import ComposeResult
from textual.widgets import Static

from amp_console.console.dialogs.base import Answer, Question
from amp_console.console.texts import safe_lines
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import RejectedUser, RejectionGroup
from amp_console.text import clean, listed, plural

MAX_ASKED = 20  # users; Amplitude allows 360 searches an hour
NAMED = 3  # up to this many audiences and users are named; more are only counted


def is_retriable(code: Reason) -> bool:
    """Whether a retry may succeed; without an identifier, there is nothing to send."""
    return code is not Reason.NO_IDENTIFIER


class RetrySummary(NamedTuple):
    """The users who can be retried: their audiences (ID, name), and how many in each.

    `staying` users can't be retried: they have no identifier to send, as `lacking` says. `only` is
    the identifier of a single person, `names` are those of a few. A sync of these audiences also
    delivers `others`, the changes already pending in them. `answer` is Amplitude's answer about the
    users, "" if it was not asked; `subject` names those who are retried, as the start of a
    sentence, if it knows only some. `unknown` counts users that Amplitude rejected as unknown and
    was not asked about; with `asks_again`, it may be asked about all of them once more. `left_out`
    counts users who are left out because of its answers; `is_in_vain`: that is true of all, and no
    retry will help.
    """

    audiences: dict[int, str]
    counts: Mapping[int, int]
    staying: int
    only: str = ""
    others: int = 0
    unknown: int = 0
    answer: str = ""
    subject: str = ""
    lacking: str = ""
    asks_again: bool = False
    left_out: int = 0
    names: tuple[str, ...] = ()
    is_in_vain: bool = False

    @property
    def can_ask(self) -> bool:
        """Whether to offer to ask Amplitude about the users first."""
        return self.asks_again or 0 < self.unknown <= MAX_ASKED

    @property
    def retriable(self) -> int:
        """How many users the retry makes pending."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """How many users were chosen."""
        return self.retriable + self.staying + self.left_out


class RetryAnswer(enum.Enum):
    """What the operator chose: to retry, to also plan a sync, or to ask Amplitude first."""

    RETRY = "retry"
    SYNC = "sync"
    ASK = "ask"


class RetryDialog(Question[RetryAnswer | None]):
    """Asks before users become pending again; None means that they stay rejected."""

    def __init__(self, summary: RetrySummary) -> None:
        super().__init__(is_danger=summary.is_in_vain and not summary.can_ask)
        self._summary = summary

    @property
    def box_title(self) -> str:
        """The title: how many of the chosen users are retried."""
        retriable, total = self._summary.retriable, self._summary.total
        if retriable < total:
            return f"Retry {retriable:,} of {plural(total, 'user')}?"
        return f"Retry {plural(retriable, 'user')}?"

    def answers(self) -> Sequence[Answer]:
        """Retry, or retry and plan a sync; first of all ask Amplitude, if the text advises that."""
        can_ask = self._summary.can_ask
        retry = (
            Answer("retry", "Retry", "y", "default" if can_ask else "primary"),
            Answer("sync", "Retry and plan a sync", "s"),
        )
        return (Answer("ask", "Ask Amplitude", "a", "primary"), *retry) if can_ask else retry

    def text(self) -> ComposeResult:
        yield Static(safe_lines(_consequences(self._summary)))

    def give(self, name: str) -> None:
        self.dismiss(None if name == self.LEAVE else RetryAnswer(name))


def _consequences(summary: RetrySummary) -> list[str]:
    names = list(summary.audiences.values())
    where = ", ".join(names) if len(names) <= NAMED else f"{len(names):,} audiences"
    names = [f"“{clean(name, 60)}”" for name in summary.names]
    they = "This user" if summary.retriable == 1 else "They"
    who = listed(names) if names else they
    users = f"“{clean(summary.only, 60)}”" if summary.only else summary.subject or who
    rows = [f"{users} will be pending again in {where}.", _next_sync(summary)]
    if summary.answer:  # those left out come after those retried
        rows.insert(len(rows) if summary.left_out else 0, summary.answer)
    if summary.unknown:
        rows.append(_unknown(summary))
    if summary.staying:
        are = plural(summary.staying, "more user is", "more users are")
        rows.append(f"{are} not retried: {summary.lacking}.")
    return rows


def _unknown(summary: RetrySummary) -> str:
    """Warn of a second rejection, and say how to find out."""
    if summary.only:
        ask = " Ask it first to find out." if summary.can_ask else ""
        return (
            "Amplitude did not know this user, and will reject them again unless it has since "
            f"received an event from them.{ask}"
        )
    who = "any of them" if summary.unknown == summary.retriable else f"{summary.unknown:,} of them"
    ask = " Ask it first to retry only those that it knows now." if summary.can_ask else ""
    return (
        f"Amplitude did not know {who}, and will reject them again unless it has since received an "
        f"event from them.{ask}"
    )


def _next_sync(summary: RetrySummary) -> str:
    """Say what the next sync sends, which can't be limited to the retried users."""
    them = "this user" if summary.retriable == 1 else "them"
    if not summary.others:
        return f"The next sync will try {them} again. You will see its plan first."
    is_one = len(summary.audiences) == 1
    where = "of this audience" if is_one else "of these audiences"
    others = plural(summary.others, "other pending change")
    return (
        f"The next sync {where} will try {them} again and send {others}. You will see its plan "
        "first."
    )


def of_users(users: Sequence[RejectedUser]) -> RetrySummary:
    """Count these users, and name them if they are few."""
    summary = _sum(
        (user.code, user.reason, user.audience_id, user.audience_name, 1) for user in users
    )
    if len({user.id for user in users}) == 1:
        return summary._replace(only=users[0].id)
    sent = {user.id: None for user in users if is_retriable(user.code)}
    return summary._replace(names=tuple(sent)) if len(sent) <= NAMED else summary


def of_groups(groups: Sequence[RejectionGroup]) -> RetrySummary:
    """Count the users of these groups; none is named."""
    return _sum(
        (group.code, group.reason, group.audience_id, group.audience_name, group.count)
        for group in groups
    )


def lacking(reasons: Iterable[str]) -> str:
    """The identifier missing for users who were never sent, with these reasons.

    Audiences of both ID types have no identifier in common.
    """
    found = {*reasons}
    reason = found.pop() if len(found) == 1 else "No identifier of the audience's ID type"
    return reason[:1].lower() + reason[1:]


def _sum(parts: Iterable[tuple[Reason, str, int, str, int]]) -> RetrySummary:
    counts, audiences, staying, unknown = Counter[int](), dict[int, str](), 0, 0
    unsent = set[str]()
    for code, reason, audience_id, name, many in parts:
        if is_retriable(code):
            audiences[audience_id] = name
            counts[audience_id] += many
            unknown += many if code is Reason.UNKNOWN else 0
        else:
            staying += many
            unsent.add(reason)
    return RetrySummary(audiences, counts, staying, unknown=unknown, lacking=lacking(unsent))
