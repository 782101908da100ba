"""A style sheet that parses each of its sources once."""

from textual.css.stylesheet import Stylesheet

SOURCES = 512
"""More than there are: each kind of widget has one, and most screens."""


class LastingStylesheet(Stylesheet):
    """Keeps what it has parsed until the colours change.

    Textual (8.2) parses all sources anew for each kind of screen that is opened for the first
    time, and twice more while it starts: 10 to 30 ms each time. It keeps 64 of them, fewer than
    there are once some screens were opened.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        """`variables` are colours by name."""
        super().__init__()
        self._parse_cache.grow(SOURCES)
        self.set_variables(variables)

    def set_variables(self, variables: dict[str, str]) -> None:
        """Use other colours from the next `reparse` on."""
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Take over what has changed. Raises `StylesheetError`."""
        self.parse()
