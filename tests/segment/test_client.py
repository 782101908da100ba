"""Segment's two APIs over real HTTP: pages, rate limits, refusals, and unknown values."""

import base64
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from amp_console.http import Unreachable
from amp_console.segment import (
    SegmentBusy,
    SegmentError,
    SegmentMisconfigured,
    SegmentTrouble,
    SegmentUnreachable,
    SpaceNotFound,
    TokenRefused,
    profiles_url,
    public_url,
)
from amp_console.segment.calls import LARGEST_ANSWER, CallOptions
from amp_console.segment.client import ProfilesClient, PublicClient
from amp_console.simulator import Canned, ListedAudience, Simulator, Size
from amp_console.simulator.segment import (
    PROFILES_TOKEN,
    SPACE_ID,
    TOKEN,
    ListedDestination,
    Metadata,
)
from amp_console.values import Secret, SegmentRegion
from tests.amplitude.scripted import ScriptedServer, json_reply


class Waits:
    """The seconds that a client would have waited."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.told: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def options(self) -> CallOptions:
        return CallOptions(sleep=self.sleep, on_wait=self.told.append, environ={})


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
async def client(
    simulator: Simulator, waits: Waits, anyio_backend: str
) -> AsyncIterator[PublicClient]:
    async with PublicClient(simulator.base_url, TOKEN, waits.options) as ours:
        yield ours


@pytest.fixture
async def profiles(
    simulator: Simulator, waits: Waits, anyio_backend: str
) -> AsyncIterator[ProfilesClient]:
    async with ProfilesClient(simulator.base_url, SPACE_ID, PROFILES_TOKEN, waits.options) as ours:
        yield ours


def canned(status: int, document: Any = None, **headers: str) -> Canned:
    return Canned(status, json.dumps(document).encode(), headers)


def test_each_region_has_its_hosts() -> None:
    assert public_url(SegmentRegion.US) == "https://api.segmentapis.com"
    assert public_url(SegmentRegion.EU) == "https://eu1.api.segmentapis.com"
    assert profiles_url(SegmentRegion.US) == "https://profiles.segment.com"
    assert profiles_url(SegmentRegion.EU) == "https://profiles.euw1.segment.com"


async def test_all_pages_of_a_space_are_read(simulator: Simulator, client: PublicClient) -> None:
    simulator.segment.page = 2
    simulator.segment.audiences = [
        ListedAudience(id=f"aud_{n}", key=f"key_{n}", name=f"Name {n}", size=Size(n * 1000.0))
        for n in range(5)
    ]
    found = await client.audiences(SPACE_ID)
    assert [audience.id for audience in found] == [f"aud_{n}" for n in range(5)]
    assert (found[4].key, found[4].name, found[4].status) == ("key_4", "Name 4", "Live")
    assert (found[4].size, found[4].unit, found[4].is_enabled) == (4000, "USERS", True)
    assert len(simulator.segment.requests) == 3


async def test_the_destinations_in_amplitude_of_an_audience_are_read(
    simulator: Simulator, client: PublicClient
) -> None:
    simulator.segment.page = 2
    simulator.segment.destinations["aud_1"] = [
        ListedDestination(),
        ListedDestination(name="Cohorts of the EU", enabled=False),
        ListedDestination(name="Amplitude", metadata=Metadata("actions-slack", "Slack")),
        ListedDestination(name="Our amplitude", metadata=None),
    ]
    found = await client.destinations(SPACE_ID, "aud_1")
    assert found == (
        ("Amplitude Cohorts", True),
        ("Cohorts of the EU", False),
        ("Our amplitude", True),
    )
    assert await client.destinations(SPACE_ID, "aud_2") == ()
    simulator.segment.hidden_destinations = 1
    assert await client.destinations(SPACE_ID, "aud_2") is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, None),
        ({}, None),
        ({"type": "USERS"}, None),
        ({"type": "USERS", "count": None}, None),
        ({"type": "USERS", "count": "many"}, None),
        ({"type": "USERS", "count": -1}, None),
        ({"type": "USERS", "uniqueCount": 7.0}, 7),
        ({"type": "USERS", "count": 0}, 0),
        ({"type": "USERS", "count": 1.5e6}, 1_500_000),
        ({"type": "USERS", "count": 1e300}, None),
        ({"type": "USERS", "count": 2**63}, None),
    ],
)
async def test_a_size_that_segment_does_not_give_is_unknown_and_not_0(
    simulator: Simulator, client: PublicClient, size: Any, expected: int | None
) -> None:
    entry = {"id": "aud_1", "key": "shoppers", "size": size}
    simulator.segment.instead = [canned(200, {"data": {"audiences": [entry, {"id": "no key"}]}})]
    (found,) = await client.audiences(SPACE_ID)
    assert found.size == expected
    assert (found.name, found.status, found.definition) == ("shoppers", None, None)


@pytest.mark.parametrize(
    ("document", "headers", "seconds"),
    [
        ({}, {"Retry-After": "12"}, 12.0),
        ({"errors": [{"type": "rate", "data": {"msBeforeNext": 7500}}]}, {}, 7.5),
        ({"errors": [{"type": "rate"}]}, {}, 1.0),
        ({"errors": [{"type": "rate", "data": {"msBeforeNext": 1e308}}]}, {}, 1.0),
        ({"errors": [{"type": "rate", "data": {"msBeforeNext": 10**400}}]}, {}, 1.0),
        ({}, {"Retry-After": "0"}, 1.0),
    ],
)
async def test_a_rate_limit_is_waited_for_as_long_as_segment_asks(
    simulator: Simulator,
    client: PublicClient,
    waits: Waits,
    document: Any,
    headers: dict[str, str],
    seconds: float,
) -> None:
    simulator.segment.instead = [canned(429, document, **headers)]
    assert await client.audiences(SPACE_ID) == ()
    assert waits.slept == waits.told == [seconds]


async def test_a_wait_of_a_year_is_not_waited_for(
    simulator: Simulator, client: PublicClient, waits: Waits
) -> None:
    simulator.segment.instead = [canned(429, {}, **{"Retry-After": "31536000"})]
    with pytest.raises(SegmentBusy, match="Wait 8,760 hours, then try again"):
        await client.audiences(SPACE_ID)
    assert waits.slept == []


async def test_waits_for_rate_limits_end(
    simulator: Simulator, client: PublicClient, waits: Waits
) -> None:
    simulator.segment.instead = [canned(429, {}, **{"Retry-After": "25"})] * 9
    with pytest.raises(SegmentBusy, match="Wait 25 s, then try again") as caught:
        await client.audiences(SPACE_ID)
    assert waits.slept == [25.0, 25.0]
    assert caught.value.retry_after == 25


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            canned(401, {"errors": [{"type": "unauthorized", "message": "No such token"}]}),
            TokenRefused,
            "Segment refused the token (status 401): No such token. Check the token, ",
        ),
        (canned(403, {"errors": [{"type": "forbidden"}]}), TokenRefused, "(status 403): forbidden"),
        (
            canned(404, {"errors": [{"message": "not found"}]}),
            SpaceNotFound,
            "Segment has no such space (status 404): not found. Check the space ID",
        ),
        (Canned(403, b"<html>Blocked</html>"), SegmentTrouble, "refused the request (status 403)"),
        (canned(500, {}), SegmentTrouble, "could not answer (status 500). Try again later."),
        (canned(301, {}, Location="/else"), SegmentTrouble, "with a redirect (status 301). Check"),
        (canned(200, {"data": {}}), SegmentTrouble, "could not be understood"),
        (Canned(200, b"<html>"), SegmentTrouble, "could not be understood"),
        (Canned(200, gzip.compress(b" " * LARGEST_ANSWER + b"{}")), SegmentTrouble, "is too long."),
        (Canned(200, gzip.compress(b"{}")[:-8] + b"12345678"), SegmentTrouble, "be understood"),
    ],
)
async def test_a_refusal_says_what_to_do(
    simulator: Simulator,
    client: PublicClient,
    answer: Canned,
    kind: type[SegmentError],
    message: str,
) -> None:
    simulator.segment.instead = [answer]
    with pytest.raises(SegmentError) as caught:
        await client.audiences(SPACE_ID)
    assert type(caught.value) is kind
    assert message in str(caught.value)


async def test_a_wrong_token_and_a_wrong_space_are_distinguished(
    simulator: Simulator, client: PublicClient, waits: Waits
) -> None:
    with pytest.raises(SpaceNotFound):
        await client.audiences("spa_of_others")
    async with PublicClient(simulator.base_url, Secret("wrong"), waits.options) as other:
        with pytest.raises(TokenRefused):
            await other.audiences(SPACE_ID)


async def test_pages_without_an_end_are_an_error(
    simulator: Simulator, client: PublicClient
) -> None:
    pages = [{"audiences": [], "pagination": {"next": f"page {n}"}} for n in range(1000)]
    simulator.segment.instead = [canned(200, {"data": page}) for page in pages]
    with pytest.raises(SegmentTrouble, match="does not end"):
        await client.audiences(SPACE_ID)


async def test_a_page_that_begins_where_an_earlier_one_did_is_not_asked_for_again(
    simulator: Simulator, client: PublicClient
) -> None:
    pages = [{"audiences": [], "pagination": {"next": at}} for at in ("a", "b", "a", "b", "a")]
    simulator.segment.instead = [canned(200, {"data": page}) for page in pages]
    with pytest.raises(SegmentTrouble, match="does not end"):
        await client.audiences(SPACE_ID)
    assert len(simulator.segment.requests) == 3


async def test_a_name_of_invisible_marks_gives_way_to_the_key(
    simulator: Simulator, client: PublicClient
) -> None:
    entry = {"id": "aud_1", "key": "shoppers", "name": "\u200b\n"}
    simulator.segment.instead = [canned(200, {"data": {"audiences": [entry]}})]
    (found,) = await client.audiences(SPACE_ID)
    assert found.name == "shoppers"


async def test_no_connection_says_why(waits: Waits) -> None:
    async with PublicClient("http://127.0.0.1:1", TOKEN, waits.options) as client:
        with pytest.raises(SegmentUnreachable) as caught:
            await client.audiences(SPACE_ID)
    assert str(caught.value).startswith("127.0.0.1:1 refused the connection. ")
    assert Unreachable.REFUSED.next in str(caught.value)


async def test_a_broken_network_setting_is_reported(waits: Waits) -> None:
    options = waits.options._replace(environ={"HTTPS_PROXY": "ftp://p.example"})
    with pytest.raises(SegmentMisconfigured, match="HTTPS_PROXY is invalid"):
        async with PublicClient("https://segment.example", TOKEN, options):
            pass


async def test_an_address_that_cannot_be_one_is_reported(waits: Waits) -> None:
    for url in ("ftp://segment.example", "http://segment.example"):
        with pytest.raises(
            SegmentUnreachable, match=r"can't be asked: the base URL must .*\. Connect"
        ):
            async with PublicClient(url, TOKEN, waits.options):
                pass


async def test_the_token_is_masked_in_what_comes_back(
    simulator: Simulator, client: PublicClient
) -> None:
    shown = f"header Authorization: Bearer {TOKEN.reveal()}"
    simulator.segment.instead = [canned(403, {"errors": [{"message": shown}]})]
    with pytest.raises(TokenRefused) as caught:
        await client.audiences(SPACE_ID)
    assert "Authorization: Bearer ***" in str(caught.value)
    assert TOKEN.reveal() not in repr(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/", r"\/"),
        ("+", r"\u002B"),
        ("=", "%3D"),
        ("&", "&amp;"),
        ("'", "&#39;"),
        ("<", "&#x3C;"),
    ],
)
async def test_a_token_is_masked_however_what_comes_back_escapes_it(
    simulator: Simulator, waits: Waits, before: str, after: str
) -> None:
    escaped = f'{{"errors": [{{"message": "sgp_false{after}token is wrong"}}]}}'
    simulator.segment.instead = [Canned(403, escaped.encode())]
    token = Secret(f"sgp_false{before}token")
    async with PublicClient(simulator.base_url, token, waits.options) as client:
        with pytest.raises(TokenRefused) as caught:
            await client.audiences(SPACE_ID)
    assert caught.value.message == "*** is wrong"


async def test_a_profile_says_in_which_audiences_a_person_is(
    simulator: Simulator, profiles: ProfilesClient
) -> None:
    simulator.segment.page = 2
    simulator.segment.profiles["ana"] = {"shoppers": True, "lapsed": False, "a": True}
    found = await profiles.audiences_of("ana")
    assert found == {"shoppers": True, "lapsed": False, "a": True}
    assert len(simulator.segment.requests) == 2
    assert await profiles.audiences_of("bo") is None


@pytest.mark.parametrize("user_id", ["a+b@acme.example", "a/b c", "Ünï:1%2F", "a?b#c"])
async def test_any_user_id_is_asked_for_in_lower_case_and_encoded(
    simulator: Simulator, profiles: ProfilesClient, user_id: str
) -> None:
    simulator.segment.profiles[user_id.lower()] = {"shoppers": True}
    assert await profiles.audiences_of(user_id) == {"shoppers": True}


async def test_traits_that_continue_nowhere_are_not_taken_for_all_of_them(
    simulator: Simulator, profiles: ProfilesClient
) -> None:
    page = {"traits": {"shoppers": True}, "cursor": {"has_more": True, "next": ""}}
    simulator.segment.instead = [canned(200, page)]
    with pytest.raises(SegmentTrouble, match="could not be understood"):
        await profiles.audiences_of("ana")


async def test_a_user_id_that_no_request_can_hold_is_reported(
    simulator: Simulator, profiles: ProfilesClient
) -> None:
    with pytest.raises(SegmentUnreachable, match=r"too long to be sent\. Nothing was sent\."):
        await profiles.audiences_of("x" * 70_000)
    assert simulator.segment.requests == []


async def test_no_profile_is_not_the_same_as_no_space(simulator: Simulator, waits: Waits) -> None:
    async with ProfilesClient(
        simulator.base_url, "spa_other", PROFILES_TOKEN, waits.options
    ) as client:
        with pytest.raises(SpaceNotFound):
            await client.audiences_of("ana")


async def test_what_is_sent_is_what_segment_documents(waits: Waits, anyio_backend: str) -> None:
    async with ScriptedServer().running() as server:
        server.will(json_reply(200, {"data": {"audiences": []}}), json_reply(200, {"traits": {}}))
        async with PublicClient(server.url, TOKEN, waits.options) as client:
            await client.audiences("spa_1")
        assert server.last.target == "/spaces/spa_1/audiences?pagination%5Bcount%5D=200"
        assert server.last.headers["authorization"] == f"Bearer {TOKEN.reveal()}"
        assert server.last.headers["accept"] == "application/vnd.segment.v1+json"
        async with ProfilesClient(server.url, "spa_1", PROFILES_TOKEN, waits.options) as profiles:
            await profiles.audiences_of("A+b/c")
        assert server.last.target == (
            "/v1/spaces/spa_1/collections/users/profiles/user_id:a%2Bb%2Fc/traits"
            "?class=audience&limit=200"
        )
        pair = base64.b64encode(f"{PROFILES_TOKEN.reveal()}:".encode()).decode()
        assert server.last.headers["authorization"] == f"Basic {pair}"
