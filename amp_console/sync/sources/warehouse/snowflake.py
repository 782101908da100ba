"""Connections of Snowflake's own settings, as options of its ADBC driver."""

import os
import tomllib
from pathlib import Path

from amp_console.sync.sources.warehouse.engine import WarehouseError

_NAMES = {
    "account": "adbc.snowflake.sql.account",
    "user": "username",
    "password": "password",
    "host": "adbc.snowflake.sql.uri.host",
    "role": "adbc.snowflake.sql.role",
    "warehouse": "adbc.snowflake.sql.warehouse",
    "database": "adbc.snowflake.sql.db",
    "schema": "adbc.snowflake.sql.schema",
    "token": "adbc.snowflake.sql.client_option.auth_token",
    "private_key_path": "adbc.snowflake.sql.client_option.jwt_private_key",
    "private_key_file": "adbc.snowflake.sql.client_option.jwt_private_key",
}
_AUTHENTICATORS = {
    "snowflake": "auth_snowflake",
    "snowflake_jwt": "auth_jwt",
    "externalbrowser": "auth_ext_browser",
    "oauth": "auth_oauth",
}


def database_options(name: str) -> dict[str, str]:
    """The options of a connection in connections.toml. Raises WarehouseError."""
    folder = Path(os.environ.get("SNOWFLAKE_HOME") or Path.home() / ".snowflake")
    file = folder / "connections.toml"
    name = name or os.environ.get("SNOWFLAKE_DEFAULT_CONNECTION_NAME") or "default"
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError) as error:  # a parser's words could quote a password
        why = error.strerror if isinstance(error, OSError) else "it is not valid TOML"
        raise WarehouseError(
            f"Could not read {file}: {why}.", "It contains Snowflake's connections."
        ) from None
    if not isinstance(found, dict):
        raise WarehouseError(
            f"{file} has no connection called {name}.",
            "Write the source as snowflake://CONNECTION.",
        )
    options = {option: str(found[key]) for key, option in _NAMES.items() if key in found}
    authenticator = str(found.get("authenticator", "")).lower()
    if authenticator in _AUTHENTICATORS:
        options["adbc.snowflake.sql.auth_type"] = _AUTHENTICATORS[authenticator]
    elif authenticator:
        raise WarehouseError(
            f"amp-console does not know the authenticator of the connection {name}.",
            f"It knows {', '.join(_AUTHENTICATORS)}.",
        )
    return options
