"""Queries in real warehouses: what is read, and the errors if it can't be."""

import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from amp_console.sync.sources.warehouse import WarehouseError, open_engine, whole_url
from amp_console.sync.sources.warehouse.reader import QueryCancelled, QueryReader, TimeLimitReached
from amp_console.values import AudienceRef, Change, IdType, Secret
from tests.postgresql import PASSWORD, PostgresqlServer
from tests.sync.relays import CuttingRelay
from tests.sync.warehouses import (
    KINDS,
    Warehouse,
    duckdb_warehouse,
    postgresql_warehouse,
    sqlite_warehouse,
)

VIP = AudienceRef("", "", "vip")
HOSTILE = (
    "u'; DROP TABLE vips; --",
    "\x1b[2J",
    "\u202eevil",
    "=cmd()",
    " padded ",
    "ü" * 500,
    "%s",
)
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT max(i) AS user_id FROM n",
    "duckdb": "SELECT sum(a.range * b.range)::TEXT AS user_id "
    "FROM range(100000000) a, range(100000000) b",
    "postgresql": "SELECT pg_sleep(3600)::text AS user_id",
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return sqlite_warehouse(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module")
def duckdb_file(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    return duckdb_warehouse(tmp_path_factory.mktemp("duckdb"))


@pytest.fixture
def warehouse(kind: str, request: pytest.FixtureRequest) -> Warehouse:
    """The same one for all tests of this module: a test writes the tables that it reads."""
    if kind == "postgresql":
        return postgresql_warehouse(request.getfixturevalue("server"))
    found: Warehouse = request.getfixturevalue(f"{kind}_file")
    return found


def read(warehouse: Warehouse, sql: str, timeout: float = 600) -> tuple[QueryReader, list[Change]]:
    with warehouse.opened() as engine, QueryReader(engine, sql, VIP, timeout=timeout) as rows:
        return rows, [change for batch in rows for change in batch.changes]


def refusal(warehouse: Warehouse, sql: str) -> str:
    with pytest.raises(WarehouseError) as refused:
        read(warehouse, sql)
    return refused.value.sentence("Nothing was changed.")


def test_its_rows_are_members_as_of_the_moment_before_the_query(warehouse: Warehouse) -> None:
    users = [f"u-{number}" for number in range(25_000)]
    warehouse.members(*users)
    moments = iter([1_777_836_170_000_000])
    with (
        warehouse.opened() as engine,
        QueryReader(engine, "SELECT * FROM vips", VIP, now=lambda: next(moments)) as rows,
    ):
        found = [change for batch in rows for change in batch.changes]
    assert {change.user_id for change in found} == {*users}
    assert {change.at for change in found} == {1_777_836_170_000_000}
    assert [change.line for change in found] == list(range(1, 25_001))
    assert (rows.rows, rows.id_types, rows.ignored) == (25_000, (IdType.USER_ID,), ())


def test_columns_are_found_by_their_names_and_the_others_are_named(warehouse: Warehouse) -> None:
    sql = "SELECT 1 AS city, 'u-1' AS User_ID, 10001 AS AMPLITUDE_ID, 'x' AS \"no\nname\""
    rows, (found,) = read(warehouse, sql)
    assert (found.user_id, found.amplitude_id) == ("u-1", "10001")
    assert rows.ignored == ("city", "no\nname")
    assert rows.id_types == (IdType.USER_ID, IdType.AMPLITUDE_ID)


def test_without_a_column_of_identifiers_the_columns_it_has_are_named(
    warehouse: Warehouse,
) -> None:
    said = refusal(warehouse, "SELECT 'u-1' AS customer, 2 AS n")
    assert "no column called user_id or amplitude_id, but customer, n. Nothing was changed." in said
    assert "AS user_id" in said
    assert "several columns called user_id" in refusal(
        warehouse, "SELECT 'a' AS user_id, 'b' AS \"USER_ID\""
    )


def test_a_result_without_rows_still_has_its_columns(warehouse: Warehouse) -> None:
    rows, found = read(warehouse, "SELECT * FROM (SELECT 'u' AS user_id, 2 AS n) AS q WHERE n = 3")
    assert (rows.id_types, rows.ignored, found) == ((IdType.USER_ID,), ("n",), [])


def test_null_and_blank_identifiers_are_refused_with_their_row(warehouse: Warehouse) -> None:
    sql = (
        "SELECT * FROM (VALUES (1, NULL), (2, 'u-1'), (3, ''), (4, '  ')) AS v(n, user_id) "
        "ORDER BY 1"
    )
    if warehouse.url.startswith("sqlite"):
        sql = sql.replace("AS v(n, user_id) ", "").replace(
            "SELECT *", "SELECT column1 AS n, column2 AS user_id"
        )
    with warehouse.opened() as engine, QueryReader(engine, sql, VIP) as rows:
        (batch,) = rows
    assert [change.user_id for change in batch.changes] == ["u-1"]
    assert [refused.line for refused in batch.refusals] == [1, 3, 4]
    assert rows.refused == {"no user_id in this row": 3}


def test_identifiers_that_no_ledger_can_keep_are_refused_with_their_row(
    warehouse: Warehouse,
) -> None:
    warehouse.members("u-1", "x" * 1_025)
    rows, found = read(warehouse, "SELECT user_id FROM vips")
    assert [change.user_id for change in found] == ["u-1"]
    assert rows.refused == {"the identifier is longer than 1,024 bytes": 1}


def test_hostile_identifiers_are_read_as_they_are(warehouse: Warehouse) -> None:
    warehouse.members(*HOSTILE)
    _, found = read(warehouse, "SELECT user_id FROM vips")
    assert [change.user_id for change in found] == [*HOSTILE]


def identifiers(warehouse: Warehouse, *expressions: str) -> list[str | None]:
    """The identifiers that these expressions are read as, each by a query of its own."""
    found = []
    with warehouse.opened() as engine:
        for sql in expressions:
            with QueryReader(engine, f"SELECT {sql} AS user_id", VIP) as rows:
                found += [change.user_id for batch in rows for change in batch.changes]
    return found


def test_whole_numbers_keep_their_digits(warehouse: Warehouse) -> None:
    digits = ["9007199254740993", "-1", "0", "9223372036854775807"]
    assert identifiers(warehouse, *digits) == digits


@pytest.mark.parametrize("kind", ["duckdb", "postgresql"], indirect=True)
def test_decimals_and_uuids_keep_their_digits(warehouse: Warehouse) -> None:
    expected = {
        "'12345678901234567890'::numeric(38,0)": "12345678901234567890",
        "'7.50'::numeric(10,2)": "7.5",
        "'1e20'::numeric(38,0)": "100000000000000000000",
        "'9007199254740993'::bigint": "9007199254740993",
        "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    }
    assert identifiers(warehouse, *expected) == [*expected.values()]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("CAST(7 AS DOUBLE PRECISION)", "holds floating-point numbers"),
        ("CAST(9007199254740993 AS DOUBLE PRECISION)", "holds floating-point numbers"),
        ("CAST(16777217 AS REAL)", "holds floating-point numbers"),
        ("CAST('nan' AS DOUBLE PRECISION)", "holds"),
        ("current_date", "holds values of the type date"),
        ("true", "holds true and false"),
    ],
)
@pytest.mark.parametrize("kind", ["duckdb", "postgresql"], indirect=True)
def test_a_type_that_is_no_identifier_is_named(warehouse: Warehouse, sql: str, words: str) -> None:
    said = refusal(warehouse, f"SELECT {sql} AS user_id")
    assert f"The column user_id {words}" in said
    assert "Nothing was changed. Convert it in the query" in said


def test_the_largest_whole_numbers_of_duckdb_keep_their_digits(tmp_path: Path) -> None:
    largest = str(2**127 - 1)
    _, (found,) = read(duckdb_warehouse(tmp_path), f"SELECT {largest}::HUGEINT AS user_id")
    assert found.user_id == largest


@pytest.mark.parametrize(
    ("sql", "types"),
    [
        ("SELECT '007' AS user_id, 2 AS n", {"user_id": "text"}),
        (
            "SELECT 7 AS USER_ID, '8' AS amplitude_id",
            {"user_id": "integer", "amplitude_id": "text"},
        ),
    ],
)
def test_the_types_of_its_columns_are_known(
    warehouse: Warehouse, kind: str, sql: str, types: dict[str, str]
) -> None:
    names = {
        "sqlite": {},
        "duckdb": {"text": "VARCHAR", "integer": "INTEGER"},
        "postgresql": {"integer": "int4"},
    }[kind]
    rows, _ = read(warehouse, sql)
    assert rows.types == {name: names.get(type_, type_) for name, type_ in types.items()}


def test_a_column_whose_type_changes_midway_is_named(tmp_path: Path) -> None:
    warehouse = sqlite_warehouse(tmp_path)
    assert "floating-point" in refusal(warehouse, "SELECT 'u' AS user_id UNION ALL SELECT 1.5")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT user_id FROM missing", "missing"),
        ("SELECT nope FROM vips", "nope"),
        ("SELECT user_id\nFORM vips x y", "syntax error"),
        (" ; ", "The query is empty"),
    ],
)
def test_a_query_that_is_refused_says_why_in_the_words_of_the_server(
    warehouse: Warehouse, sql: str, words: str
) -> None:
    warehouse.members("u-1")
    said = refusal(warehouse, sql)
    assert words in said
    assert "Nothing was changed." in said


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM vips",
        "INSERT INTO vips VALUES ('x')",
        "CREATE TABLE more (n INTEGER)",
        "DROP TABLE vips",
        "SELECT user_id FROM vips; DROP TABLE vips",
        "ATTACH '{folder}/attached.db' AS more",
        "COPY vips TO '{folder}/copy.csv'",
    ],
)
def test_a_query_can_only_read(warehouse: Warehouse, sql: str, tmp_path: Path) -> None:
    warehouse.members("u-1")
    before = {path.name for path in tmp_path.iterdir()}
    refusal(warehouse, sql.format(folder=tmp_path))
    _, found = read(warehouse, "SELECT user_id FROM vips")
    assert [change.user_id for change in found] == ["u-1"]
    assert {path.name for path in tmp_path.iterdir()} == before


