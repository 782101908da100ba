"""Changes to a connection, its keys and its secret are in the log of its ledger."""

from pathlib import Path

import msgspec
import pytest

from amp_console.connections import Connection, Folders, Keyring, LedgerServer
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.sync.connection_log import (
    log_connection_deleted,
    log_connection_saved,
    log_webhook_secret,
)
from amp_console.sync.ledgers import Ledgers

ACME = Connection(name="Acme", app_id=153957, owner_email="ana@acme.example")


CHANGED = (
    "Connection “Acme EU” changed: name Acme EU; App ID 7; cohort owner noor@acme.example; "
    "User ID from $.id."
)


@pytest.fixture
def ledgers(tmp_path: Path) -> Ledgers:
    environ = {"AMP_CONSOLE_HOME": str(tmp_path)}
    folders = Folders.locate(environ)
    folders.prepare()
    return Ledgers(folders, environ, Keyring(environ))


def kept(ledgers: Ledgers) -> list[tuple[str, str]]:
    with ledgers.open(ACME) as ledger:
        return [(str(entry.kind), entry.text) for entry in ledger.read(log_page, LogFilter())][::-1]


def test_every_change_is_named(ledgers: Ledgers) -> None:
    ledgers.open(ACME).close()
    log_connection_saved(ledgers, None, ACME, has_new_keys=True, now=lambda: 1)
    changed = msgspec.structs.replace(
        ACME, name="Acme EU", app_id=7, owner_email="noor@acme.example", user_id_path="$.id"
    )
    log_connection_saved(ledgers, ACME, changed, has_new_keys=True, now=lambda: 2)
    log_webhook_secret(ledgers, changed, now=lambda: 3)
    log_connection_deleted(ledgers, changed, now=lambda: 4)
    assert kept(ledgers) == [
        ("settings", "Connection “Acme” created."),
        ("keys", "Keys of “Acme” saved."),
        ("settings", CHANGED),
        ("keys", "Keys of “Acme EU” replaced."),
        ("keys", "Webhook secret of “Acme EU” saved."),
        ("settings", "Connection “Acme EU” deleted. Its ledger is kept."),
    ]


def test_keys_that_are_used_for_one_session_only_are_not_said_to_be_saved(ledgers: Ledgers) -> None:
    ledgers.open(ACME).close()
    log_connection_saved(ledgers, ACME, ACME, has_new_keys=True, are_keys_stored=False)
    assert kept(ledgers) == [
        ("keys", "Keys of “Acme” entered for one session. They are not saved.")
    ]


def test_without_a_ledger_none_is_created(ledgers: Ledgers) -> None:
    log_connection_saved(ledgers, None, ACME, has_new_keys=True)
    assert not ledgers.exists(ACME)


def test_a_change_that_is_none_is_not_logged(ledgers: Ledgers) -> None:
    ledgers.open(ACME).close()
    log_connection_saved(ledgers, ACME, ACME)
    assert kept(ledgers) == []


def test_where_the_ledger_is_is_logged_in_the_new_one(ledgers: Ledgers) -> None:
    ledgers.open(ACME).close()
    server = LedgerServer(url="postgresql://console@db.acme.example/amp")
    before = msgspec.structs.replace(ACME, ledger=server)
    log_connection_saved(ledgers, before, ACME)
    assert kept(ledgers) == [("settings", "Connection “Acme” changed: ledger file.")]
