from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Simulator
from tests.cli.operator import Operator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, simulator: Simulator) -> Operator:
    """An operator who has not connected anything yet."""
    return Operator(tmp_path, simulator)


@pytest.fixture
def operator(fresh: Operator) -> Operator:
    """An operator with one connection."""
    assert fresh.connect().status == 0
    return fresh
