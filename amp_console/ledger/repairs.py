"""Repairs: choosing differences, and making them pending for a delivery to send."""

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from amp_console.ledger import late_effects
from amp_console.ledger.comparisons import (
    DISAGREEING,
    EXTRA,
    IS_OPEN,
    Comparison,
    DifferenceKind,
)
from amp_console.ledger.db import ID_TYPE_CODE, Db, as_json
from amp_console.ledger.deliveries import (
    DeliveryBatch,
    RequestKind,
    ResponseRecord,
    member_rows,
    open_request,
    settle,
)
from amp_console.ledger.membership_changes import counting_new
from amp_console.ledger.sources import begin_source
from amp_console.ledger.uploads import BEFORE_ANY_EVENT
from amp_console.values import IdType, Operation

_CHOSEN = "comparison_id = :comparison AND state = 1"


class RepairChoice(msgspec.Struct, frozen=True):
    """Which differences to repair; `only` are some by their keys, None is all."""

    add: bool
    remove: bool
    only: frozenset[tuple[int, int, str]] | None = None

    @property
    def kinds(self) -> tuple[DifferenceKind, ...]:
        """The kinds of differences to repair."""
        entering = (DifferenceKind.MISSING, DifferenceKind.LISTED) if self.add else ()
        return entering + ((*EXTRA, DifferenceKind.UNLISTED) if self.remove else ())


class ChoiceCounts(msgspec.Struct, frozen=True):
    """How many of the differences are chosen; for the `followed`, nothing has to be sent.

    Of those to `remove`, so many are in the cohort by the ID type that is not in use.
    """

    add: int
    remove: int
    remove_by_other_id: int
    followed: int


def count_chosen(db: Db, compared: Comparison, choice: RepairChoice) -> ChoiceCounts:
    """Count the differences of a choice; those repaired since then no longer count.

    It marks none: while another repair is planned, those of one under way stay chosen.
    """
    other = ID_TYPE_CODE[compared.id_type.other]
    counts: Counter[int] = Counter()
    by_other_id = 0
    for kind, id_type, count in _chosen_by_kind(db, compared, choice):
        counts[kind] += count
        by_other_id += count if kind in EXTRA and id_type == other else 0
    return ChoiceCounts(
        add=counts[DifferenceKind.MISSING],
        remove=sum(counts[kind] for kind in EXTRA),
        remove_by_other_id=by_other_id,
        followed=sum(counts[kind] for kind in DISAGREEING),
    )


def _chosen_by_kind(
    db: Db, compared: Comparison, choice: RepairChoice
) -> Iterable[tuple[int, int, int]]:
    """How many differences `choose` would mark, by kind and ID type."""
    values = {"comparison": compared.id, "kinds": _json(choice.kinds)}
    chosen = (
        "FROM difference WHERE comparison_id = :comparison "
        f"AND kind IN (SELECT CAST(value AS INTEGER) FROM json_each(:kinds)) AND {IS_OPEN}"
    )
    if choice.only is None:
        query = f"SELECT kind, id_type, count(*) {chosen} GROUP BY kind, id_type"
        return [tuple(row) for row in db.execute(query, values)]
    ids = as_json(sorted({id_ for _, _, id_ in choice.only}))
    rows = db.execute(
        f"SELECT kind, id_type, id {chosen} AND id IN (SELECT value FROM json_each(:ids))",
        {**values, "ids": ids},
    )
    counts = Counter(
        (kind, id_type) for kind, id_type, id_ in rows if (kind, id_type, id_) in choice.only
    )
    return [(*which, count) for which, count in counts.items()]


def choose(db: Db, compared: Comparison, choice: RepairChoice) -> None:
    """Mark the differences to repair, and no others."""
    kinds = _json(choice.kinds)
    db.execute(
        "UPDATE difference SET state = "
        "CASE WHEN ?3 = 1 AND kind IN (SELECT CAST(value AS INTEGER) FROM json_each(?2)) "
        f"AND {IS_OPEN} THEN 1 ELSE 0 END "
        "WHERE comparison_id = ?1 AND state < 2 "
        "AND (state = 1 OR kind IN (SELECT CAST(value AS INTEGER) FROM json_each(?2)))",
        (compared.id, kinds, int(choice.only is None)),
    )
    db.executemany(
        "UPDATE difference SET state = 1 WHERE comparison_id = ? AND kind = ? "
        f"AND id_type = ? AND id = ? AND {IS_OPEN}",
        [(compared.id, *key) for key in choice.only or () if key[0] in choice.kinds],
    )


def make_chosen_pending(db: Db, compared: Comparison, choice: RepairChoice, now: int) -> None:
    """Make the ledger want the chosen changes, so that they are pending.

    Rejected users are tried again. A list takes precedence over the events before it. The ledger
    learns that strangers are in the cohort and are not wanted there. Where an event has come since,
    they are unknown: a delivery may have moved them.
    """
    choose(db, compared, choice)
    values = {
        "comparison": compared.id,
        "audience": compared.audience_id,
        "earliest": BEFORE_ANY_EVENT,
    }
    chosen = f"SELECT id_type, id FROM difference WHERE {_CHOSEN}"
    if compared.against is not None:
        _follow_list(db, compared, now)
    db.execute(
        "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, source_id, "
        "line, delivered) SELECT :audience, id_type, id, 0, 0, :earliest, 0, 0, 1 FROM difference "
        f"WHERE {_CHOSEN} AND kind = {int(DifferenceKind.STRANGER)} "
        "ON CONFLICT (audience_id, id_type, id) DO UPDATE SET delivered = NULL",
        values,
    )
    db.execute(
        "UPDATE member SET rejection_id = NULL WHERE audience_id = :audience "
        f"AND rejection_id IS NOT NULL AND (id_type, id) IN ({chosen})",
        values,
    )


