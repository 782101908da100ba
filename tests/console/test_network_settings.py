"""A setting of the environment that makes connections impossible leaves the console alive."""

import msgspec
import pytest

from tests.console.furniture import furnish
from tests.console.house import House, console, until_said, until_shown

pytestmark = pytest.mark.anyio


async def test_it_is_told_and_the_console_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = furnish(house)
    behind_tls = msgspec.structs.replace(connection, base_url="https://127.0.0.1:1")
    house.premises.book.save(behind_tls)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    async with house.open() as pilot:
        await until_shown(pilot, "Audiences", "newsletter")
        await console(pilot).update_sizes()
        await until_said(pilot, "SSL_CERT_FILE is invalid: /nowhere/ca.pem can't be read")
        await pilot.press("5")
        await until_shown(pilot, "Event log", "SSL_CERT_FILE")
