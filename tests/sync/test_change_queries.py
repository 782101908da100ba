"""A query of changes: who entered and who left, each with a time, read from a cursor."""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from amp_console.ledger import open_ledger, sources
from amp_console.ledger.audience_queries import RefreshOutcome
from amp_console.ledger.people import find_person
from amp_console.simulator import Simulator
from amp_console.sync.audience_queries import set_query
from amp_console.sync.sources.warehouse import Engine, WarehouseError, open_engine
from amp_console.sync.sources.warehouse.cursor import reads_on, with_placeholder
from tests.examples import examples
from tests.ledgers import sqlite_only
from tests.sync.test_refresh import Lake, statements
from tests.sync.warehouses import (
    KINDS,
    Warehouse,
    duckdb_warehouse,
    postgresql_warehouse,
    sqlite_warehouse,
)
from tests.sync.workspace import Workspace, event

APPLIED, ASKS, FAILED = RefreshOutcome.APPLIED, RefreshOutcome.ASKS, RefreshOutcome.FAILED
START = datetime(2026, 5, 3, 19, tzinfo=UTC)
QUERY = "SELECT user_id, is_member, changed_at FROM changes WHERE changed_at >= :cursor"
MINUTE = 60.0


@pytest.fixture(params=KINDS)
def warehouse(tmp_path: Path, request: pytest.FixtureRequest) -> Warehouse:
    if request.param == "postgresql":
        return postgresql_warehouse(request.getfixturevalue("server"))
    return (duckdb_warehouse if request.param == "duckdb" else sqlite_warehouse)(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Warehouse:
    return sqlite_warehouse(tmp_path)


class Changes(Lake):
    """The audience "vip", refreshed by a query of changes of the table `changes`."""

    def __init__(self, workspace: Workspace, warehouse: Warehouse, time: str = "TIMESTAMP") -> None:
        super().__init__(workspace, warehouse)
        self.time = time
        warehouse.execute(
            "DROP TABLE IF EXISTS changes",
            f"CREATE TABLE changes (user_id TEXT, is_member BOOLEAN, changed_at {time})",
        )
        self.follow(QUERY)

    def follow(self, sql: str, overlap: float = 10 * MINUTE) -> None:
        """Give the audience this query of changes."""
        connection = self.workspace.connection
        set_query(self.ledger, connection, "vip", "lake", sql, is_changes=True, overlap=overlap)

    def add(self, *rows: tuple[str | None, bool | None, float | None]) -> None:
        """Add changes: the user, whether they entered, and so many seconds after the start."""
        values = []
        for user, is_member, at in rows:
            who = "NULL" if user is None else f"'{user}'"
            what = "NULL" if is_member is None else str(is_member)
            when = "NULL" if at is None else f"'{START + timedelta(seconds=at):%F %T.%f}'"
            if at is not None and self.time == "TIMESTAMPTZ":
                when = f"{when.removesuffix(chr(39))}+00'"
            values.append(f"({who}, {what}, {when})")
        self.warehouse.execute(f"INSERT INTO changes VALUES {', '.join(values)}")

    @property
    def cursor(self) -> float | None:
        """Until when changes were read, in seconds after the start."""
        cursor = self.query.cursor
        return None if cursor is None else cursor / 1_000_000 - START.timestamp()


def test_its_rows_enter_and_leave_by_their_own_times(
    workspace: Workspace, warehouse: Warehouse
) -> None:
    lake = Changes(workspace, warehouse)
    lake.add(("a", True, 0), ("b", True, 0.25), ("b", False, 1), ("c", True, 2))
    report = lake.refresh()
    assert (report.outcome, report.rows, report.entering, report.leaving) == (APPLIED, 4, 2, 0)
    assert lake.wanted() == {"a", "c"}
    assert lake.cursor == 2
    lake.add(("a", False, 3), ("b", True, 0.5), ("d", True, 4), ("e", True, 4), ("f", True, 4))
    report = lake.refresh(confirm=True)
    assert (report.rows, report.entering, report.leaving) == (9, 3, 1)
    assert lake.wanted() == {"c", "d", "e", "f"}
    (found,) = lake.ledger.read(find_person, "a")
    assert (found.is_member, found.source, found.line) == (False, "lake: query of vip", 0)


@pytest.mark.parametrize("asks_first", [False, True])
@sqlite_only
def test_its_rows_are_counted_once_and_again_where_they_are_applied(
    workspace: Workspace, file: Warehouse, asks_first: bool
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 0))
    counted = statements(lake.ledger, "SELECT count(*) FILTER (WHERE change & 1 = 0")
    assert lake.refresh(confirm=True, asks_first=asks_first).outcome is APPLIED
    assert len(counted) == 2


