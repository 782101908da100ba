"""What is worth knowing of a whole ledger, from indexes and short tables alone."""

from collections.abc import Collection

import msgspec

from amp_console.ledger import Db
from amp_console.ledger.comparisons import last_compared_at
from amp_console.ledger.counts import stored_bytes
from amp_console.ledger.runs import Run, all_runs


class LedgerFacts(msgspec.Struct, frozen=True):
    """The last run of a ledger, when a cohort was compared last (None: never), and its bytes."""

    last_run: Run | None
    compared_at: int | None
    size: int


def ledger_facts(db: Db, dead: Collection[int] = ()) -> LedgerFacts:
    """Read them; `dead` are the runs whose process is gone."""
    last_run = next(iter(all_runs(db, 1, dead)), None)
    return LedgerFacts(last_run, last_compared_at(db), stored_bytes(db))
