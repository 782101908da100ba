"""A simulated Amplitude for each test, and a client with its keys."""

from collections.abc import Iterator

import httpx
import pytest

from amp_console.simulator import Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def http(simulator: Simulator) -> Iterator[httpx.Client]:
    api_key, secret_key = simulator.credentials
    keys = httpx.BasicAuth(api_key.reveal(), secret_key.reveal())
    with httpx.Client(
        base_url=simulator.base_url, auth=keys, trust_env=False, verify=False
    ) as client:
        yield client
