import logging
import traceback

import pytest

from amp_console.amplitude import AmplitudeError, Unconfirmed
from amp_console.amplitude.client import AmplitudeClient
from amp_console.values import Credentials, IdType, Operation
from tests.amplitude.scripted import Reply, ScriptedServer, Then, json_reply, reply

pytestmark = pytest.mark.anyio

PAIR = "ZXhhbXBsZS1hcGkta2V5OmV4YW1wbGUtc2VjcmV0LWtleQ=="
SECRETS = ("example-api-key", "example-secret-key", PAIR)
ECHO = f"You sent example-api-key and example-secret-key, or Authorization: Basic {PAIR}".encode()


def shows_a_key(text: str) -> bool:
    return any(secret in text for secret in SECRETS)


@pytest.mark.parametrize(
    "given",
    [
        reply(400, ECHO),
        reply(400, b'{"error":{"message":"' + ECHO + b'"}}'),
        reply(400, b'{"error":{"message":"' + ECHO.replace(b"=", rb"\u003D") + b'"}}'),
        reply(502, b"<p>" + ECHO.replace(b"=", b"&#61;") + b"</p>"),
        reply(403, b"x" * 190 + ECHO),
        reply(403, b"x" * 1990 + ECHO),
        reply(500, ECHO),
        reply(200, ECHO),
        Reply(b"", Then.RESET),
        Reply(ECHO),
    ],
)
async def test_no_error_shows_a_key(
    client: AmplitudeClient,
    server: ScriptedServer,
    given: Reply,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(given)
    with pytest.raises(AmplitudeError) as caught:
        await client.list_cohorts()
    error = caught.value
    shown = [str(error), repr(error), error.message, error.text, *map(str, error.args)]
    shown += traceback.format_exception(error)
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if shows_a_key(text)]
    assert "example-" not in error.message + error.text  # not even the beginning of one


async def test_no_answer_shows_a_key(client: AmplitudeClient, server: ScriptedServer) -> None:
    result = [{"skipped_ids": [], "operation": "ADD"}]
    whole = {"cohort_id": "abcd1234", "memberships_result": result, "note": ECHO.decode()}
    server.will(json_reply(200, whole))
    changed = await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])
    assert "You sent ***" in changed.text
    assert not shows_a_key(changed.text)


@pytest.mark.parametrize(
    "answer",
    [
        {"cohort_id": ECHO.decode()},
        {"cohort_id": "abcd1234", "error": ECHO.decode()},
        {
            "cohort_id": "abcd1234",
            "memberships_result": [{"skipped_ids": [ECHO.decode()], "operation": "ADD"}],
        },
    ],
)
async def test_no_answer_that_confirms_nothing_shows_a_key(
    client: AmplitudeClient, server: ScriptedServer, answer: object
) -> None:
    server.will(json_reply(200, answer))
    with pytest.raises(Unconfirmed) as caught:
        await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])
    error = caught.value
    assert "***" in str(error)
    assert not [text for text in (str(error), repr(error), error.text) if shows_a_key(text)]


async def test_no_repr_shows_a_key(client: AmplitudeClient) -> None:
    exchange = client._exchange
    http = exchange._http
    for thing in (client, exchange, vars(exchange), vars(http), http._auth, vars(http._auth)):
        assert not shows_a_key(repr(thing))


async def test_addresses_are_not_logged(
    client: AmplitudeClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.will(json_reply(200, {"matches": []}))
    await client.find_users("someone@example.com")
    assert not [r for r in caplog.records if r.name.startswith(("httpx", "httpcore"))]


async def test_an_empty_key_hides_nothing(server: ScriptedServer, credentials: Credentials) -> None:
    empty = credentials._replace(secret_key=type(credentials.secret_key)(""))
    server.will(reply(403, b"Invalid API/Secret Key combination"))
    async with AmplitudeClient(server.url, empty) as client:
        with pytest.raises(AmplitudeError) as caught:
            await client.list_cohorts()
    assert caught.value.message == "Invalid API/Secret Key combination"
