"""What the console's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Simulator
from tests.console.house import House


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def house(tmp_path: Path, simulator: Simulator) -> House:
    return House(tmp_path / "house", simulator)
