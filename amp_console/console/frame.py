"""The lines around every screen: the top line, and the notifications above the footer."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from amp_console.console.context import Services, services_of
from amp_console.console.environment import DemoSession
from amp_console.console.jobs.under_way import under_way
from amp_console.console.notifications import SEVERITIES, TONES, severity_sign
from amp_console.console.texts import ACCENT, MUTED, STRONG, TONE, WARN, Part, lines, safe_text
from amp_console.console.widgets.split import PASSING
from amp_console.text import clean

if TYPE_CHECKING:
    from amp_console.console.jobs.runs import SyncJob

MAX_NAME = 20  # characters of another connection's name
HIDDEN_FIRST = ("downloads", "app", "keys", "traffic", "where")
"""What the top line leaves out, in this order, if not everything fits."""


class TopBar(Widget):
    """Connection, region and App ID on the left; read-only, work under way and keys on the right.

    What becomes known late is at the left end of the right side, where it moves nothing.
    """

    DEFAULT_CSS = """
    TopBar {
        dock: top;
        height: 1;
        padding: 0 1;
        background: $surface;
        color: $foreground;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._painted = Content("")

    def on_mount(self) -> None:
        """Show every change, and after a dialog closes, what it has changed."""
        services_of(self).changes.subscribe(self, lambda _: self._show())
        services_of(self).connections.changed.subscribe(self, lambda _: self._show())
        self.app.screen_change_signal.subscribe(self, lambda _: self._show())

    def _show(self) -> None:
        """Paint the line if it has changed; most changes are of something else."""
        if not self._line().is_same(self._painted):
            self.refresh()

    def render(self) -> Content:
        self._painted = self._line()
        return self._painted

    def _line(self) -> Content:
        """The line, with the right side aligned right."""
        hidden: tuple[str, ...] = ()
        left, right, room = self._sides(hidden)
        while room < 1 and len(hidden) < len(HIDDEN_FIRST):
            hidden = HIDDEN_FIRST[: len(hidden) + 1]
            left, right, room = self._sides(hidden)
        if room < 1:
            return left.truncate(max(0, self.size.width - right.cell_length - 1), ellipsis=True) + (
                Content(" ") + right
            )
        return left + Content(" " * room) + right

    def _sides(self, hidden: Collection[str]) -> tuple[Content, Content, int]:
        """Both sides without what is hidden, and the columns left between them."""
        services = services_of(self)
        left, right = _left(services, hidden), _right(services, hidden)
        return left, right, self.size.width - left.cell_length - right.cell_length


def _left(services: Services, hidden: Collection[str]) -> Content:
    name: Part = ("amp-console", f"{STRONG} {ACCENT}")
    if services.session is None:
        return safe_text(name)
    known, dot = services.session.connection, services.glyphs.separator
    where = known.where if services.environment.demo is None else "simulated Amplitude"
    parts: list[Part] = [name, "  ", (known.name, STRONG)]
    if "where" not in hidden:
        parts.append((f"{dot}{where}", MUTED))
    if "app" not in hidden:
        parts.append((f"{dot}app {known.app_id}", MUTED))
    return safe_text(*parts, max_length=60)


def _right(services: Services, hidden: Collection[str]) -> Content:
    parts: list[Part] = []
    if services.session is None:
        return safe_text("")
    if (quota := services.figures.quota) is not None and "downloads" not in hidden:
        parts += [(f"downloads {quota.used:,}/{quota.limit:,}", MUTED), "  "]
    if (demo := services.environment.demo) is not None:
        is_followed = under_way(services.jobs.live) is not None
        parts += _of_demo(demo, {*hidden, "traffic"} if is_followed else hidden)
    if services.session.connection.read_only:
        parts += [(" READ-ONLY ", f"bold reverse {WARN}"), "  "]
    for other in services.connections.others:
        parts += _of_other(other)
    for work in _work(services):
        parts += [(f"{services.glyphs.live} {work}", ACCENT), "  "]
    if "keys" not in hidden:
        parts.append((f"keys: {services.sessions.keys_note}", MUTED))
    return safe_text(*parts)


def _of_other(other: Services) -> Iterator[Part]:
    """What a connection that is not in front is waiting for, and its work under way."""
    name = clean(other.name, MAX_NAME)
    if other.is_awaiting_answer:
        yield from ((f"{name}: waiting for your answer", WARN), "  ")
    for work in _work(other):
        yield from ((f"{name} {other.glyphs.live} {work}", ACCENT), "  ")


def _of_demo(demo: DemoSession, hidden: Collection[str]) -> Iterator[Part]:
    """The trouble that is on, and that events keep arriving, unless a live session shows that."""
    trouble = [item.label.partition(":")[0] for item in demo.troubles() if item.is_on]
    if trouble:
        yield from ((f"trouble: {', '.join(trouble)}", f"bold {WARN}"), "  ")
    if demo.has_traffic and "traffic" not in hidden:
        yield from (("demo: events keep arriving", MUTED), "  ")


def _work(services: Services) -> Iterator[str]:
    """The work under way for a connection, in a word or two each."""
    jobs = services.jobs
    if sync := under_way(jobs.sync):
        yield _progress(sync)
    if under_way(jobs.importing):
        yield "importing"
    if reconciling := under_way(jobs.reconciling):
        yield reconciling.operation.VERB.lower()
    if under_way(jobs.refreshing):
        yield "refreshing"
    if under_way(jobs.forgetting):
        yield "forgetting"
    if live := under_way(jobs.live):
        yield live.summary


def _progress(sync: "SyncJob") -> str:
    now = sync.snapshot
    if now is None:
        return "starting"
    share = f"{100 * now.done // now.total:2}%" if now.total else ""
    state = "sync paused" if sync.stop.is_paused else "sync"
    return f"{state} {share}".rstrip()


MAX_LINES, MARGIN = 3, 8  # its lines; columns lost to padding and word breaks
MAX_LENGTH = 1_000  # characters; the log shows a longer notification in full


class NoticeLine(Static):
    """Shows the current notification in a separate line, so it covers nothing."""

    SCOPED_CSS = False
    DEFAULT_CSS = """
    NoticeLine {
        dock: bottom;
        display: none;
        height: auto;
        max-height: 4;
        margin-bottom: 1;
        padding: 0 1;
        background: $primary 12%;
    }
    NoticeLine.-shown { display: block; }
    .-captioned NoticeLine { margin-bottom: 3; }
    """

    def __init__(self) -> None:
        super().__init__(classes=PASSING)

    def on_mount(self) -> None:
        """Show the current notification, and later ones."""
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
        severity = SEVERITIES[notice.severity]
        sign = (f"{severity_sign(severity, glyphs)} ", TONE[TONES[severity]])
        more = f"  ({notice.more:,} more in the log: press 6)" if notice.more else ""
        text = clean(notice.sentence, MAX_LENGTH)
        room = MAX_LINES * (self.app.size.width - MARGIN) - len(more)
        if len(text) > room:
            more = more or "  (whole: press 6)"
            text = text[: room - len(more)] + glyphs.more
        said, width = safe_text(sign, text, max_length=MAX_LENGTH), self.app.size.width - 2
        if more and said.wrap(width)[-1].cell_length + len(more) > width:
            said = lines(said, safe_text((more.lstrip(), MUTED)))  # broken, it says little
        else:
            said += safe_text((more, MUTED))
        self.update(said)

    def on_resize(self) -> None:
        """Cut the text for the new width."""
        self._show()
