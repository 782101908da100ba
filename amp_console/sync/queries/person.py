"""Why a person is, or is not, in a cohort: the question operators are asked most often."""

import enum
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.audience_queries import audience_queries
from amp_console.ledger.comparisons import DifferenceKind, PriorState
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.findings import PersonComparison
from amp_console.ledger.people import PersonRecord, find_person, identifiers_beginning
from amp_console.ledger.rejected import no_identifier
from amp_console.ledger.runs import RunKind
from amp_console.sync.formatting import UNLIKELY
from amp_console.text import readable_time
from amp_console.values import IdType, Operation

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient


class PersonVerdict(enum.StrEnum):
    """The status of a person in one cohort."""

    IN = "in the cohort"
    OUT = "not in the cohort"
    ON_THE_WAY = "being sent"
    UNCERTAIN = "not yet certain"
    ENTERS = "to be added"
    LEAVES = "to be removed"
    REJECTED = "rejected"
    NO_IDENTIFIER = "missing ID"
    OTHER_ID_TYPE = "other ID type"
    NO_COHORT = "no cohort"
    BROKEN = "broken link"
    EXTRA = "extra"


class PersonStatus(msgspec.Struct, frozen=True):
    """The status of a person in one audience's cohort: a sentence with the reason, and facts."""

    record: PersonRecord
    verdict: PersonVerdict
    sentence: str
    query_source: str = ""
    """The source that lists the audience's members by a query; "" where events name them."""

    @property
    def answer(self) -> str:
        """The verdict in words; it names the identifier that is missing."""
        if self.verdict is PersonVerdict.NO_IDENTIFIER:
            return f"no {self.record.audience.id_type.label}"
        return str(self.verdict)

    def sentence_if(self, is_known: bool | None) -> str:
        """The sentence, with advice that follows from what Amplitude's user search said.

        `is_known` as in `advice`.
        """
        if self.verdict is PersonVerdict.REJECTED:
            return _rejected(self.record, is_known)
        return self.sentence

    @property
    def is_missing(self) -> bool:
        """Whether the newest event says that they are a member, and they are not in the cohort."""
        return self.record.is_member and self.verdict not in {
            PersonVerdict.IN,
            PersonVerdict.UNCERTAIN,
            PersonVerdict.OTHER_ID_TYPE,
        }

    @property
    def rejected(self) -> str | None:
        """Why they are rejected, as the errors say it; None if they are not."""
        if self.verdict is PersonVerdict.NO_IDENTIFIER:
            return no_identifier(self.record.audience)
        return self.record.rejection.reason if self.record.rejection else None

    @property
    def since(self) -> int | None:
        """When it came about, in microseconds since 1970; None where that is not known."""
        record = self.record
        if record.is_only_found and record.finding is not None:
            return record.finding.at
        if record.rejection is not None:
            return record.rejection.since
        if record.finding is not None and _disappeared(record) and record.delivered is False:
            return record.finding.at
        event_at = record.event_at if record.source is not None else None
        if self.verdict in {PersonVerdict.IN, PersonVerdict.OUT} and record.request is not None:
            return record.request.settled_at or event_at
        return event_at

    @property
    def event_says(self) -> str:
        """What the newest event says of the person."""
        if self.record.source is None:
            return "none"
        return "a member" if self.record.is_member else "not a member"

    @property
    def delivered(self) -> str:
        """Where the person is by the ledger."""
        record = self.record
        if record.delivered is not None:
            return "in the cohort" if record.delivered else "not in the cohort"
        why, last = record.rejection, record.request
        if why is not None and why.code is Reason.REFUSED and last is not None:
            done = "added to" if why.operation is Operation.ADD else "removed from"
            return f"not {done} the cohort: Amplitude refused request {last.id}"
        return "not known whether in the cohort"

    @property
    def belongs(self) -> str:
        """Where the person should be, and why they can't be there."""
        record, wanted = self.record, self.record.audience.id_type.label
        if self.verdict is PersonVerdict.NO_IDENTIFIER:
            return f"in the cohort, but the event carries no {wanted}"
        if self.verdict is PersonVerdict.OTHER_ID_TYPE and record.is_member:
            return f"in the cohort by {wanted} {record.counterpart}"
        return "in the cohort" if record.wanted else "not in the cohort"

    @property
    def found(self) -> str | None:
        """How a comparison found the person; None where none of those kept says anything."""
        finding = self.record.finding
        return None if finding is None else _FOUND[finding.kind]


