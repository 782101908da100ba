"""The status of the connections that are not in front: what needs attention, or is wrong."""

import enum
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from textual.app import App
from textual.signal import Signal

from amp_console.connections import Connection, SettingsError
from amp_console.console.background import in_thread
from amp_console.console.environment import Environment
from amp_console.console.environment_keys import EnvironmentKeys
from amp_console.console.figures import Figures
from amp_console.console.glyphs import Glyphs
from amp_console.console.lifecycle import deferred
from amp_console.console.session import Session
from amp_console.ledger import Db, LedgerError
from amp_console.ledger.errors import LedgerBusy
from amp_console.ledger.runs import running_locks
from amp_console.sync.queries.status import (
    AudienceSummary,
    Overview,
    audience_summaries,
    overview,
)

_SERVER_EVERY = 30_000_000  # microseconds between two reads of a ledger on a server


class ConnectionProblem(enum.StrEnum):
    """A problem of a connection, as the screen names it."""

    LEDGER = "ledger error"
    IN_USE = "in use"
    NO_KEYS = "no keys"


class ConnectionStatus(NamedTuple):
    """One connection. `overview` is None if nothing is known about its audiences.

    `sentence` says more about a problem with its ledger.
    """

    connection: Connection
    overview: Overview | None = None
    problem: ConnectionProblem | None = None
    sentence: str = ""

    @property
    def attention(self) -> int:
        """The number of its audiences that need attention."""
        return self.overview.attention if self.overview is not None else 0

    def label(self, glyphs: Glyphs) -> tuple[str, str]:
        """A sign with a count or a word, and their tone; "" if there is nothing to show."""
        count = f"{glyphs.triangle} {self.attention:,}" if self.attention else ""
        if self.problem is ConnectionProblem.IN_USE:
            in_use = f"{glyphs.live} {self.problem}"
            return (f"{count} {in_use}", "bad") if count else (in_use, "accent")
        if self.problem is not None:
            return f"{glyphs.bad} {self.problem}", "bad"
        if count:
            return count, "bad"
        return (glyphs.ok, "good") if self.overview is not None else ("", "dim")


class OpenLedger(NamedTuple):
    """An open connection's data in this console; `is_busy`: a job is under way."""

    session: Session
    figures: Figures
    is_busy: bool


class _Seen(NamedTuple):
    """What a status depends on; the status is read again when this changes."""

    connection: Connection
    files: tuple[object, ...]
    sizes_at: int | None
    is_busy: bool


