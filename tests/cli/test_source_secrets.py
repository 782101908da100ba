"""The password of a source is in the keyring and nowhere else, whatever commands run."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.canary import CANARY, files_below, is_in, look_into_process
from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.connections import backends
from tests.postgresql import PostgresqlServer, own_database
from tests.secret_service import secret_service

MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}
ENDLESS = "SELECT pg_sleep(3600)::text AS user_id"
RUNNING = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE state = 'active' AND application_name = 'amp-console'"
)


@pytest.fixture(scope="module")
def server(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    with own_database(postgresql) as running:
        running.execute(
            f"CREATE ROLE canary_reader LOGIN PASSWORD '{CANARY}'",
            "CREATE TABLE private (user_id text)",
            "CREATE TABLE changes (user_id text, is_member bool, changed_at timestamptz)",
            "INSERT INTO changes VALUES ('u-1', true, now())",
            "GRANT SELECT ON changes TO canary_reader",
        )
        yield running


def test_it_is_in_no_file_and_no_output_of_any_command(
    operator: Operator, server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url("canary_reader")
    in_url = url.replace("@", f":{urllib.parse.quote(CANARY, safe='')}@")
    said: list[Ended] = []

    def run(*command: str, stdin: bytes = b"") -> Ended:
        said.append(operator.run(*command, stdin=stdin, more=MEMORY))
        return said[-1]

    def ask(sql: str, *more: str) -> None:
        run("audience", "vip", "--source", "lake", "--query", sql, *more)

    def add(name: str, url: str) -> Ended:
        return run("source", "add", name, url, "--password-stdin", stdin=f"{CANARY}\n".encode())

    assert run("source", "add", "lake", in_url).status == 2
    run("source", "add", "lake", f"{in_url}#fragment")
    add("lake", url.replace("canary_reader", "unknown"))
    add("lake", f"{url}?nonsense=1")
    assert add("lake", url).status == 0
    assert add("other", url).status == 0
    for sql in (
        "SELECT 'u-1' AS user_id",
        "SELECT user_id FROM private",
        "SELECT user_id FROM missing",
        "SELECT 1.5::float8 AS user_id",
        "SELECT '(1'::int::text AS user_id",
        "SELECT 1 AS nothing",
        "DROP TABLE changes",
    ):
        ask(sql)
        run("refresh")
        run("refresh", "--dry-run", "--json")
    ask(ENDLESS)
    run("refresh", "--timeout", "1")
    ask("SELECT * FROM changes WHERE changed_at >= :cursor", "--changes")
    assert run("refresh").status == 0
    for command in (
        ("sync", "--refresh", "--yes"),
        ("sources",),
        ("sources", "--json"),
        ("source", "test", "lake"),
        ("source", "test", "other"),
        ("audience", "vip", "--json"),
        ("audiences", "--json"),
        ("connections", "--json"),
        ("log",),
        ("errors",),
        ("person", "u-1"),
        ("runs",),
        ("doctor",),
        ("--read-only", "refresh"),
    ):
        run(*command)

    def defective(*_: object, **__: object) -> None:
        raise RuntimeError("a defect of the driver")

    with monkeypatch.context() as patch:
        patch.setattr("psycopg.connect", defective)
        assert "Traceback" in run("refresh").err
        assert "Traceback" in run("source", "test", "lake").err
    server.execute("ALTER ROLE canary_reader PASSWORD 'another'")
    assert "password authentication failed" in run("source", "test", "lake").err
    assert "password authentication failed" in run("refresh").out
    server.execute(f"ALTER ROLE canary_reader PASSWORD '{CANARY}'")
    assert any(CANARY in item for item in backends.Memory.items.values())
    run("source", "remove", "lake")
    run("disconnect", "acme", "--yes")
    assert not any(CANARY in item for item in backends.Memory.items.values())
    assert {ended.status for ended in said} >= {0, 1, 2}
    contents = [*files_below(tmp_path), *((item.out + item.err).encode() for item in said)]
    assert len(contents) > 50
    assert not [content for content in contents if is_in(content)]
    backends.Memory.clear()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks into /proc")
def test_no_argument_and_no_environment_of_a_process_holds_it(
    operator: Operator, server: PostgresqlServer, tmp_path: Path
) -> None:
    with secret_service() as keyring:
        environment = operator.environment
        environment["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
        environment.pop("PYTHON_KEYRING_BACKEND", None)
        url = server.url("canary_reader")
        add = ("source", "add", "lake", url, "--password-stdin")
        added = operator.run_apart(*add, stdin=f"{CANARY}\n".encode())
        assert added.status == 0, added.err
        assert any(CANARY in item for item in keyring.items().values())
        query = ("--source", "lake", "--query", ENDLESS)
        assert operator.run_apart("audience", "vip", *query).status == 0
        for command in (("refresh",), ("watch", "lake"), ("sync", "--refresh")):
            look_into_process(command, environment, server, RUNNING)
            assert server.rows(RUNNING) == [(0,)]
        assert not any(map(is_in, files_below(tmp_path)))


def test_the_search_would_find_one() -> None:
    """The tests above can fail: a password that is stored elsewhere is found."""
    for text in (f"PGPASSWORD={CANARY}", repr(CANARY), urllib.parse.quote(CANARY, safe="")):
        assert is_in(f"before {text} after".encode())
