"""A connection's settings and keys: the first thing a newcomer sees."""

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from amp_console.connections import Connection
from amp_console.connections.ledger_passwords import NOT_KEPT as NOT_KEPT_IN_KEYRING
from amp_console.console.background import in_thread
from amp_console.console.dialogs.base import Confirm
from amp_console.console.dialogs.keyring import UntilQuit
from amp_console.console.glyphs import Glyphs
from amp_console.console.routes import MainScreen, SwitchConnection
from amp_console.console.screens.actions import Need
from amp_console.console.screens.connections.draft import Draft, Entered, Mistakes, draft
from amp_console.console.screens.connections.keys import (
    IN_MEMORY,
    NOT_KEPT,
    TONES,
    KeyCheckResult,
    KeyVerdict,
    keys_for,
    save,
    try_keys,
)
from amp_console.console.screens.connections.ledger import (
    LEDGER,
    OPENING,
    OPERATOR,
    PASSWORD,
    check_idle,
    ledger_fields,
    reopen,
    switch_ledger,
)
from amp_console.console.screens.form import F1, KEEPS_STORED, NOT_SAVED, FormScreen
from amp_console.console.texts import MUTED, safe_lines, safe_text
from amp_console.console.widgets.fields import (
    Choice,
    Field,
    Form,
    chosen,
    entered,
    input_field,
    yes_no,
)
from amp_console.console.widgets.key_input import KeyInput
from amp_console.ledger import LedgerError
from amp_console.sync.connection_log import log_connection_saved
from amp_console.sync.ledgers import LedgerPlace
from amp_console.text import clean
from amp_console.values import Region, Secret

WELCOME = """\
Welcome. Connect the Amplitude project whose cohorts should follow your audiences.
Keys and App ID: Amplitude {to} Settings {to} Projects {to} your project {to} General.
Both keys can be pasted at once: two lines, the API Key first."""
TESTING = "Testing the keys…"
STORING = "Saving…"
BUSY = "The keys are being tested or stored."
TOUCHES_NOTHING = "Test only reads the cohort list."


