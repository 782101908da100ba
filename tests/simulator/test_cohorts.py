from typing import Any

import httpx
import pytest

from amp_console.simulator import Behavior, Call, Known, Seen, Simulator, World


def body(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "Churn risk",
        "app_id": 123456,
        "id_type": "BY_USER_ID",
        "ids": ["ada", "ghost-1", "Ada"],
        "owner": "owner@acme.example",
        "published": True,
    }
    return plain | changes


def upload(http: httpx.Client, **changes: Any) -> httpx.Response:
    return http.post("/api/3/cohorts/upload", json=body(**changes))


def test_an_upload_creates_a_cohort_of_the_known_users(
    simulator: Simulator, http: httpx.Client
) -> None:
    answer = upload(http)
    cohort = simulator.world.cohort_named("Churn risk")
    assert answer.status_code == 200
    assert answer.json()["cohortId"] == cohort.id
    assert answer.json()["metadata"] == {
        "matched": 2,
        "totals": 3,
        "invalid_ids_sample": ["ghost-1"],
    }
    assert answer.json()["cohortsById"][cohort.id]["name"] == "Churn risk"
    assert simulator.world.members(cohort.id) == {"ada", "Ada"}
    assert simulator.requests == [Seen(Call.UPLOAD, cohort.id, None, 3, 200, applied=True)]


def test_a_cohort_id_is_eight_lower_case_letters_and_digits(http: httpx.Client) -> None:
    cohort_id = upload(http).json()["cohortId"]
    assert len(cohort_id) == 8
    assert cohort_id.isalnum()
    assert cohort_id == cohort_id.lower()


def test_an_upload_names_a_sample_of_the_unknown_ids(
    simulator: Simulator, http: httpx.Client
) -> None:
    simulator.behavior = Behavior(invalid_sample=2)
    answer = upload(http, ids=["ada", "ghost-1", "ghost-2", "ghost-3"])
    assert answer.json()["metadata"]["invalid_ids_sample"] == ["ghost-1", "ghost-2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": []}, "ids must not be empty"),
        ({"ids": ["ghost-1"]}, "Some ids are invalid"),
        ({"skip_invalid_ids": False}, "Some ids are invalid"),
        ({"app_id": 654321}, "Invalid app_id 654321"),
        ({"app_id": "123456"}, "The request could not be read"),
        ({"ids": [1]}, "The request could not be read"),
        ({"owner": "no-one@acme.example"}, "not in the organization"),
        ({"id_type": "BY_NAME"}, "Invalid id_type BY_NAME"),
        ({"name": ""}, "name must not be empty"),
        ({"ids": ["a", "b", "c", "d"]}, "Too many ids"),
        ({"existing_cohort_id": "abcd1234"}, "Cohort abcd1234 not found"),
    ],
)
def test_a_refused_upload_creates_nothing(changes: dict[str, Any], words: str) -> None:
    world = World(organization={"owner@acme.example"})
    with (
        Simulator(world, behavior=Behavior(max_ids=3)) as simulator,
        httpx.Client(
            base_url=simulator.base_url,
            auth=("simulated-api-key", "simulated-secret-key"),
            trust_env=False,
            verify=False,
        ) as http,
    ):
        answer = upload(http, **changes)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
        assert answer.json()["error"]["http_code"] == 400
        assert world.cohorts() == []
        assert [(seen.status, seen.applied) for seen in simulator.requests] == [(400, False)]


def test_an_empty_upload_may_also_succeed(simulator: Simulator, http: httpx.Client) -> None:
    simulator.behavior = Behavior(refuses_all_invalid=False)
    answer = upload(http, ids=["ghost-1"])
    assert answer.json()["metadata"]["matched"] == 0
    assert simulator.world.members(answer.json()["cohortId"]) == set()


def test_a_refused_empty_upload_carries_the_sample(http: httpx.Client) -> None:
    error = upload(http, ids=["ghost-1"]).json()["error"]
    assert error["metadata"] == {"invalid_ids_sample": ["ghost-1"]}


