"""A cohort's members as a file: streamed, unpacked on the way, never held whole."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator

import httpx

from amp_console.amplitude.errors import DownloadLinkExpired, NoConnection, ServerTrouble
from amp_console.amplitude.exchange import Call, Exchange
from amp_console.amplitude.hosts import keeps_secrets

_GZIP = b"\x1f\x8b"


async def streamed(exchange: Exchange, call: Call) -> AsyncGenerator[bytes, None]:
    """Yield a file piece by piece, from Amplitude itself or from where it points to.

    Raises `DownloadLinkExpired`, and `AmplitudeError` as all calls do.
    """
    async with exchange.open(call) as response:
        link = _link(response)
        if link is None:
            await exchange.check(response, call)
            async for piece in unpacked(response.aiter_raw()):
                yield piece
            return
    async with exchange.open_link(link) as response:
        if response.is_client_error:
            raise DownloadLinkExpired(response.status_code)
        await exchange.check(response, call)
        async for piece in unpacked(response.aiter_raw()):
            yield piece


def _link(response: httpx.Response) -> httpx.URL | None:
    """Return where a large file is: on somebody else's server, which must not get our keys."""
    redirect = response.next_request
    return redirect.url if redirect is not None and keeps_secrets(redirect.url) else None


async def unpacked(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield what gzip packed, told by its first two bytes; anything else as it is.

    So it matters not whether a header announces it. A file may be several gzip members in a row.
    Raises `NoConnection` where the file breaks off, `ServerTrouble` where it is damaged.
    """
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= len(_GZIP):
            break
    if not head.startswith(_GZIP):
        if head:
            yield head
        async for piece in pieces:
            yield piece
        return
    gzip = _Gzip()
    yield gzip.unpack(head)
    async for piece in pieces:
        yield gzip.unpack(piece)
    gzip.finish()


class _Gzip:
    """Unpacks gzip members as they come."""

    def __init__(self) -> None:
        self._member = self._new_member()

    @staticmethod
    def _new_member() -> "zlib._Decompress":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(self, packed: bytes) -> bytes:
        """Unpack a piece; raises `ServerTrouble`."""
        parts = []
        while packed:
            if self._member.eof:
                self._member = self._new_member()
            try:
                parts.append(self._member.decompress(packed))
            except zlib.error:
                raise ServerTrouble(may_be_applied=True) from None
            packed = self._member.unused_data
        return b"".join(parts)

    def finish(self) -> None:
        """Raise `NoConnection` unless the last member was whole."""
        if not self._member.eof:
            raise NoConnection(may_be_applied=True)
