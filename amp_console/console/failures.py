"""Failures whose text is a sentence for the operator, and the sentence for all others."""


def expected_failures(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the failures whose text is a sentence for the operator, and these others.

    It imports the packages that raise them, so call it where something has failed.
    """
    from amp_console.amplitude import AmplitudeError
    from amp_console.connections import KeysError, SettingsError
    from amp_console.connections.read_only import ReadOnly
    from amp_console.engage import MappingError, UnreadableSource
    from amp_console.ledger import LedgerError
    from amp_console.segment import SegmentError

    return (
        AmplitudeError,
        KeysError,
        LedgerError,
        MappingError,
        ReadOnly,
        SegmentError,
        SettingsError,
        UnreadableSource,
        OSError,
        *others,
    )


def unexpected(error: Exception) -> str:
    """Return the sentence for a failure that is not expected; its own text may hold anything."""
    return (
        f"Something went wrong inside amp-console ({type(error).__name__}). Everything delivered "
        "and read before is kept; the rest is pending. Try again, and report it if it happens "
        "again."
    )
