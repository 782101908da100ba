"""The open connection: its ledger, opened twice, and its keys, once they are needed."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from msgspec.structs import replace

from amp_console.connections import (
    Connection,
    KeySource,
    SettingsError,
    find_keys,
    restricted,
)
from amp_console.console.background import in_thread
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.environment_keys import EnvironmentKeys
from amp_console.console.notifications import Notifications
from amp_console.console.search_answer import SearchAnswers
from amp_console.ledger import Db
from amp_console.ledger.database import revision
from amp_console.values import Credentials

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient

P = ParamSpec("P")
T = TypeVar("T")
Find = Callable[[Connection], Awaitable[tuple[Credentials, KeySource]]]
"""Finds a connection's keys, which may take long. Raises `KeysError`."""
POLL_SECONDS = 5.0  # after which a server's ledger is read even without a notification


class Session:
    """A connection with its ledger open.

    The ledger is opened twice, so that screens can read while an import keeps the other one busy.
    """

    def __init__(
        self,
        environment: Environment,
        connection: Connection,
        *,
        read_only: bool,
        find: Find | None = None,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the ledger, which may block. Raises `LedgerError`.

        `heard` is called in another thread when the ledger on a server has changed.
        """
        with ExitStack() as opened:  # a server may have room for only one connection
            self.ledger = opened.enter_context(environment.ledgers.open(connection))
            self.screen_ledger = opened.enter_context(environment.ledgers.open(connection))
            opened.pop_all()
        self._environment = environment
        self._timing = environment.timing
        self.key_priority = environment.key_priority
        self._is_restricted = read_only
        self._credentials: Credentials | None = None
        self._finding = asyncio.Lock()
        self._find = find or self._find_in_thread
        self.key_source: KeySource | None = None
        self._state: tuple[int, frozenset[int]] | None = None
        self._polled_at = -POLL_SECONDS
        self._news = threading.Event()
        self.retried: Counter[int] = Counter()
        """IDs of audiences to retry since the last sync from here, with how many rejected users
        were retried: none if the ID type was changed."""
        self.search_answers = SearchAnswers()
        self.connection = self._restricted(connection)
        self._listener = environment.ledgers.listen(connection, partial(self._hear, heard))

    def _hear(self, heard: Callable[[], None]) -> None:
        self._news.set()
        heard()

    def change(self, connection: Connection) -> None:
        """Use changed settings of the same connection from now on."""
        self.connection = self._restricted(connection)

    def _restricted(self, connection: Connection) -> Connection:
        if self._is_restricted:
            return restricted(connection)
        return connection

    async def read(
        self, work: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read from the ledger, for a screen. Raises `LedgerError`."""
        return await self.screen_ledger.aread(work, *args, **kwargs)

    async def has_news(self) -> bool:
        """Whether anything was written, or a run died, since the last call.

        If a server notifies of changes, the ledger is read only now and then: there is no
        notification of a process that died, or through a dead connection. Raises `LedgerError`.
        """
        if self._listener is not None and self._listener.is_listening:
            is_news = self._news.is_set()
            self._news.clear()
            if is_news or self._timing.monotonic() < self._polled_at + POLL_SECONDS:
                return is_news
        self._polled_at = self._timing.monotonic()
        before, self._state = self._state, None  # a server that was unreachable counts as a change
        self._state = await self.read(revision), await self.dead_runs()
        return self._state != before

    async def dead_runs(self) -> frozenset[int]:
        """Return the runs marked running whose process is gone. Raises `LedgerError`."""
        return await self.screen_ledger.adead_runs()

    def use_until_quit(self, credentials: Credentials) -> None:
        """Use keys that are only kept in memory."""
        self._credentials, self.key_source = credentials, KeySource.THIS_RUN

    def forget_keys(self) -> None:
        """Find the keys again when they are next needed."""
        self._credentials, self.key_source = None, None

    async def credentials(self) -> Credentials:
        """Return the connection's keys; they are found once, and again if they were replaced.

        Raises `KeysError`.
        """
        async with self._finding:
            await self._see_replaced_keys()
            if self._credentials is None:
                self._credentials, self.key_source = await self._find(self.connection)
            return self._credentials

    async def _see_replaced_keys(self) -> None:
        """Forget the keys if the settings point to others, which another process has stored."""
        known = self.connection
        with suppress(SettingsError):
            for stored in await in_thread(self._environment.connections.all):
                if stored.id == known.id and stored.keyring_item != known.keyring_item:
                    self.connection = replace(known, keyring_item=stored.keyring_item)
                    if self.key_source is KeySource.KEYRING:
                        self.forget_keys()

    async def client(self) -> "AmplitudeClient":
        """Return a client with the connection's keys. Raises `KeysError`."""
        from amp_console.sync.connection_options import client_for

        credentials, urls = await self.credentials(), self._environment.region_urls
        # In the background: the first client imports the HTTP library.
        return await in_thread(client_for, self.connection, credentials, urls)

    async def _find_in_thread(self, connection: Connection) -> tuple[Credentials, KeySource]:
        environment = self._environment
        return await in_thread(find_keys, connection, environment.environ, environment.keyring)

    def stop_waiting(self) -> None:
        """End the wait for a keyring that does not answer; `client` raises `KeysError`."""
        self._environment.keyring.stop_waiting()

    async def close(self) -> None:
        """Close the ledger, once queued work is done."""
        if self._listener is not None:
            self._listener.close()
        await in_thread(self.ledger.close)
        await in_thread(self.screen_ledger.close)


class Sessions:
    """The session of one connection, if it is open; `changed` is called when that changes.

    `heard` is called when its ledger has changed, if a server notifies of that.
    """

    def __init__(
        self,
        environment: Environment,
        options: LaunchOptions,
        notifications: Notifications,
        environment_keys: EnvironmentKeys,
        changed: Callable[[], None],
        heard: Callable[[], None],
        find: Find | None = None,
    ) -> None:
        self.current: Session | None = None
        self.is_opening = True
        """Whether the first connection is still being opened, so none is open yet."""
        self._environment = environment
        self._options = options
        self._notifications = notifications
        self._environment_keys = environment_keys
        self._changed = changed
        self._heard = heard
        self._find = find

    async def open(self, connection: Connection) -> None:
        """Open this connection's session, replacing any other. Raises `LedgerError`."""
        loop = asyncio.get_running_loop()

        def heard() -> None:
            loop.call_soon_threadsafe(self._heard)

        session = await in_thread(
            Session,
            self._environment,
            connection,
            read_only=self._options.read_only,
            find=self._find,
            heard=heard,
        )
        old, self.current = self.current, session
        for notice in session.ledger.notices:
            self._notifications.post(notice, "warning")
        self._changed()
        if old is not None:
            await old.close()

    async def close(self) -> None:
        """Close the session, if any."""
        old, self.current = self.current, None
        if old is not None:
            await old.close()

    @property
    def missing_reason(self) -> str:
        """Why there is no connection to work with, and what to do about it."""
        if self.is_opening:
            return "The connection is still being opened."
        return "Connect an Amplitude project first: press 5."

    @property
    def keys_note(self) -> str:
        """The source of the keys, in a word or two."""
        if self.current is None:
            return "none"
        if self._environment.demo is not None:
            return "simulated"
        match self.current.key_source:
            case KeySource.ENVIRONMENT:
                return "environment"
            case KeySource.THIS_RUN:
                return "this session"
        if self._environment_keys.belong_to(self.current.connection):
            return "environment"
        return "keyring" if self.current.connection.keyring_item else "none stored"
