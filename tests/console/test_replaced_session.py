"""A session that is replaced during a call to a service: the answer is for a closed session."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

import pytest

from amp_console.connections import SegmentSpace
from amp_console.console.context import Services
from amp_console.console.environment import SegmentTokens
from amp_console.values import Secret
from tests.console.harness import ConsoleHarness, services, until

pytestmark = pytest.mark.anyio


class SilentService:
    """Amplitude and Segment in one server, which answers when allowed to, with empty lists."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.url = ""

    def answer_to(self, line: bytes) -> tuple[str, str]:
        """The status and the body of the answer to a request."""
        return "404 Not Found" if b"/spaces/" in line else "503 Service Unavailable", "{}"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        self.asked.set()
        await self.may_answer.wait()
        status, body = self.answer_to(line)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()


@pytest.mark.parametrize(
    "ask",
    [lambda now: now.segment.update(), lambda now: now.figures.update_quota()],
    ids=["sizes in Segment", "quota"],
)
async def test_an_answer_for_a_session_that_was_replaced_is_dropped_in_silence(
    harness: ConsoleHarness, ask: Callable[[Services], Coroutine[None, None, None]]
) -> None:
    async with SilentService().serve() as service:
        connection = harness.connect(base_url=service.url)
        space = SegmentSpace(id="spa_1", base_url=service.url)
        connection = harness.environment.connections.put_space(connection, space)
        tokens = SegmentTokens(Secret("not-a-token"), Secret("not-a-token-either"))
        harness.environment = replace(harness.environment, segment_tokens=tokens)
        async with harness.open() as pilot:
            now = services(pilot)
            await until(pilot, lambda: now.session)
            asking = asyncio.ensure_future(ask(now))
            await service.asked.wait()
            await now.sessions.open(connection)
            service.may_answer.set()
            await asking
            assert [entry.text for entry in now.notifications.entries] == []
            assert not now.segment.is_asking


class SlowAmplitude(SilentService):
    """Answers when allowed to, with the data of the connection that asked."""

    def answer_to(self, line: bytes) -> tuple[str, str]:
        if b"/usage" in line:
            return "200 OK", '{"rest_download": {"limit": 500, "usage": 499}}'
        return "200 OK", '{"cohorts": [{"id": "abc", "name": "shoppers", "size": 7}]}'


@pytest.mark.parametrize(
    "ask",
    [lambda now: now.figures.update_sizes(), lambda now: now.figures.update_quota()],
    ids=["sizes", "quota"],
)
async def test_figures_of_a_session_that_was_replaced_are_not_those_of_the_next_one(
    harness: ConsoleHarness, ask: Callable[[Services], Coroutine[None, None, None]]
) -> None:
    async with SlowAmplitude().serve() as amplitude:
        harness.connect(base_url=amplitude.url)
        async with harness.open() as pilot:
            now = services(pilot)
            await until(pilot, lambda: now.session)
            asking = asyncio.ensure_future(ask(now))
            await amplitude.asked.wait()
            await now.sessions.open(harness.connect("Another"))
            amplitude.may_answer.set()
            await asking
            assert (now.figures.sizes, now.figures.quota) == ({}, None)
