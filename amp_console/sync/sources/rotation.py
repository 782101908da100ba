"""The files beside a log with its earlier content: rotated, dated, compressed."""

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst|lz4)$", re.IGNORECASE)
_ROTATED = re.compile(r"[._-]?(?:\d[\dTZ:._-]*|old|bak|prev)?", re.IGNORECASE)
_COUNTED = 10_000  # numbers below count rotations; those above are dates


class _Rotated(NamedTuple):
    path: Path
    numbers: tuple[int, ...]
    time: int

    @property
    def is_counted(self) -> bool:
        return len(self.numbers) == 1 and self.numbers[0] < _COUNTED


def rotations_of(path: Path) -> list[Path]:
    """Return what log rotation has made of a log, oldest first, without the log itself.

    Known are `app.log.1`, `app.log.2.gz`, `app.log-20261101`, `app-2026-11-01.log`, `app.log.old`
    and the like, in the log's folder and in that of the file it links to.
    """
    found: dict[Path, _Rotated] = {}
    with suppress(OSError, RuntimeError):  # the latter for a link that leads to itself
        for folder in {path.parent, path.resolve().parent}:
            for other in folder.iterdir():
                numbers = _numbers(path.name, other.name)
                with suppress(OSError):  # it is gone by now, say
                    if numbers is not None and other.is_file():
                        found[other] = _Rotated(other, numbers, other.stat().st_mtime_ns)
    return [item.path for item in _ordered(list(found.values()))]


def is_rotation(log: Path, other: Path) -> bool:
    """Whether a file beside a log has a name that log rotation gives to earlier logs."""
    return other.parent == log.parent and _numbers(log.name, other.name) is not None


def _numbers(name: str, other: str) -> tuple[int, ...] | None:
    """The numbers in a rotated log's name that the log's name lacks; None for another file."""
    bare = _PACKED.sub("", other)
    stem, dot, suffix = name.rpartition(".")
    rest = None
    if bare.startswith(name):
        rest = bare[len(name) :]
    elif dot and bare.startswith(stem) and bare.endswith(dot + suffix):
        rest = bare[len(stem) : -len(dot + suffix)] or None
        rest = rest if rest and rest[0] in "._-" else None
    if other == name or rest is None or not _ROTATED.fullmatch(rest):
        return None
    return tuple(int(digits) for digits in re.findall(r"\d+", rest))


def _ordered(found: list[_Rotated]) -> list[_Rotated]:
    """Order by name if the names are of one kind, otherwise by the times of the files."""
    if all(item.is_counted for item in found):
        return sorted(found, key=lambda item: -item.numbers[0])
    if all(item.numbers and not item.is_counted for item in found):
        return sorted(found, key=lambda item: (item.numbers, item.time))
    return sorted(found, key=lambda item: item.time)