def _follow_list(db: Db, compared: Comparison, now: int) -> None:
    """Merge what the list says of the chosen users, as an event of its time would be."""
    assert compared.against is not None
    values = {
        "comparison": compared.id,
        "audience": compared.audience_id,
        "at": compared.against_at,
        "source": begin_source(db, compared.against, None, now),
    }
    id_type = ID_TYPE_CODE[compared.id_type]
    for kind, is_member, is_in in (
        (DifferenceKind.MISSING, 1, 0),
        (DifferenceKind.LISTED, 1, 1),
        (DifferenceKind.LEFT, 0, 1),
        (DifferenceKind.UNLISTED, 0, 0),
    ):
        with counting_new(db, compared.audience_id, id_type, now):
            db.execute(
                "INSERT INTO member (audience_id, id_type, id, is_member, wanted, event_at, "
                f"source_id, line, delivered) SELECT :audience, id_type, id, {is_member}, "
                f"{is_member}, :at, :source, 0, {is_in} FROM difference WHERE {_CHOSEN} "
                f"AND kind = {int(kind)} "
                "ON CONFLICT (audience_id, id_type, id) DO UPDATE SET "
                "is_member = excluded.is_member, wanted = excluded.wanted, "
                "event_at = excluded.event_at, source_id = excluded.source_id, line = 0, "
                "rejection_id = NULL, refusals = 0 WHERE excluded.event_at >= member.event_at",
                values,
            )


def chosen_left(db: Db, compared: Comparison) -> int:
    """How many of the chosen are still pending."""
    row = db.execute(
        f"SELECT count(*) FROM difference AS d JOIN member USING (id_type, id) WHERE {_CHOSEN} "
        "AND audience_id = :audience AND wanted IS NOT delivered AND rejection_id IS NULL",
        {"comparison": compared.id, "audience": compared.audience_id},
    ).fetchone()
    return int(row[0])


def note_repaired(db: Db, compared: Comparison) -> int:
    """Mark the chosen differences that are repaired; return how many users still differ."""
    values = {"comparison": compared.id, "audience": compared.audience_id}
    db.execute(
        f"UPDATE difference SET state = 2 WHERE {_CHOSEN} AND EXISTS (SELECT 1 FROM member AS m "
        "WHERE m.audience_id = :audience AND m.id_type = difference.id_type "
        "AND m.id = difference.id AND m.delivered = m.wanted)",
        values,
    )
    row = db.execute(
        "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
        f"AND {IS_OPEN} "
        f"AND kind IN ({int(DifferenceKind.MISSING)}, {int(DifferenceKind.LEFT)}, "
        f"{int(DifferenceKind.STRANGER)})",
        values,
    ).fetchone()
    return int(row[0])


def open_replacement(
    db: Db, run_id: int, audience_id: int, id_type: IdType, limit: int, now: int
) -> DeliveryBatch | None:
    """Open an upload of all wanted members, which replaces the cohort's content.

    None if there are none, or more than `limit`. Until /membership names the users that Amplitude
    skips, they count as unknown, and are pending.
    """
    values = {"audience": audience_id, "id_type": ID_TYPE_CODE[id_type]}
    wanted = "audience_id = :audience AND id_type = :id_type AND wanted = 1 "
    rows = member_rows(db, f"{wanted} ORDER BY n", values)
    if not 0 < rows.size <= limit:
        return None
    kind = RequestKind.REPLACE
    batch = open_request(db, run_id, audience_id, id_type, Operation.ADD, rows, now, kind)
    db.execute(
        "UPDATE member SET delivered = NULL, request_id = :request, rejection_id = NULL "
        f"WHERE {wanted}",
        {**values, "request": batch.request_id},
    )
    return batch


def settle_replacement(
    db: Db, batch: DeliveryBatch, response: ResponseRecord, *, all_matched: bool
) -> int:
    """The upload replaced the content: users not in it are out; return how many were in.

    If Amplitude knew every user in it (`all_matched`), they are all in. What is wanted may have
    changed since it was sent, so that says nothing about where they are.
    """
    settle(db, batch.request_id, "confirmed", response)
    late_effects.settle_confirmed(db, batch.request_id)
    out = db.execute(
        "UPDATE member SET delivered = 0 WHERE audience_id = ? AND request_id IS NOT ? "
        "AND (delivered IS NULL OR delivered <> 0)",
        (batch.audience_id, batch.request_id),
    ).rowcount
    if all_matched:
        db.execute(
            "UPDATE member SET delivered = 1 WHERE audience_id = ? AND id_type = ? "
            "AND delivered IS NULL AND request_id = ?",
            (batch.audience_id, ID_TYPE_CODE[batch.id_type], batch.request_id),
        )
    return out


def _json(kinds: Collection[DifferenceKind]) -> str:
    return as_json([int(kind) for kind in kinds])
