"""Network settings from the environment: a proxy, exceptions to it, and certificates.

The variables are those that curl and most HTTP libraries read. The HTTP library's own code for them
ends in a traceback if it does not understand a value, and quotes it.
"""

import ipaddress
import os
import platform
import re
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import httpx

from amp_console.http.errors import NetworkSettingInvalid
from amp_console.values import Secret

_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_ALIASES = {"socks": "socks5"}  # GNOME's spelling
_SYSTEM = "the system's proxy settings"
_KEY_LOG = "SSLKEYLOGFILE"  # Python opens this file for every SSL context
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # the only file names that OpenSSL reads in a folder


class Proxy(NamedTuple):
    """A proxy for https addresses; `variable` is where it was set."""

    variable: str
    scheme: str
    host: str
    port: int | None
    user: str
    password: Secret

    def __str__(self) -> str:
        """Its address, without user name and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> httpx.URL:
        """Its address for the library, without user name and password."""
        return httpx.URL(scheme=self.scheme, host=self.host, port=self.port)

    @property
    def auth(self) -> tuple[str, str] | None:
        """User name and password, if there are any."""
        clear = self.password.reveal()
        return (self.user, clear) if self.user or clear else None


class Setting(NamedTuple):
    """One setting in effect, in words; `is_valid` is False if it makes connections fail."""

    variable: str
    text: str
    is_valid: bool = True


class NetworkSettings:
    """The settings of an environment, or of the system on macOS and Windows if it has none.

    They are read when first needed. Calls raise `NetworkSettingInvalid`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._ssl_context: ssl.SSLContext | None = None

    def proxy_for(self, url: httpx.URL) -> Proxy | None:
        """Return the proxy for an address; None for plain http, which a proxy could read."""
        if url.scheme != "https" or self._is_exempt(url):
            return None
        return self._proxy()

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context with which certificates are verified."""
        if self._ssl_context is None:
            self._ssl_context = self._new_ssl_context()
        return self._ssl_context

    def effective(self) -> tuple[Setting, ...]:
        """Return the settings that are in effect, without user names and passwords."""
        return tuple(self._effective())

    def _effective(self) -> Iterator[Setting]:
        try:
            if proxy := self._proxy():
                yield Setting(proxy.variable, f"{proxy.scheme} proxy {proxy}")
                if exempt := ", ".join(self._exempt()):
                    yield Setting("NO_PROXY", f"no proxy for {exempt}")
        except NetworkSettingInvalid as error:
            yield Setting(error.variable, str(error), is_valid=False)
        variable, path = self._certificates()
        try:
            self.ssl_context()
        except NetworkSettingInvalid as error:
            yield Setting(error.variable, str(error), is_valid=False)
        else:
            if path:
                yield Setting(variable, f"trusted certificates are read from {path}")

    def _proxy(self) -> Proxy | None:
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            if text := self._environ.get(name, "").strip():
                return _parsed(name, text)
        system = self._of_system()
        text = system.get("https") or system.get("all") or ""
        return _parsed(_SYSTEM, text) if text else None

    def _of_system(self) -> dict[str, str]:
        if platform.system() not in {"Darwin", "Windows"} or self._environ is not os.environ:
            return {}
        return urllib.request.getproxies()

    def _exempt(self) -> list[str]:
        text = self._environ.get("no_proxy") or self._environ.get("NO_PROXY", "")
        return [entry for entry in re.split(r"[,\s]+", text) if entry]

    def _is_exempt(self, url: httpx.URL) -> bool:
        if any(_covers(entry, url) for entry in self._exempt()):
            return True
        return bool(self._of_system()) and bool(urllib.request.proxy_bypass(url.host))

    def _certificates(self) -> tuple[str, str]:
        """Return the variable in effect, the file before the folder, and its value."""
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
            if path := self._environ.get(name, ""):
                return name, path
        return "", ""

    def _new_ssl_context(self) -> ssl.SSLContext:
        variable, path = self._certificates()
        try:
            if not path:
                return httpx.create_ssl_context(trust_env=False)
            if variable == "SSL_CERT_FILE":
                return ssl.create_default_context(cafile=path)
            _check_folders(variable, path)
            return ssl.create_default_context(capath=path)
        except ssl.SSLError:
            raise NetworkSettingInvalid(variable, f"{path} contains no certificates") from None
        except (OSError, ValueError) as error:
            key_log = self._environ.get(_KEY_LOG)
            if key_log and getattr(error, "filename", None) == key_log:
                raise NetworkSettingInvalid(_KEY_LOG, "its file can't be written") from None
            raise NetworkSettingInvalid(variable, f"{path} can't be read") from None


def _check_folders(variable: str, path: str) -> None:
    """Report folders that OpenSSL can't use: it ignores them, and then trusts no server at all."""
    folders = [Path(name) for name in path.split(os.pathsep) if name]
    if not any(folder.is_dir() for folder in folders):
        raise NetworkSettingInvalid(variable, f"{path} is not a folder")
    try:
        names = [file.name for folder in folders if folder.is_dir() for file in folder.iterdir()]
    except OSError:
        raise NetworkSettingInvalid(variable, f"{path} can't be read") from None
    if not any(_HASHED.fullmatch(name) for name in names):
        problem = f"{path} contains no certificates under names that OpenSSL finds (openssl rehash)"
        raise NetworkSettingInvalid(variable, problem)


def _parsed(variable: str, text: str) -> Proxy:
    """Return a variable's proxy; the error never quotes the value, which may contain a password."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme not in _PROXY_SCHEMES:
        known = ", ".join(_PROXY_SCHEMES)
        raise NetworkSettingInvalid(variable, f"proxies of this kind are not supported ({known})")
    try:
        url = httpx.URL(f"{scheme}://{rest}")
    except httpx.InvalidURL:
        raise NetworkSettingInvalid(variable, "its value is not the address of a proxy") from None
    if not url.host:
        raise NetworkSettingInvalid(variable, "its value names no host")
    if url.port is not None and not 0 < url.port < 65536:
        raise NetworkSettingInvalid(variable, "its port is not between 1 and 65535")
    return Proxy(variable, scheme, url.host, url.port, url.username, Secret(url.password))


def _covers(entry: str, url: httpx.URL) -> bool:
    """Return whether a NO_PROXY entry covers an address; an invalid entry covers none.

    As in curl, an entry is "*", a host including its subdomains, an IP address or a network, with
    or without a port.
    """
    if entry == "*":
        return True
    entry = entry.lower().rpartition("://")[2]
    host, port = _split_port(entry)
    if port is not None and port != str(url.port or 443):
        return False
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        name = host.removeprefix("*").strip(".")
        return bool(name) and (url.host == name or url.host.endswith(f".{name}"))
    try:
        return address in ipaddress.ip_network(host, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, str | None]:
    """Split "host:port"; the colons of an IPv6 address without brackets do not count."""
    if found := re.fullmatch(r"\[([^]]*)\](/\d+)?(?::(\d+))?", entry):
        return found[1] + (found[2] or ""), found[3]
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, None
