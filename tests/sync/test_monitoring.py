"""Health over real HTTP: the process answers, and the session is ready, or says why it is not."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from amp_console.amplitude.client import AmplitudeClient
from amp_console.sync.live.monitoring import Monitoring, served
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.http_server import listen_on
from amp_console.values import Credentials, Secret
from tests.ports import free_port
from tests.sync.test_live import until
from tests.sync.webhook_sender import LIVE_OPTIONS, receiver, receiving
from tests.sync.workspace import Workspace

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def asked(monitoring: Monitoring) -> AsyncIterator[httpx.AsyncClient]:
    """Asks on a port that answers before, during and after the session."""
    port = free_port()
    async with (
        served(
            [*monitoring.health_routes(), monitoring.metrics_route()],
            listen_on("127.0.0.1", port),
        ),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False) as client,
    ):
        yield client


async def reason(client: httpx.AsyncClient) -> str:
    """Why the session is not ready."""
    answer = await client.get("/healthz/ready")
    assert answer.status_code == 503, answer.text
    assert answer.json()["status"] == "not ready"
    return str(answer.json()["reason"])


async def test_a_receiver_says_that_it_lives_and_is_ready(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        live, ready = [await post.client.get(f"/healthz/{what}") for what in ("live", "ready")]
        assert (live.status_code, live.json()) == (200, {"status": "live"})
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
        assert (await post.client.get("/healthz")).json() == {"status": "ok", "waiting": 0}
        assert (await post.client.head("/healthz/ready")).status_code == 200


async def test_a_session_is_not_ready_before_it_begins_and_once_it_is_to_end(
    workspace: Workspace,
) -> None:
    async with workspace.client() as amplitude:
        live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
        async with asked(Monitoring(live, workspace.ledger)) as client:
            assert await reason(client) == "The session is starting."
            assert (await client.get("/metrics")).status_code == 503
            assert (await client.get("/healthz/live")).status_code == 200
            task = asyncio.create_task(live.run(receiver(workspace, free_port())))
            await until(lambda: live.run_id is not None)
            assert (await client.get("/healthz/ready")).status_code == 200
            live.end()
            assert await reason(client) == "The session is ending."
            await task
            assert await reason(client) == "The session is ending."
            assert (await client.get("/healthz/live")).status_code == 200
            assert (await client.get("/metrics")).status_code == 200


async def test_a_session_whose_keys_were_refused_is_not_ready(workspace: Workspace) -> None:
    wrong = Credentials(Secret("not-a-key"), Secret("not-a-secret"))
    async with AmplitudeClient(workspace.simulator.base_url, wrong) as amplitude:
        live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
        async with asked(Monitoring(live, workspace.ledger)) as client:
            workspace.enter("u1")
            await live.run(receiver(workspace, free_port()))
            assert await reason(client) == "Amplitude refused the keys."


async def test_a_session_whose_ledger_does_not_answer_is_not_ready(workspace: Workspace) -> None:
    ledger = workspace.ledger
    async with workspace.client() as amplitude:
        live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
        async with asked(Monitoring(live, ledger, ledger_seconds=0.05)) as client:
            task = asyncio.create_task(live.run(receiver(workspace, free_port())))
            await until(lambda: live.run_id is not None)
            assert (await client.get("/healthz/ready")).status_code == 200
            released = threading.Event()
            busy = ledger.submit(lambda _: released.wait())
            try:
                assert await reason(client) == "The ledger can't be read."
                assert (await client.get("/healthz/live")).status_code == 200
            finally:
                released.set()
            await asyncio.wrap_future(busy)
            assert (await client.get("/healthz/ready")).status_code == 200
            live.end()
            await task
