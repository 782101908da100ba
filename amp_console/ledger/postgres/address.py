"""Where a ledger on PostgreSQL is: libpq's parameters, and the schema that holds it."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

import msgspec

from amp_console.ledger.errors import LedgerError, PlaintextRefused
from amp_console.values import Secret

SCHEMA = "amp_console"  # never public, which any user may be able to write to
_SCHEMA_OPTION = "schema"
_PLAINTEXT_OPTION, _ALLOWED = "plaintext", "allow"
_ANSWER_OPTION, _ANSWER_SECONDS = "answer_timeout", 60
_OWN_OPTIONS = {_SCHEMA_OPTION, _PLAINTEXT_OPTION, _ANSWER_OPTION}
_MAX_ANSWER_SECONDS = 3_600
_MAX_SCHEMA_BYTES = 63  # bytes of an identifier; PostgreSQL would cut what is longer
_UNENCRYPTED = {
    "disable",
    "allow",
    "prefer",
}  # what may be sent in the clear; prefer is the default


class Address(msgspec.Struct, frozen=True):
    """An address: `url` without a password, `place` its host and database for people.

    `parameters` are libpq's, as entered, without the password. `sslmode` is the one in use,
    wherever it comes from; `is_remote`: its packets leave this machine. A statement without an
    answer for `answer_timeout` seconds asks whether the server is working on it.
    """

    url: str
    place: str
    schema: str
    parameters: dict[str, Any]
    password: Secret | None
    sslmode: str
    is_remote: bool
    answer_timeout: int


def read_address(url: str, password: Secret | None = None) -> Address:
    """Read `postgresql://user@host:port/database?schema=name`; libpq completes what is missing.

    Raises `LedgerError`, whose text contains no password; `PlaintextRefused` if anyone on the way
    to the server could read along and `plaintext=allow` does not permit that.
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
    own = {name: value for name, value in options if name in _OWN_OPTIONS}
    schema = _checked_schema(own.get(_SCHEMA_OPTION, SCHEMA))
    query = _encoded(option for option in options if option[0] not in _OWN_OPTIONS)
    public = _encoded(option for option in options if option[0] != "password")
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(_joined(parts, parts.netloc, query))
    except psycopg.ProgrammingError:
        raise LedgerError(
            "The address of the ledger is no address of PostgreSQL. Write it as "
            "postgresql://user@host/database."
        ) from None
    typed = parameters.pop("password", None)
    completed = _completed(parameters)
    hosts = completed.get("hostaddr") or completed.get("host", "")
    sslmode = completed.get("sslmode", "")
    place = f"{completed.get('dbname', 'the ledger')} on {completed.get('host') or hosts}"
    if not hosts:
        place = f"{completed.get('dbname', 'the ledger')} on this machine"
    address = Address(
        _joined(parts, _without_password(parts.netloc), public),
        place,
        schema,
        dict(parameters),
        password or (Secret(str(typed)) if typed else None),
        sslmode,
        not all(map(_is_local, hosts.split(","))),
        _checked_seconds(own.get(_ANSWER_OPTION, str(_ANSWER_SECONDS))),
    )
    may_be_read = sslmode in _UNENCRYPTED and completed.get("gssencmode") != "require"
    if address.is_remote and may_be_read and own.get(_PLAINTEXT_OPTION) != _ALLOWED:
        raise PlaintextRefused(place, sslmode)
    return address


def _encoded(options: Iterable[tuple[str, str]]) -> str:
    """Options as a query; libpq takes a + for a plus sign, not for a space."""
    return urlencode([*options], quote_via=quote)


def _checked_schema(schema: str) -> str:
    if not schema or len(schema.encode()) > _MAX_SCHEMA_BYTES or schema.startswith("pg_"):
        raise LedgerError("The schema of a ledger needs a name of 1 to 63 characters, not pg_….")
    if schema == "public":
        raise LedgerError("A ledger needs a schema of its own, not public. Choose another one.")
    return schema


def _checked_seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MAX_ANSWER_SECONDS:
        raise LedgerError(
            f"{_ANSWER_OPTION} in the address of the ledger must be a number of seconds, from 1 to "
            f"{_MAX_ANSWER_SECONDS}."
        )
    return int(text)


def _completed(parameters: dict[str, Any]) -> dict[str, str]:
    """The parameters with what libpq adds: from PG* variables, service files and its defaults.

    libpq completes them before it checks their values, and a wrong one prevents it from connecting.
    """
    from psycopg import conninfo, pq

    wrong = conninfo.make_conninfo(**{**parameters, "target_session_attrs": "none"})
    attempt = pq.PGconn.connect_start(wrong.encode())
    try:
        found = attempt.info
    finally:
        attempt.finish()
    return {item.keyword.decode(): item.val.decode() for item in found if item.val is not None}


def _is_local(host: str) -> bool:
    """Whether this is a socket's folder or a loopback address."""
    is_socket = not host or host[0] in "/@"
    return is_socket or host in {"localhost", "::1"} or host.startswith("127.")


def _joined(parts: SplitResult, netloc: str, query: str) -> str:
    """A URL that keeps its // without a host, as libpq needs it."""
    return f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}"


def _without_password(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"
