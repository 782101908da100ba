"""Relays on loopback that cut connections, after so many bytes or for one side only, or stop."""

import ctypes
import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
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

    def __exit__(self, *exc_info: object) -> None:
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
    """Forwards connections to a port on this machine; `forget` acts like a failing network.

    `stop_at` acts like one that loses packets; `has_stopped` is set once it has.
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

    def __exit__(self, *exc_info: object) -> None:
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
        """Tell the server that the forgotten connections have ended."""
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
        with suppress(ValueError):  # it was forgotten: its other end stays open
            self._pairs.remove(pair)
        if pair[1] not in self._forgotten:
            _end(source)
            _end(target)


# Of Linux: the filter of a socket decides which packets reach it. This one drops them all.
_ATTACH_FILTER, _DETACH_FILTER = 26, 27
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
_PROGRAM = struct.pack("HL", 1, ctypes.addressof(_DROP_ALL))
_PROBES = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 127}


SOON = (
    "connect_timeout=2&tcp_user_timeout=500&keepalives_idle=1&keepalives_interval=1"
    "&answer_timeout=1"
)
"""Options of a ledger's address that detect a silent server within seconds."""


class LossyRelay:
    """Passes connections on to a port of this machine, and loses every packet for a while.

    While it does, no byte is acknowledged, on either side, and no connection can be made; both
    ends still have theirs. Afterwards what was lost is sent again, unless an end has given up.
    """

    takes_new = False
    """Whether new connections can be made in the meantime, without losses."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets = [self._listener]
        self._passes = threading.Event()
        self._passes.set()
        self._guard = threading.Lock()
        self._left: int | None = None
        self.passed = 0
        """How many times it has passed something on."""
        self.is_lossy = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._guard:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            _end(one)
        self._passes.set()

    def lose_after(self, count: int) -> None:
        """Lose everything after something was forwarded this many more times."""
        with self._guard:
            self._left = count

    def lose(self) -> None:
        """Lose every packet from now on."""
        with self._guard:
            self._lose()

    def _lose(self) -> None:
        self._left = None
        self._passes.clear()
        self._drop(self._sockets)
        self.is_lossy.set()

    def recover(self) -> None:
        """Lose nothing from now on."""
        with self._guard:
            self._left = None
            self._restore(self._sockets)
            self._passes.set()
            self.is_lossy.clear()

    def _drop(self, sockets: Iterable[socket.socket]) -> None:
        for one in sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)

    def _restore(self, sockets: Iterable[socket.socket]) -> None:
        for one in sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    def _is_passed_on(self, _source: socket.socket) -> bool:
        self._passes.wait()
        return True

    def _is_cut_off(self, _source: socket.socket) -> bool:
        """Whether the other end is not told that this one has gone."""
        return False

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                pair = (client, socket.create_connection(("127.0.0.1", self._target)))
                for one in pair:  # a host that has given up is found by its answer to a probe
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for name, value in _PROBES.items():
                        one.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
                with self._guard:
                    self._sockets += pair
                    if self.is_lossy.is_set() and not self.takes_new:
                        self._drop(pair)
                for ends in (pair, pair[::-1]):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                with self._guard:
                    if self._left is not None:
                        self._left -= 1
                        if self._left < 0:
                            self._lose()
                if self._is_passed_on(source):
                    self.passed += 1
                    target.sendall(data)
        for one in () if self._is_cut_off(source) else (source, target):
            _end(one)
            with self._guard, suppress(ValueError):
                self._sockets.remove(one)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class SwallowingRelay(LossyRelay):
    """Acknowledges every packet, and passes nothing on for a while, as a proxy that is half dead.

    A connection that was open meanwhile never passes anything on again, not even its end; `recover`
    ends it. New ones are swallowed, too, unless it `takes_new`.
    """

    def __init__(self, port: int) -> None:
        self._swallowed: set[socket.socket] = set()
        super().__init__(port)

    def _drop(self, sockets: Iterable[socket.socket]) -> None:
        self._swallowed.update(sockets)
        self._swallowed.discard(self._listener)

    def _restore(self, _sockets: Iterable[socket.socket]) -> None:
        for one in self._swallowed:
            _end(one)

    def _is_passed_on(self, source: socket.socket) -> bool:
        return source not in self._swallowed

    def _is_cut_off(self, source: socket.socket) -> bool:
        return source in self._swallowed and self.is_lossy.is_set()
