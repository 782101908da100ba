"""The one thread that talks to the keyring.

A locked keyring asks for its password in a window, and blocks forever without an answer. Unlike the
threads of a pool, a daemon thread never delays quitting. One thread also means one prompt: parallel
calls would open prompts that stay hidden behind the first.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from amp_console.connections.key_errors import KeysError, KeysProblem, explain
from amp_console.connections.keyring_backends import KeyringBackend, open_backend

_T = TypeVar("_T")


class _Call(Generic[_T]):
    """One piece of work. Its first answer counts; it never begins if no caller waits for it."""

    __slots__ = ("answers", "caller", "given_up", "work")

    def __init__(self, work: Callable[[KeyringBackend], _T], caller: object = None) -> None:
        self.work = work
        self.caller = caller
        self.answers: queue.SimpleQueue[_T | KeysError] = queue.SimpleQueue()
        self.given_up = False


class KeyringThread:
    """Does work with the keyring, one piece after the other. Times are in seconds."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        patience: float,
        say_after: float,
        on_waiting: Callable[[], None] | None,
    ) -> None:
        self._environ = environ
        self._patience = patience
        self._say_after = min(say_after, patience)
        self._on_waiting = on_waiting
        self._ring: KeyringBackend | None = None
        self._calls: queue.SimpleQueue[_Call[Any]] = queue.SimpleQueue()
        self._awaited: list[_Call[Any]] = []
        self._start = threading.Lock()
        self._started = False

    def ask(self, work: Callable[[KeyringBackend], _T], caller: object) -> _T:
        """Do the work on the thread and return its result; `stop_waiting(caller)` ends the wait.

        Raises KeysError for any failure; WAITING after `patience`.
        """
        call = _Call(work, caller)
        self._awaited.append(call)
        try:
            self._post(call)
            answer = self._await(call)
        finally:
            call.given_up = True
            self._awaited.remove(call)
        if isinstance(answer, KeysError):
            raise answer
        return answer

    def post(self, work: Callable[[KeyringBackend], object]) -> None:
        """Queue work behind all earlier calls, without waiting for it."""
        self._post(_Call(work))

    def stop_waiting(self, caller: object) -> None:
        """End the waits of a caller now, with a KeysError (WAITING)."""
        for call in tuple(self._awaited):
            if call.caller is caller:
                call.answers.put(self._no_answer())

    def _await(self, call: _Call[_T]) -> _T | KeysError:
        try:
            return call.answers.get(timeout=self._say_after)
        except queue.Empty:
            if self._on_waiting:
                self._on_waiting()
        try:
            return call.answers.get(timeout=self._patience - self._say_after)
        except queue.Empty:
            return self._no_answer()

    def _no_answer(self) -> KeysError:
        return KeysError(KeysProblem.WAITING, self._ring.name if self._ring else "")

    def _post(self, call: _Call[Any]) -> None:
        with self._start:
            if not self._started:
                threading.Thread(target=self._serve, name="keyring", daemon=True).start()
                self._started = True
        self._calls.put(call)

    def _serve(self) -> None:
        while True:
            call = self._calls.get()
            if not call.given_up:
                call.answers.put(self._answer(call.work))

    def _answer(self, work: Callable[[KeyringBackend], _T]) -> _T | KeysError:
        """Do a piece of work. This is the only place where a keyring's exceptions are caught.

        It catches BaseException, not only Exception: a broken `cryptography` panics with a
        BaseException, and callers of a dead thread would wait forever.
        """
        try:
            if self._ring is None:
                self._ring = open_backend(self._environ)
            return work(self._ring)
        except KeysError as error:
            return error.with_traceback(None)  # its frames hold the keys
        except BaseException as error:
            return explain(error, self._ring.name if self._ring else "")
