"""The base of all screens: the frame, loading, keys, going back, help and filter."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.geometry import Size
from textual.screen import Screen
from textual.walk import walk_depth_first
from textual.widget import Widget
from textual.worker import Worker

from amp_console.console.context import Services, services_of
from amp_console.console.first_resume import FirstResume
from amp_console.console.frame import NoticeLine, TopBar
from amp_console.console.jobs.base import ConsoleChange
from amp_console.console.lifecycle import NoSession, is_open, is_seen, unless_left
from amp_console.console.place_bar import PlaceBar
from amp_console.console.routes import MainScreen
from amp_console.console.screens.actions import REASONS, ActionKeys, Need
from amp_console.console.screens.early_keys import ScreenKeys
from amp_console.console.screens.footer import ScreenFooter, UsefulActions
from amp_console.console.screens.loading import Loader
from amp_console.console.session import Session
from amp_console.console.widgets.filter_bar import FilterBar, clear_filters
from amp_console.console.widgets.grid import Grid, clear_marks
from amp_console.console.widgets.key_footer import KeyFooter
from amp_console.console.widgets.scroll_pane import ScrollPane
from amp_console.console.widgets.split import Split
from amp_console.console.widgets.too_small import SCREEN, TooSmall

W = TypeVar("W", bound=Widget)
NO_MATCH = "The filter leaves no row: press Esc to show all."
SORTING = "Press a marked letter to sort by that column, o to undo sorting, Esc to cancel."
FILTER = Binding("slash", "filter", "Filter", key_display="/", id="filter")
COPY_ROW = Binding("y", "copy", "Copy the row", show=False, id="copy")
BACK = "Back"
WIDE = 110
"""From this many columns on, a screen has the class `-wide`; with fewer, `-narrow`."""


class BaseScreen(Screen[None]):
    """A screen of the console.

    A screen yields its widgets in `body`, and reads its data in `load`, which runs when the screen
    opens, when it comes back to the front, and when something has changed. `NEEDS` and
    `disabled_reason` say why an action is unavailable; its key stays in the footer, dimmed.
    """

    NAME: ClassVar[str] = ""
    """The name of the screen in help and palette."""
    HAS_STATUSES: ClassVar[bool] = False
    """Whether its rows show the status of audiences; help then starts with their legend."""
    HELP: ClassVar[str] = ""
    """The help text: what one does here, in a few plain lines."""
    BELONGS_TO: ClassVar[MainScreen] = MainScreen.AUDIENCES
    """The main screen that is marked in the place bar."""
    NEEDS: ClassVar[Mapping[str, Collection[Need]]] = {}
    """What each action needs, by name. It is separate from `BINDINGS`, because Textual rebuilds
    each binding as its own class and would drop an additional field."""
    CONFIRMING: ClassVar[Collection[str]] = ()
    """The actions that confirm what the screen shows, once it shows that."""
    PANES: ClassVar[tuple[type[Widget], ...]] = ()
    """Widgets with their own keys, besides lists."""
    NO_ROW: ClassVar[str] = ""
    """Why an action that needs a row is unavailable without one."""
    AUTO_FOCUS = "Grid"
    LEAST: ClassVar[Size] = SCREEN
    """Below these columns and lines, it only shows that the terminal is too small."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  # Textual's own
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", key_display="Esc", show=False, id="back"),
        Binding(
            "tab",
            "next_panel",
            "Next panel",
            tooltip="Move to the next list or text; Shift+Tab moves back",
            key_display="Tab",
            show=False,
            id="next_panel",
        ),
        Binding("tab", "app.focus_next", show=False),  # to the next field, if there are fields
    ]

    @property
    def services(self) -> Services:
        """The services of the screen's connection."""
        return services_of(self)

    @property
    def session(self) -> Session:
        """The session of the open connection; screens that need one only open if there is one.

        Raises `NoSession` while the console is quitting.
        """
        session = self.services.session
        if session is None:
            raise NoSession
        return session

    @property
    def is_current(self) -> bool:
        """Whether this screen is visible, and must be kept up to date.

        Textual also updates the screen right below another one, and repaints the whole screen in
        front with each change there.
        """
        return super().is_current and is_seen(self)

    def __init__(self) -> None:
        super().__init__()
        self.action_keys = ActionKeys(self, self.disabled_reason, self.CONFIRMING)
        self.footer = ScreenFooter(
            self,
            self.action_keys,
            self.useful_actions,
            partial(_lacks_row, self),
            partial(_back_label, self),
        )
        self.loader = Loader(self, self.action_keys.refresh)
        self._first_resume = FirstResume(self)
        self.early_keys = ScreenKeys(self, self._first_resume, self.loader, self.action_keys)
        self.watch(self, "focused", _mark_panels, init=False)
        self._is_done = False  # it will go back once it is in front again

    def compose(self) -> ComposeResult:
        # Textual adds it only after the first layout, and would style all widgets again for it.
        self.add_class("-wide" if self.app.size.width >= WIDE else "-narrow", update=False)
        yield TopBar()
        yield PlaceBar(self.BELONGS_TO)
        yield from self.body()
        yield NoticeLine()
        yield KeyFooter(self.footer.keys, self.footer.press)
        yield TooSmall(self.LEAST)

    def body(self) -> ComposeResult:
        """Yield the widgets between the top lines and the footer."""
        yield from ()

    async def load(self) -> None:
        """Read the screen's data, and show it."""

    def disabled_reason(self, action: str) -> str | None:
        """Why an action is unavailable now; None if it works. It may raise `NoSession`."""
        for need in self.NEEDS.get(action, ()):
            if need is Need.ROW:
                reason = None if _has_row(self) else _reason_without_row(self)
            else:
                reason = REASONS[need](self.services)
            if reason is not None:
                return reason
        return None

    def useful_actions(self) -> UsefulActions:
        """The most useful actions now, of the screen or the application, in order.

        They come first in the footer, with unavailable ones dimmed; other actions follow if they
        are available and there is room. Without any, the footer has the visible bindings, in order.
        """
        return ()

    def show_ages(self) -> None:
        """Update all ages; screens that show ages outside their lists extend this."""
        for grid in self.query(Grid):
            if grid.ages is not None and grid.ages.advance():
                grid.refresh()

    def revisit(self) -> None:
        """Handle the key that leads to this screen while it is open: go to its list.

        Keys act on the row under the cursor, so the focus must not be in its detail.
        """
        for split in self.query(Split):
            split.leave()

    # Loading.

    def on_mount(self) -> None:
        self.services.changes.subscribe(self, self.show_change)
        self.services.clock.ticked.subscribe(self, lambda _: self.show_ages())

    def show_change(self, change: ConsoleChange) -> None:  # noqa: ARG002
        """Show a change; screens ignore the kinds of which they show nothing."""
        self.reload()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self._first_resume.handle(event)
        if self._is_done:
            leave(self)
        else:
            self.reload()

    def reload(self) -> None:
        """Load again, unless another screen is in front; the newest load wins."""
        if self.is_current:
            self.loader.start("look", self.load)
        else:
            self.loader.outdate()

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """Run a worker as Textual does; post its failure, unless the screen was left."""
        guarded = unless_left(self, work, self.services.report)
        return super().run_worker(guarded, *args, **kwargs)

    def on_grid_choosing(self, event: Grid.Choosing) -> None:
        """Show which keys sort as long as they do; the hint is not logged."""
        if event.is_over:
            self.services.notifications.withdraw(SORTING)
        else:
            self.services.notifications.post_hint(SORTING)
        self.refresh_bindings()

    def on_grid_failed(self, event: Grid.Failed) -> None:
        self.loader.failed(event.error)

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim the key of an unavailable action; no key works on a screen that was left."""
        if not is_open(self) or (action == "next_panel" and not _has_panels(self)):
            return False
        if self.action_keys.reason(action) is not None:
            return None
        return super().check_action(action, parameters)

    def on_key(self, event: events.Key) -> None:
        """If the key of a dimmed action is pressed, say why it is unavailable."""
        if self.action_keys.explain(event.key):
            event.stop()

    def action_back(self) -> None:
        """Go back one step; this unmarks rows, or leaves a detail, a filter or the screen."""
        if clear_marks(self):
            return
        if any(split.leave() for split in self.query(Split)):
            return
        if clear_filters(self):
            return
        leave(self)

    action_next_panel = Screen.focus_next
    """Move the focus to the next list, or the next text that scrolls."""

    def action_filter(self) -> None:
        """Show only matching rows."""
        self.query_one(FilterBar).open()

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        self.apply_filter(event.needle)

    def apply_filter(self, needle: str) -> None:
        """Filter the screen's grid; screens with several grids, or with pages, override this."""
        self.query(Grid).first().filter(needle)

    def action_copy(self) -> None:
        """Copy the row under the cursor."""
        grid = self.focused if isinstance(self.focused, Grid) else self.query(Grid).first()
        row = grid.row
        if row is not None:
            self.services.clipboard.copy("\t".join(cell.text for cell in row.cells))


