"""The columns, sort order and filter of home's list."""

from collections.abc import Sequence

from textual.screen import Screen

from amp_console.connections import SavedView
from amp_console.console.context import Services, services_of
from amp_console.console.screens.audiences.rows import COLUMNS, DEFAULT, STATUS
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, Row
from amp_console.text import clean

LABELS = tuple(column.label for column in COLUMNS)
DEFAULT_LABELS = LABELS[: len(DEFAULT)]


class ListLayout:
    """The columns, sort order and filter of home's list, which form a view."""

    def __init__(self, screen: Screen[None]) -> None:
        self._screen = screen
        self._columns: tuple[int, ...] = tuple(range(len(DEFAULT)))
        self._rows: Sequence[Row] = ()
        self._is_set = False
        self._begun: Sequence[object] = ()  # jobs that had started when it last came to the front

    def show(self, rows: Sequence[Row]) -> None:
        """Show rows that have a cell for every column; initially in the view in use."""
        self._rows = rows
        if not self._is_set:
            self._is_set = True
            view = services_of(self._screen).views.current
            if view != SavedView():
                self.apply(view)
                return
        self._grid.show([self._in_view(row) for row in rows])

    def unmark_begun(self) -> None:
        """Unmark all audiences once a job has started for any marked one.

        The job may skip some of them: those without a cohort to compare, or with nothing to repair.
        Called when the screen comes to the front: later marks are meant for the next job.
        """
        jobs, marks = services_of(self._screen).jobs, self._grid.marks
        begun = [job for job in (jobs.sync, jobs.reconciling) if job is not None]
        new = [set(job.audience_ids) for job in begun if job not in self._begun]
        if marks and any(not audiences.isdisjoint(marks) for audiences in new):
            marks.clear()
        self._begun = begun

    @property
    def current(self) -> SavedView:
        """The current state as a view."""
        order, shown = self._grid.rows, [LABELS[at] for at in self._columns]
        sort = "" if order.sort_column is None else shown[order.sort_column]
        is_default = (sort, order.descending) == (LABELS[STATUS], False)
        return SavedView(
            self._screen.query_one(FilterBar).value,
            "" if is_default else sort,
            order.descending,
            () if tuple(shown) == DEFAULT_LABELS else tuple(shown),
        )

    @property
    def view(self) -> str:
        """The view in use, and whether the list has been changed since; "" for none."""
        used = services_of(self._screen).views.used
        changed = ", changed" if self.is_changed else ""
        return f"view: {clean(used, 40)}{changed}" if used else ""

    @property
    def is_changed(self) -> bool:
        """Whether the list no longer looks as the view in use does."""
        return self.current != services_of(self._screen).views.current

    def apply(self, view: SavedView) -> None:
        """Apply a view; ignore columns that do not exist."""
        wanted = [LABELS.index(label) for label in dict.fromkeys(view.columns) if label in LABELS]
        self._columns = (0, *(at for at in wanted if at)) if wanted else tuple(range(len(DEFAULT)))
        grid = self._grid
        grid.reshape([COLUMNS[at] for at in self._columns])
        has_status = STATUS in self._columns
        grid.initial_sort = self._columns.index(STATUS) if has_status else None
        grid.show([self._in_view(row) for row in self._rows])
        sort = view.sort if view.sort in LABELS else LABELS[STATUS]
        column = next(
            (at for at, of_all in enumerate(self._columns) if LABELS[of_all] == sort), None
        )
        grid.sort_by(column, descending=view.descending)
        self._screen.query_one(FilterBar).put(view.filter)

    def sort(self) -> None:
        """Sort the rows again."""
        order = self._grid.rows
        if order.sort_column is not None:
            self._grid.sort_by(order.sort_column, descending=order.descending)

    async def choose(self) -> None:
        """Let the operator choose a view or columns, or save, rename or delete a view."""
        from amp_console.console.dialogs.views import ViewAction, ViewsDialog, ask_view_name

        services = services_of(self._screen)
        views = services.views
        while True:
            dialog = ViewsDialog(views.by_name, views.used, is_changed=self.is_changed)
            if (choice := await services.ask(dialog)) is None:
                return
            match choice.action:
                case ViewAction.USE:
                    views.use(choice.name)
                    self.apply(views.current)
                    return
                case ViewAction.COLUMNS:
                    await self._choose_columns(services)
                    return
                case ViewAction.SAVE:
                    form = ask_view_name("Save view", views.used, "Save")
                    if (name := await services.ask(form)) is not None:
                        views.save(name.strip(), self.current)
                case ViewAction.RENAME:
                    form = ask_view_name("Rename view", choice.name, "Rename")
                    if (name := await services.ask(form)) is not None:
                        views.rename(choice.name, name.strip())
                case ViewAction.DELETE:
                    views.delete(choice.name)

    async def _choose_columns(self, services: Services) -> None:
        from amp_console.console.dialogs.views import ColumnsDialog

        shown = [LABELS[at] for at in self._columns]
        offered = DEFAULT_LABELS if services.segment.space is None else LABELS
        width, layout = self._grid.scrollable_content_region.width, self._grid.fitting
        without_room = {name for at, name in enumerate(shown) if not layout.width_of(at, width)}
        chosen = await services.ask(ColumnsDialog(offered, shown, without_room))
        if chosen is not None:
            self.apply(self.current._replace(columns=chosen))

    @property
    def _grid(self) -> Grid:
        return self._screen.query_one("#list", Grid)

    def _in_view(self, row: Row) -> Row:
        return Row(
            row.key,
            tuple(row.cells[at] for at in self._columns),
            tuple(row.sort[at] for at in self._columns),
        )
