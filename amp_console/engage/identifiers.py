"""What may identify a person."""

# Beyond this a float no longer tells neighbouring integers apart.
_EXACT_FLOATS = 2.0**53


def identifier(value: object) -> str | None:
    """Return the identifier as text, exactly as it is; None for what identifies nobody.

    A number becomes its text (Segment sends numeric userIds); 7.0 is the same JSON number as 7.
    Booleans, objects, null and blank text identify nobody.
    """
    if isinstance(value, str):
        return None if not value or value.isspace() else value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_FLOATS:
        return str(int(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None
