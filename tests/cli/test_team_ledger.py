"""A ledger on a real PostgreSQL, chosen with `connect --ledger`, through every command."""

import asyncio
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amp_console.ledger import open_ledger
from amp_console.ledger.received import received_until
from amp_console.values import AudienceRef, Change
from tests.cli.canary import CANARY, files_below, is_in, look_into_process
from tests.cli.inside import Ended
from tests.cli.operator import OWNER, Operator
from tests.connections import backends
from tests.postgresql import PASSWORD, PostgresqlServer, own_database
from tests.secret_service import secret_service
from tests.sync.webhook_sender import leave_received

MEMORY = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}
USER = "team_operator"


@pytest.fixture(scope="module")
def running(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    with own_database(postgresql) as server:
        server.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{CANARY}'")
        server.execute(f"GRANT CREATE ON DATABASE {server.database} TO {USER}")
        yield server


@pytest.fixture
def server(running: PostgresqlServer) -> Iterator[PostgresqlServer]:
    backends.Memory.clear()
    yield running
    running.execute("DROP SCHEMA IF EXISTS amp_console CASCADE")
    backends.Memory.clear()


WITH_PASSWORD = ("--ledger-password-stdin",)
TYPED = f"{CANARY}\n".encode()


def with_password(url: str) -> str:
    return url.replace("@", f":{urllib.parse.quote(CANARY, safe='')}@")


def connect(operator: Operator, *more: str, stdin: bytes = b"") -> Ended:
    app_id = str(operator.simulator.world.app_id)
    where = ("--app-id", app_id, "--owner-email", OWNER, "--base-url", operator.simulator.base_url)
    return operator.run("connect", "acme", *where, *more, stdin=stdin, more=MEMORY)


def test_every_command_works_with_it_and_the_password_is_in_the_keyring_alone(
    fresh: Operator,
    server: PostgresqlServer,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = server.url(USER)
    said: list[Ended] = []

    def run(*command: str | Path) -> Ended:
        said.append(fresh.run(*command, more=MEMORY))
        return said[-1]

    connected = connect(fresh, "--ledger", url, *WITH_PASSWORD, stdin=TYPED)
    said.append(connected)
    assert connected.status == 0, connected.err
    assert f"The ledger is {url}, with 0 audiences." in connected.out
    assert "Its password is in your keyring" in connected.out
    assert url in run("connections").out
    assert run("import", file).status == 0
    assert run("sync", "--yes", "--dry-run").status == 0
    assert run("sync", "--yes").status == 1, "ghost-1 is rejected"
    assert fresh.cohort("shoppers") == {"u1", "u2"}
    assert run("reconcile", "shoppers").status == 1, "who is rejected is missing"
    assert "sync" in run("runs").out
    assert "shoppers" in run("person", "u1").out
    forgotten = run("forget", "u1", "--yes")
    assert forgotten.status == 0, forgotten.err
    assert fresh.cohort("shoppers") == {"u2"}
    for command in (
        ("audiences", "--json"),
        ("audience", "shoppers"),
        ("errors",),
        ("log",),
        ("sources",),
        ("prune", "--older-than", "90d", "--yes"),
        ("connections", "--json"),
        ("--read-only", "runs"),
    ):
        assert run(*command).status in {0, 1}, said[-1].err
    doctor = run("doctor").out
    for line in (
        f"acme: {url}, 1 audience",
        f"{USER} can read and write",
        "agrees with the server's",
    ):
        assert line in doctor
    assert list(fresh.home.rglob("*.db")) == []

    def defective(*_: object, **__: object) -> None:
        raise RuntimeError("a defect of the driver")

    with monkeypatch.context() as patch:
        patch.setattr("psycopg.Connection.connect", defective)
        assert "Traceback" in run("runs").err
    server.execute(f"ALTER ROLE {USER} PASSWORD 'another'")
    assert "password authentication failed" in run("runs").err
    assert "password authentication failed" in run("doctor").out
    server.execute(f"ALTER ROLE {USER} PASSWORD '{CANARY}'")
    assert any(CANARY in item for item in backends.Memory.items.values())
    gone = run("disconnect", "acme", "--yes")
    assert f"Its ledger stays on the server: {url}" in gone.out
    assert not any(CANARY in item for item in backends.Memory.items.values())
    contents = [*files_below(tmp_path), *((item.out + item.err).encode() for item in said)]
    assert not [content for content in contents if is_in(content)]


def test_two_operators_share_what_was_delivered(
    fresh: Operator, server: PostgresqlServer, file: Path, tmp_path: Path
) -> None:
    colleague = Operator(tmp_path / "colleague", fresh.simulator)
    for someone in (fresh, colleague):
        joined = connect(someone, "--ledger", server.url(USER), *WITH_PASSWORD, stdin=TYPED)
        assert joined.status == 0
    fresh.run("sync", "--from", file, "--yes", more=MEMORY)
    requests = len(fresh.simulator.requests)
    again = colleague.run("sync", "--yes", more=MEMORY)
    assert again.status in {0, 1}, again.err
    assert len(fresh.simulator.requests) == requests, "it was delivered twice"
    assert "In the cohort" in colleague.run("person", "u1", more=MEMORY).out


def test_a_container_needs_no_more_than_a_variable(
    operator: Operator, server: PostgresqlServer, file: Path
) -> None:
    there = {"AMP_CONSOLE_LEDGER": with_password(server.url(USER))}
    assert operator.run("import", file, more=there).status == 0
    assert "shoppers" in operator.run("audiences", more=there).out
    assert "shoppers" not in operator.run("audiences").out
    told = operator.run("connections", more=there)
    assert "AMP_CONSOLE_LEDGER is set" in told.out
    wrong = operator.run("audiences", more={"AMP_CONSOLE_LEDGER": f"mysql://root:{CANARY}@db/x"})
    assert (wrong.status, "AMP_CONSOLE_LEDGER can't be used" in wrong.err) == (2, True)
    assert not is_in(f"{told}{wrong}".encode())


def test_a_password_is_typed_or_piped_after_the_keys(
    fresh: Operator, server: PostgresqlServer
) -> None:
    url = server.url(USER)
    keys = fresh.simulator.credentials
    piped = f"{keys.api_key.reveal()}\n{keys.secret_key.reveal()}\n{CANARY}\n".encode()
    ended = connect(fresh, "--ledger", url, "--keys-stdin", *WITH_PASSWORD, stdin=piped)
    assert ended.status == 0, ended.err
    ended = connect(fresh, "--ledger", url, *WITH_PASSWORD, stdin=TYPED)
    assert ended.status == 0, ended.err
    again = connect(fresh, "--ledger", url, "--prefix")
    assert again.status == 0, "the stored password was not used"
    assert '"prefix": true' in fresh.run("connections", "--json").out, "another setting was lost"
    assert fresh.run("audiences", more=MEMORY).status == 0


@pytest.mark.parametrize("url", ["ana:{}@127.0.0.1:1/amp", "127.0.0.1:1/amp?password={}"])
def test_a_password_in_an_argument_is_refused(fresh: Operator, url: str) -> None:
    address = f"postgresql://{url.format(urllib.parse.quote(CANARY, safe=''))}"
    refused = connect(fresh, "--ledger", address)
    assert (refused.status, refused.out) == (2, "")
    assert "anyone on this machine can see the arguments" in refused.err
    assert "add --ledger-password-stdin" in refused.err
    assert not is_in(refused.err.encode())
    assert "No connections yet" in fresh.run("connections").out
    assert fresh.simulator.requests == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ana@db.acme.example/amp", "sslmode=verify-full"),
        ("postgresql://127.0.0.1:1/amp", "can't be opened"),
        ("mysql://127.0.0.1/amp", "postgresql://USER@HOST"),
        ("postgresql://127.0.0.1:1/amp?schema=public", "schema"),
    ],
)
def test_a_ledger_that_can_t_be_opened_is_not_saved(fresh: Operator, url: str, words: str) -> None:
    ended = connect(fresh, "--ledger", url)
    assert ended.status in {2, 4}
    assert words in ended.err
    assert "No connections yet" in fresh.run("connections").out


