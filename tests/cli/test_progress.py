"""Progress at a terminal."""

import os
import pty
import subprocess
from pathlib import Path

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
