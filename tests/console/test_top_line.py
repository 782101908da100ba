"""The top line: what is known late moves nothing, and what does not fit is left out completely."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from amp_console.console.frame import TopBar
from amp_console.console.jobs.base import LedgerChanged
from amp_console.console.screens.base import BaseScreen
from amp_console.sync.reconcile.quota import Quota
from tests.console.harness import picture, until_shown
from tests.console.host import ScreenHost, hosted

pytestmark = pytest.mark.anyio
NAME, REGION, APP, KEYS = "Acme prod", "North America", "app 123456", "keys: none stored"


def top_line(pilot: Pilot[None]) -> str:
    return picture(pilot).splitlines()[0]


async def ask_quota(host: ScreenHost, pilot: Pilot[None]) -> None:
    """Learn how many downloads are used, as comparing does."""
    host.services.figures.quota = Quota(0, 500, None)
    host.screen.query_one(TopBar).refresh()
    await pilot.pause()


async def test_downloads_that_become_known_move_nothing(tmp_path: Path) -> None:
    async with hosted(tmp_path, BaseScreen) as (host, pilot):
        await until_shown(pilot, NAME, KEYS)
        before = top_line(pilot)
        await ask_quota(host, pilot)
        shown = top_line(pilot)
        assert "downloads 0/500" in shown
        assert {text: shown.index(text) for text in (NAME, REGION, APP, KEYS)} == {
            text: before.index(text) for text in (NAME, REGION, APP, KEYS)
        }


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(80, ["downloads"]), (70, ["downloads", "app"]), (50, ["downloads", "app", "keys"])],
)
async def test_a_narrow_line_leaves_out_whole_parts_and_cuts_none(
    tmp_path: Path, width: int, left_out: list[str]
) -> None:
    async with hosted(tmp_path, BaseScreen, (width, 24)) as (host, pilot):
        await until_shown(pilot, NAME)
        await ask_quota(host, pilot)
        shown = top_line(pilot)
        assert NAME in shown
        assert REGION in shown
        parts = {"downloads": "downloads 0/500", "app": APP, "keys": KEYS}
        for name, part in parts.items():
            assert (part in shown) == (name not in left_out)
        assert "…" not in shown


async def test_it_is_painted_only_where_it_changes(tmp_path: Path) -> None:
    async with hosted(tmp_path, BaseScreen) as (host, pilot):
        await until_shown(pilot, NAME, KEYS)
        bar, painted = host.screen.query_one(TopBar), list[bool]()

        def refresh() -> None:
            painted.append(True)

        bar.refresh = refresh  # type: ignore[assignment, method-assign]
        host.services.changes.publish(LedgerChanged())
        await pilot.pause()
        assert not painted
        host.services.figures.quota = Quota(0, 500, None)
        host.services.changes.publish(LedgerChanged())
        await pilot.pause()
        assert painted
