"""The answers of Amplitude's user search, kept while they are true; screens share them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from amp_console.ledger.deliveries import Reason
from amp_console.sync.formatting import UNLIKELY
from amp_console.values import IdType

if TYPE_CHECKING:
    from amp_console.ledger.rejected import RejectedUser
    from amp_console.sync.queries.person import PersonStatus

UserKey = tuple[int, IdType, str]
"""An audience ID, an ID type and an identifier."""


class SearchAnswer(NamedTuple):
    """The answer of a search, as text.

    `is_known`: whether Amplitude knows the identifier; None if it did not say. `asked_at` is the
    time of the search, and `rejected_at` are the times of the person's rejections by then, in
    microseconds since 1970. `unusable` says why the person's other identifier does not help while
    the events lack it.
    """

    text: Content
    is_known: bool | None = None
    asked_at: int = 0
    rejected_at: frozenset[int] = frozenset()
    unusable: str = ""

    def said(self, *, lacks_identifier: bool) -> Content:
        """The text; `lacks_identifier`: an audience can't send the person without one."""
        return self.text + self.unusable if lacks_identifier else self.text

    def is_outdated(self, statuses: Iterable["PersonStatus"]) -> bool:
        """Whether Amplitude has rejected the person since the answer."""
        is_answer = self.is_known is not None
        return is_answer and not rejected_at(statuses) <= self.rejected_at

    def for_retry(self, age: str, user: "RejectedUser") -> str:
        """What the retry question says about the answer; "" if there is none."""
        if self.is_known is None:
            return ""
        knows = "knows" if self.is_known else "does not know"
        said = f"Asked {age}, Amplitude said that it {knows} this identifier"
        but = ", but it refused it again" if self.was_refused_again(user) else ""
        return f"{said}{but}: {UNLIKELY}." if is_retry_in_vain(user, self) else f"{said}."

    def was_refused_again(self, user: "RejectedUser") -> bool:
        """Whether Amplitude knows a user, and refused the identifier more than once."""
        return bool(self.is_known) and is_refused_again(user)


def is_refused_again(user: "RejectedUser") -> bool:
    """Whether Amplitude refused an identifier more than once, whether it knows the user or not."""
    return user.code is Reason.REFUSED and user.tries > 1


def is_retry_in_vain(user: "RejectedUser", answer: SearchAnswer | None) -> bool:
    """Whether Amplitude would reject a user again: it does not know them, or refused them again.

    `answer` is what it said of the user; None: it was not asked.
    """
    return is_refused_again(user) or (answer is not None and answer.is_known is False)


class SearchAnswers:
    """Amplitude's answers about the rejected users of a ledger, each kept while it is true."""

    def __init__(self) -> None:
        self._answers: dict[UserKey, SearchAnswer] = {}
        self._named_by_events: dict[str, str] = {}
        self.revision = 0
        """Increases with each answer."""

    def keep(self, key: UserKey, answer: SearchAnswer) -> None:
        self._answers[key] = answer
        self.revision += 1

    def keep_same_person(self, text: str, named: str) -> None:
        """Record that events name the person with the identifier `text` by another one."""
        self._named_by_events[text] = named

    def named_by_events(self, text: str) -> str | None:
        """The identifier by which events name a person, according to Amplitude; None if unknown."""
        return self._named_by_events.get(text)

    def about(self, user: "RejectedUser") -> SearchAnswer | None:
        """The answer about a rejected user; None if Amplitude was not asked since the rejection.

        An answer that Amplitude knows a user stays valid when it rejects them for another reason.
        """
        answer = self._answers.get(key_of(user))
        if answer is None or user.code is Reason.NO_IDENTIFIER or user.at in answer.rejected_at:
            return answer
        return answer if answer.is_known and user.code is Reason.REFUSED else None


def key_of(user: "RejectedUser") -> UserKey:
    """The key of a user in the ledger."""
    return user.audience_id, user.id_type, user.id


def rejected_at(statuses: Iterable["PersonStatus"]) -> frozenset[int]:
    """Return the times of the rejections, in microseconds since 1970."""
    rejections = (status.record.rejection for status in statuses)
    return frozenset(item.at for item in rejections if item is not None)
