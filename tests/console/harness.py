"""The console in a test: its own folders, a simulated Amplitude and a fixed clock."""

import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic

from textual.pilot import Pilot

from amp_console.connections import Connection, Folders, Keyring
from amp_console.console import Environment, LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.context import Services
from amp_console.ledger import open_ledger
from amp_console.simulator import Simulator
from amp_console.sync.timing import Timing, call_later
from tests.sync.workspace import OWNER, RecordedSleep, Workspace

NOW = 1_777_900_000_000_000  # 2026-05-04, microseconds since 1970
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
PATIENCE = 20.0  # seconds; a condition that is not met by then never is


class ConsoleHarness:
    """Opens consoles on its own folders. Keys come from `environ` unless `has_keys` is False."""

    def __init__(self, home: Path, simulator: Simulator, *, has_keys: bool = True) -> None:
        self.home = home
        self.simulator = simulator
        self.waits = RecordedSleep()
        keys = simulator.credentials
        self.environ = {"AMP_CONSOLE_HOME": str(home)}
        if has_keys:
            self.environ["AMP_CONSOLE_API_KEY"] = keys.api_key.reveal()
            self.environ["AMP_CONSOLE_SECRET_KEY"] = keys.secret_key.reveal()
        folders = Folders.locate(self.environ)
        folders.prepare()
        self.timers_faster = 1.0  # how many times faster than they should timers run
        timing = Timing(
            now=lambda: NOW,
            sleep=self.waits,
            call_later=lambda seconds, call: call_later(seconds / self.timers_faster, call),
            rng=random.Random(1),
        )
        self.environment = Environment(
            folders, Keyring(NO_KEYRING), self.environ, timing, flush_seconds=0.1
        )

    def connect(self, name: str = "Acme prod", **more: object) -> Connection:
        """Write a connection to the simulated project into the settings."""
        connection = Connection(
            name=name,
            app_id=self.simulator.world.app_id,
            owner_email=OWNER,
            base_url=self.simulator.base_url,
            **more,  # type: ignore[arg-type]
        )
        self.environment.connections.save(connection)
        return connection

    @contextmanager
    def workspace(self, connection: Connection) -> Iterator[Workspace]:
        """Open the connection's ledger, to import events and sync before the console opens."""
        with open_ledger(self.environment.folders.ledger(connection.id)) as ledger:
            workspace = Workspace(self.simulator, ledger, self.home)
            workspace.connection = connection
            yield workspace

    @asynccontextmanager
    async def open(
        self, opening: LaunchOptions | None = None, size: tuple[int, int] = (120, 36)
    ) -> AsyncIterator[Pilot[None]]:
        """Open the console, and close it in the end."""
        app = ConsoleApp(self.environment, opening or LaunchOptions())
        async with app.run_test(size=size, notifications=True) as pilot:
            yield pilot
            await app.services.sessions.close()


def console(pilot: Pilot[None]) -> ConsoleApp:
    """The application of a pilot."""
    assert isinstance(pilot.app, ConsoleApp)
    return pilot.app


def services(pilot: Pilot[None]) -> Services:
    """What the application of a pilot provides to its screens."""
    return console(pilot).services


def picture(pilot: Pilot[None]) -> str:
    """The text of the screen."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail with the screen's text after `PATIENCE` seconds."""
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < PATIENCE, f"never came about on:\n{picture(pilot)}"
        await pilot.pause(0.01)


async def until_shown(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all these texts are on the screen."""
    await until(pilot, lambda: all(text in picture(pilot) for text in texts))


async def until_notified(pilot: Pilot[None], *texts: str) -> None:
    """Wait until a notification contains each of these texts, however its toast wraps."""
    await until(
        pilot,
        lambda: all(any(t in h.text for h in services(pilot).notifications.entries) for t in texts),
    )
