"""Signs, bars and sparklines, in two looks: the usual one, and plain ASCII for odd terminals."""

from collections.abc import Sequence
from typing import NamedTuple

from amp_console.sync.queries.status import Status


class Glyphs(NamedTuple):
    """The characters the console draws with. `spark` goes from nothing to most."""

    signs: dict[Status, str]
    live: str
    mark: str
    cursor: str
    full: str
    empty: str
    extra: str
    spark: str
    dash: str
    arrow: str
    dot: str
    more: str
    minus: str
    ok: str
    bad: str


PLAIN = Glyphs(
    signs={
        Status.IN_SYNC: "●",
        Status.PENDING: "◐",
        Status.UNCERTAIN: "◑",
        Status.REJECTED: "▲",
        Status.BROKEN: "✖",
        Status.OFF: "○",
        Status.NOT_LINKED: "◌",
        Status.DIFFERS: "▲",
    },
    live="»",
    mark="✓",
    cursor="▸",
    full="█",
    empty="░",
    extra="▓",
    spark="▁▂▃▄▅▆▇█",
    dash="—",
    arrow="→",
    dot="·",
    more="…",
    minus="−",
    ok="✔",
    bad="✖",
)
ASCII = Glyphs(
    signs={
        Status.IN_SYNC: "*",
        Status.PENDING: "~",
        Status.UNCERTAIN: "=",
        Status.REJECTED: "!",
        Status.BROKEN: "x",
        Status.OFF: "o",
        Status.NOT_LINKED: "?",
        Status.DIFFERS: "!",
    },
    live=">",
    mark="v",
    cursor=">",
    full="#",
    empty=".",
    extra="x",
    spark="_.:-=+*#",
    dash="-",
    arrow="->",
    dot="|",
    more="~",
    minus="-",
    ok="+",
    bad="x",
)

TONES = {
    Status.IN_SYNC: "good",
    Status.PENDING: "warn",
    Status.UNCERTAIN: "warn",
    Status.REJECTED: "bad",
    Status.BROKEN: "bad",
    Status.OFF: "dim",
    Status.NOT_LINKED: "warn",
    Status.DIFFERS: "bad",
}
"""The tone each status is shown in; its sign and word say the same."""


def bar(glyphs: Glyphs, done: float, total: float, width: int) -> str:
    """Return a bar of `width` columns; it is full only when everything is done."""
    if width <= 0:
        return ""
    share = min(1.0, done / total) if total > 0 else 1.0
    filled = width if share >= 1.0 else min(width - 1, int(share * width))
    return glyphs.full * filled + glyphs.empty * (width - filled)


def sparkline(glyphs: Glyphs, values: Sequence[int]) -> str:
    """Return one character per value; whatever is above nothing is seen."""
    most = max(values, default=0)
    top = len(glyphs.spark) - 1
    if most == 0:
        return glyphs.spark[0] * len(values)
    return "".join(glyphs.spark[-(-value * top // most)] for value in values)
