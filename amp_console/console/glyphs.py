"""Signs, bars and sparklines, in two sets: Unicode, and ASCII for terminals without it."""

from collections.abc import Sequence
from typing import NamedTuple


class Glyphs(NamedTuple):
    """The characters with which the console draws. `spark` goes from 0 to the highest value."""

    circle: str
    target: str
    half: str
    other_half: str
    triangle: str
    cross: str
    ring: str
    dotted: str
    live: str
    mark: str
    cursor: str
    resting: str
    full: str
    empty: str
    extra: str
    unsent: str
    spark: str
    dash: str
    arrow: str
    dot: str
    more: str
    unequal: str
    minus: str
    ok: str
    bad: str
    up: str
    down: str

    @property
    def separator(self) -> str:
        """The separator between two facts on one line."""
        return f" {self.dot} "


PLAIN = Glyphs(
    circle="●",
    target="◎",
    half="◐",
    other_half="◑",
    triangle="▲",
    cross="✖",
    ring="○",
    dotted="◌",
    live="»",
    mark="✓",
    cursor="▸",
    resting="▹",
    full="█",
    empty="░",
    extra="▓",
    unsent="▒",
    spark="▁▂▃▄▅▆▇█",
    dash="—",
    arrow="→",
    dot="·",
    more="…",
    unequal="≠",
    minus="−",
    ok="✔",
    bad="✖",
    up="↑",
    down="↓",
)
ASCII = Glyphs(
    circle="*",
    target="@",
    half="~",
    other_half="=",
    triangle="!",
    cross="x",
    ring="o",
    dotted="?",
    live=">",
    mark="v",
    cursor=">",
    resting="-",
    full="#",
    empty=".",
    extra="x",
    unsent="-",
    spark="_.:-=+*#",
    dash="-",
    arrow="->",
    dot="|",
    more="~",
    unequal="<>",
    minus="-",
    ok="+",
    bad="x",
    up="^",
    down="v",
)


def bar(glyphs: Glyphs, done: float, total: float, width: int) -> str:
    """Return a bar of `width` columns; it is full only when everything is done."""
    if width <= 0:
        return ""
    share = min(1.0, done / total) if total > 0 else 1.0
    filled = width if share >= 1.0 else min(width - 1, int(share * width))
    return glyphs.full * filled + glyphs.empty * (width - filled)


def sparkline(glyphs: Glyphs, values: Sequence[int]) -> str:
    """Return one character per value; every value above 0 is visible."""
    most = max(values, default=0)
    top = len(glyphs.spark) - 1
    if most == 0:
        return glyphs.spark[0] * len(values)
    return "".join(glyphs.spark[-(-value * top // most)] for value in values)
