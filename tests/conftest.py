"""Fixtures of every test: no keyring or home of the developer, asyncio only."""

import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.ledgers import ENGINES, EmptyLedger, PostgresqlLedgers, postgresql_ledgers
from tests.postgresql import PASSWORD, PostgresqlServer, own_database, postgresql_server

if sys.dont_write_bytecode:
    # Otherwise, workers and test processes would each compile everything again: a tenth of the
    # time.
    BYTECODE = Path(__file__).parent.parent / ".pytest_cache" / "bytecode"
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(BYTECODE)
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    del os.environ["PYTHONDONTWRITEBYTECODE"]

if hasattr(time, "tzset"):  # not on Windows
    os.environ["TZ"] = "UTC"  # of what people read in a test
    time.tzset()

REAL_ENVIRONMENT = (
    "AMP_CONSOLE_API_KEY",
    "AMP_CONSOLE_SECRET_KEY",
    "AMP_CONSOLE_CONNECTION",
    "AMP_CONSOLE_LEDGER",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NO_PROXY", "no_proxy")

MEMORY = Path("/dev/shm")  # noqa: S108  # Linux alone has it
ROOM = 4 * 1024**3  # bytes; all tests together write a tenth of that


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process before it imports any test.

    Test files are kept in memory if there is room: on a disk, each commit takes 4 ms. Tests are
    never timed. With CI set, Hypothesis's own profile makes every run the same.
    """
    from hypothesis import settings  # pytest compiles it, unless it finds the bytecode

    from tests.examples import THOROUGH, UNTIMED

    settings.register_profile("untimed", UNTIMED)
    settings.register_profile("thorough", THOROUGH)
    settings.load_profile("untimed")
    gc.set_threshold(100_000, 50, 100)  # otherwise it runs 300 times during imports
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_xdist_auto_num_workers() -> int:
    """Three workers for two cores: tests of the console and of processes often wait."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


WAITING_FILES = (
    "cli/test_lost_packets.py",
    "ledger/test_silence.py",
    "cli/test_silent_proxy.py",
    "cli/test_server_restart.py",
    "cli/test_clocks.py",
)
"""Files that mostly wait, for silent peers or for something that happens once a second."""
FIRST_FILES = (
    *WAITING_FILES,
    "console/test_numbers.py",
    "console/test_every_place.py",
    "console/test_pictures.py",
    "demo/test_tour.py",
    "console/test_live.py",
    "console/test_reconcile.py",
    "console/test_errors.py",
    "console/test_audiences.py",
    "console/test_terminal.py",
    "console/test_several_connections.py",
    "test_acceptance.py",
)
"""Those, and the files that take longest."""


class FilesThatWaitTogether(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Gives each file to one worker, and all waiting files to the same one: the others compute."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "waiting" if file.removeprefix("tests/") in WAITING_FILES else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesThatWaitTogether:
    return FilesThatWaitTogether(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files: otherwise, a worker that gets one late would delay the end."""
    tests = Path(__file__).parent
    order = {tests / name: place for place, name in enumerate(FIRST_FILES)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish() -> None:
    """Freeze long-lived objects for the garbage collector; with its threshold, a fifth faster."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let a test's processes receive Ctrl-C, even if the tests run in the background.

    A shell starts background jobs with SIGINT ignored, and child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AMP_CONSOLE_HOME", str(tmp_path / "amp-console"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    for name in REAL_ENVIRONMENT + PROXIES + CERTIFICATES:
        monkeypatch.delenv(name, raising=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests marked `both_engines` with a ledger on each engine."""
    test = metafunc.definition
    is_for_one = any(mark.args[0] == "engine" for mark in test.iter_markers("parametrize"))
    is_for_both = test.get_closest_marker("both_engines") is not None and not is_for_one
    if is_for_both and "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ENGINES, indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The engine of the test's ledgers; LEDGER_ENGINE chooses it for tests of one engine."""
    return str(getattr(request, "param", os.environ.get("LEDGER_ENGINE", ENGINES[0])))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """The server of all tests of a worker."""
    with postgresql_server() as running:
        yield running


@pytest.fixture(scope="module")
def server(postgresql: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """That server with a separate database for the module."""
    with own_database(postgresql) as empty:
        yield empty


@pytest.fixture(scope="session")
def server_ledgers(postgresql: PostgresqlServer) -> Iterator[PostgresqlLedgers]:
    with postgresql_ledgers(postgresql) as ledgers:
        yield ledgers


@pytest.fixture
def empty_ledger(
    engine: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> EmptyLedger:
    """Call it for the address of an empty ledger; another number gives another ledger."""
    if engine == "sqlite":
        names = chain(["ledger.db"], (f"ledger-{number}.db" for number in count(2)))
        return lambda _number=0: str(tmp_path / next(names))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ledgers: PostgresqlLedgers = request.getfixturevalue("server_ledgers")
    return ledgers.empty


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of Berlin, as a POSIX rule."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()
