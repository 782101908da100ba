"""Commands print nothing that controls the terminal, and lose nothing that can't be printed."""

import ast
import json
import os
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

import amp_console
from amp_console.cli.app import COMMANDS
from amp_console.simulator import (
    Answer,
    Call,
    Canned,
    ListedAudience,
    Rule,
    Simulator,
    Size,
)
from amp_console.simulator.segment import PROFILES_TOKEN, SPACE_ID, TOKEN
from amp_console.values import MAX_IDENTIFIER_BYTES
from tests.cli.inside import Streams, full, unread
from tests.cli.operator import MODULE, OWNER
from tests.connections import backends
from tests.sync.workspace import event, ndjson

STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\x85\u202e\u2066\u200b\u2028\nINJECTED\r\t\x00\x7f"
HOSTILE = f"evil{STEERING}"
KEPT = HOSTILE.replace("\0", "")  # this can be stored in a ledger
GHOST = f"ghost-{KEPT}"
LONG = KEPT + "x" * (MAX_IDENTIFIER_BYTES // 2 - 100)  # with room for an ID made from it
TOO_LONG = HOSTILE + "x" * 10_000
NAME = HOSTILE.replace("\x00", "").replace("/", "") + os.fsdecode(b"\x9b\xff")
ROOT = Path(amp_console.__file__).parent
PRINTERS = {
    *("print", "click.echo", "click.secho", "click.confirm", "click.prompt"),
    *("sys.stdout.write", "sys.stderr.write", "click.echo_via_pager", "click.pause"),
}


def steers(text: str) -> bool:
    lines = text.split("\n")
    return any(
        unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for line in lines
        for char in line
    ) or any(line.startswith("INJECTED") for line in lines)


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path) -> Streams:
    """Commands of an operator with one connection, whose events hold hostile texts everywhere."""
    keys = simulator.credentials
    monkeypatch.setenv("AMP_CONSOLE_API_KEY", keys.api_key.reveal())
    monkeypatch.setenv("AMP_CONSOLE_SECRET_KEY", keys.secret_key.reveal())
    monkeypatch.chdir(tmp_path)
    streams = Streams()
    where = ("--owner-email", OWNER, "--base-url", simulator.base_url)
    app_id = str(simulator.world.app_id)
    assert streams.run("connect", "acme", "--app-id", app_id, *where) == 0
    events = [
        event("u0", True, audience=HOSTILE),
        event("u1", True, audience=KEPT),
        event(f"ghost-{HOSTILE}", True, audience=KEPT),
        event(GHOST, True, audience=KEPT),
        event("someone", True, audience=LONG),
        event("someone", True, audience=TOO_LONG),
        event(TOO_LONG, True),
        event("u2", True, audience="twice"),
        event("u2", True, audience="twice", personas={"computation_id": KEPT}),
        event("u2", True, audience="other", personas={"computation_id": KEPT, "space_id": "s"}),
    ]
    file = tmp_path / NAME
    file.write_text(ndjson(events) + f"not JSON {HOSTILE!r}\n")
    streams.run("import", file)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", f"{backends.Memory.__module__}.Memory")
    simulator.segment.audiences = [
        ListedAudience(id="a", key=KEPT, name=HOSTILE, status=HOSTILE, size=Size(9, HOSTILE)),
        ListedAudience(id=HOSTILE, key=f"new{KEPT}", name=HOSTILE, size=Size(1, HOSTILE)),
    ]
    simulator.segment.profiles["u1"] = {KEPT: True, f"new{KEPT}": True}
    simulator.segment.profiles["new"] = {KEPT: True}
    tokens = f"{TOKEN.reveal()}\n{PROFILES_TOKEN.reveal()}\n".encode()
    where = ("--space", SPACE_ID, "--base-url", simulator.base_url)
    connect = ("segment", "connect", *where, "--profiles-token", "--token-stdin")
    assert streams.run(*connect, stdin=tokens) == 0
    return streams


