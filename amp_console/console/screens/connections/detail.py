"""One connection in detail: what needs attention, its last run, its ledger and its keys."""

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from textual.content import Content

from amp_console.connections import Connection
from amp_console.connections.key_errors import WEBHOOK_VARIABLE
from amp_console.console.background import in_thread
from amp_console.console.connection_statuses import ConnectionProblem, ConnectionStatus
from amp_console.console.context import Services, services_of
from amp_console.console.run_words import OUTCOME_TONES
from amp_console.console.screens.connections.rows import is_in_front, where_keys_are
from amp_console.console.screens.cursor_detail import CursorDetail
from amp_console.console.screens.loading import Loader
from amp_console.console.texts import (
    BAD,
    GOOD,
    MAX_LENGTH,
    MUTED,
    TONE,
    WARN,
    Part,
    facts,
    safe_text,
)
from amp_console.console.widgets.steady_text import FittedText
from amp_console.console.words import byte_size, changes
from amp_console.ledger import Db, LedgerError
from amp_console.ledger.comparisons import last_compared_at
from amp_console.ledger.counts import stored_bytes
from amp_console.ledger.run_log import run_outcome, run_reason
from amp_console.ledger.runs import Run, RunKind, all_runs
from amp_console.sync.queries.status import Status
from amp_console.text import plural

LABELS = 13  # columns for the names of facts
LEAST_LINES = 8  # for the test, audiences, changes and last run


class LedgerFacts(NamedTuple):
    """The last run of a ledger, the time of its last comparison (None: never), and its size."""

    last_run: Run | None
    compared_at: int | None
    size: int


def ledger_facts(db: Db, dead: Collection[int] = ()) -> LedgerFacts:
    """Read the facts from indexes and short tables; `dead` are runs whose process is gone."""
    last_run = next(iter(all_runs(db, 1, dead)), None)
    return LedgerFacts(last_run, last_compared_at(db), stored_bytes(db))


class ConnectionFacts(NamedTuple):
    """The data shown for a connection; `facts` is None if nothing is known about its ledger."""

    connection: Connection
    status: ConnectionStatus
    facts: LedgerFacts | None
    ledger: str


class ConnectionDetail(CursorDetail):
    """The connection under the cursor. If its ledger is not open, it is read without opening it."""

    def __init__(
        self,
        loader: Loader,
        current: Callable[[], Connection | None],
        test_of: Callable[[Connection], Part | None],
    ) -> None:
        """`current` returns the connection to show; `test_of`, the result of its last test."""
        super().__init__(loader)
        self._current = current
        self._test_of = test_of
        self._detail: ConnectionFacts | None = None

    async def load(self) -> None:
        wanted = self._current()
        if wanted is None:
            return
        self._detail = await _read(services_of(self), wanted)
        self.show()

    def show(self) -> None:
        """Show the data and the test of the connection under the cursor."""
        detail, current = self._detail, self._current()
        if detail is None or current is None or current.id != detail.connection.id:
            return  # the cursor has moved on
        self.border_title = safe_text(current.name, max_length=60)
        self.query_one(FittedText).fit(
            partial(lay_out, services_of(self), detail, self._test_of(current))
        )


async def _read(services: Services, connection: Connection) -> ConnectionFacts:
    ledgers = services.environment.ledgers
    status = await services.connections.statuses.status_of(connection)
    session = services.connections.session_of(connection)
    found = None
    try:
        if session is not None:
            found = await session.read(ledger_facts, await session.dead_runs())
        else:
            found = await in_thread(ledgers.peek, connection, ledger_facts)
    except LedgerError as error:
        status = status._replace(problem=ConnectionProblem.LEDGER, sentence=str(error))
    return ConnectionFacts(connection, status, found, ledgers.where(connection))


def lay_out(services: Services, detail: ConnectionFacts, test: Part | None, room: int) -> Content:
    """Lay out what is known about a connection, in `room` columns."""
    connection, status = detail.connection, detail.status
    names = "[Segment] and the audience's name" if connection.prefix else "the audience's name"
    paths = " or ".join(filter(None, (connection.user_id_path, connection.amplitude_id_path)))
    rows: list[tuple[str, Content | str]] = [
        ("audiences", _audiences(status)),
        *_undelivered(status),
        *_last(services, detail.facts),
        ("keys", where_keys_are(services, connection)),
        ("webhook", _secret(services, connection)),
        ("ledger", _ledger(detail)),
        ("state", _state(services, connection)),
        *([("address", connection.where)] if connection.base_url else []),
        ("owner", safe_text(connection.owner_email, ("  new cohorts get ", MUTED), names)),
        ("identifiers", safe_text(paths, max_length=120)),
    ]
    if test is not None:
        rows.insert(0, ("test", safe_text(test, max_length=400)))
    return facts(rows, LABELS, room)


