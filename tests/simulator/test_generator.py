import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from amp_console.simulator import Audience, Scenario, Truth, demo_scenario, events, write_file
from amp_console.simulator.truth import Kind

LIVELY = Scenario(
    seed=7,
    events=5_000,
    users=200,
    flips=0.3,
    duplicates=0.1,
    late=0.1,
    broken=0.05,
    foreign=0.02,
    ghosts=0.1,
)


def readable(lines: list[bytes]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def value_of(event: dict[str, Any]) -> Any:
    key = event["context"]["personas"]["computation_key"]
    return event["traits" if event["type"] == "identify" else "properties"][key]


def changes_in(lines: list[bytes]) -> list[tuple[str, str, str, bool]]:
    """Read (audience key, user, timestamp, is member) out of a stream, the slow and plain way."""
    return [
        (
            event["context"]["personas"]["computation_key"],
            event["userId"],
            event["timestamp"],
            value_of(event),
        )
        for event in readable(lines)
        if event["context"]["personas"]["computation_class"] == "audience"
        and event["userId"] is not None
        and isinstance(value_of(event), bool)
    ]


def test_a_scenario_is_the_same_stream_each_time() -> None:
    assert list(events(LIVELY)) == list(events(LIVELY))


def test_another_seed_is_another_stream() -> None:
    assert list(events(Scenario(seed=1))) != list(events(Scenario(seed=2)))


def test_the_truth_is_what_a_plain_reading_of_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    truth = write_file(path, LIVELY)
    lines = path.read_bytes().splitlines()
    changes = changes_in(lines)
    naive: dict[str, set[str]] = {audience.key: set() for audience in LIVELY.audiences}
    for key, user, _, is_member in sorted(changes, key=lambda change: change[2]):
        (naive[key].add if is_member else naive[key].discard)(user)
    assert truth.members == naive
    assert len(lines) == LIVELY.events == truth.changes + truth.filtered + truth.invalid
    assert truth.changes == len(changes)
    assert truth.counts[Kind.NOT_JSON] == len(lines) - len(readable(lines))


def test_the_last_line_does_not_always_win() -> None:
    truth = Truth(audience.key for audience in LIVELY.audiences)
    lines = list(events(LIVELY, truth))
    by_line: dict[str, set[str]] = {audience.key: set() for audience in LIVELY.audiences}
    for key, user, _, is_member in changes_in(lines):
        (by_line[key].add if is_member else by_line[key].discard)(user)
    assert truth.members != by_line


def test_a_stream_has_every_kind_of_trouble() -> None:
    truth = Truth(audience.key for audience in LIVELY.audiences)
    lines = list(events(LIVELY, truth))
    parsed = readable(lines)
    stamps = [event["timestamp"] for event in parsed]
    ids = [event["messageId"] for event in parsed]
    assert all(truth.counts[kind] > 10 for kind in Kind)
    assert len(set(ids)) < len(ids)
    assert any(later < earlier for earlier, later in pairwise(stamps))
    assert any(user.startswith("ghost-") for members in truth.members.values() for user in members)
    assert {event["type"] for event in parsed} == {"identify", "track"}


def test_some_changes_of_one_user_have_the_same_stamp() -> None:
    said: dict[tuple[str, str, str], set[bool]] = {}
    for key, user, stamp, is_member in changes_in(list(events(LIVELY))):
        said.setdefault((key, user, stamp), set()).add(is_member)
    assert sum(len(both) == 2 for both in said.values()) > 10


def test_a_flip_follows_within_twenty_events() -> None:
    scenario = Scenario(events=5_000, users=10**9, flips=0.1, duplicates=0, late=0, broken=0)
    seen: dict[tuple[str, str], int] = {}
    distances = []
    for position, (key, user, _, _) in enumerate(changes_in(list(events(scenario)))):
        if (key, user) in seen:
            distances.append(position - seen[key, user])
        seen[key, user] = position
    assert len(distances) > 300
    assert max(distances) <= 20


@pytest.mark.parametrize("share", ["flips", "duplicates", "late", "broken", "foreign", "ghosts"])
def test_a_share_of_nothing_is_nothing(share: str) -> None:
    shares: dict[str, Any] = dict.fromkeys(
        ("flips", "duplicates", "late", "broken", "foreign", "ghosts"), 0.0
    )
    truth = Truth(audience.key for audience in LIVELY.audiences)
    calm = list(events(Scenario(events=2_000, **shares), truth))
    stamps = [event["timestamp"] for event in readable(calm)]
    assert truth.changes == 2_000
    assert stamps == sorted(stamps)
    assert list(events(Scenario(events=2_000, **shares | {share: 0.5}))) != calm


def test_an_event_has_the_shape_that_segment_sends() -> None:
    scenario = Scenario(tracks=0, broken=0, foreign=0)
    line = next(events(scenario))
    event = json.loads(line)
    personas = event["context"]["personas"]
    assert line.endswith(b"\n")
    assert 500 < len(line) < 900
    assert personas["computation_id"].startswith("aud_")
    assert personas["space_id"].startswith("spa_")
    assert len(event["messageId"]) == len("personas_2fyFNSKX4MjAbsNJF5ZnNzCq0OV")
    assert datetime.fromisoformat(event["timestamp"]).microsecond % 1_000 == 0
    assert event["originalTimestamp"].startswith(event["timestamp"][:-1])
    assert event["traits"]["email"].endswith("@example.com")
    assert event["integrations"]["Amplitude Cohorts"] is True


def test_track_events_are_entered_and_exited() -> None:
    parsed = readable(list(events(Scenario(events=500, tracks=1, users=20, broken=0, foreign=0))))
    names = {True: "Audience Entered", False: "Audience Exited"}
    assert all(event["event"] == names[value_of(event)] for event in parsed)
    assert {event["event"] for event in parsed} == set(names.values())


def test_the_demo_has_audiences_with_believable_names() -> None:
    keys = [audience.key for audience in demo_scenario(1).audiences]
    assert keys == [
        "high_value_shoppers",
        "cart_abandoners",
        "newsletter",
        "trial_day_7",
        "churn_risk",
        "recently_lapsed",
    ]


def test_audiences_with_a_common_beginning_are_different() -> None:
    assert (
        Audience.named("Recently lapsed A").computation_id
        != Audience.named("Recently lapsed B").computation_id
    )
