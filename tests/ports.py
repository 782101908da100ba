"""Ports that a test names before something listens on them."""

import os
import random
import socket

# Below those that a system chooses from, as it does for the simulators of other tests.
_PORTS = range(20_000, 32_000)
_random = random.Random(os.getpid())


def free_port() -> int:
    """Return a port on which nothing listens, and which is given to no one else in the meantime."""
    while True:
        port = _random.choice(_PORTS)
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
