"""Writing the differences of comparisons into a file for other programs."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from amp_console.ledger.comparisons import Comparison, Difference
from amp_console.sync.export import NDJSON, Row, write_csv, write_ndjson
from amp_console.sync.formatting import local_iso_time
from amp_console.sync.reconcile.descriptions import (
    GROUP_NAMES,
    group_of,
    prior_state_text,
    state_now,
)

HEADER = (
    "audience",
    "compared",
    "compared_at",
    "difference",
    "id_type",
    "identifier",
    "ledger_before",
    "similar_to",
    "now",
)

Compared = tuple[str, str, Comparison, Iterable[Difference]]
"""The audience, "before repair" or "after repair", the comparison and its differences."""


def write_differences(path: Path, found: Iterable[Compared], *, exact: bool = False) -> int:
    """Write one row per difference, in the words of the screen; return how many.

    Times are local, in ISO 8601 with their offset. The file is NDJSON, which is always exact, if
    its suffix says so; else CSV as `write_csv` writes it.
    """
    if path.suffix in NDJSON:
        return write_ndjson(path, HEADER, _rows(found))
    return write_csv(path, HEADER, _rows(found), exact=exact)


def _rows(found: Iterable[Compared]) -> Iterator[Row]:
    for audience, compared, comparison, differences in found:
        at = local_iso_time(comparison.at) or ""
        for item in differences:
            yield (
                audience,
                compared,
                at,
                GROUP_NAMES[group_of(item)],
                item.id_type,
                item.id,
                prior_state_text(item.kind, item.prior_state),
                item.resembles or "",
                state_now(item),
            )
