from collections.abc import Iterator

import pytest

from amp_console.ledger import Ledger, open_ledger
from tests.ledgers import EmptyLedger


@pytest.fixture
def ledger(empty_ledger: EmptyLedger) -> Iterator[Ledger]:
    with open_ledger(empty_ledger()) as opened:
        yield opened
