from collections.abc import AsyncGenerator

import pytest

from amp_console.amplitude.client import AmplitudeClient
from amp_console.values import Credentials, Secret
from tests.amplitude.scripted import ScriptedServer


@pytest.fixture
def credentials() -> Credentials:
    return Credentials(Secret("example-api-key"), Secret("example-secret-key"))


@pytest.fixture
async def server(anyio_backend: str) -> AsyncGenerator[ScriptedServer, None]:
    async with ScriptedServer().running() as running:
        yield running


@pytest.fixture
async def client(
    server: ScriptedServer, credentials: Credentials
) -> AsyncGenerator[AmplitudeClient, None]:
    async with AmplitudeClient(server.url, credentials) as ours:
        yield ours
