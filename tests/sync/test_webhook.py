"""The receiver over real HTTP: events answered with 2xx are in the ledger, others are refused."""

import asyncio
import contextlib
import json
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence

import httpx
import pytest
from msgspec.structs import replace

from amp_console.ledger.received import ReceivedBatch
from amp_console.ledger.runs import RunStatus, all_runs
from amp_console.sync.ingest.stream import IngestResult, StreamIngestor
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.http_server import ConnectionLimits, listen_on
from amp_console.sync.sources.protocols import CannotBind
from amp_console.sync.sources.webhook import Receiver, ReceiverOptions, check_host
from amp_console.values import IdType, Secret
from tests.ledgers import fail, fail_no_more
from tests.ports import free_port
from tests.sync.test_live import until
from tests.sync.webhook_sender import (
    LIMITS,
    LIVE_OPTIONS,
    SECRET,
    SOON,
    body_of,
    listening,
    members,
    receiver,
    receiving,
    signed,
)
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio


async def test_what_is_answered_with_200_is_in_the_ledger_and_then_in_the_cohort(
    workspace: Workspace,
) -> None:
    async with receiving(workspace) as post:
        one = await post.send(json.dumps(event("u1", True)).encode())
        many = await post.send(body_of("u2", "u3"))
        assert (one.status_code, one.json()) == (200, {"taken": 1})
        assert (many.status_code, many.json()) == (200, {"taken": 2})
        assert members(workspace) == {"u1", "u2", "u3"}
    assert workspace.cohort() == {"u1", "u2", "u3"}


async def test_a_signature_of_the_first_event_or_of_the_whole_body_is_right(
    workspace: Workspace,
) -> None:
    first, second = (json.dumps(event(user, True), separators=(",", ":")) for user in ("é", "u2"))
    array = f"[{first},{second}]".encode()
    async with receiving(workspace, SECRET) as post:
        assert (await post.send(first.encode(), signed(first.encode()))).status_code == 200
        assert (await post.send(array, signed(first.encode()))).status_code == 200
        assert (await post.send(array, signed(first.encode()).upper())).status_code == 200
        assert (await post.send(array, signed(array))).status_code == 200
        assert (await post.send(array, signed(second.encode()))).status_code == 401
    assert members(workspace) == {"é", "u2"}


async def test_a_wrong_or_missing_signature_is_refused(workspace: Workspace) -> None:
    others = (signed(b"another body"), signed(body_of("u2")), signed(b"", "wrong"))
    async with receiving(workspace, SECRET) as post:
        for signature in (None, "", "x", "é", *others):
            for body in (body_of("u1"), b"{broken"):
                assert (await post.send(body, signature)).status_code == 401, (signature, body)
    assert members(workspace) == set()


