"""A ledger on PostgreSQL: its tables, its locks, and errors if the server is unreachable."""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import pytest

from amp_console.ledger import Db, Ledger, LedgerError, Writes, open_ledger
from amp_console.ledger.audiences import all_audiences, audience, discover, link_existing, set_name
from amp_console.ledger.compare import ComparisonSpec, compare_cohort
from amp_console.ledger.db import Cursor, each_row, handle_rows
from amp_console.ledger.deliveries import DeliveryBatch, open_batch
from amp_console.ledger.errors import (
    LeaseLost,
    LedgerBusy,
    LedgerClosed,
    LedgerTooNew,
    LedgerUnreachable,
)
from amp_console.ledger.leases import fenced, note_holder
from amp_console.ledger.locks import AudienceBusy, SourceBusy
from amp_console.ledger.members import NewestChanges, known_members, merge
from amp_console.ledger.opening import examine_server
from amp_console.ledger.overview import overview, problems
from amp_console.ledger.postgres import schema
from amp_console.ledger.postgres.address import read_address
from amp_console.ledger.postgres.connection import PostgresDb
from amp_console.ledger.postgres.sql import translate
from amp_console.ledger.run_log import continue_run_and_log
from amp_console.ledger.runs import RunKind, begin_run
from amp_console.ledger.schema import migrate
from amp_console.ledger.sources import ReadCounts, begin_source
from amp_console.values import AudienceRef, Change, IdType, Operation, Secret
from tests.ledger.exports import exported
from tests.ledger.helpers import enters, leaves, read, start, wanted
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.postgresql import PASSWORD, PostgresqlServer

_TYPES = {"INTEGER": "bigint", "TEXT": "text", "REAL": "double precision", "BLOB": "bytea"}
OWN = "nspname = current_schema()"


def column_of(row: tuple[str, str, int, str | None, int]) -> tuple[str, str, bool, str | None]:
    name, kind, is_required, default, key = row
    return name, _TYPES[kind], bool(is_required or key), default


@postgresql_only
def test_tables_columns_and_indexes_are_those_of_sqlite(ledger: Ledger) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db)
        names = [
            str(name)
            for (name,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        ]
        indexes = {
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
            )
        }
        expected = {
            name: [
                column_of(row)
                for row in db.execute(
                    'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)',
                    (name,),
                )
            ]
            for name in names
        }
    columns = ledger.read(
        lambda db: db.execute(
            "SELECT table_name::text, column_name::text, data_type::text, "
            "is_nullable = 'NO', split_part(column_default, '::', 1) "
            "FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND table_name NOT IN ('ledger_version', 'member_count', 'counted_member', "
            "'pending_block', 'pending_member') "
            "ORDER BY table_name, ordinal_position"
        ).fetchall()
    )
    found: dict[str, list[object]] = {}
    for table, *column in columns:
        found.setdefault(table, []).append(tuple(column))
    assert found == expected
    own = ledger.read(
        lambda db: db.execute(
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()"
        ).fetchall()
    )
    assert indexes <= {name for (name,) in own}


@postgresql_only
def test_texts_are_compared_by_their_bytes(ledger: Ledger) -> None:
    odd = ledger.read(
        lambda db: db.execute(
            "SELECT relname::text, attname::text FROM pg_attribute "
            "JOIN pg_class ON pg_class.oid = attrelid "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "JOIN pg_collation ON pg_collation.oid = attcollation "
            f"WHERE {OWN} AND relkind = 'r' AND attnum > 0 AND collname <> 'C'"
        ).fetchall()
    )
    assert odd == []


