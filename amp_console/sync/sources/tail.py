"""Following a file that grows, as `tail -F` does: each of its lines is read once.

A file is identified by its device and inode, by how it begins, since an inode is used again, and by
the bytes before the offset, since a log that is copied and cut short may begin as it did before. A
line is read once its newline is there, and a JSON document once it is whole, since nothing can be
added to it.
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amp_console.engage.byte_stream import GZIP_MAGIC
from amp_console.engage.lines import LINE_LIMIT, LineSplitter

HEAD = 4096  # bytes by which a file is recognized; events of one audience begin alike
BLOCK_BYTES = 1024 * 1024  # read at once


class FileIdentity(NamedTuple):
    """Which file it is: `head` is the digest of its first `head_size` bytes."""

    device: int
    inode: int
    head_size: int
    head: str


class FileOffset(NamedTuple):
    """How far a file was read: bytes, and the number of the next line.

    `before` is the digest of the last `HEAD` bytes before `position`; "" where it is not known.
    """

    identity: FileIdentity
    position: int
    line: int
    before: str = ""


class Lines(NamedTuple):
    """Some whole lines of a file, the number of the first, and the offset after them."""

    lines: list[bytes]
    first: int
    after: FileOffset


def read_at(file: BinaryIO, position: int, size: int) -> bytes:
    """Read from an open file past its buffer without moving its position; raises OSError.

    It does what `os.pread` does, which Windows lacks. One thread uses the file at a time.
    """
    handle = file.fileno()
    before = os.lseek(handle, 0, os.SEEK_CUR)
    try:
        os.lseek(handle, position, os.SEEK_SET)
        return os.read(handle, size)
    finally:
        os.lseek(handle, before, os.SEEK_SET)


def identity_of(file: BinaryIO, head_size: int = HEAD) -> FileIdentity:
    """Return which file is open, by as many of its first bytes; raises OSError."""
    status = os.fstat(file.fileno())
    return _identity(status.st_dev, status.st_ino, read_at(file, 0, head_size))


def continues(file: BinaryIO, offset: FileOffset) -> bool:
    """Whether it is the file that was read up to an offset; raises OSError."""
    return identity_of(file, offset.identity.head_size) == offset.identity and _reaches(
        file, offset
    )


def is_copy(file: BinaryIO, offset: FileOffset) -> bool:
    """Whether it contains what was read up to an offset, under any inode; raises OSError."""
    known = offset.identity
    is_alike = identity_of(file, known.head_size).head == known.head
    return known.head_size > 0 and is_alike and _reaches(file, offset)


def is_packed(file: BinaryIO) -> bool:
    """Whether it is a gzip file; raises OSError."""
    return read_at(file, 0, len(GZIP_MAGIC)) == GZIP_MAGIC


def head_of_packed(path: Path) -> bytes:
    """Return the first unpacked bytes of a gzip file; b"" if they can't be read."""
    with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
        return file.read(HEAD)
    return b""


def is_packed_copy(path: Path, head: bytes, offset: FileOffset) -> bool:
    """Whether a gzip file that begins with `head` contains what was read up to an offset."""
    known = offset.identity
    if known.head_size == 0 or digest(head[: known.head_size]) != known.head:
        return False
    size = min(HEAD, offset.position)
    with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
        file.seek(offset.position - size)
        before = file.read(size)
        return len(before) == size and offset.before in {"", digest(before)}
    return False


def read_on(file: BinaryIO, offset: FileOffset, block_bytes: int = BLOCK_BYTES) -> Iterator[Lines]:
    """Yield the complete lines after an offset; raises OSError.

    A line longer than the limit is skipped as one that can't be read. The identity grows with the
    file until it has its full size, sometimes without any lines. For a file that is not the same
    one, nothing is yielded.
    """
    device, inode, head_size, _ = offset.identity
    head = read_at(file, 0, max(head_size, min(HEAD, offset.position)))
    recent = _before(file, offset.position)
    if _identity(device, inode, head[:head_size]) != offset.identity or not _fits(recent, offset):
        return  # it was written anew since it was opened
    head = head[: offset.position]
    splitter, at, line = LineSplitter(is_json=True), offset.position, offset.line
    file.seek(at)
    while block := file.read(block_bytes):
        at += len(block)
        head += block[: HEAD - len(head)]
        lines = splitter.push(block)
        recent = (recent + block)[-(HEAD + min(splitter.left, LINE_LIMIT)) :]
        if lines:
            identity = _identity(device, inode, head)
            before = _digest_before(recent, splitter.left)
            yield Lines(
                lines, line, FileOffset(identity, at - splitter.left, line + len(lines), before)
            )
            line += len(lines)
    begun = at - splitter.left
    last, identity = splitter.documents(), _identity(device, inode, head)
    before = _digest_before(recent, splitter.left)
    if last:  # a newline may still come: an empty rest of the same line
        after = FileOffset(identity, at - splitter.left, line + len(last) - 1, before)
        yield Lines(last, line, after)
    elif len(head) > head_size and begun == offset.position:
        yield Lines([], line, FileOffset(identity, begun, line, before))


def beginning_of(identity: FileIdentity) -> FileOffset:
    """The offset before anything was read of a file."""
    return FileOffset(identity, 0, 1)


def digest(content: bytes) -> str:
    """Return the digest by which bytes are recognized."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _reaches(file: BinaryIO, offset: FileOffset) -> bool:
    is_long_enough = os.fstat(file.fileno()).st_size >= offset.position
    return is_long_enough and _fits(_before(file, offset.position), offset)


def _before(file: BinaryIO, position: int) -> bytes:
    size = min(HEAD, position)
    return read_at(file, position - size, size)


def _fits(before: bytes, offset: FileOffset) -> bool:
    return offset.position == 0 or offset.before in {"", digest(before)}


def _digest_before(recent: bytes, left: int) -> str:
    """The digest before an offset; `left` bytes of what was last read come after it."""
    if left > LINE_LIMIT:
        return ""
    return digest(recent[: len(recent) - left][-HEAD:])


def _identity(device: int, inode: int, head: bytes) -> FileIdentity:
    return FileIdentity(device, inode, len(head), digest(head))
