"""Audiences by query, from the shell: set, refreshed, confirmed, cancelled, synced."""

import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import pytest

from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.postgresql import PASSWORD, PostgresqlServer

MEMBERS = [f"m-{number}" for number in range(10)]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.db"
    fill(path, *MEMBERS)
    return path


@pytest.fixture
def lake(operator: Operator, warehouse: Path) -> Operator:
    """An operator whose audience "vip" has a query."""
    assert operator.run("source", "add", "lake", f"sqlite:{warehouse}").status == 0
    assert ask(operator, "SELECT user_id FROM vips").status == 0
    return operator


def fill(path: Path, *users: str | None) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE IF EXISTS vips")
        db.execute("CREATE TABLE vips (user_id TEXT)")
        db.executemany("INSERT INTO vips VALUES (?)", [(user,) for user in users])


def ask(operator: Operator, sql: str, *more: str) -> Ended:
    return operator.run("audience", "vip", "--source", "lake", "--query", sql, *more)


@contextmanager
def interrupted(moment: int) -> Iterator[None]:
    """Press Ctrl-C while a command waits for a query, after a number of Python calls and returns.

    A command that never ends fails, instead of blocking the tests.
    """
    events = 0
    waiting: FrameType | None = None  # the call that waits for the query

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal events, waiting
        if frame.f_code.co_name == "_run" and event in {"call", "return"}:
            waiting = frame if event == "call" else None
        if waiting is not None and "before" in waiting.f_locals:  # the query has started
            events += 1
            if events == moment:
                sys.setprofile(None)
                raise KeyboardInterrupt

    def give_up(*_: object) -> None:
        pytest.fail("the command never ended")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 20)
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def members(operator: Operator) -> int:
    (audience,) = operator.run("audiences", "--json").document
    assert isinstance(audience["members"], int)
    return audience["members"]


def test_a_table_becomes_a_cohort_and_a_deleted_row_leaves_it(
    lake: Operator, warehouse: Path
) -> None:
    assert ask(lake, "SELECT user_id FROM vips", "--name", "VIP shoppers").status == 0
    refreshed = lake.run("refresh")
    assert refreshed.status == 0
    assert "applied" in refreshed.out
    assert lake.run("sync", "--yes").status == 0
    assert lake.cohort("VIP shoppers") == set(MEMBERS)
    fill(warehouse, *MEMBERS[1:], "m-new")
    ended = lake.run("sync", "--refresh", "--yes")
    assert ended.status == 0
    assert "+1" in ended.err
    assert "-1" in ended.err
    assert lake.cohort("VIP shoppers") == {*MEMBERS[1:], "m-new"}


def test_the_audience_shows_its_query_and_the_last_refresh(lake: Operator) -> None:
    assert "lake: SELECT user_id FROM vips" in lake.run("audience", "vip").out
    assert "refreshed     never" in lake.run("audience", "vip").out
    lake.run("refresh", "vip")
    assert "10 rows in" in lake.run("audience", "vip").out
    (audience,) = lake.run("audiences", "--json").document
    query = audience["query"]
    assert isinstance(query, dict)
    assert (query["source"], query["rows"], query["outcome"]) == ("lake", 10, "applied")
    lake.run("audience", "vip", "--no-query")
    assert lake.run("audience", "vip", "--json").document["query"] is None
    ended = lake.run("refresh", "vip")
    assert ended.status == 2
    assert "vip has no query. To set one: amp-console audience vip --source NAME" in ended.err
    assert "No audience has a query." in lake.run("refresh").out
    assert members(lake) == 10


