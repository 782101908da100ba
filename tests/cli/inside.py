"""`amp-console` inside this process, with the test's own environment and streams.

A command takes 10 to 50 ms here and 300 ms or more as a process.
"""

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest

from amp_console.cli import main


class Ended(NamedTuple):
    """The result of a command."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


def run_inside(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    stdin: bytes = b"",
    encoding: str = "utf-8",
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> Ended:
    """Run a command through the package's entry point; return its exit status and output."""
    raw_out, raw_err = io.BytesIO(), io.BytesIO()
    out = stdout or io.TextIOWrapper(raw_out, encoding=encoding)
    err = stderr or io.TextIOWrapper(raw_err, encoding=encoding)
    with (
        _environment(environment),
        _command_line(arguments, io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return Ended(
        ended.value.code, raw_out.getvalue().decode(encoding), raw_err.getvalue().decode(encoding)
    )


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    _set_environment(environment)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)


@contextmanager
def _command_line(arguments: Sequence[str | Path], stdin: TextIO) -> Iterator[None]:
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["amp-console", *map(str, arguments)], stdin
    try:
        yield
    finally:
        sys.argv, sys.stdin = before


class Streams:
    """Runs commands in the test's environment; `out` and `err` are the output of the last one."""

    def __init__(self) -> None:
        self.out = ""
        self.err = ""

    def run(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        encoding: str = "utf-8",
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> int:
        """Run a command; return its exit status."""
        status, self.out, self.err = run_inside(
            arguments, os.environ, stdin=stdin, encoding=encoding, stdout=stdout, stderr=stderr
        )
        return status


def full() -> TextIO:
    """A stream on a disk that is full."""
    return Path("/dev/full").open("w", encoding="utf-8")


def unread() -> TextIO:
    """A pipe that is no longer read."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")
