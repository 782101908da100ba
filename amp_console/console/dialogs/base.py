"""Boxes in front of a place, and questions with a yes and a no."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, Generic, Literal, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static
from textual.worker import Worker

from amp_console.console.context import Services, services_of
from amp_console.console.lifecycle import is_open, unless_left
from amp_console.console.texts import lines, said, with_key
from amp_console.console.widgets.notice_line import NoticeLine

T = TypeVar("T")
Sheets = str | PurePath | list[str | PurePath] | None
"""Style sheets of a screen; a dialog with a sheet of its own names `DIALOG_SHEET` first."""
DIALOG_SHEET = Path(__file__).with_name("base.tcss")
"""Absolute: Textual looks for a relative one beside the subclass, in whatever package that is."""


class Dialog(ModalScreen[T], Generic[T]):
    """A box in the middle, in front of a dimmed place. Esc closes it with nothing done."""

    CSS_PATH: ClassVar[Sheets] = DIALOG_SHEET
    TITLE_TEXT: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

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
        """What stands in the box's border."""
        return self.TITLE_TEXT

    def compose(self) -> ComposeResult:
        """The box with what is in it."""
        with Vertical(classes="dialog") as frame:
            frame.border_title = said(self.box_title, longest=60)
            yield from self.box()
        yield NoticeLine()

    def box(self) -> ComposeResult:
        """What is in the box."""
        yield from ()


class Confirm(Dialog[bool]):
    """Asks before harm. The no has the focus; the yes says what it does.

    `typed` is a name that has to be typed before yes can be said.
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

    @property
    def box_title(self) -> str:
        """The question."""
        return self._title

    def box(self) -> ComposeResult:
        """What will happen, and the two answers."""
        rows = [
            consequence if isinstance(consequence, Content) else said(consequence)
            for consequence in self._consequences
        ]
        with VerticalScroll(classes="dialog-text", can_focus=False):
            yield Static(lines(*rows))
        if self._typed is not None:
            yield Static(said("Type ", (self._typed, "bold"), " to continue:"))
            yield Input(id="typed")
        with Horizontal(classes="buttons"):
            # Letters go into the name, where one is to be typed.
            no, yes = ("n", "y") if self._typed is None else ("esc", "enter")
            yield Button(with_key(self._no, no), id="no", compact=True)
            kind: Literal["error", "primary"] = "error" if self._is_danger else "primary"
            yield Button(with_key(self._yes, yes), id="yes", variant=kind, compact=True)

    def on_mount(self) -> None:
        """Focus the answer that does nothing."""
        self._check()
        self.query_one("#typed" if self._typed is not None else "#no").focus()

    def on_input_changed(self) -> None:
        """Let yes be said once the name stands there."""
        self._check()

    def on_input_submitted(self) -> None:
        """Enter after the name is a yes."""
        self.action_yes()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        if event.button.id == "yes":
            self.action_yes()
        else:
            self.action_no()

    def action_yes(self) -> None:
        """Answer yes, if that may be said."""
        if not self.query_one("#yes", Button).disabled:
            self.dismiss(True)

    def action_no(self) -> None:
        """Answer no."""
        self.dismiss(False)

    def _check(self) -> None:
        if self._typed is not None:
            is_right = self.query_one("#typed", Input).value.strip() == self._typed.strip()
            self.query_one("#yes", Button).disabled = not is_right
