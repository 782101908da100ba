"""Making rejected users pending again, after confirmation, and optionally planning a sync."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from amp_console.connections import Connection
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.failures import expected_failures
from amp_console.console.routes import OpenPlan
from amp_console.console.screens.actions import read_only_reason
from amp_console.console.screens.errors.retry_question import (
    MAX_ASKED,
    RetryAnswer,
    RetryDialog,
    RetrySummary,
    is_retriable,
    lacking,
    of_groups,
    of_users,
)
from amp_console.console.screens.person_lookup import keep_answer
from amp_console.console.search_answer import is_retry_in_vain
from amp_console.console.session import Session
from amp_console.console.words import between
from amp_console.ledger import Db
from amp_console.ledger.audiences import audience
from amp_console.ledger.counts import outstanding
from amp_console.ledger.db import EVERY
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.rejected import (
    RejectedFilter,
    RejectedUser,
    newest_rejection,
    rejected_page,
    rejection_groups,
)
from amp_console.sync.delivery.retry import retry, retry_these
from amp_console.sync.formatting import UNLIKELY
from amp_console.sync.queries.person import UserLookup, explain_person, look_up_users
from amp_console.text import capitalized, plural

NO_IDENTIFIER = "Not retried: the ID is missing, so there is nothing to send. "
NOTHING_TO_SEND = f"{NO_IDENTIFIER}Set its field (press m), and import the events again."
"""The text under Errors."""
NOT_SENT = f"{NO_IDENTIFIER}Open Errors and press m to set its field, then import the events again."
"""The text of a notification, on any screen."""
NOT_REJECTED = "No one was retried: these users are no longer rejected."
MAX_READ = 500  # users searched for those whose retry would fail again
ASKED_AT_ONCE = 5  # Amplitude allows 10


def reason_not_to_retry(connection: Connection, codes: Iterable[Reason]) -> str | None:
    """Why users who were rejected for these reasons can't be retried; None if some can."""
    if (reason := read_only_reason(connection)) is not None:
        return reason
    return None if any(map(is_retriable, codes)) else NOTHING_TO_SEND


class RetryOutcome(NamedTuple):
    """The result: how many users are pending again by audience, and whether to plan a sync."""

    counts: Mapping[int, int] = {}
    wants_sync: bool = False


async def ask_and_retry(
    services: Services,
    query: RejectedFilter,
    users: Sequence[RejectedUser] = (),
    answer: str = "",
    subject: str = "",
) -> RetryOutcome:
    """After confirmation, make these users pending or, without any, all that match `query` now.

    See `RetrySummary` for `answer` and `subject`.
    """
    session = services.session
    assert session is not None  # screens that retry are only opened with one
    if (reason := read_only_reason(session.connection)) is not None:
        services.notifications.post(reason, "warning")
        return RetryOutcome()
    query = await session.read(_as_of_now, query)
    known = _all_in_vain(session, users, answer)
    if not answer:
        known = await _answered(services, session, query, users)
    summary = await _summary(session, query, known)
    if not summary.retriable:
        services.notifications.post(NOT_SENT if summary.staying else NOT_REJECTED, "warning")
        return RetryOutcome()
    choice = await services.ask(RetryDialog(summary._replace(subject=subject)))
    if choice is None:
        return RetryOutcome()
    if choice is RetryAnswer.ASK:
        return await _ask_amplitude_first(services, session, query, known.users)
    done = await _retry(services, session, query, known.users)
    if not done:
        return RetryOutcome()
    is_sync = choice is RetryAnswer.SYNC
    text = f"{plural(done, 'user')} pending again."
    if summary.others and not is_sync:  # otherwise the plan that opens counts them
        text += f" The next sync also delivers {plural(summary.others, 'other pending change')}."
    if not is_sync:
        text += " Press s to see its plan."
    services.notifications.post(text, is_kept=False)
    return RetryOutcome(summary.counts, is_sync)


async def _summary(session: Session, query: RejectedFilter, known: "_Answered") -> RetrySummary:
    """Count who can be retried, and what else the next sync delivers."""
    if known.users:
        summary = of_users(known.users)
    else:
        summary = of_groups(await session.read(rejection_groups, query))
    return summary._replace(
        others=await session.read(_pending, tuple(summary.audiences)),
        unknown=summary.unknown if known.unasked is None else known.unasked,
        answer=known.answer,
        asks_again=known.asks_again,
        left_out=known.left_out,
        is_in_vain=known.is_in_vain,
    )


async def _retry(
    services: Services, session: Session, query: RejectedFilter, users: Sequence[RejectedUser]
) -> int:
    """Make the users pending or, without any, all that match; return how many, or post why none."""
    try:
        if users:
            these = [(item.audience_id, item.id_type, item.id) for item in users]
            done = await in_thread(retry_these, session.ledger, session.connection, these)
        else:
            done = await in_thread(retry, session.ledger, session.connection, query)
    except expected_failures() as error:
        services.notifications.post(str(error), "error")
        return 0
    if not done:
        services.notifications.post(NOT_REJECTED, "warning")
    return done


