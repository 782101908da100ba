"""Reading a service's JSON without trusting its shape: missing or odd values read as None."""

from typing import NamedTuple

import msgspec


class JsonBody(NamedTuple):
    """An answer's JSON value, and the first 2000 characters of its body for the request log."""

    tree: object
    text: str


def parse(body: bytes | str) -> object:
    """Return the JSON value of a body. Raises ValueError if it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):  # invalid UTF-8 already raises a ValueError
        raise ValueError("The body is not JSON.") from None


def dig(tree: object, *path: str | int) -> object:
    """Follow keys and indexes into a JSON value; None if the path does not exist."""
    for step in path:
        if isinstance(tree, dict):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def items(tree: object, *path: str | int) -> list[object]:
    """Return the list at the end of a path; an empty one if there is none."""
    found = dig(tree, *path)
    return found if isinstance(found, list) else []


def text(value: object) -> str | None:
    """Return an id or a name as a string: some services write ids as numbers, even as 12.0."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int | float) else None


def texts(values: list[object]) -> tuple[str, ...]:
    """Return the values as strings; leave out those that are not ids or names."""
    return tuple(found for value in values if (found := text(value)) is not None)


def one_line(value: str) -> str:
    """Return a text for a terminal: no line breaks, no control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in value).split())


def whole(value: object) -> int | None:
    """Return a whole number, also from a string or a float."""
    try:
        return int(text(value) or "")
    except ValueError:
        return None
