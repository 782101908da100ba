"""The editor for an audience's query: write it, try it without changing members, save it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from amp_console.connections import NamedSource, SettingsError
from amp_console.console.audience_changes import conflict_question
from amp_console.console.background import in_thread
from amp_console.console.failures import expected_failures
from amp_console.console.refreshes import engine_of
from amp_console.console.routes import MainScreen
from amp_console.console.screens.actions import Need
from amp_console.console.screens.footer import UsefulActions
from amp_console.console.screens.form import F1, NOT_SAVED, FormScreen
from amp_console.console.screens.sources.actions import NO_WAREHOUSE, stored
from amp_console.console.screens.sources.query_kinds import QueryKind
from amp_console.console.texts import BAD, GOOD, MUTED, STRONG, WARN, Part, lines, safe_text
from amp_console.console.widgets.fields import Choice, Field, Form, chosen, entered, input_field
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.widgets.sql_area import SqlArea
from amp_console.console.words import lasting
from amp_console.ledger.audience_queries import AudienceQuery, audience_queries, query_of
from amp_console.ledger.audiences import Audience, AudienceAmbiguous, all_audiences
from amp_console.sync.audience_queries import OVERLAP, SeenQuery, set_query
from amp_console.sync.audience_settings import SettingsConflict
from amp_console.sync.sources.warehouse import Engine, WarehouseError
from amp_console.sync.sources.warehouse.reader import TIMEOUT, ChangesFrom
from amp_console.sync.sources.warehouse.rows import columns_not_used
from amp_console.sync.sources.warehouse.trial import SAMPLE, QueryTrial, TrialReport
from amp_console.text import clean, parsed_duration, plural, spelled_duration, trimmed
from amp_console.values import IdType

KEY, NAME, SOURCE, SQL = "key", "name", "source", "sql"
KIND, OVERLAP_TIME, SCHEMA = "kind", "overlap", "schema"
NOT_TRIED = "F5 runs the query and counts what it returns. No members change."
LOOK_EVERY = 0.2  # seconds between two checks on a running query
MAX_LENGTH = 1_000  # characters of a sentence that quotes a server
MAX_CELL = 60  # characters


class QueryScreen(FormScreen):
    """The query of an existing or a new audience."""

    NAME = "Query of an audience"
    BELONGS_TO = MainScreen.SOURCES
    HELP = """\
A SQL query in a warehouse whose rows are the members of an audience. It returns a column user_id, a
column amplitude_id, or both; other columns are ignored. The query can only read.

A query of changes lists who entered and who left, in the columns is_member and changed_at. Each
refresh starts at :cursor, the newest change read so far, minus the overlap for changes that arrive
late. Segment's Profiles Sync fills in a query of the tables that Segment writes. A template never
replaces a query you have written; it fills in an empty one.

F5 tries it: it runs the whole query, counts rows, people, duplicates and refused rows, and shows
the first ten rows. No members change. F6 cancels the query, in the warehouse too.

F2 saves it. Members change with the next refresh: press u under Sources, which shows a plan first.

