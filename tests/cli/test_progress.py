"""Progress at a terminal."""

import itertools
import os
import pty
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from amp_console.cli.progress import ProgressMeter
from tests.cli.operator import MODULE, Operator


def all_said(terminal: int) -> str:
    """What was written to a terminal whose other side is closed; one read may return a part."""
    said = b""
    with os.fdopen(terminal, "rb", buffering=0) as ours, suppress(OSError):  # EIO at the end
        while part := ours.read(10_000):
            said += part
    return said.decode()


def test_a_stream_whose_size_is_unknown_is_read_at_a_terminal(
    operator: Operator, tmp_path: Path
) -> None:
    events = tmp_path / "events.ndjson"
    events.write_text('{"type": "page"}\n' * 3)
    ours, theirs = pty.openpty()
    with events.open("rb") as stdin:
        done = subprocess.run(
            [*MODULE, "import", "-"],
            env=operator.environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=False,
            timeout=60,
        )
    os.close(theirs)
    said = all_said(ours)
    assert b"Read 3 events" in done.stdout
    assert "Traceback" not in said
    assert "stdin: 3 events" in said


def test_the_text_changes_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count(0.0, 5.0)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", terminal)
        patch.setattr("time.time", lambda: next(seconds))  # click's clock
        with ProgressMeter("Querying") as meter:
            for rows, text in ((0, "0 s"), (0, "5 s"), (1, "10 s"), (1, "15 s"), (2, "20 s")):
                meter.update(rows, None, f"lake: {text}")
    said = all_said(ours)
    assert re.findall(r"lake: (\d+) s", said) == ["0", "5", "10", "15", "20"]
