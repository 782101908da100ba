"""Text for widgets that is never markup: outside text is escaped first."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from textual.content import Content

from amp_console.text import clean

MAX_LENGTH = 300  # characters of one part
Part = str | tuple[str, str]
"""A text, or a text with its style (Textual's: "$text-muted", "bold $text-error")."""

MUTED, GOOD, WARN, BAD = "$text-muted", "$text-success", "$text-warning", "$text-error"
ACCENT, STRONG = "$text-accent", "bold"
TONE = {"good": GOOD, "warn": WARN, "bad": BAD, "dim": MUTED, "accent": ACCENT, "": ""}
"""The style of each tone."""


def safe_text(*parts: Part, max_length: int = MAX_LENGTH) -> Content:
    """Join parts into one text; line breaks that are whole parts are kept, others are escaped."""
    pieces: list[Content] = []
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        shown = text if text == "\n" else clean(text, max_length)
        pieces.append(Content.styled(shown, style) if style else Content(shown))
    return Content("").join(pieces)


def with_key(label: str, key: str) -> Content:
    """The label of a button and the key that does the same, distinguished by brackets and weight.

    A paler hint would not be legible on every background of a button, nor without color.
    """
    return safe_text(label, (f" [{key}]", "not bold")) if key else safe_text(label)


def lines(*rows: Content) -> Content:
    """Join rows into lines."""
    return Content("\n").join(rows)


def safe_lines(rows: Iterable[str], max_length: int = MAX_LENGTH) -> Content:
    """Join texts into lines, each made harmless."""
    return lines(*(safe_text(row, max_length=max_length) for row in rows))


def flow(parts: Sequence[Content], gap: Content, width: int) -> Content:
    """Join parts with gaps, and break lines at `width` columns, but only between parts."""
    rows: list[Content] = []
    for part in parts:
        if rows and rows[-1].cell_length + gap.cell_length + part.cell_length <= width:
            rows[-1] = rows[-1] + gap + part
        else:
            rows.append(part)
    return lines(*rows)


def facts(
    pairs: Sequence[tuple[str, Content | str]], width: int = 14, room: int | None = None
) -> Content:
    """Lay out names and values in two columns; with `room`, values are wrapped to fit."""
    return lines(
        *(
            beside(
                safe_text((f"{name:<{width}}", MUTED)),
                value if isinstance(value, Content) else safe_text(value),
                room,
            )
            for name, value in pairs
        )
    )


def beside(head: Content, text: Content, room: int | None) -> Content:
    """A text after a head; with `room`, it is wrapped with a hanging indent."""
    width = head.cell_length
    first, *rest = [text] if room is None else text.wrap(max(20, room - width)) or [text]
    return lines(head + first, *(safe_text(" " * width) + part for part in rest))


def columns(left: Content, right: Content, at: int) -> Content:
    """Lay two texts out side by side: the second begins after `at` columns of the first."""
    pairs = zip_longest(left.split("\n"), right.split("\n"), fillvalue=Content(""))
    return lines(*(one.pad_right(at - one.cell_length) + two for one, two in pairs))
