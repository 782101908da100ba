"""Refreshing an audience from its query: who enters, who leaves, and when nothing changes."""

import random
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amp_console.connections import NamedSource
from amp_console.engage import ReadOptions
from amp_console.ledger import Db, Ledger, sources
from amp_console.ledger.audience_queries import AudienceQuery, RefreshOutcome, query_of
from amp_console.ledger.audiences import Audience
from amp_console.ledger.event_log import LogFilter, Severity, log_page
from amp_console.ledger.snapshots import Removal
from amp_console.ledger.sources import ReadCounts, read_before_sync
from amp_console.sync.audience_queries import drop_query, set_query
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.ingest.importer import Importer
from amp_console.sync.ingest.snapshot import SnapshotReader
from amp_console.sync.sources.registry import open_reader
from amp_console.sync.sources.warehouse import Engine, WarehouseError, open_engine
from amp_console.sync.sources.warehouse.refresh import AudienceRefresh, RefreshReport
from amp_console.values import IdType, now_in_microseconds
from tests.ledgers import sqlite_only, tables, temporary_tables
from tests.postgresql import PASSWORD, PostgresqlServer
from tests.sync.warehouses import KINDS, Warehouse, duckdb_warehouse, postgresql_warehouse
from tests.sync.warehouses import sqlite_warehouse as sqlite_file
from tests.sync.workspace import Workspace, event

APPLIED, ASKS, FAILED = RefreshOutcome.APPLIED, RefreshOutcome.ASKS, RefreshOutcome.FAILED
MEMBERS = tuple(f"m-{number}" for number in range(10))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return sqlite_file(tmp_path)


class Lake:
    """The audience "vip" of a workspace, refreshed by a query of a warehouse."""

    def __init__(self, workspace: Workspace, warehouse: Warehouse) -> None:
        source = NamedSource(name="lake", url=warehouse.url)
        workspace.connection = msgspec.structs.replace(workspace.connection, sources=(source,))
        self.workspace = workspace
        self.ledger = workspace.ledger
        self.warehouse = warehouse
        self.open_engine: Callable[[], Engine] = lambda: open_engine(
            warehouse.url, warehouse.password
        )
        self.ask("SELECT user_id FROM vips")

    def ask(self, sql: str) -> None:
        """Give the audience this query."""
        set_query(self.ledger, self.workspace.connection, "vip", "lake", sql)

    @property
    def audience(self) -> Audience:
        return self.workspace.audience("vip")

    @property
    def query(self) -> AudienceQuery:
        found = self.ledger.read(query_of, self.audience.id)
        assert found is not None
        return found

    @property
    def last(self) -> tuple[RefreshOutcome, int] | None:
        """The outcome of the last refresh, and the rows it read."""
        last = self.query.last
        return (last.outcome, last.rows) if last else None

    def begin(self, **more: Any) -> AudienceRefresh:
        """Make a refresh that has not run yet."""
        return AudienceRefresh(self.ledger, self.audience, self.query, self.open_engine, **more)

    def refresh(self, *, confirm: bool = False, **more: Any) -> RefreshReport:
        work = self.begin(**more)
        report = work.run()
        while confirm and report.outcome is ASKS:
            report = work.confirm(report)
        return report

    def wanted(self, id_type: int = 1) -> set[str]:
        """The wanted users, by identifiers of one type."""
        query = "SELECT id FROM member WHERE audience_id = ? AND id_type = ? AND wanted = 1"
        values = (self.audience.id, id_type)
        rows = self.ledger.read(lambda db: db.execute(query, values).fetchall())
        return {id_ for (id_,) in rows}

    def members(self, id_type: int = 1) -> set[str]:
        """The members, by identifiers of one type."""
        query = "SELECT id FROM member WHERE audience_id = ? AND id_type = ? AND is_member = 1"
        values = (self.audience.id, id_type)
        rows = self.ledger.read(lambda db: db.execute(query, values).fetchall())
        return {id_ for (id_,) in rows}

    def rows(self) -> list[tuple[object, ...]]:
        """Every member, with everything that is known about them."""
        return self.ledger.read(lambda db: db.execute("SELECT * FROM member").fetchall())

    def everything(self) -> list[list[Any]]:
        """Every row of every table of the ledger."""

        return self.ledger.read(
            lambda db: [db.execute(f"SELECT * FROM main.{name}").fetchall() for name in tables(db)]
        )


