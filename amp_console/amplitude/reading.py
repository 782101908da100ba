"""Amplitude's answers, made into the shapes that leave this room.

Readers raise ValueError where an answer is none of the call's: read as an empty one, it would be
taken for a fact, and a second cohort made or a user counted as delivered.
"""

from amp_console.amplitude.shapes import Cohort, MembersChanged, Uploaded, Usage, UserMatch
from amp_console.amplitude.trees import Answer, dig, items, text, texts, whole


def cohorts(answer: Answer) -> tuple[Cohort, ...]:
    """Return the cohorts of the list; entries without an id are left out."""
    found = (_cohort(entry) for entry in _required_items(answer, "cohorts"))
    return tuple(cohort for cohort in found if cohort is not None)


def _required_items(answer: Answer, key: str) -> list[object]:
    found = dig(answer.tree, key)
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


def usage(answer: Answer) -> Usage | None:
    """Return the allowance of downloads; None where its shape is unknown: one source shows it."""
    allowance = dig(answer.tree, "rest_download")
    limit, used = whole(dig(allowance, "limit")), whole(dig(allowance, "usage"))
    if limit is None or used is None:
        return None
    return Usage(limit, used, text(dig(allowance, "resets_at")))


def uploaded(answer: Answer) -> Uploaded:
    """Return what an upload came to. The key is `cohortId` here and `cohort_id` elsewhere."""
    tree, metadata = _required_object(answer), dig(answer.tree, "metadata")
    return Uploaded(
        cohort_id=text(dig(tree, "cohortId")) or text(dig(tree, "cohort_id")) or None,
        matched=whole(dig(metadata, "matched")),
        total=whole(dig(metadata, "totals")),
        invalid_sample=texts(items(metadata, "invalid_ids_sample")),
        text=answer.text,
    )


def members_changed(answer: Answer) -> MembersChanged:
    """Return what a change of members passed over; nothing where the result is missing or odd."""
    return MembersChanged(skipped_ids(_required_object(answer)), answer.text)


def _required_object(answer: Answer) -> object:
    if not isinstance(answer.tree, dict):
        raise ValueError("The answer is no object.")
    return answer.tree


def skipped_ids(tree: object) -> tuple[str, ...]:
    """Return the ids that a change of members, or its refusal, names in any of its entries."""
    entries = items(tree, "memberships_result")
    return tuple(found for entry in entries for found in texts(items(entry, "skipped_ids")))


def request_id(answer: Answer) -> str:
    """Return the id of a download that was started."""
    found = text(dig(answer.tree, "request_id"))
    if not found:
        raise ValueError("The answer has no request id.")
    return found


def user_matches(answer: Answer) -> tuple[UserMatch, ...]:
    """Return the users that a search found."""
    found = (_user_match(entry) for entry in _required_items(answer, "matches"))
    return tuple(match for match in found if match is not None)


def _user_match(entry: object) -> UserMatch | None:
    amplitude_id = text(dig(entry, "amplitude_id"))
    return UserMatch(text(dig(entry, "user_id")) or None, amplitude_id) if amplitude_id else None
