import httpx
import pytest

from amp_console.simulator import Simulator

PATHS = (
    "/api/3/cohorts",
    "/api/3/cohorts/usage",
    "/api/2/usersearch?user=ada",
    "/api/5/cohorts/request/abcd1234",
    "/api/5/cohorts/request-status/Rq0001",
    "/api/5/cohorts/request/Rq0001/file",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_call_needs_keys(simulator: Simulator, path: str) -> None:
    answer = httpx.get(simulator.base_url + path, trust_env=False, verify=False)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("another-key", "simulated-secret-key"), "Invalid API Key"),
        (("simulated-api-key", "another-secret"), "Invalid API/Secret Key combination"),
        (("simulated-api-key", ""), "Invalid API/Secret Key combination"),
    ],
)
def test_wrong_keys_are_a_403_that_says_which(
    simulator: Simulator, keys: tuple[str, str], words: str
) -> None:
    answer = httpx.get(
        simulator.base_url + "/api/3/cohorts", auth=keys, trust_env=False, verify=False
    )
    assert answer.status_code == 403
    assert answer.json() == {
        "error": {"http_code": 403, "type": "unspecified", "metadata": {"details": words}}
    }


@pytest.mark.parametrize("header", ["Bearer abc", "Basic !!!", "Basic", ""])
def test_an_unreadable_header_is_an_unknown_key(simulator: Simulator, header: str) -> None:
    answer = httpx.get(
        simulator.base_url + "/api/3/cohorts",
        headers={"Authorization": header},
        trust_env=False,
        verify=False,
    )
    assert answer.json()["error"]["metadata"]["details"] == "Invalid API Key"


def test_the_keys_stay_out_of_the_simulators_repr(simulator: Simulator) -> None:
    assert "simulated-secret-key" not in repr(simulator.credentials)
