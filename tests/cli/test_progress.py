"""Progress at a terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from amp_console.cli.progress import ProgressMeter
from tests.cli.operator import MODULE, Operator


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
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert b"Read 3 events" in done.stdout
    assert "Traceback" not in said
    assert "stdin: 3 events" in said


def test_the_text_changes_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with ProgressMeter("Querying") as meter:
            for seconds in (1, 2, 3):
                meter.update(0, None, f"lake: 0 rows, {seconds} s")
        said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert [seconds for seconds in (1, 2, 3) if f"lake: 0 rows, {seconds} s" in said] == [1, 2, 3]
