"""The palette takes keys that were typed ahead."""

import pytest
from textual import events

from tests.console.harness import ConsoleHarness, console, until_shown
from tests.console.sample_audiences import FRESH, connect_with_audiences


@pytest.mark.parametrize("keys", [("pagedown",), ("down", "pageup"), ("z", "z", "pagedown")])
async def test_page_keys_that_are_typed_ahead_do_no_harm(
    harness: ConsoleHarness, keys: tuple[str, ...]
) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, FRESH)
        for key in ("ctrl+p", *keys):
            pilot.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await pilot.pause()
        await pilot.press("escape")
        await until_shown(pilot, FRESH)
        assert console(pilot)._exception is None
