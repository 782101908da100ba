"""Decompressing answers as they arrive, in pieces of a bounded size.

The HTTP library's own decompression has no bound: a megabyte of gzip becomes a gigabyte at once.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

_GZIP = b"\x1f\x8b"
LARGEST_PIECE = 1024 * 1024  # bytes, decompressed


class Damaged(Exception):
    """The data is not valid gzip, or its checksum is wrong."""


class BrokenOff(Exception):
    """The gzip data is truncated."""


async def unpacked(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield gzip data decompressed, recognized by its first two bytes; anything else unchanged.

    No header is needed. The data may be several gzip members in a row. Raises `BrokenOff` and
    `Damaged`.
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
    for out in gzip.unpack(head):
        yield out
    async for piece in pieces:
        for out in gzip.unpack(piece):
            yield out
            await asyncio.sleep(0)  # a small piece may decompress to very much
    gzip.finish()


class _Gzip:
    """Decompresses gzip members as they arrive."""

    def __init__(self) -> None:
        self._member = self._new_member()

    @staticmethod
    def _new_member() -> "zlib._Decompress":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """Yield a piece decompressed, `LARGEST_PIECE` bytes at a time. Raises `Damaged`."""
        while packed:
            if self._member.eof:
                self._member = self._new_member()
            try:
                out = self._member.decompress(packed, LARGEST_PIECE)
            except zlib.error:
                raise Damaged from None
            if out:
                yield out
            # The rest of a member, or what follows it.
            packed = self._member.unconsumed_tail or self._member.unused_data

    def finish(self) -> None:
        """Raise `BrokenOff` unless the last member was complete."""
        if not self._member.eof:
            raise BrokenOff