def test_a_validated_upload_is_not_saved(simulator: Simulator, http: httpx.Client) -> None:
    assert upload(http, skip_save=True).json()["metadata"]["matched"] == 2
    assert simulator.world.cohorts() == []


def test_an_upload_to_an_old_cohort_replaces_its_members(
    simulator: Simulator, http: httpx.Client
) -> None:
    cohort_id = upload(http).json()["cohortId"]
    upload(http, ids=["grace"], name="Another name", existing_cohort_id=cohort_id)
    assert [cohort.name for cohort in simulator.world.cohorts()] == ["Churn risk"]
    assert simulator.world.members(cohort_id) == {"grace"}
    assert simulator.world.ever(cohort_id) == {"ada", "Ada", "grace"}


def test_an_upload_by_amplitude_id_is_a_switch(simulator: Simulator, http: httpx.Client) -> None:
    number = simulator.world.add_user(None)
    taken = upload(http, id_type="BY_AMP_ID", ids=[str(number)])
    assert simulator.world.members(taken.json()["cohortId"]) == {str(number)}
    simulator.behavior = Behavior(uploads_by_amplitude_id=False)
    assert upload(http, id_type="BY_AMP_ID", ids=[str(number)]).status_code == 400


def test_the_status_for_another_project_is_a_switch(
    simulator: Simulator, http: httpx.Client
) -> None:
    simulator.behavior = Behavior(wrong_app_id_status=403)
    answer = upload(http, app_id=1)
    assert answer.status_code == 403
    assert answer.json()["error"]["metadata"]["details"] == "Invalid app_id 1"


def test_the_list_has_published_cohorts_only(simulator: Simulator, http: httpx.Client) -> None:
    upload(http)
    upload(http, name="Hidden", published=False)
    listed = http.get("/api/3/cohorts", params={"includeSyncInfo": "true"}).json()["cohorts"]
    shown = simulator.world.cohort_named("Churn risk")
    assert listed == [
        {
            "appId": 123456,
            "id": shown.id,
            "name": "Churn risk",
            "owners": ["owner@acme.example"],
            "published": True,
            "size": 2,
            "createdAt": shown.created_at,
            "lastMod": shown.last_mod,
            "lastComputed": shown.last_mod,
            "finished": True,
            "type": "manual_upload",
            "description": "",
            "definition": {},
            "viewers": [],
            "archived": False,
            "hidden": False,
        }
    ]


def test_a_size_is_null_until_it_is_computed(simulator: Simulator, http: httpx.Client) -> None:
    simulator.behavior = Behavior(computes_sizes=False)
    upload(http)
    (listed,) = http.get("/api/3/cohorts").json()["cohorts"]
    assert (listed["size"], listed["lastComputed"], listed["finished"]) == (None, None, False)


def test_names_need_not_be_unique(simulator: Simulator, http: httpx.Client) -> None:
    assert upload(http).json()["cohortId"] != upload(http).json()["cohortId"]
    assert len(simulator.world.cohorts()) == 2


def test_only_registered_users_are_known_where_the_world_says_so() -> None:
    world = World(Known.REGISTERED)
    world.add_users(["ada", "grace"])
    with Simulator(world) as simulator:
        answer = httpx.post(
            simulator.base_url + "/api/3/cohorts/upload",
            json=body(ids=["ada", "ADA", "linus"]),
            auth=("simulated-api-key", "simulated-secret-key"),
            trust_env=False,
            verify=False,
        )
    assert answer.json()["metadata"]["invalid_ids_sample"] == ["ADA", "linus"]


def test_the_list_tells_computed_cohorts_from_uploaded_ones(
    simulator: Simulator, http: httpx.Client
) -> None:
    upload(http)
    simulator.world.create_cohort("Power users", "owner@acme.example", type="redshift")
    listed = http.get("/api/3/cohorts").json()["cohorts"]
    assert {item["name"]: item["type"] for item in listed} == {
        "Churn risk": "manual_upload",
        "Power users": "redshift",
    }
