"""The scene of the demo, set once for all who only look at it."""

from collections.abc import Iterator

import pytest

from amp_console.demo import SimulatedSession
from amp_console.ledger import Ledger
from tests.demo.theatre import Theatre, still_timing


@pytest.fixture(scope="session")
def theatre() -> Iterator[Theatre]:
    """Nobody may change anything here."""
    with SimulatedSession(lively=False, timing=still_timing()) as stage:
        stage.open()
        stage.wait()
        with Ledger(stage.premises.folders.ledger(stage.connection.id)) as ledger:
            yield Theatre(stage, ledger)
