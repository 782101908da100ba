"""A cohort's members as a file: streamed and decompressed, never in memory as a whole."""

from collections.abc import AsyncGenerator

import httpx

from amp_console.amplitude.errors import DownloadLinkExpired
from amp_console.amplitude.exchange import Call, Exchange
from amp_console.http.addresses import keeps_secrets


async def streamed(exchange: Exchange, call: Call) -> AsyncGenerator[bytes, None]:
    """Yield a file piece by piece, from Amplitude or from the address it redirects to.

    Raises `DownloadLinkExpired`, and `AmplitudeError` as all calls do.
    """
    async with exchange.open(call) as opened:
        link = _link(opened.response)
        if link is None:
            await exchange.check(opened, call)
            async for piece in exchange.pieces(opened):
                yield piece
            return
    async with exchange.open_link(link) as opened:
        if opened.response.is_client_error:
            raise DownloadLinkExpired(opened.response.status_code)
        await exchange.check(opened, call)
        async for piece in exchange.pieces(opened):
            yield piece


def _link(response: httpx.Response) -> httpx.URL | None:
    """Return the address of a large file: another company's server, which must not get our keys."""
    redirect = response.next_request
    return redirect.url if redirect is not None and keeps_secrets(redirect.url) else None
