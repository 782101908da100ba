"""The console in a test: separate folders, a simulated Amplitude and a fixed clock."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from amp_console.connections import Connection, Folders, Keyring
from amp_console.console import Environment, LaunchOptions
from amp_console.console.app import ConsoleApp
from amp_console.console.context import Services
from amp_console.simulator import Simulator
from amp_console.sync.timing import Timing, call_later
from amp_console.values import Region
from tests.console.headless import changes, text_of_screen
from tests.sync.workspace import OWNER, RecordedSleep, Workspace

NOW = 1_777_900_000_000_000  # 2026-05-04, microseconds since 1970
NOWHERE = "http://127.0.0.1:1"  # where no one listens
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
PATIENCE = 60.0  # seconds; generous, since only a failing test ever waits so long
LOOK_COUNTS = 1.0  # seconds at most: a machine that was suspended proves nothing
LOOK_EVERY = 0.005  # seconds between two checks of a condition
RENDER_EVERY = 0.5  # seconds after which a screen is rendered even though nothing asked for it


class ConsoleHarness:
    """Opens consoles on separate folders. Keys come from `environ` unless `has_keys` is False."""

    def __init__(self, home: Path, simulator: Simulator, *, has_keys: bool = True) -> None:
        self.home = home
        self.simulator = simulator
        self.waits = RecordedSleep(LOOK_EVERY)
        keys = simulator.credentials
        self.environ = {"AMP_CONSOLE_HOME": str(home)}
        if has_keys:
            self.environ["AMP_CONSOLE_API_KEY"] = keys.api_key.reveal()
            self.environ["AMP_CONSOLE_SECRET_KEY"] = keys.secret_key.reveal()
        folders = Folders.locate(self.environ)
        folders.prepare()
        self.timers_faster = 1.0  # how much faster timers run
        timing = Timing(
            now=lambda: NOW,
            sleep=self.waits,
            call_later=lambda seconds, call: call_later(seconds / self.timers_faster, call),
            rng=random.Random(1),
        )
        self.environment = Environment(
            folders,
            Keyring(NO_KEYRING),
            self.environ,
            timing,
            flush_seconds=0.1,
            tick_seconds=0.5,
            live_tick_seconds=0.2,
            confirm_after=0.0,
        )

    def serve_regions(self, north_america: str | None = None, europe: str | None = None) -> None:
        """Let the simulator serve North America and no one serve Europe, or use these URLs."""
        urls = {
            Region.NORTH_AMERICA: north_america or self.simulator.base_url,
            Region.EUROPE: europe or NOWHERE,
        }
        self.environment = replace(self.environment, region_urls=urls)

    def connect(self, name: str = "Acme prod", **more: object) -> Connection:
        """Save a connection to the simulated project in the settings."""
        connection = Connection(
            name=name,
            app_id=self.simulator.world.app_id,
            owner_email=OWNER,
            **{"base_url": self.simulator.base_url, **more},  # type: ignore[arg-type]
        )
        self.environment.connections.save(connection)
        return connection

    @contextmanager
    def workspace(self, connection: Connection) -> Iterator[Workspace]:
        """Open the connection's ledger, to import events and sync before the console opens."""
        with self.environment.ledgers.open(connection) as ledger:
            workspace = Workspace(self.simulator, ledger, self.home)
            workspace.connection = connection
            yield workspace

    @asynccontextmanager
    async def open(
        self, opening: LaunchOptions | None = None, size: tuple[int, int] = (120, 36)
    ) -> AsyncIterator[Pilot[None]]:
        """Open the console, and close it at the end."""
        app = ConsoleApp(self.environment, opening or LaunchOptions())
        async with app.run_test(size=size, notifications=True) as pilot:
            if app.services.environment.demo is None:
                await opened(pilot)
            yield pilot
            await app.services.connections.close_all()


