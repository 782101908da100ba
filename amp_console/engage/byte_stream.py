"""The unpacked bytes of one source, block by block, and what stopped them, if anything did."""

import codecs
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import BinaryIO, NamedTuple

from amp_console.values import Refusal

GZIP_MAGIC = b"\x1f\x8b"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP = 31  # zlib's wbits for: a gzip header, the largest window, a checksum at the end

_AGAIN = "Everything before that was read. Get the file again and import it again."
_ENDS_EARLY = f"The gzip file is incomplete: its end is missing. {_AGAIN}"
_DAMAGED = f"The gzip file is damaged from this point on. {_AGAIN}"


class ReadTrouble(NamedTuple):
    """Why a source broke off. A failing disk is no event's fault, so it has no line."""

    reason: str
    has_line: bool

    def refusal(self, line: int) -> Refusal:
        """Return the refusal that closes the account; `line` follows the last good one."""
        return Refusal(line if self.has_line else 0, self.reason)


class ByteStream:
    """Iterates over the unpacked bytes of a stream, once.

    It never raises for bad input: it ends, and `trouble` says why. `position` counts the bytes
    taken from the stream, before unpacking. If the input may still grow, an incomplete end is left
    out, and `is_cut` is set; `cut_line` is the line there.
    """

    def __init__(
        self,
        stream: BinaryIO,
        block_bytes: int,
        *,
        may_grow: bool = False,
        is_live: bool = False,
        is_packed: bool | None = None,
    ) -> None:
        """`is_packed` says whether it is gzipped; None: how it begins says so."""
        self.position = 0
        self.trouble: ReadTrouble | None = None
        self.may_grow = may_grow
        self.is_live = is_live
        self.is_cut = False
        self.cut_line = b""
        self.unfinished = 0
        """How many bytes of a line were read whose end was not; it is kept by the reader."""
        self.is_plain = True
        """Whether the bytes are those of the stream, neither unpacked nor converted."""
        self.is_unpacked = False
        self._stream = stream
        self._is_packed = is_packed
        self.block_bytes = block_bytes
        """How large the next blocks are, at most."""
        self._blocks = self._unpacked()
        self._put_back: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._put_back.pop() if self._put_back else next(self._blocks)

    def put_back(self, block: bytes) -> None:
        """Give bytes back, to come next, in blocks of the usual size."""
        begins = range(0, len(block), self.block_bytes)
        self._put_back += [block[at : at + self.block_bytes] for at in reversed(begins)]

    def skip(self, count: int) -> None:
        """Skip this many of the unpacked bytes."""
        self.convert(lambda blocks: _without(blocks, count))

    def convert(self, step: Callable[[Iterable[bytes]], Iterator[bytes]]) -> None:
        """Pass everything that follows through a step, blocks in and blocks out."""
        self.is_plain = False
        waiting = self._put_back[::-1]
        self._put_back = []
        self._blocks = step(chain(waiting, self._blocks))

    def _unpacked(self) -> Iterator[bytes]:
        first = self._read()
        if self._is_packed or (self._is_packed is None and first.startswith(GZIP_MAGIC)):
            self.is_plain, self.is_unpacked = False, True
            self.may_grow = False  # the end of a gzip file says that it is the end
            yield from self._inflated(first)
            return
        while first:
            yield first
            first = self._read()

    def _read(self) -> bytes:
        try:
            block = self._stream.read(max(self.block_bytes, len(GZIP_MAGIC)))
        except OSError as error:
            self.trouble = ReadTrouble(
                f"Reading stopped: {error.strerror or error}. What was read before was kept."
                " Check the disk and import the file again.",
                has_line=False,
            )
            return b""
        self.position += len(block)
        return block

    def _inflated(self, packed: bytes) -> Iterator[bytes]:
        """Gunzip member after member. The part of a damaged member before the damage is kept."""
        unzip = zlib.decompressobj(_GZIP)
        begun = False
        while packed:
            before = unzip.copy()
            begun = True
            try:
                block = unzip.decompress(packed, self.block_bytes)
            except zlib.error:
                self.trouble = ReadTrouble(_DAMAGED, has_line=True)
                yield _salvaged(before, packed)
                return
            yield block
            packed = unzip.unconsumed_tail
            if unzip.eof:  # NUL bytes may pad a member, another one may follow
                packed, unzip, begun = unzip.unused_data, zlib.decompressobj(_GZIP), False
            packed = packed or self._read()
            packed = packed if begun else self._past_padding(packed)
        if begun:
            self.trouble = self.trouble or ReadTrouble(_ENDS_EARLY, has_line=True)
            with suppress(zlib.error):
                yield unzip.flush()

    def _past_padding(self, packed: bytes) -> bytes:
        while packed and not (packed := packed.lstrip(b"\0")):
            packed = self._read()
        return packed


def from_utf16(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Write UTF-16, which begins with its byte order mark, as UTF-8.

    Invalid characters stay invalid, so only a text that needs them is refused.
    """
    decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
    for block in blocks:
        if text := decoder.decode(block):
            yield text.encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield b"\xff"


def from_lone_returns(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Write newlines for the carriage returns that end lines."""
    for block in blocks:
        yield block.replace(b"\r", b"\n")


def _without(blocks: Iterable[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        if count < len(block):
            yield block[count:]
        count = max(0, count - len(block))


def _salvaged(unzip: "zlib._Decompress", packed: bytes) -> bytes:
    """Inflate byte by byte up to the damage: zlib returns nothing from a call that fails."""
    good = bytearray()
    with suppress(zlib.error):
        for at in range(len(packed)):
            good += unzip.decompress(packed[at : at + 1])
    return bytes(good)
