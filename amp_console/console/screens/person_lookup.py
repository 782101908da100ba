"""What Amplitude's user search says of a person, and what follows for them."""

from collections.abc import Iterable
from typing import NamedTuple

from textual.content import Content

from amp_console.console.failures import KNOWN
from amp_console.console.session import Session
from amp_console.console.texts import BAD, GOOD, WARN, safe_text
from amp_console.ledger.deliveries import Reason
from amp_console.sync.queries.person import PersonStatus, explain_person, look_up_user
from amp_console.text import plural

RETRIABLE = {
    Reason.UNKNOWN: " It rejected them as unknown before: retry this user (U).",
    Reason.REFUSED: " So the identifier is right, although it was refused: retry this user (U).",
}


class SearchAnswer(NamedTuple):
    """What is said of a search; whether Amplitude knows the identifier (None: not known)."""

    text: Content
    is_known: bool | None = None


async def answer_to(session: Session, text: str, statuses: Iterable[PersonStatus]) -> SearchAnswer:
    """Ask Amplitude for an identifier; `statuses` say what the audiences know."""
    try:
        async with await session.client() as client:
            found = await look_up_user(client, text)
    except KNOWN as error:
        return SearchAnswer(safe_text((str(error), BAD)))
    rejections = [item.record.rejection for item in statuses]
    codes = [item.code for item in rejections if item is not None]
    advice = next((RETRIABLE[code] for code in codes if code in RETRIABLE), "")
    other = [item for item in (found.user_id, found.amplitude_id) if item and item != text]
    names = f" Its other identifier: {other[0]}{await _where(session, other[0])}" if other else ""
    said = safe_text(
        (found.sentence, GOOD if found.is_known else WARN),
        advice if found.is_known else "",
        names,
    )
    return SearchAnswer(said, found.is_known)


async def _where(session: Session, other: str) -> str:
    """Whether a search for the other identifier finds anything."""
    many = len(await session.read(explain_person, other))
    found = f"known in {plural(many, 'audience')}: press / to search for it"
    return f" ({found})." if many else " (no event names it)."
