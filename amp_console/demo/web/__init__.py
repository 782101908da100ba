"""The demo in a browser, through textual-serve (the extra `web`)."""

from amp_console.demo.web.server import WebServer

__all__ = ["WebServer"]
