import gzip
import socket
from datetime import UTC, datetime

import pytest

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    ForeignResponse,
    KeysRefused,
    MembersChanged,
    NoConnection,
    RateLimited,
    ResponseTooLong,
    ServerTrouble,
    TimedOut,
    TooLarge,
    Unconfirmed,
    Unreachable,
)
from amp_console.amplitude.client import AmplitudeClient
from amp_console.values import Credentials, IdType, Operation
from tests.amplitude.scripted import Reply, ScriptedServer, Then, json_reply, reply

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html; charset=utf-8"}
WHOLE = b'{"cohort_id":"abcd1234","memberships_result":[{"skipped_ids":[],"operation":"ADD"}]}'


async def change(client: AmplitudeClient) -> MembersChanged:
    return await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])


@pytest.mark.parametrize(
    ("given", "kind", "maybe"),
    [
        (reply(403, b'{"error":{"metadata":{"details":"Invalid API Key"}}}'), KeysRefused, False),
        (reply(404, b'{"error":{"message":"No such thing"}}'), CohortGone, False),
        (reply(403, b"<html>Blocked</html>", HTML), ForeignResponse, True),
        (reply(404), ForeignResponse, True),
        (reply(400, b'{"error":{"message":"Cohort abcd1234 not found"}}'), CohortGone, False),
        (reply(413), TooLarge, False),
        (reply(400, b"null"), ForeignResponse, True),
        (reply(400, b'{"error":"Odd"}'), BadRequest, False),
        (reply(200, b"{}"), Unconfirmed, True),
        (reply(429), RateLimited, False),
        (reply(429, b'{"error":"Exceeded concurrent limit"}'), RateLimited, False),
        (reply(500), ServerTrouble, True),
        (reply(502, b"<html>", HTML), ServerTrouble, True),
        (reply(200, b"<html>", HTML), ServerTrouble, True),
        (reply(200, WHOLE, HTML), ServerTrouble, True),
        (reply(302, b"", {"Location": "https://example.com/"}), ServerTrouble, False),
        (reply(200, b"no gzip", {"Content-Encoding": "gzip"}), ServerTrouble, True),
        (reply(200, WHOLE, cut=1), NoConnection, True),
        (Reply(b"", Then.RESET), NoConnection, True),
        (Reply(b""), NoConnection, True),
        (Reply(b"HTTP/1.1 200 OK\r\nContent-Le", Then.RESET), NoConnection, True),
        (Reply(b"\x16\x03\x01 not HTTP at all\r\n\r\n"), NoConnection, True),
        (Reply(reply(200, WHOLE, cut=9).data, Then.RESET), NoConnection, True),
    ],
)
async def test_trouble_comes_as_our_own_error(
    client: AmplitudeClient,
    server: ScriptedServer,
    given: Reply,
    kind: type[AmplitudeError],
    maybe: bool,
) -> None:
    server.will(given)
    with pytest.raises(AmplitudeError) as caught:
        await change(client)
    assert type(caught.value) is kind
    assert caught.value.may_be_applied is maybe
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n", reply(200, WHOLE, cut=5).data])
async def test_a_silent_server_is_not_waited_for(
    server: ScriptedServer, credentials: Credentials, data: bytes
) -> None:
    server.will(Reply(data, Then.SILENCE))
    async with AmplitudeClient(server.url, credentials, timeout=0.2) as client:
        with pytest.raises(TimedOut) as caught:
            await change(client)
    assert caught.value.may_be_applied
    assert caught.value.status is None


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", reply(200, WHOLE, cut=9).data])
async def test_an_answer_that_trickles_has_no_longer_than_any_other(
    server: ScriptedServer, credentials: Credentials, head: bytes
) -> None:
    head = head.replace(b"Content-Length: ", b"Content-Length: 9")
    server.will(Reply(head, Then.TRICKLE))
    async with AmplitudeClient(server.url, credentials, timeout=0.2) as client:
        with pytest.raises(TimedOut) as caught:
            await change(client)
    assert caught.value.may_be_applied


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("is_packed", [True, False])
async def test_an_answer_without_end_is_not_read_to_its_end(
    server: ScriptedServer, credentials: Credentials, status: int, is_packed: bool
) -> None:
    body = b"[" + b" " * 3_000_000 + b"]"
    server.will(reply(status, gzip.compress(body) if is_packed else body))
    async with AmplitudeClient(server.url, credentials, largest_answer=100_000) as client:
        with pytest.raises(AmplitudeError) as caught:
            await change(client)
    kinds: dict[int, type[AmplitudeError]]
    kinds = {200: ResponseTooLong, 400: ForeignResponse, 403: ForeignResponse, 429: RateLimited}
    assert type(caught.value) is kinds.get(status, ServerTrouble)
    assert caught.value.may_be_applied is (status != 429)


async def test_an_address_without_a_server_changes_nothing(credentials: Credentials) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        async with AmplitudeClient(url, credentials) as client:
            with pytest.raises(NoConnection) as caught:
                await change(client)
    assert not caught.value.may_be_applied
    assert caught.value.reason is Unreachable.REFUSED
    assert str(caught.value).startswith(f"{url.removeprefix('http://')} refused the connection. ")


async def test_the_client_continues_after_trouble(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(Reply(b"", Then.RESET), reply(200, WHOLE))
    with pytest.raises(NoConnection):
        await change(client)
    assert (await change(client)).skipped == ()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0), ("soon", None), (None, None)],
)
async def test_amplitude_says_how_long_to_wait(
    server: ScriptedServer, credentials: Credentials, header: str | None, seconds: float | None
) -> None:
    server.will(reply(429, b"", {"Retry-After": header} if header else {}))
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    async with AmplitudeClient(server.url, credentials, now=lambda: now) as client:
        with pytest.raises(RateLimited) as caught:
            await change(client)
    assert caught.value.retry_after == seconds


async def test_the_culprits_of_a_refusal_are_named(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    metadata = {"memberships_result": [{"skipped_ids": ["a", 7]}]}
    server.will(json_reply(400, {"error": {"message": "Bad ids", "metadata": metadata}}))
    with pytest.raises(BadRequest) as caught:
        await change(client)
    assert caught.value.named_ids == ("a", "7")
    assert caught.value.message == "Bad ids"
