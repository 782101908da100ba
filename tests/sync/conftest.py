import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.ledger import open_ledger
from amp_console.ledger.overview import problems
from amp_console.simulator import Known, Simulator, World
from tests.ledgers import EmptyLedger
from tests.sync.workspace import Clock, Workspace


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Knows every user except "ghost-…" and "9…"; Ana and Ben are in the organization."""
    world = World(
        unknown=lambda text: text.startswith(("ghost-", "9")),
        organization={"ana@acme.example", "ben@acme.example"},
    )
    with Simulator(world) as running:
        yield running


@pytest.fixture
def workspace(
    tmp_path: Path, simulator: Simulator, empty_ledger: EmptyLedger
) -> Iterator[Workspace]:
    with open_ledger(empty_ledger()) as ledger:
        yield Workspace(simulator, ledger, tmp_path)
        assert ledger.read(problems) == []


@pytest.fixture
def registered_only(tmp_path: Path, empty_ledger: EmptyLedger) -> Iterator[Workspace]:
    """A workspace whose Amplitude knows only users registered with it."""
    with (
        Simulator(World(Known.REGISTERED)) as simulator,
        open_ledger(empty_ledger(1)) as ledger,
    ):
        yield Workspace(simulator, ledger, tmp_path)


@pytest.fixture
def clock(workspace: Workspace) -> Clock:
    """The time of day that the workspace goes by."""
    clock = Clock()
    workspace.timing = dataclasses.replace(workspace.timing, now=clock)
    return clock
