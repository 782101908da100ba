"""Who did it, on screen: only if the ledger knows more than one operator."""

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from amp_console.connections import Connection
from amp_console.console.screens.connections.form import ConnectionForm
from amp_console.console.screens.connections.list import ConnectionsScreen
from amp_console.console.screens.log.view import LogScreen
from amp_console.console.widgets.grid import Grid
from amp_console.ledger.operators import this_user
from amp_console.sync.audience_settings import SettingsChange
from tests.console.harness import (
    ConsoleHarness,
    picture,
    services,
    until,
    until_gone,
    until_notified,
    until_on,
    until_shown,
)
from tests.console.keyrings import told

pytestmark = pytest.mark.anyio
BEN = "ben@desk"


def used_by(connection: Connection, operator: str) -> Connection:
    """The same connection, of another operator."""
    return msgspec.structs.replace(connection, operator=operator)


async def test_nothing_is_said_of_one_operator(harness: ConsoleHarness) -> None:
    with harness.workspace(harness.connect()) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
    async with harness.open(size=(140, 40)) as pilot:
        for key, shown in (("3", "1 run"), ("6", "Sync of “shoppers” ended")):
            await pilot.press(key)
            await until_shown(pilot, shown)
            assert this_user() not in picture(pilot)


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_each_of_several_is_named_in_runs_log_and_person(
    harness: ConsoleHarness, size: tuple[int, int]
) -> None:
    connection = harness.connect(operator="Ana")
    with harness.workspace(used_by(connection, BEN)) as workspace:
        workspace.enter("u-1")
        await workspace.sync()
    with harness.workspace(connection) as workspace:
        workspace.change(SettingsChange(cohort_name="VIPs"))
    async with harness.open(size=size) as pilot:
        await until(pilot, lambda: services(pilot).session)
        await pilot.press("3")
        await until_shown(pilot, BEN, "1 run")
        row = pilot.app.screen.query(Grid).first().row
        assert row is not None
        assert BEN in [cell.text for cell in row.cells]
        await pilot.press("w")
        await until_shown(pilot, f"Run by {BEN}.")
        await pilot.press("escape", "6")
        await until_on(pilot, LogScreen)
        await until_shown(pilot, "VIPs", "Sync of “shoppers” ended", "Ana, this console")
        await pilot.press("/", *"ben@", "enter")
        await until_gone(pilot, "VIPs")
        await until_shown(pilot, "Sync of “shoppers” ended", f"{BEN}, this console")


async def edit(pilot: Pilot[None]) -> None:
    await until(pilot, lambda: services(pilot).session)
    await pilot.press("5")
    await until_on(pilot, ConnectionsScreen)
    await pilot.press("e")
    await until_on(pilot, ConnectionForm)


async def test_a_name_is_chosen_in_the_form_and_used_at_once(harness: ConsoleHarness) -> None:
    connection = harness.connect()
    async with harness.open(size=(140, 45)) as pilot:
        await edit(pilot)
        form = pilot.app.screen
        assert isinstance(form, ConnectionForm)
        form.action_advanced()
        await until_shown(pilot, "Your name", this_user())
        form.query_one("#operator", Input).value = "a\tb"
        await pilot.press("f2")
        await until(pilot, lambda: "can't be shown" in told(pilot, "operator"))
        form.query_one("#operator", Input).value = "Ana Ng"
        harness.environment.connections.change(connection, read_only=True)  # by another process
        await pilot.press("f2")
        await until_notified(pilot, "Saved “Acme prod”")
        saved = harness.environment.connections.get(connection.name)
        assert (saved.operator, saved.read_only) == ("Ana Ng", True)
        session = services(pilot).session
        assert session is not None
        assert session.connection == saved
        named = await session.ledger.aread(
            lambda db: db.execute("SELECT this_operator()").fetchone()
        )
        assert named == ("Ana Ng",)


async def test_the_form_says_that_the_environment_names_the_operator(
    harness: ConsoleHarness,
) -> None:
    harness.environ["AMP_CONSOLE_OPERATOR"] = "worker 3"
    harness.connect(operator="Ana")
    async with harness.open(size=(140, 45)) as pilot:
        await edit(pilot)
        await until_shown(pilot, "AMP_CONSOLE_OPERATOR replaces it")
