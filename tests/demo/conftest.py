"""The seeded demo, shared by every test that only reads it."""

from collections.abc import Iterator

import pytest

from amp_console.demo import SimulatedSession
from amp_console.ledger import open_ledger
from tests.console.headless import _quick_textual
from tests.demo.demo_workspace import DemoWorkspace, still_timing

__all__ = ["_quick_textual"]


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoWorkspace]:
    """Shared by the whole session: tests must not change it."""
    with SimulatedSession(has_traffic=False, timing=still_timing()) as session:
        session.open()
        session.wait()
        with open_ledger(session.environment.folders.ledger(session.connection.id)) as ledger:
            yield DemoWorkspace(session, ledger)
