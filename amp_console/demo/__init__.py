"""The demo: the console on a simulated Amplitude, with audiences whose members change.

It gives the console a separate environment and fills the ledger through the product's use cases, so
that every screen shows what an operator would see.
"""

from amp_console.demo.session import SimulatedSession

__all__ = ["SimulatedSession"]
