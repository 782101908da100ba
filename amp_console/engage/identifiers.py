"""What may identify a person."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from amp_console.values import MAX_IDENTIFIER_BYTES, identifier_fault

_SHORT = MAX_IDENTIFIER_BYTES // 4  # characters that are in no case too many bytes
BROKEN_IDENTIFIER = "the identifier is not valid text: half of a character, or not UTF-8"


class InexactNumber(ValueError):
    """A number whose digits were lost in decoding: its text has to be decoded exactly."""


class UnusableIdentifier(ValueError):
    """An identifier that can't be kept exactly as it was sent; the text says why."""


def identifier(value: object) -> str | None:
    """Return the identifier as text, exactly as it is; None for what identifies no person.

    A number becomes its digits, all of them (Segment sends numeric userIds); 7.0 and 0.7e1 are
    the same JSON number as 7. Booleans, objects, null and blank text identify no person. Raises
    `InexactNumber` for a float, `UnusableIdentifier` for what `usable` refuses and for a number
    that is too long to write.
    """
    if isinstance(value, str):
        if not value or value.isspace():
            return None
        # Of a million events, only those that may be at fault are worth two calls each.
        return usable(value) if "\0" in value or len(value) > _SHORT else value
    if isinstance(value, float):
        raise InexactNumber
    if isinstance(value, Decimal):
        return _digits(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(Decimal(value)) if value.bit_length() > 3_000 else str(value)
    return None


def identifiers(values: Sequence[Any]) -> Sequence[str | None]:
    """Return the identifier of each value, None also where `identifier` would raise."""
    texts = values if None not in values else [value for value in values if value is not None]
    try:
        is_plain = "\0" not in "".join(texts) and all(texts)
    except TypeError:  # there are numbers or the like among them
        is_plain = False
    is_short = is_plain and max(map(len, texts), default=0) <= _SHORT
    if is_short and not any(map(str.isspace, texts)):
        return values
    return list(map(_identifier_or_none, values))


def _identifier_or_none(value: object) -> str | None:
    with suppress(InexactNumber, UnusableIdentifier):
        return identifier(value)
    return None


def usable(text: str) -> str:
    """Return an identifier that every ledger can keep. Raises `UnusableIdentifier`."""
    if fault := identifier_fault(text):
        raise UnusableIdentifier(f"the identifier {fault}")
    return text


def _digits(number: Decimal) -> str:
    digits, exponent = number.as_tuple()[1:]
    assert isinstance(exponent, int)  # JSON has no infinities
    if len(digits) + abs(exponent) > MAX_IDENTIFIER_BYTES:
        raise UnusableIdentifier(
            f"the identifier is a number of more than {MAX_IDENTIFIER_BYTES:,} digits"
        )
    text = f"{number:f}"
    text = text.rstrip("0").removesuffix(".") if "." in text else text
    return "0" if text == "-0" else text
