"""The tokens of a connection's Segment space, stored like the passwords of sources."""

import re

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.keyring import Keyring
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import (
    find_password,
    retry_forgotten,
    save_passwords,
)
from amp_console.text import trimmed
from amp_console.values import Secret

NOT_KEPT = (
    "This machine has no keyring to store the token in. Nothing was saved. Sign in to a desktop "
    "session and try again."
)
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def checked_token(text: str) -> Secret:
    """Return a token without spaces and invisible characters at its ends.

    Raises ValueError, without quoting it, if it is empty or contains anything but visible ASCII.
    """
    token = trimmed(text)
    if not token:
        raise ValueError("The token is empty.")
    if not _VISIBLE_ASCII.fullmatch(token):
        raise ValueError(
            "The token contains a space, or a character no token has. Copy it again from Segment."
        )
    return Secret(token)


def save_space(
    store: ConnectionStore,
    keyring: Keyring,
    connection: Connection,
    space: SegmentSpace,
    *,
    token: Secret | None = None,
    profiles_token: Secret | None = None,
) -> Connection:
    """Save the space of a connection; store new tokens in the keyring, and keep the others.

    Raises KeysError if the keyring didn't store a token; nothing was saved then. Raises
    SettingsError if the settings weren't saved; the tokens are removed from the keyring again.
    """

    def put(items: dict[str, str]) -> Connection:
        return store.put_space(connection, msgspec.structs.replace(space, **items))

    given = {"token_item": token, "profiles_item": profiles_token}
    return save_passwords(store, keyring, given, put, not_kept=NOT_KEPT)


def remove_space(store: ConnectionStore, keyring: Keyring, connection: Connection) -> Connection:
    """Remove the space of a connection, and its tokens. Raises SettingsError."""
    saved = store.put_space(connection, None)
    retry_forgotten(store, keyring)
    return saved


def find_public_token(space: SegmentSpace, keyring: Keyring) -> Secret | None:
    """Return the token of the Public API, None if there is none.

    Raises KeysError if the keyring didn't return it.
    """
    return _find(space.token_item, keyring, "amp-console segment connect")


def find_profiles_token(space: SegmentSpace, keyring: Keyring) -> Secret | None:
    """Return the token of the Profile API. Raises as `find_public_token` does."""
    return _find(space.profiles_item, keyring, "amp-console segment connect --profiles-token")


def _find(item: str | None, keyring: Keyring, command: str) -> Secret | None:
    remedy = f"Enter it again with `{command}`."
    return find_password(item, keyring, "the token of the Segment space", remedy)
