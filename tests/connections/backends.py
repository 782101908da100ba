"""Keyrings that misbehave, for PYTHON_KEYRING_BACKEND to name."""

import threading
from typing import ClassVar

from keyring.backend import KeyringBackend


class Memory(KeyringBackend):
    """Keeps texts until `clear`, and remembers what was written and which threads asked."""

    priority = 1.0
    items: ClassVar[dict[str, str]] = {}
    writes: ClassVar[list[str]] = []
    threads: ClassVar[set[threading.Thread]] = set()

    def get_password(self, service: str, username: str) -> str | None:
        self.threads.add(threading.current_thread())
        return self.items.get(service)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.writes.append(service)
        self.items[service] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.items[service]

    @classmethod
    def clear(cls) -> None:
        Memory.items.clear()
        Memory.writes.clear()
        Memory.threads.clear()
        Silent.answered.clear()
        Silent.asked.clear()


class Silent(Memory):
    """Asks for a password in a window, and waits for the answer."""

    asked: ClassVar[threading.Event] = threading.Event()
    answered: ClassVar[threading.Event] = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.set()
        self.answered.wait()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.asked.set()
        self.answered.wait()
        super().set_password(service, username, password)


class Failing(Memory):
    """Fails as instructed."""

    error: ClassVar[BaseException] = Exception()

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self.error


class Forgetful(Memory):
    """Returns something other than what was stored."""

    def get_password(self, service: str, username: str) -> str | None:
        return "something else"


class Stubborn(Memory):
    """Deletes nothing, and says nothing."""

    def delete_password(self, service: str, username: str) -> None:
        return None


class PlaintextKeyring(Memory):
    """Says by its name what it is."""
