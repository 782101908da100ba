"""Secrets: added to requests, and kept out of everything else."""

import base64
import re
from collections.abc import Generator

import httpx

from amp_console.values import Secret

_ENTITIES = {'"': ("quot",), "&": ("amp",), "'": ("apos",), "<": ("lt",), ">": ("gt",)}


class SecretAuth(httpx.Auth):
    """Two secrets are the user name and password of HTTP Basic; a single one is a bearer token."""

    def __init__(self, *secrets: Secret) -> None:
        self._secrets = secrets

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header to one request."""
        scheme = "Bearer" if len(self._secrets) == 1 else "Basic"
        request.headers["Authorization"] = f"{scheme} {self._proof()}"
        yield request

    def hide(self, text: str) -> str:
        """Mask the secrets in a received text: some proxies quote requests in errors.

        Their escaped forms in JSON, HTML and URLs are masked, too.
        """
        clear = sorted((secret.reveal() for secret in self._secrets), key=len, reverse=True)
        for shown in (self._proof(), *clear):
            if shown:
                text = re.sub("".join(map(_spelled, shown)), "***", text)
        return text

    def _proof(self) -> str:
        clear = ":".join(secret.reveal() for secret in self._secrets)
        return clear if len(self._secrets) == 1 else base64.b64encode(clear.encode()).decode()


def _spelled(char: str) -> str:
    """A pattern for a character, plain or escaped; letters and digits are never escaped."""
    if char.isalnum():
        return char
    code, plain = ord(char), re.escape(char)
    entities = [f"#x0*{code:x}", f"#0*{code}", *_ENTITIES.get(char, ())]
    return rf"(?:{plain}|\\{plain}|(?i:\\u00{code:02x}|%{code:02x}|&(?:{'|'.join(entities)});))"
