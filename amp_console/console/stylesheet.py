"""A style sheet that parses each of its sources once."""

from textual.css.stylesheet import Stylesheet

SOURCES = 512
"""More than exist: each widget class has one, and most screens."""


class LastingStylesheet(Stylesheet):
    """Caches what it has parsed until the colors change.

    Textual (8.2) parses all sources again whenever a screen class is opened for the first time, and
    twice more at the start: 10 to 30 ms each time. It caches 64 of them, fewer than there are once
    some screens have been opened.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        """`variables` are colors by name."""
        super().__init__()
        self._parse_cache.grow(SOURCES)
        self.set_variables(variables)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Use other colors from the next `reparse` on."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Apply changes. Raises `StylesheetError`."""
        self.parse()
