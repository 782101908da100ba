"""Alerts of a live session: a notification, the terminal bell, and the desktop."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.app import App

from amp_console.console.notifications import Notifications
from amp_console.text import clean

if TYPE_CHECKING:
    from amp_console.sync.live.alerts import Alert


class AlertNotifier:
    """Reports alerts to the operator, also on the desktop if the settings ask for it."""

    def __init__(
        self,
        app: App[Any],
        notifications: Notifications,
        about: Callable[[], str] = str,
        *,
        notifies_desktop: bool,
    ) -> None:
        """The desktop notification starts with the result of `about`."""
        self._app = app
        self._notifications = notifications
        self._about = about
        self._notifies_desktop = notifies_desktop

    def report(self, alert: "Alert") -> None:
        """Post the alert; ring the bell, unless it says that a problem is over."""
        # The live session logs it.
        self._notifications.post(
            alert.text, "information" if alert.is_over else "warning", is_kept=False
        )
        if alert.is_over:
            return
        self._app.bell()
        if self._notifies_desktop and self._app._driver is not None:
            # OSC 9, which iTerm2, kitty, WezTerm, Windows Terminal and others show on the desktop;
            # Textual has no call for it.
            self._app._driver.write(f"\x1b]9;{clean(self._about() + alert.text, 300)}\x07")
