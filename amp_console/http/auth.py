"""Secrets on their way into a request, and kept out of everything else."""

import base64
from collections.abc import Generator

import httpx

from amp_console.values import Secret


class SecretAuth(httpx.Auth):
    """Two secrets are the user and the password of HTTP Basic; a single one is a bearer token."""

    def __init__(self, *secrets: Secret) -> None:
        self._secrets = secrets

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header to one request."""
        scheme = "Bearer" if len(self._secrets) == 1 else "Basic"
        request.headers["Authorization"] = f"{scheme} {self._proof()}"
        yield request

    def hide(self, text: str) -> str:
        """Mask the secrets in a text that came back: some proxies quote requests in errors."""
        clear = sorted((secret.reveal() for secret in self._secrets), key=len, reverse=True)
        for shown in (self._proof(), *clear):
            if shown:
                text = text.replace(shown, "***")
        return text

    def _proof(self) -> str:
        clear = ":".join(secret.reveal() for secret in self._secrets)
        return clear if len(self._secrets) == 1 else base64.b64encode(clear.encode()).decode()
