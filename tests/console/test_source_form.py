"""The form for a warehouse: tested before it is saved, with its password only in the keyring."""

import sqlite3
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import NamedSource
from amp_console.console import LaunchOptions
from amp_console.console.screens.sources.form import SourceForm
from amp_console.console.screens.sources.list import SourcesScreen
from amp_console.values import Secret
from tests.console.harness import (
    ConsoleHarness,
    console,
    enter,
    picture,
    services,
    until_notified,
    until_on,
    until_said,
    until_shown,
)
from tests.console.keyrings import backends, paste, told, use_keyring
from tests.console.test_sources import SIZES, choose, go, vip, warehouse
from tests.postgresql import PASSWORD, PostgresqlServer
from tests.sync.warehouses import Warehouse, sqlite_warehouse

pytestmark = pytest.mark.anyio
__all__ = ["vip", "warehouse"]
SQLITE = f"SQLite {sqlite3.sqlite_version}"


def sources(harness: ConsoleHarness) -> tuple[NamedSource, ...]:
    """The warehouses in the settings."""
    return harness.environment.connections.pick(None).sources


async def begin(pilot: Pilot[None], **values: str) -> None:
    """Open the form for a new warehouse from Sources, and fill it in."""
    await go(pilot)
    await pilot.press("A")
    await until_on(pilot, SourceForm)
    enter(pilot, **values)


@pytest.mark.parametrize("size", SIZES)
async def test_a_warehouse_is_tested_and_added(
    harness: ConsoleHarness, tmp_path: Path, size: tuple[int, int]
) -> None:
    harness.connect()
    warehouse = sqlite_warehouse(tmp_path)
    async with harness.open(size=size) as pilot:
        await go(pilot, "No source yet.", "press A and add its warehouse")
        await begin(pilot, name="lake", url=warehouse.url)
        await until_shown(pilot, "Add a warehouse", "sqlite:PATH", "F2 Save", "Test")
        await pilot.press("ctrl+t")
        await until_shown(pilot, f"It can be read: {SQLITE}. F2 saves it.")
        assert sources(harness) == ()
        await pilot.press("f2")
        await until_on(pilot, SourcesScreen)
        await until_notified(pilot, f"Saved the source “lake”: {SQLITE}.")
        await until_shown(pilot, "lake", "SQLite", "not read yet")
        assert sources(harness) == (NamedSource(name="lake", url=warehouse.url),)
        await pilot.press("7", "n")
        await until_shown(pilot, "New audience by query", "● lake")


async def test_what_cannot_be_opened_is_not_saved(
    harness: ConsoleHarness, warehouse: Warehouse, tmp_path: Path
) -> None:
    async with harness.open() as pilot:
        await begin(pilot, name="shed", url=f"sqlite://{tmp_path}/missing")
        await pilot.press("f2")
        await until_said(pilot, "Nothing was saved. Check the path")
        assert [item.name for item in sources(harness)] == ["lake"]
        await pilot.press("escape")
        await until_shown(pilot, "Discard changes?")


async def test_mistakes_are_reported_at_their_fields(
    harness: ConsoleHarness, warehouse: Warehouse
) -> None:
    async with harness.open() as pilot:
        await begin(pilot, name="my lake", url="mysql://ana@h/x")
        await pilot.press("f2")
        await until_shown(pilot, "Not saved. Fix the marked fields.")
        assert told(pilot, "name").startswith("The name of a source may only contain letters")
        assert "has no scheme that amp-console knows. Nothing was saved." in told(pilot, "url")
        enter(pilot, name="lake", url=warehouse.url)
        await until_shown(pilot, "Another source is called “lake”.")
        assert told(pilot, "url") == ""
        await paste(pilot, "password", "one\ntwo\nthree")
        await until_shown(pilot, "3 lines were pasted. A password is one line.")
        assert len(sources(harness)) == 1


