"""Files for a path being typed: which exist, and what the text means so far."""

import glob
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from amp_console.text import plural

MAX_ENTRIES = 2_000  # entries that are examined
WILD = frozenset("*?[")


class Entry(NamedTuple):
    """A file or folder. `path` is the text to type for it; `size` is in bytes, None if unknown."""

    name: str
    path: str
    is_folder: bool
    size: int | None
    modified: int | None


class PathListing(NamedTuple):
    """What a text means: the files that it names, and the entries that could complete it.

    `note` says why it names no file, "" if it does.
    """

    entries: tuple[Entry, ...]
    files: tuple[str, ...]
    note: str

    @property
    def bytes(self) -> int:
        """The size of the named files together."""
        named = set(self.files)
        return sum(entry.size or 0 for entry in self.entries if _full(entry.path) in named)


def listing(text: str) -> PathListing:
    """Return the files that a path, its beginning, or a pattern matches. This may block."""
    try:
        path = Path(_full(text)) if text.strip() else Path()
        if text.strip() and path.is_file():
            return PathListing((_entry(path, text),), (str(path),), "")
        if WILD & set(text):
            return _matching(text)
        if not text or text.endswith(("/", os.sep)) or (path.is_dir() and text != "."):
            return _folder(path, text, "")
        return _folder(path.parent, text[: len(text) - len(path.name)], path.name)
    except (OSError, ValueError, RuntimeError) as error:
        return PathListing((), (), _reason(error))


def completed(text: str, found: Iterable[Entry]) -> str:
    """Return the text, completed as far as all entries agree, as in a shell."""
    if WILD & set(text):
        return text
    paths = [item.path + ("/" if item.is_folder else "") for item in found]
    max_length = os.path.commonprefix(paths)  # noqa: RUF071  # character by character is intended
    return max_length if len(max_length) > len(text) else text


def _full(text: str) -> str:
    return str(Path(text).expanduser().absolute())


def _matching(text: str) -> PathListing:
    pattern = str(Path(text).expanduser())
    found = islice(glob.iglob(pattern), MAX_ENTRIES)  # noqa: PTH207  # it takes any pattern
    paths = sorted(Path(item) for item in found)
    files = [path for path in paths if path.is_file()]
    entries = tuple(_entry(path, str(path)) for path in files)
    note = "" if files else "No file matches this pattern."
    return PathListing(entries, tuple(str(path.absolute()) for path in files), note)


def _folder(folder: Path, typed: str, begins: str) -> PathListing:
    """List a folder; `typed` is the text before the names in it."""
    if typed and not typed.endswith(("/", os.sep)):
        typed += "/"
    with os.scandir(folder) as scan:
        found = [
            _entry(Path(item.path), typed + item.name)
            for item in islice(scan, MAX_ENTRIES)
            if item.name.casefold().startswith(begins.casefold())
            and (begins or not item.name.startswith("."))
        ]
    found.sort(key=lambda item: (not item.is_folder, item.name.casefold()))
    if begins:
        note = "Keep typing, or choose below." if found else "There is no such file."
    else:
        some = plural(len(found), "entry", "entries")
        how = f"{some}. Choose a file, or type a pattern such as *.gz."
        note = how if found else "The folder is empty."
    return PathListing(tuple(found), (), note)


def _entry(path: Path, typed: str) -> Entry:
    try:
        known = path.stat()
    except OSError:
        return Entry(path.name, typed, False, None, None)
    is_folder = path.is_dir()
    size = None if is_folder else known.st_size
    return Entry(path.name, typed, is_folder, size, known.st_mtime_ns // 1000)


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "There is no such folder."
        case PermissionError():
            return "You don't have permission to open this folder."
        case RuntimeError():  # "~name"
            return "There is no user of this name."
    return "This is not a valid path."
