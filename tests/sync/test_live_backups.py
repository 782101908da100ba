"""While a live session runs, its ledger is backed up once a day."""

import msgspec
import pytest

from amp_console.ledger.backups import DAY, Backups
from amp_console.sync.live.housekeeping import DailyBackups
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio

NOW = 1_777_900_000_000_000  # microseconds since 1970


@pytest.fixture
def engine() -> str:
    return "sqlite"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def kept(workspace: Workspace) -> Backups:
    backups = workspace.ledger.backups
    assert backups is not None
    return backups


async def checked(backups: DailyBackups) -> None:
    await backups.check()


async def test_one_is_made_a_day_once_there_is_something_in_the_ledger(
    workspace: Workspace,
) -> None:
    kept(workspace).options = msgspec.structs.replace(kept(workspace).options, spare=0)
    clock = Clock()
    backups = DailyBackups(workspace.ledger, clock)
    await checked(backups)
    assert kept(workspace).all() == []
    workspace.enter("u1")
    for clock.now in (NOW, NOW + DAY - 1, NOW + DAY):
        await checked(backups)
    assert [backup.at for backup in kept(workspace).all()] == [NOW + DAY, NOW]
    assert backups.trouble is None


async def test_why_none_was_made_is_shown_until_one_is(workspace: Workspace) -> None:
    workspace.enter("u1")
    enough = msgspec.structs.replace(kept(workspace).options, spare=0)
    kept(workspace).options = msgspec.structs.replace(enough, spare=1 << 60)
    backups = DailyBackups(workspace.ledger, lambda: NOW)
    await checked(backups)
    assert "was not backed up" in str(backups.trouble)
    kept(workspace).options = enough
    await checked(backups)
    assert backups.trouble is None


async def test_ending_stops_one_that_is_under_way(workspace: Workspace) -> None:
    workspace.enter("u1")
    kept(workspace).options = msgspec.structs.replace(kept(workspace).options, spare=0, pages=1)
    backups = DailyBackups(workspace.ledger, lambda: NOW)
    backups.check()
    await backups.end()
    assert kept(workspace).all() == []
