"""Which addresses a service may have, and which of them are safe for secrets."""

import ipaddress

import httpx

_LOOPBACK = tuple(ipaddress.ip_network(net) for net in ("127.0.0.0/8", "::1/128"))


def checked_base_url(text: str) -> str:
    """Return a base URL in normal form, without a "/" at the end.

    It may be https anywhere, but plain http only on this machine, with or without a path. Raises
    ValueError with a sentence for the operator, which never quotes the text: a user name or a query
    may contain a key.
    """
    text = text.strip()
    if "\\" in text or any(char.isspace() or not char.isprintable() for char in text):
        raise ValueError("The base URL must not contain spaces, line breaks or backslashes.")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise ValueError("The base URL is not a valid address.") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("The base URL must start with https:// and a host name.")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("The port in the base URL must be between 1 and 65535.")
    if "@" in text:
        raise ValueError("The base URL must not contain a user name or password.")
    if "?" in text or "#" in text:
        raise ValueError('The base URL must not have a query ("?") or a fragment ("#").')
    if not keeps_secrets(url):
        raise ValueError(
            "The base URL must use https://; plain http is for this machine only "
            "(127.0.0.1, ::1, localhost)."
        )
    return str(url).rstrip("/")


def keeps_secrets(url: httpx.URL) -> bool:
    """Return whether a request to this address can't be read on the way."""
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)
