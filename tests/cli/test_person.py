"""Why is this person (not) in the cohort: a sentence first, then the facts."""

import json
from pathlib import Path

import pytest

from amp_console.simulator import Answer, Call, Rule
from amp_console.values import Operation
from tests.cli.operator import Operator
from tests.sync.workspace import event, ndjson


def write(folder: Path, *events: dict[str, object]) -> Path:
    path = folder / "events.ndjson"
    path.write_text(ndjson(events))
    return path


@pytest.fixture
def synced(operator: Operator, tmp_path: Path) -> Operator:
    """u1 is in two cohorts, ghost-1 rejected from one."""
    path = write(
        tmp_path,
        event("u1", True),
        event("ghost-1", True),
        event("u1", True, audience="newsletter"),
    )
    assert operator.run("sync", "--from", path, "--yes").status == 1
    return operator


def test_each_audience_says_why_in_a_sentence(synced: Operator) -> None:
    ended = synced.run("person", "u1")
    assert ended.status == 0, ended.err
    sentences = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    assert [line.partition(":")[0] for line in sentences] == ["newsletter", "shoppers"]
    assert all("Amplitude confirmed adding them (run 1)." in line for line in sentences)
    assert "source" in ended.out
    assert "events.ndjson:1" in ended.out


def test_the_document_holds_the_facts(synced: Operator, tmp_path: Path) -> None:
    ended = synced.run("person", "ghost-1", "--json")
    assert ended.status == 0
    document = ended.document
    (found,) = document.pop("audiences")
    assert document == {"id": "ghost-1", "known_to_amplitude": None, "segment": None}
    assert found.pop("sentence").startswith("The addition was rejected (run 1)")
    assert found.pop("cohort_id")
    assert found == {
        "audience": "shoppers",
        "computation_id": "aud_shoppers",
        "name": "shoppers",
        "id_type": "user_id",
        "matched_by": "user_id",
        "verdict": "rejected",
        "wanted": True,
        "delivered": False,
        "certain_at": None,
        "event_at": "2026-05-03T19:00:00Z",
        "source": str(tmp_path / "events.ndjson"),
        "line": 2,
        "run": 1,
        "operator": None,
        "rejected": "Amplitude did not know this User ID",
        "other_id": None,
        "found": None,
        "found_at": None,
        "comparisons": [],
        "in_segment": None,
        "three_answers": None,
    }


def test_the_rejection_is_among_the_facts(synced: Operator) -> None:
    lines = synced.run("person", "ghost-1").out.splitlines()
    assert "  last known    not in the cohort" in lines
    assert any(line.startswith("  rejected ") and "did not know" in line for line in lines)


def test_a_user_that_only_a_comparison_found_is_known(synced: Operator) -> None:
    world = synced.simulator.world
    audiences = synced.run("person", "u1", "--json").document["audiences"]
    (cohort_id,) = [item["cohort_id"] for item in audiences if item["audience"] == "shoppers"]
    stranger = world.add_user("by-hand")
    world.change(cohort_id, Operation.ADD, {stranger})
    assert synced.run("person", "by-hand").status == 1
    synced.run("reconcile", "shoppers", "--yes")
    ended = synced.run("person", "by-hand")
    assert ended.status == 0, ended.err
    assert "In the cohort when it was compared (" in ended.out
    facts = {line[2:16].strip(): line[16:] for line in ended.out.splitlines() if line[:2] == "  "}
    assert facts["event"] == "none"
    assert facts["should be"] == "not in the cohort"
    assert facts["compared"].endswith("run 2: in the cohort, but in no event")
    (found,) = synced.run("person", "by-hand", "--json").document["audiences"]
    assert (found["verdict"], found["event_at"], found["found"]) == (
        "extra",
        None,
        "in the cohort, but in no event",
    )


def test_an_identifier_in_no_event_is_unknown(synced: Operator) -> None:
    ended = synced.run("person", "U1")
    assert ended.status == 1
    assert "No event contains U1. Identifiers must match exactly" in ended.out
    assert synced.run("person", "U1", "--json").document["audiences"] == []


def test_amplitude_is_asked_only_when_told_to(synced: Operator) -> None:
    before = len(synced.simulator.requests)
    synced.run("person", "u1")
    assert len(synced.simulator.requests) == before
    synced.simulator.world.add_user("ghost-1")
    ended = synced.run("person", "ghost-1", "--ask")
    assert ended.out.splitlines()[-1] == "Amplitude knows this User ID."
    asked = synced.run("person", "ghost-9", "--ask", "--json")
    assert (asked.status, asked.document["known_to_amplitude"]) == (1, False)


@pytest.mark.parametrize(
    ("is_known", "words"),
    [(True, "the reason for the rejection is gone"), (False, "would be rejected again")],
)
def test_the_advice_follows_from_what_amplitude_answered(
    synced: Operator, is_known: bool, words: str
) -> None:
    if is_known:
        synced.simulator.world.add_user("ghost-1")
    ended = synced.run("person", "ghost-1", "--ask")
    assert words in ended.out
    assert "--ask" not in ended.out
    assert ("errors --retry" in ended.out) == is_known
    (found,) = synced.run("person", "ghost-1", "--ask", "--json").document["audiences"]
    assert words in found["sentence"]


def test_what_the_ledger_knows_is_printed_although_amplitude_does_not_answer(
    synced: Operator,
) -> None:
    synced.simulator.faults.set([Rule(Answer(500), calls=frozenset({Call.SEARCH}))])
    ended = synced.run("person", "u1", "--ask")
    assert ended.status == 4
    assert "In the cohort" in ended.out
    assert "could not answer" in ended.err


def test_an_identifier_that_no_request_can_hold_is_reported(synced: Operator) -> None:
    ended = synced.run("person", "x" * 70_000, "--ask")
    assert ended.status == 4
    assert ended.err == (
        "The request is too long to be sent. Nothing was sent. Use a shorter identifier.\n"
    )


@pytest.mark.parametrize(
    "id_", ["[red]", "\x1b[31m", "\u202eevil", "-1", "é😀", "'; --", "x" * 300]
)
def test_hostile_identifiers_are_shown_harmlessly(
    operator: Operator, tmp_path: Path, id_: str
) -> None:
    operator.run("import", write(tmp_path, event(id_, True)))
    found = operator.run("person", "--", id_)
    assert found.status == 0
    unknown = operator.run("person", "--", f"{id_}?")
    assert unknown.status == 1
    for ended in (found, unknown):
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out


def test_identifiers_that_begin_with_an_unknown_one_are_named(synced: Operator) -> None:
    ended = synced.run("person", "ghost-")
    assert ended.status == 1
    assert "No event contains ghost-." in ended.out
    assert "Identifiers that begin with it:\n  ghost-1\n" in ended.out
    assert "begin with it" not in synced.run("person", "nothing").out
    otherwise = synced.run("person", "GHOST-1 ").out
    assert "Case matters. Identifiers that differ only in case:\n  ghost-1\n" in otherwise
    pasted = synced.run("person", " ghost-1 ", "--json")
    assert (pasted.status, json.loads(pasted.out)["id"]) == (0, "ghost-1")
    assert "amp-console person ID --ask" in synced.run("person", "ghost-1").out
