"""The README and the pages in docs/ are true: commands, options, links and lines to enter."""

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from amp_console.cli.app import COMMANDS, commands
from amp_console.cli.exits import Exit
from amp_console.cli.options import CommonOptions
from amp_console.simulator import Behavior, Simulator
from amp_console.simulator.segment import PROFILES_TOKEN, SPACE_ID, TOKEN
from tests.cli.operator import Operator
from tests.connections import backends
from tests.ledgers import PostgresqlLedgers
from tests.postgresql import PASSWORD

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
PAGES = [README, *sorted((PROJECT / "docs").glob("*.md"))]
REFERENCE = (PROJECT / "docs" / "commands.md").read_text()
COMMON = {"--help", "--connection"}
NOT_OURS = ("python3 -m venv", "pipx ", "uv tool ", "eval ", "_AMP_CONSOLE_COMPLETE=")
RUN_ON = {"watch", "listen", "simulate", "demo"}  # until Ctrl-C
PERSON = "u-1001"


def options_of(command: click.Command) -> set[str]:
    """The long options of a command."""
    found = (
        option
        for param in command.params
        if isinstance(param, click.Option)
        for option in (*param.opts, *param.secondary_opts)
    )
    return {option for option in found if option.startswith("--")} - COMMON


def command_named(name: str) -> click.Command:
    """A command of the program."""
    command = commands.get_command(click.Context(commands), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_names_each_command_with_its_options_and_an_example(name: str) -> None:
    sections = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    assert len(sections) == 1, f"one section of docs/commands.md is to be `### {name}`"
    missing = {option for option in options_of(command_named(name)) if option not in sections[0]}
    assert not missing
    assert f"```sh\namp-console {name}" in sections[0]


@pytest.mark.parametrize("status", Exit)
def test_names_each_exit_status(status: Exit) -> None:
    assert re.search(rf"^\| {status.value} \|", REFERENCE, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lines_to_enter(text: str) -> Iterator[str]:
    """The command lines of a page: in blocks of `sh` all lines, in `console` those after a $."""
    for kind, block in re.findall(r"^```(sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if kind == "sh" or line.startswith("$ "):
                yield from line.removeprefix("$ ").split(" && ")


def ours(page: Path) -> Iterator[list[str]]:
    """The arguments of each call of amp-console on a page; any other line is a known one."""
    for line in lines_to_enter(page.read_text()):
        program, *arguments = shlex.split(line, comments=True)
        if program.removeprefix(".venv/bin/") == "amp-console":
            yield arguments
        else:
            assert line.startswith(NOT_OURS) or "pip install" in line, line


@pytest.fixture
def at_work(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator with two connections, synced audiences, and the files that the pages name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events").mkdir()
    sample = sample_event()
    people = [PERSON, *(f"u-{number}" for number in range(20)), "ghost-1"]
    events = "".join(
        json.dumps({**sample, "userId": who})
        .replace("high_value_shoppers", key)
        .replace("aud_2fy", f"aud_{key}")
        + "\n"
        for key in ("high_value_shoppers", "recently_lapsed")
        for who in people
    )
    Path("events.ndjson").write_text(events)
    Path("events/first.gz").write_text(events)  # detected by content
    with closing(sqlite3.connect("warehouse.db")) as warehouse, warehouse:
        warehouse.execute("CREATE TABLE vips (user_id TEXT)")
        warehouse.executemany("INSERT INTO vips VALUES (?)", [(who,) for who in people])
        warehouse.execute("CREATE TABLE vip_changes (user_id, is_member, changed_at)")
        warehouse.execute("INSERT INTO vip_changes VALUES ('u-1', 1, '2026-05-03 19:42:50')")
    Path("members.csv").write_text("user_id\n" + "".join(f"{who}\n" for who in people))
    operator = Operator(tmp_path, simulator)
    operator.environment["AMP_CONSOLE_CONNECTION"] = "Acme prod"
    assert operator.connect("Acme prod").status == 0
    assert operator.connect("Acme staging").status == 0
    assert operator.run("sync", "--from", "events.ndjson", "--yes").status == Exit.PARTIAL
    return operator


@pytest.fixture
def bucket(at_work: Operator, tmp_path: Path) -> Iterator[None]:
    """The bucket that the pages name, where its server is installed; CI has it."""
    from tests.sync.bucket_server import KEY_ID, SECRET, BucketServer

    with BucketServer(tmp_path / "buckets", "acme-segment").running() as server:
        server.put("segment-logs/source/1777766400000/1.gz", Path("events.ndjson").read_bytes())
        at_work.environment |= {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": server.endpoint,
        }
        yield


@pytest.fixture
def space(at_work: Operator) -> Iterator[None]:
    """The Segment space that the pages name, connected with both tokens."""
    backends.Memory.clear()
    at_work.environment["PYTHON_KEYRING_BACKEND"] = f"{backends.Memory.__module__}.Memory"
    at_work.simulator.segment.profiles[PERSON] = {"high_value_shoppers": False}
    where = ("--space", SPACE_ID, "--base-url", at_work.simulator.base_url)
    tokens = f"{TOKEN.reveal()}\n{PROFILES_TOKEN.reveal()}\n".encode()
    arguments = ("segment", "connect", *where, "--profiles-token", "--token-stdin")
    assert at_work.run(*arguments, stdin=tokens).status == 0
    yield
    backends.Memory.clear()


@pytest.fixture
def team_ledger(server_ledgers: PostgresqlLedgers, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the ledger on a server that the pages name."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return server_ledgers.empty()


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Its exports are ready at once: a command waits a second before it asks again."""
    with Simulator(behavior=Behavior(job_polls=0)) as running:
        yield running


def sample_event() -> dict[str, object]:
    """The event that the README shows."""
    found = re.search(r"^```json\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[1].count("\n") == 3
    event: dict[str, object] = json.loads(found[1])
    return event


def test_the_sample_event_is_read(at_work: Operator) -> None:
    Path("sample.json").write_text(json.dumps(sample_event()))
    assert "Read 1 event: 1 valid" in at_work.run("import", "sample.json").out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_line_to_enter_works(
    page: Path, at_work: Operator, request: pytest.FixtureRequest
) -> None:
    if "s3://" in page.read_text():
        request.getfixturevalue("bucket")
    if "segment connect" in page.read_text():
        request.getfixturevalue("space")
    ledger = request.getfixturevalue("team_ledger") if "--ledger" in page.read_text() else ""
    for arguments in ours(page):
        name = next((word for word in arguments if word in COMMANDS), None)
        runs_on = "--follow" in arguments or (name in RUN_ON and "--headless" not in arguments)
        if name is None or runs_on:
            check_arguments(arguments, name)
        else:
            run = at_work.run_apart if "-" in arguments else at_work.run  # writes to a descriptor
            ended = run(*prepared(arguments, at_work.simulator, ledger))
            assert ended.status in {0, 1, 3, 4}, (arguments, ended)
            assert "Traceback" not in ended.err, arguments


def check_arguments(arguments: list[str], name: str | None) -> None:
    """Only parse the arguments of commands that would not end, or need a terminal."""
    if name is None:
        commands.make_context("amp-console", list(arguments))
    else:
        own = arguments[arguments.index(name) + 1 :]
        above = click.Context(commands, obj=CommonOptions())
        command_named(name).make_context(name, own, parent=above)


def prepared(arguments: list[str], simulator: Simulator, ledger: str) -> Iterator[str]:
    """The arguments with globs expanded, the simulator for Amplitude, and a real ledger."""
    words = {"153957": str(simulator.world.app_id), "--region": "--base-url", "20000": "200"}
    words["europe"] = words["eu"] = simulator.base_url
    for argument in arguments:
        if argument.startswith("postgresql://amp_worker@"):
            yield ledger
        elif "*" in argument:
            yield from map(str, sorted(Path().glob(argument)))
        else:
            yield words.get(argument, argument)


@pytest.mark.parametrize(
    ("shell", "expected"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")]
)
def test_completion_of_each_shell_is_offered(at_work: Operator, shell: str, expected: str) -> None:
    variables = {"_AMP_CONSOLE_COMPLETE": f"{shell}_source"}
    assert expected in at_work.run(more=variables).out


def test_commands_and_options_are_completed(at_work: Operator) -> None:
    variables = {"_AMP_CONSOLE_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    ended = at_work.run(more={**variables, "COMP_WORDS": "amp-console sync --d"})
    assert ended.out == "plain,--dry-run\n"
