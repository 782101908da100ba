"""The forms that start a live session, or add a source to it: follow files, receive webhooks."""

from collections.abc import Callable
from typing import NamedTuple

from textual.content import Content
from textual.validation import Function
from textual.widget import Widget
from textual.widgets import Input, Static

from amp_console.console.background import in_thread
from amp_console.console.dialogs.form import FormDialog, Mistake, Objection
from amp_console.console.texts import MUTED, lines, safe_text
from amp_console.console.widgets.fields import Tick
from amp_console.console.widgets.path_input import PathInput
from amp_console.engage import UnreadableSource
from amp_console.text import clean

ADDRESS = "127.0.0.1:8766"
FOLLOWED = "Folder, file or bucket to follow. Tab completes a path."
ABSENT = "does not exist yet. Press Enter again to follow it once it does."
MAX_PATH = 200  # characters
QUESTION = """\
Listen on address: where Segment's Webhooks destination sends its events. Other machines can reach \
it only once a shared secret is stored, with amp-console listen --save-secret."""
SINGLE = "Accept only one event per request"
WHY_SINGLE = """\
Segment's signature covers only the first event of a request: others could be forged."""
WRONG = f"Enter an address and a port, e.g. {ADDRESS}."


CREATE = "Create missing cohorts"
WHY_CREATE = "Otherwise, audiences without a cohort wait. Amplitude's API can't delete cohorts."

More = Callable[[bool], Content]
"""Returns what a session does first, with or without creating missing cohorts."""


class FollowRequest(NamedTuple):
    """Which path or bucket to follow, and whether the session creates cohorts."""

    path: str
    create: bool


class ListenRequest(NamedTuple):
    """Where to listen, whether arrays are refused, and whether the session creates cohorts."""

    host: str
    port: int
    single_events: bool
    create: bool


def follow_dialog(path: str, more: More, *, is_first: bool) -> FormDialog[FollowRequest]:
    """A form that asks what to follow; `more` returns a paragraph below the question.

    `is_first`: the answer starts a session, so the form asks whether to create cohorts.
    """
    line = PathInput(path, is_selected=True, id="answer")
    create = Tick(CREATE, id="create", compact=True)
    return FormDialog(
        "Follow",
        lambda: _asked(FOLLOWED, more(create.value)),
        (line, Mistake(), *(_creating(create) if is_first else ())),
        "Follow",
        lambda: FollowRequest(line.value.strip(), create.value),
        check=_object_to_path,
    )


async def _object_to_path(request: FollowRequest) -> Objection | None:
    """Object to a path that can't be followed, or does not exist: it may be mistyped."""
    from amp_console.sync.sources.registry import absent_path

    try:
        absent = await in_thread(absent_path, request.path)
    except UnreadableSource as error:
        return Objection(str(error))
    if absent is None:
        return None
    return Objection(f"{clean(str(absent), MAX_PATH)} {ABSENT}", is_final=False)


def listen_dialog(more: More, *, is_first: bool) -> FormDialog[ListenRequest]:
    """A form that asks where to listen; `more` and `is_first` as in `follow_dialog`."""
    line, single = Input(ADDRESS, id="answer"), Tick(SINGLE, id="single", compact=True)
    create = Tick(CREATE, id="create", compact=True)

    def answer() -> ListenRequest:
        host, _, port = line.value.strip().rpartition(":")
        return ListenRequest(host.strip("[]"), int(port), single.value, create.value)

    why = Static(safe_text((WHY_SINGLE, MUTED)))
    return FormDialog(
        "Listen",
        lambda: _asked(QUESTION, more(create.value)),
        (line, Mistake(), single, why, *(_creating(create) if is_first else ())),
        "Listen",
        answer,
        Function(_is_address, WRONG),
    )


def _asked(question: str, more: Content) -> Content:
    return lines(safe_text(question), more) if more else safe_text(question)


def _creating(create: Tick) -> tuple[Widget, ...]:
    return create, Static(safe_text((WHY_CREATE, MUTED)))


def _is_address(text: str) -> bool:
    host, _, port = text.strip().rpartition(":")
    return bool(host) and port.isdecimal() and 0 < int(port) < 65_536
