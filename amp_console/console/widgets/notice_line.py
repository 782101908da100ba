"""The line above the footer that says what has just happened."""

from textual.widgets import Static

from amp_console.console.context import services_of
from amp_console.console.texts import BAD, GOOD, MUTED, WARN, said
from amp_console.text import clean

MOST_LINES, MARGIN = 3, 8  # lines that it takes; columns that padding and word breaks cost
LONGEST = 1_000  # characters; the event log shows a longer notification whole
STYLES = {"information": GOOD, "warning": WARN, "error": BAD}


class NoticeLine(Static):
    """Shows the current notification; it takes room of its own, so it covers nothing."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    NoticeLine {
        dock: bottom;
        display: none;
        height: auto;
        max-height: 4;
        margin-bottom: 1;
        padding: 0 1;
        background: $panel;
    }
    NoticeLine.-shown { display: block; }
    .-captioned NoticeLine { margin-bottom: 3; }
    """

    def on_mount(self) -> None:
        """Show what is current now, and what comes."""
        services = services_of(self)
        services.notifications.changed.subscribe(self, lambda _: self._show())
        self._show()

    def _show(self) -> None:
        services = services_of(self)
        notice = services.notifications.shown.current
        self.set_class(notice is not None, "-shown")
        if notice is None:
            return
        glyphs = services.glyphs
        sign = {"information": glyphs.ok, "warning": "!", "error": glyphs.bad}[notice.severity]
        more = f"  (+{notice.more:,} more: press 5)" if notice.more else ""
        text = clean(notice.text, LONGEST)
        room = MOST_LINES * (self.app.size.width - MARGIN) - len(more)
        if len(text) > room:
            more = more or "  (whole: press 5)"
            text = text[: room - len(more)] + glyphs.more
        line = said((f"{sign} ", STYLES[notice.severity]), text, (more, MUTED), longest=LONGEST)
        self.update(line)

    def on_resize(self) -> None:
        """Cut the text for another width."""
        self._show()
