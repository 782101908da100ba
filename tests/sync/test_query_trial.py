"""Trying a query: everything is counted, and no members change."""

from pathlib import Path

import pytest

from amp_console.sync.sources.warehouse import WarehouseError, open_engine
from amp_console.sync.sources.warehouse.reader import QueryCancelled
from amp_console.sync.sources.warehouse.trial import QueryTrial
from amp_console.values import IdType
from tests.ledgers import temporary_tables
from tests.sync.test_refresh import Lake
from tests.sync.warehouses import Warehouse, sqlite_warehouse
from tests.sync.workspace import Workspace


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    warehouse = sqlite_warehouse(tmp_path)
    warehouse.execute(
        "CREATE TABLE people (user_id TEXT, amplitude_id INTEGER)",
        "INSERT INTO people VALUES ('a', 1), ('a', 1), ('b', NULL), (NULL, 2), (NULL, NULL), "
        "('c', 3)",
    )
    return warehouse


def trial(
    workspace: Workspace, warehouse: Warehouse, sql: str, id_type: IdType = IdType.USER_ID
) -> QueryTrial:
    return QueryTrial(
        workspace.ledger, sql, lambda: open_engine(warehouse.url, None), id_type, timeout=60.0
    )


@pytest.mark.parametrize("id_type", IdType)
def test_people_duplicates_and_refused_rows_are_counted(
    workspace: Workspace, warehouse: Warehouse, id_type: IdType
) -> None:
    lake = Lake(workspace, warehouse)
    before = lake.everything()
    found = trial(workspace, warehouse, "SELECT *, 7 AS other FROM people", id_type).run()
    assert (found.rows, found.people, found.duplicates) == (6, 4, 1)
    assert found.refused == (("no user_id or amplitude_id in this row", 1),)
    assert (found.columns, found.ignored) == (("user_id", "amplitude_id", "other"), ("other",))
    assert [tuple(row) for row in found.sample[:3]] == [("a", 1, 7), ("a", 1, 7), ("b", None, 7)]
    assert lake.everything() == before


def test_the_first_ten_rows_are_shown_of_any_number(
    workspace: Workspace, warehouse: Warehouse
) -> None:
    sql = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 25000) "
        "SELECT i AS user_id FROM n"
    )
    found = trial(workspace, warehouse, sql).run()
    assert (found.rows, found.people, len(found.sample)) == (25_000, 25_000, 10)


@pytest.mark.parametrize("sql", ["SELECT x FROM people", "SELECT user_id FROM gone", ""])
def test_a_query_that_fails_leaves_nothing_behind(
    workspace: Workspace, warehouse: Warehouse, sql: str
) -> None:
    with pytest.raises(WarehouseError):
        trial(workspace, warehouse, sql).run()
    assert workspace.ledger.stage(temporary_tables) == []


def test_one_that_is_cancelled_before_it_begins_does_not_run(
    workspace: Workspace, warehouse: Warehouse
) -> None:
    work = trial(workspace, warehouse, "SELECT user_id FROM people")
    work.cancel()
    with pytest.raises(QueryCancelled):
        work.run()
