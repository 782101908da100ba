"""Jump mode: everything that one can jump to has a letter; pressing it jumps there."""

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Button, Static

from amp_console.console.texts import safe_text
from amp_console.console.widgets.key_footer import FooterKey, FooterKeys, KeyFooter
from amp_console.console.widgets.link_bar import LinkBar

KEYS = FooterKeys(
    (
        FooterKey("", "a-z", "Go to what has this letter", is_available=False),
        FooterKey("dismiss(None)", "Esc", "Leave"),
    )
)
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class JumpTarget(NamedTuple):
    """A target: its region, the position of its letter, and the action of the letter."""

    region: Region
    letter_at: Offset
    go: Callable[[], object]


class JumpOverlay(ModalScreen[JumpTarget]):
    """The screen below with letters on it. A letter returns its target, Esc returns None."""

    DEFAULT_CSS = """
    JumpOverlay .jump-letter {
        position: absolute;
        width: auto;
        height: 1;
        background: $warning;
        color: auto 95%;
        text-style: bold reverse;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+o", "dismiss(None)", "Leave", show=False),
    ]

    def __init__(self, screen: Screen[object]) -> None:
        super().__init__()
        self._targets = dict(zip(LETTERS, jump_targets(screen), strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self._targets.items():
            label = Static(safe_text(letter), classes="jump-letter")
            label.styles.offset = target.letter_at
            yield label
        yield KeyFooter(lambda: KEYS, self.run_action)

    def on_key(self, event: events.Key) -> None:
        """Return the target of this letter, unless an earlier one has just been returned."""
        target = self._targets.get(event.character or "")
        if target is not None and self.is_active:
            event.stop()
            self.dismiss(target)


def jump_targets(screen: Screen[object]) -> Iterator[JumpTarget]:
    """Everything on the screen that can be clicked or focused: panes, fields, buttons, places.

    The keys in the footer need none.
    """
    for widget in screen.focus_chain:
        if widget.region and screen.region.contains_region(widget.region):
            yield JumpTarget(widget.region, _beside(widget), _press(widget))
    for bar in screen.query("PlaceBar").results(LinkBar):
        for link, region in bar.links():
            # It replaces the key, which does nothing here: side by side, both look like one word.
            yield JumpTarget(region, region.offset + Offset(1, 0), _click(bar, link.name))


def _beside(widget: Widget) -> Offset:
    """On the border of a widget, otherwise on its left, so that a letter covers no text."""
    x, y = widget.region.offset
    return Offset(x if widget.styles.border_left[0] else max(0, x - 1), y)


def _press(widget: Widget) -> Callable[[], object]:
    """Press a button; focus anything else."""
    if isinstance(widget, Button):
        return widget.press
    return widget.focus


def _click(bar: LinkBar, name: str) -> Callable[[], object]:
    return lambda: bar.post_message(bar.Clicked(bar, name))
