"""Choosing the files to import."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Static

from amp_console.console.glyphs import Glyphs
from amp_console.console.paths import Entry, PathListing
from amp_console.console.texts import BAD, GOOD, MUTED, WARN, safe_text
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.widgets.fields import Tick
from amp_console.console.widgets.grid import Cell, Column, Grid, Row
from amp_console.console.widgets.path_input import PathInput
from amp_console.console.words import at, byte_size
from amp_console.engage.timestamps import read_download_time
from amp_console.sync.sources.bucket.address import is_bucket
from amp_console.text import plural

COLUMNS = (
    Column("Name", 20, flex=1),
    Column("Size", 9, right=True),
    Column("Changed", 16, rank=1),
)
NOTHING = "No file with this name."
NONE_HERE = "There is no file in the current folder: type a path."
FORMATS = (
    "NDJSON or JSON (also .gz), the CSV of the AWS S3 destination, an audience's CSV download."
)
BUCKET = "A bucket: every object that is new or has changed. Press Enter to read."
NEEDS_KEY = "A complete snapshot lists one audience: enter its key."
TAKEN_AT = "of the download, e.g. 2026-05-03 19:42, or leave empty"
WHOLE = "This CSV lists every member: all others have left the audience"


class ImportForm(Vertical):
    """A path with its files below, the audience, and whether a download is complete."""

    @dataclass
    class Submitted(Message):
        """The operator wants to import these files.

        `audience` is a key or empty. `taken_at` is the time of a CSV download, in microseconds
        since 1970; None is the time when the file was last changed.
        """

        files: Sequence[str]
        audience: str
        is_snapshot: bool
        taken_at: int | None

    def __init__(
        self, glyphs: Glyphs, now: Callable[[], int], buttons: Sequence[Button], path: str = ""
    ) -> None:
        """`now` returns the time in microseconds since 1970; `buttons` are the form's last row.

        `path` is the suggestion.
        """
        super().__init__(id="form")
        self._first_path = path
        self._buttons = buttons
        self._glyphs = glyphs
        self._now = now

    def compose(self) -> ComposeResult:
        placeholder = "path, pattern or bucket, e.g. events/*.gz"
        yield PathInput(self._first_path, placeholder=placeholder, id="path")
        yield Grid(COLUMNS, empty=NONE_HERE, glyphs=self._glyphs, id="files")
        yield Static(id="named")
        with Horizontal(classes="field"):
            yield Static("Audience", classes="label")
            yield Input(
                placeholder="its key; leave empty for every audience in the events", id="key"
            )
        with Horizontal(classes="field"):
            yield Static("Time", classes="label")
            yield Input(placeholder=TAKEN_AT, id="taken-at")
        yield Tick(WHOLE, id="whole")
        with ButtonRow():
            yield from self._buttons

    @property
    def _path(self) -> PathInput:
        return self.query_one("#path", PathInput)

    def suggest(self, audience_keys: Sequence[str]) -> None:
        """Suggest these keys for the audience."""
        suggester = SuggestFromList(audience_keys, case_sensitive=False)
        self.query_one("#key", Input).suggester = suggester

    def begin(self) -> None:
        """Focus the path."""
        self._path.focus()
        self._path.refresh_listing()

    def say(self, text: str, style: str = BAD) -> None:
        """Show a text below the files."""
        self.query_one("#named", Static).update(safe_text((text, style)))

    def go_to_files(self) -> None:
        """Move from the path to the files below it."""
        if self._path.has_focus:
            self.query_one("#files").focus()

    def on_path_input_files_listed(self, event: PathInput.FilesListed) -> None:
        entries = event.listing.entries
        grid = self.query_one(Grid)
        text = self._path.value
        grid.empty = "" if is_bucket(text) else NOTHING if text else NONE_HERE
        grid.show([_row(entry, at(entry.modified)[:16]) for entry in entries])
        self.say(*self._what_is_named(event.listing))

    def _what_is_named(self, found: PathListing) -> tuple[str, str]:
        if is_bucket(self._path.value):
            return BUCKET, GOOD
        if not found.files:
            return found.note if self._path.value else FORMATS, MUTED
        files = plural(len(found.files), "file")
        return f"{files}, {byte_size(found.bytes)}: press Enter to read.", GOOD

    def on_grid_opened(self, event: Grid.Opened) -> None:
        """Open the folder under the cursor, or choose the file."""
        entries = self._path.listing.entries
        chosen = next((entry for entry in entries if entry.path == event.key), None)
        if chosen is not None:
            self._path.enter(chosen.path + ("/" if chosen.is_folder else ""))
            if not chosen.is_folder:
                self._path.focus()

    @on(Input.Submitted)
    async def submit(self) -> None:
        """Post `Submitted`, or show what is missing."""
        found = await self._path.read_listing()
        text = self._path.value.strip()
        files = (text,) if is_bucket(text) else found.files
        key, whole = self.query_one("#key", Input), self.query_one("#whole", Tick)
        if not files:
            self.say(found.note, WARN)
            self._path.focus()
        elif whole.value and not key.value.strip():
            self.say(NEEDS_KEY)
            key.focus()
        else:
            taken = self.query_one("#taken-at", Input)
            try:
                taken_at = self._moment(taken.value.strip())
            except ValueError as error:
                self.say(str(error))
                taken.focus()
                return
            self.post_message(self.Submitted(files, key.value, whole.value, taken_at))

    def _moment(self, text: str) -> int | None:
        if not text:
            return None
        now = datetime.fromtimestamp(self._now() / 1_000_000, UTC)
        return round(read_download_time(text, now).timestamp() * 1_000_000)


def _row(entry: Entry, changed: str) -> Row:
    length = "" if entry.size is None else byte_size(entry.size)
    name = entry.name + ("/" if entry.is_folder else "")
    return Row(
        entry.path,
        (Cell(name, "accent" if entry.is_folder else ""), Cell(length), Cell(changed, "dim")),
        (entry.name, entry.size, entry.modified),
    )
