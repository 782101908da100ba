from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from amp_console.simulator import (
    Answer,
    Behavior,
    Body,
    Call,
    Cut,
    Faults,
    Late,
    RefuseIds,
    Reset,
    Rule,
    Simulator,
    Slow,
    TooLarge,
)

OWNER = "owner@acme.example"


@pytest.fixture
def naps() -> list[float]:
    """The seconds that the simulator would have waited."""
    return []


@pytest.fixture
def simulator(naps: list[float]) -> Iterator[Simulator]:
    async def sleep(seconds: float) -> None:
        naps.append(seconds)

    with Simulator(sleep=sleep) as running:
        yield running


def upload(http: httpx.Client, *ids: str) -> httpx.Response:
    body = {
        "name": "Newsletter",
        "app_id": 123456,
        "id_type": "BY_USER_ID",
        "ids": ids or ("ada",),
        "owner": OWNER,
    }
    return http.post("/api/3/cohorts/upload", json=body)


def add(http: httpx.Client, cohort_id: str, *ids: str) -> httpx.Response:
    entry = {"ids": ids, "id_type": "BY_NAME", "operation": "ADD"}
    body = {"cohort_id": cohort_id, "memberships": [entry]}
    return http.post("/api/3/cohorts/membership", json=body)


def codes(ask: Callable[[], httpx.Response], times: int) -> list[int]:
    return [ask().status_code for _ in range(times)]


def test_every_third_request_is_refused(simulator: Simulator, http: httpx.Client) -> None:
    simulator.faults.add(Answer(429), Call.LIST, every=3)
    assert codes(lambda: http.get("/api/3/cohorts"), 6) == [200, 200, 429, 200, 200, 429]
    assert http.get("/api/3/cohorts/usage").status_code == 200


