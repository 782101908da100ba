"""Comparing a cohort with an audience as sets; `delivered` is set to what the export shows.

Once `delivered` matches the export, the differences are what is pending or rejected, so the members
are not read a second time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from amp_console.ledger.audiences import audience
from amp_console.ledger.comparisons import (
    DISAGREEING,
    KEPT,
    Comparison,
    DifferenceKind,
    PriorState,
    comparison,
)
from amp_console.ledger.counts import IS_UNIDENTIFIED
from amp_console.ledger.db import EVERY, ID_TYPE_CODE, Db, ServerDb, each_row, members_between
from amp_console.ledger.export_staging import absent_table, drift_table, export_table, list_table
from amp_console.ledger.forgotten import forgotten_people
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
_SORTING_THREADS = 2  # beside the ledger's own, only while it sorts; they take 40 MiB
# Of a join on a server. What fits into the processor's cache is joined with a fifth less work than
# all at once, though it goes through files: 2,000,000 identifiers take 2.0 s, with 64 MB 2.4 s.
_JOIN_MEMORY = "4MB"
_KNOWN = "audience_id = :audience AND id_type = :id_type"
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


def compare_cohort(db: Db, spec: ComparisonSpec) -> Comparison:
    """Compare the export with the audience, and set `delivered` to what the export shows."""
    return _Comparer(db, spec).compare()


@contextmanager
def _joining_in_cache(db: Db) -> Iterator[None]:
    """Let joins on a server have `_JOIN_MEMORY`, and then what the session has."""
    set_memory = "SELECT set_config('work_mem', ?, true)"  # until the transaction ends
    (memory,) = db.execute("SELECT current_setting('work_mem')").fetchone()
    db.execute(set_memory, (_JOIN_MEMORY,))
    yield
    db.execute(set_memory, (memory,))


class _Comparer:
    def __init__(self, db: Db, spec: ComparisonSpec) -> None:
        self._db = db
        self._spec = spec
        known = audience(db, spec.audience_id)
        assert known.cohort_id is not None
        self._audience_id = known.id
        self._id_type = known.id_type
        self._export = f"temp.{export_table(known.id)}"
        self._drift = f"temp.{drift_table(known.id)}"
        self._listed = f"temp.{list_table(known.id)}"
        self._has_former = False
        self._present: int | None = None  # how many members are in the export; None: not counted
        self._values: dict[str, object] = {
            "audience": known.id,
            "id_type": ID_TYPE_CODE[known.id_type],
            "other_type": ID_TYPE_CODE[known.id_type.other],
            **msgspec.structs.asdict(spec),
            "cohort_id": known.cohort_id,
        }

    def compare(self) -> Comparison:
        if not isinstance(self._db, ServerDb):  # it reads the table whole, and would use no index
            self._sort_found()
        self._drop_forgotten()
        self._note_drift()
        if isinstance(self._db, ServerDb):
            # It takes those who differ for one user or two: with nested loops, 20,000 missing of
            # 2,000,000 take a minute.
            self._run("SET LOCAL enable_nestloop = off")
        comparison_id = self._number(_BEGIN)
        self._values["comparison"] = comparison_id
        self._settle_former()
        if self._spec.is_against_list:
            self._differ_from_list()
        else:
            self._differ_from_ledger()
        self._note_incomparable()
        self._note_resemblances()
        self._count()
        self._run(_PRUNE)
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

    def _sort_found(self) -> None:
        """Sort the export: of 2,000,000 users, this is half of the comparison in one thread."""
        self._run(f"PRAGMA threads = {_SORTING_THREADS}")
        try:
            self._index_found("id")
        finally:
            self._run("PRAGMA threads = 0")

    def _index_found(self, column: str) -> None:
        table = export_table(self._audience_id)
        self._run(f"CREATE INDEX {self._export}_{column} ON {table} ({column})")

    def _drop_forgotten(self) -> None:
        """Leave out the people who were forgotten since: they have left the cohort."""
        forgotten, at = forgotten_people(self._db), self._spec.at
        if at > forgotten.newest:
            return
        dropped = [
            {"audience": self._audience_id, "id": id_, "other": other}
            for id_, other in each_row(self._db, f"SELECT id, other FROM {self._export}")
            if forgotten.covers(self._id_type, id_, at)
            or forgotten.covers(self._id_type.other, other, at)
        ]
        self._db.executemany(
            f"DELETE FROM {self._export} WHERE id = :id AND other = :other AND NOT EXISTS "
            "(SELECT 1 FROM main.member AS m WHERE m.audience_id = :audience "
            "AND m.id IN (:id, :other))",
            dropped,
        )

    def _note_drift(self) -> None:
        """Set `delivered` to what the export shows, and keep the members where it differed."""
        if isinstance(self._db, ServerDb):
            self._note_drift_on_server()
        else:
            self._note_drift_in_file()
        self._run(
            "UPDATE main.member SET delivered = now, "
            "rejection_id = CASE WHEN wanted = now THEN NULL ELSE rejection_id END, "
            "refusals = CASE WHEN wanted = now THEN 0 ELSE refusals END "
            f"FROM {self._drift} AS drift WHERE drift.n = member.n AND was IS NOT now"
        )
        if isinstance(self._db, ServerDb):  # which counts members by their state
            self._present = self._number(
                f"SELECT coalesce(sum(people), 0) FROM counted_member WHERE {_KNOWN} "
                "AND delivered = 1"
            )

    def _note_drift_on_server(self) -> None:
        """Note where `delivered` differs, in one join, which a server does quickly.

        `wants` and `prior` are the members' earlier values. `n` is NULL for users that the ledger
        does not know.
        """
        now = "CASE WHEN found.id IS NULL THEN 0 ELSE 1 END"
        with _joining_in_cache(self._db):
            self._run(
                f"CREATE TEMP TABLE {drift_table(self._audience_id)} AS SELECT DISTINCT n, "
                f"delivered AS was, {now} AS now, id AS who, wanted AS wants, "
                f"{self._prior_state('delivered')} AS prior "
                f"FROM (SELECT * FROM main.member WHERE {_KNOWN}) AS known "
                f"FULL JOIN (SELECT id FROM {self._export} WHERE id <> '') AS found USING (id) "
                f"WHERE n IS NULL OR delivered IS NOT {now} OR wanted IS NOT {now}"
            )
        self._run(f"ANALYZE {self._drift}")

    def _note_drift_in_file(self) -> None:
        """Note the members where `delivered` differs: first those who are not in the export.

        Both sides are read in the order of an index and merged, in a quarter of the time in which
        SQLite looks each of them up.
        """
        self._run(
            f"CREATE TEMP TABLE {drift_table(self._audience_id)} "
            "(n INTEGER PRIMARY KEY, was INTEGER, now INTEGER)"
        )
        people = self._number(f"SELECT count(*) FROM main.member WHERE {_KNOWN}")
        first, last = (
            self._number(f"SELECT coalesce({end}(n), 0) FROM main.member") for end in ("min", "max")
        )
        self._values |= {"first": first, "last": last}
        absent = f"temp.{absent_table(self._audience_id)}"
        self._run(f"CREATE TEMP TABLE {absent_table(self._audience_id)} (n INTEGER PRIMARY KEY)")
        self._run(
            f"INSERT INTO {absent} SELECT n FROM main.member WHERE {_KNOWN} AND id IN "
            f"(SELECT id FROM main.member WHERE {_KNOWN} "
            f"EXCEPT SELECT id FROM {self._export} ORDER BY id)"
        )
        self._present = people - self._number(f"SELECT count(*) FROM {absent}")
        self._run(
            f"INSERT INTO {self._drift} SELECT n, delivered, 0 FROM {absent} "
            "CROSS JOIN main.member USING (n) WHERE delivered IS NOT 0 ORDER BY n"
        )
        self._run(
            f"INSERT INTO {self._drift} SELECT n, delivered, 1 FROM main.member "
            f"WHERE {members_between(first, last, people)} AND delivered IS NOT 1 "
            f"AND NOT EXISTS (SELECT 1 FROM {absent} AS absent WHERE absent.n = member.n)"
        )
        self._run(f"DROP TABLE {absent}")

    def _settle_former(self) -> None:
        """Settle members who were delivered by the ID type that is no longer in use.

        Either they are out of the cohort, or they are in it by the ID type in use too, whose row
        covers them; or else they are extra, and can only be removed by the former one.
        """
        if not self._number(f"SELECT EXISTS (SELECT 1 FROM main.member WHERE {_FORMER})"):
            return
        self._has_former = True
        self._index_found("other")
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
            if isinstance(self._db, ServerDb):
                self._differ(
                    kind,
                    f"SELECT :id_type, who, prior FROM {self._drift} "
                    f"WHERE wants = {wanted} AND now = {1 - wanted}",
                )
            else:
                self._differ_in_file(kind, wanted)
        self._differ_strangers("")

    def _differ_in_file(self, kind: DifferenceKind, wanted: int) -> None:
        """Record the members whose wanted state differs from what was found.

        Each half has its own index; both in one query would read every member.
        """
        differ = (
            "audience_id = :audience AND id_type = :id_type "
            f"AND wanted = {wanted} AND delivered = {1 - wanted}"
        )
        for rejected in (
            "rejection_id IS NULL AND wanted IS NOT delivered",
            "rejection_id IS NOT NULL",
        ):
            self._differ(
                kind,
                f"SELECT id_type, id, {self._prior_state()} FROM main.member "
                f"LEFT JOIN {self._drift} AS drift USING (n) WHERE {differ} AND {rejected}",
            )

    def _differ_from_list(self) -> None:
        same = "audience_id = :audience AND id_type = :id_type AND member.id ="
        self._differ(
            DifferenceKind.MISSING,
            f"SELECT :id_type, listed.id, CASE WHEN wanted = 1 THEN {self._prior_state()} "
            f"ELSE {int(PriorState.NOTHING)} END FROM {self._listed} AS listed "
            f"LEFT JOIN main.member ON {same} listed.id LEFT JOIN {self._drift} AS drift USING (n) "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._export} AS found WHERE found.id = listed.id)",
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
            f"SELECT :id_type, id, {int(PriorState.NOTHING)} FROM {self._listed} AS listed WHERE "
            f"EXISTS (SELECT 1 FROM {self._export} AS found WHERE found.id = listed.id) "
            f"AND NOT EXISTS (SELECT 1 FROM main.member WHERE {same} listed.id AND wanted = 1)",
        )
        self._differ(
            DifferenceKind.UNLISTED,
            f"SELECT id_type, id, {int(PriorState.NOTHING)} FROM main.member WHERE audience_id = "
            f":audience AND id_type = :id_type AND delivered = 0 AND wanted = 1 AND {not_listed}",
        )

    def _differ_strangers(self, more: str) -> None:
        """Users in the cohort that the ledger does not know by either identifier."""
        if self._has_former:
            select = (
                f"SELECT DISTINCT id FROM {self._export} AS found "
                "WHERE id <> '' AND NOT EXISTS (SELECT 1 FROM main.member AS m "
                "WHERE m.audience_id = :audience AND m.id_type = :id_type AND m.id = found.id) "
                f"{self._except_former()} ORDER BY id"
            )
        elif isinstance(self._db, ServerDb):
            select = f"SELECT who AS id FROM {self._drift} WHERE n IS NULL ORDER BY who"
        else:  # merged in the order of two indexes, in a quarter of the time
            select = (
                f"SELECT id FROM {self._export} EXCEPT SELECT id FROM main.member WHERE {_KNOWN} "
                "ORDER BY id"
            )
        self._differ(
            DifferenceKind.STRANGER,
            f"SELECT :id_type, id, {int(PriorState.NOTHING)} FROM ({select}) AS found "
            f"WHERE id <> '' {more}",
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
        comparable = self._comparable(strangers)
        by_id = self._number(
            "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
            "AND id_type = :id_type AND kind IN "
            f"({int(DifferenceKind.LEFT)}, {int(DifferenceKind.STRANGER)})"
        )
        in_both = comparable - by_id
        missing = counts.get(DifferenceKind.MISSING, 0)
        no_id = counts.get(DifferenceKind.NO_ID_IN_COHORT, 0)
        people = self._number(f"SELECT count(*) FROM {self._export}")
        if people != comparable + no_id:  # the export may have someone twice
            amplitude_id = "other" if self._id_type is IdType.USER_ID else "id"
            people = self._number(f"SELECT count(DISTINCT {amplitude_id}) FROM {self._export}")
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

    def _comparable(self, strangers: int) -> int:
        """Count the users in the cohort who have an identifier of the audience's ID type."""
        if self._present is not None and not (self._has_former or self._spec.is_against_list):
            return self._present + strangers
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
            f"SELECT count(*) FROM {self._listed} AS listed WHERE is_named = 1 "
            f"AND EXISTS (SELECT 1 FROM {self._export} AS found WHERE found.id = listed.id) "
            "AND NOT EXISTS (SELECT 1 FROM main.member WHERE audience_id = :audience "
            "AND id_type = :id_type AND member.id = listed.id AND source_id <> 0)"
        )

    def _count_missing(self, prior_state: PriorState) -> int:
        return self._number(
            "SELECT count(*) FROM difference WHERE comparison_id = :comparison "
            f"AND kind = {int(DifferenceKind.MISSING)} AND standing = {int(prior_state)}"
        )
