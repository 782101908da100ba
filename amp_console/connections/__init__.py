"""Connections: their settings in a TOML file, keys in the system's keyring, and folders.

This does not import the keyring library: only the keyring's thread does.
"""

from amp_console.connections.connection import (
    MAX_OPERATOR,
    OPERATOR_VARIABLE,
    Connection,
    Limits,
    checked_email,
    checked_name,
    checked_operator,
)
from amp_console.connections.folders import Folders
from amp_console.connections.key_errors import KeysError, KeysProblem
from amp_console.connections.keyring import Keyring
from amp_console.connections.keys import (
    checked_keys,
    keys_from_environment,
    keys_from_two_lines,
    without_keys,
)
from amp_console.connections.ledger_passwords import find_ledger_password, save_ledger
from amp_console.connections.ledger_server import LedgerServer, entered_ledger
from amp_console.connections.named_source import (
    NamedSource,
    checked_source_name,
    is_same_login,
    split_password,
)
from amp_console.connections.preferences import (
    Preferences,
    keep_theme,
    keep_views,
    read_preferences,
)
from amp_console.connections.read_only import (
    ReadOnly,
    RestrictedConnection,
    SettingsReadOnly,
    restricted,
)
from amp_console.connections.redaction import RedactingFormatter, redact, redact_secret
from amp_console.connections.saved_views import SavedView
from amp_console.connections.segment_space import SegmentSpace
from amp_console.connections.segment_tokens import (
    checked_token,
    find_profiles_token,
    find_public_token,
    remove_space,
    save_space,
)
from amp_console.connections.settings_errors import (
    NameTaken,
    NoConnections,
    SettingsError,
    SeveralConnections,
    UnknownConnection,
    UnknownSource,
)
from amp_console.connections.source_passwords import (
    find_source_password,
    named_source,
    remove_source,
    save_source,
)
from amp_console.connections.store import ConnectionStore
from amp_console.connections.stored_keys import (
    KeySource,
    find_keys,
    forget_connection,
    retry_forgotten,
    store_keys,
)
from amp_console.connections.webhook_secret import (
    checked_secret,
    find_webhook_secret,
    store_webhook_secret,
)

__all__ = [
    "MAX_OPERATOR",
    "OPERATOR_VARIABLE",
    "Connection",
    "ConnectionStore",
    "Folders",
    "KeySource",
    "Keyring",
    "KeysError",
    "KeysProblem",
    "LedgerServer",
    "Limits",
    "NameTaken",
    "NamedSource",
    "NoConnections",
    "Preferences",
    "ReadOnly",
    "RedactingFormatter",
    "RestrictedConnection",
    "SavedView",
    "SegmentSpace",
    "SettingsError",
    "SettingsReadOnly",
    "SeveralConnections",
    "UnknownConnection",
    "UnknownSource",
    "checked_email",
    "checked_keys",
    "checked_name",
    "checked_operator",
    "checked_secret",
    "checked_source_name",
    "checked_token",
    "entered_ledger",
    "find_keys",
    "find_ledger_password",
    "find_profiles_token",
    "find_public_token",
    "find_source_password",
    "find_webhook_secret",
    "forget_connection",
    "is_same_login",
    "keep_theme",
    "keep_views",
    "keys_from_environment",
    "keys_from_two_lines",
    "named_source",
    "read_preferences",
    "redact",
    "redact_secret",
    "remove_source",
    "remove_space",
    "restricted",
    "retry_forgotten",
    "save_ledger",
    "save_source",
    "save_space",
    "split_password",
    "store_keys",
    "store_webhook_secret",
    "without_keys",
]
