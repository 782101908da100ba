"""A receiver's refusals: the right status, counted by reason, without delaying anything."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from amp_console.ledger import runs
from amp_console.ledger.refused_requests import refused_requests
from amp_console.sync.sources.http_server import ConnectionLimits
from tests.sync.webhook_sender import LIMITS, SECRET, body_of, members, receiving, signed
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio

ONE = json.dumps(event("u1", True)).encode()
MANY = b"[" + b",".join(json.dumps(event(f"u{n}", True)).encode() for n in range(600)) + b"]"


class HeldParser(ThreadPoolExecutor):
    """Checks and splits bodies in its thread once released."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked = Event()
        self.may_go_on = Event()

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> "Future[Any]":
        def held() -> Any:
            self.asked.set()
            self.may_go_on.wait()
            return work(*args, **options)

        return super().submit(held)


async def heard(port: int, request: bytes) -> bytes:
    """The first line of the answer to a raw request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.close()
    return line.strip()


async def test_others_are_answered_while_a_large_body_is_checked(workspace: Workspace) -> None:
    parser = HeldParser()
    large = b"[" + b"1," * (8 * 1024 * 1024 - 2) + b"1]"
    async with receiving(workspace, SECRET, parser=parser) as post:
        refused = asyncio.create_task(post.send(large, signed(b"not this")))
        await asyncio.to_thread(parser.asked.wait)
        assert (await post.client.get("/healthz")).status_code == 200
        assert not refused.done()
        parser.may_go_on.set()
        assert (await refused).status_code == 401
    assert members(workspace) == set()


async def test_bodies_are_cut_in_turns(workspace: Workspace) -> None:
    parser = HeldParser()
    async with receiving(workspace, parser=parser) as post:
        first = asyncio.create_task(post.send(MANY))
        await asyncio.to_thread(parser.asked.wait)
        second = asyncio.create_task(post.send(MANY))
        while parser._work_queue.qsize() == 0:
            await asyncio.sleep(0)
        parser.may_go_on.set()
        assert {(await item).status_code for item in (first, second)} == {200}


async def test_a_small_body_does_not_wait_for_a_large_one(workspace: Workspace) -> None:
    parser = HeldParser()
    async with receiving(workspace, SECRET, parser=parser) as post:
        large = asyncio.create_task(post.send(MANY, signed(MANY)))
        await asyncio.to_thread(parser.asked.wait)
        assert (await post.send(ONE, signed(ONE))).status_code == 200
        assert (await post.send(b"[" + ONE + b"," + ONE + b"]", signed(ONE))).status_code == 200
        assert (await post.send(ONE, signed(b"not this"))).status_code == 401
        assert not large.done()
        parser.may_go_on.set()
        assert (await large).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "not JSON"),
        (b"null", 400, "not JSON"),
        (b'{"a":NaN}', 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (ONE + b"\n" + ONE, 400, "several documents"),
        (b"[" + ONE + b"][]", 400, "several documents"),
        (b"[" + b"1," * 50_000 + b"1]", 413, "too large"),
        (b'{"a":"' + b"x" * 1024 * 1024 + b'"}', 413, "too large"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused_and_counted(
    workspace: Workspace, body: bytes, status: int, reason: str
) -> None:
    async with receiving(workspace, SECRET) as post:
        assert (await post.send(body, signed(body))).status_code == status
        assert (await post.send(body)).status_code == 401
        assert post.refused() == {reason: (status, 1), "missing signature": (401, 1)}


async def test_an_empty_array_says_nothing_and_has_no_first_event(workspace: Workspace) -> None:
    async with receiving(workspace, SECRET) as post:
        assert (await post.send(b"[]", signed(b""))).status_code == 401
        assert (await post.send(b"[]", signed(b"[]"))).json() == {"taken": 0}


async def test_two_signatures_are_refused_though_one_is_right(workspace: Workspace) -> None:
    async with receiving(workspace, SECRET) as post:
        headers = [("X-Signature", signed(ONE)), ("X-Signature", "0" * 40)]
        answer = await post.client.post("/", content=ONE, headers=headers)
        assert answer.status_code == 401
        assert "more than once" in answer.json()["error"]


async def test_other_events_can_be_added_to_an_array_unless_only_single_ones_are_accepted(
    workspace: Workspace,
) -> None:
    added = b"[" + ONE + b"," + json.dumps(event("u2", True)).encode() + b"]"
    async with receiving(workspace, SECRET, single_events=True) as post:
        assert (await post.send(added, signed(ONE))).status_code == 400
        assert (await post.send(ONE, signed(ONE))).status_code == 200
        assert post.refused() == {"an array, with single events only": (400, 1)}
    assert members(workspace) == {"u1"}


LENGTH = b"Content-Length: %d\r\n" % len(ONE)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
IN_ONE_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(ONE), ONE)


MALFORMED = {
    400: [
        (LENGTH + CHUNKED, IN_ONE_CHUNK),
        (CHUNKED + LENGTH, IN_ONE_CHUNK),
        (LENGTH + b"Content-Length: 5\r\n", ONE),
        (b"Content-Length: 5, 6\r\n", ONE),
        (b"Content-Length: +5\r\n", ONE),
        (b"Content-Length: -5\r\n", ONE),
        (b"Content-Length : 5\r\n", ONE),
        (CHUNKED, b"xyz\r\n"),
        (CHUNKED, b"-5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKED, b"5\r\nhello, and more\r\n0\r\n\r\n"),
        (CHUNKED, b"f" * 40 + b"\r\n"),
        (b"X-Folded: a\r\n\x00b\r\n" + LENGTH, ONE),
    ],
    431: [
        (b"X-Long: " + b"x" * 100_000 + b"\r\n" + LENGTH, ONE),
        (b"X-Long: " + b"x" * 100_000, b""),
    ],
    501: [
        (CHUNKED + b"Transfer-Encoding: chunked\r\n", IN_ONE_CHUNK),
        (b"Transfer-Encoding: gzip\r\n", IN_ONE_CHUNK),
    ],
}


@pytest.mark.parametrize("status", MALFORMED)
async def test_lengths_that_can_be_understood_in_two_ways_are_refused(
    workspace: Workspace, status: int
) -> None:
    async with receiving(workspace) as post:
        for number, (head, body) in enumerate(MALFORMED[status], 1):
            request = b"POST / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + body
            line = await heard(post.port, request)
            assert line.startswith(b"HTTP/1.1 %d " % status), head
            assert post.refused()["broken HTTP"] == (status, number), head
        assert (await post.send(body_of("u2"))).status_code == 200
    assert members(workspace) == {"u2"}


async def test_http_1_0_has_no_chunks(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        request = b"POST / HTTP/1.0\r\nHost: x\r\n" + CHUNKED + b"\r\n" + IN_ONE_CHUNK
        assert (await heard(post.port, request)).startswith(b"HTTP/1.1 400 ")
    assert members(workspace) == set()


async def test_a_second_request_in_a_body_with_two_lengths_is_not_heard(
    workspace: Workspace,
) -> None:
    smuggled = b"POST / HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n" + ONE
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + CHUNKED + b"\r\n"
    async with receiving(workspace) as post:
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        writer.write(head + b"0\r\n\r\n" + smuggled)
        answers = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        assert answers.count(b"HTTP/1.1") == 1
    assert members(workspace) == set()


async def test_the_same_length_twice_is_one_length(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        request = b"POST / HTTP/1.1\r\nHost: x\r\n" + LENGTH + LENGTH + b"\r\n" + ONE
        assert await heard(post.port, request) == b"HTTP/1.1 200 OK"


async def test_a_broken_request_after_a_good_one_is_refused(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b'"waiting":0}')
        writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
        assert b"HTTP/1.1 400 Bad Request" in await asyncio.wait_for(reader.read(), 30)
        writer.close()


async def test_refusals_are_kept_with_the_run(workspace: Workspace) -> None:
    limits = replace(LIMITS, body=1_000, connections=ConnectionLimits(head_seconds=0.2))
    async with receiving(workspace, limits=limits) as post:
        await post.send(b"{broken")
        await post.send(b" " * 2_000)
        await post.send(b" " * 2_000)
        await post.client.post("/webhook")
        await post.client.put("/")
        assert b"408" in await heard(post.port, b"POST")
    (run,) = workspace.ledger.read(runs.all_runs)
    kept = workspace.ledger.read(refused_requests, run.id)
    assert {(item.status, str(item.reason), item.count) for item in kept} == {
        (400, "not JSON", 1),
        (413, "too large", 2),
        (404, "another path", 1),
        (405, "another method", 1),
        (408, "too slow", 1),
    }
    assert all(item.last_at > 0 and item.message for item in kept)
    assert kept[0].reason == "too slow"