async def test_a_password_is_kept_in_the_keyring_alone(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    harness.connect()
    use_keyring(harness, backends.Memory)
    before = set(backends.Memory.items)
    async with harness.open() as pilot:
        await begin(pilot, name="db", url=server.url().replace("@", f":{PASSWORD}@"))
        await pilot.press("ctrl+t")
        await until_shown(pilot, "It can be read: PostgreSQL")
        assert pilot.app.screen.query_one("#url", Input).value == server.url()
        assert PASSWORD not in picture(pilot)
        await pilot.press("f2")
        await until_notified(pilot, "Its password is in your keyring (backends Memory)")
        (source,) = sources(harness)
        assert source.url == server.url()
        (item,) = set(backends.Memory.items) - before
        assert PASSWORD in backends.Memory.items[item]
        said = [entry.text for entry in services(pilot).notifications.entries]
        assert not any(PASSWORD in text for text in (*said, console(pilot).clipboard))
    files = [path.read_bytes() for path in harness.home.rglob("*") if path.is_file()]
    assert files
    assert not any(PASSWORD.encode() in content for content in files)


async def test_editing_keeps_the_password_that_is_not_entered(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    harness.connect()
    use_keyring(harness, backends.Memory)
    async with harness.open() as pilot:
        await begin(pilot, name="db", url=server.url(), password="canary-pw")
        await pilot.press("f2")
        await until_shown(pilot, "password authentication failed", "Nothing was saved.")
        enter(pilot, password=PASSWORD)
        await pilot.press("f2")
        await until_on(pilot, SourcesScreen)
        await until_shown(pilot, "PostgreSQL")
        await choose(pilot, "db")
        (before,) = sources(harness)
        await pilot.press("e")
        await until_on(pilot, SourceForm)
        await until_shown(pilot, "leave empty to keep the stored one")
        assert not pilot.app.screen.query("#name")
        enter(pilot, url=f"{server.url()}?application_name=console")
        await pilot.press("f2")
        await until_on(pilot, SourcesScreen)
        (after,) = sources(harness)
        assert after.url == f"{server.url()}?application_name=console"
        assert after.password_item == before.password_item is not None


async def test_a_password_stays_with_the_server_that_it_was_stored_for(
    harness: ConsoleHarness, tmp_path: Path
) -> None:
    use_keyring(harness, backends.Memory)
    item = harness.environment.keyring.write_password(Secret("canary-pw"))
    server = NamedSource(name="db", url="postgresql://ana@127.0.0.1:1/x", password_item=item)
    harness.connect(sources=(server,))
    async with harness.open() as pilot:
        await go(pilot)
        await choose(pilot, "db")
        await pilot.press("e")
        await until_on(pilot, SourceForm)
        enter(pilot, url=sqlite_warehouse(tmp_path).url)
        await pilot.press("f2")
        await until_on(pilot, SourcesScreen)
    (after,) = sources(harness)
    assert (after.url[:7], after.password_item) == ("sqlite:", None)


async def test_a_file_takes_no_password(harness: ConsoleHarness, tmp_path: Path) -> None:
    harness.connect()
    async with harness.open() as pilot:
        await begin(pilot, name="lake", url=sqlite_warehouse(tmp_path).url, password="canary-pw")
        await pilot.press("f2")
        await until_shown(pilot, "A file needs no password. Nothing was saved. Leave it out.")
    assert sources(harness) == ()


async def test_a_password_that_the_keyring_keeps_is_reported_on_removal(
    harness: ConsoleHarness, server: PostgresqlServer
) -> None:
    harness.connect()
    use_keyring(harness, backends.Stubborn)
    async with harness.open() as pilot:
        await begin(pilot, name="db", url=server.url(), password=PASSWORD)
        await pilot.press("f2")
        await until_on(pilot, SourcesScreen)
        await until_shown(pilot, "db", "PostgreSQL")
        await pilot.press("D")
        await until_shown(pilot, "Remove the source “db”?")
        await pilot.press("y")
        await until_notified(pilot, "Its password is still in your keyring")


async def test_read_only_tests_and_saves_nothing(harness: ConsoleHarness, vip: Warehouse) -> None:
    assert vip.url
    async with harness.open(LaunchOptions(read_only=True)) as pilot:
        await go(pilot, "lake")
        await choose(pilot, "lake")
        await pilot.press("A")
        await until_notified(pilot, "--read-only")
        await pilot.press("e")
        await until_on(pilot, SourceForm)
        await pilot.press("ctrl+t")
        await until_shown(pilot, f"It can be read: {SQLITE}.")
