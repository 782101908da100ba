"""A password that is looked for wherever it must not be."""

import urllib.parse
from collections.abc import Iterator
from pathlib import Path

CANARY = "canary+source pw/é"


def is_in(content: bytes) -> bool:
    """Whether the password, or a part that could be told as it, is in a content."""
    forms = (CANARY, urllib.parse.quote(CANARY), urllib.parse.quote_plus(CANARY), "canary+source")
    return any(form.encode() in content for form in (*forms, repr(CANARY)[1:-1], "canary%2B"))


def files_below(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def family(process: int) -> list[Path]:
    """A process and all below it, in /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return [Path(f"/proc/{number}") for number in sorted(found)]
