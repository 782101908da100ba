"""Exports of cohorts for the tests of comparing."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from amp_console.ledger import Ledger
from amp_console.ledger.cohort_export import CohortExport
from amp_console.ledger.compare import ComparisonSpec, compare_cohort
from amp_console.ledger.comparisons import Comparison
from amp_console.values import IdType


@contextmanager
def exported(*parts: dict[str, str], id_type: IdType = IdType.USER_ID) -> Iterator[CohortExport]:
    """An export of users, User IDs by Amplitude ID, that came in parts."""
    export = CohortExport(id_type)
    try:
        for users in parts:
            export.add(msgspec.json.encode(users).decode())
        yield export
    finally:
        export.close()


def compared(
    ledger: Ledger, spec: ComparisonSpec, *parts: dict[str, str], id_type: IdType = IdType.USER_ID
) -> Comparison:
    """Compare an audience with an export."""
    with exported(*parts, id_type=id_type) as export:
        return ledger.write(compare_cohort, spec, export)
