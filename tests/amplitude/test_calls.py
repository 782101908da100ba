import msgspec
import pytest

from amp_console import __version__
from amp_console.amplitude import (
    BadRequest,
    Cohort,
    CohortGone,
    ForeignResponse,
    Ids,
    ServerTrouble,
    Unconfirmed,
    Upload,
    Usage,
    UserMatch,
)
from amp_console.amplitude.client import AmplitudeClient
from amp_console.values import Credentials, IdType, Operation
from tests.amplitude.scripted import ScriptedServer, json_reply, reply

pytestmark = pytest.mark.anyio

CHANGED = {"cohort_id": "abcd1234", "memberships_result": [{"skipped_ids": [], "operation": "ADD"}]}
UPLOADED = {"cohortId": "abcd1234", "metadata": {"matched": 2, "totals": 2}}

LISTED = {
    "appId": 123456,
    "archived": False,
    "definition": {"version": 17},
    "description": "Uploaded",
    "finished": True,
    "id": "abcd1234",
    "name": "Buyers",
    "owners": ["someone@example.com"],
    "viewers": [],
    "published": True,
    "size": 12,
    "type": "manual_upload",
    "lastMod": 1700000001,
    "createdAt": 1700000000,
    "lastComputed": None,
    "hidden": False,
    "brandNewKey": [1],
}


def an_upload(ids: Ids = ("a", "b"), **more: str) -> Upload:
    return Upload(
        name="Buyers",
        app_id=123456,
        id_type=IdType.USER_ID,
        ids=ids,
        owner="someone@example.com",
        **more,  # type: ignore[arg-type]  # only texts are given here
    )


async def test_the_list_is_read_key_by_key(client: AmplitudeClient, server: ScriptedServer) -> None:
    server.will(json_reply(200, {"cohorts": [LISTED]}))
    (cohort,) = await client.list_cohorts()
    assert cohort == Cohort(
        id="abcd1234",
        name="Buyers",
        app_id=123456,
        owners=("someone@example.com",),
        size=12,
        type="manual_upload",
        description="Uploaded",
        published=True,
        archived=False,
        finished=True,
        created_at=1700000000,
        last_modified=1700000001,
        last_computed=None,
    )
    assert cohort.is_static
    assert (server.last.method, server.last.target) == ("GET", "/api/3/cohorts")


@pytest.mark.parametrize(
    ("entry", "cohort"),
    [
        ({"id": "a"}, Cohort(id="a")),
        ({"id": 7, "name": None, "owners": None}, Cohort(id="7")),
        ({"id": "a", "size": 3.0, "appId": "12"}, Cohort(id="a", size=3, app_id=12)),
        ({"id": "a", "size": "many", "owners": "x", "lastMod": {}}, Cohort(id="a")),
        ({"id": "a", "published": False}, Cohort(id="a", published=False)),
        ({"id": "a", "archived": True}, Cohort(id="a", archived=True)),
    ],
)
async def test_missing_and_odd_keys_are_no_trouble(
    client: AmplitudeClient, server: ScriptedServer, entry: object, cohort: Cohort
) -> None:
    server.will(json_reply(200, {"cohorts": [{}, None, entry]}))
    assert await client.list_cohorts() == (cohort,)
    assert not cohort.is_static


@pytest.mark.parametrize("body", [{}, {"cohorts": None}, [], None])
async def test_an_unreadable_list_does_not_pass_for_an_empty_one(
    client: AmplitudeClient, server: ScriptedServer, body: object
) -> None:
    server.will(json_reply(200, body))
    with pytest.raises(ServerTrouble):
        await client.list_cohorts()


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (
            {"rest_download": {"limit": 500, "usage": 12, "resets_at": "2026-12-01"}},
            Usage(500, 12, "2026-12-01"),
        ),
        ({"rest_download": {"limit": 500, "usage": 0}}, Usage(500, 0, None)),
        ({"rest_download": {"limit": 500}}, None),
        ({"rest_download": []}, None),
        ({}, None),
        (None, None),
    ],
)
async def test_usage_is_read_where_its_shape_is_known(
    client: AmplitudeClient, server: ScriptedServer, body: object, usage: Usage | None
) -> None:
    server.will(json_reply(200, body))
    assert await client.usage() == usage
    assert server.last.target == "/api/3/cohorts/usage"


