"""Actions on a source: test it, or remove a warehouse or a query."""

from amp_console.connections import (
    Connection,
    NamedSource,
    SettingsError,
    find_source_password,
)
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.base import Confirm
from amp_console.console.jobs.under_way import under_way
from amp_console.console.lifecycle import NoSession
from amp_console.console.screens.actions import REASONS, Need
from amp_console.console.screens.sources.space import space_reason
from amp_console.sync.audience_queries import drop_query
from amp_console.sync.sources.known import KnownSource, Origin
from amp_console.sync.warehouse_sources import STILL_IN_KEYRING, drop_warehouse, warehouse_version
from amp_console.text import clean, named

MAX_NAMES = 5  # audiences that a question names
MAX_NAME_LENGTH = 40
NO_WAREHOUSE = "Add a warehouse first: press 7 for Sources, then A."
ONLY_QUERIES = "Only the query of an audience can be refreshed. To read events, press i."
NOT_EDITED = "Only warehouses and queries can be edited. This source provides events."
ONLY_WAREHOUSES = "Only a warehouse can be tested. This source provides events."
NOT_REMOVED = "This source can't be removed: it is listed until it is read, or is gone."
NOT_KEPT = "This source can't be removed: it is listed because it was read, and has no settings."


async def stored(services: Services, connection: Connection) -> Connection:
    """The connection from the current settings: a command may have added a source."""
    try:
        known = await in_thread(services.environment.connections.all)
    except SettingsError as error:
        services.notifications.post(str(error), "error")
        return connection
    return next((item for item in known if item.id == connection.id), connection)


def unavailable(services: Services, action: str, source: KnownSource) -> str | None:
    """Why an action can't be done with this source; None if it can."""
    is_query, reason = source.origin is Origin.QUERY, None
    if source.origin is Origin.SEGMENT:
        reason = space_reason(services, action)
    elif action == "refresh" and not is_query:
        reason = ONLY_QUERIES
    elif action == "edit" and source.is_of_events:
        reason = NOT_EDITED
    elif action == "refresh" and under_way(services.jobs.refreshing):
        reason = "A query is running. Wait for it, or press c to cancel it."
    elif action in {"refresh", "test"} and source.warehouse is None:
        reason = source.error if is_query else ONLY_WAREHOUSES
    elif action == "remove" and source.is_of_events:
        reason = NOT_REMOVED if source.origin is Origin.UNREAD else NOT_KEPT
    elif action == "remove":
        reason = REASONS[Need.WRITABLE if is_query else Need.SETTINGS](services)
    return reason


def version(services: Services, source: NamedSource) -> str:
    """Open a warehouse, and return its version. Raises WarehouseError and KeysError."""
    return warehouse_version(source, find_source_password(source, services.environment.keyring))


def question(source: KnownSource) -> Confirm:
    """Ask before a warehouse or a query is removed."""
    name = clean(source.name, MAX_NAME_LENGTH)
    if source.origin is Origin.QUERY:
        return Confirm(
            f"Remove the query of “{name}”?",
            ["Its members stay until events say otherwise. Nothing in the warehouse changes."],
            yes="Remove it",
        )
    rows = ["Nothing in the warehouse changes. Its password is deleted from the keyring."]
    if source.warehouse is not None and source.warehouse.password_item is None:
        rows = ["Nothing in the warehouse changes."]
    if source.fed:
        names = named([item.name for item in source.fed], MAX_NAMES, MAX_NAME_LENGTH)
        rows.append(f"Without it, these audiences can't be refreshed: {names}.")
    return Confirm(f"Remove the source “{name}”?", rows, yes="Remove it", is_danger=True)


async def remove(services: Services, source: KnownSource) -> None:
    """Remove a warehouse, and its password from the keyring. Raises as `remove_source` does."""
    session = services.session
    if session is None:
        raise NoSession
    environment = services.environment
    before = await stored(services, session.connection)
    saved, is_left = await in_thread(
        drop_warehouse,
        environment.connections,
        environment.keyring,
        environment.ledgers,
        before,
        source.name,
        now=services.timing.now,
    )
    session.change(saved)
    said = f"Removed the source “{clean(source.name)}”."
    if is_left:
        services.notifications.post(f"{said} {STILL_IN_KEYRING}", "warning")
    else:
        services.notifications.post(said)


async def drop(services: Services, source: KnownSource) -> None:
    """Remove the query from its audience. Raises `ReadOnly` and `LedgerError`."""
    session, now = services.session, services.timing.now
    if session is None:
        raise NoSession
    await in_thread(drop_query, session.ledger, session.connection, source.fed[0], now=now)
    services.notifications.post(f"“{clean(source.name)}” no longer has a query. Its members stay.")
