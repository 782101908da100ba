"""Writing the differences of comparisons into a file for other programs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from amp_console.ledger.comparisons import Difference
from amp_console.sync.export import NDJSON, Row, write_csv, write_ndjson
from amp_console.sync.reconcile.descriptions import DIFFERENCE_LABELS, prior_state_text

HEADER = (
    "audience",
    "when",
    "difference",
    "id_type",
    "id",
    "the_ledger_knew",
    "resembles",
)


def write_differences(
    path: Path, found: Iterable[tuple[str, str, Iterable[Difference]]], *, exact: bool = False
) -> int:
    """Write one row per difference; return how many.

    `found` are audience, "before" or "after" the repair, and the differences. The file is NDJSON,
    which is always exact, if its suffix says so; else CSV as `write_csv` writes it.
    """
    if path.suffix in NDJSON:
        return write_ndjson(path, HEADER, _rows(found))
    return write_csv(path, HEADER, _rows(found), exact=exact)


def _rows(found: Iterable[tuple[str, str, Iterable[Difference]]]) -> Iterator[Row]:
    for audience, when, differences in found:
        for item in differences:
            yield (
                audience,
                when,
                DIFFERENCE_LABELS[item.kind],
                item.id_type,
                item.id,
                prior_state_text(item.kind, item.prior_state),
                item.resembles or "",
            )
