"""One connection at work: its ledger, opened twice, and its keys, once they are needed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from amp_console.amplitude import AmplitudeClient
from amp_console.connections import Connection, KeysError, KeySource, find_keys, restricted
from amp_console.console.background import aside
from amp_console.console.environment import Environment
from amp_console.ledger import Db, open_ledger
from amp_console.sync.workspace import Workspace
from amp_console.values import Credentials

P = ParamSpec("P")
T = TypeVar("T")
Find = Callable[[Connection], Awaitable[tuple[Credentials, KeySource]]]
"""Looks for a connection's keys, however long that takes. Raises `KeysError`."""


class Session:
    """A connection with its ledger open.

    The ledger is opened twice: pictures are read beside the thread that an import keeps busy.
    """

    def __init__(self, premises: Environment, connection: Connection, *, read_only: bool) -> None:
        """Open the ledger; it may block. Raises `LedgerError`."""
        path = premises.folders.ledger(connection.id)
        self.ledger = open_ledger(path)
        self.pictures = open_ledger(path)
        self._premises = premises
        self._must_not_write = read_only
        self._credentials: Credentials | None = None
        self._looking = asyncio.Lock()
        self.find: Find = self._find_beside
        self.key_source: KeySource | None = None
        self.connection = self._restricted(connection)

    @property
    def place(self) -> Workspace:
        """The connection and its ledger, as the rooms below take them."""
        return Workspace(self.connection, self.ledger)

    def change(self, connection: Connection) -> None:
        """Go on with other settings of the same connection."""
        self.connection = self._restricted(connection)

    def _restricted(self, connection: Connection) -> Connection:
        if self._must_not_write:
            return restricted(connection)
        return connection

    async def read(
        self, work: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Read from the ledger for a picture. Raises `LedgerError`."""
        return await self.pictures.aread(work, *args, **kwargs)

    async def dead_runs(self) -> frozenset[int]:
        """Return the runs marked running whose process is gone. Raises `LedgerError`."""
        return await self.pictures.adead_runs()

    def use_until_quit(self, credentials: Credentials) -> None:
        """Take keys that are kept in memory alone."""
        self._credentials, self.key_source = credentials, KeySource.THIS_RUN

    def forget_keys(self) -> None:
        """Look for the keys anew when they are needed next."""
        self._credentials, self.key_source = None, None

    async def credentials(self) -> Credentials:
        """Return the connection's keys, found once, whoever asks. Raises `KeysError`."""
        async with self._looking:
            if self._credentials is None:
                self._credentials, self.key_source = await self.find(self.connection)
            return self._credentials

    async def client(self) -> AmplitudeClient:
        """Return a client with the connection's keys. Raises `KeysError`."""
        return self.place.client(await self.credentials())

    async def _find_beside(self, connection: Connection) -> tuple[Credentials, KeySource]:
        premises = self._premises
        return await aside(find_keys, connection, premises.environ, premises.vault)

    def stop_waiting(self) -> None:
        """End the wait for a keyring that does not answer; `client` raises `KeysError`."""
        self._premises.vault.stop_waiting()

    async def close(self) -> None:
        """Close the ledger, once what was queued is done."""
        await aside(self.ledger.close)
        await aside(self.pictures.close)


__all__ = ["KeysError", "Session"]
