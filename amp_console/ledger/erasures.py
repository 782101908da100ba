"""Deletion requests: a person leaves every cohort, and is then erased from the ledger.

A request is kept with its identifiers until the person has left every cohort. Nothing is erased
before that. Then everything is erased in one transaction. What is kept of the request is when it
was made, who carried it out, and how many cohorts it was about.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from amp_console.ledger.audiences import Audience, audience
from amp_console.ledger.comparisons import DifferenceKind
from amp_console.ledger.db import ID_TYPE_CODE, ID_TYPE_OF, Db, as_json
from amp_console.ledger.deliveries import Reason
from amp_console.ledger.erased_text import Eraser, erase_from_texts, names_left
from amp_console.ledger.forgotten import Identity, code_of, keep_forgotten
from amp_console.text import readable_time
from amp_console.values import IdType

MAX_IDENTIFIERS = 20
"""Identifiers of one person; where events pair more, their mapping is wrong."""


UNCONFIRMED = "Amplitude has not confirmed the removal yet."


class PairedTooOften(Exception):
    """Events pair an identifier with too many others for all of them to belong to one person."""


class Erasure(msgspec.Struct, frozen=True):
    """A deletion request; times in microseconds since 1970, None where it has not happened yet.

    Until it is erased, `identities` are the person's identifiers. `cohorts` is how many cohorts the
    person was removed from. `operator` is who carried it out (user@host, or the name they chose).
    """

    id: int
    at: int
    operator: str
    cohorts: int | None
    erased_at: int | None
    cleaned_at: int | None
    identities: tuple[Identity, ...] = ()


class Obstacle(msgspec.Struct, frozen=True):
    """Why a person can't be erased yet: what is known of them in one audience's cohort."""

    erasure_id: int
    audience: Audience
    identity: Identity
    reason: str


class Erased(msgspec.Struct, frozen=True):
    """What was erased: rows and texts; `names` is what operators have to change themselves."""

    rows: int
    texts: int
    names: tuple[str, ...]


def identities_of(db: Db, start: Iterable[Identity]) -> frozenset[Identity]:
    """All identifiers of a person: the given ones, and those that events paired with them.

    Raises `PairedTooOften`. It reads every member.
    """
    found = frozenset(start)
    while True:
        paired = found | _paired_with(db, found)
        if len(paired) > MAX_IDENTIFIERS:
            raise PairedTooOften(
                f"Events pair this identifier with more than {MAX_IDENTIFIERS} others, so some of "
                "them carry a wrong one. Nothing was changed."
            )
        if paired == found:
            return found
        found = paired


def _paired_with(db: Db, known: frozenset[Identity]) -> set[Identity]:
    paired = set()
    for identity in known:
        code, id_ = code_of(identity)
        other = identity.id_type.other
        rows = db.execute(
            f"SELECT DISTINCT counterpart FROM member WHERE {_IS_IDENTITY} "
            "AND counterpart IS NOT NULL",
            (code, id_),
        ).fetchall()
        rows += db.execute(
            "SELECT DISTINCT id FROM member WHERE id_type = ? AND counterpart = ?",
            (ID_TYPE_CODE[other], id_),
        ).fetchall()
        paired |= {Identity(other, found) for (found,) in rows}
    return paired


_IS_IDENTITY = "audience_id IN (SELECT id FROM audience) AND id_type = ? AND id = ?"


def known_types(db: Db, id_: str) -> list[IdType]:
    """The ID types by which the ledger knows an identifier, from an event or a comparison."""
    return [
        ID_TYPE_OF[code]
        for code in ID_TYPE_OF
        if db.execute(f"SELECT 1 FROM member WHERE {_IS_IDENTITY} LIMIT 1", (code, id_)).fetchone()
        or db.execute(
            "SELECT 1 FROM difference WHERE id_type = ? AND id = ? LIMIT 1", (code, id_)
        ).fetchone()
    ]


def begin_erasure(db: Db, identities: Iterable[Identity], now: int) -> int:
    """Begin a deletion request: the person is no longer wanted in any cohort; return its id.

    Everything known of the person so far no longer counts, whatever its time. An unfinished request
    about the same person becomes this one. `now` is in microseconds since 1970.
    """
    people = set(identities)
    for unfinished in unfinished_erasures(db):
        if people & set(unfinished.identities):
            people |= set(unfinished.identities)
            db.execute("DELETE FROM erasure WHERE id = ?", (unfinished.id,))
    rows = _rows_of(db, people)
    until = max([now, *(event_at for *_, event_at in rows)])
    (erasure_id,) = db.execute(
        "INSERT INTO erasure (at, operator) VALUES (?, this_operator()) RETURNING id", (until,)
    ).fetchone()
    db.executemany(
        "INSERT INTO erasure_identifier (erasure_id, id_type, id) VALUES (?, ?, ?)",
        [(erasure_id, *code_of(identity)) for identity in people],
    )
    keep_forgotten(db, people, until)
    _add_strangers(db, people, until)
    db.executemany(
        "UPDATE member SET is_member = 0, wanted = 0, event_at = ?, rejection_id = NULL, "
        "refusals = 0 WHERE n = ?",
        [(until, n) for n, *_ in _rows_of(db, people)],
    )
    _note_cohorts(db, int(erasure_id))
    return int(erasure_id)


def _rows_of(db: Db, identities: Iterable[Identity]) -> list[tuple[int, int, int]]:
    """The person's rows in `member`: their numbers, their audiences, and their events' times."""
    return [
        row
        for identity in identities
        for row in db.execute(
            f"SELECT n, audience_id, event_at FROM member WHERE {_IS_IDENTITY}", code_of(identity)
        ).fetchall()
    ]


def _add_strangers(db: Db, identities: Iterable[Identity], until: int) -> None:
    """Add the person to the audiences whose cohorts contain them only according to a comparison."""
    db.executemany(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) SELECT c.audience_id, d.id_type, d.id, 0, 0, ?, 0, 0, NULL "
        "FROM difference AS d JOIN comparison AS c ON c.id = d.comparison_id "
        "JOIN audience AS a ON a.id = c.audience_id AND a.cohort_id = c.cohort_id "
        f"WHERE d.id_type = ? AND d.id = ? AND d.kind IN ({int(DifferenceKind.STRANGER)}, "
        f"{int(DifferenceKind.NO_ID_IN_COHORT)}) GROUP BY c.audience_id, d.id_type, d.id "
        "ON CONFLICT (audience_id, id_type, id) DO NOTHING",
        [(until, *code_of(identity)) for identity in identities],
    )


def _note_cohorts(db: Db, erasure_id: int) -> None:
    db.execute(
        "INSERT INTO erasure_cohort (erasure_id, audience_id) SELECT DISTINCT e.erasure_id, a.id "
        f"{_REMOVABLE} AND e.erasure_id = ? AND {_MAY_BE_IN} "
        "ON CONFLICT (erasure_id, audience_id) DO NOTHING",
        (erasure_id,),
    )


# What is known of the people of all open requests, where they have not come back since.
_PEOPLE = (
    "FROM erasure_identifier AS e JOIN erasure ON erasure.id = e.erasure_id "
    "CROSS JOIN audience AS a JOIN member AS m ON m.audience_id = a.id "
    "AND m.id_type = e.id_type AND m.id = e.id AND m.event_at <= erasure.at "
)
# A removal that was sent by a process that died since is known only once it is sent again.
_MAY_BE_IN = (
    "(m.delivered IS NOT 0 OR EXISTS "
    "(SELECT 1 FROM request AS q WHERE q.id = m.request_id AND q.state = 'open'))"
)
_REMOVABLE = f"{_PEOPLE} WHERE a.cohort_id IS NOT NULL"
_MAY_BE_ADDED_LATE = (
    "FROM late_effect AS late WHERE late.audience_id = a.id AND late.n = m.n "
    "AND late.operation = 1 AND (late.cohort_id = '' OR late.cohort_id IS a.cohort_id)"
)


def audiences_to_leave(db: Db, erasure_ids: Sequence[int]) -> list[int]:
    """The ids of the audiences whose cohorts may contain a person of these requests."""
    rows = db.execute(
        f"SELECT DISTINCT a.id {_REMOVABLE} AND e.erasure_id IN "
        "(SELECT CAST(value AS INTEGER) FROM json_each(?)) "
        f"AND ({_MAY_BE_IN} OR EXISTS (SELECT 1 {_MAY_BE_ADDED_LATE})) ORDER BY a.id",
        (as_json(erasure_ids),),
    )
    return [audience_id for (audience_id,) in rows]


def obstacles(db: Db, erasure_id: int, now: int) -> list[Obstacle]:
    """Why the person of a request can't be erased yet; empty if they can.

    `now` is in microseconds since 1970.
    """
    rows = db.execute(
        "SELECT a.id, m.id_type, m.id, a.cohort_id, m.delivered, r.code, r.reason, "
        f"q.state, creation.audience_id, (SELECT max(late.until) {_MAY_BE_ADDED_LATE}) {_PEOPLE} "
        "LEFT JOIN rejection AS r ON r.id = m.rejection_id "
        "LEFT JOIN request AS q ON q.id = m.request_id "
        "LEFT JOIN creation ON creation.audience_id = a.id "
        "WHERE e.erasure_id = ? ORDER BY a.id, m.n",
        (erasure_id,),
    ).fetchall()
    found = []
    for audience_id, code, id_, *known in rows:
        if why := _reason(_Whereabouts(*known), now):
            identity = Identity(ID_TYPE_OF[code], id_)
            found.append(Obstacle(erasure_id, audience(db, audience_id), identity, why))
    return found


class _Whereabouts(NamedTuple):
    """What is known of one member and a cohort."""

    cohort_id: str | None
    delivered: int | None
    code: str | None  # why the removal was rejected
    message: str | None
    state: str | None  # of the last request
    creating: int | None
    late_until: int | None

    @property
    def is_out(self) -> bool:
        """Whether they are not in the cohort; users that Amplitude does not know are in none."""
        return self.delivered == 0 or self.code == Reason.UNKNOWN


def _reason(known: _Whereabouts, now: int) -> str:
    """Why someone may still be in a cohort; "" if it is certain that they are not."""
    if known.state == "open":
        return "A request about them has no answer yet."
    if not known.is_out and known.cohort_id is not None:
        return known.message or UNCONFIRMED
    if not known.is_out and known.creating is not None:
        return "The cohort is being created, and may hold them. Sync the audience first."
    if known.late_until is not None and known.late_until > now:
        return (
            "An earlier request without an answer may still add them until "
            f"{readable_time(known.late_until)}. Then the removal is confirmed again."
        )
    is_unconfirmed = known.late_until is not None and known.cohort_id is not None
    return "The removal has to be confirmed again." if is_unconfirmed else ""


class PairedRow(NamedTuple):
    """A member by its number, which events paired with an `identity` of someone else."""

    n: int
    identity: Identity


def rows_paired_with(db: Db, identities: Iterable[Identity]) -> list[PairedRow]:
    """The members that events paired with a person, for `erase`, once that is requested.

    It reads every member, so it must not be part of a transaction that others wait for. Anyone
    paired later is paired by an event that is newer than the request.
    """
    return [
        PairedRow(int(n), identity)
        for identity in identities
        for (n,) in db.execute(
            "SELECT n FROM member WHERE id_type = ? AND counterpart = ?",
            (ID_TYPE_CODE[identity.id_type.other], identity.id),
        ).fetchall()
    ]


def erase(db: Db, erasure_id: int, now: int, paired: Iterable[PairedRow]) -> Erased:
    """Erase the person of a request once they are in no cohort; see `obstacles`.

    What events said of them after the request is kept. `now` is in microseconds since 1970.
    """
    found = next(item for item in unfinished_erasures(db) if item.id == erasure_id)
    people = [code_of(identity) for identity in found.identities]
    rows = [n for n, _, event_at in _rows_of(db, found.identities) if event_at <= found.at]
    numbers = [(n,) for n in rows]
    db.executemany("DELETE FROM late_effect WHERE n = ?", numbers)
    db.executemany("DELETE FROM member WHERE n = ?", numbers)
    # The number of a deleted row may be given again, to someone that a late replacement concerns.
    db.execute(
        "UPDATE late_replacement SET after_n = (SELECT coalesce(max(n), 0) FROM member) "
        "WHERE after_n > (SELECT coalesce(max(n), 0) FROM member)"
    )
    erased = len(rows)
    erased += db.executemany("DELETE FROM difference WHERE id_type = ? AND id = ?", people).rowcount
    ids = [(id_,) for _, id_ in people]
    db.executemany("UPDATE difference SET resembles = NULL WHERE resembles = ?", ids)
    _erase_pairs(db, found, paired)
    db.executemany("UPDATE audience SET seed_user = NULL WHERE seed_user = ?", ids)
    eraser = Eraser(id_ for _, id_ in people)
    texts = erase_from_texts(db, eraser)
    (cohorts,) = db.execute(
        "SELECT count(*) FROM erasure_cohort WHERE erasure_id = ?", (erasure_id,)
    ).fetchone()
    for table in ("erasure_identifier", "erasure_cohort"):
        db.execute(f"DELETE FROM {table} WHERE erasure_id = ?", (erasure_id,))
    db.execute(
        "UPDATE erasure SET erased_at = ?, cohorts = ? WHERE id = ?", (now, cohorts, erasure_id)
    )
    return Erased(erased, texts, tuple(names_left(db, eraser)))


def _erase_pairs(db: Db, found: Erasure, paired: Iterable[PairedRow]) -> None:
    """Erase the identifiers from the rows of others that events paired with them.

    If the person has come back, newer events pair the identifiers again.
    """
    kept = {n for n, *_ in _rows_of(db, found.identities)}
    db.executemany(
        "UPDATE member SET counterpart = NULL WHERE n = ? AND id_type = ? AND counterpart = ?",
        [
            (row.n, ID_TYPE_CODE[row.identity.id_type.other], row.identity.id)
            for row in paired
            if row.n not in kept
        ],
    )


def note_cleaned(db: Db, erasure_ids: Iterable[int], now: int) -> None:
    """Record that no file contains bytes of these people anymore; in microseconds since 1970."""
    db.executemany(
        "UPDATE erasure SET cleaned_at = ? WHERE id = ?", [(now, id_) for id_ in erasure_ids]
    )


def all_erasures(db: Db) -> list[Erasure]:
    """All deletion requests, the oldest first."""
    rows = db.execute(
        "SELECT id, at, operator, cohorts, erased_at, cleaned_at FROM erasure ORDER BY id"
    ).fetchall()
    identities: dict[int, list[Identity]] = {}
    for erasure_id, code, id_ in db.execute(
        "SELECT erasure_id, id_type, id FROM erasure_identifier ORDER BY erasure_id, id_type, id"
    ):
        identities.setdefault(erasure_id, []).append(Identity(ID_TYPE_OF[code], id_))
    return [
        Erasure(id_, at, operator, cohorts, erased, cleaned, tuple(identities.get(id_, ())))
        for id_, at, operator, cohorts, erased, cleaned in rows
    ]


def unfinished_erasures(db: Db) -> list[Erasure]:
    """The deletion requests of people who are not erased yet, the oldest first."""
    return [erasure for erasure in all_erasures(db) if erasure.erased_at is None]


def unclean_erasures(db: Db) -> list[int]:
    """The ids of the deletion requests that are erased, but not yet from the files."""
    return [item.id for item in all_erasures(db) if item.erased_at and not item.cleaned_at]
