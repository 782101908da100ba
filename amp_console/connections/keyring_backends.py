"""The choice of the system's keyring.

This does not follow the keyring library's own ranking: with `keyrings.alt` installed and no desktop
session, it silently uses a plain-text file, and its null backend "stores" without storing.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from amp_console.connections.key_errors import KEY_VARIABLES, KeysError, KeysProblem

_NATIVE = (
    "keyring.backends.macOS.Keyring",
    "keyring.backends.Windows.WinVaultKeyring",
    "keyring.backends.SecretService.Keyring",
    "keyring.backends.libsecret.Keyring",
    "keyring.backends.kwallet.DBusKeyring",
)
_NAMED_BY = "PYTHON_KEYRING_BACKEND or keyringrc.cfg"
_INSTEAD = f"Choose another, or set {KEY_VARIABLES[0]} and {KEY_VARIABLES[1]}."


class KeyringBackend(Protocol):
    """The part of a keyring library's backend that is used here."""

    @property
    def name(self) -> str:
        """The name shown to the operator."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return a text, None if there is none."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store a text."""

    def delete_password(self, service: str, username: str) -> None:
        """Remove a text."""


def open_backend(environ: Mapping[str, str]) -> KeyringBackend:
    """Return the keyring that the operator named, otherwise the best native one that works here.

    Raises KeysError (NO_KEYRING) if there is none, or if the named one can't be loaded, stores
    nothing, or stores it as plain text.
    """
    backend = _named(environ) or _best_native()
    if backend is None:
        raise KeysError(KeysProblem.NO_KEYRING)
    origins = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(backend).__mro__]
    if any(origin.startswith("keyring.backends.fail.") for origin in origins):
        raise KeysError(KeysProblem.NO_KEYRING)
    if any(map(_keeps_nothing_safely, origins)):
        raise KeysError(
            KeysProblem.NO_KEYRING,
            message=f"{_NAMED_BY} names {origins[0]}, which does not keep keys safely and is "
            f"not used. {_INSTEAD}",
        )
    return backend


def _keeps_nothing_safely(origin: str) -> bool:
    """Whether a class is the null backend, is one of `keyrings.alt`, or is named as plain text."""
    unsafe = ("keyring.backends.null.", "keyrings.alt.")
    return origin.startswith(unsafe) or "plaintext" in origin.lower()


def _named(environ: Mapping[str, str]) -> KeyringBackend | None:
    """Return the operator's choice; if that is the chainer, the keyring it would write to."""
    from keyring import core
    from keyring.backends.chainer import ChainerBackend

    name = environ.get("PYTHON_KEYRING_BACKEND")
    try:
        backend = core.load_keyring(name) if name else core.load_config()
        if isinstance(backend, ChainerBackend):
            backend = next(iter(backend.backends), None)
    except Exception as error:
        raise KeysError(
            KeysProblem.NO_KEYRING,
            message=f"The keyring that {_NAMED_BY} names can't be used ({type(error).__name__}), "
            f"so nothing was saved. {_INSTEAD}",
        ) from None
    return backend


def _best_native() -> KeyringBackend | None:
    from keyring import core

    backends = []
    for name in _NATIVE:
        with suppress(Exception):  # made for another system, or not running
            backends.append(core.load_keyring(name))
    return max(backends, key=lambda backend: backend.priority, default=None)
