"""The Textual console: keys in, pictures out. `run` is its one door.

Nothing here decides, asks Amplitude or reads a ledger by itself: keys become calls of the rooms
below, and what comes back becomes pictures.
"""

from amp_console.console.premises import Guide, Opening, Premises, Stage, Trouble, run

__all__ = ["Guide", "Opening", "Premises", "Stage", "Trouble", "run"]