def test_a_query_may_come_from_a_file_stdin_or_segments_tables(
    lake: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "vip.sql"
    file.write_text("SELECT user_id\n  FROM vips -- ünïcode\n;\n", encoding="utf-8")
    by_query = ("audience", "vip", "--source", "lake")
    ended = lake.run(*by_query, "--query-file", file)
    assert "lake: SELECT user_id FROM vips -- ünïcode" in ended.out
    ended = lake.run(*by_query, "--query-file", "-", stdin=b"SELECT 1")
    assert "lake: SELECT 1" in ended.out
    trait = ("--segment-trait", "o'vip", "--schema", "acme prod.space")
    ended = lake.run(*by_query, *trait, "--json")
    query = ended.document["query"]
    assert 'FROM "acme prod".space.user_traits AS t' in query["sql"]
    assert "t.name = 'o''vip'" in query["sql"]


def test_segments_tables_are_read_as_they_are_documented(
    operator: Operator, tmp_path: Path
) -> None:
    path = tmp_path / "segment.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE user_traits (canonical_segment_id, name, value)")
        db.execute("CREATE TABLE user_identifiers (canonical_segment_id, type, value)")
        for number, value in enumerate(("true", "false", "True", "t", "1")):
            db.execute("INSERT INTO user_traits VALUES (?, 'vip', ?)", (number, value))
            db.execute("INSERT INTO user_traits VALUES (?, 'other', 'true')", (number,))
            for type_ in ("user_id", "email"):
                identifier = f"{type_}-{number}"
                values = (number, type_, identifier)
                db.execute("INSERT INTO user_identifiers VALUES (?, ?, ?)", values)
    operator.run("source", "add", "lake", f"sqlite:{path}")
    trait = ("--segment-trait", "vip", "--schema", "main")
    assert operator.run("audience", "vip", "--source", "lake", *trait).status == 0
    (report,) = operator.run("refresh", "--json").document
    assert (report["outcome"], report["listed"]) == ("applied", 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--source", "lake"),
        ("--query", "SELECT 1"),
        ("--name", "x"),
        ("--source", "lake", "--segment-trait", "x"),
        ("--source", "lake", "--query", "SELECT 1", "--query-file", "-"),
        ("--source", "lake", "--query", "SELECT 1", "--no-query"),
        ("--source", "lake", "--query", " ; "),
        ("--source", "unknown", "--query", "SELECT 1"),
        ("--changes",),
        ("--overlap", "5m"),
        ("--source", "lake", "--query", "SELECT 1", "--overlap", "5m"),
        ("--source", "lake", "--query", "SELECT 1", "--changes", "--overlap", "0"),
        ("--source", "lake", "--segment-trait", "x", "--schema", "y", "--changes"),
    ],
)
def test_what_does_not_go_together_changes_nothing(lake: Operator, arguments: list[str]) -> None:
    before = lake.run("audience", "vip", "--json").out
    assert lake.run("audience", "vip", *arguments).status == 2
    assert lake.run("audience", "vip", "--json").out == before


def test_read_only_sets_no_query_but_refreshes(lake: Operator) -> None:
    ended = lake.run("--read-only", "audience", "vip", "--no-query")
    assert ended.status == 2
    assert "Nothing was changed." in ended.err
    assert lake.run("--read-only", "refresh").status == 0
    assert members(lake) == 10


def test_a_large_removal_needs_yes_without_a_terminal(lake: Operator, warehouse: Path) -> None:
    lake.run("refresh")
    fill(warehouse, "m-0")
    ended = lake.run("refresh")
    assert ended.status == 2
    assert "The query lists 1 member. It removes 9 of the 10 members of “vip”." in ended.err
    assert "To confirm in advance, add --yes." in ended.err
    assert "Nothing was changed." in ended.out
    assert members(lake) == 10
    dry = lake.run("refresh", "--dry-run", "--json").document
    assert [(item["leaving"], item["outcome"]) for item in dry] == [(9, "dry run")]
    assert lake.run("refresh", "--yes").status == 0
    assert members(lake) == 1


def test_a_failed_query_stops_no_other_and_the_sync_says_so(
    lake: Operator, warehouse: Path
) -> None:
    arguments = ("--source", "lake", "--query", "SELECT user_id FROM missing")
    assert lake.run("audience", "another", *arguments).status == 0
    ended = lake.run("sync", "--refresh", "--yes")
    assert ended.status == 2
    assert "another: SQLite refused the query: no such table: missing. Nothing was" in ended.err
    assert lake.cohort("vip") == set(MEMBERS)
    warehouse.unlink()
    ended = lake.run("refresh", "vip")
    assert ended.status == 2
    assert f"vip: {warehouse} does not exist. Nothing was changed." in ended.out
    removed = lake.run("source", "remove", "lake")
    assert "Without it, these audiences can't be refreshed: another, vip." in removed.out
    ended = lake.run("refresh", "vip")
    assert ended.status == 2
    assert "vip: There is no source called “lake”. Add one" in ended.out
    assert "source add NAME URL. Nothing was changed." in ended.out
    assert lake.run("audience", "vip", "--json").document["members"] == 10


FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
WITHOUT_END = f"SELECT i AS user_id FROM ({FOREVER}) WHERE i < 0"


