"""Failures whose text is a sentence for the operator, and the sentence for all others."""

from amp_console.amplitude import AmplitudeError
from amp_console.connections import KeysError
from amp_console.connections.read_only import ReadOnly
from amp_console.engage import MappingError, UnreadableSource
from amp_console.ledger import LedgerError
from amp_console.segment import SegmentError

KNOWN = (
    AmplitudeError,
    KeysError,
    LedgerError,
    MappingError,
    ReadOnly,
    SegmentError,
    UnreadableSource,
    OSError,
)
"""Failures whose text is a sentence for the operator."""


def unexpected(error: Exception) -> str:
    """Return the sentence for a failure that is not `KNOWN`; its own text may hold anything."""
    return (
        f"Something went wrong inside amp-console ({type(error).__name__}). Everything delivered "
        "and read before is kept; the rest is pending. Try again, and report it if it happens "
        "again."
    )