async def test_what_is_no_json_is_refused(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        for body in (b"", b"{broken", b'{"a":1', b"17", b'"text"', b"\xff", b"[1,"):
            assert (await post.send(body)).status_code == 400, body


async def test_events_that_say_nothing_are_accounted_for_and_taken(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        odd = [event("u1", True), {"type": "page"}, 17, event(None, True)]
        assert (await post.send(json.dumps(odd).encode())).json() == {"taken": 4}
        assert (await post.send(b"[]")).json() == {"taken": 0}
        await until(lambda: post.live.snapshot().tally.read == 4)
        tally = post.live.snapshot().tally
        assert (tally.read, tally.valid, tally.filtered, tally.invalid) == (4, 1, 1, 2)


async def test_empty_arrays_keep_nothing_and_the_next_events_are_kept(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        workspace.ledger.write(fail, "INSERT", "member")  # so that nothing is merged
        for body in (b"[]", b"[]", body_of("u1"), b"[]", body_of("u2")):
            assert (await post.send(body)).status_code == 200
        workspace.ledger.write(fail_no_more, "member")
    assert workspace.cohort() == {"u1", "u2"}


async def test_a_body_of_50_megabytes_is_refused_and_the_next_one_taken(
    workspace: Workspace,
) -> None:
    async with receiving(workspace) as post:
        answer = await post.client.post("/", content=b" " * 50 * 1024 * 1024)
        assert answer.status_code == 413
        assert (await post.send(body_of("u1"))).status_code == 200


async def test_a_body_without_a_length_is_measured(
    workspace: Workspace,
) -> None:

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    async with receiving(workspace, limits=replace(LIMITS, body=1_000)) as post:
        answer = await post.client.post("/", content=pieces())
        assert answer.status_code == 413


async def test_more_than_can_be_held_is_asked_to_come_again(workspace: Workspace) -> None:
    async with receiving(workspace, limits=replace(LIMITS, held=10)) as post:
        answer = await post.send(body_of("u1"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert members(workspace) == set()


@pytest.fixture
def many_handles() -> Iterator[None]:
    """Allow this process the file descriptors of both ends of a few thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def slow_connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Start a request, and never finish its headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Le")
    return reader, writer


async def answer_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """What a connection receives until it is closed; nothing if it is reset."""
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer.partition(b"\r\n")[0]


async def silent_body(port: int, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Announce a body, and send its first byte only."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    signature = b"X-Signature: announced"
    writer.write(
        b"POST / HTTP/1.1\r\n%s\r\nHost: x\r\nContent-Length: %d\r\n\r\n[" % (signature, length)
    )
    await writer.drain()
    return reader, writer


async def test_bodies_that_are_announced_and_do_not_come_take_no_room(workspace: Workspace) -> None:
    async with receiving(workspace, SECRET, limits=replace(LIMITS, body_seconds=0.5)) as post:
        silent = [await silent_body(post.port, LIMITS.body) for _ in range(50)]
        answer = await post.send(body_of("u1"), signed(json.dumps(event("u1", True)).encode()))
        assert answer.status_code == 200
        ended = await asyncio.gather(*(answer_to(*item) for item in silent))
        assert {*ended} == {b"HTTP/1.1 408 Request Timeout"}
    assert members(workspace) == {"u1"}


async def test_what_was_held_is_let_go_however_a_request_ends(workspace: Workspace) -> None:
    async with receiving(workspace, limits=replace(LIMITS, held=5_000)) as post:
        for _ in range(6):  # more than 5,000 bytes, were any of them still held
            _, writer = await silent_body(post.port, 4_000)
            writer.write(b" " * 2_000)
            writer.close()
            refused = await post.send(b" " * 6_000)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert (await post.send(b"{broken" * 300)).status_code == 400
        assert (await post.send(body_of("u1"))).status_code == 200
        assert post.live.snapshot().sources[0].trouble == ""


async def test_why_the_last_request_was_refused_is_seen(workspace: Workspace) -> None:
    async with receiving(workspace, SECRET) as post:
        await post.send(body_of("u1"), "wrong")
        (source,) = post.live.snapshot().sources
        assert source.name == f"http://127.0.0.1:{post.client.base_url.port}/"
        assert "(401). The signature (X-Signature) is wrong." in source.trouble


async def test_a_full_disk_is_reported_and_the_sender_tries_again(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        workspace.ledger.write(fail, "INSERT", "received")
        answer = await post.send(body_of("u1"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        workspace.ledger.write(fail_no_more, "received")
        assert (await post.send(body_of("u1"))).status_code == 200
    assert workspace.cohort() == {"u1"}


async def test_what_was_answered_is_merged_once_the_ledger_can_be_written(
    workspace: Workspace,
) -> None:
    async with receiving(workspace, merging=SOON) as post:
        workspace.ledger.write(fail, "INSERT", "member")
        assert (await post.send(body_of("u1"))).status_code == 200
        await until(lambda: "wait to be merged" in post.live.snapshot().sources[0].trouble)
        assert (await post.send(body_of("u2"))).status_code == 200
        workspace.ledger.write(fail_no_more, "member")
        await until(lambda: post.live.snapshot().tally.read == 2)
        assert post.live.snapshot().sources[0].trouble == ""
    assert workspace.cohort() == {"u1", "u2"}


async def test_once_much_waits_to_be_merged_senders_are_asked_to_come_again(
    workspace: Workspace,
) -> None:
    async with receiving(workspace, merging=replace(SOON, held=1)) as post:
        workspace.ledger.write(fail, "INSERT", "member")
        assert (await post.send(body_of("u1"))).status_code == 200
        refused = await post.send(body_of("u2"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
        assert post.refused() == {"too much at once": (503, 1)}
        workspace.ledger.write(fail_no_more, "member")
        await until(lambda: post.live.snapshot().tally.read == 1)
        assert (await post.send(body_of("u2"))).status_code == 200
    assert workspace.cohort() == {"u1", "u2"}


async def test_what_is_left_at_the_end_is_merged_by_who_opens_the_ledger_next(
    workspace: Workspace,
) -> None:
    async with receiving(workspace) as post:
        workspace.ledger.write(fail, "INSERT", "member")
        assert (await post.send(body_of("u1"))).status_code == 200
    workspace.ledger.write(fail_no_more, "member")
    assert members(workspace) == {"u1"}


@pytest.mark.parametrize(("table", "status"), [("received", 503), ("audience", 200)])
async def test_what_segment_says_of_an_audience_counts_when_it_is_sent_again(
    workspace: Workspace, table: str, status: int
) -> None:
    hints = {"audience_settings": {"id_type": "BY_AMP_ID", "cohort_name": "Best"}}
    body = json.dumps(event("u1", True, personas=hints)).encode()
    async with receiving(workspace, merging=SOON) as post:
        workspace.ledger.write(fail, "INSERT", table)
        assert (await post.send(body)).status_code == status
        workspace.ledger.write(fail_no_more, table)
        assert (await post.send(body)).status_code == 200
    audience = workspace.audience()
    assert (audience.id_type, audience.cohort_name) == (IdType.AMPLITUDE_ID, "Best")


async def test_many_senders_at_once_lose_nothing(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        answers = await asyncio.gather(*(post.send(body_of(f"u{n}")) for n in range(150)))
        taken = [n for n, answer in enumerate(answers) if answer.status_code == 200]
        assert len(taken) >= 50
        assert all(answer.status_code in {200, 503} for answer in answers)
        assert {f"u{n}" for n in taken} <= members(workspace)
    assert {f"u{n}" for n in taken} <= workspace.cohort()


async def test_a_sender_that_goes_away_harms_no_one(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        port = post.client.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        await writer.drain()
        writer.close()
        del reader
        assert (await post.send(body_of("u1"))).status_code == 200


async def test_a_sender_that_closes_its_side_after_the_request_hears_the_answer(
    workspace: Workspace,
) -> None:
    body = body_of("u1")
    async with receiving(workspace) as post:
        reader, writer = await asyncio.open_connection("127.0.0.1", post.port)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        writer.write_eof()
        assert await answer_to(reader, writer) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/other"), ("PUT", "/")])
async def test_other_calls_are_refused(workspace: Workspace, method: str, path: str) -> None:
    async with receiving(workspace) as post:
        answer = await post.client.request(method, path)
        assert answer.status_code in {404, 405}


def test_others_may_reach_it_only_with_a_secret() -> None:
    check_host("127.0.0.1", None)
    check_host("0.0.0.0", Secret(SECRET))  # noqa: S104
    with pytest.raises(CannotBind, match="AMP_CONSOLE_WEBHOOK_SECRET"):
        check_host("0.0.0.0", None)  # noqa: S104


def test_what_is_no_host_is_reported() -> None:
    for host in ("é" * 70, "no host", "256.1.1.1"):
        with pytest.raises(CannotBind, match="Can't listen on"):
            listen_on(host, 0)


async def test_a_port_in_use_is_reported(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        post = receiver(workspace, taken.getsockname()[1])
        async with workspace.client() as amplitude:
            live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
            with pytest.raises(CannotBind, match="Can't listen on"):
                await live.run(post)
    (run,) = workspace.ledger.read(all_runs)
    assert run.status is RunStatus.STOPPED
    assert "Can't listen on" in run.note


@pytest.mark.usefixtures("many_handles")
async def test_2_000_slow_connections_are_turned_away_and_nothing_is_lost(
    workspace: Workspace,
) -> None:
    """They take all connections; later clients are asked to come again, and can do so soon."""
    connections = ConnectionLimits(head_seconds=3_600.0)  # however slow this machine is
    async with receiving(workspace, limits=replace(LIMITS, connections=connections)) as post:
        port = post.port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        slow = [await slow_connection(port) for _ in range(connections.connections - 20)]
        heard: Counter[bytes] = Counter()
        for _ in range(4):
            wave = [await slow_connection(port) for _ in range(400)]
            heard.update(await asyncio.gather(*(answer_to(*item) for item in wave)))
        assert heard.total() == 1_600
        assert heard.keys() <= {b"HTTP/1.1 503 Service Unavailable", b""}
        assert heard[b"HTTP/1.1 503 Service Unavailable"] >= 1_500
        refused = await post.send(body_of("u1"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert post.refused()["too much at once"] == (503, 1_601)
        for _, writer in silent + slow:
            writer.close()
        while (taken := await post.send(body_of("u1"))).status_code == 503:
            await asyncio.sleep(0.01)
        assert taken.status_code == 200
    assert workspace.cohort() == {"u1"}


async def test_a_connection_that_takes_too_long_makes_room(workspace: Workspace) -> None:
    connections = ConnectionLimits(head_seconds=0.2)
    async with receiving(workspace, limits=replace(LIMITS, connections=connections)) as post:
        port = post.port
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        slow = [await slow_connection(port) for _ in range(20)]
        ended = await asyncio.gather(*(answer_to(*item) for item in silent + slow))
        assert {*ended} == {b"HTTP/1.1 408 Request Timeout"}
        assert (await post.send(body_of("u1"))).status_code == 200
    assert workspace.cohort() == {"u1"}


async def test_an_event_that_means_several_audiences_is_refused_and_the_next_are_taken(
    workspace: Workspace,
) -> None:
    one, two = (event(f"u{n}", True, personas={"computation_id": f"id{n}"}) for n in (1, 2))
    async with receiving(workspace) as post:
        for item in (one, two, event("u3", True, personas={"computation_id": ""}), one):
            assert (await post.send(json.dumps(item).encode())).status_code == 200
        await until(lambda: post.live.snapshot().tally.read == 4)
        assert post.live.snapshot().tally.invalid == 1
    assert members(workspace) == {"u1", "u2"}


class SlowSink:
    """A sink that processes results when allowed to."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.told: list[int] = []

    async def arrived(self, result: IngestResult) -> None:
        self.told.append(result.tally.read)
        await self.may_go_on.wait()

    def catch_up_soon(self) -> None:
        raise AssertionError


async def test_senders_are_answered_while_earlier_events_are_still_counted(
    workspace: Workspace,
) -> None:
    sink, port = SlowSink(), free_port()
    task = asyncio.create_task(receiver(workspace, port).follow(sink))
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=30, verify=False
    ) as client:
        await listening(client, task)
        for user in ("u1", "u2", "u3"):
            assert (await client.post("/", content=body_of(user))).json() == {"taken": 1}
            await until(lambda: sink.told == [1])
    sink.ending.set()
    sink.may_go_on.set()
    await task
    assert sink.told == [1, 2]
    assert members(workspace) == {"u1", "u2", "u3"}


class DefectiveIngestor(StreamIngestor):
    """An ingestor with a defect of ours."""

    def ingest_received(
        self, source_id: int, batches: Sequence[ReceivedBatch], uncertain: Collection[int] = ()
    ) -> IngestResult:
        raise ZeroDivisionError


async def test_a_receiver_that_can_take_nothing_in_ends(workspace: Workspace) -> None:
    port = free_port()
    ingestor = DefectiveIngestor(workspace.ledger, workspace.read_options())
    post = Receiver(ingestor, ReceiverOptions(port=port))
    async with workspace.client() as amplitude:
        live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(post))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, verify=False
        ) as client:
            await listening(client, task)
            with contextlib.suppress(httpx.TransportError):
                await client.post("/", content=body_of("u1"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 20)
