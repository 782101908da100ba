"""Consecutive waiting writes share a transaction; each caller learns only of its own write."""

import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from amp_console.ledger import Db, Ledger, LedgerError, open_ledger
from amp_console.ledger.audiences import all_audiences, discover
from amp_console.ledger.errors import LedgerClosed
from amp_console.values import AudienceRef


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Keep the ledger's thread busy, so that everything in this block is queued."""
    may_go_on, is_held = threading.Event(), threading.Event()

    def wait(_: Db) -> None:
        is_held.set()
        may_go_on.wait()

    waiting = ledger.submit(wait)
    is_held.wait()
    try:
        yield
    finally:
        may_go_on.set()
        waiting.result()


def add(db: Db, name: str) -> int:
    return discover(db, AudienceRef("spa", name, name)).id


def fail(db: Db, name: str) -> None:
    add(db, name)
    raise ZeroDivisionError


def names(ledger: Ledger) -> list[str]:
    return sorted(audience.key for audience in ledger.read(all_audiences))


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """Let threads alternate after a few instructions."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def file_ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def commits(file_ledger: Ledger) -> Callable[[], int]:
    """Counts the commits of transactions that write."""
    begun = list[str]()

    def trace(db: Db) -> None:
        assert isinstance(db, sqlite3.Connection)
        db.set_trace_callback(begun.append)

    file_ledger.write(trace)
    return lambda: begun.count("BEGIN IMMEDIATE")


def share(ledger: Ledger, *keys: str) -> list[Future[int]]:
    return [ledger.writes_of().share(add, key) for key in keys]


def test_writes_in_a_row_are_committed_together(
    file_ledger: Ledger, commits: Callable[[], int]
) -> None:
    with held(file_ledger):
        queued, before = share(file_ledger, "a", "b", "c"), commits()
    assert len({future.result() for future in queued}) == 3
    assert commits() == before + 1
    assert names(file_ledger) == ["a", "b", "c"]


def test_what_is_queued_between_writes_is_done_between_them(
    file_ledger: Ledger, commits: Callable[[], int]
) -> None:
    with held(file_ledger):
        first, before = share(file_ledger, "a", "b"), commits()
        alone = file_ledger.submit(all_audiences)
        last = share(file_ledger, "c", "d")
    assert [audience.key for audience in alone.result()] == ["a", "b"]
    assert all(future.result() for future in first + last)
    assert commits() == before + 3


def test_a_write_that_fails_is_undone_and_fails_for_its_caller_alone(ledger: Ledger) -> None:
    with held(ledger):
        first = share(ledger, "a")
        failing = ledger.writes_of().share(fail, "b")
        broken = ledger.writes_of().share(lambda db: db.execute("SELECT nothing"))
        last = share(ledger, "c")
    assert all(future.result() for future in first + last)
    assert isinstance(failing.exception(), ZeroDivisionError)
    assert isinstance(broken.exception(), LedgerError)
    assert names(ledger) == ["a", "c"]


def test_a_write_that_was_cancelled_while_it_waited_is_left_out(ledger: Ledger) -> None:
    with held(ledger):
        queued = share(ledger, "a", "b", "c")
        assert queued[1].cancel()
    assert queued[2].result()
    assert names(ledger) == ["a", "c"]


def test_what_is_queued_when_the_ledger_is_closed_is_still_written(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "ledger.db") as ledger:
        may_go_on = threading.Event()
        ledger.submit(lambda _: may_go_on.wait())
        queued = share(ledger, "a", "b")
        may_go_on.set()
    assert all(future.result() for future in queued)
    with open_ledger(tmp_path / "ledger.db") as ledger:
        assert names(ledger) == ["a", "b"]


@pytest.mark.usefixtures("quick_turns")
def test_a_write_is_done_or_refused_while_the_ledger_is_closed(tmp_path: Path) -> None:
    for _ in range(10):
        ledger = open_ledger(tmp_path / "ledger.db", is_durable=False)
        futures, errors = list[Future[int]](), list[Exception]()
        threads = [
            threading.Thread(target=write_until_refused, args=[ledger, futures, errors])
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        ledger.close()
        for thread in threads:
            thread.join()
        assert {type(error) for error in errors} == {LedgerClosed}
        assert all(future.done() for future in futures)


def write_until_refused(
    ledger: Ledger, futures: list[Future[int]], errors: list[Exception]
) -> None:
    try:
        while True:
            futures.append(ledger.writes_of().share(lambda _: 1))
    except Exception as error:
        errors.append(error)
