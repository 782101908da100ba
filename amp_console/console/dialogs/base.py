"""Boxes in front of a screen, and questions with a yes and a no."""

import asyncio
import math
from collections.abc import Coroutine, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, Generic, Literal, TypeVar

from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static
from textual.worker import Worker

from amp_console.console.context import Services, services_of
from amp_console.console.frame import NoticeLine
from amp_console.console.lifecycle import is_open, unless_left
from amp_console.console.texts import lines, safe_text, with_key

T = TypeVar("T")
Sheets = str | PurePath | list[str | PurePath] | None
"""Style sheets of a screen; a dialog with a sheet of its own names `DIALOG_SHEET` first."""
DIALOG_SHEET = Path(__file__).with_name("base.tcss")
"""Absolute: Textual looks for a relative one beside the subclass, in whatever package that is."""


class Dialog(ModalScreen[T], Generic[T]):
    """A box in the middle, in front of a dimmed screen. Esc closes it with nothing done."""

    CSS_PATH: ClassVar[Sheets] = DIALOG_SHEET
    TITLE_TEXT: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: asyncio.Future[T | None] | None = None
        self._is_closing = False

    @property
    def services(self) -> Services:
        """What the application provides."""
        return services_of(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key works on a dialog that was closed."""
        return is_open(self) and super().check_action(action, parameters)

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """Run a worker as Textual does; one that fails after the dialog was closed is let go."""
        return super().run_worker(unless_left(self, work), *args, **kwargs)

    @property
    def box_title(self) -> str:
        """The title in the border of the box."""
        return self.TITLE_TEXT

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as frame:
            frame.border_title = safe_text(self.box_title, max_length=60)
            yield from self.box()
        yield NoticeLine()

    def box(self) -> ComposeResult:
        """Yield what is in the box."""
        yield from ()

    # Answers that are awaited outside of Textual's workers.

    def asked(self, services: Services) -> Coroutine[None, None, T | None]:
        """Show the dialog at once, and return its answer to whatever awaits it.

        The answer is None where the dialog was closed without one. `Services.ask` needs a worker,
        and its answer goes to the screen that was in front; this works anywhere, in a sync under
        way for one. A key pressed right after the call reaches the dialog. When the one that waits
        is cancelled, the dialog closes.
        """
        self._asked = asyncio.get_running_loop().create_future()
        services.show(self)
        return self._wait(self._asked)

    async def _wait(self, asked: "asyncio.Future[T | None]") -> T | None:
        try:
            return await asked
        finally:
            self._resolve(None)
            self._close_when_answered()

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        self._is_closing = True
        self._resolve(result)
        return super().dismiss(result)

    def _resolve(self, answer: T | None) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(answer)

    def on_screen_resume(self) -> None:
        self._close_when_answered()

    def on_unmount(self) -> None:
        self._resolve(None)

    def _close_when_answered(self) -> None:
        """Close as soon as nothing is in front."""
        is_answered = self._asked is not None and self._asked.done()
        if is_answered and self.is_active and not self._is_closing:
            self.dismiss(None)


class Confirm(Dialog[bool]):
    """Asks before something is done. Enter chooses what has the focus, y yes, Esc or n no.

    No has the focus; the label of yes says what it does. `typed` is a name that has to be typed
    before yes can be chosen. A yes right after the question is taken for a repeated key, and does
    nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "no", "No", show=False),
        Binding("y", "yes", "Yes", show=False),
    ]

    def __init__(
        self,
        title: str,
        consequences: Sequence[str | Content],
        yes: str,
        no: str = "Cancel",
        *,
        typed: str | None = None,
        is_danger: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._consequences = consequences
        self._yes, self._no = yes, no
        self._typed = typed
        self._is_danger = is_danger
        self._opened_at = math.inf  # monotonic seconds

    @property
    def box_title(self) -> str:
        return self._title

    def box(self) -> ComposeResult:
        rows = [
            consequence if isinstance(consequence, Content) else safe_text(consequence)
            for consequence in self._consequences
        ]
        with VerticalScroll(classes="dialog-text", can_focus=False):
            yield Static(lines(*rows))
        if self._typed is not None:
            yield Static(safe_text("Type ", (self._typed, "bold"), " to continue:"))
            yield Input(id="typed")
        with Horizontal(classes="buttons"):
            # Letters go into the name, where one is to be typed.
            no, yes = ("n", "y") if self._typed is None else ("esc", "enter")
            yield Button(with_key(self._no, no), id="no", compact=True)
            kind: Literal["error", "primary"] = "error" if self._is_danger else "primary"
            yield Button(with_key(self._yes, yes), id="yes", variant=kind, compact=True)

    def on_mount(self) -> None:
        self._check()
        self._opened_at = self.services.timing.monotonic()
        self.query_one("#typed" if self._typed is not None else "#no").focus()

    def on_input_changed(self) -> None:
        self._check()

    def on_input_submitted(self) -> None:
        self.action_yes()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_yes()
        else:
            self.action_no()

    def action_yes(self) -> None:
        """Answer yes, once the name is typed where one is wanted."""
        is_ready = not self.query_one("#yes", Button).disabled
        if is_ready and not self.services.is_key_repeat(self._opened_at):
            self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def _check(self) -> None:
        if self._typed is not None:
            is_right = self.query_one("#typed", Input).value.strip() == self._typed.strip()
            self.query_one("#yes", Button).disabled = not is_right
