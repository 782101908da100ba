"""The rows of the list of connections, one of them in detail, and words about their keys."""

from textual.content import Content

from amp_console.connections import Connection
from amp_console.console.connection_statuses import ConnectionStatus
from amp_console.console.context import Services
from amp_console.console.texts import BAD, MUTED, WARN, Part, facts, safe_text
from amp_console.console.widgets.grid import Cell, Column, Row

COLUMNS = (
    Column("Connection", 16, flex=3),
    Column("Region", 13, flex=1),
    Column("App ID", 9, right=True),
    Column("Cohort owner", 18, flex=2, rank=1),
    Column("Keys", 14),
    Column("State", 11),
)
EMPTY = """\
No connection yet.

Press n to connect an Amplitude project. You need its API Key and Secret Key,
its App ID, and the email of the owner of new cohorts."""
NO_KEYS = "No keys are stored."
STILL_THERE = (
    "Its keys are still in your keyring, which denied the deletion. Press K to try again; every "
    "later change of keys tries again, too."
)


def row(services: Services, connection: Connection) -> Row:
    """One connection in the list."""
    is_open = _is_in_front(services, connection)
    sign = f"{services.glyphs.live} " if is_open else ""
    status = status_of(services, connection)
    state = status.label(services.glyphs) if status is not None else ("", "")
    return Row(
        connection.id,
        (
            Cell(connection.name, "accent" if is_open else ""),
            Cell(connection.base_url or connection.region.label),
            Cell(str(connection.app_id)),
            Cell(connection.owner_email),
            Cell(
                where_keys_are(services, connection),
                "" if connection.keyring_item or is_open else "dim",
            ),
            Cell(f"{sign}read-only", "warn")
            if connection.read_only
            else Cell(*(f"{sign}open", "accent") if is_open else state),
        ),
        (connection.name, connection.base_url or connection.region.label, connection.app_id),
    )


def where_keys_are(services: Services, connection: Connection) -> str:
    """Where a connection's keys come from, in a word or two."""
    opened = services.connections.find(connection)
    if opened is not None:
        return opened.sessions.keys_note
    if services.environment.environ.get("AMP_CONSOLE_API_KEY"):
        return "environment"
    return "keyring" if connection.keyring_item else "none stored"


def detail(services: Services, connection: Connection, test: Part | None) -> Content:
    """Lay out one connection; `test` says what its last test came to."""
    ledger = services.environment.folders.ledger(connection.id)
    names = "[Segment] and the audience's name" if connection.prefix else "the audience's name"
    mode: Part = ("read-only: nothing is sent", WARN) if connection.read_only else "read and write"
    state = "Enter switches to it"
    if _is_in_front(services, connection):
        state = "open now"
    elif services.connections.find(connection) is not None:
        state = "open in the background. Enter switches to it"
    paths = " or ".join(filter(None, (connection.user_id_path, connection.amplitude_id_path)))
    rows: list[tuple[str, Content | str]] = [
        ("state", safe_text(state, ("  access ", MUTED), mode)),
        ("owner", safe_text(connection.owner_email, ("  new cohorts get ", MUTED), names)),
        ("identifiers", safe_text(paths, max_length=120)),
        ("ledger", safe_text(str(ledger), max_length=200)),
    ]
    status = status_of(services, connection)
    if status is not None:
        rows.insert(1, ("audiences", _audiences(status)))
    if test is not None:
        rows.insert(0, ("test", safe_text(test)))
    return facts(rows, 13)


def _is_in_front(services: Services, connection: Connection) -> bool:
    session = services.session
    return session is not None and session.connection.id == connection.id


def status_of(services: Services, connection: Connection) -> ConnectionStatus | None:
    """The status of a connection that is not in front; None where it is not known."""
    known = services.connections.statuses.others
    return next((item for item in known if item.connection.id == connection.id), None)


def _audiences(status: ConnectionStatus) -> Content:
    """Say how many audiences a connection has and need attention, or why that is not known."""
    now, problem = status.overview, status.problem
    if now is None:
        words = status.sentence or problem or "not read yet"
        return safe_text((words, BAD if problem else MUTED), max_length=400)
    parts: list[Part] = [f"{now.audiences:,}"]
    if now.attention:
        verb = "needs" if now.attention == 1 else "need"
        parts += [
            ("  ", MUTED),
            (f"{now.attention:,} {verb} attention: {', '.join(now.reasons)}", BAD),
        ]
    if problem:
        parts += [("  ", MUTED), (str(problem), WARN)]
    return safe_text(*parts)


def told_after(connection: Connection, waiting: tuple[str, ...]) -> tuple[str, bool]:
    """Say where a deleted connection's keys are, and whether that is as it should be."""
    if connection.keyring_item is None:
        return NO_KEYS, True
    if connection.keyring_item in waiting:
        return STILL_THERE, False
    return "Its keys are gone from your keyring (checked).", True
