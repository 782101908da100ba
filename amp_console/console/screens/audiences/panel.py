"""The panel of home's list; its title says what is listed, and what needs attention."""

from collections.abc import Callable, Sequence

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from amp_console.console.context import services_of
from amp_console.console.screens.audiences.rows import Title, line_below, title
from amp_console.console.texts import safe_text
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid
from amp_console.sync.queries.status import AudienceSummary

BORDER = 6  # columns of a border line that text can't use


class AudiencesPanel(Container):
    """The list of audiences with its filter, and a title that counts the matches."""

    BORDER_TITLE = "Audiences"

    def __init__(self, *children: Widget, view: Callable[[], str]) -> None:
        """`view` returns the view in use, in words; "" for none."""
        super().__init__(*children, id="audiences", classes="panel")
        self._view = view
        self._found: Sequence[AudienceSummary] = ()

    def entitle(self, found: Sequence[AudienceSummary]) -> None:
        """Count the audiences shown in the title; what does not fit there goes below the list."""
        self._found = found
        services = services_of(self)
        room = (self.outer_size.width or self.screen.size.width) - BORDER
        rows = self.query_one(Grid).rows.shown
        shown = [item for item in found if rows.find(item.audience.id) is not None]
        marked = self.query_one(Grid).marks.words
        now = Title(Content("Audiences"))
        if found:
            now = title(services, shown, room, len(found), marked=marked)
        view = self._view()
        others = [*now.others, view] if view else now.others
        self.border_title = now.line
        self.border_subtitle = safe_text(line_below(services, now.reasons, others, room))

    def on_key(self) -> None:
        """From the first key press on, keep the order of the rows when the ledger is read."""
        rows = self.query_one(Grid).rows
        rows.keeps_order = rows.keeps_order or len(rows) > 0

    def on_resize(self) -> None:
        self.entitle(self._found)

    def on_grid_marks_changed(self) -> None:
        self.entitle(self._found)

    def on_grid_sorted(self) -> None:
        self.entitle(self._found)

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        """Show the matching audiences, and their number."""
        event.stop()
        self.query_one(Grid).filter(event.needle)
        self.entitle(self._found)
