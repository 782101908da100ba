"""The Textual console: keys in, pictures out. `run` is its one door.

Nothing here decides, asks Amplitude or reads a ledger by itself: keys become calls of the rooms
below, and what comes back becomes pictures.
"""

from amp_console.console.environment import (
    DemoSession,
    DemoTrouble,
    Environment,
    Guide,
    LaunchOptions,
    run,
)

__all__ = ["DemoSession", "DemoTrouble", "Environment", "Guide", "LaunchOptions", "run"]