def leave(screen: BaseScreen) -> None:
    """Go back to the previous screen, once this one is in front.

    While it was working, a dialog or another connection may have come to the front.
    """
    app = screen.app
    screen._is_done = app.screen is not screen
    if not screen._is_done and len(app.screen_stack) > 2:  # below are a blank one and home
        app.pop_screen()


def _mark_panels(before: Widget | None, focused: Widget | None) -> None:
    """Mark the panels that contain the focus, and unmark those that it has left.

    With `:focus-within`, Textual styles all widgets of both panels again: a quarter of the time
    until a form appears, and half of the time of a key that moves the focus in it.
    """
    left, entered = _panels_around(before), _panels_around(focused)
    for panel in left ^ entered:
        panel.set_class(panel in entered, "-entered", update=False)
        panel.app.stylesheet.apply(panel)


def _panels_around(widget: Widget | None) -> set[DOMNode]:
    around = widget.ancestors_with_self if widget is not None else ()
    return {node for node in around if node.has_class("panel")}


# The footer calls these for each key, after each key press. A query, which follows the selector
# through all ancestors of each widget, took a tenth of the time of a key press.


def _all_of(screen: BaseScreen, kind: type[W]) -> Iterator[W]:
    """Yield the widgets of a kind; a caller that needs only the first stops the search there."""
    return (node for node in walk_depth_first(screen) if isinstance(node, kind))


