"""Exceptions whose text is written for the operator, and a sentence for all others."""


def expected_failures(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return the exception types whose text is written for the operator, with `others`.

    This imports the packages that raise them, so call it only after a failure.
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
    """Return the sentence for an unexpected error, whose own text may contain anything."""
    return (
        f"Something went wrong inside amp-console ({type(error).__name__}). Everything delivered "
        "and read before is kept; the rest is pending. Try again, and report it if it happens "
        "again."
    )