async def test_usage_is_unknown_if_there_is_no_such_call(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    refused = {"error": {"message": "No"}}
    server.will(reply(404), json_reply(404, refused), json_reply(400, refused), reply(400))
    assert await client.usage() is None
    assert await client.usage() is None
    with pytest.raises(BadRequest):
        await client.usage()
    with pytest.raises(ForeignResponse):
        await client.usage()


async def test_an_upload_says_what_the_cohort_is(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(
        json_reply(
            200,
            {
                "cohortId": "abcd1234",
                "metadata": {"matched": 1, "totals": 2, "invalid_ids_sample": ["b"]},
            },
        )
    )
    made = await client.upload(an_upload())
    assert (made.cohort_id, made.matched, made.total) == ("abcd1234", 1, 2)
    assert made.invalid_sample == ("b",)
    assert made.text.startswith('{"cohortId":"abcd1234"')
    assert (server.last.method, server.last.target) == ("POST", "/api/3/cohorts/upload")
    assert msgspec.json.decode(server.last.body) == {
        "name": "Buyers",
        "app_id": 123456,
        "id_type": "BY_USER_ID",
        "ids": ["a", "b"],
        "owner": "someone@example.com",
        "published": True,
        "skip_invalid_ids": True,
    }


async def test_an_upload_can_replace_the_content_of_a_cohort(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    answer = {"cohort_id": "abcd1234", "metadata": {"matched": 1, "totals": 2}}
    server.will(json_reply(200, answer))
    made = await client.upload(an_upload(existing_cohort_id="abcd1234"))
    assert (made.cohort_id, made.matched, made.total) == ("abcd1234", 1, 2)
    assert b'"existing_cohort_id":"abcd1234"' in server.last.body


async def test_only_an_upload_into_a_cohort_can_find_it_gone(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    refused = json_reply(404, {"error": {"message": "No"}})
    server.will(refused, refused)
    with pytest.raises(CohortGone):
        await client.upload(an_upload(existing_cohort_id="abcd1234"))
    with pytest.raises(BadRequest):
        await client.upload(an_upload())


async def test_an_upload_may_come_to_nothing(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(200, {"cohortId": None, "metadata": {"matched": 0, "totals": 2}}))
    assert (await client.upload(an_upload())).cohort_id is None


@pytest.mark.parametrize(
    ("id_type", "on_membership", "on_upload"),
    [
        (IdType.USER_ID, b'"id_type":"BY_NAME"', b'"id_type":"BY_USER_ID"'),
        (IdType.AMPLITUDE_ID, b'"id_type":"BY_ID"', b'"id_type":"BY_AMP_ID"'),
    ],
)
async def test_the_two_calls_name_the_id_types_differently(
    client: AmplitudeClient,
    server: ScriptedServer,
    id_type: IdType,
    on_membership: bytes,
    on_upload: bytes,
) -> None:
    server.will(json_reply(200, CHANGED), json_reply(200, UPLOADED))
    await client.change_members("abcd1234", id_type, Operation.ADD, ["1"])
    assert on_membership in server.last.body
    await client.upload(msgspec.structs.replace(an_upload(), id_type=id_type))
    assert on_upload in server.last.body


@pytest.mark.parametrize(
    ("operation", "word"), [(Operation.ADD, "ADD"), (Operation.REMOVE, "REMOVE")]
)
async def test_a_change_of_members_is_one_entry(
    client: AmplitudeClient, server: ScriptedServer, operation: Operation, word: str
) -> None:
    result = [{"skipped_ids": [], "id_type": "BY_NAME", "operation": word}]
    server.will(json_reply(200, {"cohort_id": "abcd1234", "memberships_result": result}))
    await client.change_members("abcd1234", IdType.USER_ID, operation, ("a", "ü"))
    assert (server.last.method, server.last.target) == ("POST", "/api/3/cohorts/membership")
    assert server.last.headers["content-type"] == "application/json"
    assert msgspec.json.decode(server.last.body) == {
        "cohort_id": "abcd1234",
        "memberships": [{"ids": ["a", "ü"], "id_type": "BY_NAME", "operation": word}],
        "skip_invalid_ids": True,
    }


async def test_raw_ids_arrive_as_they_are(client: AmplitudeClient, server: ScriptedServer) -> None:
    raw = rb'[ "a" ,"\u00fc\ud83d\ude00",  "\/"]'
    server.will(json_reply(200, CHANGED), json_reply(200, UPLOADED))
    await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, msgspec.Raw(raw))
    assert b'"ids":' + raw + b"," in server.last.body
    await client.upload(an_upload(msgspec.Raw(raw)))
    assert b'"ids":' + raw + b"," in server.last.body


@pytest.mark.parametrize(
    ("skipped_ids", "skipped"),
    [
        ("[]", ()),
        ('["a", "ü"]', ("a", "ü")),
        ("[7, 123456789012, 8.0]", ("7", "123456789012", "8")),
        ("[12345678901234567890123]", ("12345678901234567890123",)),
        ('["a", "a"]', ("a",)),
    ],
)
@pytest.mark.parametrize("named", ["", '"id_type":"BY_NAME",', '"id_type":null,'])
@pytest.mark.parametrize("is_raw", [True, False])
async def test_skipped_ids_are_those_that_were_sent(
    client: AmplitudeClient,
    server: ScriptedServer,
    skipped_ids: str,
    skipped: tuple[str, ...],
    named: str,
    is_raw: bool,
) -> None:
    result = f'[{{{named}"skipped_ids":{skipped_ids},"operation":"ADD","more":1}}]'
    body = f'{{"cohort_id":"abcd1234","memberships_result":{result},"more":1}}'
    server.will(reply(200, body.encode()))
    ids = ["a", "ü", "7", "8", "123456789012", "12345678901234567890123"]
    sent = msgspec.Raw(msgspec.json.encode(ids)) if is_raw else ids
    changed = await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, sent)
    assert (changed.skipped, changed.text) == (skipped, body)


def changed(result: str, cohort: str = '"abcd1234"') -> str:
    return f'{{"cohort_id":{cohort},"memberships_result":{result}}}'


CLEAN = '[{"skipped_ids":[],"operation":"ADD"}]'


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"success":true}',
        '{"cohort_id":"abcd1234"}',
        f'{{"memberships_result":{CLEAN}}}',
        changed(CLEAN, '"abcd12345"'),
        changed(CLEAN, '"ABCD1234"'),
        changed(CLEAN, "null"),
        changed("null"),
        changed("[]"),
        changed("{}"),
        changed("7"),
        changed('"done"'),
        changed("[null]"),
        changed("[{}]"),
        changed('[{"skipped_ids":[]}]'),
        changed('[{"operation":"ADD"}]'),
        changed('[{"skipped_ids":[],"operation":"REMOVE"}]'),
        changed('[{"skipped_ids":[],"operation":null}]'),
        changed('[{"skipped_ids":[],"operation":"ADD","id_type":"BY_ID"}]'),
        changed('[{"skipped_ids":[],"operation":"ADD","id_type":"BY_AMP_ID"}]'),
        changed('[{"skipped_ids":[],"operation":"ADD"},{"skipped_ids":[],"operation":"ADD"}]'),
        changed('[{"skipped_ids":[],"operation":"ADD"},{"skipped_ids":[],"operation":"REMOVE"}]'),
        changed('[{"skipped_ids":null,"operation":"ADD"}]'),
        changed('[{"skipped_ids":"a","operation":"ADD"}]'),
        changed('[{"skipped_ids":{"a":1},"operation":"ADD"}]'),
        *(
            changed(f'[{{"skipped_ids":[{odd}],"operation":"ADD"}}]')
            for odd in ('" a"', '"a "', '"A"', '"b"', "7", "null", "true", "[]", "{}", '"a","b"')
        ),
        '{"error":{"message":"No"},' + changed(CLEAN)[1:],
        '{"error":"No",' + changed(CLEAN)[1:],
        '{"errors":[{"message":"No"}],' + changed(CLEAN)[1:],
        '{"success":false,' + changed(CLEAN)[1:],
    ],
)
async def test_only_an_answer_about_this_change_confirms_it(
    client: AmplitudeClient, server: ScriptedServer, body: str
) -> None:
    server.will(reply(200, body.encode()), reply(200, changed(CLEAN).encode()))
    with pytest.raises(
        Unconfirmed, match=r"not confirm the request: its? .* may or may not"
    ) as odd:
        await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])
    assert (odd.value.status, odd.value.text, odd.value.may_be_applied) == (200, body, True)
    await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"success": True},
        {"cohortId": "abcd1234"},
        {"cohortId": "abcd1234", "metadata": None},
        {"cohortId": "abcd1234", "metadata": {"matched": 2}},
        {"cohortId": "abcd1234", "metadata": {"matched": "all", "totals": 2}},
        {"cohortId": "abcd1234", "metadata": {"matched": 3, "totals": 2}},
        {"cohortId": "abcd1234", "metadata": {"matched": -1, "totals": 2}},
        {"metadata": {"matched": 2, "totals": 2}},
        {"cohortId": None, "metadata": {"matched": 2, "totals": 2}},
        {**UPLOADED, "metadata": {"matched": 1, "totals": 2, "invalid_ids_sample": ["c"]}},
        {**UPLOADED, "metadata": {"matched": 1, "totals": 2, "invalid_ids_sample": "b"}},
        {**UPLOADED, "error": {"message": "No"}},
        {**UPLOADED, "success": False},
    ],
)
async def test_only_an_answer_about_this_upload_confirms_it(
    client: AmplitudeClient, server: ScriptedServer, body: object
) -> None:
    server.will(json_reply(200, body))
    with pytest.raises(Unconfirmed) as odd:
        await client.upload(an_upload())
    assert odd.value.may_be_applied


