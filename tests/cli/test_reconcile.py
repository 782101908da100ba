"""`amp-console reconcile` as a command: what it prints, and how it ends."""

import csv
import datetime
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Behavior, Simulator, World
from amp_console.values import IdType, Operation
from tests.cli.operator import Operator
from tests.sync.workspace import event, ndjson

USERS = [f"u{n}" for n in range(10)]
KEYS = {
    "audience",
    "computation_id",
    "cohort_id",
    "id_type",
    "in_audience",
    "in_cohort",
    "in_both",
    "missing_from_cohort",
    "extra_in_cohort",
    "not_comparable",
    "pending",
    "rejected",
    "applied",
    "verified",
    "quota",
}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Exports are ready at once: no test waits."""
    world = World(unknown=lambda text: text.startswith("ghost-"))
    with Simulator(world, behavior=Behavior(job_polls=0)) as running:
        yield running


@pytest.fixture
def operator(tmp_path: Path, simulator: Simulator) -> Operator:
    """An operator whose two audiences are delivered."""
    operator = Operator(tmp_path, simulator)
    operator.connect()
    file = tmp_path / "events.ndjson"
    events = [event(user, True, audience=key) for key in ("shoppers", "tests") for user in USERS]
    file.write_text(ndjson(events))
    assert operator.run("sync", "--from", file, "--yes").status == 0
    return operator


def cohort_of(simulator: Simulator, name: str = "shoppers") -> str:
    return simulator.world.cohort_named(name).id


def drift(simulator: Simulator, *, out: tuple[str, ...] = (), into: tuple[str, ...] = ()) -> None:
    """Change the shoppers' cohort directly in Amplitude."""
    world = simulator.world
    for operation, users in ((Operation.REMOVE, out), (Operation.ADD, into)):
        found = world.resolve(users, IdType.USER_ID).found
        world.change(cohort_of(simulator), operation, found)


def test_two_that_are_equal_end_with_0(operator: Operator) -> None:
    ended = operator.run("reconcile", "shoppers", "--json")
    assert ended.status == 0
    assert set(ended.document) == KEYS
    assert ended.document["in_both"] == 10
    assert ended.document["applied"] is None
    assert ended.document["quota"]["used"] == 1
    assert "0 of 500 downloads used; the count resets on 1 " in ended.err


def test_members_without_an_identifier_are_in_the_audience(operator: Operator) -> None:
    assert operator.run("audience", "shoppers", "--id-type", "amplitude_id").status == 0
    found = operator.run("reconcile", "shoppers", "--json").document
    assert (found["in_audience"], found["in_both"]) == (10, 0)
    assert operator.run("reconcile", "shoppers").out.splitlines()[1].split()[1] == "10"


def test_all_leaves_out_links_that_are_known_to_be_broken(
    operator: Operator, simulator: Simulator
) -> None:
    simulator.world.drop_cohort(cohort_of(simulator, "tests"))
    assert operator.run("reconcile", "tests").status != 0
    before = len(simulator.requests)
    ended = operator.run("reconcile", "--all", "--yes")
    assert ended.status == 0
    assert "tests is skipped: Amplitude has no cohort" in ended.err
    assert "shoppers" in ended.out
    simulator.world.drop_cohort(cohort_of(simulator, "shoppers"))
    assert operator.run("reconcile", "shoppers").status != 0
    ended = operator.run("reconcile", "--all", "--yes")
    assert ended.status == 2
    assert "Every link to a cohort is broken." in ended.err
    assert len(simulator.requests) > before


def test_differences_end_with_1_and_nothing_is_sent(
    operator: Operator, simulator: Simulator
) -> None:
    drift(simulator, out=("u0",), into=("stranger",))
    ended = operator.run("reconcile", "shoppers")
    assert ended.status == 1
    assert "1 missing from the cohort: delivered earlier." in ended.out
    assert "1 extra in the cohort: never in the audience." in ended.out
    assert simulator.world.members(cohort_of(simulator)) == {*USERS[1:], "stranger"}


def test_what_a_comparison_makes_pending_is_said_before_and_after(
    operator: Operator, simulator: Simulator
) -> None:
    drift(simulator, out=("u0", "u1"), into=("stranger",))
    ended = operator.run("reconcile", "shoppers")
    assert "it corrects what amp-console believes the cohort contains" in ended.err
    assert "2 of 3 differences are pending now" in ended.out
    ended = operator.run("reconcile", "shoppers", "--json")
    assert ended.document["pending"] == 2
    assert ended.document["rejected"] == 0


def test_a_repair_that_is_verified_ends_with_0(operator: Operator, simulator: Simulator) -> None:
    drift(simulator, out=("u0",), into=("stranger",))
    ended = operator.run("reconcile", "shoppers", "--apply", "both", "--yes", "--verify", "--json")
    assert ended.status == 0
    assert ended.document["missing_from_cohort"] == ended.document["extra_in_cohort"] == 1
    assert ended.document["applied"] == {"added": 1, "removed": 1, "rejected": 0, "pending": 0}
    assert ended.document["verified"] is True
    assert ended.document["quota"]["used"] == 2
    assert simulator.world.members(cohort_of(simulator)) == set(USERS)


