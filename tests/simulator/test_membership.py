import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from amp_console.simulator import Behavior, Call, Seen, Simulator
from amp_console.values import IdType, Operation


@pytest.fixture
def cohort_id(simulator: Simulator) -> str:
    known = simulator.world.resolve(["ada", "grace"], IdType.USER_ID).found
    return simulator.world.create_cohort("Newsletter", "owner@acme.example", known).id


def entry(operation: str, *ids: str, id_type: str = "BY_NAME") -> dict[str, Any]:
    return {"ids": ids, "id_type": id_type, "operation": operation}


def change(
    http: httpx.Client, cohort_id: str, *entries: dict[str, Any], **more: Any
) -> httpx.Response:
    body = {"cohort_id": cohort_id, "memberships": entries} | more
    return http.post("/api/3/cohorts/membership", json=body)


def test_known_users_are_added_and_the_others_skipped(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    answer = change(http, cohort_id, entry("ADD", "linus", "ghost-1", "ada"))
    assert answer.json() == {
        "cohort_id": cohort_id,
        "memberships_result": [
            {"skipped_ids": ["ghost-1"], "id_type": "BY_NAME", "operation": "ADD"}
        ],
    }
    assert simulator.world.members(cohort_id) == {"ada", "grace", "linus"}
    assert simulator.requests == [
        Seen(Call.MEMBERSHIP, cohort_id, Operation.ADD, 3, 200, applied=True)
    ]


def test_a_cohort_can_be_emptied(simulator: Simulator, http: httpx.Client, cohort_id: str) -> None:
    answer = change(http, cohort_id, entry("REMOVE", "ada", "grace", "linus"))
    assert answer.json()["memberships_result"][0]["skipped_ids"] == []
    assert simulator.world.members(cohort_id) == set()
    assert simulator.world.ever(cohort_id) == {"ada", "grace"}


def test_an_answer_has_an_entry_for_each_that_was_sent(http: httpx.Client, cohort_id: str) -> None:
    answer = change(http, cohort_id, entry("ADD", "linus"), entry("REMOVE", "ghost-2"))
    assert [r["operation"] for r in answer.json()["memberships_result"]] == ["ADD", "REMOVE"]
    assert [r["skipped_ids"] for r in answer.json()["memberships_result"]] == [[], ["ghost-2"]]


def test_users_are_also_found_by_amplitude_id(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    nameless, named = simulator.world.add_user(None), simulator.world.add_user("linus")
    change(http, cohort_id, entry("ADD", str(nameless), str(named), id_type="BY_ID"))
    assert simulator.world.members(cohort_id) == {"ada", "grace", "linus", str(nameless)}


def test_by_amp_id_is_a_switch(simulator: Simulator, http: httpx.Client, cohort_id: str) -> None:
    number = simulator.world.add_user("linus")
    sent = entry("ADD", str(number), id_type="BY_AMP_ID")
    assert change(http, cohort_id, sent).status_code == 400
    simulator.behavior = Behavior(accepts_by_amp_id=True)
    assert change(http, cohort_id, sent).status_code == 200
    assert "linus" in simulator.world.members(cohort_id)


def test_skipped_ids_that_look_like_numbers_may_come_as_numbers(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    simulator.behavior = Behavior(numeric_skipped_ids=True)
    sent = entry("ADD", "99999999999999999999", "x1", id_type="BY_ID")
    answer = change(http, cohort_id, sent)
    assert answer.json()["memberships_result"][0]["skipped_ids"] == [99999999999999999999, "x1"]


def test_a_strict_call_with_an_unknown_id_changes_nothing_and_names_it(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    sent = entry("ADD", "linus", "ghost-1")
    answer = change(http, cohort_id, sent, skip_invalid_ids=False)
    assert answer.status_code == 400
    assert answer.json()["error"]["metadata"]["memberships_result"] == [
        {"skipped_ids": ["ghost-1"], "id_type": "BY_NAME", "operation": "ADD"}
    ]
    assert simulator.world.members(cohort_id) == {"ada", "grace"}


@pytest.mark.parametrize(
    "entries",
    [
        [entry("ADD", "linus"), entry("TOGGLE", "ada")],
        [entry("ADD", "linus"), entry("ADD", "ada", id_type="BY_USER_ID")],
        [entry("ADD", "linus"), entry("ADD", *map(str, range(10)))],
    ],
)
def test_a_refused_call_changes_nothing(
    simulator: Simulator, http: httpx.Client, cohort_id: str, entries: list[dict[str, Any]]
) -> None:
    simulator.behavior = Behavior(max_ids=10)
    assert change(http, cohort_id, *entries).status_code == 400
    assert simulator.world.members(cohort_id) == {"ada", "grace"}


@pytest.mark.parametrize("status", [400, 404])
def test_the_status_for_an_unknown_cohort_is_a_switch(
    simulator: Simulator, http: httpx.Client, cohort_id: str, status: int
) -> None:
    simulator.behavior = Behavior(unknown_cohort_status=status)
    simulator.world.drop_cohort(cohort_id)
    answer = change(http, cohort_id, entry("ADD", "ada"))
    assert answer.status_code == status
    assert cohort_id in answer.json()["error"]["message"]


class Gate:
    """Makes the first sleep wait until it is opened; others return at once."""

    def __init__(self) -> None:
        self.is_waited_for = threading.Event()
        self._opened = threading.Event()

    async def sleep(self, seconds: float) -> None:
        if not self.is_waited_for.is_set():
            self.is_waited_for.set()
            await asyncio.to_thread(self._opened.wait, 10)

    def open(self) -> None:
        self._opened.set()


def test_a_cohort_takes_one_request_at_a_time() -> None:
    gate = Gate()
    with (
        Simulator(behavior=Behavior(latency=1), sleep=gate.sleep) as simulator,
        httpx.Client(
            base_url=simulator.base_url,
            auth=("simulated-api-key", "simulated-secret-key"),
            trust_env=False,
            verify=False,
        ) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        world = simulator.world
        busy, free = (world.create_cohort(name, "owner@acme.example").id for name in "ab")
        first = pool.submit(change, http, busy, entry("ADD", "ada"))
        assert gate.is_waited_for.wait(10)
        second = change(http, busy, entry("REMOVE", "ada"))
        elsewhere = change(http, free, entry("ADD", "ada"))
        gate.open()
        assert first.result().status_code == 200
        assert second.status_code == 429
        assert elsewhere.status_code == 200
        assert change(http, busy, entry("ADD", "grace")).status_code == 200
        assert world.members(busy) == {"ada", "grace"}


def test_the_world_can_be_read_while_it_serves(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    batches = [entry("ADD", *(f"user-{n}-{i}" for i in range(2_000))) for n in range(20)]
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(lambda: [change(http, cohort_id, batch) for batch in batches])
        sizes = [len(simulator.world.members(cohort_id))]
        while not sent.done():
            sizes.append(len(simulator.world.members(cohort_id)))
    assert [answer.status_code for answer in sent.result()] == [200] * 20
    assert all((size - 2) % 2_000 == 0 for size in sizes)  # a batch is seen whole or not at all
    assert len(simulator.world.members(cohort_id)) == 40_002


def test_a_hundred_thousand_ids_are_quick(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    sent = entry("ADD", *(f"user-{i}" for i in range(100_000)))
    change(http, cohort_id, sent)
    begun = time.process_time()
    change(http, cohort_id, sent)
    # The client's share is in it too. A mistake that made it quadratic would take minutes.
    assert time.process_time() - begun < 2
    assert simulator.world.size(cohort_id) == 100_002
