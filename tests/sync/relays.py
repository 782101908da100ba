"""Relays on loopback that cut connections, after so many bytes or for one side only, or stop."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class CuttingRelay:
    """Passes connections on to a port of this machine until `after` bytes have come back."""

    def __init__(self, port: int, after: int) -> None:
        self._target = port
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = [self._listener]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for item in self._sockets:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                for pair, limit in (((client, server), None), ((server, client), self._after)):
                    thread = threading.Thread(target=self._pass_on, args=(*pair, limit))
                    thread.daemon = True
                    self._threads.append(thread)
                    thread.start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65_536):
                passed += len(data)
                if limit is not None and passed > limit:
                    break
                target.sendall(data)
        for item in (source, target):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


_Pair = tuple[socket.socket, socket.socket]


class ForgetfulRelay:
    """Passes connections on to a port of this machine; `forget` does as a network that fails.

    `stop_at` does as one that loses packets; `has_stopped` is set once it has.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[_Pair] = []
        self._forgotten: list[socket.socket] = []
        self._last: bytes | None = None
        self._passes = threading.Event()
        self._passes.set()
        self.has_stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _end(self._listener)
        self.forget()
        self.end_forgotten()

    def stop_at(self, data: bytes) -> None:
        """Keep back what contains this, and all that follows on any connection."""
        self._last = data

    def go_on(self) -> None:
        """Pass on what was kept back, and all that follows."""
        self._last = None
        self._passes.set()

    def forget(self) -> None:
        """End all connections for the client; the server is not told. New ones work."""
        pairs, self._pairs = self._pairs, []
        for client, server in pairs:
            self._forgotten.append(server)
            _end(client)
        self.go_on()

    def end_forgotten(self) -> None:
        """Let the server hear that the forgotten connections have ended."""
        for server in self._forgotten:
            _end(server)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                pair = (client, socket.create_connection(("127.0.0.1", self._target)))
                self._pairs.append(pair)
                for ends in (pair, pair[::-1]):
                    threading.Thread(target=self._pass_on, args=(pair, *ends), daemon=True).start()

    def _pass_on(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        target: socket.socket,
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._last is not None and self._last in data:
                    self._passes.clear()
                    self.has_stopped.set()
                self._passes.wait()
                if pair[1] in self._forgotten:
                    break
                target.sendall(data)
        with suppress(ValueError):  # it was forgotten: its other end stays
            self._pairs.remove(pair)
        if pair[1] not in self._forgotten:
            _end(source)
            _end(target)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
