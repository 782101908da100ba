"""Keys that come before a screen can handle them: they wait for it, in order.

A screen that was just opened has no focus yet, a list that is still being read has no rows, and a
question may need the ledger before it is shown. A key typed at that moment is meant for what will
appear; without this, it would act on something else, or on nothing.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable
from weakref import ref

from textual import events
from textual.app import App
from textual.message_pump import MessagePump
from textual.screen import Screen

NEVER_HELD = "escape"
"""The key that drops all held keys, and acts as usual."""
SETTLING = 1.0
"""Seconds until a key counts as done at the latest: a widget that closes may never answer."""

Act = Callable[[events.Key], Awaitable[None]]
"""Passes a key on to Textual."""


class EarlyKeys(Protocol):
    """Decides which keys come too early."""

    def holds_all(self) -> bool:
        """Whether no key can act yet."""
        ...

    def holds(self, key: str) -> bool:
        """Whether this key is about rows that are still being read."""
        ...

    def subject(self) -> Hashable | None:
        """Return what this key would act on if it acted now: the row under the cursor."""
        ...

    def has(self, subject: Hashable | None) -> bool:
        """Whether that is still there; if it is not, it is said that no key acts on it."""
        ...


@runtime_checkable
class HoldsKeys(Protocol):
    """A screen or dialog for which keys may come too early."""

    @property
    def early_keys(self) -> EarlyKeys:
        """Which keys come too early."""
        ...


class HeldKey(NamedTuple):
    """A key, the screen in front when it was typed, what it waits for, and what it is about."""

    event: events.Key
    screen: "ref[Screen[Any]]"
    is_early: bool  # the screen or a question was still opening
    is_about_rows: bool  # the rows were still being read
    subject: Hashable | None = None  # the row under the cursor, if there were rows already


class HeldKeys:
    """Lets the keys of an application act one after the other, each when it can.

    Textual gives a key to the widget that has the focus when the key comes, although the previous
    key may still be moving the focus or opening a screen. Here, a key waits for that.
    """

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._held: deque[HeldKey] = deque()
        self._acting: events.Key | None = None  # it may still have an effect
        self._limit: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._services_asked = 0
        self.last = ""
        """The name of the last key that acted; "" if the mouse acted after it."""
        self.is_early = False
        """Whether it was typed before its target was visible."""

    def note_click(self) -> None:
        """Record that the mouse acts now: a click is aimed at what is visible."""
        self.last, self.is_early = "", False

    async def acted(self) -> None:
        """Wait until every key so far has acted or was dropped."""
        await self._idle.wait()

    @contextmanager
    def asking_service(self) -> Iterator[None]:
        """Keys inside don't wait for a question: a service may take minutes to answer."""
        self._services_asked += 1
        self.release()
        try:
            yield
        finally:
            self._services_asked -= 1

    @property
    def is_service_asked(self) -> bool:
        """Whether a question is waiting for the answer of a service."""
        return self._services_asked > 0

    async def handle(self, event: events.Key, act: Act) -> None:
        """Let a key act, or hold it if it comes too early."""
        screen = self._app.screen
        if event is not self._acting:
            if self._is_never_held(event.key) or not isinstance(screen, HoldsKeys):
                self._acts(event, is_early=False)
                await act(event)
                return
            early = screen.early_keys
            is_early, is_about_rows = early.holds_all(), early.holds(event.key)
            if self._held or self._acting is not None or is_early or is_about_rows:
                subject = early.subject() if is_about_rows else None
                self._held.append(HeldKey(event, ref(screen), is_early, is_about_rows, subject))
                self.release()
                return
            self._begin(event, is_early=False)
        way = list((self._app.focused or screen).ancestors_with_self)
        await act(event)
        self._follow(event, iter(way * 2))  # up the path of the key, then of its effects

    def put_back(self, event: events.Key) -> None:
        """Hold a key that another screen left to the application, before the keys already held."""
        again = events.Key(event.key, event.character)
        self._held.appendleft(HeldKey(again, ref(self._app.screen), True, is_about_rows=False))
        self.release()

    def release(self) -> None:
        """Let the oldest held key act, if it now can; the next one follows."""
        while self._held and self._acting is None and self._can_act():
            key = self._held.popleft()
            if self._has_lost_subject(key):
                self._held.clear()  # what was typed after it relies on it
            elif not self._is_dropped(key):
                is_early = key.is_early or key.is_about_rows or key.screen() is not self._app.screen
                self._begin(key.event, is_early=is_early)
                self._app.post_message(key.event)
        self._note_idle()

    def _note_idle(self) -> None:
        if self._held or self._acting is not None:
            self._idle.clear()
        else:
            self._idle.set()

    def _is_never_held(self, key: str) -> bool:
        """Whether a key always acts at once; Esc also drops held keys."""
        if key == NEVER_HELD:
            self._held.clear()
            self._note_idle()
            return True
        bound = self._app._bindings.key_to_bindings.get(key, ())
        return any(binding.priority for binding in bound)

    def _can_act(self) -> bool:
        """Whether the oldest key can act or must be dropped."""
        screen, key = self._app.screen, self._held[0]
        if self._is_dropped(key) or not isinstance(screen, HoldsKeys):
            return True
        early = screen.early_keys
        return not early.holds_all() and not early.holds(key.event.key)

    def _is_dropped(self, key: HeldKey) -> bool:
        """Whether the rows that a key is about are no longer visible."""
        return key.is_about_rows and key.screen() is not self._app.screen

    def _has_lost_subject(self, key: HeldKey) -> bool:
        """Whether the row that a key was about is gone; in its place is another one."""
        screen = self._app.screen
        if key.subject is None or key.screen() is not screen or not isinstance(screen, HoldsKeys):
            return False
        return not screen.early_keys.has(key.subject)

    @property
    def are_waiting(self) -> bool:
        """Whether keys are held: they were typed at what is seen now."""
        return bool(self._held)

    def _acts(self, event: events.Key, *, is_early: bool) -> None:
        self.last, self.is_early = event.key, is_early

    def _begin(self, event: events.Key, *, is_early: bool) -> None:
        self._acts(event, is_early=is_early)
        self._acting = event
        self._limit = asyncio.get_running_loop().call_later(SETTLING, self._done, event)
        self._note_idle()

    def _follow(self, event: events.Key, way: Iterator[MessagePump]) -> None:
        """Follow a key from one message queue to the next; at the end, it has acted.

        This is not a worker: during an import, each iteration of the event loop takes milliseconds.
        """
        if event is self._acting and not any(
            pump.call_later(self._follow, event, way) for pump in way
        ):
            self._done(event)

    def _done(self, event: events.Key) -> None:
        """Let the next key act, unless this one was already given up."""
        if event is self._acting:
            assert self._limit is not None
            self._limit.cancel()
            self._acting = None
            self.release()
