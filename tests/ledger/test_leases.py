"""Those who can't deliver an audience are told who does."""

import pytest

from amp_console.ledger import Ledger
from amp_console.ledger.leases import busy_because, note_holder

pytestmark = pytest.mark.both_engines


def test_this_process_is_not_called_another_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.write(note_holder, 1, 0)
    assert ledger.read(busy_because, 1).startswith(
        "A run of this console is delivering this audience."
    )
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert ledger.read(busy_because, 1).startswith("Another amp-console (process ")
