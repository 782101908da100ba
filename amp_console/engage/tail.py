"""Following a file that grows, as `tail -F` does: each of its lines once, whatever becomes of it.

A file is told by its device and inode, and by how it begins, since an inode is used again. A line
is read once its newline is there, and a JSON document once it is whole, since nothing can be
added to it. A file that was moved away is read to its end under its new name in the same folder;
one that was cut short is read from its beginning, as a file of its own.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from amp_console.engage.lines import LineSplitter

HEAD = 4096  # bytes by which a file is told from another; events of one audience begin alike
BLOCK = 1024 * 1024  # bytes read at once


class Identity(NamedTuple):
    """Which file it is: `head` is the digest of its first `head_size` bytes."""

    device: int
    inode: int
    head_size: int
    head: str


class Place(NamedTuple):
    """How far a file was read: bytes, and the number of the next line."""

    identity: Identity
    position: int
    line: int


class Lines(NamedTuple):
    """Some whole lines of a file, the number of the first, and the place after them."""

    lines: list[bytes]
    first: int
    after: Place


def identity_of(file: BinaryIO, head_size: int = HEAD) -> Identity:
    """Tell which file is open, by as many of its first bytes; raises OSError."""
    found = os.fstat(file.fileno())
    return _identity(found.st_dev, found.st_ino, os.pread(file.fileno(), head_size, 0))


def is_same(file: BinaryIO, known: Identity) -> bool:
    """Whether it is the file that was read before, however far it has grown; raises OSError."""
    return identity_of(file, known.head_size) == known


def begins_alike(file: BinaryIO, known: Identity) -> bool:
    """Whether it may be a copy of the file that was read before; raises OSError."""
    return known.head_size > 0 and identity_of(file, known.head_size).head == known.head


def moved_to(path: Path, known: Identity) -> Path | None:
    """Where in its folder a file stands now that was at `path`; None where it is nowhere.

    A log that is copied and then cut short (logrotate's copytruncate) goes on in its copy, whose
    name begins with its own. So must the name of a file of which nothing is known but its inode.
    """
    try:
        others = [each for each in path.parent.iterdir() if each != path and each.is_file()]
    except OSError:
        return None
    moved, copied = [], []
    for each in others:
        with suppress(OSError):
            is_it = each.stat().st_ino == known.inode and known.head_size > 0
            if not is_it and not each.name.startswith(path.name):
                continue
            with each.open("rb") as file:
                if is_same(file, known):
                    moved.append(each)
                elif begins_alike(file, known):
                    copied.append(each)
    return next(iter(moved + copied), None)  # logs of one program may begin alike


def read_on(file: BinaryIO, place: Place) -> Iterator[Lines]:
    """Yield the lines that stand behind a place and are whole; raises OSError.

    A line longer than the limit is passed over as one that can't be read. The identity grows with
    what is there, until it has its full size; no lines may come with it. Nothing is yielded of a
    file that is another one.
    """
    device, inode, head_size, _ = place.identity
    head = os.pread(file.fileno(), max(head_size, min(HEAD, place.position)), 0)
    if _identity(device, inode, head[:head_size]) != place.identity:
        return  # it was written anew since it was opened
    head = head[: place.position]
    splitter, at, line = LineSplitter(is_json=True), place.position, place.line
    file.seek(at)
    while block := file.read(BLOCK):
        at += len(block)
        head += block[: HEAD - len(head)]
        if lines := splitter.push(block):
            identity = _identity(device, inode, head)
            yield Lines(lines, line, Place(identity, at - splitter.left, line + len(lines)))
            line += len(lines)
    begun = at - splitter.left
    last, identity = splitter.documents(), _identity(device, inode, head)
    if last:  # a newline may still come: an empty rest of the same line
        yield Lines(last, line, Place(identity, at - splitter.left, line + len(last) - 1))
    elif len(head) > head_size and begun == place.position:
        yield Lines([], line, Place(identity, begun, line))


def beginning_of(identity: Identity) -> Place:
    """The place before anything was read of a file."""
    return Place(identity, 0, 1)


def _identity(device: int, inode: int, head: bytes) -> Identity:
    return Identity(device, inode, len(head), hashlib.blake2b(head, digest_size=16).hexdigest())
