"""The form for receiving webhooks in a live session."""

from collections.abc import Callable
from typing import NamedTuple

from textual.validation import Function
from textual.widgets import Input, Static

from amp_console.console.dialogs.form import FormDialog, Mistake
from amp_console.console.texts import MUTED, safe_text
from amp_console.console.widgets.fields import Tick

ADDRESS = "127.0.0.1:8766"
QUESTION = """\
Listen on address (Segment's Webhooks destination sends events here). Other machines reach it only \
with a shared secret: amp-console listen --save-secret saves it."""
SINGLE = "Refuse arrays of events"
WHY_SINGLE = """\
Segment signs only the first event of an array: with one captured event, others could be added."""
WRONG = f"Enter an address and a port, e.g. {ADDRESS}."


class ListenRequest(NamedTuple):
    """Where to listen, and whether arrays are refused."""

    host: str
    port: int
    single_events: bool


def listen_dialog(more: Callable[[], str]) -> FormDialog[ListenRequest]:
    """A form that asks where to listen; what `more` returns is added to the question."""
    line, single = Input(ADDRESS, id="answer"), Tick(SINGLE, id="single")

    def answer() -> ListenRequest:
        host, _, port = line.value.strip().rpartition(":")
        return ListenRequest(host.strip("[]"), int(port), single.value)

    return FormDialog(
        "Listen",
        lambda: QUESTION + more(),
        (line, Mistake(), single, Static(safe_text((WHY_SINGLE, MUTED)))),
        "Listen",
        answer,
        Function(_is_address, WRONG),
    )


def _is_address(text: str) -> bool:
    host, _, port = text.strip().rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536
