"""`amp-console log`: what was done, and by which process, for people and scripts."""

import json
import signal
from pathlib import Path

import pytest

from amp_console.ledger.event_log import LogKind
from tests.cli.operator import Operator
from tests.sync.workspace import event


@pytest.fixture
def synced(operator: Operator, tmp_path: Path) -> Operator:
    """An operator who has synced one person and changed a setting."""
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event("u1", True)) + "\n")
    assert operator.run("sync", "--from", file, "--yes").status == 0
    operator.run("audience", "shoppers", "--cohort-name", "VIPs")
    return operator


def test_lists_what_was_done_the_newest_first(synced: Operator) -> None:
    ended = synced.run("log")
    lines = ended.out.splitlines()
    assert ended.status == 0
    assert lines[0].endswith("Settings of “shoppers” changed: cohort name VIPs.")
    assert "Sync of “shoppers” ended: run 1, delivered. 1 added" in lines[1]
    assert lines[-1].split()[2:4] == ["UTC", "import"]


def test_the_document_has_a_schema_and_names_run_and_audience(synced: Operator) -> None:
    document = synced.run("log", "--kind", "sync", "--kind", "link", "--json").document
    (run,) = synced.run("runs", "--json").document
    assert (document["schema"], document["total"]) == (1, 3)
    ended = document["entries"][0]
    assert (ended["kind"], ended["run"], ended["audience"]) == ("sync", 1, "shoppers")
    assert ended["severity"] == "information"
    assert ended["at"] == run["ended_at"]
    assert f"{run['requests']} requests" in ended["text"]
    assert {entry["kind"] for entry in document["entries"]} == {"sync", "link"}


def test_every_kind_can_be_chosen(synced: Operator) -> None:
    kinds = [word for kind in LogKind for word in ("--kind", kind)]
    assert synced.run("log", *kinds, "--json").status == 0


def test_says_how_many_there_are_beyond_the_limit(synced: Operator) -> None:
    total = synced.run("log", "--json").document["total"]
    ended = synced.run("log", "--limit", "2")
    assert len(ended.out.splitlines()) == 2
    assert f"The newest 2 of {total} entries." in ended.err
    assert len(synced.run("log", "--limit", "0").out.splitlines()) == total


def test_is_filtered_by_time_and_text(synced: Operator) -> None:
    assert synced.run("log", "--since", "1d", "--text", "vips", "--json").document["total"] == 1
    assert synced.run("log", "--since", "2999-01-01", "--json").document["entries"] == []
    assert synced.run("log", "--text", "nothing like it").out == "No entries match.\n"
    wrong = synced.run("log", "--since", "yesterday")
    assert (wrong.status, wrong.out) == (2, "")
    assert "Write 2h, 7d or" in wrong.err


def test_is_exported(synced: Operator, tmp_path: Path) -> None:
    total = synced.run("log", "--json").document["total"]
    ended = synced.run("log", "--export", tmp_path / "log.csv")
    assert ended.out == f"{total} entries written to {tmp_path / 'log.csv'}.\n"
    assert len((tmp_path / "log.csv").read_text().splitlines()) == total + 1
    assert synced.run("log", "--export", "x.csv", "--json").status == 2
    assert synced.run("log", "--exact").status == 2


def test_follows_what_other_processes_do(synced: Operator) -> None:
    process = synced.start("log", "--follow", "--json", "--kind", "settings")
    process.wait_until(lambda: process.documents)
    synced.run("audience", "shoppers", "--disable")
    process.wait_until(lambda: len(process.documents) > 1)
    assert process.end(signal.SIGINT) == 0
    assert [document["text"] for document in process.documents] == [
        "Settings of “shoppers” changed: cohort name VIPs.",
        "Settings of “shoppers” changed: disabled.",
    ]


def test_changes_of_the_connection_and_of_its_secrets_are_logged(synced: Operator) -> None:
    synced.connect("acme", "--prefix", "--read-only")
    synced.connect("acme", "--no-prefix", "--writable")
    texts = [entry["text"] for entry in synced.run("log", "--json").document["entries"][:2]]
    assert texts == [
        "Connection “acme” changed: new cohorts without prefix; read and write.",
        "Connection “acme” changed: new cohorts with prefix; read-only.",
    ]
    before = synced.run("log", "--json").document["total"]
    synced.connect("acme", "--writable")
    assert synced.run("log", "--json").document["total"] == before
