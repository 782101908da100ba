"""An environment setting that makes connections impossible does not end the console."""

import dataclasses

import msgspec
import pytest

from amp_console.connections import SegmentSpace
from amp_console.console.environment import SegmentTokens
from amp_console.simulator.segment import PROFILES_TOKEN, TOKEN
from tests.console.harness import ConsoleHarness, services, until_notified, until_shown
from tests.console.sample_audiences import connect_with_audiences

pytestmark = pytest.mark.anyio


async def test_it_is_reported_and_the_console_continues(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect_with_audiences(harness)
    behind_tls = msgspec.structs.replace(connection, base_url="https://127.0.0.1:1")
    harness.environment.connections.save(behind_tls)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with harness.open() as pilot:
        await until_shown(pilot, "Audiences", "newsletter")
        await services(pilot).figures.update_sizes()
        await until_notified(pilot, "SSL_CERT_FILE is invalid: /nowhere/ca.pem can't be read")
        await pilot.press("6")
        await until_shown(pilot, "Messages", "SSL_CERT_FILE")


async def test_it_is_reported_where_segment_is_asked(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect_with_audiences(harness)
    space = SegmentSpace(id="spa_1", base_url="https://127.0.0.1:1")
    harness.environment.connections.put_space(connection, space)
    harness.environment = dataclasses.replace(
        harness.environment, segment_tokens=SegmentTokens(TOKEN, PROFILES_TOKEN)
    )
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with harness.open() as pilot:
        await until_shown(pilot, "Audiences", "newsletter")
        await services(pilot).segment.update()
        await until_notified(pilot, "SSL_CERT_FILE is invalid: /nowhere/ca.pem can't be read")
        await pilot.press("7", "G")
        await until_shown(pilot, "trouble", "SSL_CERT_FILE is invalid")


@pytest.mark.parametrize("base_url", ["nonsense", "http://[::1", "http://amplitude.example"])
async def test_a_base_url_that_was_edited_by_hand_is_reported_and_the_console_continues(
    harness: ConsoleHarness, base_url: str
) -> None:
    connection = connect_with_audiences(harness)
    store = harness.environment.connections
    store.save(msgspec.structs.replace(connection, base_url=base_url))
    store.put_space(connection, SegmentSpace(id="spa_1", base_url=base_url))
    harness.environment = dataclasses.replace(
        harness.environment, segment_tokens=SegmentTokens(TOKEN, PROFILES_TOKEN)
    )
    async with harness.open() as pilot:
        await until_shown(pilot, "Audiences", "newsletter")
        await services(pilot).figures.update_sizes()
        await until_notified(pilot, f"The settings of the connection “{connection.name}” can't")
        await services(pilot).segment.update()
        await until_notified(pilot, "The settings of the Segment space spa_1 can't be used.")