@pytest.mark.parametrize("time", ["TIMESTAMP", "TIMESTAMPTZ"])
def test_it_reads_on_from_the_newest_change_less_the_overlap(
    workspace: Workspace, warehouse: Warehouse, time: str
) -> None:
    lake = Changes(workspace, warehouse, "TIMESTAMP" if "sqlite" in warehouse.url else time)
    lake.add(*((f"u-{minute}", True, minute * MINUTE) for minute in range(60)))
    assert lake.refresh().rows == 60
    assert lake.refresh().rows == 11  # of the last ten minutes
    lake.follow(QUERY, overlap=MINUTE)
    assert (lake.cursor, lake.refresh().rows) == (None, 60)  # another query starts over
    lake.add(("late", True, 58.5 * MINUTE), ("too late", True, 57 * MINUTE))
    assert lake.refresh().rows == 3
    assert lake.wanted() == {*(f"u-{minute}" for minute in range(60)), "late"}


def test_without_the_parameter_it_reads_everything_each_time(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.follow("SELECT user_id, is_member, changed_at, ':cursor' AS note FROM changes -- :cursor")
    lake.add(("a", True, 0), ("b", True, 3600))
    assert [lake.refresh().rows, lake.refresh().rows] == [2, 2]


@pytest.mark.parametrize("order", [(True, False), (False, True)])
@pytest.mark.parametrize("is_at_once", [True, False])
def test_of_changes_at_the_same_time_leaving_counts(
    workspace: Workspace, file: Warehouse, order: Sequence[bool], *, is_at_once: bool
) -> None:
    lake = Changes(workspace, file)
    for is_member in order:
        lake.add(("a", is_member, 0))
        if not is_at_once:
            lake.refresh(confirm=True)
    lake.refresh(confirm=True)
    assert lake.wanted() == set()


def test_a_row_that_is_replaced_at_the_same_time_says_what_is_true_now(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", False, 0), ("b", True, 0))
    lake.refresh()
    file.execute("UPDATE changes SET is_member = NOT is_member")
    lake.refresh(confirm=True)
    assert lake.wanted() == {"a"}


ROWS = {
    "(NULL, true, '2026-05-03 19:00:02')": "no user_id in this row",
    "('', true, '2026-05-03 19:00:02')": "no user_id in this row",
    "('x', NULL, '2026-05-03 19:00:02')": "no is_member in this row",
    "('x', 'perhaps', '2026-05-03 19:00:02')": "is_member is neither true nor false",
    "('x', 2, '2026-05-03 19:00:02')": "is_member is neither true nor false",
    "('x', true, NULL)": "no changed_at in this row",
    "('x', true, ' ')": "no changed_at in this row",
    "('x', true, 'yesterday')": "changed_at is not a date with a time of day",
    "('x', true, '2026-05-03')": "changed_at is not a date with a time of day",
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_that_says_nothing_certain_is_counted_and_listed(
    workspace: Workspace, file: Warehouse, row: str
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 0), ("b", True, 0), ("b", False, 1))
    file.execute(f"INSERT INTO changes VALUES {row}")
    lake.follow(
        "SELECT * FROM changes WHERE coalesce(nullif(trim(changed_at), ''), '9') >= :cursor"
    )
    lake.add(("c", True, 3600))
    report = lake.refresh()
    assert (report.outcome, report.refused) == (RefreshOutcome.INCOMPLETE, 1)
    assert lake.wanted() == {"a", "c"}
    (group,) = lake.ledger.read(sources.invalid_groups)
    assert group.reason.startswith(ROWS[row])
    assert f"1 row was refused: {group.reason} (1). Correct such rows" in report.notes[0]
    file.execute("DELETE FROM changes WHERE user_id = 'x' OR coalesce(user_id, '') = ''")
    assert lake.refresh().outcome is APPLIED
    assert lake.cursor == 3600
    assert lake.ledger.read(sources.count_invalid) == 0


def test_a_refused_row_holds_the_cursor_until_it_can_be_used(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.follow(QUERY, overlap=MINUTE)
    lake.add(("a", True, 0), ("b", None, 1800), ("c", True, 3600), (None, True, 5400))
    for rows in (4, 3):
        report = lake.refresh()
        assert (report.rows, report.refused, lake.cursor) == (rows, 2, 1800)
    file.execute("UPDATE changes SET is_member = true WHERE user_id = 'b'")
    file.execute("DELETE FROM changes WHERE user_id IS NULL")
    assert lake.refresh().outcome is APPLIED
    assert (lake.wanted(), lake.cursor) == ({"a", "b", "c"}, 3600)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("'u' AS user_id, true AS is_member", "no column called changed_at, but user_id"),
        ("'u' AS user_id, '2026-05-03' AS changed_at", "no column called is_member, but"),
        ("true AS is_member, '2026-05-03' AS changed_at", "no column called user_id or"),
        ("'u' AS user_id, 1 AS is_member, 1777836170 AS changed_at", "holds numbers, which are"),
        ("'u' AS user_id, 1 AS is_member, 1.5 AS changed_at", "holds numbers, which are"),
        ("1.5 AS user_id, 1 AS is_member, '2026-05-03 10:00' AS changed_at", "floating-point"),
    ],
)
def test_columns_of_the_wrong_kind_change_nothing(
    workspace: Workspace, file: Warehouse, columns: str, words: str
) -> None:
    lake = Changes(workspace, file)
    lake.follow(f"SELECT {columns}")
    report = lake.refresh()
    assert report.outcome is FAILED
    assert words in report.notes[0]
    assert (lake.wanted(), lake.cursor) == (set(), None)


@pytest.mark.parametrize("warehouse", ["duckdb", "postgresql"], indirect=True)
def test_dates_have_no_order_within_a_day(workspace: Workspace, warehouse: Warehouse) -> None:
    lake = Changes(workspace, warehouse)
    lake.follow("SELECT 'u' AS user_id, true AS is_member, current_date AS changed_at")
    (note,) = lake.refresh().notes
    assert "changed_at holds dates without a time of day" in note


def test_a_list_with_memberships_is_no_list(workspace: Workspace, file: Warehouse) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", False, 0))
    lake.ask("SELECT user_id, is_member FROM changes")
    report = lake.refresh()
    assert report.outcome is FAILED
    assert "Set it again as a query of changes" in report.notes[0]


def test_a_time_to_come_does_not_move_the_cursor_past_now(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 10), ("b", True, 1_000_000))
    hour = round((START.timestamp() + 3600) * 1_000_000)
    lake.refresh(now=lambda: hour)
    assert lake.cursor == 3600
    lake.add(("c", True, 3500))
    lake.refresh(now=lambda: hour + 1)
    assert lake.wanted() == {"a", "b", "c"}


