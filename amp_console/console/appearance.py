"""The console's look and its keys: theme, glyphs, keymap."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from typing import Any

from textual.app import App
from textual.binding import BindingsMap
from textual.dom import DOMNode

from amp_console.connections import (
    SettingsError,
    SettingsReadOnly,
    keep_theme,
    read_preferences,
)
from amp_console.console.background import in_thread
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.glyphs import ASCII, PLAIN
from amp_console.console.keymap import Scope, bindings, check
from amp_console.console.lifecycle import deferred
from amp_console.console.notifications import Notifications
from amp_console.console.terminal_text import draws_signs
from amp_console.text import clean

DARK, LIGHT = "tokyo-night", "catppuccin-latte"
SUGGESTED = (
    "catppuccin-latte",
    "dracula",
    "gruvbox",
    "nord",
    "solarized-light",
    "tokyo-night",
)
"""Themes to suggest if one is unknown."""


class Appearance:
    """Theme, glyphs and keys, from the settings and the command line."""

    def __init__(
        self,
        app: App[Any],
        environment: Environment,
        options: LaunchOptions,
        notifications: Callable[[], Notifications],
    ) -> None:
        self._app = app
        self._environment = environment
        self._notifications = notifications
        self.preferences = read_preferences(environment.folders.config_file)
        has_signs = draws_signs(environment.encoding)
        self.is_ascii = options.ascii_only or self.preferences.ascii_only or not has_signs
        self.glyphs = ASCII if self.is_ascii else PLAIN
        self.keys: dict[str, str] = {}
        self.first_theme, self._unknown_themes = choose_theme(
            (options.theme, self.preferences.theme), app.available_themes, DARK
        )
        self._theme = self.first_theme
        self._is_preview = False
        self._saving = asyncio.Lock()

    async def load(self, scopes: Callable[[], Iterable[Scope]]) -> None:
        """Apply the settings' keys to the bindings; post which settings are invalid.

        `scopes` returns every screen's bindings; it imports the screens, so it runs in a thread.
        """
        problems = [*self._unknown_themes, *self.preferences.problems]
        if self.preferences.keys:
            checked = await in_thread(lambda: check(self.preferences.keys, scopes()))
            self.keys = checked.keymap
            self._app.set_keymap(self.keys)
            problems += checked.problems
        self._notifications().post_problems(problems)

    def bindings_of(self, node: DOMNode) -> BindingsMap:
        """A node's bindings, with the keys from the settings."""
        return bindings(node._bindings, self.keys)

    def switch_theme(self) -> None:
        """Switch between the dark theme and the light one."""
        self._app.theme = LIGHT if self._app.current_theme.dark else DARK

    def preview(self, theme: str) -> None:
        """Show a theme without choosing it."""
        self._is_preview = True
        self._app.theme = theme

    def choose(self, theme: str) -> None:
        """Choose a theme."""
        self._is_preview = False
        self._app.theme = theme
        self.theme_changed(theme)

    def theme_changed(self, theme: str) -> None:
        """Save a chosen theme, unless it is already in the settings."""
        is_passed = theme != self._app.theme  # a different theme is shown by now
        if self._is_preview or is_passed or theme == self._theme:
            return
        self._theme = theme
        if self._environment.demo is None:
            self._app.run_worker(deferred(self._save_theme), group="theme")

    async def _save_theme(self) -> None:
        async with self._saving:  # so that the last choice is the last one written
            theme = self._app.theme
            if theme == self.preferences.theme:
                return
            try:
                await in_thread(
                    keep_theme,
                    self._environment.folders.config_file,
                    theme,
                    read_only=self._environment.read_only,
                )
            except SettingsReadOnly:
                self._notifications().post(
                    "The theme applies to this session. amp-console was started with --read-only, "
                    "so the settings were not changed."
                )
            except SettingsError as error:
                self._notifications().post(str(error), "warning")
            else:
                self.preferences = self.preferences._replace(theme=theme)


def choose_theme(
    wanted: Iterable[str | None], known: Collection[str], otherwise: str
) -> tuple[str, tuple[str, ...]]:
    """Return the first wanted theme that is known, and a sentence on each one that is not."""
    unknown: list[str] = []
    for name in wanted:
        if name is None:
            continue
        if name in known:
            return name, tuple(unknown)
        unknown.append(_no_theme(name, known))
    return otherwise, tuple(unknown)


def _no_theme(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name[:60], known, n=1)
    some = [*near, *(theme for theme in SUGGESTED if theme in known and theme not in near)]
    return (
        f"There is no theme called “{clean(name, 40)}”. Some themes: {', '.join(some)}. "
        "For all of them press ctrl+p and choose Theme."
    )
