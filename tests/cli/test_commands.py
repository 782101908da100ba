"""The commands as an operator runs them: arguments, exit statuses, stdout and stderr."""

import csv
import gzip
import json
import re
import signal
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    LedgerServer,
    Limits,
    NamedSource,
    SegmentSpace,
)
from amp_console.ledger.backups import DAILY, BackupOptions, back_up
from amp_console.simulator import Answer, Call, Late, Rule, Simulator, Slow
from tests.cli.operator import Operator
from tests.mounts import mount
from tests.sync.workspace import event, ndjson


def write(path: Path, *events: object) -> Path:
    path.write_text(ndjson(events))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three people entered, one of them left, and one is unknown to Amplitude."""
    return write(
        tmp_path / "events.ndjson",
        event("u1", True),
        event("u2", True),
        event("u3", True),
        event("u3", False, 5),
        event("ghost-1", True),
    )


def test_connecting_again_keeps_what_no_option_sets(operator: Operator) -> None:
    store = ConnectionStore(operator.home / "amp-console/config/config.toml")
    changed = msgspec.structs.replace(
        store.pick("acme"),
        read_only=True,
        limits=Limits(tries=3),
        keep_history=90,
        operator="Ana",
    )
    changed = store.save(changed, keyring_item="an-item", webhook_item="another-item")
    changed = store.put_source(changed, NamedSource(name="lake", url="sqlite:/lake.db"))
    changed = store.put_space(changed, SegmentSpace(id="spa_1"))
    before = store.put_ledger(changed, LedgerServer(url="postgresql://127.0.0.1:1/amp"))
    defaults = {"region", "prefix", "user_id_path", "amplitude_id_path"}
    first = Connection(name="first", app_id=1, owner_email="first@acme.example")
    for name in set(Connection.__struct_fields__) - defaults:
        assert getattr(before, name) != getattr(first, name), name
    assert operator.connect("acme").status == 0
    assert store.pick("acme") == before


class TestHelp:
    @pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sync", "--help"]])
    def test_needs_no_settings(self, fresh: Operator, arguments: list[str]) -> None:
        ended = fresh.run_process(*arguments)
        assert (ended.status, ended.err) == (0, "")
        assert "amp-console" in ended.out or "Usage" in ended.out
        assert not (fresh.home / "amp-console").exists()

    @pytest.mark.parametrize("group", [[], ["ledger"], ["segment"], ["source"]], ids=str)
    def test_says_what_each_command_does_in_a_whole_sentence(
        self, fresh: Operator, group: list[str]
    ) -> None:
        _, _, listed = fresh.run(*group, "--help").out.partition("\nCommands:\n")
        assert listed
        for line in listed.strip().splitlines():
            assert re.search(r"[^.]\.$", line), line

    def test_of_an_unknown_command_is_an_error(self, fresh: Operator) -> None:
        assert fresh.run("synk").status == 2


class TestConnect:
    def test_with_keys_of_the_environment_does_not_store_them(self, fresh: Operator) -> None:
        ended = fresh.connect()
        assert ended.status == 0
        assert "were not stored" in ended.out
        (found,) = fresh.run("connections", "--json").document
        assert found["name"] == "acme"
        assert found.get("keyring_item") is None

    def test_tells_a_wrong_key_from_a_wrong_secret(self, fresh: Operator) -> None:
        fresh.environment["AMP_CONSOLE_SECRET_KEY"] = "wrong-secret-key"
        ended = fresh.connect()
        assert ended.status == 3
        assert "Invalid API/Secret Key combination" in ended.err
        fresh.environment["AMP_CONSOLE_API_KEY"] = "wrong-api-key"
        ended = fresh.connect()
        assert ended.status == 3
        assert "region" in ended.err
        assert fresh.run("connections", "--json").document == []

    def test_without_keys_says_how_to_give_them(self, fresh: Operator) -> None:
        keys = ("AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY")
        ended = fresh.run(
            "connect", "x", "--app-id", "1", "--owner-email", "a@b.example", without=keys
        )
        assert ended.status == 3
        assert "AMP_CONSOLE_API_KEY" in ended.err

    @pytest.mark.parametrize("keys", [b"", b"one line only", b"a b\nc", "ké\ny".encode()])
    def test_refuses_what_cannot_be_keys(self, fresh: Operator, keys: bytes) -> None:
        where = ("--base-url", fresh.simulator.base_url)
        basics = ("connect", "x", "--app-id", "1", "--owner-email", "a@b.example", *where)
        ended = fresh.run(*basics, "--keys-stdin", stdin=keys)
        assert ended.status == 2
        assert "Traceback" not in ended.err

    def test_with_one_key_of_two_names_the_other(self, operator: Operator) -> None:
        ended = operator.run("sync", without=["AMP_CONSOLE_SECRET_KEY"])
        assert ended.status == 3
        assert "AMP_CONSOLE_SECRET_KEY" in ended.err

    def test_without_a_keyring_says_that_the_keys_were_not_saved(self, fresh: Operator) -> None:
        ended = fresh.connect("acme", "--save-keys")
        assert ended.status == 3
        assert (
            "The connection was saved without its keys, because this machine has no keyring"
            in ended.err
        )

    @pytest.mark.parametrize(
        "options",
        [
            ["--base-url", "http://amplitude.example"],
            ["--base-url", "http://127.0.0.1:1", "--region", "europe"],
            ["--user-id-path", "userId"],
            ["--owner-email", "no-one"],
        ],
        ids=str,
    )
    def test_refuses_settings_that_cannot_be_right(
        self, fresh: Operator, options: list[str]
    ) -> None:
        basics = ["connect", "x", "--app-id", "1", "--owner-email", "a@b.example"]
        ended = fresh.run(*basics, *options)
        assert ended.status == 2
        assert ended.out == ""

    def test_warns_of_another_app_id(self, operator: Operator, file: Path) -> None:
        operator.run("sync", "--from", file, "--yes")
        options = ["--owner-email", "ana@acme.example", "--base-url", operator.simulator.base_url]
        ended = operator.run("connect", "acme", "--app-id", "7", *options)
        assert "App ID" in ended.err

    def test_one_of_several_connections_must_be_named(self, operator: Operator) -> None:
        operator.connect("second")
        ended = operator.run("audiences")
        assert ended.status == 2
        assert "acme" in ended.err
        assert "second" in ended.err
        assert operator.run("audiences", "--connection", "second").status == 0
        assert operator.run("--connection", "second", "audiences").status == 0

    def test_disconnect_forgets_it(self, operator: Operator) -> None:
        assert operator.run("disconnect", "acme", "--yes").status == 0
        assert operator.run("connections", "--json").document == []
        assert operator.run("audiences").status == 2


class TestImport:
    def test_accounts_for_every_event(self, operator: Operator, tmp_path: Path) -> None:
        path = tmp_path / "mixed.ndjson"
        trait = {"context": {"personas": {"computation_class": "trait"}}, "type": "identify"}
        path.write_text("\n".join([json.dumps(event("u1", True)), "{broken", json.dumps(trait)]))
        ended = operator.run("import", path)
        assert ended.status == 1
        said = "Read 3 events: 1 valid ({}), 1 filtered, 1 invalid."
        assert said.format("1 member updated") in ended.out
        assert said.format("nothing new") in operator.run("import", path).out
        (invalid,) = operator.run("errors", "--json").document["invalid_events"]
        assert (invalid["source"], invalid["line"]) == (str(path), 2)
        assert invalid["reason"].startswith("not JSON")

    def test_of_a_file_of_which_nothing_is_taken_says_what_it_looks_like(
        self, operator: Operator, tmp_path: Path
    ) -> None:
        path = tmp_path / "odd.ndjson"
        path.write_text('{"id":1}\n{"id":2}\n')
        ended = operator.run("import", path)
        assert ended.status == 1
        assert f"{path}: no valid event, 2 events were filtered. They have no type" in ended.out

    def test_tells_of_events_dated_in_the_future(self, operator: Operator, tmp_path: Path) -> None:
        path = tmp_path / "ahead.ndjson"
        path.write_text(json.dumps({**event("u1", True), "timestamp": "9999-01-01T00:00:00Z"}))
        ended = operator.run("import", path)
        assert (ended.status, "1 event is dated more than a day" in ended.out) == (0, True)
        notice = "1 person has an event dated in the future, up to 9999-01-01 00:00:00 UTC."
        assert f"shoppers: {notice}" in operator.run("audiences").out
        shown = operator.run("audience", "shoppers", "--json").document
        assert (shown["dated_ahead"], shown["notice"].startswith(notice)) == (1, True)
        assert f"notice        {notice}" in operator.run("audience", "shoppers").out

    def test_twice_changes_nothing(self, operator: Operator, file: Path) -> None:
        operator.run("import", file)
        before = operator.run("audiences", "--json").document
        operator.run("import", file)
        assert operator.run("audiences", "--json").document == before

    def test_reads_gzip_from_stdin(self, operator: Operator, file: Path) -> None:
        ended = operator.run_process("import", "-", stdin=gzip.compress(file.read_bytes()))
        assert ended.status == 0
        assert "Read 5 events: 5 valid" in ended.out

    def test_of_what_cannot_be_read_continues_with_the_rest(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        binary = tmp_path / "binary"
        binary.write_bytes(bytes(range(256)) * 10)
        ended = operator.run("import", tmp_path / "missing", tmp_path, binary, file)
        assert ended.status == 2
        assert "Read 5 events" in ended.out
        assert len(ended.err.splitlines()) == 3

    def test_of_an_audience_download_needs_its_key(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        operator.run("import", file)
        download = tmp_path / "download.csv"
        download.write_text("user_id,email\nu2,a@b.example\nu9,c@d.example\n")
        ended = operator.run("import", download)
        assert ended.status == 2
        assert "with the key of its audience" in ended.err
        taken = ("--taken-at", "2026-05-04T00:00:00Z")
        ended = operator.run("import", download, "--audience", "shoppers", "--snapshot", *taken)
        assert ended.status == 2
        ended = operator.run(
            "import", download, "--audience", "shoppers", "--snapshot", "--yes", *taken
        )
        assert ended.status == 0, ended.err
        (audience,) = operator.run("audiences", "--json").document
        assert audience["members"] == 2


class TestSync:
    def test_from_a_file_prints_one_document(self, operator: Operator, file: Path) -> None:
        ended = operator.run_process("sync", "--from", file, "--yes", "--json")
        assert ended.status == 1
        document = ended.document
        (audience,) = document.pop("audiences")
        elapsed = document.pop("elapsed_seconds")
        assert elapsed > 0
        assert document == {
            "run": 1,
            "status": "partial",
            "connection": "acme",
            "events": {"read": 5, "valid": 5, "filtered": 0, "invalid": 0},
            "requests": 2,  # an upload that creates the cohort, and the members
            "retries": 0,
            "planned": 3,
            "since_plan": "",
        }
        cohort = operator.simulator.world.cohort_named("shoppers")
        assert audience == {
            "key": "shoppers",
            "computation_id": "aud_shoppers",
            "name": "shoppers",
            "cohort_id": cohort.id,
            "cohort_name": "shoppers",
            "id_type": "user_id",
            "added": 2,
            "removed": 0,
            "rejected": 1,
            "unidentified": 0,
            "pending": 0,
            "uncertain": 0,
            "certain_at": None,
            "requests": document["requests"],
        }
        assert operator.cohort("shoppers") == {"u1", "u2"}

    def test_that_makes_a_cohort_must_be_confirmed(self, operator: Operator, file: Path) -> None:
        ended = operator.run("sync", "--from", file)
        assert (ended.status, ended.out) == (2, "")
        assert "creates the cohort “shoppers”" in ended.err
        assert "--yes" in ended.err
        assert operator.simulator.world.cohorts() == []

    def test_that_takes_most_members_out_must_be_confirmed(
        self, operator: Operator, tmp_path: Path
    ) -> None:
        users = ("u1", "u2", "u3", "u4")
        entered = write(tmp_path / "a.ndjson", *(event(u, True) for u in users))
        assert operator.run("sync", "--from", entered, "--yes").status == 0
        left = write(tmp_path / "b.ndjson", *(event(u, False, 9) for u in users[:3]))
        ended = operator.run("sync", "--from", left)
        assert ended.status == 2
        assert "removes 3 of 4 cohort members" in ended.err
        assert len(operator.cohort("shoppers")) == 4

    def test_that_is_routine_just_runs(self, operator: Operator, tmp_path: Path) -> None:
        users = ("u1", "u2", "u3", "u4")
        entered = write(tmp_path / "a.ndjson", *(event(u, True) for u in users))
        operator.run("sync", "--from", entered, "--yes")
        left = write(tmp_path / "b.ndjson", *(event(u, False, 9) for u in users[:2]))
        assert operator.run("sync", "--from", left).status == 0
        assert operator.cohort("shoppers") == {"u3", "u4"}

    def test_from_a_file_that_cannot_be_read_fails_and_sends_nothing(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        operator.run("import", file)  # pending, but not from the named file
        before = len(operator.simulator.requests)
        for unreadable in (tmp_path / "missing.ndjson", tmp_path):
            ended = operator.run("sync", "--from", unreadable, "--yes")
            assert (ended.status, ended.out) == (2, "")
            assert str(unreadable) in ended.err
            assert ended.err.endswith("Nothing was sent.\n")
        assert len(operator.simulator.requests) == before

    @pytest.mark.parametrize("words", [("import", "{}", "{}"), ("sync", "--from={}", "--from={}")])
    def test_what_would_make_a_file_readable_is_named_with_the_options_of_import(
        self, operator: Operator, tmp_path: Path, words: tuple[str, str, str]
    ) -> None:
        (members := tmp_path / "members.csv").write_text("user_id\nu1\n")
        (unknown := tmp_path / "unknown.csv").write_text("email\nu1@acme.example\n")
        command, first, second = words
        ended = operator.run(command, first.format(members), second.format(unknown))
        assert ended.status == 2
        assert "Options of amp-console import: --audience KEY, --user-id-column NAME\n" in ended.err
        assert "--amplitude-id-column" not in ended.err

    def test_dry_run_sends_nothing_and_needs_no_keys(self, operator: Operator, file: Path) -> None:
        before = len(operator.simulator.requests)
        keys = ("AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY")
        ended = operator.run("sync", "--from", file, "--dry-run", "--json", without=keys)
        assert ended.status == 0
        (audience,) = ended.document["audiences"]
        assert (audience["creates"], audience["add"], audience["requests"]) == (True, 3, 2)
        assert len(operator.simulator.requests) == before

    def test_with_refused_keys_keeps_everything(self, operator: Operator, file: Path) -> None:
        operator.environment["AMP_CONSOLE_SECRET_KEY"] = "wrong-secret-key"
        ended = operator.run("sync", "--from", file, "--yes", "--json")
        assert ended.status == 3
        assert ended.document["status"] == "stopped"
        assert ended.document["audiences"][0]["pending"] == 3

    def test_that_gives_up_says_so_and_continues_next_time(
        self, operator: Operator, file: Path
    ) -> None:
        operator.limit(tries=1)
        operator.simulator.faults.set([Rule(Answer(500), frozenset({Call.MEMBERSHIP}))])
        ended = operator.run("sync", "--from", file, "--yes")
        assert ended.status == 4
        assert "Gave up" in ended.out
        operator.simulator.faults.clear()
        assert operator.run("sync").status == 1
        assert operator.cohort("shoppers") == {"u1", "u2"}

    def test_to_a_cohort_that_is_gone_says_which_command_helps(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        operator.limit(tries=1)
        operator.run("sync", "--from", file, "--yes")
        world = operator.simulator.world
        world.drop_cohort(world.cohort_named("shoppers").id)
        later = write(tmp_path / "later.ndjson", event("u9", True, 9))
        ended = operator.run("sync", "--from", later, "--yes")
        assert ended.status == 4
        assert "amp-console audience shoppers --unlink" in ended.out
        assert "amp-console audience shoppers --unlink" in operator.run("audience", "shoppers").out
        assert "is pending: amp-console sync" not in ended.out
        other = write(tmp_path / "other.ndjson", event("u1", True, audience="others"))
        operator.simulator.faults.add(Answer(500), Call.UPLOAD)
        operator.run("import", other)
        ended = operator.run("sync", "--yes")
        assert "To deliver what else is pending: amp-console sync" in ended.out

    def test_ctrl_c_keeps_everything(self, operator: Operator, file: Path) -> None:
        operator.limit(quiet_time=0)
        operator.simulator.faults.add(Late(None), Call.MEMBERSHIP)  # the answer never comes
        process = operator.start("sync", "--from", file, "--yes")
        process.wait_until(lambda: is_answered(operator.simulator, Call.MEMBERSHIP))
        process.send(signal.SIGINT)
        process.wait_until(lambda: "Finishing" in process.err)
        assert process.end(signal.SIGINT) == 130
        operator.simulator.faults.clear()
        assert operator.run("sync", "--yes").status == 1
        assert operator.cohort("shoppers") == {"u1", "u2"}

    def test_of_a_file_that_is_missing_delivers_the_others_and_ends_with_2(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        operator.run("import", file)
        known = write(tmp_path / "known.ndjson", event("u1", True))
        missing = tmp_path / "missing.ndjson"
        ended = operator.run("sync", "shoppers", "--from", missing, "--from", known, "--yes")
        assert ended.status == 2
        assert "missing.ndjson" in ended.err
        assert operator.cohort("shoppers") == {"u1", "u2"}

    def test_one_ctrl_c_ends_a_wait_at_once_with_130(self, operator: Operator, file: Path) -> None:
        operator.simulator.faults.add(Answer(429, retry_after="60"), Call.MEMBERSHIP)
        process = operator.start("sync", "--from", file, "--yes")
        process.wait_until(lambda: is_answered(operator.simulator, Call.MEMBERSHIP))
        assert process.end(signal.SIGINT) == 130, process.err
        assert "stopped with changes pending" in process.out
        (audience,) = operator.run("audiences", "--json").document
        assert audience["pending_add"] == 3

    def test_of_an_unknown_audience_names_the_known(self, operator: Operator, file: Path) -> None:
        operator.run("import", file)
        ended = operator.run("sync", "shopers")
        assert ended.status == 2
        assert "Known audiences: shoppers" in ended.err

    def test_of_a_switched_off_audience_is_refused(self, operator: Operator, file: Path) -> None:
        operator.run("import", file)
        operator.run("audience", "shoppers", "--disable")
        assert operator.run("sync", "shoppers", "--yes").status == 2
        assert operator.run("sync", "--yes").status == 0
        assert operator.simulator.world.cohorts() == []


class TestErrors:
    def test_lists_who_failed_and_why(self, operator: Operator, file: Path) -> None:
        operator.run("sync", "--from", file, "--yes")
        (user,) = operator.run("errors", "--json").document["rejected"]
        assert user.pop("at").endswith("Z")
        assert user == {
            "audience": "shoppers",
            "computation_id": "aud_shoppers",
            "id": "ghost-1",
            "operation": "add",
            "reason": "Amplitude did not know this User ID",
            "code": "unknown_to_amplitude",
        }

    def test_retry_delivers_who_became_known(self, operator: Operator, file: Path) -> None:
        operator.run("sync", "--from", file, "--yes")
        operator.simulator.world.add_user("ghost-1")
        ended = operator.run("errors", "--retry", "--json")
        assert ended.status == 0, ended.err
        assert ended.document["rejected"] == []
        assert operator.cohort("shoppers") == {"u1", "u2", "ghost-1"}

    def test_csv_is_for_the_operators_eyes(
        self, operator: Operator, file: Path, tmp_path: Path
    ) -> None:
        operator.run("sync", "--from", file, "--yes")
        target = tmp_path / "errors.csv"
        assert operator.run("errors", "--csv", target).status == 0
        with target.open(newline="") as rows:
            (row,) = csv.DictReader(rows)
        assert (row["kind"], row["id"], row["audience"]) == ("rejected", "ghost-1", "shoppers")
        assert stat.S_IMODE(target.stat().st_mode) == 0o600

    def test_invalid_events_are_grouped_by_reason_with_samples(
        self, operator: Operator, tmp_path: Path
    ) -> None:
        for name in ("a.ndjson", "b.ndjson"):
            events = [event(None, True) for _ in range(12_000 if name == "a.ndjson" else 2)]
            (tmp_path / name).write_text("\n".join(map(json.dumps, [*events, {"x": 1}])))
            operator.run("import", tmp_path / name)
        lines = operator.run("errors").out.splitlines()
        assert lines == [
            "0 rejected users, 12,002 invalid events",
            "12,002 invalid events in 2 sources: no usable identifier at $.userId",
            *(f"  {tmp_path / 'a.ndjson'}:{line}" for line in (1, 2, 3)),
            "  and 11,999 more",
            "To list them one by one: amp-console errors --csv FILE (or --json)",
        ]
        document = operator.run("errors", "--json").document
        assert (document["invalid"], len(document["invalid_events"])) == (12_002, 10_002)
        assert document["invalid_by_reason"][0]["events"] == 12_002
        exported = operator.run("errors", "--csv", tmp_path / "errors.csv")
        assert "It lists 10,002 of the 12,002 invalid events" in exported.out


class TestAudience:
    def test_lists_how_each_stands(self, operator: Operator, file: Path) -> None:
        operator.run("import", file)
        (audience,) = operator.run("audiences", "--json").document
        assert audience == {
            "key": "shoppers",
            "computation_id": "aud_shoppers",
            "name": "shoppers",
            "space_id": "spa_1",
            "cohort_id": None,
            "cohort_name": "shoppers",
            "id_type": "user_id",
            "owner_email": "ana@acme.example",
            "enabled": True,
            "members": 3,
            "pending_add": 3,
            "pending_remove": 0,
            "rejected": 0,
            "unidentified": 0,
            "uncertain": 0,
            "certain_at": None,
            "status": "no cohort",
            "states": [
                {"state": "no cohort", "users": 0, "text": "no cohort", "run": None},
                {"state": "pending", "users": 3, "text": "3 pending", "run": None},
            ],
            "compared_at": None,
            "last_sync_at": None,
            "dated_ahead": 0,
            "notice": None,
            "query": None,
            "segment": None,
        }

    def test_keeps_overrides_and_forgets_them_again(self, operator: Operator, file: Path) -> None:
        operator.run("import", file)
        set_ = ("--cohort-name", "VIPs", "--owner-email", "ben@acme.example", "--json")
        document = operator.run("audience", "shoppers", *set_).document
        assert (document["cohort_name"], document["owner_email"]) == ("VIPs", "ben@acme.example")
        document = operator.run("audience", "shoppers", "--cohort-name", "", "--json").document
        assert document["cohort_name"] == "shoppers"

    def test_starts_with_what_segments_destination_set(
        self, operator: Operator, tmp_path: Path
    ) -> None:
        personas = {
            "external_audience_id": "26umsb5",
            "audience_settings": {"id_type": "BY_AMP_ID", "owner_email": "ben@acme.example"},
        }
        path = write(tmp_path / "e.ndjson", event("u1", True, personas=personas))
        operator.run("import", path)
        (audience,) = operator.run("audiences", "--json").document
        found = (audience["cohort_id"], audience["id_type"], audience["owner_email"])
        assert found == ("26umsb5", "amplitude_id", "ben@acme.example")

    @pytest.mark.parametrize("option", [["--owner-email", "no-one"], ["--cohort-name", "  "]])
    def test_refuses_what_cannot_be_right(
        self, operator: Operator, file: Path, option: list[str]
    ) -> None:
        operator.run("import", file)
        assert operator.run("audience", "shoppers", *option).status == 2

    def test_links_no_cohort_of_another_audience(self, operator: Operator, tmp_path: Path) -> None:
        events = [event("u1", True, audience=key) for key in ("shoppers", "others")]
        operator.run("import", write(tmp_path / "e.ndjson", *events))
        link = ("--cohort-id", "26umsb5")
        assert operator.run("audience", "shoppers", *link).status == 0
        assert operator.run("audience", "shoppers", *link).status == 0
        refused = operator.run("audience", "others", *link, "--cohort-name", "Others")
        assert refused.status == 2
        assert "linked to “shoppers” already" in refused.err
        document = operator.run("audience", "others", "--json").document
        assert (document["cohort_id"], document["cohort_name"]) == (None, "others")

    def test_shows_hostile_names_harmlessly(self, operator: Operator, tmp_path: Path) -> None:
        name = "[/foo]\x1b[31m\u202eevil" + "x" * 300
        operator.run("import", write(tmp_path / "e.ndjson", event("u1", True, audience=name)))
        ended = operator.run("audiences")
        assert "\x1b" not in ended.out
        assert "\u202e" not in ended.out
        assert "\\x1b[31m" in ended.out


def test_runs_are_kept(operator: Operator, file: Path) -> None:
    operator.run("sync", "--from", file, "--yes")
    (run,) = operator.run("runs", "--json").document
    assert (run["run"], run["status"], run["added"], run["rejected"]) == (1, "partial", 2, 1)


def test_a_run_is_running_until_its_process_is_killed(operator: Operator, file: Path) -> None:
    operator.simulator.faults.add(Slow(60), Call.MEMBERSHIP)
    process = operator.start("sync", "--from", file, "--yes")
    process.wait_until(lambda: is_answered(operator.simulator, Call.UPLOAD))
    (run,) = operator.run("runs", "--json").document
    assert (run["status"], run["ended_at"]) == ("running", None)
    process.kill()
    (run,) = operator.run("runs", "--json").document
    assert (run["status"], run["audiences"]) == ("interrupted", 1)
    assert run["requests"] >= 1
    assert run["ended_at"] is not None
    assert "interrupted" in operator.run("runs").out


def test_doctor_finds_what_is_wrong(operator: Operator) -> None:
    ended = operator.run("doctor")
    assert "check  keyring     This machine has no keyring now." in ended.out
    assert "saved" not in ended.out
    assert "environment" in ended.out
    config = operator.home / "amp-console/config/config.toml"
    config.write_text("this is [not toml")
    assert operator.run("doctor").status == 1
    assert operator.run("audiences").status == 2


def test_a_ledger_on_a_network_file_system_is_not_opened_and_doctor_says_so(
    operator: Operator, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.run("import", file)
    data = operator.home / "amp-console/data"
    mount(monkeypatch, data, "cifs")
    ended = operator.run("sync", "--yes")
    assert ended.status == 4
    assert "is on a network file system (cifs)" in ended.err
    assert f"move the folder {data / 'ledgers'} to a local disk" in ended.err
    told = operator.run("doctor")
    assert told.status == 1
    assert "check  ledger      acme: The ledger " in told.out
    assert "is on a network file system (cifs)" in told.out


def test_demo_ends_by_itself_with_every_cohort_right(fresh: Operator) -> None:
    ended = fresh.run("demo", "--headless", "--events", "3000")
    assert ended.status == 0, ended.err
    assert "Every cohort contains exactly the members" in ended.out
    assert not (fresh.home / "amp-console").exists()


def test_the_commands_that_the_demo_ends_with_work(fresh: Operator) -> None:
    ended = fresh.run("demo", "--headless", "--events", "300")
    lines = [item.strip() for item in ended.out.splitlines() if "amp-console " in item]
    commands = [line.partition("  ")[0].split()[1:] for line in lines]
    assert commands == [["demo"], ["connect", "--help"]]
    assert fresh.run("connect", "--help").status == 0
    assert (
        fresh.run("demo").err
        == "The demo needs a terminal. Without one, use --web or --headless.\n"
    )


def test_a_damaged_ledger_is_reported_and_left_alone(operator: Operator, file: Path) -> None:
    operator.run("import", file)
    (ledger,) = (operator.home / "amp-console/data/ledgers").glob("*.db")
    ledger.write_bytes(b"not a database at all" * 100)
    ended = operator.run("audiences")
    assert ended.status == 4
    assert "is not a ledger. It was not changed. There is no backup." in ended.err
    assert "Traceback" not in ended.err


def test_a_backup_is_restored_as_doctor_says(operator: Operator, file: Path) -> None:
    operator.run("import", file)
    (ledger,) = (operator.home / "amp-console/data/ledgers").glob("*.db")
    made = back_up(ledger, DAILY, 1_777_900_000_000_000, BackupOptions(spare=0))
    assert made is not None
    before = operator.run("audiences", "--json").out
    ledger.write_bytes(b"")
    assert "is empty (0 bytes)" in operator.run("audiences").err
    told = operator.run("doctor")
    assert told.status == 1
    assert f"1 backup in {made.path.parent}" in told.out
    lines = [line.strip() for line in told.out.splitlines()]
    assert any(line.startswith(f"{made.path.name}  2026-05-04 13:06:40 UTC  ") for line in lines)
    begin = next(n for n, line in enumerate(lines) if line.startswith("set_aside="))
    subprocess.run(["sh", "-c", "\n".join(lines[begin : begin + 4])], check=True)
    assert operator.run("audiences", "--json").out == before
    assert operator.run("doctor").out.count("ok     ledger ") == 1
    assert len(list(ledger.parent.glob("*.db.damaged-*"))) == 1


def is_answered(simulator: Simulator, call: Call) -> bool:
    """Whether the simulated Amplitude has answered such a call."""
    return any(seen.call is call for seen in simulator.requests)
