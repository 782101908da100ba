"""Keys that come before a screen can act on them: they wait for it, in the order they were typed.

A screen that was just opened has no focus yet, a list that is being read has no rows, and a
question may need the ledger before it is asked. A key typed in that moment is meant for what is to
come; without this it would act on something else, or on nothing.
"""

import asyncio
from collections import deque
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import ref

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.screen import Screen

NEVER_HELD = "escape"
"""It drops the keys that are held, and does what it always does."""
SETTLING = 0.5  # seconds at most until a key counts as done: a closed widget answers no more


class EarlyKeys(Protocol):
    """Says which keys come too early."""

    def holds_all(self) -> bool:
        """Whether no key can act yet, whichever it is."""
        ...

    def holds(self, key: str) -> bool:
        """Whether this key is about rows that are still being read."""
        ...


@runtime_checkable
class HoldsKeys(Protocol):
    """A screen or dialog whose keys may come too early."""

    @property
    def early_keys(self) -> EarlyKeys:
        """Which of them do."""
        ...


class HeldKey(NamedTuple):
    """A key, the screen that was in front when it was typed, and what it waits for."""

    event: events.Key
    screen: "ref[Screen[Any]]"
    is_early: bool  # the screen, or a question, was still being opened
    is_about_rows: bool  # which were still being read


class HeldKeys:
    """Lets the keys of an application act one after the other, each once it can.

    Textual hands a key to the widget that has the focus when the key comes, although the one
    before may be about to move the focus or to open a screen. Here a key waits for that.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._held: deque[HeldKey] = deque()
        self._acting: events.Key | None = None
        self._is_busy = False  # a key is acting, and may lead to something
        self._idle = asyncio.Event()
        self._idle.set()
        self.last = ""
        """The name of the key that acted last."""
        self.is_early = False
        """Whether it was typed before what it acts on was seen."""

    async def acted(self) -> None:
        """Wait until every key that has come so far has acted, or was dropped."""
        await self._idle.wait()

    def hold(self, event: events.Key) -> bool:
        """Hold a key that comes too early; False where it is to act now."""
        if event is self._acting:
            return False
        screen = self._app.screen
        if self._is_never_held(event.key) or not isinstance(screen, HoldsKeys):
            self._acts(event, is_early=False)
            return False
        is_early, is_about_rows = screen.early_keys.holds_all(), screen.early_keys.holds(event.key)
        if self._held or self._is_busy or is_early or is_about_rows:
            self._held.append(HeldKey(event, ref(screen), is_early, is_about_rows))
            self._idle.clear()
            self.release()
            return True
        self._acts(event, is_early=False)
        self._is_busy = True
        self._idle.clear()
        self._app.run_worker(self._settle(self._app.focused or screen))
        return False

    def release(self) -> None:
        """Let the keys that are held act, as far as they can by now."""
        if self._held and not self._is_busy and self._can_act():
            self._is_busy = True
            self._app.run_worker(self._settle(None))

    def _note_idle(self) -> None:
        if not self._held and not self._is_busy:
            self._idle.set()

    def _is_never_held(self, key: str) -> bool:
        """Whether a key works at once; Esc drops those that are held."""
        if key == NEVER_HELD:
            self._held.clear()
            self._note_idle()
            return True
        bound = self._app._bindings.key_to_bindings.get(key, ())
        return any(binding.priority for binding in bound)

    def _can_act(self) -> bool:
        """Whether the oldest key can act, or is to be dropped."""
        screen, key = self._app.screen, self._held[0]
        if self._is_dropped(key) or not isinstance(screen, HoldsKeys):
            return True
        early = screen.early_keys
        return not early.holds_all() and not early.holds(key.event.key)

    def _is_dropped(self, key: HeldKey) -> bool:
        """Whether the rows that a key is about are not seen any more."""
        return key.is_about_rows and key.screen() is not self._app.screen

    def _acts(self, event: events.Key, *, is_early: bool) -> None:
        self.last, self.is_early = event.key, is_early

    async def _settle(self, node: DOMNode | None) -> None:
        """Wait for what the key did that a widget got, then let the next ones act one by one."""
        try:
            if node is not None:
                await _settled(node)
            while self._held and self._can_act():
                key = self._held.popleft()
                if self._is_dropped(key):
                    continue
                screen = self._app.screen
                is_early = key.is_early or key.is_about_rows or key.screen() is not screen
                self._acts(key.event, is_early=is_early)
                self._acting = key.event
                node = self._app.focused or screen
                self._app.post_message(key.event)
                await _settled(node)
        finally:
            self._acting, self._is_busy = None, False
            self._note_idle()


async def _settled(node: DOMNode) -> None:
    """Wait until a key has come up from a widget to the application, and so has what it led to."""
    for _ in range(2):
        for pump in (node.app, *node.ancestors_with_self):
            done = asyncio.Event()
            if pump.call_later(done.set):
                try:
                    await asyncio.wait_for(done.wait(), SETTLING)
                except TimeoutError:
                    return
