"""The theme an operator asked for, if there is such a one."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from amp_console.text import clean

SOME = ("catppuccin-latte", "dracula", "gruvbox", "nord", "solarized-light", "tokyo-night")
"""Themes to name where one is not known."""


def choose_theme(
    wanted: Iterable[str | None], known: Collection[str], otherwise: str
) -> tuple[str, tuple[str, ...]]:
    """Return the first wanted theme that is known, and a sentence on each one that is not."""
    told: list[str] = []
    for name in wanted:
        if name is None:
            continue
        if name in known:
            return name, tuple(told)
        told.append(_no_theme(name, known))
    return otherwise, tuple(told)


def _no_theme(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name[:60], known, n=1)
    some = [*near, *(item for item in SOME if item in known and item not in near)]
    return (
        f"There is no theme called “{clean(name, 40)}”. Some that there are: {', '.join(some)}. "
        "All of them: ctrl+p, Theme."
    )
