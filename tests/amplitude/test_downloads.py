import gzip
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from amp_console.amplitude import (
    AmplitudeError,
    BadRequest,
    CohortGone,
    DownloadLinkExpired,
    ForeignResponse,
    KeysRefused,
    NoConnection,
    ServerTrouble,
    TimedOut,
    Transient,
)
from amp_console.amplitude.client import AmplitudeClient
from amp_console.http.unpacking import LARGEST_PIECE, unpacked
from amp_console.values import Credentials
from tests.amplitude.scripted import Reply, ScriptedServer, Then, json_reply, reply

pytestmark = pytest.mark.anyio

CSV = b'"amplitude_id","user_id"\r\n' + b'"123456789012","someone"\r\n' * 1000
GZIP = gzip.compress(CSV)
ENCODED = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
PACKED = {"Content-Type": "application/gzip"}


async def whole(pieces: AsyncGenerator[bytes, None]) -> bytes:
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])


@pytest.fixture
async def storage(anyio_backend: str) -> AsyncGenerator[ScriptedServer, None]:
    async with ScriptedServer().running() as running:
        yield running


def found_at(link: str) -> Reply:
    return reply(302, b"elsewhere", {"Location": link})


async def test_a_download_is_started_without_properties(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(202, {"request_id": "Rq0001", "cohort_id": "abcd1234"}))
    assert await client.start_download("abcd1234") == "Rq0001"
    assert server.last.target == "/api/5/cohorts/request/abcd1234?props=0"


@pytest.mark.parametrize("body", [{}, {"request_id": None}, {"request_id": ""}, [], None])
async def test_a_start_without_a_request_id_is_none(
    client: AmplitudeClient, server: ScriptedServer, body: object
) -> None:
    server.will(json_reply(202, body))
    with pytest.raises(ServerTrouble) as caught:
        await client.start_download("abcd1234")
    assert caught.value.may_be_applied


async def test_a_cohort_that_is_gone_cannot_be_downloaded(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(404, {"error": {"message": "No such cohort"}}))
    with pytest.raises(CohortGone):
        await client.start_download("abcd1234")


async def test_ids_cannot_lead_to_another_call(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(202, {"request_id": "Rq0001"}))
    await client.start_download("a/b?c#d")
    assert server.last.target == "/api/5/cohorts/request/a%2Fb%3Fc%23d?props=0"


@pytest.mark.parametrize(
    ("status", "body", "is_ready"),
    [
        (202, b'{"async_status":"JOB INPROGRESS"}', False),
        (200, b'{"async_status":"JOB COMPLETED"}', True),
        (200, b'{"async_status":"whatever"}', True),
        (200, b"", True),
    ],
)
async def test_the_status_code_says_whether_the_file_is_ready(
    client: AmplitudeClient, server: ScriptedServer, status: int, body: bytes, is_ready: bool
) -> None:
    server.will(reply(status, body))
    assert await client.download_ready("Rq0001") is is_ready
    assert server.last.target == "/api/5/cohorts/request-status/Rq0001"


async def test_a_page_of_a_proxy_does_not_say_that_the_file_is_ready(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    page = reply(200, b"<html>", {"Content-Type": "text/html"})
    server.will(page, page)
    with pytest.raises(ServerTrouble):
        await client.download_ready("Rq0001")
    with pytest.raises(ServerTrouble):
        await whole(client.download("Rq0001"))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (CSV, {}),
        (GZIP, ENCODED),
        (GZIP, PACKED),
        (GZIP, {}),
        (gzip.compress(CSV[:100]) + gzip.compress(CSV[100:]), PACKED),
    ],
)
async def test_a_small_file_comes_at_once(
    client: AmplitudeClient, server: ScriptedServer, body: bytes, headers: dict[str, str]
) -> None:
    server.will(reply(200, body, headers))
    assert await whole(client.download("Rq0001")) == CSV
    assert server.last.target == "/api/5/cohorts/request/Rq0001/file"
    assert "authorization" in server.last.headers


async def test_an_empty_file_is_one(client: AmplitudeClient, server: ScriptedServer) -> None:
    server.will(reply(200))
    assert await whole(client.download("Rq0001")) == b""


async def test_a_large_file_is_fetched_from_its_link_without_our_keys(
    client: AmplitudeClient, server: ScriptedServer, storage: ScriptedServer
) -> None:
    signed = "/file.csv.gz?X-Amz-Credential=A%2Fb%2Bc&X-Amz-Signature=0a"
    server.will(found_at(storage.url + signed))
    storage.will(reply(200, GZIP, PACKED))
    assert await whole(client.download("Rq0001")) == CSV
    assert storage.last.target == signed
    assert "authorization" in server.last.headers
    assert "authorization" not in storage.last.headers
    assert "ZXhh" not in str(storage.last)


