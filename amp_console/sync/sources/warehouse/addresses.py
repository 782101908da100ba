"""Which engine a URL means: its scheme determines the kind of warehouse."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

from amp_console.sync.sources.warehouse.adbc import open_bigquery, open_profile, open_snowflake
from amp_console.sync.sources.warehouse.duckdb import DuckDbEngine
from amp_console.sync.sources.warehouse.engine import Engine, WarehouseError
from amp_console.sync.sources.warehouse.postgresql import PostgresqlEngine
from amp_console.sync.sources.warehouse.sqlite import SqliteEngine
from amp_console.values import Secret

_FILES: dict[str, Callable[[Path], Engine]] = {"duckdb": DuckDbEngine, "sqlite": SqliteEngine}
_SERVERS: dict[str, Callable[[str, Secret | None], Engine]] = {
    "postgresql": PostgresqlEngine,
    "postgres": PostgresqlEngine,
    "snowflake": open_snowflake,
    "bigquery": open_bigquery,
    "adbc": open_profile,
}


def open_engine(url: str, password: Secret | None) -> Engine:
    """Open the warehouse at a URL, read-only. Raises WarehouseError."""
    scheme, _, rest = url.partition(":")
    if scheme in _FILES:
        if password is not None:
            raise WarehouseError("A file needs no password.", "Leave it out.")
        return _FILES[scheme](_path(rest))
    return _server(scheme)(url, password)


def whole_url(url: str) -> str:
    """Return a URL that means the same in every folder. Raises WarehouseError."""
    scheme, _, rest = url.partition(":")
    if scheme in _FILES:
        return f"{scheme}://{quote(str(_path(rest).absolute()))}"
    _server(scheme)
    return url


def _path(rest: str) -> Path:
    return Path(unquote(rest.removeprefix("//")))


def _server(scheme: str) -> Callable[[str, Secret | None], Engine]:
    if scheme not in _SERVERS:
        raise WarehouseError(
            "The URL of the source has no scheme that amp-console knows.",
            "It must begin with postgresql:, duckdb:, sqlite:, snowflake:, bigquery: or adbc:.",
        )
    return _SERVERS[scheme]
