"""The footer: the keys of the screen, rebuilt only when they differ from those it shows."""

from textual.widgets import Footer

Shown = tuple[tuple[str, str, str, bool, str], ...]
"""Key, description, action, whether it is enabled and tooltip of each binding."""


class KeyFooter(Footer):
    """Textual's footer replaces all its widgets whenever the focus moves or a screen resumes.

    Opening a screen did so seven times, which took a quarter of the time until it was seen.
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False, compact=True)
        self._shown: Shown | None = None

    async def recompose(self) -> None:
        """Rebuild the footer, unless it shows the same keys."""
        if not self.is_attached or self._pruning:
            return
        bindings = self._bindings_to_show()
        if bindings != self._shown:
            self._shown = bindings
            await super().recompose()

    def _bindings_to_show(self) -> Shown | None:
        if not self._bindings_ready:
            return None
        return tuple(
            (binding.key, binding.description, binding.action, is_enabled, tooltip)
            for _, binding, is_enabled, tooltip in self.screen.active_bindings.values()
            if binding.show
        )