def test_a_query_that_takes_too_long_is_cancelled(warehouse: Warehouse, kind: str) -> None:
    with pytest.raises(TimeLimitReached, match="the time limit"):
        read(warehouse, ENDLESS[kind], timeout=0.2)


def test_a_query_can_be_cancelled_from_another_thread(warehouse: Warehouse, kind: str) -> None:
    ended = threading.Event()
    with warehouse.opened() as engine:
        rows = QueryReader(engine, ENDLESS[kind], VIP)

        def cancel() -> None:
            while not ended.wait(0.05):  # the first may come before the query has started
                rows.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            with pytest.raises(QueryCancelled, match="cancelled in the warehouse"), rows:
                pass
        finally:
            ended.set()
            thread.join()


def test_cancelling_a_query_that_has_ended_does_nothing(warehouse: Warehouse) -> None:
    for sql in ("SELECT 'u' AS user_id", "SELECT user_id FROM missing"):
        with warehouse.opened() as engine:
            rows = QueryReader(engine, sql, VIP)
            with suppress(WarehouseError), rows:
                pass
        rows.cancel()


def test_a_cancelled_query_ends_on_the_server(server: PostgresqlServer) -> None:
    warehouse = postgresql_warehouse(server)
    with pytest.raises(TimeLimitReached):
        read(warehouse, "SELECT pg_sleep(3600)::text AS user_id -- canary", timeout=0.2)
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{}%'"
    assert server.rows(running.format("cana" + "' || 'ry")) == [(0,)]


