"""Where a ledger on PostgreSQL is: libpq's parameters, and the schema that holds it."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from amp_console.ledger.errors import LedgerError

SCHEMA = "amp_console"  # never public, which any user may be able to write to
_SCHEMA_OPTION = "schema"
_MAX_SCHEMA_BYTES = 63  # bytes of an identifier; PostgreSQL would cut what is longer


class Address(msgspec.Struct, frozen=True):
    """An address: `url` without a password, `place` its host and database for people.

    `parameters` are libpq's, among them the password, if one was given.
    """

    url: str
    place: str
    schema: str
    parameters: dict[str, Any]


def read_address(url: str) -> Address:
    """Read `postgresql://user@host:port/database?schema=name`; libpq completes what is missing.

    Raises `LedgerError`, whose text has no password.
    """
    try:
        import psycopg
    except ImportError:
        raise LedgerError(
            "A ledger on PostgreSQL needs psycopg. Install it with: "
            "pip install 'amp-console[postgresql]'"
        ) from None
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(options).get(_SCHEMA_OPTION, SCHEMA)
    if not schema or len(schema.encode()) > _MAX_SCHEMA_BYTES or schema.startswith("pg_"):
        raise LedgerError("The schema of a ledger needs a name of 1 to 63 characters, not pg_….")
    if schema == "public":
        raise LedgerError("A ledger needs a schema of its own, not public. Choose another one.")
    query = urlencode([option for option in options if option[0] != _SCHEMA_OPTION])
    public = urlencode([option for option in options if option[0] != "password"])
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(urlunsplit(parts._replace(query=query)))
    except psycopg.ProgrammingError:
        raise LedgerError(
            "The address of the ledger is no address of PostgreSQL. Write it as "
            "postgresql://user@host/database."
        ) from None
    host = parameters.get("host") or parameters.get("service") or "this machine"
    shown = parts._replace(netloc=_without_password(parts.netloc), query=public)
    database = parameters.get("dbname")
    place = f"{database} on {host}" if database else f"on {host}"
    return Address(urlunsplit(shown), place, schema, dict(parameters))


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"