def arguments() -> dict[str, list[tuple[str | Path, ...]]]:
    """The arguments of each command, with hostile texts wherever it takes a text."""
    file = Path(NAME)
    return {
        "connect": [
            ("--app-id", "1", "--owner-email", HOSTILE, "--base-url", f"https://{HOSTILE}")
        ],
        "connections": [()],
        "disconnect": [(HOSTILE, "--yes")],
        "doctor": [()],
        "ledger": [
            ("show",),
            ("check", "--json"),
            ("backup", file),
            ("backup", f"{NAME}.db"),
            ("move", f"postgresql://{HOSTILE}", "--yes"),
        ],
        "import": [(file,), (f"{NAME}-missing",), (file, "--audience", KEPT)],
        "audiences": [(), ("--json",), ("--segment",), ("--segment", "--json")],
        "audience": [
            (KEPT,),
            (KEPT, "--json"),
            (HOSTILE,),
            ("twice",),
            ("none",),
            (f"no{HOSTILE}",),
        ],
        "sync": [("--dry-run",), ("--yes",), (KEPT, "--yes", "--json"), ("--from", f"{NAME}x")],
        "source": [
            ("add", HOSTILE, HOSTILE),
            ("add", "lake", f"sqlite:{NAME}"),
            ("add", "lake", f"mysql://{HOSTILE}@h/x"),
            ("test", HOSTILE),
            ("remove", HOSTILE),
        ],
        "sources": [(), ("--json",)],
        "segment": [("connect", "--space", HOSTILE), ("show",), ("show", "--json")],
        "refresh": [(), ("--json",), (KEPT,), ("twice", "--dry-run")],
        "reconcile": [(KEPT, "--yes"), (KEPT, "--against", file), (LONG,)],
        "watch": [("-", NAME), ("-", "--create"), ("-", "--json")],
        "listen": [("--host", HOSTILE)],
        "errors": [(), ("--json",), ("--csv", "errors.csv"), ("--csv", f"{NAME}/x"), (KEPT,)],
        "person": [
            ("u1",),
            ("new",),
            (NAME,),
            (f"ghost-{HOSTILE}",),
            (GHOST,),
            (f"no{HOSTILE}",),
            (LONG, "--json"),
        ],
        "forget": [(f"no{HOSTILE}", "--yes"), (HOSTILE, "--id-type", HOSTILE), ()],
        "runs": [(), ("--json",), ("--open", HOSTILE)],
        "log": [(), ("--json",), ("--text", HOSTILE), ("--since", HOSTILE), ("--export", "-")],
        "prune": [("--older-than", HOSTILE), ("--older-than", "90d", "--yes")],
        "simulate": [("--port", HOSTILE)],
        "demo": [(), ("--seed", HOSTILE)],
    }


TROUBLED = {"sync", "reconcile", "connect", "errors", "runs", "audiences", "segment", "person"}
"""Commands that say what Amplitude or Segment refused, and why."""


def test_every_command_is_tried() -> None:
    assert set(arguments()) == set(COMMANDS)


def test_no_command_prints_what_steers_a_terminal(streams: Streams, simulator: Simulator) -> None:
    lines = json.dumps(event("u9", True, 9, audience=KEPT)).encode() + b"\n"
    seen = ""
    for is_in_trouble in (False, True):
        if is_in_trouble:
            words = Answer(400, words=HOSTILE)
            refusal = json.dumps({"errors": [{"message": HOSTILE}]}).encode()
            simulator.segment.instead = [Canned(403, refusal)] * 9
            simulator.faults.set(
                [Rule(words), Rule(Answer(403, words=HOSTILE), frozenset({Call.USAGE}))]
            )
        for command, calls in arguments().items():
            if not is_in_trouble or command in TROUBLED:
                for call in calls:
                    streams.run(command, *call, stdin=lines)
                    shown = streams.out + streams.err
                    assert not steers(shown), (command, call)
                    seen += shown
        assert "Traceback" not in seen
    assert "evil\\x1b[2J" in seen


