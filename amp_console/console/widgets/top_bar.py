"""The line on top: where am I, and is it safe."""

from typing import TYPE_CHECKING, cast

from textual.content import Content
from textual.widget import Widget

from amp_console.console.texts import ACCENT, MUTED, STRONG, WARN, Part, said

if TYPE_CHECKING:
    from amp_console.console.app import ConsoleApp


class TopBar(Widget):
    """Connection, region and App ID on the left; read-only, work under way and keys right."""

    DEFAULT_CSS = """
    TopBar {
        dock: top;
        height: 1;
        padding: 0 1;
        background: $surface;
        color: $foreground;
    }
    """

    def render(self) -> Content:
        """Draw the line, the right side as far right as it goes."""
        app = cast("ConsoleApp", self.app)
        left, right = _left(app), _right(app)
        room = self.size.width - left.cell_length - right.cell_length
        if room < 1:
            return left.truncate(max(0, self.size.width - right.cell_length - 1), ellipsis=True) + (
                Content(" ") + right
            )
        return left + Content(" " * room) + right


def _left(app: "ConsoleApp") -> Content:
    name: Part = ("amp-console", f"{STRONG} {ACCENT}")
    if app.session is None:
        return said(name)
    known, dot = app.session.connection, f" {app.glyphs.dot} "
    where = known.base_url or known.region.label
    if app.premises.stage is not None:
        where = "simulated Amplitude"
    return said(
        name,
        "  ",
        (known.name, STRONG),
        (f"{dot}{where}{dot}app {known.app_id}", MUTED),
        longest=60,
    )


def _right(app: "ConsoleApp") -> Content:
    parts: list[Part] = []
    if app.session is None:
        return said("")
    if (stage := app.premises.stage) is not None:
        trouble = [item.label.partition(":")[0] for item in stage.troubles() if item.is_on]
        if trouble:
            parts += [(f"trouble: {', '.join(trouble)}", f"bold {WARN}"), "  "]
    if app.session.connection.read_only:
        parts += [(" READ-ONLY ", f"bold reverse {WARN}"), "  "]
    if (work := app.sync) is not None and not work.is_over:
        parts += [(f"{app.glyphs.live} {_progress(app)}", ACCENT), "  "]
    if app.reading is not None and not app.reading.is_over:
        parts += [(f"{app.glyphs.live} importing", ACCENT), "  "]
    if (comparing := app.reconciling) is not None and not comparing.is_over:
        parts += [(f"{app.glyphs.live} {comparing.VERB.lower()}", ACCENT), "  "]
    if (live := app.following) is not None and not live.is_over:
        parts += [(f"{app.glyphs.live} {live.summary}", ACCENT), "  "]
    if app.quota is not None:
        parts += [(f"downloads {app.quota.used:,}/{app.quota.limit:,}", MUTED), "  "]
    parts.append((f"keys: {app.keys_note}", MUTED))
    return said(*parts)


def _progress(app: "ConsoleApp") -> str:
    assert app.sync is not None
    now = app.sync.snapshot
    if now is None:
        return "starting"
    share = f"{100 * now.done // now.total}%" if now.total else ""
    state = "paused" if app.sync.stop.is_paused else "sync"
    return f"{state} {share}".rstrip()
