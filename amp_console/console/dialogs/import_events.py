"""Importing files of events: choosing them, watching them being read, and what came of it."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.suggester import SuggestFromList
from textual.timer import Timer
from textual.widgets import Button, Checkbox, Input, Static

from amp_console.console import import_report
from amp_console.console.background import aside
from amp_console.console.dialogs.base import DIALOG_SHEET, Dialog, Sheets
from amp_console.console.failures import KNOWN
from amp_console.console.glyphs import bar
from amp_console.console.jobs.imports import ImportJob
from amp_console.console.jobs.speed import Speed, seconds_left
from amp_console.console.paths import Entry, PathListing, completed, listing
from amp_console.console.routes import OpenErrors
from amp_console.console.texts import BAD, GOOD, MUTED, STRONG, TONE, WARN, lines, said, with_key
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.words import at, byte_size, stopwatch
from amp_console.ledger.audiences import AudienceAmbiguous, all_audiences
from amp_console.text import plural

OFTEN = 0.2  # seconds between two pictures of an import under way
COLUMNS = (
    Column("Name", 20, flex=1),
    Column("Size", 9, right=True),
    Column("Changed", 16, rank=1),
)
NOTHING = "Nothing here by that name."
FORMATS = (
    "NDJSON or JSON (also .gz), the CSV of the AWS S3 destination, an audience's CSV download."
)
NEEDS_KEY = "A complete snapshot is of one audience: give its key."


class PathInput(Input):
    """A path. Tab completes it as far as it can be told; down goes to the files below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False),
        Binding("down", "files", "Choose below", show=False),
    ]

    def action_complete(self) -> None:
        """Complete the path, or go on to the next field where nothing can be completed."""
        dialog = self.screen
        assert isinstance(dialog, ImportDialog)
        longer = completed(self.value, dialog.found.entries)
        if longer == self.value:
            self.screen.focus_next()
        else:
            self.value = longer
            self.cursor_position = len(longer)

    def action_files(self) -> None:
        """Go to the files below."""
        self.screen.query_one(Grid).focus()


class Tick(Checkbox):
    """A box to tick that says so by more than its colour."""

    def render(self) -> Content:
        """Draw [x] or [ ], and the label."""
        return said(f"[{'x' if self.value else ' '}] ") + self._label