@pytest.mark.parametrize("retry_after", ["2", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_429_may_say_when_to_come_back(
    simulator: Simulator, http: httpx.Client, retry_after: str
) -> None:
    simulator.faults.once(Answer(429, retry_after=retry_after))
    simulator.faults.once(Answer(429))
    assert http.get("/api/3/cohorts").headers["retry-after"] == retry_after
    assert "retry-after" not in http.get("/api/3/cohorts").headers


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_refusal_may_be_the_page_of_a_proxy(
    simulator: Simulator, http: httpx.Client, status: int
) -> None:
    simulator.faults.once(Answer(status, html=True))
    answer = upload(http)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")
    assert simulator.world.cohorts() == []


@pytest.mark.parametrize(("applied", "cohorts"), [(False, 0), (True, 1)])
def test_a_connection_is_reset_before_or_after_the_work(
    simulator: Simulator, http: httpx.Client, applied: bool, cohorts: int
) -> None:
    simulator.faults.once(Reset(applied=applied), Call.UPLOAD)
    with pytest.raises(httpx.ReadError):
        upload(http)
    assert len(simulator.world.cohorts()) == cohorts
    (seen,) = simulator.requests
    assert (seen.status, seen.applied) == (0, applied)
    assert upload(http).status_code == 200


def test_a_cut_answer_was_applied_and_ends_in_the_middle(
    simulator: Simulator, http: httpx.Client
) -> None:
    simulator.faults.once(Cut())
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        upload(http)
    assert len(simulator.world.cohorts()) == 1
    assert upload(http).status_code == 200


def test_delays_add_up_and_other_trouble_may_follow(
    simulator: Simulator, http: httpx.Client, naps: list[float]
) -> None:
    simulator.faults.set([Rule(Slow(2.0)), Rule(Slow(1.0, jitter=0.5)), Rule(Answer(504))])
    assert http.get("/api/3/cohorts").status_code == 504
    (nap,) = naps
    assert 3.0 <= nap < 3.5


def test_a_batch_with_a_certain_id_is_refused_whole(
    simulator: Simulator, http: httpx.Client
) -> None:
    simulator.faults.add(RefuseIds(frozenset({"bad"})), Call.MEMBERSHIP, Call.UPLOAD)
    cohort_id = upload(http).json()["cohortId"]
    assert upload(http, "ada", "bad").status_code == 400
    refused = add(http, cohort_id, "grace", "bad")
    assert refused.status_code == 400
    assert "bad" not in refused.text
    assert add(http, cohort_id, "linus").status_code == 200
    assert simulator.world.members(cohort_id) == {"ada", "linus"}


def test_a_refused_batch_may_name_its_culprits(simulator: Simulator, http: httpx.Client) -> None:
    cohort_id = upload(http).json()["cohortId"]
    simulator.faults.add(RefuseIds(frozenset({"bad"}), named=True))
    membership = add(http, cohort_id, "grace", "bad").json()["error"]["metadata"]
    assert [result["skipped_ids"] for result in membership["memberships_result"]] == [["bad"]]
    sample = upload(http, "grace", "bad").json()["error"]["metadata"]
    assert sample == {"invalid_ids_sample": ["bad"]}


def test_large_batches_may_be_too_large(simulator: Simulator, http: httpx.Client) -> None:
    simulator.faults.add(TooLarge(above=2))
    assert upload(http, "a", "b").status_code == 200
    assert upload(http, "a", "b", "c").status_code == 413


def test_scripted_trouble_comes_in_its_order_and_then_no_more(
    simulator: Simulator, http: httpx.Client
) -> None:
    simulator.faults.once(Answer(500), Call.LIST, times=2)
    simulator.faults.once(Answer(503), Call.LIST)
    assert codes(lambda: http.get("/api/3/cohorts"), 4) == [500, 500, 503, 200]
    assert simulator.faults.rules == ()


def test_trouble_can_be_ended_while_it_serves(simulator: Simulator, http: httpx.Client) -> None:
    simulator.faults.add(Answer(500))
    assert http.get("/api/3/cohorts").status_code == 500
    simulator.faults.clear()
    assert http.get("/api/3/cohorts").status_code == 200


def test_chance_repeats_with_its_seed_and_keeps_its_share() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = Faults([Rule(Answer(500), share=0.25)], seed=seed)
        return [faults.decide(Call.LIST, ()).trouble is not None for _ in range(400)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 60 < sum(drawn(1)) < 140


def test_trouble_can_be_made_over_http(simulator: Simulator, http: httpx.Client) -> None:
    rules = [{"trouble": {"kind": "answer", "status": 429}, "calls": ["upload"], "times": 1}]
    assert http.post("/_simulator/faults", json=rules).status_code == 204
    assert upload(http).status_code == 429
    cohort_id = upload(http).json()["cohortId"]
    assert http.get("/_simulator/state").json() == {
        "cohorts": [{"id": cohort_id, "name": "Newsletter", "members": 1}],
        "requests": 2,
        "rules": [],
    }


@pytest.mark.parametrize(
    "rules",
    [
        {"trouble": {"kind": "answer", "status": 429}},
        [{"trouble": {"kind": "answer", "status": 429}, "every": 0}],
        [{"trouble": {"kind": "flood"}}],
        [{"trouble": {"kind": "cut"}, "call": ["upload"]}],
    ],
)
def test_rules_that_cannot_be_read_leave_the_old_ones(
    simulator: Simulator, http: httpx.Client, rules: Any
) -> None:
    simulator.faults.add(Cut(), Call.UPLOAD)
    answer = http.post("/_simulator/faults", json=rules)
    assert answer.status_code == 400
    assert "The old ones stay" in answer.text
    assert simulator.faults.rules == (Rule(Cut(), frozenset({Call.UPLOAD})),)


def test_a_call_takes_longer_the_more_ids_it_carries(
    simulator: Simulator, http: httpx.Client, naps: list[float]
) -> None:
    simulator.behavior = Behavior(latency=0.5, latency_per_1000=250)
    cohort_id = upload(http, "ada", "bob").json()["cohortId"]
    add(http, cohort_id, *(f"user-{n}" for n in range(10)))
    http.get("/api/3/cohorts")
    assert naps == [1.0, 3.0, 0.5]


def test_a_refusal_may_say_other_words(simulator: Simulator, http: httpx.Client) -> None:
    simulator.faults.once(Answer(429, words="Too many requests"), Call.LIST)
    assert http.get("/api/3/cohorts").json()["error"]["message"] == "Too many requests"


class TestLate:
    @pytest.mark.parametrize("status", [504, 500, 0, None])
    def test_work_is_done_when_it_is_released(
        self, simulator: Simulator, http: httpx.Client, status: int | None
    ) -> None:
        cohort_id = upload(http).json()["cohortId"]
        simulator.faults.once(Late(status), Call.MEMBERSHIP)
        if status:
            assert add(http, cohort_id, "bob").status_code == status
        else:
            http.timeout = 0.2
            with pytest.raises(httpx.TransportError):
                add(http, cohort_id, "bob")
        assert simulator.world.members(cohort_id) == {"ada"}
        assert add(http, cohort_id, "eve").status_code == 200
        assert simulator.world.members(cohort_id) == {"ada", "eve"}
        assert (simulator.faults.held, simulator.faults.release()) == (1, 1)
        assert simulator.world.members(cohort_id) == {"ada", "bob", "eve"}
        assert (simulator.faults.held, simulator.faults.release()) == (0, 0)

    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_work_is_done_after_so_many_more_requests_on_the_cohort(
        self, simulator: Simulator, http: httpx.Client, after: int
    ) -> None:
        cohort_id, other = (upload(http).json()["cohortId"] for _ in range(2))
        simulator.faults.once(Late(504, after), Call.MEMBERSHIP)
        add(http, cohort_id, "bob")
        add(http, other, "eve")
        for number in range(4):
            assert ("bob" in simulator.world.members(cohort_id)) is (number > after)
            add(http, cohort_id, "eve")

    def test_work_on_a_cohort_that_is_gone_does_nothing(
        self, simulator: Simulator, http: httpx.Client
    ) -> None:
        cohort_id = upload(http).json()["cohortId"]
        simulator.faults.once(Late(), Call.MEMBERSHIP)
        add(http, cohort_id, "bob")
        simulator.world.drop_cohort(cohort_id)
        assert simulator.faults.release() == 1

    def test_work_is_released_from_another_process(
        self, simulator: Simulator, http: httpx.Client
    ) -> None:
        cohort_id = upload(http).json()["cohortId"]
        rules = [{"trouble": {"kind": "late", "status": 504}, "calls": ["membership"]}]
        http.post("/_simulator/faults", json=rules)
        add(http, cohort_id, "bob")
        assert http.post("/_simulator/release").text == "1\n"
        assert simulator.world.members(cohort_id) == {"ada", "bob"}


@pytest.mark.parametrize("applied", [True, False])
def test_an_answer_can_be_chosen(simulator: Simulator, http: httpx.Client, applied: bool) -> None:
    cohort_id = upload(http).json()["cohortId"]
    text = '{"cohort_id":"$cohort_id","results":["$operation",$ids],"costs":"$5"}'
    simulator.faults.once(Body(text, applied=applied), Call.MEMBERSHIP)
    answer = add(http, cohort_id, "bob")
    assert answer.json() == {"cohort_id": cohort_id, "results": ["ADD", ["bob"]], "costs": "$5"}
    assert ("bob" in simulator.world.members(cohort_id)) is applied
    simulator.faults.once(Body("<p>No</p>", 403, "text/html"), Call.LIST)
    page = http.get("/api/3/cohorts")
    assert (page.status_code, page.text) == (403, "<p>No</p>")
    assert page.headers["Content-Type"] == "text/html"