@postgresql_only
def test_a_ledger_of_a_newer_version_is_left_alone(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    """Even by a process that already had it open."""
    url, run = empty_ledger(), server_ledgers.server.execute
    set_version = "UPDATE ledger_0.ledger_version SET version = version"
    with open_ledger(url) as ledger:
        run(f"{set_version} + 1")
        try:
            with pytest.raises(LedgerTooNew):
                open_ledger(url)
            with pytest.raises(LedgerTooNew):
                ledger.write(lambda db: db.execute("DELETE FROM run").rowcount)
            with pytest.raises(LedgerTooNew):
                ledger.read(all_audiences)
        finally:
            run(f"{set_version} - 1")
        assert ledger.read(all_audiences) == []


@postgresql_only
def test_a_session_that_is_lost_in_the_middle_of_a_migration_leaves_the_ledger_as_before(
    empty_ledger: EmptyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_ledger()
    with open_ledger(url) as ledger:
        start(ledger)
    lost = ("CREATE TABLE of_the_next_version ()", "SELECT pg_terminate_backend(pg_backend_pid())")
    with monkeypatch.context() as newer:
        newer.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, *lost))
        with pytest.raises(LedgerError, match="was lost"):
            open_ledger(url)
    with open_ledger(url) as ledger:
        assert len(ledger.read(all_audiences)) == 1
        made = ledger.read(lambda db: db.execute("SELECT to_regclass('of_the_next_version')"))
        assert made.fetchone() == (None,)


