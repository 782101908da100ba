"""What all places have in common: the frame, going back, help, filter, and looking again."""

import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer

from amp_console.console.context import Services, services_of
from amp_console.console.dialogs.help import HelpScreen
from amp_console.console.failures import KNOWN
from amp_console.console.jobs.base import ConsoleChange
from amp_console.console.lifecycle import LateEventGuard
from amp_console.console.session import Session
from amp_console.console.widgets.filter_bar import FilterBar
from amp_console.console.widgets.grid import Grid, RowsState
from amp_console.console.widgets.notice_line import NoticeLine
from amp_console.console.widgets.top_bar import TopBar

QUITTING = "The console quits."


class NoSession(Exception):
    """No connection is at work: the console quits, and what was begun is of no concern."""


class BaseScreen(LateEventGuard, Screen[None]):
    """A screen of the console.

    A place says what it shows in `body`, and reads it anew in `look`, which runs when the place
    is opened, when it is come back to, and when the ledger or the work under way has moved.
    `why_not` says why an action can't be had now; its key stays in the footer, dimmed.
    """

    NAME: ClassVar[str] = ""
    """What the place is called in help and palette."""
    HELP: ClassVar[str] = ""
    """What one does here, in a few plain lines."""
    AUTO_FOCUS = "Grid"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual's own
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    @property
    def services(self) -> Services:
        """What the application provides."""
        return services_of(self)

    @property
    def session(self) -> Session:
        """The open connection's; screens that need one are opened only when there is one.

        Raises `NoSession` while the console quits.
        """
        session = self.services.session
        if session is None:
            raise NoSession
        return session

    def __init__(self) -> None:
        super().__init__()
        self._may: list[bool] = []

    def compose(self) -> ComposeResult:
        """Put the body between the line on top and the footer."""
        yield TopBar()
        yield from self.body()
        yield NoticeLine()
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """The one main thing of the place."""
        yield from ()

    async def load(self) -> None:
        """Read what the place shows, and show it."""

    def disabled_reason(self, action: str) -> str | None:  # noqa: ARG002
        """Say why an action can't be had now; None where it can."""
        return None

    def show_ages(self) -> None:
        """Show all ages anew; places that show some outside their lists do so, too."""
        for grid in self.query(Grid):
            grid.refresh()

    def revisit(self) -> None:
        """Do what is due when the key that leads to this screen is pressed while it is open."""

    # Looking again.

    def on_mount(self) -> None:
        """Look for the first time, and whenever something has moved."""
        self.services.changes.subscribe(self, self.show_change)
        self.services.clock.ticked.subscribe(self, lambda _: self.show_ages())
        self.reload()

    def show_change(self, change: ConsoleChange) -> None:  # noqa: ARG002
        """Show a change; screens that show nothing of some kinds leave those out."""
        self.reload()

    def on_screen_resume(self) -> None:
        """Look again when the place is come back to."""
        self.reload()

    def reload(self) -> None:
        """Look, unless another place is in front; the newest look wins."""
        if self.is_current:
            self.run_worker(self._load, group="look", exclusive=True)

    async def _load(self) -> None:
        await self.reading(self.load)
        self.query_one(TopBar).refresh()
        self.update_keys()

    def read_beside(self, group: str, work: Callable[[], Awaitable[None]]) -> None:
        """Read something and show it, while keys are taken; the newest of a group wins."""
        self.run_worker(
            partial(self.reading, work),
            group=group,
            exclusive=True,
        )

    async def reading(self, work: Callable[[], Awaitable[None]]) -> None:
        """Read something and show it; say what went wrong, unless it is of no concern any more."""
        session = self.services.session
        try:
            await work()
        except NoSession:
            return
        except KNOWN as error:
            self.services.notifications.post(str(error), "error")
            for grid in self.query(Grid):
                if grid.state is RowsState.LOADING:
                    grid.show_notice(RowsState.FAILED, str(error))
        except Exception:
            if self.services.session is session:
                raise  # else the ledger was closed meanwhile: the console quits, or another is open

    def update_keys(self) -> None:
        """Dim and undim keys, where something has changed: the footer is built anew for it."""
        bindings = self._bindings.key_to_bindings.values()
        now = [self._reason(key.action) is None for keys in bindings for key in keys]
        if now != self._may:
            self._may = now
            self.refresh_bindings()

    # Keys.

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim the key of an action that can't be had now."""
        if self.is_here and self._reason(action) is not None:
            return None
        return super().check_action(action, parameters)

    def _reason(self, action: str) -> str | None:
        try:
            return self.disabled_reason(_name_of(action))
        except NoSession:
            return QUITTING

    def on_key(self, event: events.Key) -> None:
        """Say why, when the key of a dimmed action is pressed."""
        if self._is_taken(event.key):
            return
        bindings = self.services.appearance.bindings_of(self).key_to_bindings.get(event.key, ())
        shown = [item for item in bindings if not self._is_hidden(item)]
        for binding in shown or bindings:  # of several that share a key, one has it just now
            reason = self._reason(binding.action)
            if reason is not None:
                event.stop()
                self.services.notifications.post(reason, "warning")
                return

    def _is_hidden(self, binding: Binding) -> bool:
        return self.check_action(_name_of(binding.action), ()) is False

    def _is_taken(self, key: str) -> bool:
        """Whether the widget that has the keys does something of its own with this one."""
        chain = self.focused.ancestors_with_self if self.focused is not None else ()
        below = itertools.takewhile(lambda node: node is not self, chain)
        return any(
            key in self.services.appearance.bindings_of(node).key_to_bindings for node in below
        )

    def on_grid_failed(self, event: Grid.Failed) -> None:
        """Say why a page of rows could not be fetched; a defect of ours is not kept quiet."""
        if isinstance(event.error, KNOWN):
            self.services.notifications.post(str(event.error), "error")
        elif not isinstance(event.error, NoSession):
            raise event.error

    def action_back(self) -> None:
        """Go back to where one came from."""
        if len(self.app.screen_stack) > 2:  # the blank one below, and home
            self.app.pop_screen()

    def action_help(self) -> None:
        """Say what can be done here."""
        self.app.push_screen(HelpScreen(self, self.NAME, self.HELP, self.disabled_reason))

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterBar).open()

    def on_filter_bar_filtered(self, event: FilterBar.Filtered) -> None:
        """Show only what matches."""
        self.apply_filter(event.needle)

    def on_filter_bar_left(self) -> None:
        """Go back from the filter to the rows."""
        self.query(Grid).first().focus()

    def apply_filter(self, needle: str) -> None:
        """Filter the place's grid; places with several, or with pages, do it their own way."""
        self.query(Grid).first().filter(needle)

    def action_copy(self) -> None:
        """Copy the row under the cursor."""
        row = self.query(Grid).first().row
        if row is not None:
            self.services.clipboard.copy("\t".join(cell.text for cell in row.cells))


def _name_of(action: str) -> str:
    """The action's name without its parameters."""
    return action.partition("(")[0]