def test_a_ledger_in_use_is_not_left_behind_for_an_empty_one(
    operator: Operator, server: PostgresqlServer, file: Path
) -> None:
    operator.run("import", file)
    joining = ("--ledger", server.url(USER), *WITH_PASSWORD)
    refused = connect(operator, *joining, stdin=TYPED)
    assert refused.status == 2
    assert "contains 1 audience, and the chosen one is empty" in refused.err
    assert "amp-console ledger move URL" in refused.err
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'amp_console'"
    assert server.rows(schemas) == [(0,)]
    operator.run("import", file, more={"AMP_CONSOLE_LEDGER": with_password(server.url(USER))})
    joined = connect(operator, *joining, stdin=TYPED)
    assert joined.status == 0, "one with audiences may be joined"
    assert connect(operator, "--ledger", "file").status == 0
    assert operator.home.as_posix() in operator.run("doctor").out


def test_a_file_has_no_password(fresh: Operator) -> None:
    refused = connect(fresh, "--ledger", "file", *WITH_PASSWORD, stdin=TYPED)
    assert (refused.status, refused.out) == (2, "")
    assert "A file needs no --ledger-password-stdin." in refused.err
    assert fresh.simulator.requests == []


def statements_of_docs() -> list[list[str]]:
    """The statements of each SQL block of the page about teams, with a real password."""
    page = (Path(__file__).parents[2] / "docs" / "team.md").read_text()
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [block.replace("…", CANARY).strip().removesuffix(";").split(";") for block in blocks]


