"""Connections to a service: direct, or through the proxy set in the environment."""

import ssl

import httpx

from amp_console.http.network import NetworkSettings, Proxy

# Many servers close a connection that was idle for 5 s. A request sent at that moment gets no
# answer, but may have been applied; and a live session sends every 5 s.
IDLE_SECONDS = 3.0


class Transport(httpx.AsyncBaseTransport):
    """Sends each request directly or through the proxy, depending on its address.

    Connections are set up when first needed, which may raise `NetworkSettingInvalid`. One that was
    idle for longer than `idle_seconds` is not used again.
    """

    def __init__(self, settings: NetworkSettings, idle_seconds: float = IDLE_SECONDS) -> None:
        self._settings = settings
        self._limits = httpx.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=idle_seconds
        )
        self._transports: dict[tuple[bool, bool], httpx.AsyncHTTPTransport] = {}

    def prepare(self, url: httpx.URL) -> None:
        """Set up the connections for this address, so that invalid settings are reported early."""
        self._for(url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        return await self._for(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()

    def _for(self, url: httpx.URL) -> httpx.AsyncHTTPTransport:
        is_tls, proxy = url.scheme == "https", self._settings.proxy_for(url)
        key = is_tls, proxy is not None
        if key not in self._transports:
            self._transports[key] = self._new(proxy, is_tls=is_tls)
        return self._transports[key]

    def _new(self, proxy: Proxy | None, *, is_tls: bool) -> httpx.AsyncHTTPTransport:
        if not is_tls:  # the library needs a context; this one reads no certificates
            return httpx.AsyncHTTPTransport(
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                trust_env=False,
                limits=self._limits,
            )
        context = self._settings.ssl_context()
        return httpx.AsyncHTTPTransport(
            verify=context,
            trust_env=False,
            limits=self._limits,
            proxy=proxy and _through(proxy, context),
        )


def _through(proxy: Proxy, context: ssl.SSLContext) -> httpx.Proxy:
    own_context = context if proxy.scheme == "https" else None
    return httpx.Proxy(proxy.url, auth=proxy.auth, ssl_context=own_context)
