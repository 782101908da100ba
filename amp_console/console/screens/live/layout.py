"""The layout of the live screen's panels."""

from collections.abc import Callable

from textual import events
from textual.containers import Vertical
from textual.content import Content

from amp_console.console.lifecycle import is_open
from amp_console.console.screens.live.panels import (
    LiveAudienceDetail,
    LiveAudiences,
    LiveSources,
)
from amp_console.console.widgets.split import BELOW, BELOW_LINES, LIST_FRAME, Split, set_size
from amp_console.console.widgets.steady_text import FittedText

PANEL_FRAME = 2  # lines of a panel's border
LIST_LINES = 3  # lines of the audiences besides their rows: border and header
SOURCES_LINES = 8
DETAIL_LINES = 6  # lines that the detail needs to be worth showing
LEAST_DETAIL = 9  # lines of the detail, in a terminal that is not short
MAX_HIDDEN = 2  # audiences that the detail may push out of view
LEAST_SEEN = 3  # audiences that stay in view


class LiveBody(Split):
    """The session, its audiences and its sources; beside or below them, one audience.

    With few lines, the sources are only a line of the session, unless `-changes` is set.
    """

    def __init__(self, audiences: LiveAudiences, detail: LiveAudienceDetail) -> None:
        session = Vertical(FittedText(id="headline"), id="session", classes="panel")
        session.border_title = "Live"
        main = Vertical(session, audiences, LiveSources())
        super().__init__(main, detail, detail_lines=DETAIL_LINES)
        self._audiences = audiences

    @property
    def is_short(self) -> bool:
        """Whether there is no room for everything, neither stacked nor side by side."""
        return not self.is_beside and self.size.height < BELOW_LINES

    def _arrange(self) -> None:
        super()._arrange()
        if self.is_attached:
            self.screen.set_class(self.is_short, "-short")

    def show_session(self, lay_out: Callable[[int], Content]) -> None:
        """Show the session; `lay_out` returns it for a width in columns."""
        self.query_one("#headline", FittedText).fit(lay_out)
        self.fit_later()

    def fit_later(self) -> None:
        """Once shown, give the audiences the lines that they need, and the detail the rest."""
        self.call_after_refresh(self._fit_lines)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002  # `Split` also handles it
        if self.is_attached:
            self.fit_later()

    def _share(self, lines: int) -> None:
        """Give the audiences as many of these lines as they need, the detail most of the others.

        If that leaves too few for the detail, both get their usual share.
        """
        audiences = LIST_LINES + len(self._audiences.grid.rows)
        spare = lines - audiences - LEAST_DETAIL
        has_room = spare >= 0 and not self.is_beside and self._detail.display
        set_size(self._audiences, "height", audiences if has_room else None)
        detail = LEAST_DETAIL + spare * 3 // 4
        set_size(self._detail, "height", detail if has_room else None)

    def _fit_lines(self) -> None:
        if not self.is_attached or not is_open(self.screen):
            return
        sources, session = self.query_one(LiveSources), self.query_one("#headline", FittedText)
        if not self.is_short and self.size.width >= BELOW:
            self.fit_rows(None)
            used = session.lines + PANEL_FRAME + (SOURCES_LINES if sources.display else 0)
            self._share(self.size.height - used)
            return
        self._share(0)
        if sources.display and self.is_short:
            self.fit_rows(self.size.height)  # they replace the detail
            return
        needed = session.lines + PANEL_FRAME + LIST_LINES + len(self._audiences.grid.rows)
        needed += SOURCES_LINES if sources.display else 0
        hidden = needed - (self.size.height - DETAIL_LINES)
        seen = len(self._audiences.grid.rows) - hidden
        if hidden > MAX_HIDDEN and (needed <= self.size.height or seen < LEAST_SEEN):
            self.fit_rows(self.size.height)  # the audiences need the lines of the detail
            return
        self.fit_rows(max(1, needed - max(0, hidden) - LIST_FRAME))
