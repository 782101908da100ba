"""A running webhook receiver, and a client that sends to it."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.routing import Route

from amp_console.engage import EventBatch
from amp_console.ledger import Ledger
from amp_console.ledger.sources import begin_source
from amp_console.sync.ingest.received import Inbox
from amp_console.sync.ingest.stream import StreamIngestor, merge_received
from amp_console.sync.live.monitoring import Monitoring
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.webhook import Receiver, ReceiverOptions
from amp_console.sync.sources.webhook_body import ReceiverLimits
from amp_console.sync.sources.webhook_queue import MergeLimits
from amp_console.values import Change, Secret
from tests.ports import free_port
from tests.sync.workspace import Workspace, event

SECRET = "not-a-secret"  # obviously fake
LIVE_OPTIONS = LiveOptions(flush_seconds=0.05, create=True)
LIMITS = ReceiverLimits()
SOON = MergeLimits(retry_seconds=0.01)


class WebhookSender:
    """Sends events to a receiver of this process."""

    def __init__(
        self, live: LiveSession, monitoring: Monitoring, client: httpx.AsyncClient
    ) -> None:
        self.live = live
        self.monitoring = monitoring
        self.client = client

    @property
    def port(self) -> int:
        port = self.client.base_url.port
        assert port is not None
        return port

    def refused(self) -> dict[str, tuple[int, int]]:
        """How many requests were refused by reason, with their status."""
        return {
            str(item.reason): (item.status, item.count) for item in self.live.snapshot().refused
        }

    async def send(self, body: bytes, signature: str | None = None) -> httpx.Response:
        headers = {} if signature is None else {b"X-Signature": signature.encode()}
        return await self.client.post("/", content=body, headers=headers)


def receiver(
    workspace: Workspace,
    port: int,
    secret: str | None = None,
    *,
    limits: ReceiverLimits = LIMITS,
    merging: MergeLimits = MergeLimits(),  # noqa: B008  # it is frozen
    single_events: bool = False,
    parser: Executor | None = None,
    more_routes: Sequence[Route] = (),
) -> Receiver:
    options = ReceiverOptions(
        port=port,
        secret=Secret(secret) if secret else None,
        limits=limits,
        merging=merging,
        single_events=single_events,
    )
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    return Receiver(ingestor, options, parser, more_routes)


@asynccontextmanager
async def receiving(
    workspace: Workspace, secret: str | None = None, **options: Any
) -> AsyncIterator[WebhookSender]:
    """Receive until the block ends; by then, everything is delivered."""
    port = free_port()
    async with workspace.client() as amplitude:
        live = LiveSession(workspace.context(amplitude), LIVE_OPTIONS)
        monitoring = Monitoring(live, workspace.ledger)
        routes = [*monitoring.health_routes(), monitoring.metrics_route()]
        post = receiver(workspace, port, secret, more_routes=routes, **options)
        task = asyncio.create_task(live.run(post))
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, timeout=30, verify=False) as client:
            await listening(client, task)
            yield WebhookSender(live, monitoring, client)
        live.end()
        await task


async def listening(client: httpx.AsyncClient, task: "asyncio.Task[Any]") -> None:
    while not task.done():
        try:
            answer = await client.get("/healthz", headers={"Connection": "close"})
        except httpx.TransportError:
            await asyncio.sleep(0.01)
        else:
            assert answer.json()["status"] == "ok"
            return
    await task


def body_of(*users: str) -> bytes:
    return json.dumps([event(user, True) for user in users]).encode()


def signed(text: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha1).hexdigest()


def members(workspace: Workspace) -> set[str]:
    """The wanted users, after merging everything received."""
    merge_received(workspace.ledger)
    query = "SELECT id FROM member WHERE wanted = 1"
    return set(workspace.ledger.read(lambda db: [row[0] for row in db.execute(query)]))


async def leave_received(ledger: Ledger, *changes: Change) -> int:
    """Store changes like a receiver that is killed before merging them; return their source."""
    source_id = ledger.write(begin_source, "webhook", None, 1)
    await Inbox(ledger).keep(source_id, 1, EventBatch(changes))
    return source_id
