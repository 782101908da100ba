"""`prune`, `--keep-history`, and the sizes that `doctor` shows."""

import json
from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.sync.workspace import event


@pytest.fixture
def synced(operator: Operator, tmp_path: Path) -> Operator:
    path = tmp_path / "events.ndjson"
    path.write_text(json.dumps(event("u1", True)) + "\n")
    assert operator.run("sync", "--from", path, "--yes").status == 0
    return operator


def test_the_age_is_given_or_set_on_the_connection(synced: Operator) -> None:
    ended = synced.run("prune", "--yes")
    assert ended.status == 2
    assert "Add --older-than AGE" in ended.err
    assert synced.connect("acme", "--keep-history", "90d").status == 0
    ended = synced.run("prune", "--yes")
    assert ended.status == 0, ended.err
    assert ended.out == "Deleted nothing.\n"
    assert "history kept for 90 days" in synced.run("doctor").out
    assert synced.connect("acme").status == 0
    assert "history kept for 90 days" in synced.run("doctor").out
    assert synced.connect("acme", "--keep-history", "forever").status == 0
    assert "history kept for ever" in synced.run("doctor").out


@pytest.mark.parametrize("age", ["90", "0d", "-1d", "40000d", "x"])
def test_an_age_is_a_number_of_days(operator: Operator, age: str) -> None:
    ended = operator.run("prune", "--older-than", age, "--yes")
    assert ended.status == 2
    assert "is not an age from 1d to 36500d" in ended.err


def test_it_has_to_be_confirmed(synced: Operator) -> None:
    ended = synced.run("prune", "--older-than", "1d")
    assert ended.status == 2
    assert "Nothing was deleted. To confirm in advance, add --yes." in ended.err


def test_doctor_shows_the_sizes(synced: Operator) -> None:
    (line,) = [line for line in synced.run("doctor").out.splitlines() if "history kept" in line]
    assert "MiB: 1 member, 1 run, 2 requests, 0 comparisons," in line


def test_doctor_names_deletion_requests_that_are_not_finished(synced: Operator) -> None:
    synced.simulator.world.drop_cohort(synced.simulator.world.cohorts()[0].id)
    assert synced.run("forget", "u1", "--yes").status == 4
    ended = synced.run("doctor")
    assert ended.status == 1
    assert "1 deletion request not finished" in ended.out