class ConnectionForm(FormScreen):
    """The form for a new or an existing connection."""

    NAME = "Connection"
    BELONGS_TO = MainScreen.CONNECTIONS
    HELP = """\
An Amplitude project: its region, the owner of new cohorts, and its keys.

To find the API Key, Secret Key and App ID (called "Project ID" there) in Amplitude, open Settings,
Projects, your project, General. You can paste both keys at once, one per line, into either field.

The keys are tested before they are saved. They are saved only in your system's keyring, never in a
file. Up, down and Tab move between fields; left, right and space choose.

A team keeps its ledger on PostgreSQL: enter its address and password under Advanced. This does not
copy the current ledger; the command `amp-console ledger move` does. Colleagues see what you did
under your name, which is user@host unless you enter another one."""
    CSS_PATH = "../form.tcss"
    DEFAULT_CLASSES = "one-form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+t", "test", "Test", id="connection.test"),
        F1,
    ]
    NEEDS = {"save": {Need.SETTINGS}}  # noqa: RUF012
    AT_WORK: ClassVar[Mapping[str, str]] = dict.fromkeys(("test", "save"), BUSY)

    def __init__(self, connection: Connection | None = None) -> None:
        super().__init__()
        self._known = connection
        self._others: tuple[Connection, ...] = ()

    # Layout.

    def body(self) -> ComposeResult:
        with Vertical(id="form", classes="panel") as panel:
            known = self._known
            name = known.name if known else "Connect an Amplitude project"
            panel.border_title = safe_text(name, max_length=50)
            with Form():
                if known is None:
                    yield Static(_welcome(self.services.glyphs), id="welcome")
                yield from _fields(known, self._keys_hint(), self.services.glyphs)
                if self.services.environment.demo is None:  # the demo's ledger is a file
                    yield from ledger_fields(
                        known, self.services.environment.ledgers, is_shown=_has_advanced(known)
                    )
            yield Static(safe_text((TOUCHES_NOTHING, MUTED)), id="form-status")
            with Horizontal(id="buttons"):
                yield Button("Test", id="test", compact=True)
                yield Button("Save", id="save", variant="primary", compact=True)
                if not _has_advanced(known):
                    yield Button("Advanced", id="advanced", compact=True)

    def _keys_hint(self) -> str:
        if self._known is not None and self._known.keyring_item:
            return KEEPS_STORED
        return "leave empty to use the environment's" if self._has_keys() else ""

    def on_mount(self) -> None:
        """Focus the first field."""
        self.begin()

    # Entries.

    def _has_keys(self) -> bool:
        """Whether keys are known without typing."""
        keys, known = self.services.environment_keys, self._known
        if known is None:
            return keys.are_for_first
        if keys.belong_to(known):
            return True
        session = self.services.connections.session_of(known)
        return bool(known.keyring_item or (session and session.key_source))

    def _entered(self) -> Entered:
        has_ledger = self.services.environment.demo is None
        return Entered(
            name=entered(self, "name"),
            api_key=Secret(entered(self, "api-key")),
            secret_key=Secret(entered(self, "secret-key")),
            app_id=entered(self, "app-id"),
            owner=entered(self, "owner"),
            region=Region(chosen(self, "region")),
            read_only=chosen(self, "read-only") == "yes",
            prefix=chosen(self, "prefix") == "yes",
            base_url=entered(self, "base-url"),
            has_keys=self._has_keys(),
            ledger=entered(self, LEDGER) if has_ledger else "",
            operator=entered(self, OPERATOR) if has_ledger else "",
            ledger_password=Secret(entered(self, PASSWORD) if has_ledger else ""),
        )

    async def _draft(self) -> Draft | None:
        """The connection to test; None if fields show mistakes."""
        self._others = await in_thread(self.services.environment.connections.all)
        try:
            made = draft(self._entered(), self._known, self._others)
        except Mistakes as mistakes:
            self.query("#welcome").set(display=False)  # mistakes need the room
            self.show_mistakes(mistakes.by_field)
            if not {"base-url", LEDGER, OPERATOR}.isdisjoint(mistakes.by_field):
                self.action_advanced()
            self.say(NOT_SAVED, "bad")
            return None
        self.show_mistakes({})
        if made.ledger is not None and made.ledger.password is not None:
            self._hide(made.ledger)
        return made

    def _hide(self, place: LedgerPlace) -> None:
        """Move a password from the address of the ledger into the masked field."""
        if place.server is not None and place.password is not None:
            self.query_one(f"#{LEDGER}", Input).value = place.server.url
            self.query_one(f"#{PASSWORD}", KeyInput).value = place.password.reveal()

    def mistakes(self) -> dict[str, str]:
        """What is wrong with the current entries, by field."""
        try:
            draft(self._entered(), self._known, self._others)
        except Mistakes as found:
            return found.by_field
        return {}

    def all_corrected(self) -> None:
        """Also clear the message below the fields."""
        self.say(TOUCHES_NOTHING, "dim")

    def on_key_input_both_pasted(self, event: KeyInput.BothPasted) -> None:
        """Move both keys, pasted into one field, to their own fields."""
        self.query_one("#api-key", KeyInput).value = event.api_key.reveal()
        self.query_one("#secret-key", KeyInput).value = event.secret_key.reveal()
        self.query_one("#app-id").focus()
        self.say("Both keys are filled in: the first line is the API Key.", "good")

    def on_key_input_refused(self, event: KeyInput.Refused) -> None:
        """Reject a paste of more lines than there are keys."""
        name = event.input.id or ""
        text = f"{event.lines} lines were pasted. Paste one key, or both keys on two lines."
        self.show_mistakes({name: text}, is_answer=True)

    # Testing and saving.

    def action_advanced(self) -> None:
        """Show the advanced fields."""
        for hidden in self.query(Field):
            hidden.display = True
        self.query("#advanced").remove()
        if not any(field.note for field in self.query(Field)):
            self.query_one("#base-url").focus()

    def action_test(self) -> None:
        """Check the keys with Amplitude."""
        self.begin_work(self._test_alone(), "test")

    def action_save(self) -> None:
        """Test the keys, and save them with the connection."""
        self.begin_work(self._test_and_save(), "save")

    async def _test_alone(self) -> None:
        tested = await self._test()
        if tested is not None and tested[1].verdict is KeyVerdict.ACCEPTED:
            self.say(f"{tested[1].text} F2 saves the connection.", "good")

    async def _test(self) -> tuple[Draft, KeyCheckResult] | None:
        """Test the entries or, if they are wrong, what the operator accepts instead.

        None if fields show mistakes.
        """
        while (made := await self._draft()) is not None:
            self.say(TESTING, "dim")
            credentials = made.credentials or await keys_for(self.services, made.connection)
            urls = self.services.environment.region_urls
            outcome = await try_keys(made.connection, credentials, urls)
            tone = TONES[outcome.verdict]
            self.say("" if outcome.field else outcome.text, tone)
            if outcome.field:
                self.show_mistakes({outcome.field: outcome.text}, tone, is_answer=True)
            if not await self._takes_instead(outcome):
                return made, outcome
        return None

    async def _takes_instead(self, outcome: KeyCheckResult) -> bool:
        """Offer the right value, and enter it if the operator accepts it."""
        if outcome.region is not None:
            name, value, label = "region", str(outcome.region), outcome.region.label
        elif outcome.app_id is not None:
            name, value, label = "app-id", str(outcome.app_id), f"App ID {outcome.app_id}"
        else:
            return False
        question = Confirm(
            f"Use {label} instead?", [outcome.text], yes=f"Use {label}", no="Keep it"
        )
        if not await self.services.ask(question):
            return False
        control = self.field(name).control
        assert isinstance(control, Input | Choice)
        control.value = value
        return True

    async def _test_and_save(self) -> None:
        made = await self._draft()
        if made is None:
            return
        if made.reaches_as(self._known):  # there is nothing new to test
            await self._keep(made, "")
            return
        tested = await self._test()
        if tested is None or tested[1].verdict is KeyVerdict.REFUSED:
            return
        made, outcome = tested
        is_untested = outcome.verdict is KeyVerdict.UNTESTED
        if is_untested and not await self.services.ask(_save_untested(outcome)):
            return
        await self._keep(made, f" {outcome.text}")

    async def _keep(self, made: Draft, tested: str) -> None:
        is_new = self._known is None or self.services.session is None
        reopens = made.ledger is not None
        if self._known is not None and made.connection.operator != self._known.operator:
            try:
                check_idle(self.services, made.connection)
            except LedgerError as error:
                self._refuse(OPERATOR, str(error))
                return
            reopens = True
        if made.ledger is not None:
            switched = await self._switch(made.connection, made.ledger)
            if switched is None:
                return
            made = made._replace(connection=switched[0])
            tested = f"{tested} {switched[1]}"
        self.say(STORING, "dim")
        where = await save(self.services, made, self._known, opens=is_new)
        if where is None:
            kept = "Nothing" if made.ledger is None else "Nothing but the ledger"
            self.say(f"{kept} was saved.", "warn")
            return
        await in_thread(
            log_connection_saved,
            self.services.environment.ledgers,
            self._known,
            made.connection,
            has_new_keys=made.credentials is not None,
            are_keys_stored=where not in {IN_MEMORY, NOT_KEPT},
            now=self.services.timing.now,
        )
        if reopens and not is_new:
            await reopen(self.services, made.connection)
        name = clean(made.connection.name)
        self.services.notifications.post(f"Saved “{name}”.{tested} {where}")
        self.leave()
        opened = self.services.connections.find(made.connection)
        if is_new and opened is not None and opened is not self.services:
            self.services.navigate(SwitchConnection(made.connection.id))

    async def _switch(
        self, connection: Connection, place: LedgerPlace
    ) -> tuple[Connection, str] | None:
        """Open and save another ledger; None if that failed, which its field shows."""
        self.say(OPENING, "dim")
        try:
            return await switch_ledger(self.services, connection, place)
        except (LedgerError, UntilQuit) as error:
            self._refuse(LEDGER, str(error) or NOT_KEPT_IN_KEYRING)
            return None

    def _refuse(self, field: str, text: str) -> None:
        """Show at an advanced field why nothing was saved."""
        self.show_mistakes({field: text}, is_answer=True)
        self.action_advanced()
        self.say("Nothing was saved.", "warn")


