import httpx
import pytest

from amp_console.simulator import Behavior, Known, Simulator, World
from amp_console.simulator.people import Match
from amp_console.values import IdType

KEYS = ("simulated-api-key", "simulated-secret-key")


@pytest.mark.parametrize(
    ("text", "match", "found"),
    [
        ("ada+1@acme.example", "match_user_or_device_id", ["ada+1@acme.example"]),
        ("ada", "match_user_prefix", ["ada+1@acme.example", "ada2"]),
        ("4000000000", "match_amplitude_id", [None]),
        ("ADA", "nomatch", []),
        ("5000000000", "nomatch", []),
    ],
)
def test_a_search_finds_ids_and_beginnings(text: str, match: str, found: list[str | None]) -> None:
    world = World(Known.REGISTERED)
    world.add_users(["ada+1@acme.example", "ada2", "grace"])
    world.add_user(None, 4_000_000_000)
    with Simulator(world) as simulator:
        answer = httpx.get(
            simulator.base_url + "/api/2/usersearch",
            params={"user": text},
            auth=KEYS,
            trust_env=False,
            verify=False,
        )
    assert answer.json()["type"] == match
    assert [user["user_id"] for user in answer.json()["matches"]] == found
    assert all(isinstance(user["amplitude_id"], int) for user in answer.json()["matches"])


def test_where_every_user_is_known_a_search_finds_all_but_ghosts(http: httpx.Client) -> None:
    met = http.get("/api/2/usersearch", params={"user": "linus"}).json()
    again = http.get("/api/2/usersearch", params={"user": "linus"}).json()
    ghost = http.get("/api/2/usersearch", params={"user": "ghost-7"}).json()
    assert met["matches"] == again["matches"]
    assert ghost == {"matches": [], "type": "nomatch"}


def test_a_search_finds_no_one_invented_until_a_request_has_sent_them() -> None:
    world = World(is_found=lambda text: text.startswith("usr_"))
    assert [world.search(text)[0] for text in ("usr_1", "invented")] == [Match.ID, Match.NO_ONE]
    world.resolve(["invented"], IdType.USER_ID)
    assert world.search("invented")[0] is Match.ID


def test_an_empty_search_is_refused(http: httpx.Client) -> None:
    assert http.get("/api/2/usersearch").status_code == 400


def test_the_hours_searches_can_be_spent() -> None:
    now = [1_000.0]
    world = World(clock=lambda: now[0])
    with (
        Simulator(world, behavior=Behavior(searches_per_hour=2)) as simulator,
        httpx.Client(base_url=simulator.base_url, auth=KEYS, trust_env=False, verify=False) as http,
    ):
        codes = [http.get("/api/2/usersearch?user=ada").status_code for _ in range(3)]
        now[0] += 3_600
        codes.append(http.get("/api/2/usersearch?user=ada").status_code)
    assert codes == [200, 200, 429, 200]


def test_searches_at_the_same_time_have_a_limit(simulator: Simulator, http: httpx.Client) -> None:
    simulator.behavior = Behavior(searches_at_once=0)
    assert http.get("/api/2/usersearch?user=ada").status_code == 429


def test_a_user_that_is_expected_is_known_from_then_on() -> None:
    now = [1_000.0]
    world = World(clock=lambda: now[0])
    world.expect_users(["ghost-1"], 1_045.0)
    assert world.resolve(["ghost-1"], IdType.USER_ID).skipped == ["ghost-1"]
    assert world.search("ghost-1")[0] is Match.NO_ONE
    now[0] = 1_045.0
    assert world.search("ghost-1")[0] is Match.ID
    assert not world.resolve(["ghost-1"], IdType.USER_ID).skipped
    world.expect_users(["ghost-1"], 0.0)  # repeating it does no harm
    assert world.search("ghost-1")[0] is Match.ID
