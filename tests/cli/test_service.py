"""A live session as a service: metrics and health on a port, and a log for a collector."""

import json
import socket
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from amp_console.simulator import Simulator
from tests.cli.operator import Operator
from tests.cli.processes import Process
from tests.cli.test_watch import is_in
from tests.ports import free_port
from tests.sync.workspace import lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1", "u2"))
    return file


def ask(port: int, path: str) -> int | None:
    """The status of an answer; None if nothing listens there."""
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}{path}", verify=False).status_code
    return None


def metrics(port: int) -> dict[str, float]:
    """The sum of each metric over its labels."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", verify=False).text
    return {
        family.name: sum(sample.value for sample in family.samples)
        for family in text_string_to_metric_families(text)
    }


def started(operator: Operator, port: int, *arguments: str | Path) -> Process:
    """Start a session, and wait until it is ready."""
    process = operator.start(*arguments, "--create", "--flush-seconds", "0.1")
    process.wait_until(lambda: ask(port, "/healthz/ready") == 200)
    return process


def test_watch_serves_metrics_and_health_on_a_port_of_their_own(
    operator: Operator, simulator: Simulator, file: Path
) -> None:
    port = free_port()
    process = started(operator, port, "watch", file, "--metrics-port", str(port), "--json")
    process.wait_until(is_in(simulator, "u1", "u2"))
    process.wait_until(lambda: metrics(port)["amp_console_delivered_changes"] == 2)
    found = metrics(port)
    assert found["amp_console_source_position_bytes"] == file.stat().st_size
    assert found["amp_console_source_size_bytes"] == file.stat().st_size
    assert ask(port, "/healthz/live") == 200
    assert ask(port, "/") == 404
    assert process.end() == 0, process.err
    assert f"Metrics on http://127.0.0.1:{port}/metrics" in process.err
    last = process.documents[-1]
    assert found["amp_console_requests"] == last["requests"]
    assert found["amp_console_events"] == last["read"]


def test_listen_serves_metrics_beside_webhooks_unless_they_have_a_port(
    operator: Operator, simulator: Simulator
) -> None:
    port, other = free_port(), free_port()
    process = started(operator, port, "listen", "--port", str(port))
    assert (
        httpx.post(f"http://127.0.0.1:{port}/", content=lines("u1"), verify=False).status_code
        == 200
    )
    process.wait_until(is_in(simulator, "u1"))
    assert metrics(port)["amp_console_events"] == 1
    process.end()
    both = ("--port", str(port), "--metrics-port", str(other))
    process = started(operator, port, "listen", *both)
    assert [ask(port, "/metrics"), ask(other, "/metrics")] == [404, 200]
    assert [ask(port, "/healthz"), ask(other, "/healthz/ready")] == [200, 200]
    process.end()


def test_the_log_as_json_says_what_the_lines_say(operator: Operator, file: Path) -> None:
    file.write_text(lines("u1", "ghost-1") + "17\n")
    port = free_port()
    process = started(
        operator, port, "watch", file, "--metrics-port", str(port), "--log-format", "json"
    )
    process.wait_until(lambda: metrics(port)["amp_console_events"] == 3)
    before = datetime.now(UTC)
    assert process.end() == 1
    assert process.err == ""
    records = process.documents
    for record in records:
        assert {"time", "level", "event", "message"} <= record.keys()
        assert record["time"].endswith("Z")
        assert abs(datetime.fromisoformat(record["time"]) - before) < timedelta(minutes=2)
    (listening,) = of_event(records, "metrics")
    assert listening["url"] == f"http://127.0.0.1:{port}/metrics"
    last = of_event(records, "figures")[-1]
    assert (last["level"], last["read"], last["added"], last["rejected"]) == ("info", 3, 1, 1)
    assert last["message"].startswith("3 read (2 members updated)  1 invalid  pending 0  lag 0.0 s")
    assert (last["would_remove"], last["backlogs"]) == ({}, [])
    (ending,) = of_event(records, "ending")
    assert ending["level"] == "info"
    (errors,) = of_event(records, "errors")
    assert (errors["level"], errors["rejected"], errors["invalid"]) == ("warning", 1, 1)
    assert errors["message"].startswith("1 user is rejected and 1 event was invalid.")


def of_event(records: list[Any], name: str) -> list[Any]:
    return [record for record in records if record["event"] == name]


def test_an_alert_and_what_is_left_are_records_with_a_level(operator: Operator) -> None:
    ended = operator.run("watch", "-", "--log-format", "json", stdin=lines("u1").encode())
    assert (ended.status, ended.err) == (1, "")
    records = [json.loads(line) for line in ended.out.splitlines()]
    (pending,) = of_event(records, "pending")
    assert (pending["level"], pending["pending"]) == ("warning", 1)
    assert "“shoppers” 1 (no cohort)" in pending["message"]


def test_refused_keys_are_a_record_and_the_exit_status_stays(operator: Operator) -> None:
    operator.environment["AMP_CONSOLE_API_KEY"] = "not-a-key"
    arguments = ("watch", "-", "--create", "--log-format", "json")
    ended = operator.run(*arguments, stdin=lines("u1").encode())
    assert ended.status == 3
    records = [json.loads(line) for line in ended.out.splitlines()]
    (refused,) = of_event(records, "keys_refused")
    assert refused["level"] == "error"
    assert "not-a-key" not in ended.out


@pytest.mark.parametrize("command", [("watch", "-", "--metrics-port"), ("listen", "--port")])
def test_a_port_in_use_ends_with_2_and_a_sentence_or_a_record(
    operator: Operator, command: tuple[str, ...]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        as_lines = operator.run(*command, port)
        as_json = operator.run(*command, port, "--log-format", "json")
    assert (as_lines.status, as_lines.out) == (2, "")
    assert f"Can't listen on 127.0.0.1:{port}" in as_lines.err
    assert (as_json.status, as_json.err) == (2, "")
    (record,) = [json.loads(line) for line in as_json.out.splitlines()]
    assert (record["level"], record["event"]) == ("error", "failed")
    assert record["message"] == as_lines.err.strip()


@pytest.mark.parametrize("command", [("watch", "-"), ("listen", "--port", "1")])
@pytest.mark.parametrize(("without", "status"), [("keys", 3), ("settings", 2), ("ledger", 4)])
def test_what_prevents_the_start_is_a_record_too(
    operator: Operator, command: tuple[str, ...], without: str, status: int
) -> None:
    absent = ["AMP_CONSOLE_API_KEY", "AMP_CONSOLE_SECRET_KEY"] if without == "keys" else []
    folder = operator.home / "amp-console"
    if without == "settings":
        (folder / "config" / "config.toml").write_text("[[")
    if without == "ledger":
        operator.run("audiences")
        (ledger,) = folder.rglob("*.db")
        ledger.write_bytes(b"no database")
    as_lines = operator.run(*command, without=absent)
    as_json = operator.run(*command, "--log-format", "json", without=absent)
    assert (as_lines.status, as_lines.out) == (status, "")
    assert (as_json.status, as_json.err) == (status, "")
    (record,) = [json.loads(line) for line in as_json.out.splitlines()]
    assert (record["level"], record["event"]) == ("error", "failed")
    assert record["message"] == as_lines.err.strip()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--metrics-host", "::1"), "--metrics-host needs --metrics-port"),
        (("--json", "--log-format", "json"), "Use one of them"),
        (("--metrics-port", "0"), "--metrics-port"),
    ],
)
@pytest.mark.parametrize("command", [("watch", "-"), ("listen",)])
def test_options_that_do_nothing_or_exclude_each_other_end_with_2(
    operator: Operator, command: tuple[str, ...], options: tuple[str, ...], words: str
) -> None:
    ended = operator.run(*command, *options)
    assert ended.status == 2
    assert words in ended.err
