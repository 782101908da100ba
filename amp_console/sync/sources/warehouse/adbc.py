"""Warehouses through ADBC: by a connection profile, and Snowflake and BigQuery by their drivers."""

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import chain, islice
from typing import Any
from urllib.parse import unquote

from amp_console.sync.sources.warehouse.cursor import with_placeholder
from amp_console.sync.sources.warehouse.engine import (
    DriverMissing,
    QueryResult,
    Row,
    WarehouseError,
    in_chunks,
)
from amp_console.sync.sources.warehouse.snowflake import database_options
from amp_console.values import Secret

_STANDARD = "CAST('{}' AS TIMESTAMP WITH TIME ZONE)"


class AdbcEngine:
    """One connection; each query is wrapped in a SELECT, so it can only read."""

    def __init__(
        self,
        product: str,
        extra: str,
        packages: str,
        module: str,
        options: dict[str, Any],
        time: str,
    ) -> None:
        """Connect with the DB-API of an ADBC driver's `module`; `time` is a literal's pattern.

        Raises WarehouseError.
        """
        try:
            import nanoarrow
            from adbc_driver_manager import dbapi

            driver = importlib.import_module(module)
        except ImportError:
            raise DriverMissing(product, packages, extra) from None
        self._product = product
        self._time = time
        self._arrow, self._error = nanoarrow, dbapi.Error
        self._cursor: Any = None
        with self._explained("Could not connect to {}"):
            self._connection: Any = driver.connect(autocommit=True, **options)

    def version(self) -> str:
        """Ask for one row; the name of the product, which has no version of its own."""
        with self._explained("{} refused the query"), self._connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return self._product

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        """Run a query; the caller cancels it when its time is over."""
        del timeout
        if since is not None:
            sql = with_placeholder(sql, self._time.format(since.isoformat(" ")))
        with self._explained("{} refused the query"):
            self._cursor = self._connection.cursor()
            self._cursor.execute(f"SELECT * FROM (\n{sql}\n) AS query")
            stream = self._arrow.ArrayStream(self._cursor.fetch_arrow())
            fields = list(stream.schema.fields)
        rows = chain.from_iterable(array.iter_tuples() for array in stream)
        return QueryResult(
            tuple(str(field.name) for field in fields),
            in_chunks(
                lambda count: _without_warnings(rows, count),
                lambda: self._explained("{} stopped the query"),
            ),
            tuple(str(field.type.name).lower() for field in fields),
        )

    def cancel(self) -> None:
        """Cancel the query."""
        if self._cursor is not None:
            with suppress(self._error):
                self._cursor.adbc_cancel()

    def close(self) -> None:
        """Close the cursor first: the connection refuses to be closed before it."""
        with suppress(self._error, RuntimeError):
            if self._cursor is not None:
                self._cursor.close()
            self._connection.close()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (self._error, RuntimeError) as error:
            message = str(error).partition("\n")[0].rstrip(".")
            raise WarehouseError(
                f"{what.format(self._product)}: {message}.", "Check the query and the source."
            ) from None
        except (ArithmeticError, LookupError, ValueError) as error:  # a year past 9999, say
            raise WarehouseError(
                f"{self._product} sent a value that can't be read: {error}.",
                "Leave such rows out in the query, or convert them.",
            ) from None


def _without_warnings(rows: Iterator[Row], count: int) -> list[Row]:
    """The next rows; numbers and UUIDs that Arrow has no type for come as their text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(islice(rows, count))


def _named(url: str, password: Secret | None) -> str:
    """The target of a URL; passwords stay where the drivers look for them."""
    if password is not None:
        raise WarehouseError(
            "amp-console keeps no passwords for this kind of source.",
            "Leave it out, and keep it in the profile or the settings of the driver.",
        )
    return unquote(url.partition(":")[2].removeprefix("//"))


def open_profile(url: str, password: Secret | None) -> AdbcEngine:
    """Open a connection profile of ADBC. Raises WarehouseError."""
    name = _named(url, password)
    return AdbcEngine(
        f"ADBC profile {name}",
        "adbc",
        "adbc-driver-manager nanoarrow",
        "adbc_driver_manager.dbapi",
        {"profile": name},
        _STANDARD,
    )


def open_snowflake(url: str, password: Secret | None) -> AdbcEngine:
    """Open a connection of Snowflake's own settings. Raises WarehouseError."""
    options = database_options(_named(url, password))
    return AdbcEngine(
        "Snowflake",
        "snowflake",
        "adbc-driver-snowflake nanoarrow",
        "adbc_driver_snowflake.dbapi",
        {"db_kwargs": options},
        _STANDARD,
    )


def open_bigquery(url: str, password: Secret | None) -> AdbcEngine:
    """Open a data set of BigQuery, with application default credentials. Raises WarehouseError."""
    project, _, dataset = _named(url, password).partition("/")
    if not project or not dataset:
        raise WarehouseError(
            "The URL of the source names no project or no data set.",
            "Write it as bigquery://PROJECT/DATASET.",
        )
    options = {
        "adbc.bigquery.sql.project_id": project,
        "adbc.bigquery.sql.dataset_id": dataset,
    }
    return AdbcEngine(
        "BigQuery",
        "bigquery",
        "adbc-driver-bigquery nanoarrow",
        "adbc_driver_bigquery.dbapi",
        {"db_kwargs": options},
        "TIMESTAMP '{}'",
    )