def _state(services: Services, connection: Connection) -> Content:
    mode: Part = ("read-only: nothing is sent", WARN) if connection.read_only else "read and write"
    state = "Enter switches to it"
    if is_in_front(services, connection):
        state = "open now"
        if services.figures.are_keys_refused:
            return safe_text(
                (f"{state}, {Status.KEYS_REFUSED} by Amplitude: press T to test them", BAD),
                ("  access ", MUTED),
                mode,
            )
    elif services.connections.find(connection) is not None:
        state = "open in the background. Enter switches to it"
    return safe_text(state, ("  access ", MUTED), mode)


def _audiences(status: ConnectionStatus) -> Content:
    """How many audiences a connection has and how many need attention, or why that is unknown."""
    now, problem = status.overview, status.problem
    if now is None:
        words = status.sentence or problem or "not known until the connection is opened"
        return safe_text((words, BAD if problem else MUTED), max_length=400)
    parts: list[Part] = [f"{now.audiences:,}"]
    if now.attention:
        need = plural(now.attention, "needs", "need")
        parts.append((f"  {need} attention: {', '.join(now.reasons)}", BAD))
    elif now.audiences:
        parts.append(("  none needs attention", GOOD))
    if problem:
        parts.append((f"  {problem}", WARN))
    return safe_text(*parts)


def _undelivered(status: ConnectionStatus) -> list[tuple[str, Content | str]]:
    """How many changes are pending, and how many users are rejected or have missing IDs."""
    now = status.overview
    if now is None or not now.audiences:
        return []
    unsent = f"  {plural(now.unidentified, 'missing ID')}" if now.unidentified else ""
    rejected = plural(now.rejected, "rejected user")
    return [
        (
            "undelivered",
            safe_text(
                (plural(now.pending, "change"), WARN if now.pending else MUTED),
                "  ",
                (rejected, BAD if now.rejected else MUTED),
                (unsent, BAD),
            ),
        )
    ]


def _last(services: Services, known: LedgerFacts | None) -> list[tuple[str, Content | str]]:
    """The last run with its outcome, and the last comparison."""
    if known is None:
        return []
    compared = "not yet" if known.compared_at is None else services.age_of(known.compared_at)
    run = known.last_run
    return [
        (
            "last run",
            safe_text(("never", MUTED))
            if run is None
            else _run(services, run, _moment(known, run)),
        ),
        ("compared", safe_text((compared, MUTED if known.compared_at is None else ""))),
    ]


def _moment(known: LedgerFacts, run: Run) -> int:
    """When a run ended; for a comparison, the time of the export, as in `compared`."""
    ended_at = run.ended_at or run.started_at
    is_last_comparison = run.kind is RunKind.COMPARE and run.found.cohorts > 0
    return (known.compared_at or ended_at) if is_last_comparison else ended_at


def _run(services: Services, run: Run, moment: int) -> Content:
    status, outcome = str(run.status), run_outcome(run.kind, run.status)
    parts: list[Part] = [
        f"{run.kind} {run.id}  ",
        (outcome, TONE[OUTCOME_TONES.get(status, "")]),
        (f"  {services.age_of(moment)}", MUTED),
    ]
    if delivered := changes(run.added, run.removed, services.glyphs):
        parts.append(f"  {delivered}")
    if reason := run_reason(run):
        parts.append((f"  {reason}", MUTED))
    return safe_text(*parts, max_length=MAX_LENGTH)


def _secret(services: Services, connection: Connection) -> Content:
    """Whether webhooks can be verified."""
    if services.environment.environ.get(WEBHOOK_VARIABLE, "").strip():
        return safe_text("shared secret from the environment")
    if connection.webhook_item:
        return safe_text("shared secret in the keyring")
    return safe_text(("no shared secret stored", MUTED))


def _ledger(detail: ConnectionFacts) -> Content:
    size = "" if detail.facts is None else f"  {byte_size(detail.facts.size)}"
    return safe_text(detail.ledger, (size, MUTED), max_length=200)
