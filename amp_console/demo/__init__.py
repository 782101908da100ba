"""The demo: a simulated Amplitude, lively audiences, and the console on top of them.

It stands between the commands and the console: it hands the console premises of its own, and
plays on the product's own doors, so that what is seen is what an operator would see.
"""

from amp_console.demo.session import SimulatedSession

__all__ = ["SimulatedSession"]