def test_a_query_that_fails_midway_gives_no_complete_list(server: PostgresqlServer) -> None:
    said = refusal(
        postgresql_warehouse(server),
        "SELECT (1 / (20000 - i))::text AS user_id FROM generate_series(1, 30000) AS i",
    )
    assert "division by zero. Nothing was changed. Correct the query." in said


def test_a_connection_that_is_cut_midway_is_reported(server: PostgresqlServer) -> None:
    with CuttingRelay(server.port, after=200_000) as relay:
        url = server.url().replace(str(server.port), str(relay.port))
        warehouse = Warehouse(url, lambda _: None, Secret(PASSWORD))
        said = refusal(
            warehouse, "SELECT repeat('u', 100) || i AS user_id FROM generate_series(1, 100000) i"
        )
    assert said.startswith("The connection to PostgreSQL broke: ")
    assert said.endswith("Nothing was changed. Check the network, and try again.")


def test_a_table_without_the_right_to_read_it_is_named(server: PostgresqlServer) -> None:
    server.execute(
        "DROP TABLE IF EXISTS private",
        "DROP ROLE IF EXISTS reader",
        f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
        "CREATE TABLE private (user_id text)",
    )
    warehouse = Warehouse(server.url("reader"), lambda _: None, Secret(PASSWORD))
    said = refusal(warehouse, "SELECT user_id FROM private")
    assert "permission denied for table private. Nothing was changed. Grant" in said


