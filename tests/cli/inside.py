"""`amp-console` inside this process, with standard streams of the test's own: it takes 50 ms."""

import io
import os
import sys
from pathlib import Path
from typing import TextIO

import pytest

from amp_console.cli import main


class Streams:
    """Standard streams that commands are run with, in an environment and a folder of their own."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
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
        """Run a command; return its exit status. What it printed is in `out` and `err`."""
        raw_out, raw_err = io.BytesIO(), io.BytesIO()
        streams = {
            "stdin": io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"),
            "stdout": stdout or io.TextIOWrapper(raw_out, encoding=encoding),
            "stderr": stderr or io.TextIOWrapper(raw_err, encoding=encoding),
        }
        with self._patch.context() as patch:
            patch.setattr(sys, "argv", ["amp-console", *map(str, arguments)])
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as ended:
                main()
        self.out, self.err = (raw.getvalue().decode(encoding) for raw in (raw_out, raw_err))
        assert isinstance(ended.value.code, int)
        return ended.value.code


def full() -> TextIO:
    """A stream on a disk that is full."""
    return Path("/dev/full").open("w", encoding="utf-8")


def unread() -> TextIO:
    """A pipe that is no longer read."""
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w", encoding="utf-8")