def test_changes_that_remove_more_than_a_fifth_are_confirmed_and_the_cursor_stays_until_then(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(*((f"u-{number}", True, 0) for number in range(10)))
    lake.refresh()
    lake.add(*((f"u-{number}", False, 5) for number in range(3)))
    before = lake.everything()
    dry = lake.refresh(is_dry=True)
    assert (dry.entering, dry.leaving) == (0, 3)
    assert "asks before it removes" in dry.notes[-1]
    assert lake.everything() == before
    work = lake.begin()
    report = work.run()
    assert report.outcome is ASKS
    assert report.question == (
        "The query lists 13 changes. It removes 3 of the 10 members of “vip”."
    )
    assert work.decline(report).outcome is RefreshOutcome.DECLINED
    assert (lake.cursor, len(lake.wanted())) == (0, 10)
    assert lake.refresh(confirm=True).outcome is APPLIED
    assert (lake.cursor, len(lake.wanted())) == (5, 7)


def test_events_and_changes_of_the_same_person_count_by_their_times(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 10), ("b", True, 10))
    workspace.read([event("a", False, at=20, audience="vip")])
    workspace.read([event("b", False, at=5, audience="vip")])
    lake.refresh()
    assert lake.wanted() == {"b"}


def test_changes_of_a_query_that_was_replaced_meanwhile_are_not_applied(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 10))
    work = lake.begin()
    lake.follow(f"{QUERY} AND true")
    assert work.run().outcome is FAILED
    assert (lake.wanted(), lake.cursor) == (set(), None)


