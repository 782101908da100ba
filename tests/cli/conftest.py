from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Behaviour, Simulator
from tests.cli.operator import Operator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its exports are ready at once: a command waits a second before it asks again."""
    with Simulator(behaviour=Behaviour(job_polls=0)) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, simulator: Simulator) -> Iterator[Operator]:
    """An operator who has not connected anything yet; processes that still run are killed."""
    operator = Operator(tmp_path, simulator)
    yield operator
    operator.end()


@pytest.fixture
def operator(fresh: Operator) -> Operator:
    """An operator with one connection."""
    assert fresh.connect().status == 0
    return fresh