For a new audience, enter a key; a name is optional. If you enter the key of an existing audience,
that audience gets the query. Its members stay until the refresh."""
    CSS_PATH = "query.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "try_query", "Try", key_display="F5", id="query.try"),
        Binding("f6", "stop", "Cancel the query", key_display="F6", id="query.stop"),
        F1,
    ]
    NEEDS = {"save": {Need.WRITABLE}}  # noqa: RUF012

    def __init__(self, audience_id: int | None = None) -> None:
        super().__init__()
        self._audience_id = audience_id
        self._known: AudienceQuery | None = None
        self._audiences: Sequence[Audience] = ()
        self._queried: frozenset[int] = frozenset()
        self._sources: tuple[NamedSource, ...] = ()
        self._filled = ""  # the text that a template last filled in
        self._trial: QueryTrial | None = None  # while it runs

    def body(self) -> ComposeResult:
        with Container(id="query", classes="panel") as panel:
            panel.border_title = "New audience by query"
            with Form(id="fields"):
                yield Field("Key", Input(placeholder="e.g. vip", id=KEY))
                hint = "optional, e.g. VIP shoppers"
                yield Field("Name", Input(placeholder=hint, id=NAME))
                choice = Choice((), "", glyphs=self.services.glyphs, id=SOURCE)
                yield Field("Source", choice)
                kinds = [(str(kind), str(kind)) for kind in QueryKind]
                glyphs = self.services.glyphs
                kind = Choice(kinds, QueryKind.MEMBERS, glyphs=glyphs, id=KIND)
                yield Field("Lists", kind)
                hint = "how late a change may come, e.g. 10m"
                yield input_field(OVERLAP_TIME, "Overlap", spelled_duration(OVERLAP), hint)
                yield input_field(SCHEMA, "Schema", "", "of the space's tables, e.g. acme_prod")
            yield Static(id="about")
            yield SqlArea(id=SQL)
        with Vertical(id="result", classes="panel") as panel:
            panel.border_title = "Try"
            yield Static(safe_text((NOT_TRIED, MUTED)), id="found")
            yield Grid((), glyphs=self.services.glyphs, empty="", id="rows")

    def on_mount(self) -> None:
        """Fill in the form once the current values are read."""
        self.query_one("#rows").display = False
        self.query_one(f"#{SQL}", SqlArea).indent_type = "spaces"
        self._show_kind()

    # Reading and showing.

    async def load(self) -> None:
        """Read the audience and its query, without touching what is being entered."""
        is_first = self._at_first is None
        self._audiences = await self.session.read(all_audiences)
        queries = await self.session.read(audience_queries)
        self._queried = frozenset(queries)
        self._sources = (await stored(self.services, self.session.connection)).sources
        names = [(item.name, item.name) for item in self._sources]
        self.query_one(f"#{SOURCE}", Choice).offer(names)
        if not names:
            self.field(SOURCE).show_note(NO_WAREHOUSE, self.services.glyphs, "warn")
        if not is_first:
            return
        self._known = queries.get(self._audience_id or 0)
        self._fill()

    @property
    def _audience(self) -> Audience | None:
        """The audience whose query is edited, or which has the entered key."""
        key = trimmed(entered(self, KEY))
        for item in self._audiences:
            if item.id == self._audience_id or (self._audience_id is None and item.handle == key):
                return item
        return None

    @property
    def _kind(self) -> QueryKind:
        return QueryKind(chosen(self, KIND))

    def _show_kind(self) -> None:
        """Show the fields of the kind of query, and fill in its template."""
        kind = self._kind
        self.query_one("#about", Static).update(safe_text((kind.about, MUTED)))
        self.field(OVERLAP_TIME).display = kind is QueryKind.CHANGES
        self.field(SCHEMA).display = kind is QueryKind.SEGMENT
        self._fill_in()

    def _fill_in(self) -> None:
        """Fill in the template, unless the operator has written something."""
        area, audience = self.query_one(f"#{SQL}", SqlArea), self._audience
        if self._at_first is None or area.text.strip() not in {"", self._filled}:
            return
        key = trimmed(entered(self, KEY)) if audience is None else audience.handle
        self._filled = self._kind.template(key, trimmed(entered(self, SCHEMA)))
        area.load_text(self._filled)

    def _fill(self) -> None:
        handles = [item.handle for item in self._audiences]
        self.query_one(f"#{KEY}", Input).suggester = SuggestFromList(handles)
        area = self.query_one(f"#{SQL}", SqlArea)
        audience, known = self._audience, self._known
        if self._audience_id is not None and audience is not None:
            self.query_one("#query").border_title = safe_text(
                "Query of ", audience.name, max_length=50
            )
            for name in (KEY, NAME):
                self.field(name).display = False
            area.focus()
        if known is not None and known.is_changes:
            self.query_one(f"#{KIND}", Choice).value = QueryKind.CHANGES
            self.query_one(f"#{OVERLAP_TIME}", Input).value = spelled_duration(known.overlap)
        if known is None:
            self._filled = self._kind.template("", "")
        area.load_text(self._filled if known is None else known.sql)
        if known is not None and known.source in {item.name for item in self._sources}:
            self.query_one(f"#{SOURCE}", Choice).value = known.source
        self.begin()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say which existing audience gets the query, if any; update the template."""
        audience = self._audience
        if event.input.id in {KEY, SCHEMA} and self._kind is QueryKind.SEGMENT:
            self._fill_in()
        if event.input.id != KEY or self._audience_id is not None:
            return
        note = ""
        if audience is not None:
            name = clean(audience.name, 40)
            note = f"“{name}” gets this query. Its members stay until the refresh."
            if audience.id in self._queried:
                note = f"“{name}” has a query, which this one replaces."
        self.query_one("#query").border_subtitle = safe_text((note, WARN)) if note else ""

    def on_choice_changed(self, event: Choice.Changed) -> None:
        """Show the fields of the chosen kind of query."""
        if event.choice.id == KIND:
            self._show_kind()

    def entries(self) -> tuple[str, ...]:
        return (*super().entries(), self.query_one(f"#{SQL}", SqlArea).text)

    def mistakes(self) -> dict[str, str]:
        """What is wrong with the entries, by field."""
        is_new = self._audience_id is None
        wrong = {}
        if is_new and not trimmed(entered(self, KEY)):
            wrong[KEY] = "Enter a key. It names the audience in commands."
        if not self._sources:
            wrong[SOURCE] = NO_WAREHOUSE
        is_template = self.query_one(f"#{SQL}", SqlArea).text == self._filled
        if self._kind is QueryKind.SEGMENT and is_template and not trimmed(entered(self, SCHEMA)):
            wrong[SCHEMA] = "Enter the schema of the space: its tables are in it."
        if self._kind is QueryKind.CHANGES:
            try:
                self._overlap()
            except ValueError as error:
                wrong[OVERLAP_TIME] = str(error)
        return wrong

    def _overlap(self) -> float:
        """How late a change may come, in seconds. Raises ValueError."""
        return parsed_duration(trimmed(entered(self, OVERLAP_TIME)))

    # Trying.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to cancel a running query, otherwise to try one."""
        if action in {"try_query", "stop"} and (self._trial is None) is (action == "stop"):
            return False
        return super().check_action(action, parameters)

    def useful_actions(self) -> UsefulActions:
        return "save", "try_query", "stop"

    def action_try_query(self) -> None:
        """Run the query and count its rows; members do not change."""
        engine = self._engine()
        if engine is None or self._trial is not None:
            return
        wrong = {name: text for name, text in self.mistakes().items() if name != KEY}
        self.show_mistakes(wrong)
        if wrong:
            return
        audience, sql = self._audience, self.query_one(f"#{SQL}", SqlArea).text
        id_type = IdType.USER_ID if audience is None else audience.id_type
        changes = None
        if self._kind is QueryKind.CHANGES:
            changes = ChangesFrom(self._known.cursor if self._known else None, self._overlap())
        self._trial = QueryTrial(
            self.session.ledger,
            sql,
            engine,
            id_type,
            timeout=TIMEOUT,
            changes=changes,
            monotonic=self.services.timing.monotonic,
        )
        self.run_worker(self._try(self._trial, is_changes=changes is not None), group="try")

    def action_stop(self) -> None:
        """Cancel the query, in the warehouse too."""
        if self._trial is not None:
            self.run_worker(in_thread(self._trial.cancel), group="stop")

    def _engine(self) -> Callable[[], Engine] | None:
        name = chosen(self, SOURCE)
        source = next((item for item in self._sources if item.name == name), None)
        if source is None:
            self.services.notifications.post(NO_WAREHOUSE, "warning")
            return None
        return engine_of(source, self.services.environment.keyring)

    async def _try(self, trial: QueryTrial, *, is_changes: bool) -> None:
        started = self.services.timing.monotonic()
        running = asyncio.ensure_future(in_thread(trial.run))
        self.action_keys.refresh()
        try:
            while not (await asyncio.wait({running}, timeout=LOOK_EVERY))[0]:
                elapsed = lasting(self.services.timing.monotonic() - started)
                self._say(safe_text((f"Running: {plural(trial.rows, 'row')}, {elapsed}", MUTED)))
            self._show(running.result(), is_changes=is_changes)
        except WarehouseError as error:
            self._say(
                safe_text((error.sentence("Nothing was changed."), BAD), max_length=MAX_LENGTH)
            )
        except expected_failures(SettingsError) as error:
            self._say(safe_text((str(error), BAD), max_length=MAX_LENGTH))
        finally:
            self._trial = None
        self.action_keys.refresh()

    def on_unmount(self) -> None:
        """Cancel a query that is still running; a server may be slow to answer."""
        if self._trial is not None:
            self.services.run_in_background(in_thread(self._trial.cancel))

    def _say(self, text: Content) -> None:
        self.query_one("#rows").display = False
        self.query_one("#result").border_subtitle = ""
        self.query_one("#found", Static).update(text)

    def _show(self, report: TrialReport, *, is_changes: bool) -> None:
        self._say(_counts(report, is_changes=is_changes))
        grid = self.query_one("#rows", Grid)
        grid.display = bool(report.sample)
        if report.rows > len(report.sample):
            self.query_one("#result").border_subtitle = f"the first {SAMPLE} rows"
        grid.reshape([Column(clean(name, MAX_CELL), 8, flex=1) for name in report.columns])
        grid.show(
            [Row(at, tuple(map(_cell, values))) for at, values in enumerate(report.sample, 1)]
        )

    # Saving.

    def action_save(self) -> None:
        """Save the query; members change with the next refresh."""
        wrong = self.mistakes()
        self.show_mistakes(wrong)
        if wrong:
            self.services.notifications.post(NOT_SAVED, "warning")
        elif self._audience_id is not None and not self.is_changed:
            self.services.notifications.post("Nothing was changed.")
        else:
            self.run_worker(self._save(), exclusive=True, group="save")

    async def _save(self) -> None:
        audience, services = self._audience, self.services
        is_changes = self._kind is QueryKind.CHANGES
        name = audience.handle if audience is not None else trimmed(entered(self, KEY))
        sql = self.query_one(f"#{SQL}", SqlArea).text
        connection = await stored(services, self.session.connection)
        if connection.sources != self.session.connection.sources:
            self.session.change(connection)
        try:
            saved = await in_thread(
                set_query,
                self.session.ledger,
                self.session.connection,
                name,
                chosen(self, SOURCE),
                sql,
                new_name=trimmed(entered(self, NAME)) or None,
                is_changes=is_changes,
                overlap=self._overlap() if is_changes else OVERLAP,
                seen=SeenQuery(self._known) if self._audience_id is not None else None,
                now=services.timing.now,
            )
        except SettingsConflict as conflict:
            if await services.ask(conflict_question(conflict)):
                self._known = await self.session.read(query_of, conflict.now.id)
                await self._save()
            return
        except expected_failures(ValueError, AudienceAmbiguous, SettingsError) as error:
            services.notifications.post(str(error), "error")
            return
        services.publish_ledger_change()
        services.notifications.post(
            f"Saved the query of “{clean(saved.name)}”. Its members change with the next refresh: "
            "press u under Sources."
        )
        self.leave()


def _counts(report: TrialReport, *, is_changes: bool) -> Content:
    """What a query returned, in words; several changes of one person are not duplicates."""
    refused = sum(count for _, count in report.refused)
    duplicates: list[Part] = [
        "   ",
        (plural(report.duplicates, "duplicate"), WARN if report.duplicates else MUTED),
    ]
    rows = [
        safe_text(
            (plural(report.rows, "row"), STRONG),
            (f" in {lasting(report.seconds)}   ", MUTED),
            (plural(report.people, "person", "people"), f"{STRONG} {GOOD}"),
            *([] if is_changes else duplicates),
            "   ",
            (f"{refused:,} refused", BAD if refused else MUTED),
        )
    ]
    rows += [
        safe_text((f"refused: {reason} ({count:,})", BAD), max_length=MAX_LENGTH)
        for reason, count in report.refused
    ]
    if report.ignored:
        text = columns_not_used(report.ignored)
        rows.append(safe_text((text, MUTED), max_length=MAX_LENGTH))
    return lines(*rows)


def _cell(value: object) -> Cell:
    """A cell for a value; missing or blank values are named in words."""
    if value is None:
        return Cell("NULL", "dim")
    text = str(value)
    return Cell(text) if text.strip() else Cell("(blank)", "dim")