def test_the_roles_of_the_docs_can_do_what_the_docs_say(
    fresh: Operator, running: PostgresqlServer, file: Path
) -> None:
    for_all, as_owner = statements_of_docs()

    def url(role: str) -> str:
        return with_password(running.url(role, "amp"))

    def run(role: str, *command: str | Path) -> Ended:
        return fresh.run(*command, more={"AMP_CONSOLE_LEDGER": url(role)})

    with psycopg.connect(running.url(), password=PASSWORD, autocommit=True) as administrator:
        for statement in for_all:
            administrator.execute(statement.encode())
    assert connect(fresh).status == 0
    assert run("amp_owner", "audiences").status == 0
    assert "amp_worker can't use the schema amp_console" in run("amp_worker", "doctor").out
    unread = run("amp_worker", "runs")
    assert (unread.status, "lacks a right (permission denied" in unread.err) == (4, True)
    with psycopg.connect(url("amp_owner"), autocommit=True) as owner:
        for statement in as_owner:
            owner.execute(statement.encode())
    assert "amp_worker can read and write" in run("amp_worker", "doctor").out
    assert run("amp_worker", "sync", "--from", file, "--yes").status == 1
    assert run("amp_worker", "reconcile", "shoppers").status == 1
    forgotten = run("amp_worker", "forget", "u1", "--yes")
    assert (forgotten.status, forgotten.err) == (0, "")
    assert run("amp_worker", "prune", "--older-than", "90d", "--yes").status == 0
    for role in ("amp_worker", "amp_reader"):
        checked = run(role, "ledger", "check")
        assert (checked.status, checked.err) == (0, ""), role
    assert "amp_reader can only read" in run("amp_reader", "doctor").out
    with open_ledger(url("amp_worker")) as ledger:  # only a worker can merge what is left here
        change = Change(AudienceRef("spa", "aud", "readers"), "u1", None, True, 1, 1)
        asyncio.run(leave_received(ledger, change))
    for command in ("audiences", "runs", "errors", "log"):
        assert run("amp_reader", "--read-only", command).status == 0
    assert run("amp_worker", "audiences").status == 0
    with open_ledger(url("amp_worker")) as ledger:
        assert ledger.read(received_until) == {}
    refused = run("amp_reader", "import", file)
    assert (refused.status, "lacks a right (permission denied" in refused.err) == (4, True)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it looks into /proc")
def test_no_argument_and_no_environment_of_a_process_holds_it(
    fresh: Operator, server: PostgresqlServer, tmp_path: Path
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    with secret_service() as keyring:
        environment = fresh.environment
        environment["DBUS_SESSION_BUS_ADDRESS"] = keyring.address
        environment.pop("PYTHON_KEYRING_BACKEND", None)
        app_id, base = str(fresh.simulator.world.app_id), fresh.simulator.base_url
        connected = fresh.run_apart(
            *("connect", "acme", "--app-id", app_id, "--owner-email", OWNER, "--base-url", base),
            *("--ledger", server.url(USER), *WITH_PASSWORD),
            stdin=TYPED,
        )
        assert connected.status == 0, connected.err
        assert any(CANARY in item for item in keyring.items().values())
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
        look_into_process(("watch", str(folder)), environment, server, held)
        assert not any(map(is_in, files_below(tmp_path)))
