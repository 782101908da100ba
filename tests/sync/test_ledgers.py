"""The settings or the environment determine where a connection's ledger is."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from amp_console.connections import Connection, Folders, Keyring, LedgerServer
from amp_console.ledger.audiences import all_audiences, discover
from amp_console.ledger.errors import (
    LedgerOfAnotherProject,
    LedgerReadOnly,
    LedgerTooNew,
    LedgerUnreachable,
)
from amp_console.ledger.received import received_until
from amp_console.ledger.sources import counts_of_source
from amp_console.sync.ledgers import LedgerMisconfigured, Ledgers
from amp_console.values import AudienceRef, Change, Secret
from tests.connections import backends
from tests.ledger.helpers import start
from tests.ledgers import EmptyLedger, PostgresqlLedgers, fail, fail_no_more, postgresql_only
from tests.postgresql import PASSWORD
from tests.sync.webhook_sender import leave_received

ACME = Connection(name="Acme", app_id=153957, owner_email="ana@acme.example")
MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}
Make = Callable[..., Ledgers]


@pytest.fixture
def ledgers(tmp_path: Path) -> Make:
    """Makes one with these variables in the environment."""
    folders = Folders.locate({"AMP_CONSOLE_HOME": str(tmp_path)})
    folders.prepare()
    backends.Memory.clear()
    return lambda **more: Ledgers(folders, more, Keyring(MEMORY))


def test_a_ledger_is_in_a_file_by_default(ledgers: Make) -> None:
    found = ledgers()
    file = found.file(ACME)
    assert file is not None
    assert found.where(ACME) == str(file)
    assert not found.exists(ACME)
    assert found.peek(ACME, lambda db, _: all_audiences(db)) is None
    with found.open(ACME) as ledger:
        assert ledger.url == str(file)
    assert found.peek(ACME, lambda db, _: all_audiences(db)) == []


@postgresql_only
def test_the_environment_says_where_it_is_with_or_without_the_password(
    ledgers: Make, empty_ledger: EmptyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_ledger()
    monkeypatch.delenv("PGPASSWORD")
    elsewhere = msgspec.structs.replace(ACME, ledger=LedgerServer(url="postgresql://127.0.0.1:1/x"))
    found = ledgers(AMP_CONSOLE_LEDGER=url.replace("@", f":{PASSWORD}@"))
    for connection in (ACME, elsewhere):
        assert found.file(connection) is None
        assert found.where(connection) == url
        with found.open(connection) as ledger:
            assert ledger.url == url
    assert ledgers(AMP_CONSOLE_LEDGER="file").file(elsewhere) is not None


def test_a_variable_that_names_no_ledger_is_reported_and_not_quoted(ledgers: Make) -> None:
    found = ledgers(AMP_CONSOLE_LEDGER="mysql://root:canary-pw@db/x")
    assert (found.file(ACME), found.where(ACME)) == (None, "AMP_CONSOLE_LEDGER")
    for use in (found.open, lambda item: found.peek(item, lambda db, _: None)):
        with pytest.raises(LedgerMisconfigured, match="AMP_CONSOLE_LEDGER can't be used") as told:
            use(ACME)
        assert "canary" not in str(told.value)


@postgresql_only
def test_its_password_comes_from_the_keyring_which_is_asked_once(
    ledgers: Make, empty_ledger: EmptyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_ledger()
    monkeypatch.delenv("PGPASSWORD")
    item = Keyring(MEMORY).write_password(Secret(PASSWORD))
    connection = msgspec.structs.replace(ACME, ledger=LedgerServer(url=url, password_item=item))
    found = ledgers()
    assert found.peek(connection, lambda db, _: all_audiences(db)) is None, "the keyring was asked"
    with found.open(connection) as ledger:
        start(ledger)
    backends.Memory.clear()
    assert len(found.peek(connection, lambda db, _: all_audiences(db)) or ()) == 1
    with pytest.raises(LedgerUnreachable, match=r"no longer has the password of the ledger"):
        ledgers().open(connection)


@postgresql_only
def test_looking_at_a_server_creates_nothing_and_refuses_what_is_newer(
    ledgers: Make, empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    url = empty_ledger()
    set_version = "UPDATE ledger_0.ledger_version SET version = version"
    unused = f"{url.partition('?')[0]}?schema=unused"
    connection = msgspec.structs.replace(ACME, ledger=LedgerServer(url=unused))
    assert ledgers().peek(connection, lambda db, _: all_audiences(db)) is None
    connection = msgspec.structs.replace(ACME, ledger=LedgerServer(url=url))
    with ledgers().open(connection) as ledger:
        schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'unused'"
        assert ledger.read(lambda db: db.execute(schemas).fetchone()) == (0,)
        server_ledgers.server.execute(f"{set_version} + 1")
        try:
            with pytest.raises(LedgerTooNew):
                ledgers().peek(connection, lambda db, _: all_audiences(db))
        finally:
            server_ledgers.server.execute(f"{set_version} - 1")


@postgresql_only
def test_a_ledger_that_knows_cohorts_is_refused_to_another_project(
    ledgers: Make, empty_ledger: EmptyLedger
) -> None:
    server = LedgerServer(url=empty_ledger())
    staging = msgspec.structs.replace(ACME, ledger=server, app_id=7)
    production = msgspec.structs.replace(ACME, ledger=server)
    found = ledgers()
    for connection in (staging, production, staging):  # a wrong App ID can be corrected
        found.open(connection).close()
    with found.open(production) as ledger:
        start(ledger)
        ledger.write(lambda db: db.execute("UPDATE audience SET cohort_id = 'c-1'"))
    for use in (found.open, lambda item: found.peek(item, lambda db, _: None)):
        with pytest.raises(LedgerOfAnotherProject, match=r"App ID 153957, and .* for App ID 7"):
            use(staging)
    found.open(production).close()


def test_what_a_receiver_has_left_is_merged_when_the_ledger_is_opened(ledgers: Make) -> None:
    found = ledgers()
    with found.open(ACME) as ledger:
        change = Change(AudienceRef("spa", "aud", "shoppers"), "u1", None, True, 1, 1)
        source_id = asyncio.run(leave_received(ledger, change))
        ledger.write(fail, "INSERT", "audience")
    with found.open(ACME) as ledger:
        (notice,) = ledger.notices
        assert notice.startswith("Events of webhooks wait in the ledger, and were not merged.")
        ledger.write(fail_no_more, "audience")
        assert ledger.read(received_until) == {source_id: 1}
    with found.open(ACME) as ledger:
        assert ledger.notices == ()
        assert ledger.read(received_until) == {}
        assert ledger.read(counts_of_source, source_id).valid == 1


@postgresql_only
def test_a_ledger_on_a_standby_can_be_read(
    ledgers: Make, empty_ledger: EmptyLedger, server_ledgers: PostgresqlLedgers
) -> None:
    url, server = empty_ledger(), server_ledgers.server
    with ledgers(AMP_CONSOLE_LEDGER=url).open(ACME) as ledger:
        audience = ledger.write(discover, AudienceRef("spa", "aud", "shoppers"))
        asyncio.run(leave_received(ledger, Change(audience.ref, "u1", None, True, 1, 1)))
    server.execute("ALTER ROLE warehouse_owner SET default_transaction_read_only = on")
    try:
        with ledgers(AMP_CONSOLE_LEDGER=url).open(ACME) as ledger:
            assert [item.key for item in ledger.read(all_audiences)] == ["shoppers"]
            with pytest.raises(LedgerReadOnly, match="may be a standby"):
                ledger.write(discover, AudienceRef("spa", "other", "other"))
    finally:
        server.alone(
            "BEGIN READ WRITE; "
            "ALTER ROLE warehouse_owner RESET default_transaction_read_only; COMMIT"
        )
