"""Addresses of ledgers on PostgreSQL: libpq's sources apply; no password is sent in the clear."""

from pathlib import Path

import pytest

from amp_console.ledger.errors import LedgerError, PlaintextRefused
from amp_console.ledger.postgres.address import read_address
from amp_console.values import Secret

pytest.importorskip("psycopg")


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSSLMODE", "PGSERVICE", "PGSERVICEFILE", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana@db.acme.example/amp",
        "postgresql://ana@db.acme.example/amp?sslmode=prefer",
        "postgresql://ana@db.acme.example/amp?sslmode=disable",
        "postgresql://ana@localhost,db.acme.example/amp?sslmode=allow",
        "postgresql://ana@localhost/amp?hostaddr=192.0.2.7",
        "postgresql:///amp?host=192.0.2.7",
        "postgresql://ana@db.acme.example/amp?plaintext=no",
    ],
)
def test_another_host_is_refused_without_encryption(url: str) -> None:
    with pytest.raises(PlaintextRefused, match="sslmode=verify-full"):
        read_address(url)
    allowed = url.removesuffix("?plaintext=no")
    assert read_address(f"{allowed}{'&' if '?' in allowed else '?'}plaintext=allow").is_remote


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana@db.acme.example/amp?sslmode=require",
        "postgresql://ana@db.acme.example/amp?sslmode=verify-full",
        "postgresql://ana@localhost/amp",
        "postgresql://ana@127.0.0.2:6432/amp",
        "postgresql://ana@[::1]/amp",
        "postgresql:///amp",
        "postgresql:///amp?host=/run/postgresql",
    ],
)
def test_this_machine_and_an_encrypted_connection_are_accepted(url: str) -> None:
    assert "amp" in read_address(url).place


def test_a_service_and_the_environment_say_where_the_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    services.write_text(
        "[team]\nhost=db.acme.example\ndbname=amp\nsslmode=verify-full\n"
        "[open]\nhost=db.acme.example\ndbname=amp\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    address = read_address("postgresql:///?service=team")
    assert (address.place, address.sslmode) == ("amp on db.acme.example", "verify-full")
    with pytest.raises(PlaintextRefused):
        read_address("postgresql:///?service=open")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert read_address("postgresql:///?service=open").sslmode == "require"
    monkeypatch.setenv("PGSERVICE", "team")
    assert read_address("postgresql://").place == "amp on db.acme.example"


def test_a_password_that_is_given_apart_is_in_no_text_of_the_address() -> None:
    address = read_address("postgresql://ana@localhost/amp", Secret("swordfish"))
    assert address.password == Secret("swordfish")
    assert "swordfish" not in repr(address)


def test_options_of_our_own_are_not_libpqs() -> None:
    address = read_address("postgresql://ana@localhost/amp?schema=eu&plaintext=allow")
    assert address.schema == "eu"
    assert {"schema", "plaintext"}.isdisjoint(address.parameters)
    assert address.url == "postgresql://ana@localhost/amp?schema=eu&plaintext=allow"


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "a minute", "", "3601", "²"])
def test_a_time_to_wait_for_an_answer_is_a_number_of_seconds(text: str) -> None:
    url = "postgresql://ana@localhost/amp?answer_timeout="
    with pytest.raises(LedgerError, match=r"answer_timeout .* from 1 to 3600"):
        read_address(f"{url}{text}")
    assert read_address(f"{url}90").answer_timeout == 90
    assert "answer_timeout" not in read_address(f"{url}90").parameters


def test_an_option_of_the_session_keeps_its_spaces() -> None:
    address = read_address("postgresql://ana@localhost/amp?options=-c%20work_mem%3D96MB")
    assert address.parameters["options"] == "-c work_mem=96MB"
    assert read_address(address.url).parameters == address.parameters
