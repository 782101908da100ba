"""Amplitude's answers, converted to the types that other packages use.

Readers raise ValueError if an answer has the wrong shape. Treating it as empty would make it a
fact: a second cohort would be created, or a user counted as delivered. They raise `Unconfirmed` for
an answer of the right shape that is about something other than the request.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from amp_console.amplitude.errors import Unconfirmed
from amp_console.amplitude.shapes import (
    Cohort,
    Ids,
    MembersChanged,
    Upload,
    Uploaded,
    Usage,
    UserMatch,
)
from amp_console.amplitude.wire import MEMBERSHIP_ID_TYPES, OPERATION_WORDS
from amp_console.http.json_values import JsonBody, dig, items, one_line, text, texts, whole
from amp_console.values import IdType, Operation


def cohorts(response: JsonBody) -> tuple[Cohort, ...]:
    """Return the cohorts of the list; entries without an id are left out."""
    found = (_cohort(entry) for entry in _required_items(response, "cohorts"))
    return tuple(cohort for cohort in found if cohort is not None)


def _required_items(response: JsonBody, key: str) -> list[object]:
    found = dig(response.tree, key)
    if not isinstance(found, list):
        raise ValueError(f"The answer has no list of {key}.")
    return found


def _cohort(entry: object) -> Cohort | None:
    cohort_id = text(dig(entry, "id"))
    if not cohort_id:
        return None
    return Cohort(
        id=cohort_id,
        name=text(dig(entry, "name")) or "",
        app_id=whole(dig(entry, "appId")),
        owners=texts(items(entry, "owners")),
        size=whole(dig(entry, "size")),
        type=text(dig(entry, "type")) or "",
        description=text(dig(entry, "description")) or "",
        published=dig(entry, "published") is not False,
        archived=dig(entry, "archived") is True,
        finished=dig(entry, "finished") is True,
        created_at=whole(dig(entry, "createdAt")),
        last_modified=whole(dig(entry, "lastMod")),
        last_computed=whole(dig(entry, "lastComputed")),
    )


def usage(response: JsonBody) -> Usage | None:
    """Return the quota of downloads; None if its shape is unknown: only one source documents it."""
    allowance = dig(response.tree, "rest_download")
    limit, used = whole(dig(allowance, "limit")), whole(dig(allowance, "usage"))
    if limit is None or used is None:
        return None
    return Usage(limit, used, text(dig(allowance, "resets_at")))


def uploaded(response: JsonBody, sent: Upload) -> Uploaded:
    """Return the result of an upload. The key is `cohortId` here and `cohort_id` elsewhere.

    Raises `Unconfirmed` if the answer lacks the counts, or is about another upload.
    """
    tree = _confirming(response)
    cohort_id = text(dig(tree, "cohortId")) or text(dig(tree, "cohort_id")) or None
    metadata = dig(tree, "metadata")
    matched, total = whole(dig(metadata, "matched")), whole(dig(metadata, "totals"))
    if matched is None or total is None or not 0 <= matched <= total:
        raise _unconfirmed(response, "it does not say how many of the users Amplitude knows")
    if sent.existing_cohort_id and cohort_id != sent.existing_cohort_id:
        raise _unconfirmed(response, _other_cohort(cohort_id))
    if cohort_id is None and matched:
        raise _unconfirmed(response, _other_cohort(None))
    sample = dig(metadata, "invalid_ids_sample")
    return Uploaded(
        cohort_id=cohort_id,
        matched=matched,
        total=total,
        invalid_sample=_sent_ids(response, [] if sample is None else sample, sent.ids),
        text=response.text,
    )


class MembersChange(NamedTuple):
    """A change of members as it was sent."""

    cohort_id: str
    id_type: IdType
    operation: Operation
    ids: Ids


def members_changed(response: JsonBody, sent: MembersChange) -> MembersChanged:
    """Return the ids that a change of members skipped.

    Raises `Unconfirmed` unless the answer names the cohort and has exactly one result, which is for
    this operation, for this ID type if it names one, and skips only ids that were sent.
    """
    tree = _confirming(response)
    cohort_id = text(dig(tree, "cohort_id"))
    if cohort_id != sent.cohort_id:
        raise _unconfirmed(response, _other_cohort(cohort_id))
    results = dig(tree, "memberships_result")
    if not isinstance(results, list) or len(results) != 1:
        raise _unconfirmed(response, "it has no result, or more than one")
    result = results[0]
    if dig(result, "operation") != OPERATION_WORDS[sent.operation]:
        raise _unconfirmed(response, f"its result is not one of {OPERATION_WORDS[sent.operation]}")
    if dig(result, "id_type") not in {None, *MEMBERSHIP_ID_TYPES[sent.id_type]}:
        raise _unconfirmed(response, f"its result is not about the {sent.id_type.label}s sent")
    return MembersChanged(_sent_ids(response, dig(result, "skipped_ids"), sent.ids), response.text)


def _sent_ids(response: JsonBody, named: object, sent: Ids) -> tuple[str, ...]:
    """Return the ids that an answer names, as strings. Raises `Unconfirmed` if one was not sent."""
    if not isinstance(named, list):
        raise _unconfirmed(response, "it has no list of the users it skipped")
    if not named:
        return ()  # the usual case, in which a large batch need not be decoded
    if isinstance(sent, msgspec.Raw):
        sent = msgspec.json.decode(sent, type=list[str])
    by_number = _by_number(sent) if any(type(item) is int for item in named) else {}
    found = (_sent_as(item, by_number) if type(item) is int else text(item) for item in named)
    ids = tuple(dict.fromkeys(found))
    if not set[str | None](sent).issuperset(ids):
        raise _unconfirmed(response, "it skips a user who was not sent")
    return tuple(id_ for id_ in ids if id_ is not None)


def _by_number(sent: Sequence[str]) -> dict[str, set[str]]:
    """Return the sent ids, keyed by their form as a number: 7 may be "7" or "007"."""
    written: dict[str, set[str]] = {}
    for id_ in sent:
        if id_.isascii() and id_.isdecimal():
            written.setdefault(id_.lstrip("0") or "0", set()).add(id_)
    return written


def _sent_as(number: int, by_number: dict[str, set[str]]) -> str | None:
    """Return the sent id that came back as a number; None if no id or several could be it."""
    alike = by_number.get(str(number), set())
    return next(iter(alike)) if len(alike) == 1 else None


def _confirming(response: JsonBody) -> object:
    """Return the answer's object. Raises `Unconfirmed` if it reports a failure."""
    if not isinstance(response.tree, dict):
        raise ValueError("The answer is not an object.")
    if response.tree.get("error") or response.tree.get("errors"):
        raise _unconfirmed(response, "it reports an error")
    if response.tree.get("success") is False:
        raise _unconfirmed(response, "it says that the request failed")
    return response.tree


