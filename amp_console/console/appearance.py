"""How the operator likes the console: its theme, its look, its keys."""

import asyncio

from textual.binding import BindingsMap
from textual.dom import DOMNode

from amp_console.connections import SettingsError, SettingsReadOnly, keep_theme
from amp_console.console.background import aside
from amp_console.console.environment import Environment, LaunchOptions
from amp_console.console.glyphs import ASCII, PLAIN
from amp_console.console.notifications import SpeakingApp
from amp_console.console.terminal_text import draws_signs
from amp_console.console.themes import choose_theme

DARK, LIGHT = "tokyo-night", "catppuccin-latte"


class LikedApp(SpeakingApp):
    """An application that wears what the settings and the command line ask for."""

    def __init__(self, premises: Environment, opening: LaunchOptions) -> None:
        super().__init__(premises, opening)
        has_signs = draws_signs(premises.encoding)
        is_ascii = opening.ascii_only or self.preferences.ascii_only or not has_signs
        self.glyphs = ASCII if is_ascii else PLAIN
        self.set_class(is_ascii, "-ascii")
        self.keys: dict[str, str] = {}
        self._worn, self._no_themes = choose_theme(
            (opening.theme, self.preferences.theme), self.available_themes, DARK
        )
        self.theme = self._worn
        self._keeping = asyncio.Lock()

    async def take_preferences(self) -> None:
        """Take the keys of the settings, and tell what in the settings can't be had."""
        told = [*self._no_themes, *self.preferences.told]
        if self.preferences.keys:
            from amp_console.console import keymap

            checked = await aside(keymap.check, self.preferences.keys, self._bindings)
            self.keys = checked.keymap
            self.set_keymap(self.keys)
            told += checked.told
        self.tell_of_settings(told)

    def bindings_of(self, node: DOMNode) -> BindingsMap:
        """A node's bindings, with the keys that the settings give them."""
        from amp_console.console import keymap

        return keymap.bindings(node._bindings, self.keys)

    def watch_theme(self, theme: str) -> None:
        """Keep a theme that was chosen, unless the settings name it already."""
        if theme == self._worn:
            return
        self._worn = theme
        if self.premises.stage is None:
            self.run_worker(self._keep_theme(), group="theme")

    async def _keep_theme(self) -> None:
        async with self._keeping:  # the last one that was chosen is the last one written
            theme = self.theme
            if theme == self.preferences.theme:
                return
            try:
                await aside(
                    keep_theme,
                    self.premises.folders.config_file,
                    theme,
                    read_only=self.premises.read_only,
                )
            except SettingsReadOnly:
                self.say(
                    "The theme holds for this session. amp-console was started with --read-only, "
                    "so the settings were not changed."
                )
            except SettingsError as error:
                self.say(str(error), "warning")
            else:
                self.preferences = self.preferences._replace(theme=theme)

    def search_themes(self) -> None:
        """Choose other colours by their name."""
        from textual.theme import ThemeProvider

        from amp_console.console.palette import Palette

        self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    def switch_theme(self) -> None:
        """Switch between the dark theme and the light one."""
        self.theme = LIGHT if self.current_theme.dark else DARK
