"""The console's saved views, which are stored in the settings."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from textual.app import App

from amp_console.connections import (
    Preferences,
    SavedView,
    SettingsError,
    SettingsReadOnly,
    keep_views,
)
from amp_console.console.background import in_thread
from amp_console.console.environment import Environment
from amp_console.console.lifecycle import deferred
from amp_console.console.notifications import Notifications

Views = dict[str, SavedView]
NOT_KEPT = (
    "The views apply to this session. amp-console was started with --read-only, so the settings "
    "were not changed."
)


class SavedViews:
    """Views by name, for all connections. Changes show at once, and are saved in the background."""

    def __init__(
        self,
        app: App[Any],
        environment: Environment,
        preferences: Preferences,
        notifications: Callable[[], Notifications],
    ) -> None:
        self.by_name: Views = dict(preferences.views)
        self.used = preferences.view
        """The name of the view in use; "" for none."""
        self._app = app
        self._environment = environment
        self._notifications = notifications
        self._saving = asyncio.Lock()

    @property
    def current(self) -> SavedView:
        """The view in use; the default view if there is none."""
        return self.by_name.get(self.used, SavedView())

    def use(self, name: str) -> None:
        """Use a view, now and from the next start on; "" for none."""
        self._change(lambda views: views, name)

    def save(self, name: str, view: SavedView) -> None:
        """Save a view under a name, replacing an existing one, and use it."""
        self._change(lambda views: views | {name: view}, name)

    def rename(self, old: str, new: str) -> None:
        def renamed(views: Views) -> Views:
            kept = {name: view for name, view in views.items() if name != new}
            return {new if name == old else name: view for name, view in kept.items()}

        self._change(renamed, new if self.used == old else self.used)

    def delete(self, name: str) -> None:
        def without(views: Views) -> Views:
            return {key: view for key, view in views.items() if key != name}

        self._change(without, "" if self.used == name else self.used)

    def _change(self, change: Callable[[Views], Views], used: str) -> None:
        self.by_name, self.used = change(self.by_name), used
        if self._environment.demo is None:
            self._app.run_worker(deferred(self._keep, change, used), group="views")

    async def _keep(self, change: Callable[[Views], Views], used: str) -> None:
        async with self._saving:
            file, read_only = self._environment.folders.config_file, self._environment.read_only
            try:
                await in_thread(partial(keep_views, file, change, used, read_only=read_only))
            except SettingsReadOnly:
                self._notifications().post(NOT_KEPT)
            except SettingsError as error:
                self._notifications().post(str(error), "warning")