def found_text(comparison: PersonComparison) -> str:
    """How a comparison found a person."""
    if comparison.is_rejected:
        return "rejected, so not in the cohort"
    return "no difference" if comparison.kind is None else _FOUND[comparison.kind]


_FOUND = {
    DifferenceKind.MISSING: "missing from the cohort",
    DifferenceKind.LEFT: "in the cohort, although they left",
    DifferenceKind.STRANGER: "in the cohort, but in no event",
    DifferenceKind.NO_ID_IN_COHORT: "in the cohort, without an identifier to match",
    DifferenceKind.LISTED: "in the list and in the cohort",
    DifferenceKind.UNLISTED: "in neither the list nor the cohort",
}


class UserLookup(msgspec.Struct, frozen=True):
    """Whether Amplitude knows an identifier, and the user's identifiers if it does."""

    is_known: bool
    user_id: str | None
    amplitude_id: str | None
    sentence: str


def explain_person(db: Db, text: str, dead: Collection[int] = ()) -> list[PersonStatus]:
    """Return the person's status in every audience that knows the identifier.

    Identifiers are matched exactly: case counts, as it does in Amplitude. `dead` as in `all_runs`.
    """
    found = [_explained(record) for record in find_person(db, text, dead)]
    listing = {
        key: query.source for key, query in audience_queries(db).items() if not query.is_changes
    }
    return [
        msgspec.structs.replace(item, query_source=listing.get(item.record.audience.id, ""))
        for item in found
    ]


MAX_SUGGESTED = 10


def look_up_person(
    db: Db, text: str, dead_runs: Collection[int] = ()
) -> tuple[str, list[PersonStatus]]:
    """Explain a typed or pasted identifier; return it as it was looked up.

    It is looked up exactly as it was typed. If no event contains that, the spaces around it are
    left out: they were probably pasted with it.
    """
    found, trimmed = explain_person(db, text, dead_runs), text.strip()
    if found or not trimmed or trimmed == text:
        return text, found
    return trimmed, explain_person(db, trimmed, dead_runs)


def suggest_identifiers(db: Db, text: str) -> list[str]:
    """Return a few identifiers that begin with a text, in their order.

    If none does, return those that begin with it in lower or upper case: Amplitude compares
    identifiers exactly.
    """
    for spelling in dict.fromkeys((text, text.lower(), text.upper())):
        if found := identifiers_beginning(db, spelling, MAX_SUGGESTED):
            return found
    return []


def are_spelt_otherwise(text: str, suggested: Sequence[str]) -> bool:
    """Whether suggestions begin with a text in another case."""
    return bool(suggested) and not suggested[0].startswith(text)


def _explained(record: PersonRecord) -> PersonStatus:
    verdict = _verdict(record)
    return PersonStatus(record, verdict, _SENTENCES[verdict](record))


def _verdict(record: PersonRecord) -> PersonVerdict:  # noqa: PLR0911  # one line a verdict
    audience = record.audience
    if record.is_only_found:
        return PersonVerdict.EXTRA
    if record.id_type is not audience.id_type:
        has_other = record.counterpart is not None or not record.is_member
        return PersonVerdict.OTHER_ID_TYPE if has_other else PersonVerdict.NO_IDENTIFIER
    if record.rejection is not None:
        return PersonVerdict.REJECTED
    if audience.broken:
        return PersonVerdict.BROKEN
    if audience.cohort_id is None and record.wanted:
        return PersonVerdict.NO_COHORT
    if record.is_under_way:
        return PersonVerdict.ON_THE_WAY
    if record.delivered is not record.wanted:
        return PersonVerdict.ENTERS if record.wanted else PersonVerdict.LEAVES
    if record.certain_at is not None:
        return PersonVerdict.UNCERTAIN
    return PersonVerdict.IN if record.wanted else PersonVerdict.OUT


def _in(record: PersonRecord) -> str:
    return (
        f"In the cohort: {_event(record)} says they entered the audience, and Amplitude "
        f"confirmed adding them{_by_run(record)}.{_disappeared(record)}"
    )