@pytest.mark.parametrize(
    "link",
    ["http://example.com/file", "ftp://example.com/file", "file:///etc/passwd"],
)
async def test_a_link_that_others_can_read_is_not_followed(
    client: AmplitudeClient, server: ScriptedServer, link: str
) -> None:
    server.will(found_at(link))
    with pytest.raises(ServerTrouble, match="redirect"):
        await whole(client.download("Rq0001"))


async def test_a_link_to_the_same_server_gets_no_keys_either(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(found_at("/elsewhere"), reply(200, CSV))
    assert await whole(client.download("Rq0001")) == CSV
    assert server.last.target == "/elsewhere"
    assert "authorization" not in server.last.headers


async def test_a_link_that_is_no_address_is_trouble(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(found_at("https://[::1"))
    with pytest.raises(Transient):
        await whole(client.download("Rq0001"))


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_link_that_is_over_is_to_be_asked_for_again(
    client: AmplitudeClient, server: ScriptedServer, storage: ScriptedServer, status: int
) -> None:
    server.will(found_at(storage.url), found_at(storage.url))
    storage.will(reply(status, b"<Error><Code>AccessDenied</Code></Error>"), reply(200, CSV))
    with pytest.raises(DownloadLinkExpired) as caught:
        await whole(client.download("Rq0001"))
    assert caught.value.status == status
    assert await whole(client.download("Rq0001")) == CSV


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (json_reply(403, {"error": "No"}), KeysRefused),
        (json_reply(404, {"error": "No"}), BadRequest),
        (reply(403), ForeignResponse),
        (reply(404), ForeignResponse),
        (reply(500), ServerTrouble),
    ],
)
async def test_a_refused_download_is_an_error(
    client: AmplitudeClient, server: ScriptedServer, given: Reply, kind: type[AmplitudeError]
) -> None:
    server.will(given)
    with pytest.raises(kind):
        await whole(client.download("Rq0001"))


async def test_trouble_at_the_storage_is_passing(
    client: AmplitudeClient, server: ScriptedServer, storage: ScriptedServer
) -> None:
    server.will(found_at(storage.url))
    storage.will(reply(503))
    with pytest.raises(ServerTrouble):
        await whole(client.download("Rq0001"))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (reply(200, CSV, cut=10), NoConnection),
        (reply(200, GZIP[:-10]), NoConnection),
        (reply(200, GZIP[:20] + b"damage" + GZIP[20:]), ServerTrouble),
        (Reply(reply(200, CSV, cut=10).data, Then.RESET), NoConnection),
    ],
)
async def test_a_broken_file_never_passes_for_a_whole_one(
    client: AmplitudeClient, server: ScriptedServer, given: Reply, kind: type[AmplitudeError]
) -> None:
    server.will(given)
    with pytest.raises(kind):
        await whole(client.download("Rq0001"))


async def test_a_file_comes_piece_by_piece(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.will(Reply(reply(200, CSV, cut=10).data, Then.SILENCE))
    async with (
        AmplitudeClient(server.url, credentials, timeout=0.2) as client,
        aclosing(client.download("Rq0001")) as pieces,
    ):
        assert (await anext(pieces)).startswith(b'"amplitude_id"')
        with pytest.raises(TimedOut):
            await whole(pieces)


async def test_a_file_that_merely_trickles_is_given_up(
    server: ScriptedServer, credentials: Credentials
) -> None:
    server.will(Reply(reply(200, CSV + b" " * 9999).data[:-9999], Then.TRICKLE))
    async with AmplitudeClient(server.url, credentials, timeout=0.1) as client:
        with pytest.raises(TimedOut):
            await whole(client.download("Rq0001"))


async def test_a_file_is_unpacked_in_pieces_of_bounded_size(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(reply(200, gzip.compress(bytes(20_000_000))))
    sizes = [len(piece) async for piece in client.download("Rq0001")]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= LARGEST_PIECE


async def test_a_download_can_be_left_before_its_end(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(Reply(reply(200, CSV, cut=10).data, Then.SILENCE), json_reply(200, {"cohorts": []}))
    async with aclosing(client.download("Rq0001")) as pieces:
        await anext(pieces)
    assert await client.list_cohorts() == ()


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize("file", [b"", b"a", CSV[:50], GZIP, GZIP + GZIP])
async def test_pieces_of_any_size_are_unpacked(size: int, file: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(file), size):
            yield file[start : start + size]

    expected = CSV * file.count(GZIP) or file
    assert await whole(unpacked(pieces())) == expected
