"""The tokens of a connection's Segment space: kept and found like the passwords of sources."""

import re

import msgspec

from amp_console.connections.connection import Connection
from amp_console.connections.key_errors import KeysError, not_read, without_keyring
from amp_console.connections.keyring import Keyring
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import deleted_unless_saved, retry_forgotten
from amp_console.text import trimmed
from amp_console.values import Secret

NOT_KEPT = (
    "This machine has no keyring, so the token can't be kept. Nothing was saved. Sign in to a "
    "desktop session and try again."
)
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def checked_token(text: str) -> Secret:
    """Return a token without blanks and invisible marks at its ends.

    Raises ValueError: it is empty, or holds anything but visible ASCII. It is not quoted.
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
    """Keep the space of a connection, with new tokens in the keyring; without, those stay.

    Raises KeysError: the keyring didn't take a token; nothing was saved. Raises SettingsError: the
    settings weren't saved; the tokens are removed from the keyring again.
    """
    store.check_writable()
    given = {"token_item": token, "profiles_item": profiles_token}
    items: dict[str, str] = {}
    with deleted_unless_saved(keyring, items), without_keyring(NOT_KEPT):
        for field, secret in given.items():
            if secret is not None:
                items[field] = keyring.write_password(secret)
        saved = store.put_space(connection, msgspec.structs.replace(space, **items))
    retry_forgotten(store, keyring)
    return saved


def remove_space(store: ConnectionStore, keyring: Keyring, connection: Connection) -> Connection:
    """Forget the space of a connection, and its tokens. Raises SettingsError."""
    saved = store.put_space(connection, None)
    retry_forgotten(store, keyring)
    return saved


def find_public_token(space: SegmentSpace, keyring: Keyring) -> Secret | None:
    """Return the token of the Public API, None if there is none.

    Raises KeysError: the keyring didn't give it.
    """
    return _find(space.token_item, keyring, "amp-console segment connect")


def find_profiles_token(space: SegmentSpace, keyring: Keyring) -> Secret | None:
    """Return the token of the Profile API; raises as `find_public_token` does."""
    return _find(space.profiles_item, keyring, "amp-console segment connect --profiles-token")


def _find(item: str | None, keyring: Keyring, command: str) -> Secret | None:
    if item is None:
        return None
    try:
        return keyring.read_password(item)
    except KeysError as error:
        remedy = f"Enter it again with `{command}`."
        raise not_read(error, "the token of the Segment space", remedy) from None