class ImportDialog(Dialog[None]):
    """Chooses files, then shows them being read. It can be left and come back to meanwhile."""

    CSS_PATH: ClassVar[Sheets] = [DIALOG_SHEET, "import_events.tcss"]
    TITLE_TEXT = "Import events"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "errors", "Invalid events", show=False, id="import.errors"),
        Binding("c", "stop", "Stop reading", show=False, id="import.stop"),
        Binding("i", "another", "Another file", show=False, id="import.another"),
        Binding("a", "insist", "Remove anyway", show=False, id="import.insist"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found = PathListing((), (), "")
        self._timer: Timer | None = None
        self._speed = Speed()
        self._is_asking = False

    # What is in the box.

    def box(self) -> ComposeResult:
        """The form; in its place, while files are read and after, how it goes."""
        with Vertical(id="form"):
            yield PathInput(placeholder="path or pattern, such as events/*.gz", id="path")
            yield Grid(COLUMNS, empty=NOTHING, glyphs=self.services.glyphs, id="files")
            yield Static(id="named")
            with Horizontal(classes="field"):
                yield Static("Audience", classes="label")
                yield Input(placeholder="its key; empty: every audience in the events", id="key")
            yield Tick(
                "This CSV download is complete: those who are not in it have left", id="whole"
            )
            with Horizontal(classes="buttons"):
                yield Button(with_key("Cancel", "esc"), id="close", compact=True)
                yield Button("Import", id="import", variant="primary", compact=True)
        with Vertical(id="reading"):
            with VerticalScroll(id="says", can_focus=False):
                yield Static(id="progress")
            with Horizontal(classes="buttons"):
                yield Button(with_key("Stop", "c"), id="stop", compact=True)
                yield Button(with_key("Another file", "i"), id="another", compact=True)
                yield Button(with_key("Invalid events", "x"), id="errors", compact=True)
                yield Button(with_key("Remove the others anyway", "a"), id="insist", compact=True)
                yield Button(with_key("Close", "esc"), id="leave", compact=True)

    async def on_mount(self) -> None:
        """Show the import under way, or the one whose end was not seen, else the form."""
        work = self.work
        if work is not None and not work.was_told:
            self._watch(work)
        else:
            await self._show_form()

    @property
    def work(self) -> ImportJob | None:
        """The import under way, or the last one."""
        return self.services.jobs.importing

    # The form.

    async def _show_form(self) -> None:
        self.query_one("#reading").display = False
        self.query_one("#form").display = True
        self.query_one("#path").focus()
        session = self.services.session
        if session is not None:
            known = await session.read(all_audiences)
            keys = SuggestFromList([item.handle for item in known], case_sensitive=False)
            self.query_one("#key", Input).suggester = keys
        self._list()

    @on(Input.Changed, "#path")
    def _path_changed(self) -> None:
        self._list()

    def _list(self) -> None:
        self.run_worker(self._look_around, group="files", exclusive=True)

    async def _look_around(self) -> None:
        text = self.query_one("#path", Input).value
        self.found = await aside(listing, text)
        grid = self.query_one("#files", Grid)
        grid.show([_row(entry, at(entry.modified)[:16]) for entry in self.found.entries])
        self._say(*self._what_is_named())

    def _what_is_named(self) -> tuple[str, str]:
        files = self.found.files
        if not files:
            is_empty = not self.query_one("#path", Input).value and self.found.entries
            return FORMATS if is_empty else self.found.note, MUTED
        size = byte_size(self.found.bytes)
        return f"{plural(len(files), 'file')}, {size}: press Enter to read.", GOOD

    def _say(self, text: str, style: str) -> None:
        self.query_one("#named", Static).update(said((text, style)))

    def on_grid_opened(self) -> None:
        """Go into the folder under the cursor, or take the file."""
        key = self.query_one("#files", Grid).key
        of = next((entry for entry in self.found.entries if entry.path == key), None)
        if of is None:
            return
        path = self.query_one("#path", Input)
        path.value = of.path + ("/" if of.is_folder else "")
        path.cursor_position = len(path.value)
        if not of.is_folder:
            path.focus()

    @on(Input.Submitted)
    @on(Button.Pressed, "#import")
    async def _begin(self) -> None:
        """Start to read what is named, or say what is missing."""
        text = self.query_one("#path", Input).value
        self.found = await aside(listing, text)
        key, whole = self.query_one("#key", Input), self.query_one("#whole", Tick)
        if not self.found.files:
            self._say(self.found.note, WARN)
            self.query_one("#path").focus()
            return
        if whole.value and not key.value.strip():
            self._say(NEEDS_KEY, BAD)
            key.focus()
            return
        try:
            work = await import_report.start(
                self.services, self.found.files, key.value, is_snapshot=whole.value
            )
        except (*KNOWN, AudienceAmbiguous) as error:
            self._say(str(error), BAD)
        else:
            self._watch(work)

    # While files are read, and after.

    def _watch(self, work: ImportJob) -> None:
        self.query_one("#form").display = False
        self.query_one("#reading").display = True
        self._speed = Speed(self.services.timing.monotonic())
        work.is_watched = True
        self._show(work)
        if not work.is_over:
            self._timer = self.set_interval(OFTEN, self._tick)
        self.query_one("#leave").focus()

    def on_unmount(self) -> None:
        """Somebody else has to tell how it ends."""
        if self.work is not None:
            self.work.is_watched = False

    def _tick(self) -> None:
        work = self.work
        if work is None:
            return
        if work.is_over and self._timer is not None:
            self._timer.stop()
            self._timer = None
        self._show(work)

    def _show(self, work: ImportJob) -> None:
        is_over = work.is_over
        has_invalid = work.report is not None and work.report.tally.invalid > 0
        self.query_one("#stop").display = not is_over
        self.query_one("#stop", Button).disabled = work.is_ending
        self.query_one("#another").display = is_over
        self.query_one("#errors").display = has_invalid
        self.query_one("#insist").display = self._can_insist
        if is_over:
            work.was_told = True
            self._show_end(work)
        else:
            self._show_progress(work)

    def _show_end(self, work: ImportJob) -> None:
        style = BAD if work.report is None else STRONG
        rows = [said((import_report.ended(work), style))]
        if work.report is not None:
            rows += [said((text, TONE[tone])) for text, tone in import_report.details(work.report)]
        self.query_one("#progress", Static).update(lines(*rows))
        if work.asks and not self._is_asking:
            self._is_asking = True
            self.run_worker(self._confirm(work))

    async def _confirm(self, work: ImportJob) -> None:
        """Have a snapshot that removes many members confirmed."""
        while (asked := work.asks) is not None:
            is_yes = await self.services.ask(import_report.confirmation(asked))
            await work.answer(is_yes=bool(is_yes))
        self._is_asking = False
        self._show(work)

    @property
    def _can_insist(self) -> bool:
        report = self.work.report if self.work is not None else None
        return bool(report and report.snapshot and report.snapshot.can_be_insisted)

    def _show_progress(self, work: ImportJob) -> None:
        now, glyphs = work.progress, self.services.glyphs
        width = max(10, (self.query_one("#progress").size.width or 60) - 26)
        if now is None:
            doing = "Stopping…" if work.is_ending else "Opening…"
            self.query_one("#progress", Static).update(said((doing, MUTED)))
            return
        clock = self.services.timing.monotonic()
        self._speed.saw(clock, work.done)
        left = seconds_left(max(0, work.total - work.done), self._speed.per_second(clock))
        eta = f"ETA {stopwatch(left + 0.999)}" if left is not None and work.total else ""
        share = bar(glyphs, work.done, work.total, width) if work.total else ""
        sizes = f" {byte_size(work.done)} of {byte_size(work.total)}"
        doing = (
            "Stopping after this part. What was read is kept."
            if work.is_ending
            else ("Esc leaves it going on; i under Audiences leads back here.")
        )
        tally = now.tally
        self.query_one("#progress", Static).update(
            lines(
                said(("Reading ", MUTED), now.source),
                said((share, TONE["accent"]), sizes if work.total else sizes.partition(" of ")[0]),
                said((eta, MUTED)),
                said(
                    (f"{tally.read:,}", STRONG),
                    (" events read   ", MUTED),
                    (f"{tally.changes:,}", STRONG),
                    (" changes   ", MUTED),
                    (f"{tally.filtered:,}", STRONG),
                    (" filtered   ", MUTED),
                    (f"{tally.invalid:,}", BAD if tally.invalid else STRONG),
                    (" invalid", MUTED),
                ),
                said(""),
                said((doing, MUTED)),
            )
        )

    # Actions.

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do what a button says."""
        match event.button.id:
            case "close" | "leave":
                self.dismiss(None)
            case "stop":
                self.action_stop()
            case "another":
                self.run_worker(self._show_form())
            case "errors":
                self.action_errors()
            case "insist":
                self.action_insist()

    @property
    def _is_form(self) -> bool:
        return bool(self.query_one("#form").display)

    def action_stop(self) -> None:
        """Stop reading; what was read is kept."""
        if not self._is_form and self.work is not None and not self.work.is_over:
            self.work.cancel()
            self._show(self.work)

    def action_insist(self) -> None:
        """Apply a snapshot although it is incomplete, once that is confirmed."""
        if not self._is_form and self._can_insist:
            self.run_worker(self._insist())

    async def _insist(self) -> None:
        work = self.work
        if work is not None:
            await work.insist()
            self._show(work)

    def action_another(self) -> None:
        """Back to the form, once nothing is read any more."""
        if not self._is_form and self.work is not None and self.work.is_over:
            self.run_worker(self._show_form())

    def action_errors(self) -> None:
        """Show the invalid events, if there are any."""
        if self._is_form or not self.query_one("#errors").display:
            return
        self.dismiss(None)
        self.services.navigate(OpenErrors(invalid=True))


def _row(of: Entry, changed: str) -> Row:
    size = "" if of.size is None else byte_size(of.size)
    name = of.name + ("/" if of.is_folder else "")
    return Row(
        of.path,
        (Cell(name, "accent" if of.is_folder else ""), Cell(size), Cell(changed, "dim")),
        (of.name, of.size, of.modified),
    )
