"""A setting of the environment that makes connections impossible leaves the console alive."""

import msgspec
import pytest

from tests.console.harness import ConsoleHarness, services, until_notified, until_shown
from tests.console.sample_audiences import connect_with_audiences

pytestmark = pytest.mark.anyio


async def test_it_is_told_and_the_console_goes_on(
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
