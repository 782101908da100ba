"""A real PostgreSQL for tests: Debian's, as an ordinary user, on a separate loopback port.

`REQUIRE_POSTGRESQL=1` turns the skip, if it is missing, into a failure.
"""

import dataclasses
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ADMINISTRATOR = "warehouse_owner"
PASSWORD = "example-password"
_USER = "postgres"  # that runs the server if the tests run as root, which it refuses
_QUICK = "-c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c autovacuum=off -c jit=off"
QUICK = f"{_QUICK} -c synchronous_commit=off"
KEEPS_COMMITS = f"{_QUICK} -c synchronous_commit=on"
"""Settings of a server that is killed and restarted: it keeps what it has committed."""


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server; it asks everyone for a password."""

    port: int
    restart: Callable[[], None]
    """Kills it, like a crash, and starts it again; `KEEPS_COMMITS` is for this."""
    database: str = "postgres"
    """The default one."""

    def url(self, user: str = ADMINISTRATOR, database: str = "") -> str:
        """Its address, without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database or self.database}"

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator, one transaction for all."""
        import psycopg

        with psycopg.connect(self.url(), password=PASSWORD) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def alone(self, statement: str) -> None:
        """Run a statement as the administrator that can't run in a transaction."""
        import psycopg

        with psycopg.connect(self.url(), password=PASSWORD, autocommit=True) as connection:
            connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Run a query as the administrator."""
        import psycopg

        with psycopg.connect(self.url(), password=PASSWORD) as connection:
            return connection.execute(query.encode()).fetchall()


def programs() -> Path:
    """The folder of the server's programs; skips the test without them, or without the driver."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    missing = [] if folders else ["PostgreSQL's server"]
    try:
        import psycopg  # noqa: F401
    except ImportError:
        missing.append("psycopg")
    if not missing:
        return folders[-1].parent
    sentence = f"{' and '.join(missing)} not installed"
    if os.environ.get("REQUIRE_POSTGRESQL") == "1":
        pytest.fail(f"{sentence}, and REQUIRE_POSTGRESQL is set")
    pytest.skip(sentence)


@contextmanager
def postgresql_server(settings: str = QUICK) -> Iterator[PostgresqlServer]:
    """Run an empty server with some settings until the block ends."""
    bin_folder = programs()
    home = Path(tempfile.mkdtemp(prefix="postgresql-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
    as_user = _as_user(home)
    password_file = home / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    data, port = home / "data", _free_port()

    def run(program: str, *arguments: str) -> None:
        command = [*as_user, str(bin_folder / program), "-D", str(data), *arguments]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home)}
        log = home / "output"
        with log.open("ab") as output:
            done = subprocess.run(
                command, env=environment, cwd=home, stdout=output, stderr=output, check=False
            )
        assert done.returncode == 0, log.read_text()

    listening = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    try:
        run(
            "initdb",
            # A client computes for 3 ms to log in with SCRAM.
            *("-U", ADMINISTRATOR, f"--pwfile={password_file}", "-A", "md5"),
            *("-E", "UTF8", "--no-sync"),
        )
        options = ("-w", "-l", str(home / "log"), "-o", f"{listening} {settings}")
        run("pg_ctl", *options, "start")
        try:
            yield PostgresqlServer(
                port, lambda: run("pg_ctl", "-m", "immediate", *options, "restart")
            )
        finally:
            run("pg_ctl", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def own_database(server: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """An empty database; everything created in the block, roles too, is dropped at its end."""
    databases, roles = "SELECT datname FROM pg_database", "SELECT rolname FROM pg_roles"
    before = {*server.rows(databases), *server.rows(roles)}
    server.alone("CREATE DATABASE own")
    try:
        yield dataclasses.replace(server, database="own")
    finally:
        for (database,) in {*server.rows(databases)} - before:
            server.alone(f"DROP DATABASE {database} WITH (FORCE)")
        for (role,) in {*server.rows(roles)} - before:
            server.alone(f"DROP ROLE {role}")


@contextmanager
def pgbouncer(server: PostgresqlServer, pool_mode: str) -> Iterator[str]:
    """Run a real PgBouncer before a server; yield its address, which asks for no password.

    `REQUIRE_PGBOUNCER=1` turns the skip, if it is missing, into a failure.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        if os.environ.get("REQUIRE_PGBOUNCER") == "1":
            pytest.fail("PgBouncer is not installed, and REQUIRE_PGBOUNCER is set")
        pytest.skip("PgBouncer is not installed")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        home = Path(folder)
        settings = home / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={server.port} user={ADMINISTRATOR} "
            f"password={PASSWORD}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = any\npool_mode = {pool_mode}\n"
        )
        as_user = _as_user(home)
        command = [*as_user, program, str(settings)]
        with subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            try:
                log = ""
                while "process up" not in log:
                    line = running.stderr.readline()
                    assert line, log
                    log += line
                yield f"postgresql://anyone@127.0.0.1:{port}/postgres"
            finally:
                running.kill()


def _as_user(home: Path) -> list[str]:
    """The prefix of a server's command: servers refuse to run as root."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam(_USER)
    for path in (home, *home.iterdir()):
        os.chown(path, account.pw_uid, account.pw_gid)
    groups = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *groups]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
