"""The Textual console: keys in, pictures out. `run` shows it.

Nothing here decides, asks Amplitude or reads a ledger by itself: keys become calls of `sync`, and
what it returns becomes pictures.
"""

from amp_console.console.environment import (
    DemoSession,
    DemoTrouble,
    Environment,
    LaunchOptions,
    Tour,
)

__all__ = ["DemoSession", "DemoTrouble", "Environment", "LaunchOptions", "Tour"]
