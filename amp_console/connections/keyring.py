"""The system's keyring: one item for each connection, holding both of its keys."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import Literal

import msgspec

from amp_console.connections.connection import new_id
from amp_console.connections.key_errors import KeysError, KeysProblem, about_a_password
from amp_console.connections.keyring_backends import KeyringBackend
from amp_console.connections.keyring_thread import KeyringThread
from amp_console.connections.keys import checked_keys
from amp_console.values import Credentials, Secret

_USERNAME = "credentials"
_MAX_LENGTH = 1280  # characters; Windows stores 2,560 bytes of UTF-16


class _Stored(msgspec.Struct, frozen=True):
    """The JSON text of an item with both keys: macOS asks once, and the two always match."""

    api_key: str
    secret_key: str
    version: Literal[1] = 1


class _StoredSecret(msgspec.Struct, frozen=True):
    """The JSON text of an item with the shared secret of a webhook destination."""

    webhook_secret: str
    version: Literal[1] = 1


class _StoredPassword(msgspec.Struct, frozen=True):
    """The JSON text of an item with the password of a source, or a token."""

    password: str
    version: Literal[1] = 1


class Keyring:
    """Reads, writes and deletes key pairs, webhook secrets, passwords and tokens in the keyring.

    Every method may block, and may raise a KeysError that says why. `on_waiting` is called once for
    each call that takes longer than `say_after` seconds, in the caller's thread, so that a front
    end can say that the keyring is asking for a password; after `patience` seconds, the call gives
    up (WAITING). Nothing is ever stored anywhere else instead.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        patience: float = 60.0,
        say_after: float = 2.0,
        on_waiting: Callable[[], None] | None = None,
    ) -> None:
        self._thread = KeyringThread(
            environ, patience=patience, say_after=say_after, on_waiting=on_waiting
        )

    def backend_name(self) -> str:
        """Return the name of the keyring in use, for the operator.

        Raises KeysError if there is none (NO_KEYRING).
        """
        return self._thread.ask(lambda backend: backend.name, self)

    def keeps(self, what: str) -> str:
        """Say that this keyring has something: `what` is "Its password is". Raises KeysError."""
        return f"{what} in your keyring ({self.backend_name()}), not in the settings."

    def read(self, item: str) -> Credentials:
        """Return the keys in an item.

        Raises KeysError if there is no such item (MISSING), it does not contain keys (DAMAGED), or
        the keyring didn't return it.
        """

        def work(backend: KeyringBackend) -> Credentials:
            text = backend.get_password(_service(item), _USERNAME)
            if text is None:
                raise KeysError(KeysProblem.MISSING, backend.name)
            return _decode(text, backend.name)

        return self._thread.ask(work, self)

    def write(self, credentials: Credentials) -> str:
        """Store the keys in a new item, read them back, and return the item's id.

        If that fails, because the wait ended or a different text came back, the item is deleted
        again.

        Raises KeysError if the keys are not stored.
        """
        return self._store(_encode(credentials))

    def read_secret(self, item: str) -> Secret:
        """Return the webhook secret in an item. Raises as `read` does."""
        return self._read(
            item, lambda text: msgspec.json.decode(text, type=_StoredSecret).webhook_secret
        )

    def write_secret(self, secret: Secret) -> str:
        """Store a webhook secret in a new item, as `write` does."""
        return self._store(_fitting(msgspec.json.encode(_StoredSecret(secret.reveal())).decode()))

    def read_password(self, item: str) -> Secret:
        """Return the password of a source, or a token, in an item. Raises as `read` does."""
        with about_a_password():
            return self._read(
                item, lambda text: msgspec.json.decode(text, type=_StoredPassword).password
            )

    def write_password(self, password: Secret) -> str:
        """Store the password of a source, or a token, in a new item, as `write` does."""
        stored = _StoredPassword(password.reveal())
        with about_a_password():
            return self._store(_fitting(msgspec.json.encode(stored).decode()))

    def _read(self, item: str, decode: Callable[[str], str]) -> Secret:
        def work(backend: KeyringBackend) -> Secret:
            text = backend.get_password(_service(item), _USERNAME)
            if text is None:
                raise KeysError(KeysProblem.MISSING, backend.name)
            try:
                return Secret(decode(text))
            except ValueError:
                raise KeysError(KeysProblem.DAMAGED, backend.name) from None

        return self._thread.ask(work, self)

    def _store(self, text: str) -> str:
        item = new_id()
        stored = False

        def work(backend: KeyringBackend) -> None:
            nonlocal stored
            backend.set_password(_service(item), _USERNAME, text)
            stored = True
            if backend.get_password(_service(item), _USERNAME) != text:
                raise KeysError(
                    KeysProblem.DAMAGED,
                    backend.name,
                    message="Your keyring returned something other than what was stored. Nothing "
                    "was changed. Try again, or choose another keyring with "
                    "PYTHON_KEYRING_BACKEND.",
                )

        def undo(backend: KeyringBackend) -> None:
            if stored:
                backend.delete_password(_service(item), _USERNAME)

        try:
            self._thread.ask(work, self)
        except BaseException:  # including Ctrl-C
            self._thread.post(undo)
            raise
        return item

    def delete(self, item: str) -> None:
        """Delete an item and check that it is gone; a missing item is not an error.

        Raises KeysError if it is, or may be, still there.
        """

        def work(backend: KeyringBackend) -> None:
            from keyring.errors import PasswordDeleteError

            with suppress(PasswordDeleteError):  # also raised for a missing item
                backend.delete_password(_service(item), _USERNAME)
            if backend.get_password(_service(item), _USERNAME) is not None:
                raise KeysError(KeysProblem.REFUSED, backend.name)

        self._thread.ask(work, self)

    def stop_waiting(self) -> None:
        """End every call of this object that is waiting now, with a KeysError (WAITING)."""
        self._thread.stop_waiting(self)

    def with_own_waits(self) -> "Keyring":
        """Return the same keyring for another caller; `stop_waiting` ends only that caller's."""
        return copy(self)


def _service(item: str) -> str:
    return f"amp-console:{item}"


def _encode(credentials: Credentials) -> str:
    stored = _Stored(credentials.api_key.reveal(), credentials.secret_key.reveal())
    return _fitting(msgspec.json.encode(stored).decode())


def _fitting(text: str) -> str:
    if len(text) > _MAX_LENGTH:
        raise KeysError(KeysProblem.TOO_LONG)
    return text


def _decode(text: str, backend_name: str) -> Credentials:
    try:
        stored = msgspec.json.decode(text, type=_Stored)
        return checked_keys(stored.api_key, stored.secret_key)
    except ValueError:  # msgspec's errors are ValueErrors, too
        raise KeysError(KeysProblem.DAMAGED, backend_name) from None
