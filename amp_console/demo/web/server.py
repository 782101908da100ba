"""A page on loopback that shows the demo; each visit starts a separate demo.

Input from a browser reaches a program that can write files, so the server listens only on loopback,
and refuses requests from other sites' pages.
"""

import asyncio
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler
from textual_serve.server import Server

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
TITLE = "amp-console demo"
END_SECONDS = 1.0  # that open pages have to close on their own
UTF8 = {"PYTHONUTF8": "1"}  # a browser shows every character, whatever the terminal's encoding


class WebServer(Server):
    """Serves the demo by running a command of this program.

    `arguments` follow `amp-console`. Port 0 is any free port. Raises OSError if the port is in use.
    """

    def __init__(self, arguments: Sequence[str], *, port: int = 0) -> None:
        self.listener = socket.create_server((HOST, port))
        command = shlex.join([sys.executable, "-m", "amp_console", *arguments])
        super().__init__(
            command,
            host=HOST,
            port=self.listener.getsockname()[1],
            title=TITLE,
            templates_path=Path(__file__).parent,
        )

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until SIGINT or SIGTERM, which also end every demo."""
        os.environ.update(UTF8)
        asyncio.run(self._run(on_ready))

    async def _run(self, on_ready: Callable[[], None]) -> None:
        runner = web.AppRunner(
            await self._make_app(), access_log=None, shutdown_timeout=END_SECONDS
        )
        await runner.setup()
        await web.SockSite(runner, self.listener).start()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        on_ready()
        try:
            await ended.wait()
        finally:
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._only_own_page)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command prints the address."""

    @web.middleware
    async def _only_own_page(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = {f"{name}:{self.port}" for name in NAMES}
        origin = request.headers.get("Origin")
        is_own = origin is None or origin in {f"http://{host}" for host in hosts}
        if request.host not in hosts or not is_own:
            raise web.HTTPForbidden(text="This page is for this machine only.")
        response = await handler(request)
        if not response.prepared:
            sources = " ".join(f"ws://{host}" for host in sorted(hosts))
            response.headers["Content-Security-Policy"] = (
                f"default-src http://{HOST}:{self.port} 'self' 'unsafe-inline' data:; "
                f"connect-src 'self' {sources}"
            )
        return response