def test_one_that_never_returned_a_change_says_so(workspace: Workspace, file: Warehouse) -> None:
    lake = Changes(workspace, file)
    assert "Check how it compares :cursor." in lake.refresh().notes[-1]


def test_the_parameter_is_found_where_it_is_one_and_positions_stay() -> None:
    sql = "SELECT ':cursor', \":cursor\", a::cursor, E'\\':cursor', $x$:cursor$x$ /* :cursor */"
    sql += "-- :cursor"
    assert not reads_on(sql)
    assert with_placeholder(sql, "$1") == sql
    sql = "SELECT 1 WHERE a>=:cursor AND b <= :CURSOR"
    assert with_placeholder(sql, "$1") == "SELECT 1 WHERE a>=$1      AND b <= $1     "
    assert with_placeholder("x = :cursors", "$1") == "x = :cursors"


class Killed(BaseException):
    """The process ends here."""


class ChoppingEngine:
    """An engine that hands over rows in chunks of one size, and may fail after some of them."""

    def __init__(self, engine: Engine, size: int, chunks: int | None, error: BaseException) -> None:
        self._engine = engine
        self._size, self._chunks, self._error = size, chunks, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> Any:
        result = self._engine.query(sql, timeout, since)

        def chunks() -> Iterator[Any]:
            rows = [row for chunk in result.chunks for row in chunk]
            for number, at in enumerate(range(0, len(rows), self._size)):
                if number == self._chunks:
                    raise self._error
                yield rows[at : at + self._size]

        return result._replace(chunks=chunks())


USERS = ("u1", "u2", "u3", "u4")
AMPLITUDE_IDS = {"u1": "11", "u2": "12", "u3": "13", "u4": "14"}
OVERLAP = 20

History = st.lists(
    st.tuples(
        st.sampled_from(USERS),
        st.sampled_from(["both", "user", "amplitude"]),
        st.booleans(),
        st.integers(-OVERLAP, 30),  # seconds after the newest change that was read
    ),
    max_size=8,
)
Rounds = st.lists(
    st.tuples(
        History,
        st.integers(1, 4),
        st.one_of(st.none(), st.integers(0, 3)),
        st.sampled_from([WarehouseError("The connection broke.", "Try again."), Killed()]),
    ),
    min_size=1,
    max_size=6,
)


def _chopped(warehouse: Warehouse, chopping: Callable[[Engine], Engine]) -> Callable[[], Engine]:
    return lambda: chopping(open_engine(warehouse.url, None))


