"""What Amplitude's user search says of a person, and what follows for them."""

from collections.abc import Iterable
from typing import NamedTuple

from textual.content import Content

from amp_console.console.failures import KNOWN
from amp_console.console.session import Session
from amp_console.console.texts import BAD, GOOD, WARN, safe_text
from amp_console.ledger.deliveries import Reason
from amp_console.sync.queries.person import (
    PersonStatus,
    PersonVerdict,
    explain_person,
    look_up_user,
)
from amp_console.text import plural

RETRIABLE = {
    Reason.UNKNOWN: " It rejected them as unknown before: retry this user (U).",
    Reason.REFUSED: " So the identifier is right, although it was refused: retry this user (U).",
}


NOT_USED = (
    " amp-console can't use it: a sync sends the identifiers that events carry. Have the events "
    "carry the {wanted}, or match the audience by {has}."
)
"""Of the identifier that the events of a person lack, although Amplitude knows it."""


class SearchAnswer(NamedTuple):
    """What is said of a search.

    `is_known`: whether Amplitude knows the identifier; None where it did not say. `has_events`:
    whether events name the person by the other identifier that Amplitude knows.
    """

    text: Content
    is_known: bool | None = None
    has_events: bool = False


async def answer_to(session: Session, text: str, statuses: Iterable[PersonStatus]) -> SearchAnswer:
    """Ask Amplitude for an identifier; `statuses` say what the audiences know."""
    try:
        async with await session.client() as client:
            found = await look_up_user(client, text)
    except KNOWN as error:
        return SearchAnswer(safe_text((str(error), BAD)))
    statuses = list(statuses)
    other = next((id_ for id_ in (found.user_id, found.amplitude_id) if id_ and id_ != text), None)
    many = len(await session.read(explain_person, other)) if other is not None else 0
    follows = _advice(statuses) if found.is_known else ""
    if other is not None:
        follows += f" Its other identifier: {other}{_where(many)}{_not_used(statuses)}"
    said = safe_text((found.sentence, GOOD if found.is_known else WARN), follows)
    return SearchAnswer(said, found.is_known, many > 0)


def _advice(statuses: Iterable[PersonStatus]) -> str:
    """What to do about a rejected person that Amplitude knows."""
    rejections = [item.record.rejection for item in statuses]
    codes = [item.code for item in rejections if item is not None]
    return next((RETRIABLE[code] for code in codes if code in RETRIABLE), "")


def _where(many: int) -> str:
    """Whether a search for the other identifier finds anything, in so many audiences."""
    if not many:
        return " (no event names it)."
    return f" (known in {plural(many, 'audience')}: press / to search for it)."


def _not_used(statuses: Iterable[PersonStatus]) -> str:
    """Why the other identifier does not help a person whose events lack it."""
    for status in statuses:
        if status.verdict is PersonVerdict.NO_IDENTIFIER:
            record = status.record
            return NOT_USED.format(wanted=record.audience.id_type.label, has=record.id_type.label)
    return ""