async def test_an_upload_into_a_cohort_is_confirmed_for_that_cohort_alone(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(200, UPLOADED), json_reply(200, UPLOADED))
    await client.upload(an_upload(existing_cohort_id="abcd1234"))
    with pytest.raises(Unconfirmed, match="names another cohort"):
        await client.upload(an_upload(existing_cohort_id="other123"))


async def test_a_download_is_started_for_the_cohort_that_was_named(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    started = {"request_id": "aB3dE6", "cohort_id": "abcd1234"}
    server.will(*(json_reply(202, started) for _ in range(2)), json_reply(202, {}))
    assert await client.start_download("abcd1234") == "aB3dE6"
    with pytest.raises(Unconfirmed):
        await client.start_download("other123")
    with pytest.raises(ServerTrouble):
        await client.start_download("abcd1234")


async def test_the_text_for_the_log_is_the_beginning_of_the_body(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    body = msgspec.json.encode({**CHANGED, "padding": "x" * 5000})
    server.will(reply(200, body))
    changed = await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])
    assert changed.text == body[:2000].decode()


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"3", b"OK", b'{"cohort_id"', b"\xff\xfe"])
async def test_an_answer_that_is_none_does_not_pass_for_a_confirmation(
    client: AmplitudeClient, server: ScriptedServer, body: bytes
) -> None:
    server.will(reply(200, body), reply(200, body))
    with pytest.raises(ServerTrouble) as trouble:
        await client.change_members("abcd1234", IdType.USER_ID, Operation.ADD, ["a"])
    assert trouble.value.may_be_applied
    with pytest.raises(ServerTrouble):
        await client.upload(an_upload())


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a", "user=a"),
        ("a+b@example.com", "user=a%2Bb%40example.com"),
        ("a&b=c#d", "user=a%26b%3Dc%23d"),
        ("ü%20", "user=%C3%BC%2520"),
    ],
)
async def test_a_search_is_encoded(
    client: AmplitudeClient, server: ScriptedServer, text: str, query: str
) -> None:
    server.will(json_reply(200, {"matches": [], "type": "nomatch"}))
    assert await client.find_users(text) == ()
    assert server.last.target == f"/api/2/usersearch?{query}"


