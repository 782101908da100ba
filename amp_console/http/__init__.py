"""HTTP requests to other companies' services: connections, proxies, secrets, failures.

It knows no service. The HTTP library is not imported here: `HttpSession` is in `session`, and in
`network` what the environment sets for connections.
"""

import sys

from amp_console.http.errors import (
    AddressTooLong,
    AnswerDamaged,
    AnswerTooBig,
    ConnectionFailed,
    NetworkSettingInvalid,
    NoAnswer,
    RequestFailed,
    Unreachable,
)

__all__ = [
    "AddressTooLong",
    "AnswerDamaged",
    "AnswerTooBig",
    "ConnectionFailed",
    "NetworkSettingInvalid",
    "NoAnswer",
    "RequestFailed",
    "Unreachable",
]

# httpx imports its own command line where it can, and with it rich: 60 ms of a processor.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
