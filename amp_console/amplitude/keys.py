"""The key pair on its way into a request, and kept out of everything else."""

import base64
from collections.abc import Generator

import httpx

from amp_console.values import Credentials


class KeysAuth(httpx.Auth):
    """HTTP Basic: the API key is the user, the secret key the password."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header to one request."""
        request.headers["Authorization"] = f"Basic {self._pair()}"
        yield request

    def hide(self, text: str) -> str:
        """Mask the keys in a text that came back: some proxies show a request in their errors."""
        api_key, secret_key = self._credentials
        for shown in (self._pair(), secret_key.reveal(), api_key.reveal()):
            if shown:
                text = text.replace(shown, "***")
        return text

    def _pair(self) -> str:
        api_key, secret_key = self._credentials
        return base64.b64encode(f"{api_key.reveal()}:{secret_key.reveal()}".encode()).decode()
