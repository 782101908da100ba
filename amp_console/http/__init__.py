"""HTTP requests to other companies' services: connections, proxies, secrets, failures.

It knows no service. The HTTP library is not imported here: `HttpSession` is in `session`, and in
`network` what the environment sets for connections.
"""

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