def test_a_wrong_password_is_distinguished_from_a_missing_database(
    server: PostgresqlServer,
) -> None:
    for url, password, words in (
        (server.url(), Secret("canary-pw"), "password authentication failed for user"),
        (server.url(), None, "no password supplied"),
        (server.url(database="nope"), Secret(PASSWORD), 'database "nope" does not exist'),
        ("postgresql://ana@127.0.0.1:1/x", Secret("canary-pw"), "Connection refused"),
        ("postgresql://ana@127.0.0.1:1/x?canary=1", Secret("canary-pw"), "invalid URI query"),
    ):
        with pytest.raises(WarehouseError, match=words) as refused:
            open_engine(url, password)
        assert "canary-pw" not in str(refused.value)


def test_a_password_file_of_libpq_is_used(
    server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"127.0.0.1:{server.port}:*:*:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    _, (found,) = read(Warehouse(server.url(), lambda _: None), "SELECT 'u' AS user_id")
    assert found.user_id == "u"


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"], indirect=True)
def test_a_file_that_is_missing_or_something_else_is_reported(kind: str, tmp_path: Path) -> None:
    if kind == "duckdb":
        pytest.importorskip("duckdb")
    missing, text = tmp_path / "missing", tmp_path / "text"
    text.write_text("no database" * 500)
    with pytest.raises(WarehouseError, match="missing does not exist"):
        open_engine(f"{kind}://{missing}", None)
    assert not missing.exists()
    for path in (text, tmp_path / ("x" * 300)):
        with pytest.raises(WarehouseError, match="Check the path of the source"):
            open_engine(f"{kind}://{path}", None)


def test_a_missing_driver_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module, url, extra in (
        ("psycopg", "postgresql://ana@db.acme.example/x", "postgresql"),
        ("duckdb", f"duckdb:{tmp_path}/x", "duckdb"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(WarehouseError, match=rf"pip install 'amp-console\[{extra}\]'"):
            open_engine(url, None)


def test_the_path_of_a_file_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole_url("sqlite:a b.db") == f"sqlite://{tmp_path}/a%20b.db"
    assert whole_url(f"duckdb://{tmp_path}/x") == f"duckdb://{tmp_path}/x"
    assert whole_url("postgresql://ana@h/x") == "postgresql://ana@h/x"
    with pytest.raises(WarehouseError, match="no scheme that amp-console knows"):
        whole_url("mysql://ana@h/x")


def test_a_query_with_a_nul_is_refused_as_a_server_would_run_a_part_of_it(
    warehouse: Warehouse,
) -> None:
    warehouse.members("a", "b")
    words = refusal(warehouse, "SELECT user_id FROM vips\0 WHERE user_id = 'a'")
    assert words.startswith("The query contains a NUL character. Nothing was changed.")


def test_arrays_of_json_in_sqlite_are_read_and_its_schema_is_not_changed(tmp_path: Path) -> None:
    warehouse = sqlite_warehouse(tmp_path)
    warehouse.members('["a", "b"]')
    _, found = read(warehouse, "SELECT value AS user_id FROM vips, json_each(vips.user_id)")
    assert [change.user_id for change in found] == ["a", "b"]
    said = refusal(warehouse, "UPDATE sqlite_master SET sql = '' RETURNING name AS user_id")
    assert "table sqlite_master may not be modified" in said
    assert "it may only read" in refusal(warehouse, "SELECT name AS user_id FROM pragma_table_list")


@pytest.mark.parametrize("end", ["", ";", "; -- everyone", " -- everyone"])
def test_the_columns_of_no_rows_are_known_however_the_query_ends(
    warehouse: Warehouse, end: str
) -> None:
    warehouse.members()
    rows, found = read(warehouse, f"SELECT user_id, user_id AS other FROM vips{end}")
    assert (found, rows.id_types, rows.ignored) == ([], (IdType.USER_ID,), ("other",))


def test_a_query_of_comments_only_is_no_trouble_of_the_network(warehouse: Warehouse) -> None:
    said = refusal(warehouse, "-- SELECT user_id FROM vips")
    assert "Write it as" in said
    assert "network" not in said
