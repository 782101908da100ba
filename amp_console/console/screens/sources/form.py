"""The form for a warehouse: its URL, and its password, which is kept in the keyring."""

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from amp_console.connections import (
    NamedSource,
    checked_source_name,
    find_source_password,
    is_same_login,
)
from amp_console.console.background import in_thread
from amp_console.console.routes import MainScreen
from amp_console.console.screens.actions import Need
from amp_console.console.screens.form import F1, KEEPS_STORED, NOT_SAVED, FormScreen
from amp_console.console.screens.sources.actions import stored
from amp_console.console.texts import MUTED, safe_lines, safe_text
from amp_console.console.widgets.fields import Field, Form, entered, input_field
from amp_console.console.widgets.key_input import KeyInput
from amp_console.sync.sources.warehouse import WarehouseError
from amp_console.sync.warehouse_sources import entered_url, keep_warehouse, warehouse_version
from amp_console.text import clean, trimmed
from amp_console.values import Secret

NAME, URL, PASSWORD = "name", "url", "password"
ABOUT = """\
A warehouse that amp-console only reads. Its URL is one of:
postgresql://USER@HOST:PORT/DATABASE, duckdb:PATH, sqlite:PATH,
snowflake://CONNECTION, bigquery://PROJECT/DATASET, adbc:PROFILE"""
UNSAVED = "Nothing was saved."
OPENING = "Opening it…"
STORING = "Saving…"
BUSY = "The warehouse is being opened or saved."
ONLY_OPENS = "Test opens the warehouse and asks for its version."


class _Draft(NamedTuple):
    """A source that can be tested and saved, and its password if one was entered."""

    source: NamedSource
    password: Secret | None


