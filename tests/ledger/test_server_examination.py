"""What a ledger needs of its server is checked by name: rights, temporary tables, pooler, clock."""

import re
from collections.abc import Callable, Iterator

import pytest

from amp_console.ledger import open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.errors import LedgerReadOnly, PoolerRefused
from amp_console.ledger.opening import examine_server
from amp_console.ledger.postgres.examination import ServerCheck
from amp_console.ledger.runs import begin_run
from amp_console.ledger.sources import ReadCounts
from amp_console.values import Secret, now_in_microseconds
from tests.ledger.helpers import start
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.postgresql import ADMINISTRATOR, PASSWORD, PostgresqlServer, pgbouncer

pytestmark = postgresql_only

Checks = dict[str, ServerCheck]


def checks(url: str, now: Callable[[], int] = now_in_microseconds) -> Checks:
    return {check.what: check for check in examine_server(url, Secret(PASSWORD), now)}


@pytest.fixture
def server(server_ledgers: PostgresqlLedgers) -> PostgresqlServer:
    return server_ledgers.server


@pytest.fixture
def role(server: PostgresqlServer, empty_ledger: EmptyLedger) -> Iterator[str]:
    """A role without any rights, in a database that grants none to everyone."""
    empty_ledger()
    server.execute(
        f"CREATE ROLE narrow LOGIN PASSWORD '{PASSWORD}'",
        "REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC",
    )
    yield server.url("narrow")
    server.execute(
        "GRANT TEMPORARY ON DATABASE postgres TO PUBLIC", "DROP OWNED BY narrow", "DROP ROLE narrow"
    )


def test_a_server_that_has_everything_is_well(empty_ledger: EmptyLedger) -> None:
    found = checks(empty_ledger())
    assert [check.says for check in found.values() if not check.is_well] == []
    assert re.match(r"PostgreSQL \d+", found["server"].says)
    assert found["rights"].says == f"{ADMINISTRATOR} can read and write"
    assert found["encryption"].says == (
        "not encrypted (sslmode=prefer): the server is on this machine"
    )


def test_before_there_is_a_ledger_the_right_to_create_it_counts(
    server: PostgresqlServer, role: str
) -> None:
    assert checks(f"{server.url()}?schema=unused")["rights"].says == (
        f"no ledger yet; {ADMINISTRATOR} can create it in the schema unused"
    )
    denied = checks(f"{role}?schema=unused")["rights"]
    assert not denied.is_well
    assert denied.says.endswith("An administrator runs: CREATE SCHEMA unused AUTHORIZATION narrow")
    server.execute("CREATE SCHEMA unused AUTHORIZATION narrow")
    assert checks(f"{role}?schema=unused")["rights"].is_well
    assert server.rows("SELECT count(*) FROM pg_tables WHERE schemaname = 'unused'") == [(0,)]


def test_the_rights_that_lack_are_named_with_what_grants_them(
    server: PostgresqlServer, role: str, empty_ledger: EmptyLedger
) -> None:
    url = f"{role}?{empty_ledger().partition('?')[2]}"
    schema = url.partition("schema=")[2]
    granted: list[str] = []
    for expected in ("USAGE ON SCHEMA", "SELECT ON ALL TABLES"):
        denied = checks(url)["rights"]
        assert not denied.is_well
        remedy = denied.says.partition("An administrator runs: ")[2]
        assert remedy.startswith(f"GRANT {expected}")
        granted.append(remedy)
        server.execute(remedy)
    readable = checks(url)["rights"]
    assert readable == ("rights", True, "narrow can only read: start read-only")
    server.execute(f"GRANT INSERT ON ALL TABLES IN SCHEMA {schema} TO narrow")
    remedy = checks(url)["rights"].says.partition("An administrator runs: ")[2]
    server.execute(remedy)
    assert checks(url)["rights"].says == "narrow can read and write"
    assert "temp tables" in {name for name, check in checks(url).items() if not check.is_well}
    server.execute(checks(url)["temp tables"].says.partition("An administrator runs: ")[2])
    assert checks(url)["temp tables"].is_well


def test_a_role_that_only_reads_opens_a_ledger_with_a_dead_run(
    server: PostgresqlServer, role: str, empty_ledger: EmptyLedger
) -> None:
    url = empty_ledger()
    schema = url.partition("schema=")[2]
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO narrow",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO narrow",
    )
    with open_ledger(url) as ledger:
        start(ledger)
        ledger.write(begin_run, ReadCounts(), 1, "no-such-lock")
        reading = f"{role}?schema={schema}"
        with open_ledger(reading, password=Secret(PASSWORD)) as looking:
            assert len(looking.read(all_audiences)) == 1
            assert len(looking.dead_runs()) == 1
            with pytest.raises(LedgerReadOnly):
                looking.write(lambda db: db.execute("DELETE FROM audience"))


def test_an_older_ledger_names_who_can_migrate_it(
    server: PostgresqlServer, role: str, empty_ledger: EmptyLedger
) -> None:
    schema = empty_ledger().partition("schema=")[2]
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO narrow",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO narrow",
        f"UPDATE {schema}.ledger_version SET version = version - 1",
    )
    try:
        found = checks(f"{role}?schema={schema}")["rights"]
    finally:
        server.execute(f"UPDATE {schema}.ledger_version SET version = version + 1")
    assert not found.is_well
    assert found.says.endswith(f"Open it once as {ADMINISTRATOR}")


@pytest.mark.parametrize(("seconds", "word"), [(-60, "behind"), (60, "ahead of")])
def test_a_clock_that_disagrees_is_named(
    empty_ledger: EmptyLedger, seconds: int, word: str
) -> None:
    url = empty_ledger()
    found = checks(url, lambda: now_in_microseconds() + seconds * 1_000_000)["clock"]
    assert not found.is_well
    assert found.says.startswith(f"60 s {word} the server's")


@pytest.mark.parametrize("pool_mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused_and_changes_nothing(
    server: PostgresqlServer, empty_ledger: EmptyLedger, pool_mode: str
) -> None:
    options = empty_ledger().partition("?")[2]
    with pgbouncer(server, pool_mode) as pooled:
        for use in (open_ledger, checks):
            with pytest.raises(PoolerRefused, match="session mode"):
                use(f"{pooled}?{options}")


def test_a_pooler_in_session_mode_is_as_good_as_the_server(
    server: PostgresqlServer, empty_ledger: EmptyLedger
) -> None:
    options = empty_ledger().partition("?")[2]
    with pgbouncer(server, "session") as pooled:
        found = checks(f"{pooled}?{options}")
        assert [check.says for check in found.values() if not check.is_well] == []
        with open_ledger(f"{pooled}?{options}") as ledger, ledger.hold_run() as name:
            start(ledger)
            ledger.write(begin_run, ReadCounts(), 1, name)
            with open_ledger(f"{pooled}?{options}") as other:
                assert other.dead_runs() == frozenset()