def _other_cohort(named: str | None) -> str:
    return "it names another cohort" if named else "it names no cohort"


def _unconfirmed(response: JsonBody, why: str) -> Unconfirmed:
    # Only `text` of the answer may be quoted: keys are masked in it.
    message = f"{why} ({one_line(response.text[:200])})"
    return Unconfirmed(200, message, response.text, may_be_applied=True)


def skipped_ids(tree: object) -> tuple[str, ...]:
    """Return the skipped ids in all entries of a change of members, or of its refusal."""
    entries = items(tree, "memberships_result")
    return tuple(found for entry in entries for found in texts(items(entry, "skipped_ids")))


def request_id(response: JsonBody, cohort_id: str) -> str:
    """Return the request id of a cohort's download."""
    found, named_id = text(dig(response.tree, "request_id")), text(dig(response.tree, "cohort_id"))
    if not found:
        raise ValueError("The answer has no request id.")
    if named_id not in {None, cohort_id}:
        raise _unconfirmed(response, _other_cohort(named_id))
    return found


def user_matches(response: JsonBody) -> tuple[UserMatch, ...]:
    """Return the users a search found."""
    found = (_user_match(entry) for entry in _required_items(response, "matches"))
    return tuple(match for match in found if match is not None)


def _user_match(entry: object) -> UserMatch | None:
    amplitude_id = text(dig(entry, "amplitude_id"))
    return UserMatch(text(dig(entry, "user_id")) or None, amplitude_id) if amplitude_id else None
