"""Choosing, saving, renaming and deleting views, and choosing columns."""

import enum
from collections.abc import Collection, Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.validation import Function

from amp_console.connections import SavedView
from amp_console.connections.saved_views import name_problem
from amp_console.console.dialogs.base import Dialog
from amp_console.console.dialogs.form import FormDialog, ask_text
from amp_console.console.glyphs import Glyphs
from amp_console.console.lifecycle import is_open
from amp_console.console.widgets.grid import Cell, Column, Grid, Row

EVERYTHING = "All audiences"
"""The name of the unchanged list among the views."""
NO_ROOM = "no room in this window"
"""Shown for a chosen column that is left out because the list is too narrow."""
ALWAYS = "{} is always shown, and always first."
MAX_ROWS = 12  # rows that a list in a dialog shows at once
VIEWS = (Column("", 1), Column("View", 20, flex=1), Column("Shows", 24, flex=2))
CHOICE = (Column("", 3), Column("Column", 20, flex=1), Column("", len(NO_ROOM), hides=True))


class ViewAction(enum.Enum):
    """What to do with a view."""

    USE = "use"
    SAVE = "save"
    RENAME = "rename"
    DELETE = "delete"
    COLUMNS = "columns"


class ViewChoice(NamedTuple):
    """What an operator chose; `name` is "" for the unchanged list."""

    action: ViewAction
    name: str = ""


class ViewsDialog(Dialog[ViewChoice]):
    """The saved views by name."""

    TITLE_TEXT = "Views"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose('use')", "Use", key_display="Enter", show=False),
        Binding("n", "choose('save')", "Save what is shown", show=False),
        Binding("r", "choose('rename')", "Rename", show=False),
        Binding("d", "choose('delete')", "Delete", show=False),
        Binding("c", "choose('columns')", "Columns", show=False),
    ]

    def __init__(self, views: dict[str, SavedView], used: str, *, is_changed: bool) -> None:
        """`is_changed`: the list no longer looks as the view in use does, so none is marked."""
        super().__init__()
        self._views = views
        self._used = used
        self._is_changed = is_changed

    def box(self) -> ComposeResult:
        yield Grid(VIEWS, glyphs=self.services.glyphs)

    def on_mount(self) -> None:
        glyphs, grid = self.services.glyphs, self.query_one(Grid)
        shown = {"": SavedView(), **self._views}
        marked = None if self._is_changed else self._used
        rows = [
            Row(
                name,
                (
                    Cell(glyphs.mark if name == marked else "", "accent"),
                    Cell(name or EVERYTHING),
                    Cell(described(view, glyphs), "dim"),
                ),
            )
            for name, view in shown.items()
        ]
        grid.styles.height = 1 + min(MAX_ROWS, len(rows))
        grid.show(rows)
        grid.go_to(self._used)
        grid.focus()

    def on_grid_opened(self) -> None:
        self.action_choose("use")

    def on_grid_moved(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to rename or delete saved views, but not the unchanged list."""
        is_of_saved = parameters in {("rename",), ("delete",)}
        if is_of_saved and is_open(self) and self.query_one(Grid).key == "":
            return False
        return super().check_action(action, parameters)

    def action_choose(self, action: str) -> None:
        """Answer with an action on the view under the cursor."""
        self.dismiss(ViewChoice(ViewAction(action), str(self.query_one(Grid).key)))


def described(view: SavedView, glyphs: Glyphs) -> str:
    """Return a short description of a view."""
    parts = [f"filter “{view.filter}”"] if view.filter else []
    if view.sort:
        parts.append(f"by {view.sort} {glyphs.down if view.descending else glyphs.up}")
    if view.columns:
        parts.append(", ".join(view.columns))
    return glyphs.separator.join(parts) or "everything"


def ask_view_name(title: str, name: str, yes: str) -> FormDialog[str]:
    """A form that asks for the name of a view."""
    rule = Function(lambda text: name_problem(text.strip()) is None, "This name can't be used.")
    return ask_text(title, "Name", name, yes, rule)


class ColumnsDialog(Dialog[tuple[str, ...]]):
    """The columns of a list: which are shown, and in which order. The first one is always first."""

    TITLE_TEXT = "Columns"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "Apply", key_display="Enter", show=False),
        Binding("space", "switch_column", "Show or hide", show=False),
        Binding("K,shift+up", "shift(-1)", "Move up", show=False),
        Binding("J,shift+down", "shift(1)", "Move down", show=False),
    ]

    def __init__(
        self, labels: Sequence[str], shown: Sequence[str], without_room: Collection[str] = ()
    ) -> None:
        """`labels` are those of all columns; `shown` are those of visible columns, in order.

        `without_room` are chosen columns for which the list has no room as it is.
        """
        super().__init__()
        self._order = [*shown, *(label for label in labels if label not in shown)]
        self._shown = set(shown)
        self._without_room = without_room
        self._first = labels[0]

    def box(self) -> ComposeResult:
        yield Grid(CHOICE, glyphs=self.services.glyphs)

    def on_mount(self) -> None:
        self._show()
        self.query_one(Grid).styles.height = 1 + len(self._order)
        self.query_one(Grid).focus()

    def on_grid_opened(self) -> None:
        self.action_apply()

    def action_apply(self) -> None:
        """Answer with the visible columns, in order."""
        self.dismiss(tuple(label for label in self._order if label in self._shown))

    def action_switch_column(self) -> None:
        """Show or hide the column under the cursor: others then have more room, or less."""
        label = str(self.query_one(Grid).key)
        if label == self._first:
            self.services.notifications.post(ALWAYS.format(label), "warning", is_kept=False)
            return
        self._shown ^= {label}
        self._without_room = ()
        self._show()

    def action_shift(self, by: int) -> None:
        """Move the column under the cursor, but never before the first one."""
        grid = self.query_one(Grid)
        at = self._order.index(str(grid.key))
        to = at + by
        if at > 0 and 0 < to < len(self._order):
            self._order.insert(to, self._order.pop(at))
            self._show()

    def _lacks_room(self, label: str) -> bool:
        return label in self._shown and label in self._without_room

    def _show(self) -> None:
        mark = self.services.glyphs.mark
        self.query_one(Grid).show(
            [
                Row(
                    label,
                    (
                        Cell(mark if label in self._shown else "", "accent"),
                        Cell(label),
                        Cell(NO_ROOM if self._lacks_room(label) else "", "dim"),
                    ),
                )
                for label in self._order
            ]
        )
