"""Connections that can break, which an ASGI application alone can't do."""

import asyncio
import socket
import struct
import sys

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

_TRANSPORT = "transport"


class BreakableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which gives the application its transport in the state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Store the transport of a new connection, and set TCP_NODELAY.

        asyncio does so only for listeners that it created itself: otherwise each answer's body
        waits 40 ms for the client's kernel to acknowledge the headers.
        """
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, _TRANSPORT: transport}


async def _until_gone(receive: Receive) -> None:
    """Wait until the server has noticed the disconnect; returning earlier logs an error."""
    while (await receive())["type"] != "http.disconnect":
        pass


class ResetResponse(Response):
    """No answer at all: the connection is reset (TCP RST)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Reset the connection."""
        transport: asyncio.Transport = scope["state"][_TRANSPORT]
        # With a linger time of 0, closing sends a reset instead of an orderly end.
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
        await _until_gone(receive)


class SilentResponse(Response):
    """No answer, on a connection that stays open until the client gives up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Wait for the client to disconnect."""
        await _until_gone(receive)


class CutResponse(Response):
    """An answer that announces its whole length, but stops after the first half."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the first half and close the connection."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send(start | {"headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport: asyncio.Transport = scope["state"][_TRANSPORT]
        transport.close()
        await _until_gone(receive)