@examples(40, suppress_health_check=list(HealthCheck), deadline=None)
@given(rounds=Rounds)
def test_after_each_refresh_it_is_as_a_plain_model_says(
    rounds: list[tuple[list[Any], int, int | None, BaseException]],
    simulator: Simulator,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("changes")
    warehouse = sqlite_warehouse(folder)
    warehouse.execute("CREATE TABLE changes (user_id, amplitude_id, is_member, changed_at)")
    newest: dict[str, tuple[int, bool]] = {}
    read_until = 0
    is_set = False
    for rows, size, chunks, error in rounds:
        values = []
        for user, ids, is_member, after in rows:
            at = read_until + after
            named = {"user": [user], "amplitude": [AMPLITUDE_IDS[user]]}
            named["both"] = named["user"] + named["amplitude"]
            for id_ in named[ids]:
                newest[id_] = max(newest.get(id_, (at, not is_member)), (at, not is_member))
            columns = [f"'{id_}'" if id_ in named[ids] else "NULL" for id_ in named["both"]]
            moment = f"{START + timedelta(seconds=at):%F %T}"
            values.append(f"({', '.join(columns)}, {int(is_member)}, '{moment}')")
        if values:
            warehouse.execute(f"INSERT INTO changes VALUES {', '.join(values)}")
        with open_ledger(folder / "ledger.db", is_durable=False) as ledger:
            lake = Lake(Workspace(simulator, ledger, folder), warehouse)
            connection = lake.workspace.connection
            if not is_set:
                sql = "SELECT * FROM changes WHERE changed_at >= :cursor"
                set_query(ledger, connection, "vip", "lake", sql, is_changes=True, overlap=OVERLAP)
                is_set = True
            before = lake.rows()
            chopping = partial(ChoppingEngine, size=size, chunks=chunks, error=error)
            lake.open_engine = _chopped(warehouse, chopping)
            try:
                report = lake.refresh(confirm=True)
            except Killed:
                report = None
            if report is None or report.outcome is FAILED:
                assert lake.rows() == before
                continue
            assert report.outcome is APPLIED
            members = {id_ for id_, (_, has_left) in newest.items() if not has_left}
            assert lake.wanted() | lake.members(2) == members
            if newest:
                read_until = max(at for at, _ in newest.values())


def test_who_enters_and_leaves_is_counted_before_it_is_so(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.follow(QUERY, overlap=3600)
    rng = random.Random(3)
    for number in range(8):
        workspace.read([event("u5", number % 2 == 0, at=rng.randrange(40), audience="vip")])
        users = [f"u{rng.randrange(9)}" for _ in range(12)]
        lake.add(*((user, rng.random() < 0.5, rng.randrange(40)) for user in users))
        before = lake.wanted()
        dry = lake.refresh(is_dry=True)
        report = lake.refresh(confirm=True)
        after = lake.wanted()
        assert (report.entering, report.leaving) == (len(after - before), len(before - after))
        assert (dry.entering, dry.leaving) == (report.entering, report.leaving)


@pytest.mark.parametrize("warehouse", ["postgresql"], indirect=True)
def test_a_time_without_end_is_reported(workspace: Workspace, warehouse: Warehouse) -> None:
    lake = Changes(workspace, warehouse)
    lake.follow("SELECT 'u' AS user_id, true AS is_member, 'infinity'::timestamptz AS changed_at")
    report = lake.refresh()
    assert report.outcome is FAILED
    assert report.notes[0].startswith("PostgreSQL sent a value that can't be read: timestamp too")


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMPTZ"])
@pytest.mark.parametrize("time", ["infinity", "-infinity"])
def test_a_row_with_a_time_without_end_is_refused(
    workspace: Workspace, warehouse: Warehouse, kind: str, time: str
) -> None:
    lake = Changes(workspace, warehouse)
    lake.follow(f"SELECT 'u' AS user_id, true AS is_member, '{time}'::{kind} AS changed_at")
    report = lake.refresh()
    assert (report.outcome, report.refused) == (RefreshOutcome.INCOMPLETE, 1)
    assert (lake.wanted(), lake.cursor) == (set(), None)


def test_a_plan_of_changes_is_confirmed_before_anyone_is_wanted(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.add(("a", True, 0), ("b", None, 10))
    work = lake.begin(asks_first=True)
    report = work.run()
    assert (report.outcome, report.entering, report.leaving) == (ASKS, 1, 0)
    assert (lake.wanted(), lake.cursor) == (set(), None)
    assert work.confirm(report).outcome is RefreshOutcome.INCOMPLETE
    assert (lake.wanted(), lake.cursor) == ({"a"}, 0)


def test_of_two_refreshes_at_once_each_keeps_the_changes_that_it_has_read(
    workspace: Workspace, file: Warehouse
) -> None:
    lake = Changes(workspace, file)
    lake.follow(QUERY, overlap=MINUTE)
    lake.add(("a", True, 0), ("b", True, 3600))
    first = lake.begin(asks_first=True)
    asked = first.run()
    file.execute("DELETE FROM changes")
    lake.add(("c", True, 1800))
    second = lake.begin(asks_first=True)
    asked_again = second.run()
    assert first.confirm(asked).outcome is APPLIED
    assert (lake.wanted(), lake.cursor) == ({"a", "b"}, 3600)
    assert second.confirm(asked_again).outcome is APPLIED
    assert lake.wanted() == {"a", "b", "c"}
