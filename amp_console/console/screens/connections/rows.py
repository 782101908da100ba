"""The rows of the list of connections, and texts about their keys."""

from amp_console.connections import Connection
from amp_console.console.connection_statuses import ConnectionStatus
from amp_console.console.context import Services
from amp_console.console.widgets.grid import Cell, Column, Row
from amp_console.sync.queries.status import Status

COLUMNS = (
    Column("Connection", 16, flex=3),
    Column("Region", 13, flex=1),
    Column("App ID", 9, right=True),
    Column("Cohort owner", 18, flex=2, rank=1),
    Column("Keys", 14),
    Column("State", 14),
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
    is_open = is_in_front(services, connection)
    sign = f"{services.glyphs.circle} " if is_open else ""
    opened = (
        (f"{services.glyphs.bad} {Status.KEYS_REFUSED}", "bad")
        if services.figures.are_keys_refused
        else (f"{sign}open", "accent")
    )
    status = status_of(services, connection)
    state = status.label(services.glyphs) if status is not None else ("", "")
    return Row(
        connection.id,
        (
            Cell(connection.name, "accent" if is_open else ""),
            Cell(connection.region.label),
            Cell(str(connection.app_id)),
            Cell(connection.owner_email),
            Cell(
                where_keys_are(services, connection),
                "" if connection.keyring_item or is_open else "dim",
            ),
            Cell(f"{sign}read-only", "warn")
            if connection.read_only
            else Cell(*opened if is_open else state),
        ),
        (connection.name, connection.where, connection.app_id),
    )


def where_keys_are(services: Services, connection: Connection) -> str:
    """The source of a connection's keys, in a word or two."""
    opened = services.connections.find(connection)
    if opened is not None:
        return opened.sessions.keys_note
    if services.environment_keys.belong_to(connection):
        return "environment"
    return "keyring" if connection.keyring_item else "none stored"


def is_in_front(services: Services, connection: Connection) -> bool:
    """Whether a connection is that of this screen."""
    session = services.session
    return session is not None and session.connection.id == connection.id


def status_of(services: Services, connection: Connection) -> ConnectionStatus | None:
    """The status of a connection that is not in front; None if it is unknown."""
    known = services.connections.statuses.others
    return next((item for item in known if item.connection.id == connection.id), None)


def keys_after_deletion(connection: Connection, waiting: tuple[str, ...]) -> tuple[str, bool]:
    """Say where a deleted connection's keys are, and return whether they are gone."""
    if connection.keyring_item is None:
        return NO_KEYS, True
    if connection.keyring_item in waiting:
        return STILL_THERE, False
    return "Its keys are gone from your keyring (checked).", True