def _disappeared(record: PersonRecord) -> str:
    """That the person was in the cohort and had gone from it, where a comparison found so."""
    finding = record.finding
    if (
        finding is None
        or finding.kind is not DifferenceKind.MISSING
        or finding.prior_state is not PriorState.DELIVERED
    ):
        return ""
    was = "were" if record.delivered is not True else "had been"
    when = readable_time(finding.at)
    return (
        f" They {was} missing from the cohort when it was compared ({when}, run "
        f"{finding.run_id}), although an earlier request had added them."
    )


def _out(record: PersonRecord) -> str:
    if record.source is None:
        return _removed_stranger(record)
    left = f"Not in the cohort: {_says_they_left(record)}"
    if record.request is None or record.request.operation is Operation.ADD:
        return f"{left}, and they were never in the cohort."
    return f"{left}, and Amplitude confirmed removing them{_by_run(record)}."


def _removed_stranger(record: PersonRecord) -> str:
    """Say how a user of no event came into the ledger: by a comparison, or to create a cohort."""
    start, finding = "Not in the cohort, and in no event: they", record.finding
    removed = f" and removed by {_run(record)}" if record.request is not None else ""
    if finding is not None and finding.kind is DifferenceKind.STRANGER:
        when = f"{readable_time(finding.at)}, run {finding.run_id}"
        return f"{start} were found in it when it was compared ({when}){removed}."
    if record.run_kind is RunKind.REPAIR:
        return f"{start} were found in it by a comparison{removed}."
    return f"{start} were used to create the cohort{removed}."


def _extra(record: PersonRecord) -> str:
    finding = record.finding
    assert finding is not None
    found = (
        f"In the cohort when it was compared ({readable_time(finding.at)}, run {finding.run_id})"
    )
    if finding.kind is DifferenceKind.STRANGER:
        return (
            f"{found}, and in no event: amp-console did not add them. A repair of this comparison "
            "removes them."
        )
    wanted = record.audience.id_type.label
    return (
        f"{found}, and in no event. Amplitude has no {wanted} for them, so they can't be "
        "matched with the audience."
    )


def _uncertain(record: PersonRecord) -> str:
    assert record.certain_at is not None
    known = _in(record) if record.wanted else _out(record)
    return (
        f"{known} But an earlier request without an answer may still take effect and undo this. "
        f"A run after {readable_time(record.certain_at)}, or a live session, confirms it again."
    )


def _on_the_way(record: PersonRecord) -> str:
    verb = "added" if record.wanted else "removed"
    return f"Being {verb} right now{_by_run(record)}; Amplitude has not answered yet."


def _enters(record: PersonRecord) -> str:
    unsure = " It is unknown whether an earlier request got through." if _is_unsure(record) else ""
    if record.refusals:
        times = _times(record.refusals)
        return (
            f"Not in the cohort yet: {_event(record)} says they entered the audience. Amplitude "
            f"rejected them{times} before{_by_run(record)}. You retried them: "
            f"{_next_sync(record, 'tries again')}."
        )
    gone = _disappeared(record)
    start = "Missing from the cohort" if gone else "Not in the cohort yet"
    return (
        f"{start}: {_event(record)} says they entered the audience, and "
        f"{_next_sync(record, 'adds them again' if gone else 'adds them')}.{unsure}{gone}"
    )


def _leaves(record: PersonRecord) -> str:
    certain = "Still" if record.delivered else "Maybe still"
    if record.source is None:
        return (
            f"{certain} in the cohort, and in no event: no such user is in the audience, "
            f"and {_next_sync(record, 'removes them')}."
        )
    return (
        f"{certain} in the cohort: {_says_they_left(record)}, and "
        f"{_next_sync(record, 'removes them')}."
    )


