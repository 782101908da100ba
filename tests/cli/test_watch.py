"""`amp-console watch` as a process: started, ended, killed, and started again."""

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from amp_console.simulator import Audience, Scenario, Simulator, write_file
from tests.cli.operator import Operator
from tests.sync.workspace import event, lines


def is_in(simulator: Simulator, *users: str, name: str = "shoppers") -> Callable[[], bool]:
    def check() -> bool:
        found = [cohort for cohort in simulator.world.cohorts() if cohort.name == name]
        return bool(found) and simulator.world.members(found[0].id) == set(users)

    return check


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_delivers_what_is_pending_and_ends_with_0(
    operator: Operator, simulator: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "live.ndjson"
    file.write_text(lines("u1"))
    process = operator.start("watch", file, "--create", "--flush-seconds", "0.2", "--json")
    process.wait_until(is_in(simulator, "u1"))
    with file.open("a") as more:
        more.write(lines("u2"))
    assert process.end(number) == 0, process.err
    last = process.documents[-1]
    assert (last["read"], last["queue"], last["added"]) == (2, 0, 2)
    assert is_in(simulator, "u1", "u2")()


def test_the_standard_input_is_followed_to_its_end(
    operator: Operator, simulator: Simulator
) -> None:
    ended = operator.run("watch", "-", "--create", stdin=lines("u1", "u2").encode())
    assert ended.status == 0, ended.err
    assert is_in(simulator, "u1", "u2")()


def test_audiences_without_a_cohort_are_listed_as_waiting(
    operator: Operator, simulator: Simulator
) -> None:
    ended = operator.run("watch", "-", "--json", stdin=lines("u1").encode())
    assert ended.status == 1  # as the history says: partial
    assert "Ended with 1 change pending: “shoppers” 1 (no cohort)." in ended.err
    assert "They stay pending until you resolve that." in ended.err
    last = json.loads(ended.out.splitlines()[-1])
    assert last["waiting"] == {"shoppers": "waiting: no cohort"}
    assert simulator.world.cohorts() == []


def test_a_large_removal_waits_for_a_sync_unless_it_is_allowed(
    operator: Operator, simulator: Simulator
) -> None:
    operator.run("watch", "-", "--create", stdin=lines("u1").encode())
    left = json.dumps(event("u1", False, 5))
    assert operator.run("import", "-", stdin=left.encode()).status == 0
    ended = operator.run("watch", "-", stdin=lines("u2", at=6).encode())
    assert ended.status == 1
    assert "“shoppers” 2 (large removal)" in ended.err
    assert "(removes the only cohort member). To send it: amp-console sync shoppers" in ended.out
    assert is_in(simulator, "u1")()
    ended = operator.run("watch", "-", "--allow-large-removals", stdin=b"")
    assert ended.status == 0, ended.err
    assert is_in(simulator, "u2")()


def test_users_who_are_rejected_end_it_with_1(operator: Operator) -> None:
    text = lines("u1", "ghost-1") + "17\n"
    ended = operator.run("watch", "-", "--create", stdin=text.encode())
    assert ended.status == 1
    assert "1 user is rejected and 1 event was invalid. To see why: amp-console errors" in ended.err
    (run,) = json.loads(operator.run("runs", "--json").out)
    assert run["status"] == "partial"


def test_users_that_earlier_runs_rejected_end_it_with_1(operator: Operator) -> None:
    text = lines("u1", "ghost-1")
    operator.run("watch", "-", "--create", stdin=text.encode())
    ended = operator.run("watch", "-", "--create", stdin=lines("u2").encode())
    assert ended.status == 1
    newest, first = json.loads(operator.run("runs", "--json").out)
    assert (newest["status"], first["status"]) == ("delivered", "partial")


def test_wrong_keys_end_it_with_3(operator: Operator) -> None:
    operator.environment["AMP_CONSOLE_API_KEY"] = "not-a-key"
    ended = operator.run("watch", "-", "--create", stdin=lines("u1").encode())
    assert ended.status == 3
    assert "Amplitude refused the keys" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-", "other.ndjson"), "Standard input (-) can't be combined"),
        (("/nowhere/at/all.ndjson",), "does not exist, nor does its folder"),
        ((), "Missing argument"),
    ],
)
def test_wrong_use_ends_with_2(operator: Operator, arguments: tuple[str, ...], words: str) -> None:
    ended = operator.run("watch", *arguments)
    assert ended.status == 2
    assert words in ended.err


def test_killed_at_ten_random_moments_under_load_nothing_is_lost(
    operator: Operator, simulator: Simulator, tmp_path: Path
) -> None:
    """The file keeps growing; each kill comes after a given number of further requests."""
    operator.limit(quiet_time=0)
    dice = random.Random(5)
    audiences = (Audience.named("High value shoppers"), Audience.named("Newsletter"))
    source = tmp_path / "source.ndjson"
    scenario = Scenario(
        seed=11, events=20_000, users=6_000, audiences=audiences, ghosts=0.0, broken=0.0
    )
    truth = write_file(source, scenario)
    stream = source.read_bytes().splitlines(keepends=True)
    file = tmp_path / "live.ndjson"
    file.touch()
    parts = _parts(stream, 11)
    for part in parts[:-1]:
        process = operator.start("watch", file, "--create", "--flush-seconds", "0.1")
        before = len(simulator.requests)
        with file.open("ab") as growing:
            for line in part:
                growing.write(line)
        wanted = before + dice.randint(1, 2)
        process.wait_until(lambda: len(simulator.requests) >= wanted)  # noqa: B023
        process.kill()
    process = operator.start("watch", file, "--create", "--flush-seconds", "0.1")
    with file.open("ab") as growing:
        growing.writelines(parts[-1])
    for audience in audiences:
        members = truth.members[audience.key]
        process.wait_until(is_in(simulator, *members, name=audience.key))
    assert process.end() == 0, process.err


def _parts(stream: list[bytes], count: int) -> list[list[bytes]]:
    size = -(-len(stream) // count)
    return [stream[n : n + size] for n in range(0, len(stream), size)]


def test_two_processes_follow_into_the_same_cohort(
    operator: Operator, simulator: Simulator, tmp_path: Path
) -> None:
    users = [f"u{n}" for n in range(200)]
    one, two = tmp_path / "one.ndjson", tmp_path / "two.ndjson"
    one.write_text(lines(*users[:100]))
    two.write_text(lines(*users[100:]))
    processes = [
        operator.start("watch", file, "--create", "--flush-seconds", "0.1") for file in (one, two)
    ]
    processes[0].wait_until(is_in(simulator, *users))
    for process in processes:
        assert process.end() == 0, process.err
    assert len(simulator.world.cohorts()) == 1
    assert not any(seen.status == 429 for seen in simulator.requests)
