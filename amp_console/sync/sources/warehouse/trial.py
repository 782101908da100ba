"""Trying a query: its rows are counted and some are shown, but nothing is imported."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime

import msgspec

from amp_console.ledger import Ledger, snapshots
from amp_console.sync.sources.warehouse.engine import Engine, QueryResult, Row
from amp_console.sync.sources.warehouse.reader import ChangesFrom, QueryReader, RunningQuery
from amp_console.values import AudienceRef, IdType

SAMPLE = 10  # rows that are shown


class TrialReport(msgspec.Struct, frozen=True):
    """What a query returned. `sample` are its first rows.

    `refused` counts the rows that can't be used, by reason. `people` counts each person once;
    `duplicates` are rows of someone listed before. `ignored` names the columns that hold no
    identifiers.
    """

    columns: tuple[str, ...]
    sample: tuple[Row, ...]
    rows: int
    people: int
    duplicates: int
    refused: tuple[tuple[str, int], ...]
    ignored: tuple[str, ...]
    seconds: float


class QueryTrial:
    """One try of one query; `run` may block for as long as the query takes.

    Identifiers are staged as for a refresh, so memory is bounded; the ledger's file does not
    change.
    """

    def __init__(
        self,
        ledger: Ledger,
        sql: str,
        open_engine: Callable[[], Engine],
        id_type: IdType = IdType.USER_ID,
        *,
        timeout: float,
        changes: ChangesFrom | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`id_type` is the audience's; `timeout` is in seconds.

        A query of `changes` is read on from where its last refresh stopped.
        """
        self._ledger = ledger
        self._sql = sql
        self._open_engine = open_engine
        self._id_type = id_type
        self._timeout = timeout
        self._changes = changes
        self._monotonic = monotonic
        self._running = RunningQuery()

    @property
    def rows(self) -> int:
        """How many rows were read so far; any thread may ask."""
        return self._running.rows

    def cancel(self) -> None:
        """Cancel the query, from any thread; call it again until `run` has ended."""
        self._running.cancel()

    def run(self) -> TrialReport:
        """Run the query. Raises WarehouseError, KeysError, SettingsError and LedgerError."""
        started, ledger = self._monotonic(), self._ledger
        with closing(self._open_engine()) as engine:
            sampled = _SampledEngine(engine)
            audience = AudienceRef("", "", "trial")
            reader = self._running.read_by(
                QueryReader(
                    sampled, self._sql, audience, changes=self._changes, timeout=self._timeout
                )
            )
            staging = ledger.stage(snapshots.begin_staging)
            try:
                with reader:
                    for batch in reader:
                        ledger.stage(snapshots.stage_changes, staging, 0, batch.changes)
                people = ledger.stage(snapshots.listed, staging, self._id_type)
            finally:
                ledger.stage(snapshots.drop_staged, staging)
        return TrialReport(
            sampled.columns,
            tuple(sampled.sample),
            reader.rows,
            people,
            reader.rows - reader.refused.total() - people,
            tuple(reader.refused.most_common()),
            reader.ignored,
            self._monotonic() - started,
        )


class _SampledEngine:
    """An engine that keeps the first rows of its query."""

    def __init__(self, engine: Engine) -> None:
        self.columns: tuple[str, ...] = ()
        self.sample: list[Row] = []
        self.version = engine.version
        self.cancel = engine.cancel
        self.close = engine.close
        self._query = engine.query

    def query(self, sql: str, timeout: float, since: datetime | None = None) -> QueryResult:
        result = self._query(sql, timeout, since)
        self.columns = result.columns
        return result._replace(chunks=self._kept(result.chunks))

    def _kept(self, chunks: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        for chunk in chunks:
            self.sample += chunk[: SAMPLE - len(self.sample)]
            yield chunk
