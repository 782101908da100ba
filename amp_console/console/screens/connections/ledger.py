"""The ledger fields of a connection, and switching to another ledger."""

from functools import partial

from textual.app import ComposeResult

from amp_console.connections import OPERATOR_VARIABLE, Connection
from amp_console.connections.ledger_server import FILE, LEDGER_VARIABLE
from amp_console.console.background import in_thread
from amp_console.console.context import Services
from amp_console.console.dialogs.keyring import ask_keyring
from amp_console.console.screens.form import KEEPS_STORED
from amp_console.console.widgets.fields import Field, input_field
from amp_console.console.widgets.key_input import KeyInput
from amp_console.ledger import LedgerError
from amp_console.ledger.operators import this_user
from amp_console.sync.ledger_choice import keep_place, try_place
from amp_console.sync.ledgers import LedgerPlace, Ledgers
from amp_console.text import clean, plural

LEDGER, PASSWORD, OPERATOR = "ledger", "ledger-password", "operator"
OPENING = "Opening the ledger…"
_IN_USE = "A sync, an import or a live session of this connection is running. Nothing was changed."


def ledger_fields(known: Connection | None, ledgers: Ledgers, *, is_shown: bool) -> ComposeResult:
    """The ledger's place, its password, and the operator's name."""
    server = known.ledger if known else None
    hint = f"{FILE}, or for a team postgresql://USER@HOST/DATABASE"
    mark = f"{LEDGER_VARIABLE} replaces it" if ledgers.is_from_environment else ""
    where = input_field(LEDGER, "Ledger", server.url if server else FILE, hint, mark)
    is_stored = server is not None and server.password_item is not None
    hint = KEEPS_STORED if is_stored else "if the server needs one"
    line = KeyInput(placeholder=hint, id=PASSWORD)
    password = Field("Ledger password", line)
    name = (known.operator if known else None) or ""
    mark = f"{OPERATOR_VARIABLE} replaces it" if ledgers.is_operator_from_environment else ""
    operator = input_field(
        OPERATOR, "Your name", name, f"{this_user()}, as colleagues see it", mark
    )
    for field in (where, password, operator):
        field.display = is_shown
        yield field


def check_idle(services: Services, connection: Connection) -> None:
    """Raise `LedgerError` while a job of a connection is using its ledger."""
    opened = services.connections.find(connection)
    if opened is not None and opened.jobs.is_busy:
        raise LedgerError(_IN_USE)


async def switch_ledger(
    services: Services, connection: Connection, place: LedgerPlace
) -> tuple[Connection, str]:
    """Open the chosen ledger, and save its place; return the connection and a sentence.

    The settings of `connection` say where it is now. Raises `LedgerError` if it can't be opened,
    `KeysError` or `UntilQuit` if its password can't be stored, and `SettingsError`; nothing was
    saved then.
    """
    check_idle(services, connection)
    environment = services.environment
    audiences = await in_thread(try_place, environment.ledgers, connection, place)
    store, keyring = environment.connections, environment.keyring
    saved = await ask_keyring(services, partial(keep_place, store, keyring, connection, place))
    where = clean(environment.ledgers.where(saved, place), 300)
    said = f"The ledger is {where}, with {plural(audiences, 'audience')}."
    if place.password is not None:
        said += f" {await in_thread(keyring.keeps, 'Its password is')}"
    return saved, said


async def reopen(services: Services, connection: Connection) -> None:
    """Let an open connection use the ledger and operator's name in its current settings.

    Raises `SettingsError`.
    """
    opened = services.connections.find(connection)
    if opened is not None:
        known = await in_thread(services.environment.connections.all)
        await opened.sessions.open(next(item for item in known if item.id == connection.id))
        opened.publish_ledger_change()
