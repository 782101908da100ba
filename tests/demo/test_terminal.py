"""The installed `amp-console demo` in a real terminal: it ends when it is told to."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.terminal import LEAVE_THE_SECOND_SCREEN, Terminal

COMMAND = str(Path(sys.executable).parent / "amp-console")


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def terminal(temporary: Path) -> Iterator[Terminal]:
    environment = os.environ | {"TMPDIR": str(temporary)}
    with Terminal([COMMAND, "demo", "--fast"], environment=environment) as terminal:
        terminal.until_shown("Recently lapsed")
        assert len(list(temporary.iterdir())) == 1
        yield terminal


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_leaves_nothing(
    terminal: Terminal, temporary: Path, number: signal.Signals
) -> None:
    terminal.process.send_signal(number)
    assert terminal.ended() == 128 + number
    assert list(temporary.iterdir()) == []
    assert LEAVE_THE_SECOND_SCREEN in terminal.transcript
    assert b"Traceback" not in terminal.transcript


def test_a_terminal_that_goes_away_ends_it(temporary: Path) -> None:
    """Even without a signal, no process is left reading from a terminal that is gone."""
    environment = os.environ | {"TMPDIR": str(temporary)}
    with Terminal([COMMAND, "demo", "--fast"], environment=environment) as terminal:
        terminal.until_shown("Recently lapsed")
        terminal.hang_up()
        terminal.process.wait(30)
    assert list(temporary.iterdir()) == []


def test_without_a_terminal_it_says_what_to_do(temporary: Path) -> None:
    ended = subprocess.run(
        [COMMAND, "demo"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    assert ended.returncode == 2
    assert ended.stderr == "The demo needs a terminal. Without one, use --web or --headless.\n"
    assert list(temporary.iterdir()) == []
