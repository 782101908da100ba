"""The summaries of commands name only what exists."""

import json
import os
from pathlib import Path

import pytest

from amp_console.cli.exits import Exit
from amp_console.cli.live_session import _exit_of, _left
from amp_console.ledger.runs import RunStatus
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Simulator
from amp_console.sync.live.progress import LiveReport, LiveSnapshot
from tests.cli.inside import Streams
from tests.cli.operator import OWNER
from tests.sync.workspace import event, ndjson


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path) -> Streams:
    """Commands of an operator with one connection, run in an empty folder."""
    keys = simulator.credentials
    monkeypatch.setenv("AMP_CONSOLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AMP_CONSOLE_API_KEY", keys.api_key.reveal())
    monkeypatch.setenv("AMP_CONSOLE_SECRET_KEY", keys.secret_key.reveal())
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    streams = Streams()
    where = ("--owner-email", OWNER, "--base-url", simulator.base_url)
    app_id = str(simulator.world.app_id)
    assert streams.run("connect", "acme", "--app-id", app_id, *where) == 0
    return streams


def members_csv(*users: str) -> Path:
    path = Path("download.csv")
    path.write_text("user_id,city\n" + "".join(f"{user},Graz\n" for user in users))
    return path


def test_an_import_names_its_audience_and_says_that_it_is_new(streams: Streams) -> None:
    file = members_csv("u1")
    assert streams.run("import", "--audience", "vip", file) == 0
    assert "New audience: vip. The next sync creates a cohort for it" in streams.out
    assert streams.run("import", "--audience", "vip", file) == 0
    assert "New audience" not in streams.out
    assert "Audience: vip." in streams.out


def test_a_verdict_names_only_what_there_is(streams: Streams) -> None:
    for invalid, ghost, words in (
        (0, "ghost-1", "1 rejected user"),
        (2, "ghost-1", "1 rejected user and 2 invalid events"),
        (1, "u1", "1 invalid event"),
    ):
        name = f"audience-{invalid}"
        file = Path("events.ndjson")
        events = [event(user, True, audience=name) for user in ("u1", ghost)]
        file.write_text(ndjson(events) + "nonsense\n" * invalid)
        assert streams.run("sync", "--yes", "--from", file) == 1
        assert f": delivered, except {words}, " in streams.out


def test_a_sync_ends_with_1_while_users_of_earlier_runs_are_rejected(streams: Streams) -> None:
    streams.run("import", "--audience", "vip", members_csv("u1", "ghost-1"))
    assert streams.run("sync", "--yes") == 1
    assert streams.run("sync", "--yes") == 1
    assert "Run 2: delivered, except 1 rejected user, 0 requests" in streams.out
    assert streams.run("runs", "--json") == 0
    assert [run["status"] for run in json.loads(streams.out)] == ["delivered", "partial"]


def test_users_without_an_identifier_were_not_rejected(
    streams: Streams, simulator: Simulator
) -> None:
    mapped = ("--amplitude-id-path", "$.traits.amplitude_id", "--base-url", simulator.base_url)
    where = ("--owner-email", OWNER, "--app-id", str(simulator.world.app_id))
    assert streams.run("connect", "acme", *where, *mapped) == 0, streams.err
    file = Path("events.ndjson")
    events = [
        event(user, True, traits=traits, audience="vip")
        for user, traits in (("u1", {"amplitude_id": "401"}), ("u2", {}), ("u3", {}))
    ]
    file.write_text(ndjson(events))
    streams.run("import", file)
    assert streams.run("audience", "vip", "--id-type", "amplitude_id") == 0
    assert streams.run("sync", "--yes") == 1
    assert ": delivered, except 2 users with missing IDs, " in streams.out
    assert streams.run("audiences") == 0
    assert "2 missing Amplitude IDs" in streams.out
    assert "rejected" not in streams.out
    assert streams.run("audiences", "--json") == 0
    (audience,) = json.loads(streams.out)
    assert (audience["members"], audience["rejected"], audience["unidentified"]) == (3, 0, 2)
    assert audience["status"] == "missing ID"
    assert streams.run("errors") == 0
    assert "0 rejected users, 2 users with missing IDs, 0 invalid events" in streams.out


def test_a_session_tells_who_was_rejected_from_who_was_never_sent() -> None:
    last = LiveSnapshot(1, 1.0, ReadCounts(), 0.0, ())
    report = LiveReport(1, last, RunStatus.PARTIAL, 0, 2, None, unidentified=1)
    ((_, text, counts),) = _left(report)
    assert text == (
        "2 users are rejected and 1 user has a missing ID. To see why: amp-console errors"
    )
    assert counts == {"rejected": 2, "unidentified": 1, "invalid": 0}
    assert _exit_of(report) is Exit.PARTIAL


def test_a_dash_is_the_standard_output(streams: Streams, capfd: pytest.CaptureFixture[str]) -> None:
    streams.run("import", "--audience", "vip", members_csv("u1", "ghost-1"))
    streams.run("sync", "--yes")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
        assert streams.run("errors", "--csv", "-", stdout=stdout) == 0, streams.err
    header, row = capfd.readouterr().out.splitlines()
    assert header.startswith("kind,audience,id")
    assert row.startswith("rejected,vip,ghost-1")
    assert "1 rejected user, 0 invalid events" in streams.err
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout:
        streams.run("reconcile", "vip", "--export", "-", stdout=stdout)
    header = capfd.readouterr().out
    assert header.startswith("audience,compared,compared_at,difference")
    assert not Path("-").exists()
    assert streams.run("errors", "--csv", "-", "--json") == 2


def test_a_plan_and_its_result_agree_about_a_seed_user(streams: Streams) -> None:
    left = Path("left.ndjson")
    left.write_text(json.dumps(event("u1", False, audience="vip")) + "\n")
    streams.run("import", left)
    streams.run("sync", "--dry-run")
    assert "a seed user creates the cohort and is removed again" in streams.out
    streams.run("sync", "--dry-run", "--json")
    (planned,) = json.loads(streams.out)["audiences"]
    assert planned["is_empty"]
    streams.run("sync", "--yes", "--json")
    (synced,) = json.loads(streams.out)["audiences"]
    for plan, result in (("add", "added"), ("remove", "removed"), ("requests", "requests")):
        assert planned[plan] == synced[result]
