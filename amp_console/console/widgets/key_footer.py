"""The footer: as many of the currently useful keys as fit, and those that always work."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from textual.content import Content

from amp_console.console.lifecycle import is_open
from amp_console.console.texts import ACCENT, MUTED, STRONG, safe_text
from amp_console.console.widgets.link_bar import BarLink, LinkBar, extent

WIDE = 78  # columns, of a terminal of 80


class FooterKey(NamedTuple):
    """A key and what it does; `name` identifies it when clicked."""

    name: str
    key: str
    label: str
    is_available: bool = True


class FooterKeys(NamedTuple):
    """The current keys of a screen, the most useful first, and those that are always shown."""

    useful: Sequence[FooterKey]
    always: Sequence[FooterKey] = ()
    last: Sequence[FooterKey] = ()
    """Keys at the right end, if the footer has at least `WIDE` columns."""


class KeyFooter(LinkBar):
    """Shows keys only in full: the last of the useful ones are left out first.

    If Esc leads back, the `last` keys are left out even before them: leaving comes first there.

    Textual's footer replaces all its widgets whenever the focus moves or a screen resumes. When a
    screen opened, that happened seven times and took a quarter of the time.
    """

    DEFAULT_CSS = """
    KeyFooter { dock: bottom; padding: 0 1; }
    """
    GAP = 2

    def __init__(
        self, keys: Callable[[], FooterKeys], press: Callable[[str], Awaitable[None]]
    ) -> None:
        """`keys` returns the keys to show now; `press` performs the key with this name."""
        super().__init__()
        self._keys = keys
        self._press = press
        self._shown = FooterKeys(())
        self._is_due = False

    def on_mount(self) -> None:
        """Show other keys when their meaning or availability has changed."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._read_soon())

    def on_resize(self) -> None:
        """Show as many keys as fit into the new width; other panels may fit, too."""
        self._show()
        self._read_soon()

    async def on_link_bar_clicked(self, event: LinkBar.Clicked) -> None:
        """Perform the key; an unavailable one says why it is."""
        event.stop()
        await self._press(event.name)

    def _read_soon(self) -> None:
        """Read once for several changes: opening a screen causes up to ten."""
        if not self._is_due:
            self._is_due = self.call_after_refresh(self._read)

    def _read(self) -> None:
        self._is_due = False
        if not (self.is_attached and is_open(self.screen)):
            return  # the screen was left in the meantime
        keys = self._keys()
        if keys != self._shown:
            self._shown = keys
            self._show()

    def _show(self) -> None:
        last = self._shown.last if self.size.width >= WIDE else ()
        useful, always = self._arranged(last)
        if len(useful) < len(self._shown.useful) and self._leads_back:
            useful, always = self._arranged(())
        self.show_links(useful, always)

    @property
    def _leads_back(self) -> bool:
        return any(key.name == "back" for key in self._shown.always)

    def _arranged(self, last: Sequence[FooterKey]) -> tuple[list[BarLink], list[BarLink]]:
        """The useful keys that fit beside those always shown and the `last` ones."""
        always = [BarLink(key.name, _text(key)) for key in (*self._shown.always, *last)]
        room = self.content_size.width - extent(always, self.GAP)
        return list(_fitting(self._shown.useful, room, self.GAP)), always


def _fitting(keys: Sequence[FooterKey], room: int, gap: int) -> Iterator[BarLink]:
    for key in keys:
        link = BarLink(key.name, _text(key))
        room -= link.text.cell_length + gap
        if room < 0:
            return
        yield link


def _text(key: FooterKey) -> Content:
    """The key, marked by weight and color, then what it does; both paler if unavailable."""
    if not key.is_available:
        return safe_text((f"{key.key} {key.label}", MUTED))
    return safe_text((key.key, f"{STRONG} {ACCENT}"), f" {key.label}")
