"""Warehouses through ADBC: a real driver by a profile, and the options of untested ones."""

import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from amp_console.sync.sources.warehouse import WarehouseError, open_engine
from amp_console.sync.sources.warehouse.reader import (
    ChangesFrom,
    QueryCancelled,
    QueryReader,
    TimeLimitReached,
)
from amp_console.values import AudienceRef, Change, Secret
from tests.postgresql import PASSWORD, PostgresqlServer
from tests.sync.warehouses import Warehouse

VIP = AudienceRef("", "", "vip")
ENDLESS = "SELECT pg_sleep(3600)::text AS user_id"
RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sleep(3%'"


@pytest.fixture
def profile(server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """A profile for the server; skips the test without the driver."""
    pytest.importorskip("nanoarrow")
    driver = pytest.importorskip("adbc_driver_postgresql")
    (tmp_path / "lake.toml").write_text(
        f'profile_version = 1\ndriver = "{driver._driver_path()}"\n'
        f'[Options]\nuri = "{server.url()}"\n'
    )
    monkeypatch.setenv("ADBC_PROFILE_PATH", str(tmp_path))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return Warehouse("adbc:lake", server.execute)


def read(warehouse: Warehouse, sql: str, **more: Any) -> tuple[QueryReader, list[Change]]:
    with warehouse.opened() as engine, QueryReader(engine, sql, VIP, **more) as rows:
        return rows, [change for batch in rows for change in batch.changes]


def refusal(warehouse: Warehouse, sql: str) -> str:
    with pytest.raises(WarehouseError) as refused:
        read(warehouse, sql)
    return refused.value.sentence("Nothing was changed.")


def test_its_rows_are_members(profile: Warehouse) -> None:
    users = [f"ü-{number}" for number in range(25_000)]
    profile.members(*users)
    rows, found = read(profile, "SELECT user_id, 1 AS n FROM vips;")
    assert {change.user_id for change in found} == {*users}
    assert (rows.rows, rows.ignored, rows.types) == (25_000, ("n",), {"user_id": "string"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("9007199254740993::bigint", "9007199254740993"),
        ("'12345678901234567890'::numeric", "12345678901234567890"),
        ("'u-1'::varchar(9)", "u-1"),
    ],
)
def test_identifiers_keep_their_digits(profile: Warehouse, value: str, expected: str) -> None:
    _, (found,) = read(profile, f"SELECT {value} AS user_id")
    assert found.user_id == expected


def test_floating_point_numbers_are_no_identifiers(profile: Warehouse) -> None:
    assert "holds floating-point numbers" in refusal(profile, "SELECT 1.5::float8 AS user_id")


def test_a_value_that_can_not_be_read_ends_the_query_with_a_sentence(profile: Warehouse) -> None:
    said = refusal(profile, "SELECT 'u1' AS user_id, '20000-01-01'::timestamptz AS expires_at")
    assert said.startswith("ADBC profile lake sent a value that can't be read: ")


def test_changes_are_read_on_from_the_cursor(profile: Warehouse) -> None:
    sql = (
        "SELECT * FROM (VALUES ('a', true, '2026-05-03 19:00+00'::timestamptz), "
        "('b', false, '2026-05-03 20:00+00')) AS v(user_id, is_member, changed_at) "
        "WHERE changed_at >= :cursor"
    )
    hour = 1_777_838_400_000_000
    rows, found = read(profile, sql, changes=ChangesFrom(None, 60.0))
    assert [(item.user_id, item.is_member) for item in found] == [("a", True), ("b", False)]
    assert (found[1].at, rows.cursor.value) == (hour, hour)
    _, found = read(profile, sql, changes=ChangesFrom(hour, 60.0))
    assert [item.user_id for item in found] == ["b"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT user_id FROM missing", "missing"),
        ("DELETE FROM kept", "syntax error"),
        ("WITH d AS (DELETE FROM kept RETURNING 1) SELECT 'u' AS user_id FROM d", "top level"),
        ("SELECT 'u' AS user_id; DROP TABLE kept", "syntax error"),
    ],
)
def test_a_query_can_only_read(
    profile: Warehouse, server: PostgresqlServer, sql: str, words: str
) -> None:
    server.execute("DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT 1 AS n")
    said = refusal(profile, sql)
    assert said.startswith("ADBC profile lake refused the query: ")
    assert words in said
    assert server.rows("SELECT n FROM kept") == [(1,)]


def test_a_query_is_cancelled_on_the_server(profile: Warehouse, server: PostgresqlServer) -> None:
    with pytest.raises(TimeLimitReached):
        read(profile, ENDLESS, timeout=0.2)
    ended = threading.Event()
    with profile.opened() as engine:
        rows = QueryReader(engine, ENDLESS, VIP)

        def cancel() -> None:
            while not ended.wait(0.05):
                rows.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            with pytest.raises(QueryCancelled), rows:
                pass
        finally:
            ended.set()
            thread.join()
    assert server.rows(RUNNING.replace("sleep(3", "slee' || 'p(3")) == [(0,)]


def test_a_query_that_fails_midway_gives_no_complete_list(profile: Warehouse) -> None:
    said = refusal(
        profile,
        "SELECT repeat('u', 1000) || (1 / (90000 - i)) AS user_id FROM generate_series(1, 99999) i",
    )
    assert said.startswith("ADBC profile lake stopped the query: ")
    assert "division by zero" in said


def test_an_unknown_profile_is_reported(profile: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="Profile not found: other"):
        open_engine("adbc:other", None)
    with profile.opened() as engine:
        assert engine.version() == "ADBC profile lake"
    with pytest.raises(WarehouseError, match="amp-console keeps no passwords for this"):
        open_engine("adbc:lake", Secret("x"))


CONNECTIONS = """
[prod]
account = "acme-x1"
user = "ana"
authenticator = "SNOWFLAKE_JWT"
private_key_path = "/keys/ana.p8"
role = "READER"
warehouse = "WH"
database = "DB"
schema = "S"
[odd]
authenticator = "something"
"""


class Recorded(ModuleType):
    """A driver that records its arguments, and can't connect."""

    given: dict[str, Any]

    def connect(self, **given: Any) -> None:
        self.given = given


@pytest.mark.parametrize(
    ("url", "module", "options"),
    [
        (
            "snowflake://prod",
            "adbc_driver_snowflake",
            {
                "adbc.snowflake.sql.account": "acme-x1",
                "username": "ana",
                "adbc.snowflake.sql.auth_type": "auth_jwt",
                "adbc.snowflake.sql.client_option.jwt_private_key": "/keys/ana.p8",
                "adbc.snowflake.sql.role": "READER",
                "adbc.snowflake.sql.warehouse": "WH",
                "adbc.snowflake.sql.db": "DB",
                "adbc.snowflake.sql.schema": "S",
            },
        ),
        (
            "bigquery://acme-prod/marts",
            "adbc_driver_bigquery",
            {
                "adbc.bigquery.sql.project_id": "acme-prod",
                "adbc.bigquery.sql.dataset_id": "marts",
            },
        ),
    ],
)
def test_the_options_of_a_driver_come_from_the_url_and_its_own_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    module: str,
    options: dict[str, str],
) -> None:
    pytest.importorskip("nanoarrow")
    monkeypatch.setenv("SNOWFLAKE_HOME", str(tmp_path))
    (tmp_path / "connections.toml").write_text(CONNECTIONS)
    driver = Recorded(f"{module}.dbapi")
    monkeypatch.setitem(sys.modules, module, ModuleType(module))
    monkeypatch.setitem(sys.modules, f"{module}.dbapi", driver)
    open_engine(url, None)
    assert driver.given == {"autocommit": True, "db_kwargs": options}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("snowflake://other", "has no connection called other"),
        ("snowflake://odd", "does not know the authenticator of the connection odd"),
        ("bigquery://acme", "names no project or no data set"),
        ("snowflake://prod", r"driver for Snowflake .* 'amp-console\[snowflake\]'"),
        ("bigquery://acme/marts", r"driver for BigQuery .* 'amp-console\[bigquery\]'"),
    ],
)
def test_what_is_missing_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("SNOWFLAKE_HOME", str(tmp_path))
    (tmp_path / "connections.toml").write_text(CONNECTIONS)
    for module in ("adbc_driver_snowflake", "adbc_driver_bigquery"):
        monkeypatch.setitem(sys.modules, f"{module}.dbapi", None)
    with pytest.raises(WarehouseError, match=words):
        open_engine(url, None)


def test_settings_of_snowflake_that_are_no_toml_are_not_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_HOME", str(tmp_path))
    for text, words in ((None, os.strerror(2)), ("password = canary", "not valid TOML")):
        if text is not None:
            (tmp_path / "connections.toml").write_text(text)
        with pytest.raises(WarehouseError, match=words) as refused:
            open_engine("snowflake://prod", None)
        assert "canary" not in str(refused.value)
