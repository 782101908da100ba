"""The answer of Amplitude's user search about a person, and what it means for them."""

from collections.abc import Collection

from amp_console.console.failures import expected_failures
from amp_console.console.search_answer import SearchAnswer, rejected_at
from amp_console.console.session import Session
from amp_console.console.texts import BAD, GOOD, WARN, safe_text
from amp_console.sync.queries.person import (
    PersonStatus,
    PersonVerdict,
    UserLookup,
    explain_person,
    look_up_user,
)
from amp_console.text import plural
from amp_console.values import IdType

NOT_USED = (
    " amp-console can't use it: a sync sends the identifiers that events carry. Add the {wanted} "
    "to the events, or match the audience by {has}."
)
"""About an identifier that Amplitude knows, but the person's events lack."""


async def answer_to(
    session: Session, text: str, statuses: Collection[PersonStatus], now: int
) -> SearchAnswer:
    """Ask Amplitude about an identifier, and keep its answers about rejected users.

    `statuses` are what the audiences know; `now` is in microseconds since 1970.
    """
    try:
        async with await session.client() as client:
            found = await look_up_user(client, text)
        return await keep_answer(session, text, found, statuses, now)
    except expected_failures() as error:
        return SearchAnswer(safe_text((str(error), BAD)))


async def keep_answer(
    session: Session, text: str, found: UserLookup, statuses: Collection[PersonStatus], now: int
) -> SearchAnswer:
    """Say what Amplitude's result means, and keep it; see `answer_to` for the arguments."""
    other = next((id_ for id_ in (found.user_id, found.amplitude_id) if id_ and id_ != text), None)
    many = len(await session.read(explain_person, other)) if other is not None else 0
    if other is not None and statuses:
        session.search_answers.keep_same_person(other, text)
    elif other is not None and many:
        session.search_answers.keep_same_person(text, other)
    label = IdType.AMPLITUDE_ID.label if other == found.amplitude_id else IdType.USER_ID.label

    def answer(about: Collection[PersonStatus]) -> SearchAnswer:
        follows = f" The person's {label} is {other}{_where(many, about)}." if other else ""
        said = safe_text((found.sentence, GOOD if found.is_known else WARN), follows)
        unusable = _not_used(about) if other else ""
        return SearchAnswer(said, found.is_known, now, rejected_at(statuses), unusable)

    for status in statuses:
        key = status.record.audience.id, status.record.id_type, text
        session.search_answers.keep(key, answer([status]))
    return answer(statuses)


def _where(many: int, about: Collection[PersonStatus]) -> str:
    """Say whether a search for the other identifier finds anything, in how many audiences.

    If events contain only the other one, it is already listed, so no key is named. If they contain
    only the given one, the other needs no search.
    """
    if not many:
        return "" if about else "; no event contains it either"
    key = ": press / to search for it" if about else ""
    return f" (known in {plural(many, 'audience')}{key})"


def _not_used(statuses: Collection[PersonStatus]) -> str:
    """Why the other identifier does not help a person whose events lack it."""
    for status in statuses:
        if status.verdict is PersonVerdict.NO_IDENTIFIER:
            record = status.record
            return NOT_USED.format(wanted=record.audience.id_type.label, has=record.id_type.label)
    return ""
