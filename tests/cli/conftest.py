from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Behavior, Simulator
from tests.cli.operator import Operator
from tests.connections import backends
from tests.sync.workspace import lines


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its exports are ready at once: a command waits a second before it asks again."""
    with Simulator(behavior=Behavior(job_polls=0)) as running:
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Events of three users who enter; Amplitude does not know the last one."""
    path = tmp_path / "events.ndjson"
    path.write_text(lines("u1", "u2", "ghost-1"))
    return path


@pytest.fixture(autouse=True)
def _fresh_rings() -> Iterator[None]:
    backends.Memory.clear()
    yield
    backends.Memory.clear()
