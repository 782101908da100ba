"""What the receiver builds on in uvicorn, whose protocol class is not a public interface."""

import asyncio
import inspect
import socket
from collections.abc import Callable
from typing import cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from amp_console.sync.sources.http_server import (
    BoundedConnection,
    ConnectionLimits,
    Server,
    listen_on,
)

USED = {
    "a connection": {"connections", "cycle", "loop", "transport"},
    "a request": {
        "disconnected",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
    },
}
OVERRIDDEN: dict[type, dict[str, list[str]]] = {
    H11Protocol: {
        "connection_lost": ["exc"],
        "connection_made": ["transport"],
        "data_received": ["data"],
        "eof_received": [],
        "send_400_response": ["msg"],
    },
    uvicorn.Server: {"capture_signals": []},
}


async def _app(scope: Scope, receive: Receive, send: Send) -> None: ...


def _gone(what: str) -> str:
    return f"uvicorn {uvicorn.__version__} no longer has {what}: http_server.py builds on it"


@pytest.mark.parametrize(
    ("base", "own"), [(H11Protocol, BoundedConnection), (uvicorn.Server, Server)]
)
def test_uvicorn_has_every_method_that_is_overridden(base: type, own: type) -> None:
    expected = OVERRIDDEN[base]
    for name, parameters in expected.items():
        method = getattr(base, name, None)
        assert method is not None, _gone(f"{base.__name__}.{name}")
        assert list(inspect.signature(method).parameters)[1:] == parameters, _gone(
            f"these parameters of {base.__name__}.{name}"
        )
    overridden = {name for name in vars(own) if hasattr(base, name) and not name.startswith("__")}
    assert overridden == expected.keys(), "this test lists what is overridden"


async def test_uvicorn_s_connections_and_requests_have_every_attribute_that_is_used() -> None:
    config = Server(_app, ConnectionLimits(), lambda *_: None).config
    config.load()
    make = cast("Callable[..., object]", config.http_protocol_class)
    connection = make(config=config, server_state=ServerState(), app_state={})
    assert isinstance(connection, BoundedConnection), "uvicorn calls what it is given as a class"
    assert connection.loop is asyncio.get_running_loop()
    missing = USED["a connection"] - set(dir(connection))
    assert not missing, _gone(f"{missing} of a connection")
    missing = USED["a request"] - set(RequestResponseCycle.__init__.__code__.co_names)
    missing -= set(inspect.signature(RequestResponseCycle).parameters)
    assert not missing, _gone(f"{missing} of a request")


async def test_an_answer_s_body_does_not_wait_for_the_acknowledgment_of_its_head() -> None:
    options: list[int] = []

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        options.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = listen_on("127.0.0.1", 0)
    async with await asyncio.start_server(note, sock=listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        await reader.read()
        writer.close()
    assert [bool(option) for option in options] == [True]
