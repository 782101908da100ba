from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.ledger import Ledger
from amp_console.simulator import Known, Simulator, World
from tests.sync.office import Office


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Knows everybody but "ghost-…" and "9…"; Ana and Ben are in the organisation."""
    world = World(
        unknown=lambda text: text.startswith(("ghost-", "9")),
        organisation={"ana@acme.example", "ben@acme.example"},
    )
    with Simulator(world) as running:
        yield running


@pytest.fixture
def office(tmp_path: Path, simulator: Simulator) -> Iterator[Office]:
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield Office(simulator, ledger, tmp_path)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Office]:
    """An office whose Amplitude knows only users that were added to it."""
    with (
        Simulator(World(Known.REGISTERED)) as simulator,
        Ledger(tmp_path / "strict.db") as ledger,
    ):
        yield Office(simulator, ledger, tmp_path)
