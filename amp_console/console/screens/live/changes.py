"""The list of the last people who entered or left."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from amp_console.console.context import services_of
from amp_console.console.glyphs import Glyphs
from amp_console.console.routes import OpenPerson
from amp_console.console.widgets.grid import Column, Grid, Row
from amp_console.sync.live.progress import LiveChange

NO_CHANGE = "No change has been read yet."
ChangeRow = Callable[[LiveChange, Glyphs], Row]


class LastChanges(Vertical):
    """The last changes, the newest first. Enter or f opens the person under the cursor.

    The newest changes stay in view until the list is focused; then the cursor stays on its person.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "person",
            "Person",
            tooltip="Why someone is (not) in a cohort",
            id="live.person",
        ),
    ]

    def __init__(self, title: str, columns: Sequence[Column], row: ChangeRow, *, id: str) -> None:  # noqa: A002  # Textual's word
        """`row` returns the row of a change under `columns`."""
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._columns = columns
        self._row = row
        self._shown: dict[int, LiveChange] = {}

    def compose(self) -> ComposeResult:
        yield Grid(self._columns, glyphs=services_of(self).glyphs, empty=NO_CHANGE)

    def show(self, changes: Sequence[LiveChange]) -> None:
        """Show these changes."""
        glyphs, grid = services_of(self).glyphs, self.query_one(Grid)
        self._shown = {change.number: change for change in changes}
        grid.show([self._row(change, glyphs) for change in changes])
        if not grid.has_focus:
            grid.cursor = 0

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.stop()
        self.action_person()

    def action_person(self) -> None:
        """Show all that is known about the person under the cursor."""
        key = self.query_one(Grid).key
        change = self._shown.get(key) if isinstance(key, int) else None
        if change is not None:
            services_of(self).navigate(OpenPerson(change.id))
