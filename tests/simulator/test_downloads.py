import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from amp_console.simulator import Behavior, Simulator, World
from amp_console.values import IdType

OWNER = "owner@acme.example"
START = datetime(2026, 12, 31, 23, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def now() -> list[float]:
    return [START]


@pytest.fixture
def simulator(now: list[float]) -> Iterator[Simulator]:
    with Simulator(World(clock=lambda: now[0])) as running:
        yield running


@pytest.fixture
def cohort_id(simulator: Simulator) -> str:
    world = simulator.world
    world.add_user("ada", 7)
    world.add_user('gr"ace', 5)
    world.add_user(None, 6)
    found = world.resolve(["5", "6", "7"], IdType.AMPLITUDE_ID).found
    return world.create_cohort("Newsletter", OWNER, found).id


def start(http: httpx.Client, cohort_id: str) -> httpx.Response:
    return http.get(f"/api/5/cohorts/request/{cohort_id}", params={"props": "0"})


def status(http: httpx.Client, request_id: str) -> httpx.Response:
    return http.get(f"/api/5/cohorts/request-status/{request_id}")


def ready_file(http: httpx.Client, cohort_id: str) -> str:
    """Start a download, wait for it, and return the path of its file."""
    request_id = start(http, cohort_id).json()["request_id"]
    while status(http, request_id).status_code == 202:
        pass
    return f"/api/5/cohorts/request/{request_id}/file"


def rows(answer: httpx.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.text)))


def test_a_download_goes_from_started_to_ready(http: httpx.Client, cohort_id: str) -> None:
    begun = start(http, cohort_id)
    request_id = begun.json()["request_id"]
    assert begun.status_code == 202
    assert begun.json() == {"request_id": request_id, "cohort_id": cohort_id}
    early, late = status(http, request_id), status(http, request_id)
    assert (early.status_code, early.json()["async_status"]) == (202, "JOB INPROGRESS")
    assert (late.status_code, late.json()["async_status"]) == (200, "JOB COMPLETED")


def test_a_download_can_take_seconds(
    simulator: Simulator, http: httpx.Client, cohort_id: str, now: list[float]
) -> None:
    simulator.behavior = Behavior(job_polls=0, job_seconds=30)
    request_id = start(http, cohort_id).json()["request_id"]
    assert status(http, request_id).status_code == 202
    now[0] += 30
    assert status(http, request_id).status_code == 200


def test_a_small_file_comes_at_once_packed_and_quoted(http: httpx.Client, cohort_id: str) -> None:
    answer = http.get(ready_file(http, cohort_id))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == '"amplitude_id","user_id"\n"5","gr""ace"\n"6",""\n"7","ada"\n'


def test_the_file_is_the_cohort_as_it_was_when_asked_for(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    path = ready_file(http, cohort_id)
    simulator.world.replace(cohort_id, set())
    assert len(rows(http.get(path))) == 4


def test_cells_may_start_with_a_tab(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    simulator.behavior = Behavior(tabbed_cells=True)
    read = rows(http.get(ready_file(http, cohort_id)))
    assert read[0] == ["\tamplitude_id", "\tuser_id"]
    assert read[3] == ["\t7", "\tada"]


def test_a_large_file_is_a_link_to_another_origin_without_our_keys(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    simulator.behavior = Behavior(redirect_above=2)
    path = ready_file(http, cohort_id)
    link = http.get(path).headers["location"]
    with_keys, bare = http.get(link), httpx.get(link, trust_env=False, verify=False)
    assert http.get(path).status_code == 302
    assert not link.startswith(simulator.base_url)
    assert with_keys.status_code == 400
    assert "Only one auth mechanism allowed" in with_keys.text
    assert len(rows(bare)) == 4
    assert len(rows(http.get(path, follow_redirects=True))) == 4


def test_a_link_expires_and_another_is_available(
    simulator: Simulator, http: httpx.Client, cohort_id: str, now: list[float]
) -> None:
    simulator.behavior = Behavior(redirect_above=2)
    path = ready_file(http, cohort_id)
    link = http.get(path).headers["location"]
    now[0] += 61
    assert httpx.get(link, trust_env=False, verify=False).status_code == 403
    assert "Request has expired" in httpx.get(link, trust_env=False, verify=False).text
    fresh = http.get(path).headers["location"]
    assert httpx.get(fresh, trust_env=False, verify=False).status_code == 200


def test_a_link_that_was_tampered_with_is_refused(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    simulator.behavior = Behavior(redirect_above=2)
    link = http.get(ready_file(http, cohort_id)).headers["location"]
    assert (
        httpx.get(link.replace("Date=1", "Date=2"), trust_env=False, verify=False).status_code
        == 403
    )


def test_a_file_is_kept_for_a_week(http: httpx.Client, cohort_id: str, now: list[float]) -> None:
    path = ready_file(http, cohort_id)
    now[0] += 7 * 86_400 + 1
    assert http.get(path).status_code == 404


def test_a_file_is_unavailable_before_it_is_ready(http: httpx.Client, cohort_id: str) -> None:
    request_id = start(http, cohort_id).json()["request_id"]
    assert http.get(f"/api/5/cohorts/request/{request_id}/file").status_code == 400


def test_unknown_downloads_and_cohorts_are_refused(http: httpx.Client) -> None:
    assert status(http, "Rq9999").status_code == 404
    assert http.get("/api/5/cohorts/request/Rq9999/file").status_code == 404
    assert start(http, "abcd1234").status_code == 400


def test_usage_counts_the_month_and_says_when_it_ends(
    http: httpx.Client, cohort_id: str, now: list[float]
) -> None:
    ready_file(http, cohort_id)
    usage = {"limit": 500, "usage": 1, "resets_at": "2027-01-01T00:00:00Z"}
    assert http.get("/api/3/cohorts/usage").json() == {"rest_download": usage}
    now[0] += 3_600
    assert http.get("/api/3/cohorts/usage").json()["rest_download"]["usage"] == 0


@pytest.mark.parametrize(
    ("behavior", "until_free"),
    [
        (Behavior(downloads_per_month=2), 3_600),
        (Behavior(starts_per_10_minutes=2), 600),
        (Behavior(jobs_at_once=2, job_polls=9), 61),
    ],
)
def test_downloads_have_limits(
    simulator: Simulator,
    http: httpx.Client,
    cohort_id: str,
    now: list[float],
    behavior: Behavior,
    until_free: int,
) -> None:
    simulator.behavior = behavior
    codes = [start(http, cohort_id).status_code for _ in range(3)]
    now[0] += until_free
    codes.append(start(http, cohort_id).status_code)
    assert codes == [202, 202, 429, 202]


def test_download_calls_at_the_same_time_have_a_limit(
    simulator: Simulator, http: httpx.Client, cohort_id: str
) -> None:
    simulator.behavior = Behavior(downloads_at_once=0)
    assert start(http, cohort_id).status_code == 429
    assert http.get("/api/3/cohorts/usage").json()["rest_download"]["usage"] == 0
