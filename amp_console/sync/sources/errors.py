"""What keeps a live session from beginning."""


class CannotBind(Exception):
    """The receiver can't listen there; the text says why, and what to do."""
