"""A password that tests look for everywhere it must not be."""

import signal
import subprocess
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cli.operator import MODULE
from tests.postgresql import PostgresqlServer

CANARY = "canary+source pw/é"


def is_in(content: bytes) -> bool:
    """Whether the password, or a recognizable part, is in some bytes."""
    forms = (CANARY, urllib.parse.quote(CANARY), urllib.parse.quote_plus(CANARY), "canary+source")
    return any(form.encode() in content for form in (*forms, repr(CANARY)[1:-1], "canary%2B"))


def files_below(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def family(process: int) -> list[Path]:
    """The folders in /proc of a process and its descendants."""
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


def look_into_process(
    command: tuple[str, ...], environment: Mapping[str, str], server: PostgresqlServer, query: str
) -> None:
    """Run a command until a query of the server gives a number but 0, look for it, and end it.

    It must be in no argument or environment of the process and its children, nor in what the server
    lists, nor in what the command says.
    """
    process = subprocess.Popen(
        [*MODULE, *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        while server.rows(query) == [(0,)]:
            assert process.poll() is None, process.communicate()
        kept = [
            (member / name).read_bytes()
            for member in family(process.pid)
            for name in ("cmdline", "environ")
        ]
        kept += [repr(server.rows("SELECT * FROM pg_stat_activity")).encode()]
        assert b"amp_console" in kept[0]
        assert not [content for content in kept if is_in(content)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    finally:
        process.kill()
        process.communicate()
    assert process.returncode in {0, 130}, err
    assert not is_in(out + err)
