"""Why a request got no usable answer.

Each service turns these into its own errors, which say what they mean for its data.
"""

import enum


class Unreachable(enum.Enum):
    """Why no connection was made: what happened at `{where}`, and what to do next."""

    NAME_UNKNOWN = (
        "The name of {where} could not be looked up (DNS)",
        "Check the network and the spelling of the name, then try again.",
    )
    REFUSED = (
        "{where} refused the connection",
        "Check the address and the port, then try again.",
    )
    NO_ROUTE = (
        "There is no network route to {where}",
        "Check that this machine is online, then try again.",
    )
    NO_ANSWER = (
        "{where} did not accept the connection in time",
        "Check the network and any firewall, then try again.",
    )
    UNKNOWN_AUTHORITY = (
        "The certificate of {where} comes from an authority that this machine does not trust",
        "If your network inspects TLS, set SSL_CERT_FILE to your organization's CA file.",
    )
    WRONG_HOST = (
        "The certificate of {where} is for another host name",
        "Check the address. If it is right, another server answers in its place.",
    )
    EXPIRED = (
        "The certificate of {where} has expired",
        "Check this machine's clock. If it is right, the server needs a new certificate.",
    )
    NOT_YET_VALID = (
        "The certificate of {where} is not valid yet",
        "Check this machine's clock, then try again.",
    )
    BAD_CERTIFICATE = (
        "The certificate of {where} could not be verified",
        "Check the address, and SSL_CERT_FILE if it is set, then try again.",
    )
    NOT_TLS = (
        "{where} does not speak TLS (https) on this port",
        "Check the address and the port, then try again.",
    )
    TLS_FAILED = (
        "{where} closed the connection during the TLS (https) handshake",
        "Check the address and the port, then try again.",
    )
    PROXY_PASSWORD = (
        "{where} requires a user name and password, or refuses the ones that are set",
        "Set them as in http://USER:PASSWORD@HOST:PORT, then try again.",
    )
    PROXY_REFUSED = (
        "{where} refused to connect to the server",
        "Ask for access, or name the server's host in NO_PROXY, then try again.",
    )
    PROXY_ODD = (
        "{where} does not answer like a proxy",
        "Check its address, its port, and whether it is an HTTP or a SOCKS proxy.",
    )
    LOST = (
        "The connection to {where} was lost before the answer was complete",
        "Check the network, then try again.",
    )
    OTHER = (
        "{where} could not be reached",
        "Check the network, then try again.",
    )

    def at(self, where: str, status: int | None = None) -> str:
        """What happened at a host or a proxy, with the status it answered, if any."""
        text = self.value[0].format(where=where)
        if text.startswith("the "):
            text = f"T{text[1:]}"
        return f"{text} (status {status})" if status else text

    @property
    def next(self) -> str:
        """What to do next."""
        return self.value[1]


class RequestFailed(Exception):
    """A request without a usable answer."""


class ConnectionFailed(RequestFailed):
    """No connection was made, or it was lost before the answer was complete.

    `reason` says why: LOST if there was a connection. `where` is the host or the proxy, and
    `status` the proxy's.
    """

    def __init__(self, reason: Unreachable, where: str, status: int | None = None) -> None:
        super().__init__(reason, where, status)
        self.reason = reason
        self.where = where
        self.status = status


class AddressTooLong(RequestFailed):
    """The URL of the request is too long, so it was not sent."""


class NoResponse(RequestFailed):
    """The request was sent, but the answer was not complete in time."""


class DamagedResponse(RequestFailed):
    """The answer can't be decompressed."""


class ResponseTooLarge(RequestFailed):
    """The answer is longer than the limit, and was not read to the end."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class NetworkSettingInvalid(RequestFailed):
    """The environment variable `variable` makes every connection impossible.

    `problem` never quotes a value that may contain a password.
    """

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(variable, problem)
        self.variable = variable
        self.problem = problem

    @property
    def happened(self) -> str:
        """What is wrong, without a full stop."""
        return f"Can't connect, because {self.variable} is invalid: {self.problem}"

    @property
    def next(self) -> str:
        """What to do next."""
        return f"Correct or unset {self.variable}, then try again."

    def __str__(self) -> str:
        return f"{self.happened}. Nothing was sent. {self.next}"