def _has_advanced(known: Connection | None) -> bool:
    """Whether the advanced fields are shown from the start."""
    return known is not None and bool(known.base_url or known.ledger or known.operator)


def _welcome(glyphs: Glyphs) -> Content:
    return safe_lines(WELCOME.format(to=glyphs.arrow).splitlines())


def _fields(known: Connection | None, hint: str, glyphs: Glyphs) -> ComposeResult:
    yield input_field("name", "Name", known.name if known else "", "e.g. Acme prod")
    yield Field("API Key", KeyInput(placeholder=hint, id="api-key"))
    yield Field("Secret Key", KeyInput(placeholder=hint, id="secret-key"))
    yield input_field("app-id", "App ID", str(known.app_id) if known else "", "e.g. 153957")
    owner = known.owner_email if known else ""
    yield input_field("owner", "Cohort owner", owner, "e.g. ana@acme.example, who owns new cohorts")
    region = known.region if known else Region.NORTH_AMERICA
    regions = [(str(item), item.label) for item in Region]
    yield Field("Region", Choice(regions, region, glyphs=glyphs, id="region"))
    is_read_only = bool(known and known.read_only)
    words = "Read and write", "Read-only: never send anything"
    yield Field("Mode", yes_no(is_read_only, *words, glyphs=glyphs, id="read-only"))
    words = "Same as audience", 'Prefix with "[Segment] "'
    has_prefix = bool(known and known.prefix)
    yield Field("Cohort names", yes_no(has_prefix, *words, glyphs=glyphs, id="prefix"))
    url = (known.base_url if known else None) or ""
    base = input_field(
        "base-url", "Base URL", url, "instead of the region's, e.g. a gateway or the simulator"
    )
    base.display = bool(url)
    yield base


def _save_untested(outcome: KeyCheckResult) -> Confirm:
    return Confirm(
        "Save without testing?",
        [
            outcome.text,
            "",
            "The keys are saved as they are. To test them later press T under Connections.",
        ],
        yes="Save untested",
        no="Don't save",
    )