async def test_a_search_finds_users_with_and_without_user_id(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    matches = [
        {"user_id": "a", "amplitude_id": 123456789012},
        {"user_id": None, "amplitude_id": "34"},
        {"user_id": "b"},
    ]
    server.will(json_reply(200, {"matches": matches, "type": "match_user_prefix"}))
    assert await client.find_users("a") == (
        UserMatch("a", "123456789012"),
        UserMatch(None, "34"),
    )


async def test_every_request_says_who_is_asking(
    client: AmplitudeClient, server: ScriptedServer
) -> None:
    server.will(json_reply(200, {"cohorts": []}))
    await client.list_cohorts()
    assert server.last.headers["user-agent"] == f"amp-console/{__version__}"
    assert server.last.headers["authorization"] == (
        "Basic ZXhhbXBsZS1hcGkta2V5OmV4YW1wbGUtc2VjcmV0LWtleQ=="
    )


async def test_a_base_url_may_have_a_path(server: ScriptedServer, credentials: Credentials) -> None:
    server.will(json_reply(200, {"cohorts": []}))
    async with AmplitudeClient(f"{server.url}/prefix/", credentials) as client:
        await client.list_cohorts()
    assert server.last.target == "/prefix/api/3/cohorts"


async def test_keys_never_go_out_over_plain_http(credentials: Credentials) -> None:
    with pytest.raises(ValueError, match="plain http is for this machine only"):
        AmplitudeClient("http://example.com", credentials)


async def test_a_proxy_from_the_environment_does_not_get_plain_http(
    client: AmplitudeClient,
    server: ScriptedServer,
    credentials: Credentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.will(json_reply(200, {"cohorts": []}))
    async with AmplitudeClient(server.url, credentials) as ours:
        assert await ours.list_cohorts() == ()
