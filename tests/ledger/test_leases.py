"""Those who can't deliver an audience are told who does."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from amp_console.ledger import Ledger, LedgerError, open_ledger
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


@pytest.mark.parametrize("lock", ["lease", "hold_source", "hold_run"])
def test_a_lock_that_the_system_refuses_is_an_error_of_the_ledger(
    tmp_path: Path, lock: str
) -> None:
    """As on a full disk. A live session tries again then."""
    locks: dict[str, Callable[[Ledger], AbstractContextManager[object]]] = {
        "lease": lambda ledger: ledger.lease(1),
        "hold_source": lambda ledger: ledger.hold_source("s3://a/"),
        "hold_run": lambda ledger: ledger.hold_run(),
    }
    with open_ledger(tmp_path / "ledger.db") as ledger:
        folder = tmp_path / "ledger.leases"
        if folder.exists():
            shutil.rmtree(folder)
        folder.touch()  # no file can be made below it
        with pytest.raises(LedgerError, match="can't be locked"), locks[lock](ledger):
            pytest.fail("it is held")
