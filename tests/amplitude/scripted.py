"""A server on loopback that answers given bytes, one answer after the other."""

import asyncio
import enum
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import NamedTuple

import msgspec


class Then(enum.Enum):
    """What the server does with the connection once its bytes are out."""

    CLOSE = enum.auto()
    RESET = enum.auto()
    SILENCE = enum.auto()


class Reply(NamedTuple):
    data: bytes
    then: Then = Then.CLOSE


class Seen(NamedTuple):
    """A request as it arrived; `headers` have lower-case names."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def reply(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, cut: int = 0
) -> Reply:
    """An answer that closes the connection; `cut` bytes of the announced body are missing."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}"]
    lines += ["Connection: close", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return Reply(head + body[: len(body) - cut])


def json_reply(status: int, value: object) -> Reply:
    return reply(status, msgspec.json.encode(value), {"Content-Type": "application/json"})


class ScriptedServer:
    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.seen: list[Seen] = []
        self.url = ""
        self._over = asyncio.Event()

    def will(self, *replies: Reply) -> None:
        self.replies += replies

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["ScriptedServer", None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            self._over.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await _request(reader))
        given = self.replies.pop(0)
        writer.write(given.data)
        await writer.drain()
        if given.then is Then.SILENCE:
            await self._over.wait()
        if given.then is Then.RESET:
            linger_for_no_time = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
        writer.close()


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)
