"""What the console's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Simulator
from tests.console.harness import ConsoleHarness
from tests.console.headless import _quick_textual

__all__ = ["_quick_textual"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def harness(tmp_path: Path, simulator: Simulator) -> ConsoleHarness:
    return ConsoleHarness(tmp_path / "harness", simulator)