class ConnectionStatuses:
    """The statuses of all connections except the one in front, in the order of the settings.

    A ledger is read when its files have changed, or every half minute if it is on a server; it is
    read through the session if there is one, otherwise it is opened for one read.
    """

    def __init__(
        self,
        app: App[Any],
        environment: Environment,
        environment_keys: EnvironmentKeys,
        front: Callable[[], Session | None],
        opened: Callable[[Connection], OpenLedger | None],
    ) -> None:
        """`front` returns the session in front; `opened`, a connection's data if it is open."""
        self._app = app
        self._environment = environment
        self._environment_keys = environment_keys
        self._front = front
        self._opened = opened
        self._is_reading = False
        self._read: dict[str, tuple[_Seen, ConnectionStatus]] = {}
        self._settings: tuple[object, tuple[Connection, ...]] = (None, ())
        self.others: tuple[ConnectionStatus, ...] = ()
        """Empty while no connection is open."""
        self.changed: Signal[None] = Signal(app, "connection statuses")
        """Published when `others` has changed."""

    async def status_of(self, connection: Connection) -> ConnectionStatus:
        """The status of any connection: as shown in the bar, or read now."""
        for known in self.others:
            if known.connection == connection:
                return known
        return await self._read_status(connection, self._opened(connection))

    def refresh(self) -> None:
        """Check for changes in the background, unless a check is already under way."""
        if not self._is_reading:
            self._is_reading = True
            self._app.run_worker(deferred(self._refresh), group="statuses")

    async def _refresh(self) -> None:
        try:
            front = self._front()
            if front is None:
                self._publish(())
                return
            in_front = front.connection.id
            found = []
            for connection, files in await in_thread(self._survey, in_front):
                found.append(await self._status(connection, files))
            if self._front() is front:
                self._publish(tuple(found))
        finally:
            self._is_reading = False

    def _publish(self, found: tuple[ConnectionStatus, ...]) -> None:
        if found != self.others:
            self.others = found
            self.changed.publish(None)

    def _survey(self, in_front: str) -> list[tuple[Connection, tuple[object, ...]]]:
        """Every connection except the one in front, with the stamps of its files."""
        settings = _stamp(self._environment.folders.config_file)
        if settings != self._settings[0]:
            try:
                self._settings = settings, self._environment.connections.all()
            except SettingsError:
                self._settings = settings, ()  # the screen that reads them reports it
        return [
            (item, self._ledger_stamps(item)) for item in self._settings[1] if item.id != in_front
        ]

    def _ledger_stamps(self, connection: Connection) -> tuple[object, ...]:
        """What changes with a ledger: its files or, if it is on a server, the time."""
        path = self._environment.ledgers.file(connection)
        if path is None:
            return (self._environment.timing.now() // _SERVER_EVERY,)
        # Reading a ledger creates an empty -wal file beside it.
        return _stamp(path), _stamp(path.with_name(f"{path.name}-wal"), or_empty=False)

    async def _status(self, connection: Connection, files: tuple[object, ...]) -> ConnectionStatus:
        opened = self._opened(connection)
        sizes_at = opened.figures.sizes_at if opened is not None else None
        seen = _Seen(connection, files, sizes_at, opened is not None and opened.is_busy)
        before = self._read.get(connection.id)
        if before is not None and before[0] == seen and _lasts(before[1]):
            status = before[1]
        else:
            status = await self._read_status(connection, opened)
            self._read[connection.id] = seen, status
        if status.problem is None and self._lacks_keys(connection, opened):
            return status._replace(problem=ConnectionProblem.NO_KEYS)
        return status

    async def _read_status(
        self, connection: Connection, opened: OpenLedger | None
    ) -> ConnectionStatus:
        try:
            if opened is None:
                read = partial(_read, connection=connection)
                found = await in_thread(self._environment.ledgers.peek, connection, read)
                return _status_of(connection, found, None)
            # Members are only counted if cohort sizes are compared with them, as under Audiences.
            counts = bool(opened.figures.sizes) and not opened.is_busy
            session = opened.session
            dead = await session.dead_runs()
            found = await session.read(_read, dead, connection, count_members=counts)
            status = _status_of(connection, found, opened.figures)
        except LedgerBusy:
            return ConnectionStatus(connection, problem=ConnectionProblem.IN_USE)
        except LedgerError as error:
            return ConnectionStatus(connection, None, ConnectionProblem.LEDGER, str(error))
        except Exception:
            now = self._opened(connection)
            if opened is None or (now is not None and now.session is opened.session):
                raise  # otherwise the ledger was closed in the meantime
            return ConnectionStatus(connection)
        return status._replace(problem=None) if opened.is_busy else status

    def _lacks_keys(self, connection: Connection, opened: OpenLedger | None) -> bool:
        if self._environment_keys.belong_to(connection) or connection.keyring_item:
            return False
        return opened is None or opened.session.key_source is None


def _lasts(status: ConnectionStatus) -> bool:
    """Whether a status is valid until something is written; not if a process may end unnoticed."""
    return status.problem is not ConnectionProblem.IN_USE


def _stamp(path: Path, *, or_empty: bool = True) -> object:
    """What changes with a file; None if it can't be read, or is empty and `or_empty` is False."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not found.st_size and not or_empty:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


_Found = tuple[list[AudienceSummary], bool]


def _read(
    db: Db, dead: Collection[int], connection: Connection, *, count_members: bool = False
) -> _Found:
    """Every audience, and whether a run is under way in any process."""
    summaries = audience_summaries(db, connection, count_members=count_members, dead=dead)
    return summaries, bool(running_locks(db).keys() - set(dead))


def _status_of(
    connection: Connection, found: _Found | None, figures: Figures | None
) -> ConnectionStatus:
    if found is None:
        return ConnectionStatus(connection)
    summaries, is_in_use = found
    size_of = figures.size_of if figures is not None else lambda _: None
    refused = figures is not None and figures.are_keys_refused
    states = [item.states(size_of(item.audience), are_keys_refused=refused) for item in summaries]
    problem = ConnectionProblem.IN_USE if is_in_use else None
    return ConnectionStatus(connection, overview(states), problem)
