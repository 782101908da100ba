"""The keys in a screen's footer, and clicks on them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import key_to_character
from textual.screen import Screen

from amp_console.console.context import services_of
from amp_console.console.keymap import action_name, by_action
from amp_console.console.lifecycle import NoSession
from amp_console.console.screens.actions import ActionKeys
from amp_console.console.widgets.grid import Grid
from amp_console.console.widgets.key_footer import FooterKey, FooterKeys


class Labelled(NamedTuple):
    """An action with a label in the footer that differs from its binding's."""

    action: str
    label: str


class Withheld(NamedTuple):
    """An action whose key works, but which the footer leaves out because it is pointless now."""

    action: str


OPEN = "open_row"
"""Enter, in a list."""
DETAILS = Labelled(OPEN, "Details")
"""Enter, in a list without room for its detail."""
UsefulActions = Sequence[str | Labelled | Withheld]
"""Actions of a screen or of the application, named as in bindings, the most useful first."""
ALWAYS = ("back", "filter", "command_palette", "help")
"""The actions at the end of every footer, if they work there."""
NEVER = ("go", "quit")
"""Actions that never fill leftover room: main screens have their own bar."""
LAST = ("quit",)
"""The actions at the right end of a wide footer."""
NEXT_PANEL = "next_panel"
"""Tab, if it moves between lists and texts; it comes after the useful actions."""


class _Found(NamedTuple):
    key: FooterKey
    action: str
    node: DOMNode
    is_shown: bool


