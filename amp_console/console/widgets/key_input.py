"""An input for a key: masked, never copied, and both keys may be pasted at once."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import Input

from amp_console.text import trimmed
from amp_console.values import Secret

_LABELS = {"api key", "secret key"}  # copied along from Amplitude's page


class KeyInput(Input):
    """A masked input. Copying and cutting do nothing: Textual would copy the plain text."""

    ALLOW_SELECT = False

    @dataclass
    class BothPasted(Message):
        """Two lines were pasted: the API Key and the Secret Key."""

        api_key: Secret
        secret_key: Secret

    @dataclass
    class Refused(Message):
        """The pasted text can't be keys; it was ignored."""

        input: "KeyInput"
        lines: int

    def __init__(self, *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002
        super().__init__(password=True, placeholder=placeholder, id=id)

    def action_copy(self) -> None:
        """Copy nothing."""

    def action_cut(self) -> None:
        """Cut nothing."""

    def action_paste(self) -> None:
        """Paste from Textual's own clipboard."""
        self._take(self.app.clipboard)

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()  # otherwise Input would also paste the first line
        self._take(event.text)

    def _take(self, text: str) -> None:
        found = keys_in(text)
        if len(found) == 1:
            self.value = found[0]
            self.cursor_position = len(self.value)
        elif len(found) == 2:
            self.post_message(self.BothPasted(Secret(found[0]), Secret(found[1])))
        elif found:
            self.post_message(self.Refused(self, len(found)))


def keys_in(text: str) -> Sequence[str]:
    """The lines of a pasted text that can be keys, without spaces and invisible characters."""
    found = [trimmed(line) for line in text.splitlines()]
    return [line for line in found if line and line.casefold().rstrip(":") not in _LABELS]
