"""How far one request got, and what its failure means.

The library raises the same few errors for a dozen causes, without saying whether anything was sent.
Its trace events and the causes of its errors do say.
"""

import errno
import re
import socket
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import socksio

from amp_console.http.errors import (
    ConnectionFailed,
    DamagedResponse,
    NoResponse,
    RequestFailed,
    Unreachable,
)
from amp_console.http.network import Proxy
from amp_console.http.unpacking import BrokenOff, Damaged

# OpenSSL's numbers (x509_vfy.h), which are stable.
_CERTIFICATES = {
    2: Unreachable.UNKNOWN_AUTHORITY,  # unable to get issuer certificate
    9: Unreachable.NOT_YET_VALID,
    10: Unreachable.EXPIRED,
    18: Unreachable.UNKNOWN_AUTHORITY,  # self-signed
    19: Unreachable.UNKNOWN_AUTHORITY,  # self-signed in the chain
    20: Unreachable.UNKNOWN_AUTHORITY,  # unable to get local issuer certificate
    21: Unreachable.UNKNOWN_AUTHORITY,  # unable to verify the first certificate
    62: Unreachable.WRONG_HOST,
    64: Unreachable.WRONG_HOST,  # another IP address
}
_NOT_TLS = {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}
_NO_PROXY_ANSWER = (socksio.SOCKSError, AssertionError, UnicodeError)
_WANTS_PASSWORD = re.compile(r"username/password|from proxy server, but got", re.IGNORECASE)


class Attempt:
    """One request on its way to `url`, through `proxy` if there is one."""

    def __init__(self, url: httpx.URL, proxy: Proxy | None) -> None:
        self._host = url.netloc.decode("ascii", "replace")
        self._proxy = proxy
        self._is_past_proxy = proxy is None
        self._is_sent = False
        self._stream: Any = None

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Note how far the request has got; the library calls this."""
        if event.endswith(".connect_tcp.complete"):
            self._stream = info["return_value"]
        elif event in {"proxy.start_tls.started", "socks.start_tls.started"}:
            self._is_past_proxy = True
        elif event == "http11.send_request_headers.started":
            # The request for the proxy's tunnel is a separate one.
            is_for_proxy = getattr(info["request"], "method", b"") == b"CONNECT"
            if not is_for_proxy:
                self._is_past_proxy = self._is_sent = True

    async def abandon(self) -> None:
        """Close the connection that a failed attempt leaves open.

        httpcore 1.0.9 leaks a connection that a SOCKS proxy refuses, and one that is cancelled
        during the TLS handshake.
        """
        if not self._is_sent and self._stream is not None:
            await self._stream.aclose()

    @contextmanager
    def own_errors(self) -> Generator[None, None, None]:
        """Raise our errors instead of the library's, which may quote addresses and headers."""
        try:
            yield
        except (TimeoutError, httpx.TimeoutException):
            raise self._timed_out() from None
        except _NO_PROXY_ANSWER as error:  # not httpx's own errors: it does not wrap them
            raise self._failed(error) from None
        except (httpx.TransportError, BrokenOff) as error:
            raise self._failed(error) from None
        except Damaged:
            raise DamagedResponse from None

    def _timed_out(self) -> RequestFailed:
        if self._is_sent:
            return NoResponse()
        return self._unreachable(Unreachable.NO_ANSWER)

    def _failed(self, error: BaseException) -> ConnectionFailed:
        if self._is_sent:
            return ConnectionFailed(Unreachable.LOST, self._host)
        if isinstance(error, httpx.ProxyError):
            return self._refused_by_proxy(str(error))
        found = [reason for cause in _causes(error) if (reason := _reason(cause))]
        return self._unreachable(found[-1] if found else self._default(error))

    def _refused_by_proxy(self, text: str) -> ConnectionFailed:
        found = re.match(r"[1-5][0-9]{2}\b", text)
        status = int(found[0]) if found else None
        if status == 407 or _WANTS_PASSWORD.search(text):
            return self._unreachable(Unreachable.PROXY_PASSWORD, status)
        return self._unreachable(Unreachable.PROXY_REFUSED, status)

    def _default(self, error: BaseException) -> Unreachable:
        if not self._is_past_proxy and not isinstance(error, httpx.ConnectError):
            return Unreachable.PROXY_ODD
        is_tls_cut = any(type(cause).__name__ in _CUT for cause in _causes(error))
        return Unreachable.TLS_FAILED if is_tls_cut else Unreachable.OTHER

    def _unreachable(self, reason: Unreachable, status: int | None = None) -> ConnectionFailed:
        where = self._host
        if self._proxy is not None and not self._is_past_proxy:
            where = f"the proxy {self._proxy} ({self._proxy.variable})"
        return ConnectionFailed(reason, where, status)


_CUT = {"EndOfStream", "BrokenResourceError", "ConnectionResetError", "SSLEOFError"}


def _reason(cause: BaseException) -> Unreachable | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(cause.verify_code, Unreachable.BAD_CERTIFICATE)
    if isinstance(cause, ssl.SSLError):
        is_plain = getattr(cause, "reason", None) in _NOT_TLS
        return Unreachable.NOT_TLS if is_plain else Unreachable.TLS_FAILED
    if isinstance(cause, socket.gaierror | UnicodeError):
        return Unreachable.NAME_UNKNOWN
    if isinstance(cause, ConnectionRefusedError):
        return Unreachable.REFUSED
    if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
        return Unreachable.NO_ROUTE
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and its causes, the root cause last."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__
