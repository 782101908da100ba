"""If two audiences share a key, each is named and shown by its computation ID."""

from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.sync.workspace import event, ndjson

OLD, NEW = "aud_old", "aud_new"


@pytest.fixture
def spring(operator: Operator, tmp_path: Path) -> Operator:
    """An operator with two audiences of one key: one with old-0 and old-1, one with new-0."""
    events = [
        event(user, True, audience="spring", personas={"computation_id": target})
        for target, user in ((OLD, "old-0"), (OLD, "old-1"), (NEW, "new-0"))
    ]
    path = tmp_path / "events.ndjson"
    path.write_text(ndjson(events))
    assert operator.run("import", path).status == 0
    return operator


@pytest.fixture
def download(tmp_path: Path) -> Path:
    path = tmp_path / "download.csv"
    path.write_text("user_id\nnew-0\nnew-9\n")
    return path


def members(operator: Operator) -> dict[str, int]:
    document = operator.run("audiences", "--json").document
    return {item["computation_id"]: item["members"] for item in document}


@pytest.mark.parametrize(
    ("computation_id", "counts"), [(NEW, {OLD: 2, NEW: 2}), (OLD, {OLD: 4, NEW: 1})]
)
def test_a_download_is_given_to_either_by_its_computation_id(
    spring: Operator, download: Path, computation_id: str, counts: dict[str, int]
) -> None:
    ended = spring.run("import", download, "--audience", computation_id)
    assert ended.status == 0, ended.err
    assert members(spring) == counts


def test_a_snapshot_removes_members_of_the_audience_that_was_named_alone(
    spring: Operator, download: Path
) -> None:
    ended = spring.run("import", download, "--audience", OLD, "--snapshot", "--yes")
    assert ended.status == 0, ended.err
    assert "2 members have left" in ended.out
    assert members(spring) == {OLD: 2, NEW: 1}


def test_the_key_alone_is_refused_with_the_names_that_work(
    spring: Operator, download: Path
) -> None:
    for arguments in (
        ("import", download, "--audience", "spring"),
        ("sync", "spring"),
        ("audience", "spring"),
        ("reconcile", "spring"),
        ("errors", "spring"),
    ):
        ended = spring.run(*arguments)
        assert ended.status == 2
        assert f"Name one by its computation ID: {NEW}, {OLD}." in ended.err
    assert members(spring) == {OLD: 2, NEW: 1}


def test_events_of_the_other_one_are_filtered(spring: Operator, tmp_path: Path) -> None:
    ended = spring.run("import", tmp_path / "events.ndjson", "--audience", NEW)
    assert "Read 3 events: 1 valid (nothing new), 2 filtered, 0 invalid." in ended.out


def test_every_command_shows_and_understands_the_computation_id(spring: Operator) -> None:
    listed = spring.run("audiences").out
    assert f"spring ({OLD})" in listed
    assert f"spring ({NEW})" in listed
    for name in (NEW, f"spring ({NEW})"):
        assert spring.run("audience", name, "--json").document["computation_id"] == NEW
    plan = spring.run("sync", NEW, "--dry-run").out
    assert f"spring ({NEW})" in plan
    (planned,) = spring.run("sync", OLD, "--dry-run", "--json").document["audiences"]
    assert (planned["computation_id"], planned["add"], planned["cohort_name"]) == (OLD, 2, "spring")
    synced = spring.run("sync", NEW, "--yes")
    assert synced.status == 0, synced.err
    assert f"spring ({NEW})" in synced.out
    (compared,) = [spring.run("reconcile", NEW, "--json").document]
    assert (compared["computation_id"], compared["in_both"]) == (NEW, 1)
    (person,) = spring.run("person", "new-0", "--json").document["audiences"]
    assert person["computation_id"] == NEW
    assert f"spring ({NEW}): " in spring.run("person", "new-0").out


def test_errors_name_the_audience_by_its_computation_id(spring: Operator, tmp_path: Path) -> None:
    for entry in (OLD, NEW):
        assert spring.run("audience", entry, "--id-type", "amplitude_id").status == 0
    for entry, count in ((OLD, 2), (NEW, 1)):
        rejected = spring.run("errors", entry, "--json").document["rejected"]
        assert [(item["audience"], item["computation_id"]) for item in rejected] == [
            (entry, entry)
        ] * count
    assert NEW in spring.run("errors").out


def test_an_audience_without_a_computation_id_is_named_by_its_space(
    operator: Operator, download: Path, tmp_path: Path
) -> None:
    events = [
        event("u1", True, audience="spring", personas={"computation_id": "", "space_id": space})
        for space in ("spa_1", "spa_2")
    ]
    path = tmp_path / "events.ndjson"
    path.write_text(ndjson(events))
    assert operator.run("import", path).status == 0
    ended = operator.run("import", download, "--audience", "spring")
    assert "Name one by its space and key: spa_1/spring, spa_2/spring." in ended.err
    assert operator.run("import", download, "--audience", "spa_2/spring").status == 0
    document = operator.run("audiences", "--json").document
    assert {item["space_id"]: item["members"] for item in document} == {"spa_1": 1, "spa_2": 3}
