"""One screen in a ten-line application: plain services, no Amplitude and no HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.pilot import Pilot
from textual.screen import Screen

import amp_console.console
from amp_console.connections import Connection, Folders, Keyring
from amp_console.console import Environment, LaunchOptions
from amp_console.console.context import Services
from amp_console.console.place_bar import PLACE_KEYS
from amp_console.console.routes import MainScreen, Route, Visit
from amp_console.sync.timing import Timing

NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
NOW = 1_777_900_000_000_000  # 2026-05-04, microseconds since 1970


class ScreenHost(App[None]):
    """Shows one screen on an empty home, and records the routes that it navigates to."""

    CSS_PATH: ClassVar[str] = str(Path(amp_console.console.__file__).with_name("app.tcss"))

    BINDINGS: ClassVar[list[BindingType]] = [*PLACE_KEYS]

    def __init__(self, environment: Environment, options: LaunchOptions | None = None) -> None:
        super().__init__()
        self.routes: list[Route] = []
        self.services = Services(self, environment, options or LaunchOptions(), self.routes.append)

    def action_go(self, name: str) -> None:
        self.services.navigate(Visit(MainScreen(name)))

    async def on_mount(self) -> None:
        await self.push_screen(Screen())


@asynccontextmanager
async def hosted(
    folder: Path, screen: Callable[[], Screen[None]], size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[ScreenHost, Pilot[None]]]:
    """Open a screen on a new connection named "Acme prod", whose ledger is in this folder."""
    environ = {"AMP_CONSOLE_HOME": str(folder)}
    folders = Folders.locate(environ)
    folders.prepare()
    environment = Environment(folders, Keyring(NO_KEYRING), environ, Timing(now=lambda: NOW))
    connection = Connection(name="Acme prod", app_id=123456, owner_email="ana@acme.example")
    environment.connections.save(connection)
    host = ScreenHost(environment)
    async with host.run_test(size=size, notifications=True) as pilot:
        await host.services.sessions.open(connection)
        await host.push_screen(screen())
        yield host, pilot
        await host.services.sessions.close()