@postgresql_only
def test_several_that_open_a_new_ledger_at_once_find_the_same(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    url = empty_ledger().partition("?")[0] + "?schema=opened_at_once"
    with ThreadPoolExecutor(4) as threads:
        ledgers = list(threads.map(open_ledger, [url] * 4))
    start(ledgers[0])
    assert [len(ledger.read(all_audiences)) for ledger in ledgers] == [1] * 4
    for ledger in ledgers:
        ledger.close()
    server_ledgers.server.execute("DROP SCHEMA opened_at_once CASCADE")


@postgresql_only
def test_a_schema_of_something_else_is_left_alone(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    url = empty_ledger().partition("?")[0] + "?schema=others"
    server = server_ledgers.server
    server.execute("CREATE SCHEMA others", "CREATE TABLE others.audience (id integer)")
    with pytest.raises(LedgerError, match=r"others .*something else \(audience\)"):
        open_ledger(url)
    assert server.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'others'") == [(1,)]
    server.execute("DROP SCHEMA others CASCADE")


@postgresql_only
@pytest.mark.usefixtures("empty_ledger")  # it has the password of the server
@pytest.mark.parametrize("schema", ["Team", 'of "A\'s" $team$', "é" * 31])
def test_a_schema_may_have_any_name(server_ledgers: PostgresqlLedgers, schema: str) -> None:
    server = server_ledgers.server
    url = f"{server.url()}?{urlencode({'schema': schema})}"
    try:
        with open_ledger(url) as ledger, ledger.lease(1):
            assert ledger.read(overview, ledger.locks).version > 0
            assert ledger.read(problems) == []
        assert all(check.is_well for check in examine_server(url, None))
    finally:
        quoted = schema.replace('"', '""')
        server.execute(f'DROP SCHEMA IF EXISTS "{quoted}" CASCADE')


@postgresql_only
def test_a_wrong_password_and_a_server_that_is_not_there_are_named_without_it(
    empty_ledger: EmptyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "swordfish")
    with pytest.raises(LedgerUnreachable, match="password authentication failed") as refused:
        open_ledger(empty_ledger())
    assert "swordfish" not in str(refused.value)
    with pytest.raises(LedgerUnreachable, match=r"db on 127\.0\.0\.1 can't be opened") as gone:
        open_ledger("postgresql://user:swordfish@127.0.0.1:1/db")
    assert "swordfish" not in str(gone.value)


@postgresql_only
def test_a_server_without_a_connection_left_says_so_at_the_start_and_later(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    server = server_ledgers.server
    server.execute("CREATE ROLE only_one LOGIN CONNECTION LIMIT 1 PASSWORD 'example-password'")
    schema = empty_ledger().partition("=")[2]
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO only_one",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO only_one",
    )
    url = f"{server.url('only_one')}?schema={schema}"
    none_left = r"^The server has no connection left for the ledger postgres on 127\.0\.0\.1\. "
    try:
        with open_ledger(url) as ledger:
            with pytest.raises(LedgerBusy, match=f"{none_left}Nothing was changed"):
                open_ledger(url)
            with pytest.raises(LedgerBusy, match=f"{none_left}Everything before is kept"):
                ledger.lease(1).__enter__()
    finally:
        server.execute("DROP OWNED BY only_one", "DROP ROLE only_one")


@pytest.mark.parametrize("where", ["user:swordfish@[::1]/db", "user@[::1]/db?password=swordfish"])
def test_the_address_that_is_shown_has_no_password(where: str) -> None:
    address = read_address(f"postgresql://{where}")
    assert "swordfish" not in address.url + address.place
    assert "swordfish" not in repr(address)
    assert address.password == Secret("swordfish")
    assert address.schema == "amp_console"


@pytest.mark.parametrize("schema", ["public", "pg_catalog", "", "x" * 64])
def test_a_ledger_has_a_schema_of_its_own(schema: str) -> None:
    with pytest.raises(LedgerError, match="schema"):
        read_address(f"postgresql://user@localhost/db?schema={schema}")


@postgresql_only
def test_who_holds_a_lease_keeps_others_out_here_and_there(
    ledger: Ledger, empty_ledger: EmptyLedger
) -> None:
    with open_ledger(ledger.url) as other, open_ledger(empty_ledger(1)) as unrelated:
        with ledger.lease(1), ledger.hold_source("here"):
            for rival in (ledger, other):
                with pytest.raises(AudienceBusy), rival.lease(1):
                    pass
                with pytest.raises(SourceBusy), rival.hold_source("here"):
                    pass
            with other.lease(2), unrelated.lease(1):
                pass
        with other.lease(1):
            pass


@postgresql_only
def test_a_ledger_that_was_closed_takes_no_lock_on_a_new_session(
    ledger: Ledger,
) -> None:
    with open_ledger(ledger.url) as closed, closed.lease(1):
        pass
    with pytest.raises(LedgerClosed), closed.lease(1):
        pass


@postgresql_only
@pytest.mark.anyio
async def test_a_session_that_ended_has_lost_its_leases_and_says_so(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    with open_ledger(ledger.url) as other:
        with ledger.lease(1) as fence:
            await ledger.acheck_lease(fence)
            end_sessions_that_hold_locks(server_ledgers)
            with other.lease(1), pytest.raises(LeaseLost):
                await ledger.acheck_lease(fence)
            with ledger.lease(1) as again:
                await ledger.acheck_lease(again)
                with pytest.raises(LeaseLost):
                    await ledger.acheck_lease(fence)
        with ledger.lease(1) as fence:
            await ledger.acheck_lease(fence)


@postgresql_only
def test_who_lost_a_lease_changes_nothing_once_another_has_taken_it(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    known = start(ledger)
    with open_ledger(ledger.url) as other:
        with ledger.lease(known.id) as fence:
            writes = ledger.writes_of(known.id)
            writes.write(fenced, fence, set_name, known.id, "held")
            end_sessions_that_hold_locks(server_ledgers)
            writes.write(fenced, fence, set_name, known.id, "lost, and taken by no one")
            with other.lease(known.id) as taken:
                with pytest.raises(LeaseLost):
                    writes.write(fenced, fence, set_name, known.id, "taken by another")
                other.writes_of(known.id).write(fenced, taken, note_holder, known.id, 1)
            with pytest.raises(LeaseLost):
                writes.write(fenced, fence, set_name, known.id, "taken and released")
        assert ledger.read(audience, known.id).name == "lost, and taken by no one"


@postgresql_only
def test_a_lease_that_is_taken_again_has_a_greater_number(ledger: Ledger) -> None:
    numbers = []
    for audience_id in (1, 2, 1, 1):
        with ledger.lease(audience_id) as fence:
            assert fence is not None
            numbers.append(fence.number)
    assert numbers == [1, 1, 2, 3]


@postgresql_only
def test_writers_of_different_audiences_do_not_wait_for_each_other(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    """Writes to one audience do, and so do those to the whole ledger."""
    expected = {(1,): True, (3, 1): True, None: True, (2,): False, (): False}
    with open_ledger(ledger.url) as other, ThreadPoolExecutor(1) as thread:
        for audience_ids, waits in expected.items():
            writes = other if audience_ids is None else other.writes_of(*audience_ids)

            def meanwhile(
                _: Db, writes: Ledger | Writes = writes, waits: bool = waits
            ) -> Future[None]:
                waiting = thread.submit(writes.write, lambda _: None)
                if waits:
                    until_someone_waits(server_ledgers)
                    assert not waiting.done()
                else:
                    waiting.result(60)
                return waiting

            ledger.writes_of(1, 4).write(meanwhile).result(60)


@postgresql_only
def test_a_write_that_deadlocks_with_another_is_tried_again(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    """The other program is not amp-console, which takes its locks in order."""
    name = "UPDATE audience SET name = ? WHERE id = ?"
    first, second = (ledger.write(discover, AudienceRef("spa_1", key, key)).id for key in "ab")
    tries = 0
    waiting: list[Future[None]] = []

    def of_another(reach: Callable[[], None]) -> None:
        with open_ledger(ledger.url) as other:
            other.writes_of().write(lambda db: in_other_order(db, reach))

    def in_other_order(db: Db, reach: Callable[[], None]) -> None:
        db.execute("SET LOCAL deadlock_timeout = '1h'")  # it never gives up
        db.execute(name, ("of another", second))
        reach()
        db.execute(name, ("of another", first))

    def rename_both(db: Db) -> int:
        nonlocal tries
        tries += 1
        db.execute("SET LOCAL deadlock_timeout = '1ms'")
        db.execute(name, (f"try {tries}", first))
        if tries == 1:
            has_second = threading.Event()
            waiting.append(thread.submit(of_another, has_second.set))
            assert has_second.wait(60)
            until_someone_waits(server_ledgers, "transactionid")
        db.execute(name, (f"try {tries}", second))
        return tries

    with ThreadPoolExecutor(1) as thread:
        last = ledger.writes_of().write(rename_both)
        waiting[0].result(60)
    assert last > 1  # a retry before the other one is awake meets it again
    names = [f"try {last} (a)", f"try {last} (b)"]
    assert [item.name for item in ledger.read(all_audiences)] == names


def until_someone_waits(ledgers: PostgresqlLedgers, kind: str = "advisory") -> None:
    query = f"SELECT count(*) FROM pg_locks WHERE locktype = '{kind}' AND NOT granted"
    begun = monotonic()
    while ledgers.server.rows(query) == [(0,)]:
        assert monotonic() - begun < 60


def end_sessions_that_hold_locks(ledgers: PostgresqlLedgers) -> None:
    ledgers.server.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory'"
    )


@postgresql_only
def test_a_lost_connection_is_reopened(ledger: Ledger, server_ledgers: PostgresqlLedgers) -> None:
    start(ledger)
    end_all_sessions(server_ledgers)
    assert len(ledger.read(all_audiences)) == 1
    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        ledger.read(lambda _: end_all_sessions(server_ledgers))
    assert len(ledger.read(all_audiences)) == 1
    ledger.stage(lambda db: db.execute("CREATE TABLE temp.staged (n INTEGER)"))
    end_all_sessions(server_ledgers)
    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        ledger.stage(lambda db: db.execute("SELECT n FROM temp.staged"))
    assert len(ledger.read(all_audiences)) == 1


def end_all_sessions(ledgers: PostgresqlLedgers) -> None:
    ledgers.server.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE application_name = 'amp-console'"
    )


@postgresql_only
def test_a_new_session_takes_the_locks_of_runs_and_sources_again(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    with open_ledger(ledger.url) as other:
        with ledger.hold_run() as lock, ledger.hold_source("here"), ledger.lease(1):
            run_id = ledger.write(begin_run, ReadCounts(), 1, lock)
            end_sessions_that_hold_locks(server_ledgers)
            assert other.dead_runs() == {run_id}
            with open_ledger(ledger.url):
                assert marked(other) == "interrupted"
            with other.hold_source("here"):
                ledger.write(continue_run_and_log, run_id, RunKind.LIVE, 2)
            assert marked(other) == "running"
            assert other.dead_runs() == frozenset()
            ledger.read(all_audiences)
            with pytest.raises(SourceBusy), other.hold_source("here"):
                pass
            with other.lease(1):
                pass
        assert other.dead_runs() == {run_id}
        with other.hold_source("here"):
            pass
    entries = ledger.read(
        lambda db: db.execute("SELECT text FROM log_entry ORDER BY id").fetchall()
    )
    assert entries[-1] == (
        f"Live session continues: run {run_id}. Its process had lost the ledger's server.",
    )


def marked(ledger: Ledger) -> str:
    """How the only run is marked."""
    return str(ledger.read(lambda db: db.execute("SELECT status FROM run").fetchone()[0]))


@postgresql_only
def test_many_changes_are_merged_as_few_are(ledger: Ledger) -> None:
    """More than fit well into a statement are loaded into a table first."""
    odd = ["tab\there", "line\nbreak", "back\\slash", "\\N", "é😀", "'"]
    ids = [*odd, *(f"u{number}" for number in range(3_000))]
    for at, change in enumerate((enters, leaves, enters), 1):
        source = ledger.write(begin_source, f"/{at}", f"/{at}", at)
        newest = NewestChanges()
        newest.add([change(id_, at, line + 1) for line, id_ in enumerate(ids)])
        target = start(ledger)
        assert ledger.write(merge, source, newest, {target.ref: target.id}, at) == len(ids)
    assert wanted(ledger) == set(ids)


@postgresql_only
def test_rows_of_a_query_come_as_they_are_read_while_other_statements_run(ledger: Ledger) -> None:
    """Unread rows stay on the server; here, the client could not hold all of them."""

    def read_some(db: Db) -> list[int]:
        endless = each_row(db, "SELECT generate_series(1, ?)", (1 << 40,))
        return [n + db.execute("SELECT 1").fetchone()[0] for (n,) in islice(endless, 25_000)]

    assert ledger.read(read_some) == list(range(2, 25_002))


@postgresql_only
def test_a_query_is_cancelled_if_one_of_its_rows_is_not_handled(ledger: Ledger) -> None:
    """Otherwise, the transaction would wait for the other rows, here forever."""

    def handle(row: tuple[int]) -> None:
        raise ValueError(row)

    for _ in range(2):
        with pytest.raises(ValueError, match="1"):
            ledger.read(
                lambda db: handle_rows(db, "SELECT generate_series(1, ?)", (1 << 40,), handle)
            )
    assert ledger.read(all_audiences) == []


@postgresql_only
def test_a_connection_that_is_lost_while_rows_are_handled_is_reopened(
    ledger: Ledger, server_ledgers: PostgresqlLedgers
) -> None:
    def handle(row: tuple[int]) -> None:
        if row == (1,):
            end_all_sessions(server_ledgers)

    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        ledger.read(lambda db: handle_rows(db, "SELECT generate_series(1, ?)", (1 << 40,), handle))
    assert ledger.read(all_audiences) == []


@postgresql_only
def test_a_query_that_fails_while_it_is_read_harms_nothing(ledger: Ledger) -> None:
    def read_all(db: Db) -> list[int]:
        return list(each_row(db, "SELECT 1 / (20000 - n) FROM generate_series(1, 30000) AS n"))

    for _ in range(2):
        with pytest.raises(LedgerError, match="division by zero"):
            ledger.read(read_all)
    assert ledger.read(all_audiences) == []


@postgresql_only
def test_a_comparison_is_planned_for_many_who_differ(ledger: Ledger) -> None:
    """The server expects one or two: nested loops over 20,000 took a minute."""
    known = start(ledger)
    ledger.write(link_existing, known.id, "cohort1")

    def compared(db: Db) -> object:
        with exported({"1": "u1"}) as export:
            compare_cohort(db, ComparisonSpec(1, known.id, 1), export)
        return nested_loops(db)

    def nested_loops(db: Db) -> object:
        return db.execute("SHOW enable_nestloop").fetchone()

    assert ledger.write(compared) == ("off",)
    assert ledger.read(nested_loops) == ("on",)


@postgresql_only
def test_who_is_sent_is_marked_by_place(ledger: Ledger) -> None:
    """The join was planned as if the whole table were read: it took 1.3 instead of 0.5 s."""
    known, plans = start(ledger), list[str]()
    ids = [f"u{number}" for number in range(100)]
    read(ledger, [enters(id_, 1, line) for line, id_ in enumerate(ids)])

    class Explained(PostgresDb):
        def execute(self, sql: str, values: Any = (), /) -> Cursor:
            if sql.startswith("WITH last"):
                plans.extend(line for (line,) in super().execute(f"EXPLAIN {sql}", values))
            return super().execute(sql, values)

    def take(db: Db) -> DeliveryBatch | None:
        assert isinstance(db, PostgresDb)
        add, by_user_id = Operation.ADD, IdType.USER_ID
        return open_batch(Explained(db.connection), 1, known.id, by_user_id, add, 100, 1)

    batch = ledger.write(take)
    assert batch is not None
    assert sorted(batch.identifiers()) == sorted(ids)
    assert "(ctid = ANY (" in "".join(plans)


@postgresql_only
@pytest.mark.parametrize(("given", "used"), [("4MB", "64MB"), ("96MB", "96MB")])
def test_a_session_has_room_to_join_and_keeps_what_the_administrator_gives_it(
    empty_ledger: EmptyLedger, given: str, used: str
) -> None:
    url = f"{empty_ledger()}&options=-c%20work_mem%3D{given}"
    with open_ledger(url) as ledger:
        assert ledger.read(lambda db: db.execute("SHOW work_mem").fetchone()) == (used,)


@postgresql_only
def test_the_plan_that_counts_one_member_suits_many(ledger: Ledger) -> None:
    """The plan is kept: with nested loops, 100,000 users leaving at once took minutes."""
    (settings,) = ledger.read(
        lambda db: db.execute(
            "SELECT proconfig::text FROM pg_proc JOIN pg_namespace "
            f"ON pg_namespace.oid = pronamespace WHERE {OWN} AND proname = 'count_flips'"
        ).fetchone()
    )
    assert "enable_nestloop=off" in settings


@pytest.mark.parametrize(
    ("sql", "translated"),
    [
        ("SELECT ?, ?", "SELECT $1, $2"),
        ("SELECT ?2, ?1, ?2, ?", "SELECT $1, $2, $1, $3"),
        ("SELECT :b, :a, :b", "SELECT $1, $2, $1"),
        ("a IS NOT b AND c IS ?", "a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM $1"),
        ("a IS NULL, b IS NOT NULL, 'IS :a ?'", "a IS NULL, b IS NOT NULL, 'IS :a ?'"),
        ("SELECT n::bigint FROM temp.t JOIN main.u", "SELECT n::bigint FROM pg_temp.t JOIN u"),
        ("(n INTEGER, id TEXT) WITHOUT ROWID", '(n bigint, id text COLLATE "C") '),
        ("CREATE INDEX temp.t_id ON t (id)", "CREATE INDEX t_id ON pg_temp.t (id)"),
        ("SELECT lower(id), CAST(n AS INTEGER)", "SELECT ascii_lower(id), CAST(n AS bigint)"),
    ],
)  # fmt: skip
def test_sql_is_translated(sql: str, translated: str) -> None:
    assert translate(sql).sql == translated


def test_values_are_bound_in_the_order_of_their_parameters() -> None:
    assert translate("SELECT ?3, ?1").bind(("a", "b", "c")) == ["c", "a"]
    assert translate("SELECT :y, :x, :y").bind({"x": 1, "y": 2, "z": 3}) == [2, 1]
    assert re.search(r"\$\d", translate("SELECT '?'").sql) is None


class CountingDb(PostgresDb):
    """Counts the statements that are sent to the server."""

    sent = 0

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        self.sent += 1
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        rows = [*parameters]
        self.sent += len(rows)
        return super().executemany(sql, rows)


@postgresql_only
def test_live_changes_take_as_many_statements_for_twenty_audiences_as_for_one(
    ledger: Ledger,
) -> None:
    now = 1_777_900_000_000_000
    source = ledger.write(begin_source, "live", None, now)

    def statements(audiences: int, users: int) -> int:
        refs = [AudienceRef("spa_1", f"aud_{n}", f"key_{n}") for n in range(audiences)]
        ids = {ref: ledger.write(discover, ref).id for ref in refs}
        newest = NewestChanges()
        newest.add(
            [Change(ref, f"u{n}", f"{n}", True, now, 1) for ref in refs for n in range(users)]
        )

        def counted(db: Db) -> int:
            assert isinstance(db, PostgresDb)
            counting = CountingDb(db.connection)
            merge(counting, source, newest, ids, now)
            users_of = {(id_, IdType.USER_ID): {"u0", "unknown"} for id_ in ids.values()}
            found = known_members(counting, users_of)
            assert found.keys() == {(id_, IdType.USER_ID, "u0") for id_ in ids.values()}
            return counting.sent

        return ledger.write(counted)

    assert statements(1, 1) == statements(20, 20) == statements(20, 200)


@pytest.fixture
def impatient(server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a ledger whose server ends sessions that are idle."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    limits = ("idle_session_timeout", "idle_in_transaction_session_timeout")
    for limit in limits:
        server.alone(f"ALTER DATABASE {server.database} SET {limit} = '500ms'")
    yield server.url()
    for limit in limits:
        server.alone(f"ALTER DATABASE {server.database} RESET {limit}")


def wait_until_ended(url: str, begun: str) -> None:
    """Wait until the server has ended another program's session that ran only this."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as idle:
        idle.execute(begun.encode())
        with pytest.raises(psycopg.Error):
            next(idle.notifies(timeout=60))


def test_a_server_that_ends_idle_sessions_ends_none_of_a_ledger(impatient: str) -> None:
    with open_ledger(impatient) as ledger, ledger.lease(1) as fence:
        wait_until_ended(impatient, "SELECT 1")
        assert fence is not None
        ledger.locks.check_lease(fence)
        before = ledger.read(_session)

        def slow(db: Db) -> int:
            wait_until_ended(impatient, "BEGIN")
            return _session(db)

        assert ledger.read(slow) == before


def _session(db: Db) -> int:
    return int(db.execute("SELECT pg_backend_pid()").fetchone()[0])


@postgresql_only
def test_a_clock_that_is_set_is_corrected_by_the_next_transaction(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = time.time_ns, [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + ahead[0])
    for hours in (0, 1, -1, 5, 0):
        ahead[0] = hours * 3_600 * 10**9
        ledger.read(all_audiences)
        assert abs(ledger.clock()() - real() // 1_000) < 60_000_000


@pytest.mark.both_engines
def test_a_clock_that_agrees_is_left_as_it_is(ledger: Ledger) -> None:
    for _ in range(20):
        ledger.read(all_audiences)
        assert ledger.clock(lambda: 5)() == 5