def test_one_side_alone_leaves_differences(operator: Operator, simulator: Simulator) -> None:
    drift(simulator, out=("u0",), into=("stranger",))
    ended = operator.run("reconcile", "shoppers", "--apply", "add", "--json")
    assert ended.status == 1
    assert ended.document["verified"] is None
    assert simulator.world.members(cohort_of(simulator)) == {*USERS, "stranger"}


def test_users_unknown_to_amplitude_are_rejected(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "more.ndjson"
    file.write_text(json.dumps(event("ghost-1", True, audience="shoppers")))
    operator.run("import", file)
    ended = operator.run("reconcile", "shoppers", "--apply", "both", "--yes", "--verify", "--json")
    assert ended.status == 1
    assert ended.document["applied"] == {"added": 0, "removed": 0, "rejected": 1, "pending": 0}
    assert ended.document["verified"] is False
    assert [item["id"] for item in operator.run("errors", "--json").document["rejected"]] == [
        "ghost-1"
    ]


def test_a_large_removal_is_not_sent_unless_confirmed(
    operator: Operator, simulator: Simulator
) -> None:
    drift(simulator, into=tuple(f"s{n}" for n in range(5)))
    ended = operator.run("reconcile", "shoppers", "--apply", "both")
    assert ended.status == 2
    assert "removes 5 of 15 cohort members from “shoppers”" in ended.err
    assert simulator.world.size(cohort_of(simulator)) == 15
    assert operator.run("reconcile", "shoppers", "--apply", "both", "--yes").status == 0
    assert simulator.world.size(cohort_of(simulator)) == 10


def test_a_list_is_compared_with(operator: Operator, simulator: Simulator) -> None:
    listed = "".join(f"{user}\n" for user in (*USERS[1:], "brand-new"))
    ended = operator.run("reconcile", "shoppers", "--against", "-", stdin=listed.encode())
    assert ended.status == 1
    assert "1 extra in the cohort: not in the list." in ended.out
    ended = operator.run(
        "reconcile", "shoppers", "--against", "-", "--apply", "both", "--verify",
        stdin=listed.encode(),
    )  # fmt: skip
    assert ended.status == 0
    assert simulator.world.members(cohort_of(simulator)) == {*USERS[1:], "brand-new"}


def test_an_incomplete_list_is_refused_unless_it_is_allowed(
    operator: Operator, simulator: Simulator
) -> None:
    listed = "user_id,city\n" + "".join(f"{user},Graz\n" for user in USERS[1:]) + ",Linz\n"
    arguments = ("reconcile", "shoppers", "--against", "-", "--apply", "both", "--yes")
    ended = operator.run(*arguments, stdin=listed.encode())
    assert ended.status == 2
    assert "1 row was refused, first line" in ended.err
    assert "add --allow-incomplete" in ended.err
    assert simulator.world.size(cohort_of(simulator)) == len(USERS)
    ended = operator.run(*arguments, "--allow-incomplete", stdin=listed.encode())
    assert simulator.world.members(cohort_of(simulator)) == set(USERS[1:])


def test_a_list_that_shares_no_identifier_needs_more_than_yes(
    operator: Operator, simulator: Simulator
) -> None:
    listed = "".join(f"someone-{number}\n" for number in range(10))
    arguments = ("reconcile", "shoppers", "--against", "-", "--apply", "both", "--yes")
    ended = operator.run(*arguments, stdin=listed.encode())
    assert ended.status == 2
    assert "No identifier in stdin occurs in the cohort “shoppers” or in the audience" in ended.err
    assert "--allow-no-overlap" in ended.err
    assert simulator.world.members(cohort_of(simulator)) == set(USERS)
    operator.run(*arguments, "--allow-no-overlap", stdin=listed.encode())
    assert simulator.world.members(cohort_of(simulator)) == set(listed.split())


def test_all_are_compared_one_after_the_other(operator: Operator, simulator: Simulator) -> None:
    drift(simulator, out=("u0",))
    ended = operator.run("reconcile", "--all", "--json")
    assert ended.status == 1
    assert [(item["audience"], item["missing_from_cohort"]) for item in ended.document] == [
        ("shoppers", 1),
        ("tests", 0),
    ]
    assert "Comparing takes 2 downloads." in ended.err


def test_more_downloads_than_are_left_are_not_begun(
    operator: Operator, simulator: Simulator
) -> None:
    simulator.behavior = Behavior(downloads_per_month=1)
    ended = operator.run("reconcile", "--all")
    assert ended.status == 2
    assert "Too few downloads are left. Nothing was downloaded." in ended.err
    assert operator.run("reconcile", "shoppers").status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name at least one audience, or add --all."),
        (("shoppers", "--all"), "Name at least one audience, or add --all."),
        (("shoppers", "tests", "--against", "-"), "--against is a list for one audience"),
        (("shoppers", "--replace"), "add --apply both"),
        (("no-one",), "There is no audience 'no-one'"),
        (("shoppers", "--against", "nowhere.csv"), "nowhere.csv does not exist"),
    ],
)
def test_wrong_use_ends_with_2(operator: Operator, arguments: tuple[str, ...], words: str) -> None:
    ended = operator.run("reconcile", *arguments)
    assert ended.status == 2
    assert words in ended.err


