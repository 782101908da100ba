"""The installed program in a real terminal: a sync by keys, watched to the end, then quitting."""

import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from amp_console.simulator import Rule, Simulator, Slow
from amp_console.values import Credentials, Secret
from tests.cli.operator import Operator
from tests.console.harness import ConsoleHarness
from tests.console.sample_audiences import FRESH, connect_with_audiences
from tests.console.terminal import LEAVE_THE_SECOND_SCREEN, Terminal
from tests.sync.workspace import event, ndjson
from tests.test_secrets import API_KEY, SECRET_KEY, shapes

COMMAND = str(Path(sys.executable).parent / "amp-console")


def test_the_demo_is_synced_by_keys_and_left(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    with Terminal([COMMAND, "demo", "--fast"], size=(80, 24), environment=environment) as terminal:
        terminal.until_shown("Newsletter", "12,120", "11,77")
        assert len(list(temporary.iterdir())) == 1
        terminal.type("S")
        terminal.until_shown("Before you send", "creates the cohort")
        terminal.type("y")
        terminal.until_shown("added,", "removed in")
        terminal.type("escape")
        terminal.until_shown("6 audiences", "Newsletter")
        terminal.type("ctrl+q", "y")
        assert terminal.ended() == 0
        assert LEAVE_THE_SECOND_SCREEN in terminal.transcript
    assert list(temporary.iterdir()) == []


def test_the_mouse_leads_where_the_keys_do(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    environment = os.environ | harness.environ
    with Terminal([COMMAND], size=(80, 24), environment=environment) as terminal:
        terminal.until_shown("▸1 Aud. 4", FRESH, "s Sync")
        terminal.click("3 Runs")
        terminal.until_shown("▸3 Runs", "Outcome")
        terminal.click("1 Aud.")
        terminal.until_shown("▸1 Aud. 4", "▸ ")
        terminal.click(FRESH)
        terminal.until_shown(f"▸ {FRESH}", " s Sync  Enter ")  # the footer follows the row
        terminal.click("s Sync")
        terminal.until_shown("Before you send", FRESH, "y Send")
        terminal.type("escape")
        terminal.until(lambda: terminal.is_gone("Before you send"))
        terminal.click("? Help")
        terminal.until_shown("Help · Audiences")
        terminal.type("ctrl+q", "y")
        assert terminal.ended() == 0


def test_home_is_seen_while_a_server_does_not_answer(harness: ConsoleHarness) -> None:
    harness.connect()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://ana:secret@127.0.0.1:{silent.getsockname()[1]}/ledger"
        environment = os.environ | harness.environ | {"AMP_CONSOLE_LEDGER": address}
        with Terminal([COMMAND], environment=environment) as terminal:
            terminal.until_shown("▸1 Audiences", "Opening…", "? Help")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_restores_the_terminal_and_keeps_what_was_done(
    number: signal.Signals, tmp_path: Path
) -> None:
    may_answer = threading.Event()

    async def hold(_: float) -> None:
        while not may_answer.is_set():
            await asyncio.sleep(0.01)

    with Simulator(sleep=hold) as simulator:
        operator = Operator(tmp_path, simulator)
        operator.connect()
        file = tmp_path / "events.ndjson"
        file.write_text(ndjson(event(f"u{n}", True) for n in range(5)))
        operator.run("import", file)
        simulator.faults.set([Rule(Slow(2.0))])
        with Terminal([COMMAND], environment=operator.environment) as terminal:
            terminal.until_shown("shoppers")
            terminal.type("s")
            terminal.until_shown("Before you send", "creates the cohort")
            terminal.type_until_shown("y", "· run 1")
            terminal.process.send_signal(number)
            terminal.until_shown("The current request finishes")
            may_answer.set()
            assert terminal.ended() == 128 + number
        assert LEAVE_THE_SECOND_SCREEN in terminal.transcript
        assert b"Traceback" not in terminal.transcript
        history = operator.run("runs").out
        assert "incomplete" in history


def test_a_first_run_opens_the_form_and_nothing_holds_a_key(tmp_path: Path) -> None:
    """Nor does Textual's own log, which would record every key press."""
    keys = Credentials(Secret(API_KEY), Secret(SECRET_KEY))
    with Simulator(credentials=keys) as simulator:
        operator = Operator(tmp_path, simulator)
        log = tmp_path / "textual.log"
        environment = operator.environment | {"TEXTUAL_LOG": str(log)}
        with Terminal([COMMAND], environment=environment) as terminal:
            terminal.until_shown("Connect an Amplitude project")
            terminal.type("escape", "ctrl+q", "y")
            terminal.ended()
            painted = bytes(terminal.transcript)
        operator.connect()
        file = tmp_path / "events.ndjson"
        file.write_text(ndjson(event(f"u{n}", True) for n in range(5)))
        operator.run("import", file)
        with Terminal([COMMAND], environment=environment) as terminal:
            terminal.until_shown("shoppers")
            terminal.type("s")
            terminal.until_shown("Before you send", "creates the cohort")
            terminal.type_until_shown("y", "5 added")
            terminal.type("ctrl+q", "y")
            assert terminal.ended() == 0
            painted += bytes(terminal.transcript)
    assert not log.exists()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for shape in shapes():
        assert shape not in painted
        assert not any(shape in content for content in files)