def test_ctrl_c_cancels_a_query_at_whatever_moment_it_comes(lake: Operator) -> None:
    assert ask(lake, WITHOUT_END).status == 0
    for moment in range(1, 25):
        with interrupted(moment):
            ended = lake.run("refresh")
        assert ended.status == 130, (moment, ended)
        assert "The query was cancelled in the warehouse. Nothing was changed." in ended.out


def test_a_sync_cancels_a_query_that_takes_too_long(lake: Operator) -> None:
    assert ask(lake, WITHOUT_END).status == 0
    ended = lake.run("sync", "--refresh", "--timeout", "1", "--yes")
    assert ended.status == 2
    assert "The query took longer than the time limit of 1 s and was cancelled." in ended.err


def test_a_sync_that_runs_no_query_takes_no_time_limit(lake: Operator) -> None:
    ended = lake.run("sync", "--timeout", "60", "--dry-run")
    assert ended.status == 2
    assert "--timeout needs --refresh." in ended.err


def test_a_time_limit_is_at_most_a_week_which_every_timer_and_server_can_hold(
    lake: Operator,
) -> None:
    week = 7 * 86_400
    assert lake.run("refresh", "--timeout", str(week)).status == 0
    assert lake.run("refresh", "--timeout", str(week + 1)).status == 2


def test_refused_rows_are_listed_as_errors(lake: Operator, warehouse: Path) -> None:
    fill(warehouse, *MEMBERS[:9], None)
    ended = lake.run("refresh")
    assert ended.status == 1
    assert "1 row was refused: no user_id in this row (1)." in ended.out
    assert "1 invalid event: no user_id in this row" in lake.run("errors").out


@pytest.fixture
def at_server(operator: Operator, server: PostgresqlServer, tmp_path: Path) -> Operator:
    """An operator with a source on a real server, whose password libpq finds."""
    pgpass = tmp_path / "pgpass"
    pgpass.write_text(f"127.0.0.1:{server.port}:*:*:{PASSWORD}\n")
    pgpass.chmod(0o600)
    operator.environment["PGPASSFILE"] = str(pgpass)
    assert operator.run("source", "add", "lake", server.url()).status == 0
    return operator


SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE wait_event = 'PgSleep' AND application_name = 'amp-console'"
)


def test_ctrl_c_cancels_the_query_on_the_server(
    at_server: Operator, server: PostgresqlServer
) -> None:
    assert ask(at_server, "SELECT pg_sleep(3600)::text AS user_id").status == 0
    process = at_server.start("refresh")
    try:
        while server.rows(SLEEPING) == [(0,)]:
            assert process.status is None, process.err
        process.send(signal.SIGINT)
        assert process.wait() == 130, process.err
        assert "The query was cancelled in the warehouse. Nothing was changed." in process.out
        assert server.rows(SLEEPING) == [(0,)]
    finally:
        at_server.end()


@pytest.mark.parametrize("kind", ["list", "changes"])
def test_a_refresh_that_is_killed_between_its_rows_changes_nothing_and_the_next_is_whole(
    at_server: Operator, server: PostgresqlServer, kind: str
) -> None:
    server.execute("DROP TABLE IF EXISTS pause", "CREATE TABLE pause AS SELECT 3600 AS seconds")
    sql = (
        "SELECT 'u-' || n AS user_id, coalesce(CASE WHEN n = 25000 THEN pg_sleep((SELECT "
        "max(seconds) FROM pause))::text END, '') AS paused{} FROM generate_series(1, 30000) AS n"
    )
    if kind == "changes":
        sql = sql.format(", true AS is_member, timestamptz '2026-05-03 19:00Z' AS changed_at")
        assert ask(at_server, sql, "--changes").status == 0
    else:
        assert ask(at_server, sql.format("")).status == 0
    process = at_server.start("refresh")
    try:
        while server.rows(SLEEPING) == [(0,)]:
            assert process.status is None, process.err
        process.kill()
    finally:
        at_server.end()
    assert members(at_server) == 0
    server.execute("DELETE FROM pause")
    assert at_server.run("refresh").status == 0
    assert members(at_server) == 30_000
    server.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    )


CHANGES = "SELECT user_id, is_member, changed_at FROM changes WHERE changed_at >= :cursor"


def changes(path: Path, *rows: tuple[str, int, str]) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE IF NOT EXISTS changes (user_id TEXT, is_member, changed_at TEXT)")
        db.executemany("INSERT INTO changes VALUES (?, ?, ?)", rows)


