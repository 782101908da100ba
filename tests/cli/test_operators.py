"""Who did it, in the commands of a ledger that several operators share."""

import getpass
import json
import socket
from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.sync.workspace import event

BEN = {"AMP_CONSOLE_OPERATOR": " ben "}


@pytest.fixture
def synced(operator: Operator, tmp_path: Path) -> Operator:
    """An operator who has synced one person."""
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event("u1", True)) + "\n")
    assert operator.run("sync", "--from", file, "--yes").status == 0
    return operator


def test_of_one_operator_nothing_is_said_but_to_scripts(synced: Operator) -> None:
    me = f"{getpass.getuser()}@{socket.gethostname()}"
    for command in ("runs", "log", "person u1"):
        ended = synced.run(*command.split())
        assert me not in ended.out
        assert " BY " not in ended.out
    (run,) = synced.run("runs", "--json").document
    assert run["operator"] == me
    assert {entry["operator"] for entry in synced.run("log", "--json").document["entries"]} == {me}


def test_of_several_operators_each_is_named(synced: Operator) -> None:
    changed = synced.run("audience", "shoppers", "--cohort-name", "VIPs", more=BEN)
    assert changed.status == 0
    me = f"{getpass.getuser()}@{socket.gethostname()}"
    lines = synced.run("log").out.splitlines()
    assert lines[0].endswith("Settings of “shoppers” changed: cohort name VIPs.  (ben)")
    assert lines[1].endswith(f"  ({me})")
    header, run = synced.run("runs").out.splitlines()
    assert header.split()[:4] == ["RUN", "STARTED", "KIND", "BY"]
    assert me in run
    assert f"(run 1, by {me})" in synced.run("person", "u1").out
    assert synced.run("log", "--text", "BEN", "--json").document["total"] == 1


def test_a_connection_keeps_the_name_that_was_chosen(operator: Operator, tmp_path: Path) -> None:
    operator.connect("acme", "--operator", " Ana Ng ")
    operator.connect("acme")
    file = tmp_path / "events.ndjson"
    file.write_text(json.dumps(event("u1", True)) + "\n")
    operator.run("import", file)
    assert operator.run("log", "--json").document["entries"][0]["operator"] == "Ana Ng"
    assert 'operator = "Ana Ng"' in (operator.home / "amp-console/config/config.toml").read_text()
    operator.connect("acme", "--operator", "")
    assert "operator" not in (operator.home / "amp-console/config/config.toml").read_text()
    refused = operator.connect("acme", "--operator", "a\tb")
    assert refused.status == 2
    assert "can't be shown" in refused.err