class _Answered(NamedTuple):
    """The users to retry (none: all of a filter), given Amplitude's earlier answers.

    `answer` is what they mean for a retry; `unasked` is about how many unknown users Amplitude was
    not asked (None: all); see `RetrySummary` for the other fields.
    """

    users: Sequence[RejectedUser]
    answer: str = ""
    unasked: int | None = None
    asks_again: bool = False
    left_out: int = 0
    is_in_vain: bool = False


def _all_in_vain(session: Session, users: Sequence[RejectedUser], answer: str) -> _Answered:
    """Say that no retry of these users will succeed; Amplitude may be asked again."""
    vain = bool(users) and all(is_in_vain(session, user) for user in users)
    unknown = sum(user.code is Reason.UNKNOWN for user in users) if vain else 0
    return _Answered(users, answer, 0, 0 < unknown <= MAX_ASKED, is_in_vain=vain)


async def _answered(
    services: Services, session: Session, query: RejectedFilter, users: Sequence[RejectedUser]
) -> _Answered:
    """Leave out those whose retry would fail again, unless that is true of all."""
    about = session.search_answers.about
    chosen = users or await first_users(session, query)
    tried = [user for user in chosen if is_retriable(user.code)]
    vain = [user for user in tried if is_in_vain(session, user)]
    if not (vain or any(map(about, tried))):
        return _Answered(users)
    unasked = sum(user.code is Reason.UNKNOWN and about(user) is None for user in tried)
    if not vain:
        return _Answered(users, "", unasked)
    if len(vain) < len(tried):
        rest = [user for user in chosen if user not in vain]
        answer = _not_retried(services, session, vain)
        return _Answered(rest, answer, unasked, left_out=len(vain))
    answer = f"{capitalized(UNLIKELY)}: {_why_in_vain(services, session, vain)}."
    unknown = sum(user.code is Reason.UNKNOWN for user in vain)
    return _Answered(users, answer, 0, 0 < unknown <= MAX_ASKED, is_in_vain=True)


def _not_retried(services: Services, session: Session, users: Sequence[RejectedUser]) -> str:
    """Say that these users are left out, and why."""
    are = plural(len(users), "user is", "users are")
    return f"{are} not retried: {_why_in_vain(services, session, users)}."


def _why_in_vain(services: Services, session: Session, users: Sequence[RejectedUser]) -> str:
    """Why Amplitude would reject these users again: what it did, or said and when."""
    asked: dict[bool, list[int]] = {False: [], True: []}
    for user in users:
        answer = session.search_answers.about(user)
        if answer is not None and answer.is_known is not None:
            asked[answer.is_known].append(answer.asked_at)
    unknown, known = len(asked[False]), len(asked[True])
    refused = len(users) - unknown - known

    def them(count: int) -> str:
        if count == len(users):
            return "this user" if count == 1 else "them"
        return f"{count:,} of them"

    said = []
    if unknown:
        when = _ages(services, asked[False])
        said.append(f"Amplitude does not know {them(unknown)} (asked {when})")
    if known:
        when = _ages(services, asked[True])
        said.append(f"Amplitude knows {them(known)} (asked {when}) but refused them again")
    if refused:
        said.append(f"Amplitude refused {them(refused)} more than once")
    return "; ".join(said)


def _ages(services: Services, times: Sequence[int]) -> str:
    """How long ago the first and the last of these times were: "2 to 7 min ago"."""
    return between(services.age_of(max(times)), services.age_of(min(times)))


async def first_users(session: Session, query: RejectedFilter) -> Sequence[RejectedUser]:
    """Return the matching users, but none if too many."""
    found = await session.read(rejected_page, query, 0, MAX_READ + 1)
    return found if len(found) <= MAX_READ else ()


async def count_in_vain(session: Session, query: RejectedFilter) -> int:
    """How many of the matching users Amplitude would reject again if retried."""
    found = await first_users(session, query)
    return sum(is_retriable(user.code) and is_in_vain(session, user) for user in found)


def is_in_vain(session: Session, user: RejectedUser) -> bool:
    """Whether Amplitude would reject a user again, by what it did or said."""
    return is_retry_in_vain(user, session.search_answers.about(user))


