"""Comparing a cohort with an audience as sets; `delivered` is set to what the export shows.

The identifiers of both are compared outside the database, in half the time of its joins. It gets
those that are in one of the two sets only. Once `delivered` matches the export, the differences are
what is pending or rejected.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import msgspec

from amp_console.ledger.audiences import audience
from amp_console.ledger.cohort_export import CohortExport
from amp_console.ledger.comparisons import (
    DISAGREEING,
    KEPT,
    Comparison,
    DifferenceKind,
    PriorState,
    comparison,
)
from amp_console.ledger.counts import IS_UNIDENTIFIED
from amp_console.ledger.db import (
    EVERY,
    ID_TYPE_CODE,
    Db,
    ServerDb,
    are_dense,
    as_json,
    each_row,
    handle_rows,
    members_between,
    pending_rows,
)
from amp_console.ledger.export_staging import (
    changed_table,
    drift_table,
    drop_export,
    export_table,
    list_table,
    stage_changed,
    stage_users,
)
from amp_console.ledger.forgotten import forgotten_people
from amp_console.ledger.stored_ids import StoredIds, set_differences
from amp_console.values import IdType

_COUNTS = (
    "in_audience",
    "in_cohort",
    "in_both",
    "missing",
    "missing_drifted",
    "missing_rejected",
    "has_left",
    "strangers",
    "cohort_no_id",
    "audience_no_id",
    "disagreeing",
    "list_overlap",
    "pending",
)
_BEGIN = (
    "INSERT INTO comparison (run_id, audience_id, cohort_id, id_type, at, against, against_at, "
    f"applies, {', '.join(_COUNTS)}) VALUES (:run_id, :audience, :cohort_id, :id_type, :at, "
    f":against, :against_at, :applies{', 0' * len(_COUNTS)}) RETURNING id"
)
_COUNTED = (
    f"UPDATE comparison SET {', '.join(f'{name} = :{name}' for name in _COUNTS)} "
    "WHERE id = :comparison"
)
_PRUNE = (
    "DELETE FROM difference WHERE comparison_id IN (SELECT id FROM comparison "
    f"WHERE audience_id = :audience ORDER BY id DESC LIMIT {EVERY} OFFSET {KEPT})"
)
_READ = 100_000  # members that are read at once
_IDS = msgspec.json.Decoder(list[str])
_KNOWN = "audience_id = :audience AND id_type = :id_type"
_IS_FOUND = "(coalesce(delivered, 0) = 1 OR stranger.who IS NOT NULL)"
"""Whether the export has an identifier of a list, once `delivered` shows the members in it."""
_FORMER = "audience_id = :audience AND id_type = :other_type AND wanted = 0 AND delivered IS NOT 0"


class ComparisonSpec(msgspec.Struct, frozen=True):
    """What to compare; the `Comparison` keeps every field but `list_known`.

    Of the list's identifiers, `list_known` ones occur in the audience.
    """

    run_id: int
    audience_id: int
    at: int
    against: str | None = None
    against_at: int | None = None
    applies: int | None = None
    list_known: int = 0

    @property
    def is_against_list(self) -> bool:
        """Whether the cohort is compared with a list, and not with what the ledger wants."""
        return self.against is not None


def compare_cohort(db: Db, spec: ComparisonSpec, export: CohortExport) -> Comparison:
    """Compare the export with the audience, and set `delivered` to what the export shows."""
    return _Comparer(db, spec, export).compare()


def _add_delivered(db: Db, audience_id: int, id_type: IdType, ids: StoredIds) -> None:
    """Add the identifiers of the members who are delivered."""
    known = {"audience": audience_id, "id_type": ID_TYPE_CODE[id_type]}
    count = "coalesce(sum(people), 0) FROM counted_member"  # which a server keeps
    if not isinstance(db, ServerDb):
        count = "count(*) FROM main.member"
    (people,) = db.execute(f"SELECT {count} WHERE {_KNOWN}", known).fetchone()
    ends = "SELECT coalesce(min(n), 0), coalesce(max(n), 0) FROM main.member"
    first, last = db.execute(ends).fetchone()
    if not are_dense(first, last, people):
        rows = each_row(db, f"SELECT id FROM main.member WHERE {_KNOWN} AND delivered = 1", known)
        while read := [id_ for (id_,) in islice(rows, _READ)]:
            ids.add(read)
        return
    # One text for many takes a tenth of the time of their rows.
    listed = "json_agg(id)::text" if isinstance(db, ServerDb) else "json_group_array(id)"
    start = "CAST(start.value AS INTEGER)"
    where = members_between(first, last, people, f"{start} AND {start} + {_READ - 1}")
    handle_rows(
        db,
        f"SELECT (SELECT {listed} FROM main.member WHERE {where} AND delivered = 1) "
        "FROM json_each(:starts) AS start",
        {**known, "starts": as_json([*range(first, last + 1, _READ)])},
        lambda row: ids.add(_IDS.decode(row[0] or "[]")),
    )


class _Comparer:
    def __init__(self, db: Db, spec: ComparisonSpec, export: CohortExport) -> None:
        self._db = db
        self._spec = spec
        self._found = export
        known = audience(db, spec.audience_id)
        assert known.cohort_id is not None
        self._audience_id = known.id
        self._id_type = known.id_type
        self._export = f"temp.{export_table(known.id)}"
        self._drift = f"temp.{drift_table(known.id)}"
        self._listed = f"temp.{list_table(known.id)}"
        self._has_former = False
        self._comparable = 0  # users in the cohort who have an identifier of the ID type
        self._values: dict[str, object] = {
            "audience": known.id,
            "id_type": ID_TYPE_CODE[known.id_type],
            "other_type": ID_TYPE_CODE[known.id_type.other],
            **msgspec.structs.asdict(spec),
            "cohort_id": known.cohort_id,
        }

    def compare(self) -> Comparison:
        self._drop_forgotten()
        self._note_drift()
        if isinstance(self._db, ServerDb):
            # It takes those who differ for one user or two: with nested loops, 20,000 missing of
            # 2,000,000 take a minute.
            self._run("SET LOCAL enable_nestloop = off")
        comparison_id = self._number(_BEGIN)
        self._values["comparison"] = comparison_id
        self._stage_users()
        if self._has_former:
            self._settle_former()
        if self._spec.is_against_list:
            self._differ_from_list()
        else:
            self._differ_from_ledger()
        self._note_incomparable()
        self._note_resemblances()
        self._count()
        self._run(_PRUNE)
        drop_export(self._db, self._audience_id)
        made = comparison(self._db, comparison_id)
        assert made is not None
        return made

    def _run(self, sql: str) -> None:
        self._db.execute(sql, self._values)

    def _number(self, sql: str) -> int:
        return int(self._db.execute(sql, self._values).fetchone()[0])

    def _differ(self, kind: DifferenceKind, select: str) -> None:
        """Record the differences that `select` returns: ID type, identifier, prior state."""
        columns = "comparison_id, kind, id_type, id, standing"
        self._run(
            f"INSERT INTO difference ({columns}) "
            f"SELECT :comparison, {int(kind)}, * FROM ({select}) AS found"
        )

    def _drop_forgotten(self) -> None:
        """Leave out the people who were forgotten since: they have left the cohort."""
        forgotten, at = forgotten_people(self._db), self._spec.at
        if at > forgotten.newest:
            return
        self._found.drop(
            {
                (amplitude_id, user_id)
                for amplitude_id, user_id in self._found.users()
                if (
                    forgotten.covers(IdType.AMPLITUDE_ID, amplitude_id, at)
                    or forgotten.covers(IdType.USER_ID, user_id, at)
                )
                and not self._is_known(amplitude_id, user_id)
            }
        )

    def _is_known(self, *ids: str) -> bool:
        """Whether the audience has a member with one of these identifiers, of any ID type."""
        row = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM main.member WHERE audience_id = ? AND id IN (?, ?))",
            (self._audience_id, *ids),
        ).fetchone()
        return bool(row[0])

    def _note_drift(self) -> None:
        """Set `delivered` to what the export shows; keep all who differ or differed in `drift`.

        `n` is NULL for users that the ledger does not know, `wants` and `prior` are the members'
        earlier values.
        """
        with closing(StoredIds()) as delivered:
            _add_delivered(self._db, self._audience_id, self._id_type, delivered)
            stage_changed(self._db, self._audience_id, self._changed(delivered))
        drift = drift_table(self._audience_id)
        if isinstance(self._db, ServerDb):
            # The members were read just now, so they need no disk: looking up 40,000 of 2,000,000
            # takes 0.2 s, reading all of them again 0.6 s. Of 200,000, the server reads them all.
            self._run("SET LOCAL random_page_cost = 1.1")
        self._run(
            f"CREATE TEMP TABLE {drift} AS SELECT n, delivered AS was, "
            "CASE WHEN delivered = 1 THEN 0 ELSE 1 END AS now, changed.id AS who, "
            f"wanted AS wants, {self._prior_state('delivered')} AS prior "
            f"FROM temp.{changed_table(self._audience_id)} AS changed LEFT JOIN main.member "
            "ON audience_id = :audience AND id_type = :id_type AND member.id = changed.id "
            "ORDER BY n"
        )
        self._run(f"CREATE INDEX {self._drift}_n ON {drift} (n)")
        if isinstance(self._db, ServerDb):  # else it expects few, and loops over them
            self._run(f"ANALYZE {self._drift}")
        for table, condition in (
            (pending_rows(self._db).table, "wanted IS NOT delivered AND rejection_id IS NULL"),
            ("main.member", "rejection_id IS NOT NULL"),
        ):
            self._run(
                f"INSERT INTO {self._drift} SELECT n, delivered, coalesce(delivered, 0), id, "
                f"wanted, {self._prior_state('delivered')} FROM {table} AS member "
                f"WHERE {_KNOWN} AND {condition} "
                f"AND NOT EXISTS (SELECT 1 FROM {self._drift} AS drift WHERE drift.n = member.n)"
            )
        self._run(
            "UPDATE main.member SET delivered = now, "
            "rejection_id = CASE WHEN wanted = now THEN NULL ELSE rejection_id END, "
            "refusals = CASE WHEN wanted = now THEN 0 ELSE refusals END "
            f"FROM {self._drift} AS drift WHERE drift.n = member.n AND was IS NOT now"
        )

    def _changed(self, delivered: StoredIds) -> Iterator[str]:
        """Yield the identifiers in one of the two sets only, and count those in the export."""
        for found in set_differences(self._found.ids, delivered):
            self._comparable += found.first_size
            yield from found.only_first
            yield from found.only_second

    def _stage_users(self) -> None:
        """Stage the users who matter by both identifiers."""
        former = f"SELECT EXISTS (SELECT 1 FROM main.member WHERE {_FORMER})"
        self._has_former = bool(self._number(former))
        users = self._found.users() if self._has_former or self._found.unidentified else ()
        if self._id_type is IdType.USER_ID:
            users = ((user_id, amplitude_id) for amplitude_id, user_id in users)
        stage_users(
            self._db,
            self._audience_id,
            (user for user in users if self._has_former or not user[0]),
        )

    def _settle_former(self) -> None:
        """Settle members who were delivered by the ID type that is no longer in use.

        Either they are out of the cohort, or they are in it by the ID type in use too, whose row
        covers them; or else they are extra, and can only be removed by the former one.
        """
        for column in ("id", "other"):
            table = export_table(self._audience_id)
            self._run(f"CREATE INDEX {self._export}_{column} ON {table} ({column})")
        listed = f"AND found.id NOT IN (SELECT id FROM {self._listed})"
        self._run(
            "UPDATE main.member SET rejection_id = NULL, refusals = 0, delivered = "
            f"CASE WHEN EXISTS (SELECT 1 FROM {self._export} AS found WHERE other = member.id "
            "AND NOT EXISTS "
            "(SELECT 1 FROM main.member AS m WHERE m.audience_id = :audience "
            "AND m.id_type = :id_type AND m.id = found.id) "
            f"{listed if self._spec.is_against_list else ''}) THEN 1 ELSE 0 END "
            f"WHERE {_FORMER}"
        )
        self._differ(
            DifferenceKind.LEFT,
            f"SELECT id_type, id, {int(PriorState.PENDING)} FROM main.member WHERE {_FORMER}",
        )

    def _differ_from_ledger(self) -> None:
        for kind, wanted in ((DifferenceKind.MISSING, 1), (DifferenceKind.LEFT, 0)):
            self._differ(
                kind,
                f"SELECT :id_type, who, prior FROM {self._drift} "
                f"WHERE wants = {wanted} AND now = {1 - wanted}",
            )
        self._differ_strangers("")

    def _differ_from_list(self) -> None:
        listed = self._listed_with_members()
        self._differ(
            DifferenceKind.MISSING,
            f"SELECT :id_type, listed.id, CASE WHEN wanted = 1 THEN {self._prior_state()} "
            f"ELSE {int(PriorState.NOTHING)} END FROM {listed} "
            f"LEFT JOIN {self._drift} AS drift ON drift.n = member.n WHERE NOT {_IS_FOUND}",
        )
        not_listed = f"id NOT IN (SELECT id FROM {self._listed})"
        self._differ(
            DifferenceKind.LEFT,
            f"SELECT id_type, id, CASE WHEN wanted = 0 THEN {self._prior_state()} "
            f"ELSE {int(PriorState.NOTHING)} END FROM main.member "
            f"LEFT JOIN {self._drift} AS drift USING (n) "
            f"WHERE audience_id = :audience AND id_type = :id_type AND delivered = 1 "
            f"AND {not_listed}",
        )
        self._differ_strangers(f"AND {not_listed}")
        self._differ(
            DifferenceKind.LISTED,
            f"SELECT :id_type, listed.id, {int(PriorState.NOTHING)} FROM {listed} "
            f"WHERE {_IS_FOUND} AND coalesce(wanted, 0) = 0",
        )
        self._differ(
            DifferenceKind.UNLISTED,
            f"SELECT id_type, id, {int(PriorState.NOTHING)} FROM main.member WHERE audience_id = "
            f":audience AND id_type = :id_type AND delivered = 0 AND wanted = 1 AND {not_listed}",
        )

    def _listed_with_members(self) -> str:
        """The list, its members and its strangers, joined; with them `_IS_FOUND` can be asked."""
        return (
            f"{self._listed} AS listed LEFT JOIN main.member ON audience_id = :audience "
            "AND id_type = :id_type AND member.id = listed.id "
            f"LEFT JOIN (SELECT who FROM {self._drift} WHERE n IS NULL) AS stranger "
            "ON stranger.who = listed.id"
        )

    def _differ_strangers(self, more: str) -> None:
        """Users in the cohort that the ledger does not know by either identifier."""
        by_id = (
            f"AND EXISTS (SELECT 1 FROM {self._export} AS found WHERE found.id = stranger.id "
            f"{self._except_former()})"
        )
        self._differ(
            DifferenceKind.STRANGER,
            f"SELECT :id_type, id, {int(PriorState.NOTHING)} "
            f"FROM (SELECT who AS id FROM {self._drift} WHERE n IS NULL) AS stranger "
            f"WHERE true {by_id if self._has_former else ''} {more} ORDER BY id",
        )

    def _except_former(self) -> str:
        """Leave out users who are extra by their former identifier: they are listed under it."""
        is_former = f"other IN (SELECT id FROM main.member WHERE {_FORMER})"
        return f"AND NOT {is_former}" if self._has_former else ""

    def _prior_state(self, was: str = "drift.was") -> str:
        """The prior state of a row of `member` that is joined with its `drift`."""
        return (
            f"CASE WHEN rejection_id IS NOT NULL THEN {int(PriorState.REJECTED)} "
            f"WHEN {was} = wanted THEN {int(PriorState.DELIVERED)} "
            f"ELSE {int(PriorState.PENDING)} END"
        )

    def _note_incomparable(self) -> None:
        self._differ(
            DifferenceKind.NO_ID_IN_COHORT,
            f"SELECT DISTINCT :other_type, other, {int(PriorState.NOTHING)} FROM {self._export} "
            f"WHERE id = '' {self._except_former()}",
        )
        if not self._spec.is_against_list:
            self._differ(
                DifferenceKind.NO_ID_IN_AUDIENCE,
                f"SELECT id_type, id, {int(PriorState.NOTHING)} FROM main.member "
                f"WHERE audience_id = :audience AND {IS_UNIDENTIFIED}",
            )

    def _note_resemblances(self) -> None:
        """Match missing with extra identifiers that differ in case, leading zeros or spaces."""
        extra = f"kind IN ({int(DifferenceKind.LEFT)}, {int(DifferenceKind.STRANGER)})"
        missing = f"kind = {int(DifferenceKind.MISSING)}"
        mine = "comparison_id = :comparison AND id_type = :id_type"
        for table, where in (("missing", missing), ("extra", extra)):
            self._run(f"DROP TABLE IF EXISTS temp.{table}")
            self._run(
                f"CREATE TEMP TABLE {table} AS SELECT lower(ltrim(trim(id), '0')) AS plain, id "
                f"FROM difference WHERE {mine} AND {where}"
            )
            self._run(f"CREATE INDEX temp.{table}_plain ON {table} (plain)")
        for where, one, other in ((missing, "missing", "extra"), (extra, "extra", "missing")):
            self._run(
                f"UPDATE difference SET resembles = {other}.id "
                f"FROM temp.{one} AS {one} JOIN temp.{other} AS {other} USING (plain) "
                f"WHERE plain <> '' AND {mine} AND {where} AND difference.id = {one}.id"
            )
        self._run("DROP TABLE temp.missing")
        self._run("DROP TABLE temp.extra")

    def _count(self) -> None:
        """Record the numbers. Users who are comparable and not extra are in both."""
        counts = dict(
            self._db.execute(
                "SELECT kind, count(*) FROM difference WHERE comparison_id = :comparison "
                "GROUP BY kind",
                self._values,
            ).fetchall()
        )
        strangers = counts.get(DifferenceKind.STRANGER, 0)
        comparable = self._count_comparable()
        by_id = self._number(
            "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
            "AND id_type = :id_type AND kind IN "
            f"({int(DifferenceKind.LEFT)}, {int(DifferenceKind.STRANGER)})"
        )
        in_both = comparable - by_id
        missing = counts.get(DifferenceKind.MISSING, 0)
        no_id = counts.get(DifferenceKind.NO_ID_IN_COHORT, 0)
        people = self._found.entries
        if people != comparable + no_id:  # the export may have someone twice
            people = self._found.count_people()
        self._values |= {
            "in_audience": in_both + missing,
            "in_cohort": people,
            "in_both": in_both,
            "missing": missing,
            "missing_drifted": self._count_missing(PriorState.DELIVERED),
            "missing_rejected": self._count_missing(PriorState.REJECTED),
            "has_left": counts.get(DifferenceKind.LEFT, 0),
            "strangers": strangers,
            "cohort_no_id": no_id,
            "audience_no_id": counts.get(DifferenceKind.NO_ID_IN_AUDIENCE, 0),
            "list_overlap": self._list_overlap(),
            "pending": self._count_pending(),
            "disagreeing": sum(counts.get(kind, 0) for kind in DISAGREEING),
        }
        self._run(_COUNTED)

    def _count_comparable(self) -> int:
        """Count the users in the cohort who have an identifier of the audience's ID type."""
        if not self._has_former:
            return self._comparable
        return self._number(
            f"SELECT count(DISTINCT id) FROM {self._export} WHERE id <> '' {self._except_former()}"
        )

    def _count_pending(self) -> int:
        """Count those who differ only because the next sync has not sent them yet."""
        if self._spec.is_against_list:
            return 0
        kinds = f"{int(DifferenceKind.MISSING)}, {int(DifferenceKind.LEFT)}"
        return self._number(
            "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
            f"AND kind IN ({kinds}) AND standing = {int(PriorState.PENDING)}"
        )

    def _list_overlap(self) -> int | None:
        """Count the list's identifiers that occur in the audience or in the cohort."""
        if not self._spec.is_against_list:
            return None
        return self._spec.list_known + self._number(
            f"SELECT count(*) FROM {self._listed_with_members()} "
            f"WHERE is_named = 1 AND {_IS_FOUND} AND coalesce(source_id, 0) = 0"
        )

    def _count_missing(self, prior_state: PriorState) -> int:
        return self._number(
            "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
            f"AND kind = {int(DifferenceKind.MISSING)} AND standing = {int(prior_state)}"
        )