def test_read_only_compares_and_repairs_nothing(operator: Operator, simulator: Simulator) -> None:
    drift(simulator, out=("u0",))
    ended = operator.run("--read-only", "reconcile", "shoppers", "--apply", "both", "--yes")
    assert ended.status == 2
    assert "read-only" in ended.err
    assert operator.run("--read-only", "reconcile", "shoppers").status == 1


@pytest.mark.parametrize("suffix", ["csv", "ndjson"])
def test_who_differs_is_written_before_and_after(
    operator: Operator, simulator: Simulator, tmp_path: Path, suffix: str
) -> None:
    drift(simulator, out=("u0",), into=("stranger", "U1"))
    file = tmp_path / f"differences.{suffix}"
    operator.run("reconcile", "shoppers", "--apply", "add", "--verify", "--export", file)
    if suffix == "csv":
        with file.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
    else:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [
        (row["compared"], row["difference"], row["identifier"], row["now"]) for row in rows
    ] == [
        ("before repair", "Missing from the cohort", "u0", "repaired"),
        ("before repair", "Extra: never in the audience", "U1", "extra"),
        ("before repair", "Extra: never in the audience", "stranger", "extra"),
        ("after repair", "Extra: never in the audience", "U1", "extra"),
        ("after repair", "Extra: never in the audience", "stranger", "extra"),
    ]
    assert rows[0]["ledger_before"] == "added earlier"
    at = datetime.datetime.fromisoformat(rows[0]["compared_at"])
    assert at.utcoffset() == at.astimezone().utcoffset()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_cohort_that_is_gone_is_reported(operator: Operator, simulator: Simulator) -> None:
    simulator.world.drop_cohort(cohort_of(simulator))
    ended = operator.run("reconcile", "shoppers", "--json")
    assert ended.status == 4
    assert "Amplitude has no cohort" in ended.err
    assert ended.document["in_cohort"] is None


def test_comparing_is_in_the_history(operator: Operator) -> None:
    operator.run("reconcile", "shoppers")
    kinds = [run["kind"] for run in operator.run("runs", "--json").document]
    assert kinds == ["compare", "sync"]


def test_killed_after_each_request_the_next_run_mends_it(
    operator: Operator, simulator: Simulator
) -> None:
    """Each request of a repair in turn is the last one served before a kill."""
    operator.limit(first_batch=2, largest_batch=2)
    command = ("reconcile", "shoppers", "--apply", "both", "--yes", "--verify")
    served, killed = 1, 0
    while True:
        drift(simulator, out=("u0", "u1", "u2"), into=("s1", "s2", "s3"))
        before = len(simulator.requests)
        process = operator.start(*command)
        if process.kill_after_requests(simulator, before + served) == 0:
            break
        assert process.status == -signal.SIGKILL
        killed += 1
        assert simulator.world.members(cohort_of(simulator)) <= {*USERS, "s1", "s2", "s3"}
        assert operator.run(*command).status == 0
        assert simulator.world.members(cohort_of(simulator)) == set(USERS)
        served += 1
    assert killed >= 8
    assert simulator.world.members(cohort_of(simulator)) == set(USERS)


def test_an_export_that_was_asked_for_before_a_kill_is_not_paid_for_again(
    operator: Operator, simulator: Simulator
) -> None:
    simulator.behavior = Behavior(job_polls=1_000_000)
    process = operator.start("reconcile", "shoppers")
    before = len(simulator.requests)
    assert process.kill_after_requests(simulator, before + 4) == -signal.SIGKILL
    simulator.behavior = Behavior()
    assert operator.run("reconcile", "shoppers").status == 0
    assert simulator.downloads == 1


def test_ctrl_c_ends_it_with_130_and_everything_kept(
    operator: Operator, simulator: Simulator
) -> None:
    simulator.behavior = Behavior(job_polls=1_000_000)
    process = operator.start("reconcile", "shoppers", "--json")
    before = len(simulator.requests)
    process.wait_until(lambda: len(simulator.requests) >= before + 4)
    assert process.end(signal.SIGINT) == 130, process.err
    simulator.behavior = Behavior()
    assert operator.run("reconcile", "shoppers").status == 0
    assert simulator.downloads == 1
