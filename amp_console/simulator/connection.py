"""Connections that can break: what an ASGI application alone cannot do to its client."""

import asyncio
import socket
import struct
import sys

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "transport"


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP, with the transport put where the application finds it: in its state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport of a new connection, and let it send at once.

        asyncio would see to that, but not for the sockets of a listener it did not make: each
        answer's body then waits 40 ms for the client's kernel to acknowledge its head.
        """
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def _until_gone(receive: Receive) -> None:
    """Wait until the server knows that the connection ended; it would log an error before."""
    while (await receive())["type"] != "http.disconnect":
        pass


class ResetResponse(Response):
    """No answer at all: the connection is reset (TCP RST)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Reset the connection."""
        transport: asyncio.Transport = scope["state"][_TRANSPORT]
        # A linger of no time makes the closing a reset rather than a polite end.
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await _until_gone(receive)


class SilentResponse(Response):
    """No answer, on a connection that stays open until the client has waited long enough."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Wait for the client to go."""
        await _until_gone(receive)


class CutResponse(Response):
    """An answer that promises its whole length, and of which only the first half is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half and close the connection."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send(start | {"headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport: asyncio.Transport = scope["state"][_TRANSPORT]
        transport.close()
        await _until_gone(receive)