def console(pilot: Pilot[None]) -> ConsoleApp:
    """The application of a pilot."""
    assert isinstance(pilot.app, ConsoleApp)
    return pilot.app


def services(pilot: Pilot[None]) -> Services:
    """The services of a pilot's application."""
    return console(pilot).services


def picture(pilot: Pilot[None]) -> str:
    """The text of the screen."""
    return "\n".join(text_of_screen(pilot.app))


async def opened(pilot: Pilot[None]) -> None:
    """Wait until the connection is open, or the screen that replaces home."""
    await until(pilot, lambda: not services(pilot).sessions.is_opening)
    await pilot.pause()


class _Patience:
    """How much longer a test waits, counted in checks."""

    def __init__(self) -> None:
        self._left = PATIENCE  # seconds
        self._looked = monotonic()

    def lasts(self) -> bool:
        """Whether to check once more."""
        now = monotonic()
        self._left -= min(now - self._looked, LOOK_COUNTS)
        self._looked = now
        return self._left > 0


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until a condition holds; fail with the screen's text after `PATIENCE` seconds."""
    patience = _Patience()
    while not condition():
        assert patience.lasts(), f"never came about on:\n{picture(pilot)}"
        await asyncio.sleep(LOOK_EVERY)


async def until_on(pilot: Pilot[None], kind: type[Screen[Any]]) -> None:
    """Wait until a screen of this class is in front, laid out, and accepts keys."""
    await until(pilot, lambda: isinstance(pilot.app.screen, kind) and changes(pilot.app.screen))
    await pilot.pause()


async def until_picture(pilot: Pilot[None], condition: Callable[[str], object]) -> None:
    """Wait until a condition on the screen's text holds.

    The screen is rendered once it has changed and, for a moment, changes no more.
    """
    patience = _Patience()
    while not condition(await _settled_picture(pilot)):
        screen, seen = pilot.app.screen, changes(pilot.app.screen)
        rendered = monotonic()
        while pilot.app.screen is screen and changes(screen) == seen:
            await asyncio.sleep(LOOK_EVERY)
            if monotonic() - rendered > RENDER_EVERY:
                break
        assert patience.lasts(), f"never came about on:\n{picture(pilot)}"


async def _settled_picture(pilot: Pilot[None]) -> str:
    """The text of the screen once two checks in a row find no change; soon, if it never settles."""
    begun, is_settled = monotonic(), False
    while not is_settled and monotonic() - begun < RENDER_EVERY:
        screen, seen = pilot.app.screen, changes(pilot.app.screen)
        await asyncio.sleep(LOOK_EVERY)
        is_settled = pilot.app.screen is screen and changes(screen) == seen
    return picture(pilot)


async def until_shown(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all these texts are on the screen."""
    await until_picture(pilot, lambda picture: all(text in picture for text in texts))


async def until_said(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all these texts are on the screen, wherever their lines end."""
    await until_picture(pilot, lambda picture: all(text in unwrapped(picture) for text in texts))


def unwrapped(picture: str) -> str:
    """The text of a picture as one line, without the frames at its sides."""
    return " ".join(picture.replace("│", " ").split())


async def until_gone(pilot: Pilot[None], text: str) -> None:
    """Wait until a text is no longer on the screen."""
    await until_picture(pilot, lambda picture: text not in picture)


async def until_notified(pilot: Pilot[None], *texts: str) -> None:
    """Wait until a notification contains each of these texts, however it wraps."""
    await until(
        pilot,
        lambda: all(any(t in h.text for h in services(pilot).notifications.entries) for t in texts),
    )


def last(pilot: Pilot[None]) -> str:
    """The last notification."""
    log_entries = services(pilot).notifications.entries
    return log_entries[-1].text if log_entries else ""


def enter(pilot: Pilot[None], **values: str) -> None:
    """Fill fields of a form, by name."""
    for name, value in values.items():
        pilot.app.screen.query_one(f"#{name}", Input).value = value
