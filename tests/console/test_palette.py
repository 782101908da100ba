"""The palette takes keys that were typed ahead of it."""

import pytest
from textual import events

from tests.console.furniture import FRESH, furnish
from tests.console.house import House, console, until_shown


@pytest.mark.parametrize("keys", [("pagedown",), ("down", "pageup"), ("z", "z", "pagedown")])
async def test_page_keys_that_are_typed_ahead_do_no_harm(
    house: House, keys: tuple[str, ...]
) -> None:
    furnish(house)
    async with house.open() as pilot:
        await until_shown(pilot, FRESH)
        for key in ("ctrl+p", *keys):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        await pilot.press("escape")
        await until_shown(pilot, FRESH)
        assert console(pilot)._exception is None