class ScreenFooter:
    """The keys in the footer of a screen."""

    def __init__(
        self,
        screen: Screen[Any],
        actions: ActionKeys,
        useful: Callable[[], UsefulActions],
        lacks_row: Callable[[str], bool],
        back: Callable[[], str],
    ) -> None:
        """`useful` returns the most useful actions for what the screen shows now.

        `back` returns what Esc does now, in a word; "" for nothing.

        `lacks_row` returns whether an action needs a row but a filter leaves none: its key is left
        out.
        """
        self._screen = screen
        self._actions = actions
        self._useful = useful
        self._lacks_row = lacks_row
        self._back = back

    def keys(self) -> FooterKeys:
        """Return the useful keys, then other available ones, and those always shown.

        If the screen names no useful actions, its visible bindings are used. A useful action for
        Esc only sets the label of Esc, which stays on the right. What Enter opens in the focused
        list comes second, and other keys for it are left out. A key that would be typed into the
        focused input is left out. So are all but the last ones while a list awaits a letter.
        """
        useful_actions = self._named()
        found = {item.key.name: item for item in self._found(useful_actions)}
        labelled = [item for item in useful_actions if isinstance(item, Labelled)]
        named, opens = [item for item in labelled if item.action != "back"], None
        names = {item.action for item in named}
        if "back" in found:
            label = next((item.label for item in labelled if item.action == "back"), "")
            found["back"] = self._labelled_back(found.pop("back"), found.values(), label)
        always = [found.pop(name).key for name in ALWAYS if name in found and name not in names]
        always = [key for key in always if key.label]
        last = [found.pop(name).key for name in LAST if name in found]
        if self._awaits_letter:
            return FooterKeys([], always, last)
        tab = [found.pop(NEXT_PANEL).key] if NEXT_PANEL in found else []
        if (label := self._opens) and OPEN in found and OPEN not in names:
            opens = found.pop(OPEN).key._replace(label=label)
        useful = [
            found.pop(item.action).key._replace(label=item.label)
            if item.label
            else found.pop(item.action).key
            for item in named
            if item.action in found
        ]
        own = [item for item in found.values() if item.node is not self._screen.app]
        if not named:
            useful = [item.key for item in own if item.is_shown]
            own = [item for item in own if not item.is_shown]
        if opens is not None:  # once is enough
            useful = [key for key in useful if key.label != opens.label]
            own = [item for item in own if item.key.label != opens.label]
            useful.insert(1, opens)
        focused = [item.key for item in own if item.node is not self._screen]
        others = [
            item.key
            for item in own
            if item.key.is_available
            and item.node is self._screen
            and action_name(item.key.name) not in NEVER
        ]
        return FooterKeys([*focused, *useful, *tab, *others], always, last)

    def _labelled_back(self, back: _Found, others: Iterable[_Found], label: str) -> _Found:
        """Esc with the label of what it does now, or with none if the focused widget uses Esc."""
        is_used = any(item.key.key == back.key.key for item in others)
        return back._replace(key=back.key._replace(label="" if is_used else label or self._back()))

    async def press(self, name: str) -> None:
        """Perform the action of a key, or say why it is unavailable."""
        found = next((item for item in self._found(self._named()) if item.key.name == name), None)
        if not self._actions.explain_action(name) and found is not None:
            await self._screen.app.run_action(found.action, found.node)

    @property
    def enter_opens(self) -> str:
        """What Enter opens in the focused list, as in the footer; "" for nothing."""
        named = (item for item in self._named() if isinstance(item, Labelled))
        return next((item.label for item in named if item.action == OPEN), self._opens)

    def _named(self) -> list[Labelled | Withheld]:
        try:
            useful = self._useful()
        except NoSession:
            return []
        return [Labelled(item, "") if isinstance(item, str) else item for item in useful]

    @property
    def _awaits_letter(self) -> bool:
        """Whether the focused list awaits the letter of the column to sort by."""
        focused = self._screen.focused
        return isinstance(focused, Grid) and focused.is_choosing

    @property
    def _opens(self) -> str:
        """What Enter opens in the focused list; "" if that is unknown."""
        focused = self._screen.focused
        return focused.opens if isinstance(focused, Grid) and focused.key is not None else ""

    def _found(self, useful: Sequence[Labelled | Withheld]) -> Iterator[_Found]:
        """The first key of each action that has a name and makes sense now."""
        screen, seen = self._screen, set[str]()
        named = {item.action for item in useful if isinstance(item, Labelled)}
        named |= {OPEN} if self._opens else set()
        withheld = {item.action for item in useful if isinstance(item, Withheld)}
        for node in self._nodes():
            bindings = services_of(screen).appearance.bindings_of(node)
            for action, bound in by_action(binding for _, binding in bindings).items():
                candidates = sorted(bound, key=lambda item: "+" in item.key)
                name = action.removeprefix("app.")
                first = next((item for item in candidates if not self._is_typed(item.key)), None)
                if first is None or not first.description or name in seen:
                    continue
                lacks_row = node is screen and self._lacks_row(action_name(name))
                if name in withheld or lacks_row:
                    continue
                is_ours = first.show or name in named
                is_ours |= node in (screen, screen.app) and first.id is not None
                works = node.check_action(action_name(name), ()) if is_ours else False
                if works is False:
                    continue
                seen.add(name)
                # The screen has already checked the reason.
                is_available = works is True if node is screen else self._is_available(name)
                key = self._footer_key(name, first, candidates[0], is_available)
                yield _Found(key, action, node, first.show)

    def _is_available(self, name: str) -> bool:
        return self._actions.reason(name) is None

    def _footer_key(
        self, name: str, binding: Binding, first: Binding, is_available: bool
    ) -> FooterKey:
        own = binding
        if binding is not first:  # the first one displays a different key
            display = None if "+" in binding.key else binding.key.capitalize()
            own = Binding(binding.key, binding.action, key_display=display)
        display = self._screen.app.get_key_display(own)
        return FooterKey(name, display, binding.description, is_available)

    def _nodes(self) -> Iterator[DOMNode]:
        """The focused widget and its ancestors, the screen, the application."""
        focused = self._screen.focused
        for node in focused.ancestors_with_self if focused is not None else (self._screen,):
            if node is not self._screen.app:
                yield node
        yield self._screen.app

    def _is_typed(self, key: str) -> bool:
        """Whether the focused widget accepts this key as text."""
        focused = self._screen.focused
        character = "/" if key == "slash" else key_to_character(key)  # Textual calls it solidus
        return focused is not None and focused.check_consume_key(key, character)
