"""What the operator of a connection is called where others see what they did."""

from amp_console.text import trimmed

OPERATOR_VARIABLE = "AMP_CONSOLE_OPERATOR"
MAX_LENGTH = 60  # characters


def checked_operator(text: str) -> str | None:
    """Return the name of an operator, trimmed; None for the default, user@host.

    Raises ValueError: it is too long, or can't be shown as it is.
    """
    name = trimmed(text)
    if len(name) > MAX_LENGTH:
        raise ValueError(f"The name has {len(name)} characters; at most {MAX_LENGTH} are allowed.")
    if not name.isprintable():
        raise ValueError("The name contains a character that can't be shown, such as a line break.")
    return name or None