_REFUSED_AGAIN = "Retrying did not help: Amplitude refused this identifier again."
_ADVICE = {
    Reason.UNKNOWN: (
        "Amplitude has to receive an event with exactly this identifier first: case and leading "
        "zeros count. Ask Amplitude whether it knows the identifier now. If it does, retry this "
        "user."
    ),
    Reason.REFUSED: (
        "Ask Amplitude whether it knows this identifier. If it does, a retry shows whether "
        "Amplitude still refuses it. If it does not, correct the identifier at its source and "
        "import the events again."
    ),
}
"""What to do about a user that Amplitude rejected: what has to change, how to see it, and then."""
_ADVICE_AGAIN = {
    Reason.UNKNOWN: (
        "Retrying did not help: Amplitude still had no event with exactly this identifier. Check "
        "where your app sends its events, and with which User ID. Ask Amplitude before you retry "
        "this user again."
    ),
    Reason.REFUSED: (
        f"{_REFUSED_AGAIN} Ask Amplitude whether it knows this identifier. If it does not, correct "
        "the identifier at its source and import the events again."
    ),
}
"""The same after a retry that ended in another rejection."""
_ADVICE_IF_KNOWN = {
    Reason.UNKNOWN: (
        "Amplitude knows this identifier now, so the reason for the rejection is gone: retry this "
        "user."
    ),
    Reason.REFUSED: (
        "Amplitude refused this identifier although it knows it: a retry shows whether it still "
        "refuses it."
    ),
}
_ADVICE_AGAIN_IF_KNOWN = {
    **_ADVICE_IF_KNOWN,
    Reason.REFUSED: (
        f"{_REFUSED_AGAIN} Amplitude knows a user with it, but does not accept it for a cohort, so "
        f"{UNLIKELY}: ask Amplitude's support why it refuses it, or leave this user rejected."
    ),
}
_ADVICE_IF_UNKNOWN = {
    Reason.UNKNOWN: (
        "A retry would be rejected again: Amplitude still has no event with exactly this "
        "identifier. Case and leading zeros count. Check where your app sends its events, and with "
        "which User ID."
    ),
    Reason.REFUSED: (
        "A retry would be rejected again: correct the identifier at its source and import the "
        "events again."
    ),
}


def advice(code: Reason, tries: int, is_known: bool | None = None) -> str:
    """What to do about a user that Amplitude rejected so many times.

    `is_known`: whether Amplitude's user search knows the identifier; None: it was not asked since.
    """
    if is_known is None:
        by_reason = _ADVICE_AGAIN if tries > 1 else _ADVICE
    elif is_known:
        by_reason = _ADVICE_AGAIN_IF_KNOWN if tries > 1 else _ADVICE_IF_KNOWN
    else:
        by_reason = _ADVICE_IF_UNKNOWN
    return by_reason.get(code, "")


_CHANGE = {Operation.ADD: "addition", Operation.REMOVE: "removal"}


def _rejected(record: PersonRecord, is_known: bool | None = None) -> str:
    assert record.rejection is not None
    why, tries = record.rejection, record.rejection.tries
    last = f"last by {_run(record)}" if record.request is not None else ""
    times = _times(tries)
    by = f", {last}" if times and last else _by_run(record)
    return (
        f"The {_CHANGE[why.operation]} was rejected{times}{by}: "
        f"{reason_text(why.code, why.reason)}. {advice(why.code, tries, is_known)}".rstrip()
    )


def _times(tries: int) -> str:
    """How often someone was rejected, after the verb; "" for once."""
    return {1: "", 2: " twice"}.get(tries, f" {tries} times")


def reason_text(code: Reason, reason: str) -> str:
    """Why one user was rejected, with Amplitude's words, which may speak of a whole request."""
    said = group_reason(code, reason)
    return reason if said == reason else f"{said} ({reason})"


def group_reason(code: Reason, reason: str) -> str:
    """Why each user of a group was rejected. Amplitude says it in different words."""
    is_invalid = code is Reason.REFUSED and "invalid" in reason.lower()
    return "Amplitude refused this ID as invalid" if is_invalid else reason


def brief_reason(code: Reason, reason: str) -> str:
    """Why one user was rejected, in the few words that a list has room for."""
    if code is Reason.UNKNOWN:
        return "unknown to Amplitude"
    if code is Reason.NO_IDENTIFIER:
        return reason[:1].lower() + reason[1:].removesuffix(" in the event")
    return reason if group_reason(code, reason) == reason else "refused as invalid"


def _no_identifier(record: PersonRecord) -> str:
    wanted, has = record.audience.id_type.label, record.id_type.label
    start, then = "Not in the cohort", ""
    if record.delivered or _is_unsure(record):
        start = f"{'Still' if record.delivered else 'Maybe still'} in the cohort by {has}"
        then = f", so {_next_sync(record, 'removes them')}"
    return (
        f"{start}: the audience is matched by {wanted}, and {_event(record)} carries "
        f"only a {has}{then}. Set the field with the {wanted} under Field mapping, or change the "
        "audience's ID type, which replaces the members of its cohort."
    )