def _has_row(screen: BaseScreen) -> bool:
    """Whether there is a row under the cursor."""
    return next(_all_of(screen, Grid)).key is not None


def _has_panels(screen: BaseScreen) -> bool:
    """Whether the focus is in one of several visible lists and texts."""
    panels = (node for node in walk_depth_first(screen) if isinstance(node, Grid | ScrollPane))
    shown = (panel for panel in panels if panel.region and panel.focusable)
    return isinstance(screen.focused, Grid | ScrollPane) and len([*islice(shown, 2)]) > 1


def _back_label(screen: BaseScreen) -> str:
    """What Esc does now, in the order of `action_back`; "" for nothing."""
    if any(grid.marks and grid.region for grid in _all_of(screen, Grid)):
        return "Unmark"
    if any(split.is_entered for split in _all_of(screen, Split)):
        return BACK
    if _is_filtered(screen):
        return "Show all"
    return BACK if len(screen.app.screen_stack) > 2 else ""


def _is_filtered(screen: BaseScreen) -> bool:
    return any(bar.value and bar.region for bar in _all_of(screen, FilterBar))


def _reason_without_row(screen: BaseScreen) -> str:
    return NO_MATCH if _is_filtered(screen) else screen.NO_ROW


def _lacks_row(screen: BaseScreen, action: str) -> bool:
    """Whether an action needs a row and a filter leaves none."""
    needs_row = Need.ROW in screen.NEEDS.get(action, ())
    return needs_row and not _has_row(screen) and _is_filtered(screen)


def panes_in_use(screen: BaseScreen) -> list[DOMNode]:
    """The `PANES` of a screen that contain the focus: their keys work now."""
    around = screen.focused.ancestors if screen.focused is not None else []
    return [node for node in around if isinstance(node, screen.PANES)]


def screen_of(node: DOMNode) -> BaseScreen:
    """The console screen that contains a pane."""
    return cast("BaseScreen", node.screen)
