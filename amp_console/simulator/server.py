"""The simulated Amplitude as a server on loopback, in a separate thread."""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Self

import uvicorn

from amp_console.simulator.app import Dispatcher, Sleep, build
from amp_console.simulator.behavior import Behavior
from amp_console.simulator.calls import Seen
from amp_console.simulator.connection import BreakableProtocol
from amp_console.simulator.faults import Faults
from amp_console.simulator.project import Project
from amp_console.simulator.segment import SegmentSpace
from amp_console.simulator.world import World
from amp_console.values import Credentials, Secret

HOST = "127.0.0.1"
DEFAULT_PORT = 8765
CREDENTIALS = Credentials(Secret("simulated-api-key"), Secret("simulated-secret-key"))


class _Server(uvicorn.Server):
    """uvicorn that stops at once when asked, instead of checking ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask the server to stop, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self.ready.set()  # even if it never became ready: a thread waits for this event

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """End everything, including keep-alive connections and requests in progress."""
        for server in self.servers:
            server.close()
        while connections := list(self.server_state.connections):
            for connection in connections:
                connection.transport.abort()
            await asyncio.sleep(0)
        for task in self.server_state.tasks:
            task.cancel()


class Simulator:
    """A simulated Amplitude, served while the `with` block runs.

    `port` 0 is any free port; `listener` is a socket that is already listening. `sleep` waits for
    the latency that behavior and faults ask for, in seconds. World, faults and `behavior` may be
    used and changed while it serves. Its keys are recognizably not real. `segment` is a simulated
    Segment space at the same address.
    """

    def __init__(
        self,
        world: World | None = None,
        *,
        behavior: Behavior | None = None,
        faults: Faults | None = None,
        port: int = 0,
        credentials: Credentials = CREDENTIALS,
        sleep: Sleep = asyncio.sleep,
        listener: socket.socket | None = None,
    ) -> None:
        self._listener = listener
        self.world = world or World()
        self.faults = faults or Faults()
        self.credentials = credentials
        self.segment = SegmentSpace()
        self._project = Project(self.world, behavior or Behavior())
        self._dispatcher = Dispatcher(self._project, self.faults, credentials, sleep)
        self._port = port

    @property
    def behavior(self) -> Behavior:
        """How it answers; a new value applies from the next request on."""
        return self._project.behavior

    @behavior.setter
    def behavior(self, behavior: Behavior) -> None:
        self._project.behavior = behavior

    @property
    def requests(self) -> list[Seen]:
        """The requests served so far, oldest first; each is added before its answer is sent."""
        return list(self._dispatcher.requests)

    @property
    def in_work(self) -> int:
        """How many requests are in work at this moment."""
        return self._dispatcher.in_work

    @property
    def downloads(self) -> int:
        """How many downloads of this month's quota are used."""
        return self._project.quotas.downloads

    @property
    def base_url(self) -> str:
        """The URL where it listens, without a slash at the end."""
        return f"http://{HOST}:{self._port}"

    def __enter__(self) -> Self:
        """Start serving. Raises OSError if the port is in use."""
        listener = self._listener or socket.create_server((HOST, self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            build(self._dispatcher, self.segment),
            http=BreakableProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="simulator", daemon=True
        )
        self._thread.start()
        self._server.ready.wait()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop serving, even with clients still connected."""
        self._server.stop()
        self._thread.join()


def run_forever(
    port: int = DEFAULT_PORT,
    *,
    world: World | None = None,
    behavior: Behavior | None = None,
    on_ready: Callable[[Simulator], None] = lambda _: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until Ctrl-C, or until `stop` is set. Raises OSError if the port is in use."""
    stop = stop or threading.Event()
    with Simulator(world, behavior=behavior, port=port) as simulator:
        on_ready(simulator)
        try:
            # A wait without a timeout could not be interrupted on Windows.
            while not stop.wait(0.5):
                pass
        except KeyboardInterrupt:
            return
