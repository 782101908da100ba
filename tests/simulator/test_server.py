import asyncio
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from amp_console.simulator import Behavior, Simulator, run_forever

KEYS = ("simulated-api-key", "simulated-secret-key")


def test_it_stops_although_a_connection_is_kept_alive() -> None:
    with httpx.Client(trust_env=False, verify=False) as http:
        with Simulator() as simulator:
            state = f"{simulator.base_url}/_simulator/state"
            assert http.get(state).status_code == 200
        with pytest.raises(httpx.TransportError):
            http.get(state)


def test_it_stops_although_a_request_is_in_work(caplog: pytest.LogCaptureFixture) -> None:
    waiting = threading.Event()

    async def sleep(seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as pool:
        with Simulator(behavior=Behavior(latency=1), sleep=sleep) as simulator:
            url = f"{simulator.base_url}/api/3/cohorts"
            sent = pool.submit(httpx.get, url, auth=KEYS, trust_env=False, verify=False, timeout=20)
            assert waiting.wait(10)
        assert isinstance(sent.exception(), httpx.RemoteProtocolError)  # not a timeout
    assert caplog.messages == []


def test_it_takes_another_free_port_each_time() -> None:
    with Simulator() as first, Simulator() as second:
        assert first.base_url != second.base_url


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), Simulator(port=port):
            pass


def test_it_serves_for_the_command_line_until_it_is_stopped() -> None:
    stop = threading.Event()
    answers: list[int] = []

    def check_health(simulator: Simulator) -> None:
        answers.append(
            httpx.get(
                f"{simulator.base_url}/_simulator/state", trust_env=False, verify=False
            ).status_code
        )
        stop.set()

    run_forever(0, on_ready=check_health, stop=stop)
    assert answers == [200]


def test_an_unknown_path_is_not_found(http: httpx.Client) -> None:
    assert http.get("/api/3/elsewhere").status_code == 404
    assert http.post("/api/3/cohorts").status_code == 405


def test_an_answer_does_not_wait_until_the_client_has_acknowledged_its_head(
    simulator: Simulator, http: httpx.Client
) -> None:
    http.get("/api/3/cohorts")
    (connection,) = simulator._server.server_state.connections
    sock = connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