def _other_id_type(record: PersonRecord) -> str:
    wanted = record.audience.id_type.label
    other = record.counterpart
    if other is None:
        return f"Left the audience, as {_event(record)} says. The audience is matched by {wanted}."
    return f"The audience is matched by {wanted}: look for {other}."


def _no_cohort(record: PersonRecord) -> str:
    return (
        f"In the audience, as {_event(record)} says, but the audience has no cohort: "
        f"{_next_sync(record, 'creates one and adds them')}."
    )


def _broken(record: PersonRecord) -> str:
    return f"The audience's link to its cohort is broken: {record.audience.broken}"


def _next_sync(record: PersonRecord, does: str) -> str:
    if record.audience.enabled:
        return f"the next sync {does}"
    return "no sync includes the audience while it is disabled"


def _event(record: PersonRecord) -> str:
    file = PurePath(record.source).name if record.source else ""
    where = f" (line {record.line:,} of {file})" if file and record.line else ""
    return f"the event of {readable_time(record.event_at)}{where}"


def _says_they_left(record: PersonRecord) -> str:
    """What made the person leave: an event, or a list that does not have them."""
    if record.source and not record.line:
        name = PurePath(record.source).name
        return f"the list of {readable_time(record.event_at)} ({name}) does not have them"
    return f"{_event(record)} says they left the audience"


def _by_run(record: PersonRecord) -> str:
    return f" ({_run(record)})" if record.request is not None else ""


def _run(record: PersonRecord) -> str:
    assert record.request is not None
    kind = ", a repair" if record.run_kind is RunKind.REPAIR else ""
    by = f", by {record.run_operator}" if record.run_operator else ""
    return f"run {record.request.run_id}{kind}{by}"


def _is_unsure(record: PersonRecord) -> bool:
    return record.delivered is None and record.request is not None


_SENTENCES = {
    PersonVerdict.IN: _in,
    PersonVerdict.OUT: _out,
    PersonVerdict.ON_THE_WAY: _on_the_way,
    PersonVerdict.UNCERTAIN: _uncertain,
    PersonVerdict.ENTERS: _enters,
    PersonVerdict.LEAVES: _leaves,
    PersonVerdict.REJECTED: _rejected,
    PersonVerdict.NO_IDENTIFIER: _no_identifier,
    PersonVerdict.OTHER_ID_TYPE: _other_id_type,
    PersonVerdict.NO_COHORT: _no_cohort,
    PersonVerdict.BROKEN: _broken,
    PersonVerdict.EXTRA: _extra,
}


async def look_up_user(client: "AmplitudeClient", text: str) -> UserLookup:
    """Search Amplitude for exactly this identifier, of either ID type.

    The search also finds users whose ID only begins with it; they do not count. Amplitude allows
    360 searches an hour. Raises `AmplitudeError`.
    """
    for match in await client.find_users(text):
        if match.user_id == text:
            return UserLookup(
                True, text, match.amplitude_id, f"Amplitude knows this {IdType.USER_ID.label}."
            )
        if match.amplitude_id == text:
            label = IdType.AMPLITUDE_ID.label
            return UserLookup(True, match.user_id, text, f"Amplitude knows this {label}.")
    return UserLookup(
        False,
        None,
        None,
        "Amplitude does not know this identifier, and would reject it. It knows a user only after "
        "it has received an event from them.",
    )


async def look_up_users(
    client: "AmplitudeClient", ids: Iterable[str], at_once: int
) -> dict[str, UserLookup]:
    """Return what Amplitude knows of each of these identifiers now, from one search for each.

    No more than `at_once` are under way at a time. Raises `AmplitudeError`.
    """
    # Not at the top: the command `person` has no event loop unless it asks Amplitude.
    import asyncio  # noqa: PLC0415

    turns = asyncio.Semaphore(at_once)

    async def ask(text: str) -> tuple[str, UserLookup]:
        async with turns:
            return text, await look_up_user(client, text)

    return dict(await asyncio.gather(*map(ask, ids)))
