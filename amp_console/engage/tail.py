"""Following a file that grows, as `tail -F` does: each of its lines once, whatever becomes of it.

A file is told by its device and inode, and by how it begins, since an inode is used again. A line
is read once its newline stands there. A file that was moved away is read to its end under its new
name in the same folder; one that was cut short is read from its beginning, as a file of its own.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from amp_console.engage.lines import LINE_LIMIT, TOO_LONG

HEAD = 256  # bytes by which a file is told from another one of the same inode
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


def identity_of(path: Path, head_size: int = HEAD) -> Identity | None:
    """Tell which file stands at a path; None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            head = file.read(head_size)
    except OSError:
        return None
    digest = hashlib.blake2b(head, digest_size=16).hexdigest()
    return Identity(found.st_dev, found.st_ino, len(head), digest)


def is_same(path: Path, known: Identity) -> bool:
    """Whether the file that was read before stands at a path, however far it has grown."""
    found = identity_of(path, known.head_size)
    return found == known


def moved_to(path: Path, known: Identity) -> Path | None:
    """Where in its folder a file stands now that was at `path`; None where it is nowhere."""
    try:
        others = [each for each in path.parent.iterdir() if each.is_file()]
    except OSError:
        return None
    return next((each for each in others if is_same(each, known)), None)


def read_on(path: Path, place: Place) -> Iterator[Lines]:
    """Yield the lines that stand behind a place and are whole; raises OSError.

    A line longer than the limit is passed over as one that can't be read.
    """
    with path.open("rb") as file:
        file.seek(place.position)
        rest, is_too_long = b"", False
        while block := file.read(BLOCK):
            text = rest + block
            end = text.rfind(b"\n") + 1
            if not end:
                rest = text
                if len(rest) > LINE_LIMIT:
                    rest, is_too_long = b"", True
                    place = place._replace(position=place.position + len(text))
                continue
            rest = text[end:]
            lines = text[: end - 1].split(b"\n")
            if is_too_long:
                lines[0], is_too_long = TOO_LONG, False
            after = Place(place.identity, place.position + end, place.line + len(lines))
            yield Lines(lines, place.line, after)
            place = after


def beginning_of(identity: Identity) -> Place:
    """The place before anything was read of a file."""
    return Place(identity, 0, 1)