async def _ask_amplitude_first(
    services: Services, session: Session, query: RejectedFilter, users: Sequence[RejectedUser]
) -> RetryOutcome:
    """Ask Amplitude about users it did not know, and offer to retry those it now knows."""
    chosen = users or await session.read(rejected_page, query, 0, EVERY)
    unknown = [user for user in chosen if user.code is Reason.UNKNOWN]
    if not unknown:  # someone else has retried them in the meantime
        return await ask_and_retry(services, query, chosen)
    try:
        found = await _look_up(services, session, unknown)
    except expected_failures() as error:
        services.notifications.post(f"{error} Nothing was retried.", "error")
        return RetryOutcome()
    known = [user for user in unknown if found[user.id].is_known]
    refused = [user for user in chosen if user.code is Reason.REFUSED]
    retried = [*known, *refused]
    if not retried:
        text = "Amplitude still knows none of these users. Nothing was retried."
        if len(found) == 1:
            text = "Amplitude still does not know this user. Nothing was retried."
        services.notifications.post(text, "warning")
        return RetryOutcome()
    answer, subject = _what_it_knows(len(unknown), len(known), len(refused))
    return await ask_and_retry(services, query, retried, answer, subject)


async def ask_about_users(services: Services, users: Sequence[RejectedUser]) -> None:
    """Ask Amplitude whether it now knows these users, and post how many it does."""
    session = services.session
    assert session is not None  # screens that ask are only opened with one
    asked = [user for user in users if is_retriable(user.code)]
    try:
        found = await _look_up(services, session, asked)
    except expected_failures() as error:
        services.notifications.post(str(error), "error")
        return
    known = sum(found[user.id].is_known for user in asked)
    some = {0: "none", len(asked): "all"}.get(known, f"{known:,}")
    which = "both of these" if known == len(asked) == 2 else f"{some} of these {len(asked):,}"
    text = f"Amplitude knows {which} users now."
    if len(found) == 1:
        text = f"Amplitude {'knows' if known else 'does not know'} the user in question."
    if unsent := [user for user in users if not is_retriable(user.code)]:
        why = lacking(user.reason for user in unsent)
        text += f" It was not asked about {len(unsent):,} more: {why}."
    services.notifications.post(text, is_kept=False)


async def _look_up(
    services: Services, session: Session, users: Iterable[RejectedUser]
) -> dict[str, UserLookup]:
    """Ask Amplitude about these users, with a notification; keep the answers, by identifier.

    A user who is rejected in several audiences is searched for once. Raises `AmplitudeError` and
    `LedgerError`.
    """
    ids = dict.fromkeys(user.id for user in users)
    text = f"Asking Amplitude about {plural(len(ids), 'user')}{services.glyphs.more}"
    services.notifications.post(text, is_kept=False)
    try:
        with services.held_keys.asking_service():
            async with await session.client() as client:
                found = await look_up_users(client, ids, ASKED_AT_ONCE)
        for id_, lookup in found.items():
            statuses = await session.read(explain_person, id_)
            await keep_answer(session, id_, lookup, statuses, services.clock.now)
    finally:
        services.notifications.withdraw(text)
    return found


def _what_it_knows(asked: int, known: int, refused: int) -> tuple[str, str]:
    """Say how many of the `asked` users Amplitude now knows, and name those retried.

    A user who is rejected in several audiences counts in each. `refused` users, rejected for
    another reason, are retried without asking.
    """
    if asked == 1 and not refused:
        return "Amplitude knows this user now.", ""
    stay = "stays" if asked - known == 1 else "stay"
    if not known:
        says = f"Amplitude knows none of the {asked:,} rejected as unknown: they {stay} rejected."
    elif known < asked:
        says = (
            f"Amplitude now knows {known:,} of the {asked:,} rejected as unknown: the other "
            f"{asked - known:,} {stay} rejected."
        )
    else:
        says = f"Amplitude now knows all {asked:,} rejected as unknown."
    if asked == 1:
        says = "Amplitude now knows the user rejected as unknown."
        if not known:
            says = "Amplitude still does not know the user rejected as unknown, who stays rejected."
    groups = [f"the {known:,} it knows now" if known > 1 else "the user it knows now"]
    groups = groups if known else []
    groups += [f"the {refused:,} rejected for another reason"] if refused else []
    those = " and ".join(groups)
    return says, capitalized(those)


def finish_retry(services: Services, outcome: RetryOutcome) -> None:
    """Remember the audiences with retried users, and open the plan of a sync if requested."""
    session = services.session
    assert session is not None
    session.retried.update(outcome.counts)
    if outcome.wants_sync:
        services.navigate(OpenPlan(tuple(sorted(session.retried))))


def _as_of_now(db: Db, query: RejectedFilter) -> RejectedFilter:
    """The filter for users who match now: those rejected during the question stay rejected."""
    return msgspec.structs.replace(query, up_to=newest_rejection(db))


def _pending(db: Db, audience_ids: Collection[int]) -> int:
    """How many changes of these audiences the next sync delivers."""
    return sum(outstanding(db, audience(db, audience_id)).pending for audience_id in audience_ids)
