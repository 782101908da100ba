"""A named source of a connection: the address of a warehouse, without its password."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from amp_console.values import Secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^:@/?#\[\]]*)(:[0-9]{1,5})?")
_SERVERS = ("postgresql", "postgres")  # their URLs have parameters even without a host
_LOGIN = {"host", "hostaddr", "port", "user", "service", "servicefile"}  # parameters of libpq
_PASSWORD, _UNKEPT = "password", ("sslpassword", "oauth_client_secret")

NOT_UNDERSTOOD = (
    "The URL of the source can't be understood. Nothing was saved. Write it as "
    "postgresql://USER@HOST:PORT/DATABASE, duckdb:PATH or sqlite:PATH, and percent-encode special "
    "characters: @ is %40, / is %2F, # is %23, ? is %3F."
)
NO_PROFILE = (
    "The URL of an ADBC source names a connection profile, and nothing else. Nothing was saved. "
    "Write it as adbc:PROFILE, and keep the address and the password in that file."
)


class NamedSource(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One source of a connection. `password_item` is the keyring item with its password.

    Raises ValueError if the name is invalid or the URL contains a password.
    """

    name: str
    url: str
    password_item: str | None = None

    def __post_init__(self) -> None:
        checked_source_name(self.name)
        if split_password(self.url)[1] is not None:
            raise ValueError(
                f"the URL of the source “{self.name}” contains a password; remove it, and add the "
                "source again with: amp-console source add NAME URL"
            )


def checked_source_name(name: str) -> str:
    """Return the name of a source. Raises ValueError if it is invalid."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "the name of a source may only contain letters, digits, -, _ and ., at most 64"
        )
    return name


def is_same_login(url: str, other: str) -> bool:
    """Whether two URLs without passwords name the same user of the same server.

    A stored password must not be sent to another one.
    """
    return _login(url) == _login(other)


def _login(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    scheme = _SERVERS[0] if parts.scheme in _SERVERS else parts.scheme
    query = parse_qsl(parts.query, keep_blank_values=True)
    return scheme, parts.netloc, sorted(item for item in query if item[0] in _LOGIN)


def split_password(url: str) -> tuple[str, Secret | None]:
    """Return a URL without its password, and the password; None if there is none.

    Raises ValueError if a part of the password could remain. The text never quotes the URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(NOT_UNDERSTOOD) from None
    if parts.scheme == "adbc" and ("://" in parts.path or "=" in parts.path):
        raise ValueError(NO_PROFILE)
    if not parts.netloc and parts.scheme not in _SERVERS:
        return url, None  # a path
    user_and_password, at, hosts = parts.netloc.rpartition("@")
    user, colon, typed = user_and_password.partition(":")
    pairs = [item.partition("=") for item in parts.query.split("&") if item]
    is_clear = (
        all(map(_HOST.fullmatch, hosts.split(",")))
        and "@" not in parts.path + parts.query + parts.fragment
        and (parts.netloc or "=" not in parts.path)
        and not parts.fragment
        and all(equals for _, equals, _ in pairs)
    )
    if not is_clear:
        raise ValueError(NOT_UNDERSTOOD)
    for name in _UNKEPT:
        if any(unquote(found).lower() == name for found, _, _ in pairs):
            raise ValueError(
                f"The URL contains {name}, which can't be kept. Nothing was saved. Keep it in a "
                "service file of libpq, and name that: postgresql:///?service=NAME."
            )
    passwords = [value for name, _, value in pairs if unquote(name).lower() == _PASSWORD]
    passwords += [typed] * bool(colon)
    rest = "&".join("".join(item) for item in pairs if unquote(item[0]).lower() != _PASSWORD)
    clean = f"{parts.scheme}://{user}{at}{hosts}{parts.path}{'?' if rest else ''}{rest}"
    password = unquote(passwords[-1]) if passwords else ""
    return clean, Secret(password) if password else None
