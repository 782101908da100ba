from collections.abc import Callable, Iterator

import pytest

from amp_console.ledger import Ledger, open_ledger


@pytest.fixture
def ledger(empty_ledger: Callable[[], str]) -> Iterator[Ledger]:
    with open_ledger(empty_ledger()) as opened:
        yield opened
