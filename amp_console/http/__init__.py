"""HTTP requests to external services: connections, proxies, secrets, failures.

Nothing here is specific to a service. This does not import the HTTP library: `HttpSession` is in
`session`, the network settings of the environment are in `network`.
"""

import sys

from amp_console.http.errors import (
    AddressTooLong,
    ConnectionFailed,
    DamagedResponse,
    NetworkSettingInvalid,
    NoResponse,
    RequestFailed,
    ResponseTooLarge,
    Unreachable,
)

__all__ = [
    "AddressTooLong",
    "ConnectionFailed",
    "DamagedResponse",
    "NetworkSettingInvalid",
    "NoResponse",
    "RequestFailed",
    "ResponseTooLarge",
    "Unreachable",
]

# httpx imports its own command line if it can, and with it rich: 60 ms of CPU time.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