@pytest.fixture
def lake(workspace: Workspace, warehouse: Warehouse) -> Lake:
    """An audience of ten members by a query."""
    lake = Lake(workspace, warehouse)
    warehouse.members(*MEMBERS)
    assert lake.refresh().outcome is APPLIED
    return lake


def test_someone_it_no_longer_lists_has_left(lake: Lake) -> None:
    lake.warehouse.members(*MEMBERS[1:], "new", "new")
    report = lake.refresh()
    assert (report.outcome, report.removal) == (APPLIED, Removal(10, 10, 1))
    assert (report.rows, report.entering, report.leaving, report.duplicates) == (11, 1, 1, 1)
    assert lake.wanted() == {*MEMBERS[1:], "new"}


def _warehouse(kind: str, folder: Path, request: pytest.FixtureRequest) -> Warehouse:
    if kind == "postgresql":
        return postgresql_warehouse(request.getfixturevalue("server"))
    return (duckdb_warehouse if kind == "duckdb" else sqlite_file)(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_it_becomes_what_the_table_holds_however_that_changes(
    workspace: Workspace, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    lake = Lake(workspace, _warehouse(kind, tmp_path, request))
    rng = random.Random(7)
    for _ in range(5):
        rows = [f"u'{rng.randrange(30)}\x1b" for _ in range(rng.randrange(40))]
        before = lake.wanted()
        lake.warehouse.members(*rows)
        report = lake.refresh(confirm=True)
        assert report.outcome is APPLIED
        assert lake.wanted() == set(rows)
        assert report.entering == len(set(rows) - before)
        assert report.leaving == len(before - set(rows))
        assert (report.rows, report.duplicates) == (len(rows), len(rows) - len(set(rows)))


@pytest.mark.parametrize("users", [(), ("m-0",), MEMBERS[:7]])
def test_no_rows_or_more_than_a_fifth_fewer_have_to_be_confirmed(
    lake: Lake, users: Sequence[str]
) -> None:
    lake.warehouse.members(*users)
    work = lake.begin()
    report = work.run()
    assert report.outcome is ASKS
    assert report.question.startswith(
        f"The query lists {'no members' if not users else len(users)}"
    )
    assert lake.wanted() == {*MEMBERS}
    assert work.decline(report).outcome is RefreshOutcome.DECLINED
    assert lake.wanted() == {*MEMBERS}
    assert lake.ledger.read(read_before_sync) == ReadCounts()  # no row was applied
    assert lake.refresh(confirm=True).outcome is APPLIED
    assert lake.wanted() == {*users}
    assert lake.ledger.read(read_before_sync) == ReadCounts(len(users), len(users))


def test_with_a_plan_every_change_is_confirmed_first(lake: Lake) -> None:
    lake.warehouse.members(*MEMBERS[1:], "new")
    work = lake.begin(asks_first=True)
    report = work.run()
    assert (report.outcome, report.entering, report.leaving) == (ASKS, 1, 1)
    assert lake.wanted() == {*MEMBERS}
    assert work.confirm(report).outcome is APPLIED
    assert lake.wanted() == {*MEMBERS[1:], "new"}
    assert lake.refresh(asks_first=True).outcome is APPLIED  # which changes no one


@pytest.mark.parametrize("asks_first", [False, True])
@sqlite_only
def test_who_would_leave_is_counted_once_and_again_where_it_is_applied(
    lake: Lake, asks_first: bool
) -> None:
    lake.warehouse.members(*MEMBERS[1:], "new")
    counted = statements(lake.ledger, "SELECT count(*) FROM temp.leaver_")
    assert lake.refresh(confirm=True, asks_first=asks_first).outcome is APPLIED
    assert len(counted) == 2


def statements(ledger: Ledger, begin: str) -> list[str]:
    """The statements that a ledger runs from now on, if they start like this."""
    found: list[str] = []

    def trace(db: Db) -> None:
        assert isinstance(db, sqlite3.Connection)
        db.set_trace_callback(lambda sql: found.append(sql) if sql.startswith(begin) else None)

    ledger.read(trace)
    return found


def test_a_plan_with_refused_rows_says_that_no_one_is_removed(lake: Lake) -> None:
    lake.warehouse.members(*MEMBERS[1:], "new", " ")
    work = lake.begin(asks_first=True)
    report = work.run()
    assert (report.outcome, report.entering, report.leaving) == (ASKS, 1, 0)
    assert report.notes[-1] == "While rows are refused, members who are not listed stay."
    assert lake.wanted() == {*MEMBERS}
    assert work.confirm(report).outcome is RefreshOutcome.INCOMPLETE
    assert lake.wanted() == {*MEMBERS, "new"}


def test_a_dry_run_counts_and_changes_nothing(lake: Lake) -> None:
    lake.warehouse.members("m-0", "new")
    before = lake.everything()
    report = lake.refresh(is_dry=True)
    assert (report.outcome, report.entering, report.leaving) == (RefreshOutcome.DRY_RUN, 1, 9)
    assert "asks before it removes" in report.notes[-1]
    assert lake.everything() == before


@sqlite_only
def test_a_dry_run_counts_while_another_process_writes(lake: Lake) -> None:
    lake.warehouse.members(*MEMBERS[1:], "new")
    with closing(sqlite3.connect(lake.ledger.url, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        report = lake.refresh(is_dry=True)
    assert (report.outcome, report.entering, report.leaving) == (RefreshOutcome.DRY_RUN, 1, 1)


def test_rows_without_an_identifier_keep_everyone_in(lake: Lake) -> None:
    lake.warehouse.members(*MEMBERS[:9], "new")
    lake.warehouse.execute("INSERT INTO vips VALUES (NULL), (' ')")
    report = lake.refresh()
    assert (report.outcome, report.refused, report.leaving) == (RefreshOutcome.INCOMPLETE, 2, 0)
    assert lake.wanted() == {*MEMBERS, "new"}
    assert "2 rows were refused: no user_id in this row (2)." in report.notes[0]
    (group,) = lake.ledger.read(sources.invalid_groups)
    assert (group.reason, group.count) == ("no user_id in this row", 2)
    assert group.samples[0].source == "lake: query of vip"
    lake.ask("SELECT user_id FROM vips WHERE trim(user_id) <> ''")
    assert lake.refresh().outcome is APPLIED
    assert lake.wanted() == {*MEMBERS[:9], "new"}
    assert lake.ledger.read(sources.count_invalid) == 0


class BreakingEngine:
    """A warehouse whose connection breaks after returning some rows."""

    def __init__(self, engine: Engine, rows: int) -> None:
        self._engine = engine
        self._rows = rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> Any:
        result = self._engine.query(sql, timeout, since)

        def chunks() -> Iterator[Any]:
            yield next(iter(result.chunks))[: self._rows]
            raise WarehouseError("The connection broke.", "Try again.")

        return result._replace(chunks=chunks())


@pytest.mark.parametrize("rows", [0, 1, 9])
def test_a_query_that_fails_midway_changes_nothing(lake: Lake, rows: int) -> None:
    lake.warehouse.members("new", *MEMBERS)
    whole = lake.open_engine
    lake.open_engine = lambda: BreakingEngine(whole(), rows)
    report = lake.refresh()
    assert report.outcome is FAILED
    assert report.notes == ("The connection broke. Nothing was changed. Try again.",)
    assert lake.wanted() == {*MEMBERS}
    lake.open_engine = whole
    assert lake.refresh().outcome is APPLIED
    assert lake.wanted() == {*MEMBERS, "new"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_has_changed_its_type_is_confirmed(
    workspace: Workspace, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    lake = Lake(workspace, _warehouse(kind, tmp_path, request))
    lake.warehouse.members("007", "8")
    assert lake.refresh().outcome is APPLIED
    lake.warehouse.execute(
        "CREATE TABLE numbers AS SELECT CAST(user_id AS INTEGER) AS user_id FROM vips",
        "DROP TABLE vips",
        "ALTER TABLE numbers RENAME TO vips",
    )
    report = lake.refresh(is_dry=True)
    assert "The column user_id has changed its type since the last refresh" in report.notes[0]
    work = lake.begin()
    report = work.run()
    assert (report.outcome, report.entering, report.leaving) == (ASKS, 1, 1)
    assert report.question.startswith("The column user_id has changed its type")
    work.decline(report)
    assert lake.wanted() == {"007", "8"}
    work = lake.begin()
    report = work.confirm(work.run())
    assert report.question.startswith("The query lists 2 members. It removes 1 of the 2")
    assert lake.wanted() == {"007", "8"}
    assert work.confirm(report).outcome is APPLIED
    assert lake.wanted() == {"7", "8"}
    assert lake.refresh().outcome is APPLIED


class CutEngine:
    """A warehouse whose connection ends after returning the first rows."""

    def __init__(self, engine: Engine, server: PostgresqlServer) -> None:
        self._engine = engine
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> Any:
        result = self._engine.query(sql, timeout, since)

        def chunks() -> Iterator[Any]:
            yield next(result.chunks)
            self._server.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'amp-console'"
            )
            yield from result.chunks

        return result._replace(chunks=chunks())


def _read_by(server: PostgresqlServer, role: str) -> Warehouse:
    """A table of members on a real server, which a role without other rights reads."""
    server.execute("DROP TABLE IF EXISTS vips", f"DROP ROLE IF EXISTS {role}")
    warehouse = postgresql_warehouse(server)
    warehouse.members(*MEMBERS)
    server.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'", f"GRANT SELECT ON vips TO {role}"
    )
    warehouse.url = server.url(role)
    return warehouse


@pytest.mark.parametrize(
    ("statement", "what", "advice"),
    [
        (
            "DROP TABLE vips",
            'PostgreSQL refused the query: relation "vips" does not exist (line 1, column 21).',
            "Check the name of the table and its schema.",
        ),
        (
            "REVOKE ALL ON vips FROM reader",
            "PostgreSQL refused the query: permission denied for table vips.",
            "Grant the user of the source SELECT on it (and USAGE on its schema).",
        ),
        (
            "ALTER ROLE reader PASSWORD 'another'",
            'Could not connect to PostgreSQL: password authentication failed for user "reader".',
            "Check the user and the password",
        ),
        (
            "ALTER TABLE vips RENAME COLUMN user_id TO customer",
            'PostgreSQL refused the query: column "user_id" does not exist (line 1, column 8).',
            "Check the names of the columns.",
        ),
    ],
)
def test_what_a_real_server_refuses_changes_nothing(
    workspace: Workspace, server: PostgresqlServer, statement: str, what: str, advice: str
) -> None:
    lake = Lake(workspace, _read_by(server, "reader"))
    assert lake.refresh().outcome is APPLIED
    before = lake.rows()
    server.execute("INSERT INTO vips VALUES ('new')", statement)
    report = lake.refresh()
    assert report.outcome is FAILED
    assert report.notes[0].startswith(f"{what} Nothing was changed. {advice}")
    assert lake.rows() == before


def test_a_connection_that_a_real_server_ends_midway_changes_nothing(
    workspace: Workspace, server: PostgresqlServer
) -> None:
    lake = Lake(workspace, _read_by(server, "reader"))
    assert lake.refresh().outcome is APPLIED
    before = lake.rows()
    lake.ask("SELECT repeat('u', 100) || i AS user_id FROM generate_series(1, 200000) AS i")
    whole = lake.open_engine
    lake.open_engine = lambda: CutEngine(whole(), server)
    report = lake.refresh()
    assert report.outcome is FAILED
    assert re.fullmatch(
        "(The connection to PostgreSQL broke|PostgreSQL refused the query): .*[^.]\\. "
        "Nothing was changed\\. .*try again( later)?\\.",
        report.notes[0],
    )
    assert lake.rows() == before


def test_a_cancelled_one_changes_nothing(lake: Lake) -> None:
    work = lake.begin()
    work.cancel()
    report = work.run()
    assert report.outcome is RefreshOutcome.CANCELLED
    assert "Nothing was changed." in report.notes[0]
    assert lake.wanted() == {*MEMBERS}


def test_the_outcome_is_kept_and_logged(lake: Lake) -> None:
    entry = lake.ledger.read(log_page, LogFilter())[0]
    assert entry.text == ("Refresh of “vip” from lake: applied. 10 listed, 10 entering, 0 leaving.")
    assert entry.severity is Severity.INFORMATION
    lake.ask("SELECT user_id FROM missing")
    before = lake.last
    lake.refresh()
    assert (before, lake.last) == (None, (FAILED, 0))
    entry = lake.ledger.read(log_page, LogFilter())[0]
    assert entry.text.startswith("Refresh of “vip” from lake: failed. SQLite refused the query")
    assert entry.severity is Severity.WARNING


def test_columns_of_both_kinds_name_the_same_person(
    workspace: Workspace, warehouse: Warehouse
) -> None:
    lake = Lake(workspace, warehouse)
    lake.warehouse.execute(
        "CREATE TABLE pairs (user_id TEXT, amplitude_id INTEGER)",
        "INSERT INTO pairs VALUES ('u-1', 101), ('u-2', NULL), (NULL, 103), ('u-1', 101)",
    )
    lake.ask("SELECT * FROM pairs")
    report = lake.refresh()
    assert (report.removal.listed, report.entering, report.duplicates) == (3, 3, 1)
    assert lake.wanted() == {"u-1", "u-2"}
    workspace.change(SettingsChange(id_type=IdType.AMPLITUDE_ID), "vip")
    assert lake.wanted(2) == {"101", "103"}
    lake.warehouse.execute("DELETE FROM pairs WHERE user_id = 'u-1'")
    report = lake.refresh(confirm=True)
    assert report.outcome is APPLIED
    assert lake.wanted(2) == {"103"}


def test_a_list_by_the_other_id_type_says_what_stays(lake: Lake) -> None:
    lake.ask("SELECT user_id AS amplitude_id FROM vips")
    report = lake.refresh()
    assert "no column of User IDs" in report.notes[0]
    assert lake.wanted() == {*MEMBERS}


def test_an_event_newer_than_the_query_stays_as_it_says(
    workspace: Workspace, warehouse: Warehouse
) -> None:
    lake = Lake(workspace, warehouse)
    warehouse.members(*MEMBERS)
    lake.workspace.read([event("early", True, at=1, audience="vip")])
    lake.workspace.read([event("late", True, at=3, audience="vip")])
    second = datetime(2026, 5, 3, 19, 0, 2, tzinfo=UTC)
    report = lake.refresh(confirm=True, now=lambda: round(second.timestamp() * 1_000_000))
    assert (report.outcome, report.leaving) == (APPLIED, 1)
    assert lake.wanted() == {*MEMBERS, "late"}


def test_an_event_older_than_the_query_is_history_even_if_it_is_read_later(lake: Lake) -> None:
    lake.workspace.read([event("unlisted", True, audience="vip")])
    lake.workspace.read([event("m-0", False, audience="vip")])
    assert lake.wanted() == {*MEMBERS}


@pytest.mark.both_engines
def test_a_list_counts_also_after_the_clock_was_set_back(lake: Lake) -> None:
    hour = 3_600_000_000
    ahead = now_in_microseconds() + hour
    lake.warehouse.members(*MEMBERS[1:])
    assert lake.refresh(now=lambda: ahead).leaving == 1
    for n in range(2, 5):
        lake.warehouse.members(*MEMBERS[n:], f"new-{n}")
        report = lake.refresh(confirm=True, now=lambda: ahead - hour)
        assert report.entering == 1
        assert lake.wanted() == {*MEMBERS[n:], f"new-{n}"}


def test_a_refresh_writes_only_who_enters_and_who_leaves(lake: Lake) -> None:
    users = [f"u-{number}" for number in range(1_000)]
    lake.warehouse.members(*users)
    lake.refresh(confirm=True)
    before = lake.rows()
    lake.warehouse.members(*users[5:], *(f"new-{number}" for number in range(5)))
    report = lake.refresh()
    assert (report.entering, report.leaving) == (5, 5)
    assert len(set(lake.rows()) - set(before)) == 10


def test_without_its_query_it_keeps_its_members(lake: Lake) -> None:
    audience = lake.audience
    drop_query(lake.ledger, lake.workspace.connection, audience)
    assert lake.ledger.read(query_of, audience.id) is None
    assert lake.wanted() == {*MEMBERS}


@pytest.mark.parametrize("sql", ["", " ; ", "\n"])
def test_an_empty_query_is_refused(lake: Lake, sql: str) -> None:
    with pytest.raises(ValueError, match="The query is empty"):
        lake.ask(sql)


def test_a_later_event_gives_the_audience_its_space(lake: Lake) -> None:
    lake.workspace.read([event("late", True, audience="vip")])
    assert lake.audience.computation_id == "aud_vip"
    assert lake.refresh().outcome is APPLIED
    assert lake.wanted() == {*MEMBERS}


def staged(lake: Lake) -> int:
    """How many tables of staged rows there are."""
    return len(lake.ledger.stage(temporary_tables))


def test_of_two_refreshes_at_once_each_applies_what_it_has_read(
    lake: Lake, warehouse: Warehouse
) -> None:
    warehouse.members(*MEMBERS, "first")
    first = lake.begin(asks_first=True)
    asked = first.run()
    warehouse.members(*MEMBERS, "first", "second")
    second = lake.begin(asks_first=True)
    asked_again = second.run()
    assert first.confirm(asked).outcome is APPLIED
    assert lake.wanted() == {*MEMBERS, "first"}
    assert second.confirm(asked_again).outcome is APPLIED
    assert lake.wanted() == {*MEMBERS, "first", "second"}
    assert staged(lake) == 0


def test_a_list_that_is_imported_while_a_refresh_asks_has_rows_of_its_own(
    lake: Lake, warehouse: Warehouse, tmp_path: Path
) -> None:
    warehouse.members(*MEMBERS, "new")
    work = lake.begin(asks_first=True)
    asked = work.run()
    path = tmp_path / "download.csv"
    path.write_text("\n".join(["user_id", *MEMBERS, "imported"]))
    options = ReadOptions(audience="vip", taken_at=1)
    Importer(lake.ledger, open_reader, options, snapshot=SnapshotReader(lake.ledger)).run(
        [str(path)]
    )
    assert work.confirm(asked).outcome is APPLIED
    assert lake.wanted() == {*MEMBERS, "new"}


@pytest.mark.parametrize("sql", ["SELECT user_id FROM vips", "SELECT user_id FROM gone"])
@pytest.mark.parametrize("is_dry", [True, False])
def test_no_rows_stay_staged_after_a_refresh(
    lake: Lake, warehouse: Warehouse, sql: str, *, is_dry: bool
) -> None:
    warehouse.members(*MEMBERS, "")
    lake.ask(sql)
    lake.refresh(is_dry=is_dry)
    assert staged(lake) == 0


class SlowEngine:
    """A warehouse that does something else before returning its rows."""

    def __init__(self, engine: Engine, meanwhile: Callable[[], object]) -> None:
        self._engine = engine
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> Any:
        result = self._engine.query(sql, timeout, since)

        def chunks() -> Iterator[Any]:
            self._meanwhile()
            yield from result.chunks

        return result._replace(chunks=chunks())


def test_rows_refused_by_two_refreshes_at_once_are_counted_once(
    lake: Lake, warehouse: Warehouse
) -> None:
    warehouse.members(*MEMBERS, "")
    whole, other = lake.open_engine, lake.begin()
    lake.open_engine = lambda: SlowEngine(whole(), other.run)
    assert lake.refresh().refused == 1
    assert lake.ledger.read(sources.count_invalid) == 1


class ClosingEngine:
    """A warehouse that calls `then` when it is closed."""

    def __init__(self, engine: Engine, then: Callable[[], object]) -> None:
        self._engine = engine
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        self._engine.close()
        self._then()


def test_a_warehouse_is_closed_before_its_rows_are_applied(lake: Lake) -> None:
    lake.warehouse.members("new", *MEMBERS)
    whole, seen = lake.open_engine, []
    lake.open_engine = lambda: ClosingEngine(whole(), lambda: seen.append(lake.wanted()))
    assert lake.refresh().outcome is APPLIED
    assert seen == [{*MEMBERS}]
    assert lake.wanted() == {*MEMBERS, "new"}


@pytest.mark.parametrize("is_removed", [True, False])
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_query_that_is_removed_or_set_again_while_it_runs_changes_nothing(
    lake: Lake, warehouse: Warehouse, *, is_removed: bool, asks_first: bool
) -> None:
    warehouse.members(*MEMBERS[1:], "new")

    def change() -> None:
        if is_removed:
            drop_query(lake.ledger, lake.workspace.connection, lake.audience)
        else:
            lake.ask("SELECT user_id FROM vips WHERE user_id <> 'new'")

    whole = lake.open_engine
    if not asks_first:
        lake.open_engine = lambda: SlowEngine(whole(), change)
    work = lake.begin(asks_first=asks_first)
    report = work.run()
    if asks_first:
        change()
        report = work.confirm(report)
    assert report.outcome is FAILED
    (note,) = report.notes
    assert note == (
        "The query of this audience was set again or removed after it had begun. Nothing was "
        "changed. Refresh again to run the query that it has now."
    )
    assert lake.wanted() == {*MEMBERS}
    assert staged(lake) == 0
    if not is_removed:
        assert lake.last is None  # the query that it has now has not run yet
