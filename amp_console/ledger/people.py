"""One person: what every audience knows of an identifier."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.audiences import Audience, all_audiences
from amp_console.ledger.comparisons import DifferenceKind
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.findings import (
    PersonComparison,
    PersonFinding,
    comparisons_of,
    last_finding_of,
)
from amp_console.ledger.operators import has_several_operators
from amp_console.ledger.rejected import RejectedUser
from amp_console.ledger.requests import RequestRecord, RequestState, request
from amp_console.ledger.runs import Run, RunKind, RunStatus, run
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from amp_console.values import IdType, Operation


class Rejection(msgspec.Struct, frozen=True):
    """Why a person is rejected, for the first time and the last: `since` and `at`.

    Both are in microseconds since 1970.
    """

    operation: Operation
    code: Reason
    reason: str
    at: int
    since: int
    tries: int


class PersonRecord(msgspec.Struct, frozen=True):
    """What one audience knows of one identifier.

    `is_member` is what the newest event says; `wanted` is the same, but False under an ID type that
    the audience does not use. `delivered` is None if unknown, as while a request is open. `source`
    and `line` are where the event is, `event_at` is its time in microseconds since 1970; `source`
    is None for a user who was never in an event (a seed, or one that a comparison found). `request`
    is the last one that carried the person, in a run of kind `run_kind` by `run_operator` ("" if
    that is not known, or only one operator is). `is_under_way`: the request is open, and its run
    still active. `refusals` counts how often Amplitude refused the change that is wanted now,
    including after a retry. Until `certain_at`, in microseconds since 1970, an earlier request may
    still undo what is delivered. `finding` is the person's difference in the last comparison in
    which they differed; `is_only_found`: the ledger knows them by that alone. `comparisons` are
    those that concerned them, the newest first.
    """

    audience: Audience
    id_type: IdType
    id: str
    is_member: bool
    wanted: bool
    event_at: int
    source: str | None
    line: int
    delivered: bool | None
    request: RequestRecord | None
    is_under_way: bool
    rejection: Rejection | None
    refusals: int
    counterpart: str | None
    certain_at: int | None = None
    run_kind: RunKind | None = None
    finding: PersonFinding | None = None
    comparisons: tuple[PersonComparison, ...] = ()
    is_only_found: bool = False
    run_operator: str = ""

    @property
    def rejected_user(self) -> RejectedUser | None:
        """The person as a rejected user, to retry; None if no rejection is kept."""
        why, audience = self.rejection, self.audience
        if why is None:
            return None
        return RejectedUser(
            audience_id=audience.id,
            audience=audience.handle,
            computation_id=audience.computation_id,
            audience_name=audience.name,
            id_type=self.id_type,
            id=self.id,
            operation=why.operation,
            reason=why.reason,
            code=why.code,
            at=why.at,
            tries=why.tries,
            since=why.since,
            request_id=self.request.id if self.request is not None else None,
        )


def find_person(db: Db, text: str, dead: Collection[int] = ()) -> list[PersonRecord]:
    """What is known of an identifier of either kind, spelled exactly; `dead` as in `all_runs`."""
    found, is_shared = [], has_several_operators(db)
    for audience in all_audiences(db):
        known = []
        for id_type in (audience.id_type, audience.id_type.other):
            row = db.execute(
                "SELECT id_type, member.id, is_member, wanted, event_at, source.name, line, "
                "delivered, member.request_id, counterpart, rejection.operation, code, reason, at, "
                "coalesce(rejected_since, at), refusals "
                "FROM member LEFT JOIN source ON source.id = source_id "
                "LEFT JOIN rejection ON rejection.id = rejection_id "
                "WHERE audience_id = ? AND id_type = ? AND member.id = ?",
                (audience.id, ID_TYPE_CODE[id_type], text),
            ).fetchone()
            if row is not None:
                known.append(_record(db, audience, row, dead, is_shared=is_shared))
        found += known or _only_found(db, audience, text)
    return found


LAST_CHARACTER = 0x10FFFF


def identifiers_beginning(db: Db, text: str, limit: int) -> list[str]:
    """The first identifiers, of either kind, that begin with a text: exactly, case counts."""
    begin = text.rstrip(chr(LAST_CHARACTER))
    if not begin:
        return []
    end = begin[:-1] + chr(ord(begin[-1]) + 1)
    if "\ud800" <= end[-1] <= "\udfff":
        end = begin[:-1] + "\ue000"  # no text has one of those in between
    found: set[str] = set()
    for audience in all_audiences(db):
        for id_type in IdType:
            rows = db.execute(
                "SELECT id FROM member WHERE audience_id = ? AND id_type = ? AND id >= ? "
                "AND id < ? ORDER BY id LIMIT ?",
                (audience.id, ID_TYPE_CODE[id_type], text, end, limit),
            )
            found.update(id_ for (id_,) in rows)
    return sorted(found)[:limit]


_IN_COHORT = {DifferenceKind.STRANGER, DifferenceKind.NO_ID_IN_COHORT}


def _only_found(db: Db, audience: Audience, id_: str) -> list[PersonRecord]:
    """A user in no event that the newest comparison found in the cohort."""
    for id_type in (audience.id_type, audience.id_type.other):
        finding = last_finding_of(db, audience, id_type, id_)
        if finding is not None and finding.is_newest and finding.kind in _IN_COHORT:
            return [
                PersonRecord(
                    audience=audience,
                    id_type=id_type,
                    id=id_,
                    is_member=False,
                    wanted=False,
                    event_at=BEFORE_ANY_EVENT,
                    source=None,
                    line=0,
                    delivered=True,
                    request=None,
                    is_under_way=False,
                    rejection=None,
                    refusals=0,
                    counterpart=None,
                    finding=finding,
                    comparisons=comparisons_of(db, audience, id_type, id_, finding.at),
                    is_only_found=True,
                )
            ]
    return []


def _record(
    db: Db, audience: Audience, row: Sequence[Any], dead: Collection[int], *, is_shared: bool
) -> PersonRecord:
    code, id_, is_member, wanted, event_at, source, line, delivered, request_id, other, *why = row
    refusals = why[-1]
    last = None if request_id is None else request(db, request_id)
    is_open = last is not None and last.state is RequestState.OPEN
    last_run = None if last is None else run(db, last.run_id, dead)
    return PersonRecord(
        audience=audience,
        id_type=ID_TYPE_OF[code],
        id=id_,
        is_member=bool(is_member),
        wanted=bool(wanted),
        event_at=event_at,
        source=source,
        line=line,
        delivered=None if delivered is None or is_open else bool(delivered),
        request=last,
        is_under_way=is_open and _is_running(last_run),
        rejection=_rejection(why),
        refusals=refusals,
        counterpart=other,
        certain_at=late_effects.uncertain_until(db, audience.id, ID_TYPE_OF[code], id_),
        run_kind=last_run.kind if last_run is not None else None,
        run_operator=last_run.operator if last_run is not None and is_shared else "",
        finding=last_finding_of(db, audience, ID_TYPE_OF[code], id_),
        comparisons=comparisons_of(db, audience, ID_TYPE_OF[code], id_, event_at),
    )


def _is_running(last_run: Run | None) -> bool:
    return last_run is not None and last_run.status is RunStatus.RUNNING


def _rejection(why: Sequence[Any]) -> Rejection | None:
    operation, code, reason, at, since, tries = why
    return (
        None
        if code is None
        else Rejection(Operation(operation), Reason(code), reason, at, since, tries)
    )