@pytest.mark.parametrize("argument", [HOSTILE, f"--{HOSTILE}", f"--connection={HOSTILE}"])
def test_nor_does_what_is_no_command(streams: Streams, argument: str) -> None:
    assert streams.run(argument, "audiences") == 2
    assert not steers(streams.out + streams.err)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_says_exactly_what_is_meant(streams: Streams, encoding: str) -> None:
    assert streams.run("audiences", "--json", encoding=encoding) == 0
    assert {KEPT, LONG} <= {document["key"] for document in json.loads(streams.out)}
    assert not steers(streams.out.replace("\n", ""))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift-jis"])
def test_what_an_encoding_cannot_say_is_replaced(streams: Streams, encoding: str) -> None:
    streams.run("import", "-", stdin=json.dumps(event("u3", True, audience="größe 😀")).encode())
    for command in ("audiences", "errors", "runs", "doctor", "--help"):
        assert streams.run(command, encoding=encoding) in {0, 1}
        assert "Traceback" not in streams.err
    assert streams.run("sync", "--yes", encoding=encoding) in {0, 1}
    assert streams.run("audiences", encoding=encoding) == 0
    assert "gr" in streams.out
    assert "?" in streams.out


def test_a_full_disk_ends_with_a_sentence_and_everything_is_delivered(
    streams: Streams, simulator: Simulator
) -> None:
    with full() as disk:
        assert streams.run("sync", "other", "--yes", stdout=disk) == 1
    assert "Can't write the output: No space left on device." in streams.err
    world = simulator.world
    assert world.members(world.cohort_named("other").id) == {"u2"}


@pytest.mark.parametrize("command", [("audiences",), ("runs", "--json"), ("--help",), ("doctor",)])
def test_a_command_that_could_not_say_its_result_does_not_end_well(
    streams: Streams, command: tuple[str, ...]
) -> None:
    with full() as disk:
        assert streams.run(*command, stdout=disk) == 1
    assert streams.err.count("Can't write the output") == 1
    assert "Traceback" not in streams.err


def test_a_pipe_that_is_no_longer_read_is_no_trouble(streams: Streams) -> None:
    with unread() as pipe:
        assert streams.run("audiences", stdout=pipe) == 0
    assert streams.err == ""


def test_trouble_that_cannot_be_told_changes_no_status(streams: Streams) -> None:
    for stream in (full(), unread()):
        with stream:
            assert streams.run("audience", "none", stderr=stream) == 2


@pytest.mark.parametrize("stream", [full, unread])
def test_a_session_continues_if_its_output_cannot_be_written(
    streams: Streams, simulator: Simulator, stream: Callable[[], TextIO]
) -> None:
    lines = json.dumps(event("u7", True, audience="live")).encode() + b"\n"
    with stream() as lost:
        streams.run("watch", "-", "--create", stdin=lines, stdout=lost)
    assert "The output" in streams.err
    world = simulator.world
    assert world.members(world.cohort_named("live").id) == {"u7"}


def test_standard_streams_that_are_closed_are_no_trouble(streams: Streams) -> None:
    """In a separate process, in which a ledger could get the number of a closed stream."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *MODULE, "sync", "twice", "--yes"],
        check=False,
        timeout=60,
        env=dict(os.environ),
    )
    assert done.returncode == 2  # several audiences have this key, which nothing could distinguish
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >/dev/full', "sh", *MODULE, "audiences"],
        check=False,
        timeout=60,
        stderr=subprocess.PIPE,
    )
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_nothing_else_prints() -> None:
    """`output` is the only module that prints; new code must use it, too."""
    found = []
    for path in (*(ROOT / "cli").glob("*.py"), *(ROOT / "demo").glob("*.py")):
        if path.name == "output.py":
            continue
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found += [
            f"{path.name}:{node.lineno}"
            for node in tree
            if isinstance(node, ast.Call) and ast.unparse(node.func) in PRINTERS
        ]
    assert found == []
