"""The server may close an idle connection at any moment, so it is not used again."""

import asyncio

import httpx
import pytest

from amp_console.http.network import NetworkSettings
from amp_console.http.transport import IDLE_SECONDS, Transport

pytestmark = pytest.mark.anyio
USUAL = 5  # seconds after which uvicorn and Node.js close an idle connection
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("idle_seconds", "connections"), [(60.0, 1), (0.0, 3)])
async def test_one_that_was_idle_for_too_long_is_replaced(
    idle_seconds: float, connections: int
) -> None:
    made: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(writer)
        while (await reader.readline()).startswith(b"GET"):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with (
        server,
        httpx.AsyncClient(transport=Transport(NetworkSettings({}), idle_seconds)) as client,
    ):
        for _ in range(3):
            assert (await client.get(url)).status_code == 200
    assert len(made) == connections
    for writer in made:
        writer.close()


def test_none_is_used_when_servers_usually_close_it() -> None:
    assert USUAL - IDLE_SECONDS >= 1
