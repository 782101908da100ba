"""Minimal proxies on loopback: an HTTP and a SOCKS5 proxy."""

import asyncio
import base64
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class TestProxy:
    """Counts the tunnels that it opened; `answer` is sent instead of a tunnel, if given."""

    __test__ = False
    scheme = "http"

    def __init__(self, *, login: tuple[str, str] | None = None, answer: bytes = b"") -> None:
        self.login = login
        self.answer = answer
        self.tunnels = 0
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["TestProxy", None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                target = await self.agree(reader, writer)
                if target is not None:
                    self.tunnels += 1
                    await _tunnel(reader, writer, *target)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def agree(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        answer = self.answer
        if self.login:
            pair = base64.b64encode(":".join(self.login).encode()).decode()
            if f"Proxy-Authorization: Basic {pair}\r\n" not in head:
                answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        writer.write(answer or b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        host, _, port = head.split()[1].rpartition(":")
        return None if answer else (host.strip("[]"), int(port))


class SocksProxy(TestProxy):
    __test__ = False
    scheme = "socks5"

    async def agree(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> tuple[str, int] | None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.login else 0
        if wanted not in methods:
            writer.write(b"\x05\xff")
            return None
        writer.write(bytes([5, wanted]))
        if self.login and not await self._is_known(reader, writer):
            return None
        _, _, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = socket.inet_ntoa(await reader.readexactly(4))
        else:
            (length,) = await reader.readexactly(1)
            host = (await reader.readexactly(length)).decode()
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        writer.write(b"\x05" + (self.answer or b"\x00") + b"\x00\x01" + bytes(6))
        return None if self.answer else (host, port)

    async def _is_known(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        found = []
        await reader.readexactly(1)
        for _ in range(2):
            (length,) = await reader.readexactly(1)
            found.append((await reader.readexactly(length)).decode())
        is_known = tuple(found) == self.login
        writer.write(b"\x01\x00" if is_known else b"\x01\x01")
        return is_known


async def _tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
) -> None:
    far_reader, far_writer = await asyncio.open_connection(host, port)

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()

    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
