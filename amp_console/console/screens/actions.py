"""Which actions of a screen are available now, and why the others are not."""

import enum
import itertools
from collections.abc import Callable, Collection
from typing import Any

from textual.binding import Binding
from textual.screen import Screen

from amp_console.connections import Connection, SettingsReadOnly
from amp_console.connections.read_only import refusal
from amp_console.console.context import Services, services_of
from amp_console.console.keymap import action_name
from amp_console.console.lifecycle import NoSession

QUITTING = "The console is quitting."
ALLOW_CHANGES = "Press 5 for Connections, then W to allow changes."
OF_CONNECTION = "Which event fields hold the IDs: a setting of the connection, under Connections"
"""What the field mapping is, where a key of another screen leads to it."""


class Need(enum.Enum):
    """What an action may need; `NEEDS` of a screen names the needs of its actions."""

    CONNECTION = "connection"
    ROW = "row"
    WRITABLE = "writable"
    SETTINGS = "settings"


def missing_connection(services: Services) -> str | None:
    """Why there is no connection to work with; None if there is one."""
    return services.sessions.missing_reason if services.session is None else None


def not_writable(services: Services) -> str | None:
    """Why nothing can be sent or changed with the open connection; None if it can."""
    if services.session is None:
        return services.sessions.missing_reason
    return read_only_reason(services.session.connection)


def read_only_reason(connection: Connection) -> str | None:
    """Why nothing can be sent or changed with a connection; None if it is not read-only."""
    return refusal(connection, way_out=ALLOW_CHANGES) if connection.read_only else None


def settings_locked(services: Services) -> str | None:
    """Why settings and keys can't be changed in this process; None if they can."""
    return str(SettingsReadOnly()) if services.environment.read_only else None


REASONS: dict[Need, Callable[[Services], str | None]] = {
    Need.CONNECTION: missing_connection,
    Need.WRITABLE: not_writable,
    Need.SETTINGS: settings_locked,
}
"""The wording for each need; that for a missing row comes from the screen."""


class ActionKeys:
    """The keys of a screen's actions: dimmed and explained if an action is unavailable.

    `reason_of` returns why an action of this name is unavailable now; None if it works. Keys of
    `confirming` actions never wait for what they confirm: it has to be read first.
    """

    def __init__(
        self,
        screen: Screen[Any],
        reason_of: Callable[[str], str | None],
        confirming: Collection[str] = (),
    ) -> None:
        self._screen = screen
        self._reason_of = reason_of
        self._confirming = confirming
        self._explained: dict[str, str] = {}  # actions, and why each was unavailable

    def refresh(self) -> None:
        """Update the footer, and withdraw the reasons that are no longer true."""
        self._screen.refresh_bindings()
        for action, reason in [*self._explained.items()]:
            if self.reason(action) != reason:
                services_of(self._screen).notifications.withdraw(reason)
                del self._explained[action]

    def explain(self, key: str) -> bool:
        """Say why the action of a pressed key is unavailable, if it is.

        If the action makes no sense here, and so is not shown, this says only that, unless a reason
        is known. Return whether anything was said; nothing is if something handles the key.
        """
        if self._is_handled_below(key):
            return False
        bound = self._bindings_of(self._screen).get(key, ())
        shown = [found for found in bound if not self._is_hidden(found)]
        if any(self.explain_action(found.action) for found in shown or bound):
            return True
        named = next((found for found in bound if found.description and found.id), None)
        has_other = key in self._bindings_of(self._screen.app)  # a meaning it has everywhere
        if shown or named is None or has_other:
            return False
        text = f"{self._screen.app.get_key_display(named)} ({named.description}) does nothing here."
        services_of(self._screen).notifications.post(text, "warning", is_kept=False)
        return True

    def explain_action(self, action: str) -> bool:
        """Say why an action is unavailable, as long as that is so; False if it works.

        What was not confirmed is said longer: it may be ready a moment later.
        """
        if (reason := self.reason(action)) is None:
            return False
        if action_name(action) not in self._confirming:
            self._explained[action] = reason
        services_of(self._screen).notifications.post(reason, "warning", is_kept=False)
        return True

    def reason(self, action: str) -> str | None:
        """Why an action is unavailable; `action` may have parameters."""
        try:
            return self._reason_of(action_name(action))
        except NoSession:
            return QUITTING

    def acts_here(self, key: str) -> bool:
        """Whether the list or the screen does something with a key, and not the application."""
        return self._is_handled_below(key) or key in self._bindings_of(self._screen)

    def needs_rows(self, key: str) -> bool:
        """Whether a key pressed before the rows are read has to wait for them.

        It does if the list handles it, or if its action is unavailable without rows.
        """
        if self._is_handled_below(key):
            return True
        bound = self._bindings_of(self._screen).get(key, ())
        if any(action_name(item.action) in self._confirming for item in bound):
            return False
        works = (self._screen.check_action(action_name(item.action), ()) for item in bound)
        return bool(bound) and not any(works)

    def _is_hidden(self, binding: Binding) -> bool:
        return self._screen.check_action(action_name(binding.action), ()) is False

    def _is_handled_below(self, key: str) -> bool:
        """Whether the focused widget, or one around it, handles this key."""
        focused = self._screen.focused
        chain = focused.ancestors_with_self if focused is not None else ()
        below = itertools.takewhile(lambda node: node is not self._screen, chain)
        return any(key in self._bindings_of(node) for node in below)

    def _bindings_of(self, node: Any) -> dict[str, list[Binding]]:
        return services_of(self._screen).appearance.bindings_of(node).key_to_bindings
