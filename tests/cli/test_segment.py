"""`segment` and `audiences --segment`: Segment's own view, from the shell."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from amp_console.ledger import open_ledger
from amp_console.simulator import Answer, Canned, ListedAudience, Rule, Size
from amp_console.simulator.segment import (
    PROFILES_TOKEN,
    SPACE_ID,
    TOKEN,
    Definition,
    ListedDestination,
)
from amp_console.text import local_time
from tests.cli.inside import Ended
from tests.cli.operator import Operator
from tests.cli.test_network_settings import BAD
from tests.connections import backends
from tests.sync.workspace import event, ndjson

HOUR = 3_600_000_000  # microseconds
MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}


@pytest.fixture
def operator(operator: Operator) -> Operator:
    operator.environment |= MEMORY
    return operator


def connect(operator: Operator, *more: str, typed: str = TOKEN.reveal()) -> Ended:
    where = ("--space", SPACE_ID, "--base-url", operator.simulator.base_url)
    arguments = ("segment", "connect", *where, "--token-stdin", *more)
    return operator.run(*arguments, stdin=f"{typed}\n".encode())


def listed(key: str, size: float | None, **more: str) -> ListedAudience:
    counted = {} if size is None else {"size": Size(size)}
    values = {"id": f"aud_{key}", "name": f"{key} in Segment"} | more
    return ListedAudience(key=key, **values, **counted)  # type: ignore[arg-type]


def take_in(operator: Operator, tmp_path: Path, *people: str, audience: str = "shoppers") -> None:
    space = {"space_id": SPACE_ID}
    lines = [event(who, True, audience=audience, personas=space) for who in people]
    file = tmp_path / f"{audience}.ndjson"
    file.write_text(ndjson(lines))
    assert operator.run("import", file).status == 0


def test_a_space_is_connected_shown_and_forgotten(operator: Operator, tmp_path: Path) -> None:
    assert "No Segment space is connected. Connect one with" in operator.run("segment", "show").out
    assert operator.run("segment", "show", "--json").document is None
    take_in(operator, tmp_path, "ana")
    operator.simulator.segment.audiences = [listed("shoppers", 1), listed("lapsed", 7)]
    ended = connect(operator)
    assert ended.status == 0, ended
    assert "space spa_o1E: it has 2 audiences, 1 of them not in the ledger." in ended.out
    assert "The token is in your keyring (backends Memory), not in the settings." in ended.out
    shown = operator.run("segment", "show", "--json").document
    assert (shown["space"], shown["region"], shown["audiences"]) == (SPACE_ID, "us", 2)
    assert (shown["has_token"], shown["has_profiles_token"]) == (True, False)
    assert "Profile API   no token" in operator.run("segment", "show").out
    assert "ok     segment" in operator.run("doctor").out
    assert "changed: Segment space spa_o1E." in operator.run("log").out
    forgotten = operator.run("segment", "disconnect")
    assert "Disconnected the Segment space spa_o1E and deleted its tokens." in forgotten.out
    assert backends.Memory.items == {}
    assert operator.run("segment", "show", "--json").document is None
    assert "Nothing was changed." in operator.run("segment", "disconnect").out


@pytest.mark.parametrize(
    ("arguments", "typed", "status", "words"),
    [
        (("--space", SPACE_ID), "wrong", 3, "Segment refused the token (status 401)"),
        (("--space", "spa_else"), TOKEN.reveal(), 4, "Segment has no such space"),
        (("--space", "spa/else"), TOKEN.reveal(), 2, "The ID of a space may only contain letters"),
        (("--space", SPACE_ID), "", 2, "Expected one line on stdin (Public API token), got 0."),
        (("--space", SPACE_ID), "two words", 2, "The token contains a space"),
        (("--space", SPACE_ID, "--region", "eu"), "", 2, "Use either --region or --base-url"),
        ((), TOKEN.reveal(), 2, "Which space? Add --space ID."),
    ],
)
def test_what_segment_does_not_accept_is_not_saved(
    operator: Operator, arguments: tuple[str, ...], typed: str, status: int, words: str
) -> None:
    where = ("--base-url", operator.simulator.base_url, "--token-stdin")
    ended = operator.run("segment", "connect", *where, *arguments, stdin=f"{typed}\n".encode())
    assert ended.status == status, ended
    assert words in ended.err
    assert operator.run("segment", "show", "--json").document is None
    assert backends.Memory.items == {}


def test_without_a_terminal_a_token_has_to_be_piped(operator: Operator) -> None:
    ended = operator.run("segment", "connect", "--space", SPACE_ID)
    assert ended.status == 3
    assert "No token was given. Nothing was saved." in ended.err


def test_read_only_changes_no_space(operator: Operator) -> None:
    assert connect(operator).status == 0
    for command in ("connect", "disconnect"):
        ended = operator.run("--read-only", "segment", command)
        assert ended.status == 2
        assert "Nothing was changed." in ended.err


def test_connecting_the_project_again_keeps_the_space(operator: Operator) -> None:
    assert connect(operator).status == 0
    assert operator.connect().status == 0
    assert operator.run("segment", "show", "--json").document["has_token"]
    assert "Segment space removed" not in operator.run("log").out


def test_no_file_and_no_output_holds_a_token(operator: Operator, tmp_path: Path) -> None:
    take_in(operator, tmp_path, "ana")
    both = f"{TOKEN.reveal()}\n{PROFILES_TOKEN.reveal()}"
    said = [connect(operator, "--profiles-token", typed=both)]
    assert said[0].status == 0, said
    for instead in (
        [Canned(403, json.dumps({"errors": [{"message": TOKEN.reveal()}]}).encode())],
        [Canned(500, TOKEN.reveal().encode())],
        [],
    ):
        operator.simulator.segment.instead = instead
        said += [
            operator.run(*command)
            for command in (
                ("audiences", "--segment"),
                ("audiences", "--segment", "--json"),
                ("person", "ana"),
                ("person", "ana", "--json"),
                ("segment", "show"),
                ("connections", "--json"),
                ("doctor",),
                ("log",),
            )
        ]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    texts = [path.read_bytes().decode(errors="replace") for path in files]
    assert len(texts) > 2
    texts += [item.out + item.err for item in said]
    for token in (TOKEN, PROFILES_TOKEN):
        clear = token.reveal()
        assert clear in "".join(backends.Memory.items.values())
        for shape in (clear, base64.b64encode(f"{clear}:".encode()).decode().rstrip("=")):
            assert not any(shape in text for text in texts), shape


def test_three_sizes_stand_side_by_side_and_odd_ones_are_marked(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana", "bo", "ghost-1")
    take_in(operator, tmp_path, "ana", audience="lapsed")
    take_in(operator, tmp_path, "ana", audience="gone")
    assert operator.run("sync", "shoppers", "--yes").status == 1
    operator.simulator.segment.audiences = [
        listed("shoppers", 5),
        listed("lapsed", None, status="Computing"),
        listed("new", 12, id="aud_of_its_own"),
    ]
    assert connect(operator).status == 0
    ended = operator.run("audiences", "--segment")
    assert ended.status == 0, ended
    rows = {line.split()[0]: " ".join(line.split()) for line in ended.out.splitlines() if line}
    assert rows["shoppers"] == "shoppers shoppers in Segment Live 5 3 2 2 more in Segment"
    assert rows["lapsed"] == "lapsed lapsed in Segment Computing unknown 1 –"
    assert rows["gone"] == "gone – – – 1 – no longer in Segment"
    assert "Segment counts a profile once" in ended.out
    _, _, others = ended.out.partition("In Segment, not in the ledger:\n")
    assert " ".join(others.splitlines()[1].split()) == "new in Segment new Live 12"
    assert "amp-console import FILE --audience KEY --snapshot" in others
    document = operator.run("audiences", "--segment", "--json").document
    sizes = {row["audience"]["key"]: row for row in document["audiences"]}
    shoppers = sizes["shoppers"]
    assert [shoppers[f"{where}_size"] for where in ("segment", "ledger", "cohort")] == [5, 3, 2]
    assert (shoppers["odd"], sizes["lapsed"]["segment_size"]) == (["2 more in Segment"], None)
    assert [item["key"] for item in document["not_in_ledger"]] == ["new"]
    assert document["segment_trouble"] is document["amplitude_trouble"] is None


def test_a_cohort_of_another_size_is_marked_as_in_the_console(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana", "bo")
    assert operator.run("sync", "--yes").status == 0
    world = operator.simulator.world
    world.replace(world.cohort_named("shoppers").id, set())
    operator.simulator.segment.audiences = [listed("shoppers", 2)]
    assert connect(operator).status == 0
    (row,) = operator.run("audiences", "--segment", "--json").document["audiences"]
    assert row["odd"] == ["2 fewer in Amplitude"]


def test_who_entered_since_segment_was_asked_last_is_no_difference_but_said(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    operator.simulator.segment.audiences = [listed("shoppers", 0)]
    assert connect(operator).status == 0
    operator.simulator.segment.instead = [Canned(500)]
    now = datetime.now(UTC).isoformat()
    later = event("bo", True, personas={"space_id": SPACE_ID}, timestamp=now)
    file = tmp_path / "later.ndjson"
    file.write_text(json.dumps(later) + "\n")
    assert operator.run("import", file).status == 0
    ended = operator.run("audiences", "--segment")
    words = "1 fewer in Segment when asked, and the ledger has 1 more member since"
    assert " ".join(ended.out.split()).count(f"Live 0 2 – {words}") == 1


def test_what_cannot_be_asked_is_unknown_and_never_0(operator: Operator, tmp_path: Path) -> None:
    take_in(operator, tmp_path, "ana")
    assert operator.run("sync", "--yes").status == 0
    operator.simulator.segment.audiences = [listed("shoppers", 1)]
    assert connect(operator).status == 0
    operator.simulator.segment.audiences = [listed("shoppers", 9)]
    operator.simulator.segment.instead = [Canned(500)]
    operator.simulator.faults.set([Rule(Answer(500))])
    ended = operator.run("audiences", "--segment")
    assert ended.status == 1
    assert "Segment could not answer (status 500). Try again later. The sizes in" in ended.err
    assert "The sizes of cohorts are unknown." in ended.err
    row = " ".join(ended.out.splitlines()[-1].split())
    assert row == "shoppers shoppers in Segment Live 1 1 unknown"
    shown = operator.run("segment", "show", "--json").document
    assert shown["trouble"] == "Segment could not answer (status 500). Try again later."
    assert "last attempt" in operator.run("segment", "show").out


def test_a_long_wait_that_segment_asks_for_is_kept_for_the_next_command(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    operator.simulator.segment.audiences = [listed("shoppers", 1)]
    assert connect(operator).status == 0
    operator.simulator.segment.instead = [Canned(429, b"{}", {"Retry-After": "600"})]
    refused = operator.run("audiences", "--segment")
    assert refused.status == 1
    assert "Segment asked for fewer requests (status 429). Wait 10 minutes, then try again." in (
        refused.err
    )
    asked = len(operator.simulator.segment.requests)
    again = operator.run("audiences", "--segment")
    assert again.status == 1
    assert "Segment asked for no more requests until " in again.err
    assert len(operator.simulator.segment.requests) == asked
    assert connect(operator).status == 0
    assert operator.run("audiences", "--segment").status == 0


def test_a_clock_that_was_set_back_ends_the_wait_for_segment(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    operator.simulator.segment.audiences = [listed("shoppers", 1)]
    assert connect(operator).status == 0
    operator.simulator.segment.instead = [Canned(429, b"{}", {"Retry-After": "600"})]
    assert operator.run("audiences", "--segment").status == 1
    (path,) = operator.home.rglob("*.db")
    with open_ledger(path) as ledger:
        later = f"tried_at = tried_at + {HOUR}, wait_until = wait_until + {HOUR}"
        ledger.write(lambda db: db.execute(f"UPDATE segment_space SET {later}").rowcount)
    assert operator.run("audiences", "--segment").status == 0


def test_a_token_that_the_keyring_lost_is_reported(operator: Operator, tmp_path: Path) -> None:
    take_in(operator, tmp_path, "ana")
    assert connect(operator).status == 0
    backends.Memory.items.clear()
    ended = operator.run("audiences", "--segment")
    assert ended.status == 1
    assert "Enter it again with `amp-console segment connect`. The" in ended.err
    doctor = operator.run("doctor")
    assert "check  segment" in doctor.out
    assert doctor.status == 1


def test_a_keyring_that_fails_is_reported_without_advice_for_keys(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    ask_profiles(operator)
    operator.environment |= {"PYTHON_KEYRING_BACKEND": f"{backends.Failing.__module__}.Failing"}
    asked = operator.run("audiences", "--segment")
    assert asked.status == 1
    assert "Your keyring failed (Exception). Nothing was changed. Try again. The sizes" in asked.err
    assert "AMP_CONSOLE_API_KEY" not in connect(operator).err
    ended = operator.run("segment", "disconnect")
    assert ended.status == 1
    assert "Its tokens are still in your keyring, which failed to delete them." in ended.out


def test_a_deleted_connection_says_that_the_keyring_kept_its_tokens(operator: Operator) -> None:
    ask_profiles(operator)
    operator.environment |= {"PYTHON_KEYRING_BACKEND": f"{backends.Stubborn.__module__}.Stubborn"}
    ended = operator.run("disconnect", "acme", "--yes")
    assert len(backends.Memory.items) == 2
    assert ended.status == 1
    assert "Deleted “acme”. Its keys are still in your keyring, which failed to delete" in ended.out
    operator.environment |= MEMORY
    assert operator.connect().status == 0
    assert connect(operator).status == 0
    assert len(backends.Memory.items) == 1, "the new token"


def test_an_address_that_was_broken_by_hand_is_wrong_usage_and_the_ledger_still_answers(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    ask_profiles(operator)
    settings = tmp_path / "amp-console/config/config.toml"
    before, section, after = settings.read_text().partition(".segment]")
    settings.write_text(before + section + after.replace("http://", "ftp://"))
    ended = operator.run("audiences", "--segment")
    reason = "Correct its base_url in the settings file."
    assert (ended.status, ended.out) == (2, "")
    assert reason in ended.err
    one = operator.run("person", "ana")
    assert one.status == 2
    assert "should be     in the cohort" in one.out
    assert reason in one.err
    (finding,) = [line for line in operator.run("doctor").out.splitlines() if "  segment " in line]
    assert finding.startswith("check")
    assert reason in finding


@pytest.mark.parametrize("service", ["segment", "amplitude"])
@pytest.mark.parametrize("variable", BAD)
def test_a_broken_proxy_or_certificate_setting_is_wrong_usage(
    operator: Operator, tmp_path: Path, variable: str, service: str
) -> None:
    take_in(operator, tmp_path, "ana")
    assert operator.run("sync", "--yes").status == 0
    assert connect(operator).status == 0
    settings = tmp_path / "amp-console/config/config.toml"
    amplitude, section, segment = settings.read_text().partition(".segment]")
    both = {"amplitude": amplitude, "segment": segment}
    both[service] = both[service].replace("http://", "https://")
    settings.write_text(both["amplitude"] + section + both["segment"])
    ended = operator.run("audiences", "--segment", without=BAD, more={variable: BAD[variable]})
    assert (ended.status, ended.out) == (2, "")
    assert f"because {variable} is invalid" in ended.err
    assert "example-password" not in ended.err


def test_without_a_space_the_command_says_how_to_connect_one(operator: Operator) -> None:
    ended = operator.run("audiences", "--segment")
    assert (ended.status, ended.out) == (2, "")
    assert "No Segment space is connected." in ended.err


def test_what_segment_said_last_is_shown_without_asking(operator: Operator, tmp_path: Path) -> None:
    take_in(operator, tmp_path, "ana")
    query = Definition("event('Order\n Completed')")
    audience = msgspec.structs.replace(listed("shoppers", 4), definition=query)
    operator.simulator.segment.audiences = [audience]
    (before,) = operator.run("audiences", "--json").document
    assert before["segment"] is None
    assert connect(operator).status == 0
    asked = len(operator.simulator.segment.requests)
    (after,) = operator.run("audiences", "--json").document
    assert (after["segment"]["size"], after["segment"]["status"]) == (4, "Live")
    assert after["segment"]["read_at"].endswith("Z")
    shown = operator.run("audience", "shoppers").out
    assert "in Segment    shoppers in Segment: Live, 4, read " in shown
    assert f"read {local_time(after['segment']['read_at'])}\n" in shown
    assert "defined as    event('Order Completed')" in shown
    assert len(operator.simulator.segment.requests) == asked


def test_what_segment_itself_delivers_to_amplitude_is_shown(
    operator: Operator, tmp_path: Path
) -> None:
    for audience in ("shoppers", "lapsed", "news"):
        take_in(operator, tmp_path, "ana", audience=audience)
    segment = operator.simulator.segment
    segment.audiences = [listed(key, 1) for key in ("shoppers", "lapsed", "news", "new")]
    segment.destinations = {
        "aud_shoppers": [ListedDestination(name="Amplitude of the shop")],
        "aud_lapsed": [ListedDestination(enabled=False)],
    }
    assert connect(operator).status == 0
    shown = operator.run("audiences", "--segment").out
    odd = [
        line.split()[0] for line in shown.splitlines() if "delivers it to Amplitude, too" in line
    ]
    assert odd == ["shoppers"]
    assert not any("aud_new/" in target for target in segment.requests)
    by_key = {row["key"]: row["segment"] for row in operator.run("audiences", "--json").document}
    assert by_key["shoppers"]["destinations"] == [
        {"name": "Amplitude of the shop", "enabled": True}
    ]
    assert by_key["news"]["destinations"] == []
    shown = operator.run("audience", "lapsed").out
    assert "destination   Amplitude Cohorts: disabled in Segment" in shown


def test_if_segment_does_not_list_its_destinations_they_are_unknown(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    segment = operator.simulator.segment
    segment.audiences = [listed("shoppers", 7)]
    assert connect(operator).status == 0
    page = msgspec.json.encode({"data": {"audiences": segment.audiences}})
    refused = msgspec.json.encode({"errors": [{"type": "forbidden", "message": "Alpha."}]})
    segment.instead = [Canned(200, page), Canned(403, refused)]
    assert operator.run("audiences", "--segment").status == 0
    (found,) = operator.run("audiences", "--json").document
    assert (found["segment"]["size"], found["segment"]["destinations"]) == (7, None)


def test_a_size_that_counts_no_people_is_shown_with_its_unit(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    accounts = msgspec.structs.replace(listed("shoppers", 12), size=Size(12.0, type="ACCOUNTS"))
    operator.simulator.segment.audiences = [accounts]
    assert connect(operator).status == 0
    assert ": Live, 12 accounts, read " in operator.run("audience", "shoppers").out
    operator.simulator.segment.audiences = [listed("shoppers", None)]
    assert connect(operator).status == 0
    assert ": Live, unknown size, read " in operator.run("audience", "shoppers").out


def ask_profiles(operator: Operator) -> None:
    """Connect the space with both tokens."""
    both = f"{TOKEN.reveal()}\n{PROFILES_TOKEN.reveal()}"
    ended = connect(operator, "--profiles-token", typed=both)
    assert ended.status == 0, ended
    assert "The tokens are in your keyring" in ended.out


def test_the_token_of_the_profile_api_may_come_later(operator: Operator) -> None:
    assert connect(operator).status == 0
    wrong = operator.run("segment", "connect", "--profiles-token", "--token-stdin", stdin=b"no\n")
    assert wrong.status == 3
    assert "Segment refused the token (status 401)" in wrong.err
    elsewhere = ("--profiles-token", "--region", "eu", "--token-stdin")
    other = operator.run("segment", "connect", *elsewhere, stdin=b"no\n")
    assert "Expected 2 lines on stdin" in other.err, "the region is another one"
    ended = connect(operator, "--profiles-token", typed=PROFILES_TOKEN.reveal())
    assert "Segment accepted the token of the Profile API" in ended.out
    shown = operator.run("segment", "show", "--json").document
    assert shown["has_token"] is shown["has_profiles_token"] is True
    assert "with a token of the Profile API" in operator.run("doctor").out


def test_a_token_that_one_address_accepted_is_not_sent_to_another(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    ask_profiles(operator)
    elsewhere = operator.simulator.base_url.replace("127.0.0.1", "localhost")
    moved = ("segment", "connect", "--base-url", elsewhere, "--token-stdin")
    ended = operator.run(*moved, stdin=TOKEN.reveal().encode())
    assert ended.status == 0, ended
    assert "The earlier token of the Profile API is no longer used" in ended.out
    assert operator.run("segment", "show", "--json").document["has_profiles_token"] is False
    assert not any(PROFILES_TOKEN.reveal() in item for item in backends.Memory.items.values())
    again = operator.run(*moved, stdin=TOKEN.reveal().encode())
    assert "no longer used" not in again.out


@pytest.mark.parametrize(
    ("profile", "in_segment", "words"),
    [
        ({"shoppers": True}, "in", "Segment has them in the audience"),
        (
            {"shoppers": False},
            "out",
            "Segment does not have them in the audience",
        ),
        (
            {},
            "never in",
            "Segment never had them in the audience",
        ),
        (None, "no profile", "Segment has no profile of their User ID"),
    ],
)
def test_ledger_cohort_and_segment_give_three_answers_in_one_sentence(
    operator: Operator,
    tmp_path: Path,
    profile: dict[str, bool] | None,
    in_segment: str,
    words: str,
) -> None:
    take_in(operator, tmp_path, "Ana")
    assert operator.run("sync", "--yes").status == 0
    ask_profiles(operator)
    if profile is not None:
        operator.simulator.segment.profiles["ana"] = profile
    known = "The ledger says that they belong in the cohort and were last known to be in it."
    expected = f"{words}. {known}"
    if in_segment != "in":
        expected += " The two disagree: Segment's newest event"
    ended = operator.run("person", "Ana")
    assert ended.status == 0
    assert f"Segment, asked just now:\n  shoppers: {expected}" in ended.out
    document = operator.run("person", "Ana", "--json").document
    assert document["segment"]["has_profile"] is (profile is not None)
    (answer,) = document["audiences"]
    assert answer["in_segment"] == in_segment
    assert answer["three_answers"].startswith(expected)


def test_a_person_that_segment_cannot_be_asked_about_is_unknown(
    operator: Operator, tmp_path: Path
) -> None:
    take_in(operator, tmp_path, "ana")
    ask_profiles(operator)
    operator.simulator.segment.instead = [Canned(503)] * 2
    ended = operator.run("person", "ana")
    assert ended.status == 0
    assert (
        "Whether Segment has them in the audience now is unknown. Segment could not answer "
        "(status 503). Try again later." in ended.out
    )
    document = operator.run("person", "ana", "--json").document
    assert (document["segment"]["has_profile"], document["segment"]["audiences"]) == (None, None)
    assert document["audiences"][0]["in_segment"] == "unknown"
    backends.Memory.items.clear()
    assert "The keyring no longer has the token" in operator.run("person", "ana").out
    operator.environment |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    asked = operator.run("person", "ana").out
    assert "so the token of the Segment space can't be read. Sign in to a desktop" in asked


def test_a_person_that_no_event_names_may_be_in_segment(operator: Operator) -> None:
    ask_profiles(operator)
    operator.simulator.segment.profiles["bo"] = {"lapsed": True, "shoppers": True, "new": False}
    ended = operator.run("person", "bo")
    assert ended.status == 1
    assert "Segment has them in lapsed, shoppers." in ended.out
    assert operator.run("person", "bo", "--json").document["segment"]["audiences"] == [
        "lapsed",
        "shoppers",
    ]
    assert "Segment has no profile of this User ID." in operator.run("person", "cy").out


def test_by_amplitude_id_the_user_id_of_the_same_event_is_asked_for(
    operator: Operator, tmp_path: Path
) -> None:
    assert operator.connect("acme", "--amplitude-id-path", "$.traits.amplitude_id").status == 0
    file = tmp_path / "both.ndjson"
    line = event("ana", True, traits={"amplitude_id": "4711"}, personas={"space_id": SPACE_ID})
    file.write_text(json.dumps(line) + "\n")
    assert operator.run("import", file).status == 0
    ask_profiles(operator)
    operator.simulator.segment.profiles["ana"] = {"shoppers": True}
    document = operator.run("person", "4711", "--json").document
    assert document["segment"]["user_id"] == "ana"
    assert document["audiences"][0]["in_segment"] == "in"


def test_an_amplitude_id_without_a_known_user_id_is_not_asked_about(
    operator: Operator, tmp_path: Path
) -> None:
    paths = ("--user-id-path", "$.nowhere", "--amplitude-id-path", "$.userId")
    assert operator.connect("acme", *paths).status == 0
    take_in(operator, tmp_path, "4711")
    ask_profiles(operator)
    said = "Segment is asked by User ID, and no event contains one for this Amplitude ID."
    assert said in operator.run("person", "4711").out
    segment = operator.run("person", "4711", "--json").document["segment"]
    assert (segment["user_id"], segment["trouble"]) == (None, said)


def test_without_its_token_the_profile_api_is_not_asked(operator: Operator, tmp_path: Path) -> None:
    take_in(operator, tmp_path, "ana")
    assert connect(operator).status == 0
    document = operator.run("person", "ana", "--json").document
    assert document["segment"] is document["audiences"][0]["in_segment"] is None
    assert "Segment, asked" not in operator.run("person", "ana").out


def test_an_audience_of_another_space_is_not_asked_about(
    operator: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "other.ndjson"
    file.write_text(json.dumps(event("ana", True, personas={"space_id": "spa_other"})) + "\n")
    assert operator.run("import", file).status == 0
    ask_profiles(operator)
    operator.simulator.segment.profiles["ana"] = {"shoppers": True}
    assert (
        "The audience belongs to another space than the connected one."
        in operator.run("person", "ana").out
    )
    (row,) = operator.run("audiences", "--segment", "--json").document["audiences"]
    assert (row["presence"], row["segment_size"], row["odd"]) == ("other space", None, [])
