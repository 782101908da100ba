"""The console on a ledger on PostgreSQL: choosing it, using it, and an unreachable server."""

import asyncio
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import LedgerServer
from amp_console.console import LaunchOptions
from amp_console.console.screens.audiences.list import AudiencesScreen
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.screens.connections.list import ConnectionsScreen
from amp_console.console.screens.errors.list import ErrorsScreen
from amp_console.console.session import Session
from amp_console.ledger.errors import LedgerBusy, LedgerUnreachable
from tests.cli.canary import CANARY, files_below, is_in
from tests.console.gate import start_sync
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.keyrings import backends, paste, told, use_keyring
from tests.postgresql import ADMINISTRATOR, PASSWORD, PostgresqlServer, own_database
from tests.sync.relays import SOON, LossyRelay

pytestmark = pytest.mark.anyio
SCREENS = {"2": "ghost-1", "3": "Runs", "4": "Live", "5": "Connections", "6": "Log", "7": "Sources"}
DATABASE, USER = "team", "console_user"
CUT = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"


@pytest.fixture(scope="module")
def running(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    with own_database(postgresql) as server:
        server.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{CANARY}'")
        yield server


@pytest.fixture
def server(
    running: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgresqlServer]:
    """A server with an empty database for the ledger, which a role other than its owner may use."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    alone(running, f"CREATE DATABASE {DATABASE}", f"GRANT CREATE ON DATABASE {DATABASE} TO {USER}")
    yield running
    alone(running, f"DROP DATABASE {DATABASE} WITH (FORCE)")


def alone(server: PostgresqlServer, *statements: str) -> None:
    """Run statements outside of a transaction."""
    with psycopg.connect(server.url(), password=PASSWORD, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def take_away(server: PostgresqlServer) -> None:
    """Make the ledger unreachable, as if its server were down."""
    alone(
        server,
        f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false",
        CUT,
    )


def bring_back(server: PostgresqlServer) -> None:
    alone(server, f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")


def url_of(server: PostgresqlServer, user: str = ADMINISTRATOR) -> str:
    return server.url(user, DATABASE)


async def edit(pilot: Pilot[None]) -> None:
    await pilot.press("5")
    await until_on(pilot, ConnectionsScreen)
    await pilot.press("e")
    await until_on(pilot, ConnectionForm)


async def enter(pilot: Pilot[None], ledger: str) -> None:
    pilot.app.screen.query_one("#ledger", Input).value = ""
    await paste(pilot, "ledger", ledger)
    await pilot.press("f2")


async def test_a_ledger_is_chosen_in_the_form_and_its_password_is_hidden(
    harness: ConsoleHarness, server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    use_keyring(harness, backends.Memory)
    connection = harness.connect()
    url = url_of(server, USER)
    async with harness.open(size=(140, 40)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await edit(pilot)
        assert pilot.app.screen.query_one("#ledger", Input).value == "file"
        await enter(pilot, url.replace("@", f":{urllib.parse.quote(CANARY, safe='')}@"))
        await until_notified(pilot, f"The ledger is {url}, with 0 audiences.")
        await until_on(pilot, ConnectionsScreen)
        await until_shown(pilot, "postgresql://")
        assert CANARY not in picture(pilot)
        session = services(pilot).session
        assert session is not None
        assert session.ledger.url == url
        saved = harness.environment.connections.get(connection.name).ledger
        assert saved is not None
        assert (saved.url, saved.password_item is not None) == (url, True)
        assert any(CANARY in item for item in backends.Memory.items.values())
        assert not any(is_in(e.text.encode()) for e in services(pilot).notifications.entries)
        await edit(pilot)
        await enter(pilot, "file")
        await until_notified(pilot, f"{connection.id}.db, with 0 audiences.")
        assert services(pilot).session is not session
    assert not any(CANARY in item for item in backends.Memory.items.values())
    assert not any(map(is_in, files_below(harness.home)))


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("mysql://127.0.0.1/amp", "postgresql://USER@HOST"),
        ("postgresql://ana@db.acme.example/amp", "sslmode=verify-full"),
        ("postgresql://127.0.0.1:1/amp", "can't be opened"),
    ],
)
async def test_what_can_t_be_opened_is_reported_at_its_field_and_not_saved(
    harness: ConsoleHarness, ledger: str, words: str
) -> None:
    connection = harness.connect()
    async with harness.open(size=(140, 40)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await edit(pilot)
        await enter(pilot, ledger)
        await until(pilot, lambda: words in told(pilot, "ledger"))
        assert harness.environment.connections.get(connection.name) == connection


async def test_the_form_says_that_the_environment_replaces_the_ledger(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    harness.environ["AMP_CONSOLE_LEDGER"] = url_of(server)
    harness.connect()
    async with harness.open(size=(140, 40)) as pilot:
        await until(pilot, lambda: services(pilot).session)
        session = services(pilot).session
        assert session is not None
        assert session.ledger.url == url_of(server)
        await edit(pilot)
        await until_shown(pilot, "AMP_CONSOLE_LEDGER replaces it")


async def test_a_sync_on_a_server_is_the_same_as_on_a_file(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    connection = harness.connect(ledger=LedgerServer(url=url_of(server)))
    with harness.workspace(connection) as workspace:
        workspace.enter("ghost-1", *(f"u-{n}" for n in range(20)))
    async with harness.open() as pilot:
        await start_sync(pilot, "Delivered, except 1 rejected user.", "20 added in")
        await pilot.press("x")
        await until_shown(pilot, "ghost-1")
        await pilot.press("5")
        await until_shown(pilot, "postgresql://")


async def test_invalid_events_of_a_ledger_on_a_server_are_exported(
    harness: ConsoleHarness, server: PostgresqlServer, tmp_path: Path
) -> None:
    connection = harness.connect(ledger=LedgerServer(url=url_of(server)))
    broken, file = tmp_path / "broken.ndjson", tmp_path / "invalid.csv"
    broken.write_text("not json\n[/foo]\n")
    with harness.workspace(connection) as workspace:
        workspace.read_file(broken)
    async with harness.open() as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("2", "v")
        await until_shown(pilot, "2 events")
        await pilot.press("E")
        await until(pilot, lambda: pilot.app.screen.query("#answer"))
        pilot.app.screen.query_one("#answer", Input).value = str(file)
        await pilot.press("enter")
        await until_notified(pilot, "Wrote 2 rows")


async def test_a_server_that_is_away_leaves_the_other_connections_and_is_tried_again(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    harness.connect("Acme team", ledger=LedgerServer(url=url_of(server)))
    with harness.workspace(harness.connect("Acme prod")) as workspace:
        workspace.enter("u-1")
    take_away(server)
    async with harness.open(size=(140, 40)) as pilot:
        await until_on(pilot, ConnectionsScreen)
        await pilot.press("enter")
        await until_notified(pilot, "can't be opened")
        await pilot.press("j", "enter")
        await until(pilot, lambda: services(pilot).session)
        await until_shown(pilot, "shoppers")
        bring_back(server)
        await pilot.press("5")
        await until_on(pilot, ConnectionsScreen)
        await pilot.press("g", "enter")
        await until(pilot, lambda: services(pilot).name == "Acme team")


async def test_a_server_that_comes_back_is_used_again_without_a_key(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    connection = harness.connect(ledger=LedgerServer(url=url_of(server)))
    with harness.workspace(connection) as workspace:
        workspace.enter("u-1")
    async with harness.open() as pilot:
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, "shoppers")
        take_away(server)
        await pilot.press("2")
        await until_shown(pilot, "The ledger team on 127.0.0.1")
        bring_back(server)
        await until_shown(pilot, "No one is rejected.")


async def test_a_network_that_loses_packets_holds_up_no_key_and_is_noticed(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    with LossyRelay(server.port) as relay:
        there = url_of(server).replace(f":{server.port}/", f":{relay.port}/")
        connection = harness.connect(ledger=LedgerServer(url=f"{there}?{SOON}"))
        with harness.workspace(connection) as workspace:
            workspace.enter("u-1")
        async with harness.open() as pilot:
            await until_on(pilot, AudiencesScreen)
            await until_shown(pilot, "shoppers")
            relay.lose()
            await pilot.press("2")
            await until_on(pilot, ErrorsScreen)
            await pilot.press("5")
            await until_on(pilot, ConnectionsScreen)
            await pilot.press("2")
            await until_shown(pilot, "ledger team on 127.0.0.1")
            relay.recover()
            await until_shown(pilot, "No one is rejected.")


async def test_a_role_that_only_reads_sees_every_screen(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    """It may not even make temporary tables."""
    owner = harness.connect(ledger=LedgerServer(url=url_of(server)))
    with harness.workspace(owner) as workspace:
        workspace.enter("u-1", "ghost-1")
        await workspace.sync()
    with psycopg.connect(url_of(server), password=PASSWORD, autocommit=True) as administrator:
        administrator.execute(f"REVOKE TEMPORARY ON DATABASE {DATABASE} FROM PUBLIC".encode())
        administrator.execute(f"GRANT USAGE ON SCHEMA amp_console TO {USER}".encode())
        administrator.execute(
            f"GRANT SELECT ON ALL TABLES IN SCHEMA amp_console TO {USER}".encode()
        )
    reader = url_of(server, USER).replace("@", f":{urllib.parse.quote(CANARY, safe='')}@")
    harness.environ["AMP_CONSOLE_LEDGER"] = reader
    async with harness.open(LaunchOptions(read_only=True), size=(140, 40)) as pilot:
        await until_on(pilot, AudiencesScreen)
        await until_shown(pilot, "shoppers")
        for key, shown in SCREENS.items():
            await pilot.press(key)
            await until_shown(pilot, shown)
            assert "permission denied" not in picture(pilot)
        said = [entry.text for entry in services(pilot).notifications.entries]
        assert not [text for text in said if "permission denied" in text]


async def ask_for_ever(session: Session) -> None:
    """Check for changes until that fails: another thread notices that the server has hung up."""
    while True:
        await session.has_news()
        await asyncio.sleep(0)


async def test_after_a_lost_connection_all_that_is_shown_is_read_again(
    harness: ConsoleHarness, server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = harness.connect(ledger=LedgerServer(url=url_of(server)))
    session = Session(harness.environment, connection, read_only=False)
    while await session.has_news():
        pass
    alone(server, CUT)
    monkeypatch.setenv("PGPASSWORD", "so that it can't be made anew")
    with pytest.raises(LedgerUnreachable):
        await ask_for_ever(session)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert await session.has_news(), "a screen would go on saying that the server is away"
    await session.close()


async def test_a_session_that_has_no_room_for_both_of_its_ledgers_keeps_neither(
    harness: ConsoleHarness, server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = harness.connect(ledger=LedgerServer(url=url_of(server, USER)))
    alone(server, f"ALTER ROLE {USER} CONNECTION LIMIT 1")
    monkeypatch.setenv("PGPASSWORD", CANARY)
    try:
        with pytest.raises(LedgerBusy) as refused:
            Session(harness.environment, connection, read_only=False)
        assert "no connection left" in str(refused.value)
        with harness.environment.ledgers.open(connection):
            pass  # the only one is free again
    finally:
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
        alone(server, f"ALTER ROLE {USER} CONNECTION LIMIT -1")
