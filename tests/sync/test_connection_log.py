"""Changes of a connection, its keys and its secret are in the log of its ledger."""

from pathlib import Path

import msgspec

from amp_console.connections import Connection
from amp_console.ledger import open_ledger
from amp_console.ledger.event_log import LogFilter, log_page
from amp_console.sync.connection_log import (
    log_connection_deleted,
    log_connection_saved,
    log_webhook_secret,
)

ACME = Connection(name="Acme", app_id=153957, owner_email="ana@acme.example")


CHANGED = (
    "Connection “Acme EU” changed: name Acme EU; App ID 7; cohort owner noor@acme.example; "
    "User ID from $.id."
)


def kept(path: Path) -> list[tuple[str, str]]:
    with open_ledger(path) as ledger:
        return [(str(entry.kind), entry.text) for entry in ledger.read(log_page, LogFilter())][::-1]


def test_every_change_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    log_connection_saved(path, None, ACME, has_new_keys=True, now=lambda: 1)
    changed = msgspec.structs.replace(
        ACME, name="Acme EU", app_id=7, owner_email="noor@acme.example", user_id_path="$.id"
    )
    log_connection_saved(path, ACME, changed, has_new_keys=True, now=lambda: 2)
    log_webhook_secret(path, changed, now=lambda: 3)
    log_connection_deleted(path, changed, now=lambda: 4)
    assert kept(path) == [
        ("settings", "Connection “Acme” created."),
        ("keys", "Keys of “Acme” saved."),
        ("settings", CHANGED),
        ("keys", "Keys of “Acme EU” replaced."),
        ("keys", "Webhook secret of “Acme EU” saved."),
        ("settings", "Connection “Acme EU” deleted. Its ledger is kept."),
    ]


def test_keys_that_are_used_for_one_session_only_are_not_said_to_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    log_connection_saved(path, ACME, ACME, has_new_keys=True, are_keys_stored=False)
    assert kept(path) == [("keys", "Keys of “Acme” entered for one session. They are not saved.")]


def test_without_a_ledger_none_is_created(tmp_path: Path) -> None:
    log_connection_saved(tmp_path / "ledger.db", None, ACME, has_new_keys=True)
    assert not (tmp_path / "ledger.db").exists()


def test_a_change_that_is_none_is_not_logged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(path).close()
    log_connection_saved(path, ACME, ACME)
    assert kept(path) == []
