"""A proxy in front of the server acknowledges every packet, but forwards nothing anymore."""

import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from amp_console.ledger import Db, Ledger, open_ledger
from amp_console.ledger.audiences import all_audiences, set_name
from amp_console.ledger.db import ServerDb, handle_rows
from amp_console.ledger.errors import LeaseLost, LedgerUnreachable
from amp_console.ledger.locks import AudienceBusy
from amp_console.ledger.opening import listen
from tests.ledger.helpers import start
from tests.ledgers import EmptyLedger, PostgresqlLedgers, postgresql_only
from tests.sync.relays import SOON, SwallowingRelay

pytestmark = postgresql_only
PATIENCE = 30.0  # seconds


@pytest.fixture
def relay(server_ledgers: PostgresqlLedgers) -> Iterator[SwallowingRelay]:
    with SwallowingRelay(server_ledgers.server.port) as running:
        running.takes_new = True
        yield running


@pytest.fixture
def url(empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers) -> str:
    """The address of the ledger without a proxy."""
    return f"{empty_ledger()}&{SOON}"


@pytest.fixture
def ledger(url: str, relay: SwallowingRelay, server_ledgers: PostgresqlLedgers) -> Iterator[Ledger]:
    with open_ledger(behind(relay, url, server_ledgers)) as opened:
        yield opened


def behind(relay: SwallowingRelay, url: str, ledgers: PostgresqlLedgers) -> str:
    return url.replace(f":{ledgers.server.port}/", f":{relay.port}/")


ROWS = [(n, "x" * 100) for n in range(20_000)]


def execute(db: Db) -> None:
    db.execute("SELECT count(*) FROM audience").fetchone()


def execute_many(db: Db) -> None:
    db.executemany("UPDATE audience SET name = ? WHERE id = ?", [("a", 1), ("b", 1)])


def load(db: Db) -> None:
    assert isinstance(db, ServerDb)
    db.load("loaded", "n INTEGER, text TEXT", ROWS)


def stream(db: Db) -> None:
    assert isinstance(db, ServerDb)
    assert len(list(db.stream("SELECT * FROM generate_series(1, :last)", {"last": 20_000}))) > 1


def handle_each(db: Db) -> None:
    handle_rows(db, "SELECT * FROM generate_series(1, :last)", {"last": 20_000}, lambda _: None)


def leave_it_to_the_commit(_: Db) -> None:
    pass


@pytest.mark.parametrize(
    "work", [execute, execute_many, load, stream, handle_each, leave_it_to_the_commit]
)
def test_a_statement_without_an_answer_ends_as_on_a_lost_connection(
    ledger: Ledger, relay: SwallowingRelay, url: str, work: Callable[[Db], None]
) -> None:
    known = start(ledger)

    def write(db: Db) -> None:
        set_name(db, known.id, "changed")
        relay.lose()
        work(db)

    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        ledger.write(write)
    with open_ledger(url) as other:  # the server has rolled it back, and no longer waits for it
        other.write(set_name, known.id, "by another")
    assert [found.name for found in ledger.read(all_audiences)] == ["by another"]


def test_a_transaction_that_cannot_begin_does_on_a_new_connection(
    ledger: Ledger, relay: SwallowingRelay
) -> None:
    start(ledger)
    relay.lose()
    assert len(ledger.read(all_audiences)) == 1


def test_a_server_that_no_one_can_ask_is_given_up(ledger: Ledger, relay: SwallowingRelay) -> None:
    relay.takes_new = False

    def read(db: Db) -> None:
        relay.lose()
        execute(db)

    with pytest.raises(LedgerUnreachable, match=r"connection .* was lost"):
        ledger.read(read)


def test_once_a_connection_was_given_up_the_others_are_asked_about_sooner(
    url: str, relay: SwallowingRelay, server_ledgers: PostgresqlLedgers
) -> None:
    from amp_console.ledger.postgres.silence import doubts_about

    patient = f"{behind(relay, url, server_ledgers)}&answer_timeout=20"
    with open_ledger(patient) as ledger:
        doubts_about(ledger.url).give_up()
        relay.lose()
        begun = monotonic()
        start(ledger)
        assert monotonic() - begun < 20


def sleep(db: Db) -> None:
    db.execute("SELECT pg_sleep(4)")


def test_a_statement_that_the_server_is_at_work_on_is_waited_for(ledger: Ledger) -> None:
    ledger.read(sleep)


def test_a_server_without_room_for_the_question_is_waited_for(
    empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    server, schema = server_ledgers.server, empty_ledger().partition("=")[2]
    server.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1 PASSWORD 'example-password'")
    server.execute(
        f"GRANT USAGE ON SCHEMA {schema} TO narrow",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO narrow",
    )
    try:
        with open_ledger(f"{server.url('narrow')}?schema={schema}&answer_timeout=1") as ledger:
            ledger.read(sleep)
    finally:
        server.execute("DROP OWNED BY narrow", "DROP ROLE narrow")


def test_a_statement_that_waits_for_a_lock_is_waited_for(ledger: Ledger, url: str) -> None:
    known = start(ledger)
    with open_ledger(url) as other:
        is_locked = threading.Event()

        def lock(db: Db) -> None:
            is_locked.set()
            sleep(db)

        locking = other.submit(lock)
        is_locked.wait(PATIENCE)
        ledger.write(set_name, known.id, "changed")
        locking.result()


async def test_who_holds_a_lease_is_told_that_it_is_lost(
    ledger: Ledger, relay: SwallowingRelay, url: str
) -> None:
    with open_ledger(url) as other, ledger.lease(1) as fence:
        with pytest.raises(AudienceBusy), other.lease(1):
            pass
        relay.lose()
        with pytest.raises(LeaseLost):
            await ledger.acheck_lease(fence)
        with other.lease(1):
            pass


def test_who_listens_hears_again(
    ledger: Ledger, relay: SwallowingRelay, url: str, server_ledgers: PostgresqlLedgers
) -> None:
    heard = threading.Event()
    listener = listen(behind(relay, url, server_ledgers), heard.set)
    try:
        assert heard.wait(PATIENCE)
        heard.clear()
        relay.lose()
        assert heard.wait(PATIENCE), "it has not connected again"
        heard.clear()
        start(ledger)
        assert heard.wait(PATIENCE)
    finally:
        listener.close()