class SourceForm(FormScreen):
    """The form for a new or an existing warehouse."""

    NAME = "Warehouse"
    BELONGS_TO = MainScreen.SOURCES
    HELP = """\
A warehouse whose queries define audiences: PostgreSQL, DuckDB, SQLite, Snowflake, BigQuery, or any
other with an ADBC driver. amp-console only reads from it.

F2 opens it first; nothing is saved until that works. The password is kept only in your system's
keyring, never in a file. A password in the URL is moved there. Leave the password empty if
PostgreSQL finds one itself (~/.pgpass, PGPASSWORD or a service file).

Audiences refer to a warehouse by its name, so the name can't be changed."""
    CSS_PATH = "../form.tcss"
    DEFAULT_CLASSES = "one-form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "test", "Test", id="source.test"),
        F1,
    ]
    NEEDS = {"save": {Need.SETTINGS}}  # noqa: RUF012
    AT_WORK: ClassVar[Mapping[str, str]] = dict.fromkeys(("test", "save"), BUSY)

    def __init__(self, source: NamedSource | None = None) -> None:
        super().__init__()
        self._known = source
        self._taken: frozenset[str] = frozenset()

    def body(self) -> ComposeResult:
        known = self._known
        with Vertical(id="form", classes="panel") as panel:
            title = "Add a warehouse" if known is None else known.name
            panel.border_title = safe_text(title, max_length=50)
            with Form():
                yield Static(safe_lines(ABOUT.splitlines()), id="welcome")
                if known is None:
                    yield input_field(NAME, "Name", "", "e.g. lake")
                url = "" if known is None else known.url
                yield input_field(URL, "URL", url, "e.g. postgresql://ana@db.acme.example/marts")
                is_stored = known is not None and known.password_item is not None
                hint = KEEPS_STORED if is_stored else "if it needs one"
                password = KeyInput(placeholder=hint, id=PASSWORD)
                yield Field("Password", password)
            yield Static(safe_text((ONLY_OPENS, MUTED)), id="form-status")
            with Horizontal(id="buttons"):
                yield Button("Test", id="test", compact=True)
                yield Button("Save", id="save", variant="primary", compact=True)

    def on_mount(self) -> None:
        """Focus the first field."""
        self.begin()

    # Entries.

    @property
    def _source_name(self) -> str:
        return trimmed(entered(self, NAME)) if self._known is None else self._known.name

    def mistakes(self) -> dict[str, str]:
        """What is wrong with the current entries, by field."""
        wrong = {}
        if self._known is None:
            try:
                checked_source_name(self._source_name)
            except ValueError as error:
                wrong[NAME] = f"{str(error).capitalize()}."
            if self._source_name in self._taken:
                advice = "Choose another name, or edit that source."
                wrong[NAME] = f"Another source is called “{self._source_name}”. {advice}"
        try:
            entered_url(trimmed(entered(self, URL)))
        except ValueError as error:
            wrong[URL] = str(error)
        except WarehouseError as error:
            wrong[URL] = error.sentence(UNSAVED)
        return wrong

    def all_corrected(self) -> None:
        """Also clear the message below the fields."""
        self.say(ONLY_OPENS, "dim")

    async def _draft(self) -> _Draft | None:
        """The source to test; None if fields show mistakes."""
        connection = await stored(self.services, self.session.connection)
        by_name = {item.name: item for item in connection.sources}
        self._taken = frozenset(by_name)
        wrong = self.mistakes()
        self.query("#welcome").set(display=not wrong)  # mistakes need the room
        self.show_mistakes(wrong)
        if wrong:
            self.say(NOT_SAVED, "bad")
            return None
        url, password = entered_url(trimmed(entered(self, URL)))
        if password is not None:
            self._hide(url, password)
        typed = entered(self, PASSWORD)
        known = by_name.get(self._source_name)
        kept = known.password_item if known and is_same_login(known.url, url) else None
        source = NamedSource(name=self._source_name, url=url, password_item=kept)
        return _Draft(source, Secret(typed) if typed else None)

    def _hide(self, url: str, password: Secret) -> None:
        """Move a password from the URL into its own field, unless one is entered there."""
        self.query_one(f"#{URL}", Input).value = url
        masked = self.query_one(f"#{PASSWORD}", KeyInput)
        masked.value = masked.value or password.reveal()

    def on_key_input_both_pasted(self) -> None:
        """Reject a paste of two lines."""
        self._refuse_lines(2)

    def on_key_input_refused(self, event: KeyInput.Refused) -> None:
        """Reject a paste of more than two lines."""
        self._refuse_lines(event.lines)

    def _refuse_lines(self, count: int) -> None:
        text = f"{count} lines were pasted. A password is one line."
        self.show_mistakes({PASSWORD: text}, is_answer=True)

    # Testing and saving.

    def action_test(self) -> None:
        """Connect and show the version."""
        self.begin_work(self._test_alone(), "test")

    def action_save(self) -> None:
        """Open the warehouse, and save it."""
        self.begin_work(self._test_and_save(), "save")

    async def _test_alone(self) -> None:
        made = await self._draft()
        if made is not None and (version := await self._version(made)):
            self.say(f"It can be read: {version}. F2 saves it.", "good")

    async def _test_and_save(self) -> None:
        made = await self._draft()
        if made is not None and (version := await self._version(made)):
            await self._keep(made, version)

    async def _version(self, made: _Draft) -> str:
        """The version of the warehouse; "" if it can't be opened, which a message says."""
        self.say(OPENING, "dim")
        keyring = self.services.environment.keyring

        def opened() -> str:
            password = made.password or find_source_password(made.source, keyring)
            return warehouse_version(made.source, password)

        try:
            return await in_thread(opened)
        except WarehouseError as error:
            self.say(error.sentence(UNSAVED), "bad")
            return ""

    async def _keep(self, made: _Draft, version: str) -> None:
        self.say(STORING, "dim")
        services, session = self.services, self.session
        environment = services.environment
        before = await stored(services, session.connection)
        saved = await in_thread(
            keep_warehouse,
            environment.connections,
            environment.keyring,
            environment.ledgers,
            before,
            made.source,
            made.password,
            now=services.timing.now,
        )
        session.change(saved)
        services.publish_ledger_change()
        said = f"Saved the source “{clean(made.source.name)}”: {version}."
        if made.password is not None:
            said += f" {await in_thread(environment.keyring.keeps, 'Its password is')}"
        services.notifications.post(said)
        self.leave()
