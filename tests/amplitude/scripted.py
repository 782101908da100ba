"""A server on loopback that answers given bytes, one answer after the other."""

import asyncio
import enum
import socket
import ssl
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import NamedTuple

import msgspec


class Then(enum.Enum):
    """What the server does with the connection once its bytes are out."""

    CLOSE = enum.auto()
    RESET = enum.auto()
    SILENCE = enum.auto()
    TRICKLE = enum.auto()  # a byte every 10 ms, forever


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
        self._tasks: set[asyncio.Task[None]] = set()

    def will(self, *replies: Reply) -> None:
        self.replies += replies

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    @asynccontextmanager
    async def running(
        self, tls: ssl.SSLContext | None = None
    ) -> AsyncGenerator["ScriptedServer", None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            try:
                yield self
            finally:
                self._over.set()
                tasks = list(self._tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            self.seen.append(await _request(reader))
            with suppress(ConnectionError):  # the client may have left before the end
                await self._write(self.replies.pop(0), writer)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _write(self, given: Reply, writer: asyncio.StreamWriter) -> None:
        writer.write(given.data)
        await writer.drain()
        if given.then is Then.SILENCE:
            await self._over.wait()
        while given.then is Then.TRICKLE and not self._over.is_set():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)
        if given.then is Then.RESET:
            linger_for_no_time = struct.pack("ii", 1, 0)  # so that closing sends RST instead of FIN
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)