@pytest.mark.parametrize("spelled", ["90s", "15m", "150m", "2h", "1.5s"])
def test_an_overlap_is_shown_as_exactly_as_it_was_given(
    lake: Operator, warehouse: Path, spelled: str
) -> None:
    changes(warehouse, ("u-1", 1, "2026-05-03 19:00:00"))
    ask(lake, CHANGES, "--changes", "--overlap", spelled)
    assert lake.run("refresh").status == 0
    assert f"with {spelled} of overlap" in lake.run("audience", "vip").out


def test_a_query_of_changes_reads_on_from_where_it_stopped(lake: Operator, warehouse: Path) -> None:
    changes(warehouse, ("u-1", 1, "2026-05-03 19:00:00"), ("u-2", 1, "2026-05-03 20:00:00"))
    assert "read until    nothing" in ask(lake, CHANGES, "--changes", "--overlap", "5m").out
    assert lake.run("refresh").status == 0
    said = lake.run("audience", "vip").out
    assert "changes       lake: SELECT user_id" in said
    assert "read until    2026-05-03 20:00:00 UTC, with 5m of overlap" in said
    changes(warehouse, ("u-1", 0, "2026-05-03 20:00:01"), ("u-3", 1, "2026-05-03 20:00:02"))
    (report,) = lake.run("refresh", "--yes", "--json").document
    assert (report["rows"], report["entering"], report["leaving"]) == (3, 1, 1)
    query = lake.run("audience", "vip", "--json").document["query"]
    assert (query["is_changes"], query["overlap"]) == (True, 300)
    assert query["read_until"] == "2026-05-03T20:00:02Z"
    assert lake.run("sync", "--yes").status == 0
    assert lake.cohort("vip") == {"u-2", "u-3"}


def test_a_column_that_has_changed_its_type_needs_yes(lake: Operator, warehouse: Path) -> None:
    fill(warehouse, "007", "8")
    assert lake.run("refresh").status == 0
    with closing(sqlite3.connect(warehouse)) as db, db:
        db.execute("CREATE TABLE numbers AS SELECT CAST(user_id AS INTEGER) AS user_id FROM vips")
        db.execute("DROP TABLE vips")
        db.execute("ALTER TABLE numbers RENAME TO vips")
    sentence = (
        "The column user_id has changed its type since the last refresh, from text to integer. "
        "Check that it still holds the same values."
    )
    assert sentence in lake.run("refresh", "--dry-run").out
    ended = lake.run("refresh")
    assert ended.status == 2
    assert sentence in ended.err
    assert "To confirm in advance, add --yes." in ended.err
    assert members(lake) == 2
    assert lake.run("refresh", "--yes").status == 0
    again = lake.run("refresh")
    assert (again.status, again.err) == (0, "")


def test_a_session_refreshes_audiences_at_an_interval(
    lake: Operator, warehouse: Path, tmp_path: Path
) -> None:
    process = lake.start("watch", "lake", "--every", "1s", "--create", "--flush-seconds", "0.1")
    try:
        process.wait_until(lambda: _is_cohort(lake, MEMBERS))
        fill(warehouse, *MEMBERS[1:], "m-new")
        process.wait_until(lambda: _is_cohort(lake, [*MEMBERS[1:], "m-new"]))
        fill(warehouse, "m-1")
        process.wait_until(lambda: "To confirm it: amp-console refresh vip" in process.err)
        assert lake.run("refresh", "vip", "--yes").status == 0
        process.wait_until(lambda: _is_cohort(lake, ["m-1"]))
        fill(tmp_path / "other.db", "m-1", "m-2")
        assert lake.run("source", "add", "lake", f"sqlite:{tmp_path}/other.db").status == 0
        process.wait_until(lambda: _is_cohort(lake, ["m-1", "m-2"]))
        assert process.end() == 0, process.err
    finally:
        lake.end()


def _is_cohort(lake: Operator, users: list[str]) -> bool:
    names = {cohort.name for cohort in lake.simulator.world.cohorts()}
    return "vip" in names and lake.cohort("vip") == set(users)


def test_a_name_in_a_session_means_a_path_before_a_source(
    lake: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        (
            ("events.ndjson", "--every", "5m"),
            "or the name of a source or of an audience with a query",
        ),
        (("idle",), "No audience is refreshed from idle. To give one a query: amp-console"),
    ):
        lake.run("source", "add", "idle", "sqlite:warehouse.db")
        ended = lake.run("watch", *arguments)
        assert (ended.status, words in ended.err) == (2, True), ended.err
    Path("lake").touch()
    ended = lake.run("watch", "lake", "--every", "5m")
    assert "--every needs the address of a bucket" in ended.err
