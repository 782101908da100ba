"""The Textual console: keys in, screens out. `run` shows it.

The console itself decides nothing, and neither asks Amplitude nor reads a ledger: keys become calls
of `sync`, and their results are shown on screens.
"""

from amp_console.console.environment import (
    DemoSession,
    DemoTrouble,
    Environment,
    LaunchOptions,
    Tour,
)

__all__ = ["DemoSession", "DemoTrouble", "Environment", "LaunchOptions", "Tour"]
