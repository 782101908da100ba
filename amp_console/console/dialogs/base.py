"""Dialogs in front of a screen, and questions: one way to confirm, and one way to leave."""

import asyncio
import math
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from textual import events
from textual.actions import parse
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Input, Static
from textual.worker import Worker

from amp_console.console.context import Services, services_of
from amp_console.console.first_resume import FirstResume
from amp_console.console.frame import NoticeLine
from amp_console.console.lifecycle import is_open, unless_left
from amp_console.console.texts import MUTED, lines, safe_text, with_key
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.widgets.enter_button import EnterButton
from amp_console.console.widgets.key_footer import FooterKey, FooterKeys, KeyFooter

T = TypeVar("T")
Sheets = str | PurePath | list[str | PurePath] | None
"""Style sheets of a screen; a dialog with its own sheet lists `DIALOG_SHEET` first."""
MAX_TYPED = 50  # characters of a name to type
ENTER = "Enter"
TOO_SOON = """\
The question had only just appeared, so nothing was done. Give the same answer again."""
MATCHES, NO_MATCH_YET = "It matches.", "It does not match yet."
PLAIN_SIGNS = " (a plain hyphen or quote will do)"
CAPITALS = "It does not match yet: capitals count."
DIALOG_SHEET = Path(__file__).with_name("base.tcss")
"""Absolute, because Textual looks for a relative path beside the subclass."""


class Dialog(ModalScreen[T], Generic[T]):
    """A centered box in front of a dimmed screen. Esc closes it without doing anything.

    The footer names all keys that work, including Enter, which presses the focused button.
    """

    CSS_PATH: ClassVar[Sheets] = DIALOG_SHEET
    TITLE_TEXT: ClassVar[str] = ""
    IN_LINE: ClassVar[str] = ""
    """What Enter does in an input, as the footer names it; "": nothing."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close", key_display="Esc", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("f1", "app.help", show=False),  # the application's keys do nothing here
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked: asyncio.Future[T | None] | None = None
        self.early_keys = FirstResume(self)
        self._is_closing = False

    @property
    def services(self) -> Services:
        """The services of the connection."""
        return services_of(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key works once the dialog was closed."""
        return is_open(self) and super().check_action(action, parameters)

    def run_worker(self, work: Any, *args: Any, **kwargs: Any) -> Worker[Any]:
        """Run a worker as Textual does; post its failure, unless the dialog was closed."""
        guarded = unless_left(self, work, self.services.report)
        return super().run_worker(guarded, *args, **kwargs)

    @property
    def box_title(self) -> str:
        """The title in the border of the box."""
        return self.TITLE_TEXT

    def compose(self) -> ComposeResult:
        with self.frame() as frame:
            frame.border_title = safe_text(self.box_title, max_length=60)
            yield from self.box()
        yield NoticeLine()
        # Covers the footer of the screen below, whose keys do nothing now.
        yield KeyFooter(lambda: FooterKeys(tuple(self._named_keys())), self.press_key)

    def button_of(
        self, action: str, id_: str, variant: Literal["default", "primary"] = "default"
    ) -> Button:
        """A button for an action of the dialog, with the label and the key from its footer."""
        binding = next(item for _, item in self._bindings if item.action == action)
        label = with_key(self.name_of(binding), self.app.get_key_display(binding))
        return self.marked_button(label, action, id_, variant)

    def marked_button(
        self,
        label: Content,
        name: str,
        id_: str,
        variant: Literal["default", "primary", "warning", "error"],
    ) -> Button:
        """A button for the action with this name, marked while Enter performs it."""
        return EnterButton(
            label,
            self.services.glyphs.cursor,
            lambda: self.enter_does == name,
            id=id_,
            name=name,
            variant=variant,
        )

    def on_descendant_focus(self) -> None:
        """Mark the button that Enter now presses."""
        for button in self.query(EnterButton):
            button.refresh()

    def name_of(self, binding: Binding) -> str:
        """What a key of the dialog does, as its footer and button name it."""
        return binding.description

    def footer_keys(self) -> Iterator[FooterKey]:
        """The keys of the dialog's own actions that have a description, Esc last."""
        found: dict[str, Binding] = {}
        for _, binding in self._bindings:
            namespace, name, given = parse(binding.action)
            is_own = binding.description and not namespace  # not the bindings that Textual adds
            if is_own and self.check_action(name, given):
                found.setdefault(binding.action, binding)
        for binding in sorted(found.values(), key=lambda item: item.key == "escape"):
            display = self.app.get_key_display(binding)
            yield FooterKey(binding.action, display, self.name_of(binding))

    @property
    def enter_does(self) -> str:
        """What Enter does now, as the footer names it; "" if `footer_keys` includes Enter."""
        focused = self.focused
        if isinstance(focused, Button):
            return focused.name or ""
        return self.IN_LINE if isinstance(focused, Input) else ""

    def _named_keys(self) -> Iterator[FooterKey]:
        """The keys that work now, with Enter next to the one that does the same."""
        for key in self.footer_keys():
            keys = [key.key] if key.key else []
            if key.name == self.enter_does and ENTER not in keys:
                keys.append(ENTER)
            if keys:
                yield key._replace(key="/".join(keys))

    async def press_key(self, name: str) -> None:
        """Perform a key in the footer, or a button."""
        await self.run_action(name)

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        await self.press_key(event.button.name or "")

    def frame(self) -> Widget:
        """The box."""
        return Vertical(classes="dialog")

    def box(self) -> ComposeResult:
        """Yield the content of the box."""
        yield from ()

    # Answers that are awaited outside of Textual's workers.

    def asked(self, services: Services) -> Coroutine[None, None, T | None]:
        """Show the dialog at once; the returned coroutine waits for its answer.

        The answer is None if the dialog was closed without one. `Services.ask` needs a worker, and
        its answer goes to the screen that was in front; this works anywhere, e.g. in a running
        sync. A key pressed right after the call reaches the dialog. If the waiting task is
        cancelled, the dialog closes.
        """
        self._asked = asyncio.get_running_loop().create_future()
        services.show(self)
        return self._wait(services, self._asked)

    async def _wait(self, services: Services, asked: "asyncio.Future[T | None]") -> T | None:
        try:
            with services.awaiting(self):
                return await asked
        finally:
            self._resolve(None)
            self._close_when_answered()

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Close with this result, but only once: Textual closes whatever screen is in front."""
        if self._is_closing or not self.is_active:
            return AwaitComplete()
        self._is_closing = True
        self._resolve(result)
        return super().dismiss(result)

    def _resolve(self, answer: T | None) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(answer)

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        self.early_keys.handle(event)
        self._close_when_answered()

    def on_unmount(self) -> None:
        self._resolve(None)

    def _close_when_answered(self) -> None:
        """Close as soon as no other screen is in front."""
        if self._asked is not None and self._asked.done():
            self.dismiss(None)


class Answer(NamedTuple):
    """A button of a question: its name, label, key and style."""

    name: str
    label: str
    key: str = ""
    kind: Literal["default", "primary", "warning", "error"] = "default"


class Question(Dialog[T], Generic[T]):
    """A text and some answers: buttons, most of them with a key.

    Enter gives the focused answer, which the footer names; Esc or n leaves. The first answer is
    focused, or leaving if something would be lost (`is_danger`). Right after the question appears,
    the key that opened it counts as an accidental repeat, and only causes a notice; if something
    would be lost, so does any key that confirms.
    """

    LEAVE: ClassVar[str] = "no"
    """The answer that does nothing; always offered."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "leave", "Cancel", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, *, is_danger: bool = False, leave: str = "Cancel") -> None:
        super().__init__()
        self.is_danger = is_danger
        self._leave_label = leave
        self._offered: Sequence[Answer] = ()
        self._opened_at = math.inf  # monotonic seconds
        self._opened_by = ""  # the name of a key; "": the mouse

    # The content of a question.

    def answers(self) -> Sequence[Answer]:
        """Return the answers besides the one that leaves: at least one."""
        raise NotImplementedError

    def text(self) -> ComposeResult:
        """Yield the text of the question."""
        yield from ()

    def give(self, name: str) -> None:
        """Act on an answer; `LEAVE` does nothing."""
        raise NotImplementedError

    # Showing it, and taking the answer.

    def compose(self) -> ComposeResult:
        self._offered = tuple(self.answers())
        yield from super().compose()

    def box(self) -> ComposeResult:
        yield from self.text()
        with ButtonRow():
            yield self.button(self.leaving)
            for answer in self._offered:
                yield self.button(answer)

    def button(self, answer: Answer) -> Button:
        """The button of an answer."""
        label = with_key(answer.label, answer.key)
        return self.marked_button(label, answer.name, answer.name, answer.kind)

    @property
    def leaving(self) -> Answer:
        """The answer that does nothing."""
        return Answer(self.LEAVE, self._leave_label, "Esc")

    def on_mount(self) -> None:
        self._opened_at = self.services.timing.monotonic()
        self._opened_by = self.services.held_keys.last
        self.query_one(f"#{self.LEAVE if self.is_danger else self._offered[0].name}").focus()

    def footer_keys(self) -> Iterator[FooterKey]:
        """The answers, dimmed if they can't be given now; leaving comes last."""
        for answer in (*self._offered, self.leaving):
            yield FooterKey(answer.name, answer.key, answer.label, self.can_give(answer.name))

    def can_give(self, name: str) -> bool:
        """Whether an answer can be given now."""
        found = self.query(f"#{name}").results(Button)
        return any(not button.disabled for button in found)

    def rename_answers(self) -> None:
        """Update the labels of the answers, on the buttons and in the footer."""
        self._offered = tuple(self.answers())
        for answer in self._offered:
            self.query_one(f"#{answer.name}", Button).label = with_key(answer.label, answer.key)
        self.refresh_bindings()

    async def press_key(self, name: str) -> None:
        self.choose(name)

    def on_key(self, event: events.Key) -> None:
        """Give the answer of a letter."""
        for answer in self._offered:
            if event.key == answer.key:
                event.stop()
                self.choose(answer.name)

    def action_leave(self) -> None:
        """Leave without doing anything."""
        self.choose(self.LEAVE)

    def choose(self, name: str) -> None:
        """Give an answer, if it can be given now and is not an accidental repeat."""
        if not self.can_give(name):
            return
        if name != self.LEAVE and self._is_too_soon:
            self.services.notifications.post(TOO_SOON, "warning", is_kept=False)
        else:
            self.give(name)

    @property
    def _is_too_soon(self) -> bool:
        is_repeat = self._opened_by == self.services.held_keys.last
        return (self.is_danger or is_repeat) and self.services.is_key_repeat(self._opened_at)


_AS_TYPED = (
    dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
    | dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b"), "'")
    | dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"')
)


def as_typed(text: str) -> str:
    """A text with only the dashes, quotes and spaces found on a keyboard."""
    return " ".join(text.translate(_AS_TYPED).split())


def typeable(name: str, otherwise: str) -> str:
    """The name to type as confirmation, or `otherwise` if it is hard to type."""
    is_easy = name.isprintable() and 0 < len(name.strip()) <= MAX_TYPED
    return name.strip() if is_easy else otherwise


class Confirm(Question[bool]):
    """Asks before something is done; the label of its first answer says what it does.

    For what can't be undone, the operator has to type a name: `typed`. Letters then go into the
    input, wherever the focus is.
    """

    IN_LINE = "yes"

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
        super().__init__(is_danger=is_danger or typed is not None, leave=no)
        self._title = title
        self._consequences = consequences
        self._yes = yes
        self._typed = typed

    @property
    def box_title(self) -> str:
        return self._title

    def answers(self) -> Sequence[Answer]:
        key = "y" if self._typed is None else ""
        return (Answer("yes", self._yes, key, "error" if self.is_danger else "primary"),)

    def text(self) -> ComposeResult:
        rows = [
            consequence if isinstance(consequence, Content) else safe_text(consequence)
            for consequence in self._consequences
        ]
        with VerticalScroll(classes="dialog-text", can_focus=False):
            yield Static(lines(*rows))
        if self._typed is not None:
            plain = "" if as_typed(self._typed) == self._typed else PLAIN_SIGNS
            yield Static(safe_text("Type “", (self._typed, "bold"), f"” to continue{plain}:"))
            yield Input(placeholder="Type it here", id="typed", select_on_focus=False)
            yield Static(id="typed-note")

    @property
    def enter_does(self) -> str:
        """Nothing in the input until the name matches."""
        action = super().enter_does
        return action if action and self.can_give(action) else ""

    def give(self, name: str) -> None:
        self.dismiss(name == "yes")

    def on_mount(self) -> None:
        self._check()

    def on_input_changed(self) -> None:
        self._check()

    def on_input_submitted(self) -> None:
        self.choose("yes")

    def on_key(self, event: events.Key) -> None:
        """Type into the input, wherever the focus is."""
        if self._typed is not None and event.character and event.is_printable:
            self._type(event, event.character)

    def on_paste(self, event: events.Paste) -> None:
        """Paste into the input, wherever the focus is."""
        if self._typed is not None:
            self._type(event, event.text)

    def _type(self, event: events.Event, text: str) -> None:
        event.stop()
        line = self.query_one("#typed", Input)
        line.focus()
        line.insert_text_at_cursor(text)

    def _check(self) -> None:
        if self._typed is not None:
            typed = as_typed(self.query_one("#typed", Input).value)
            is_right = typed == as_typed(self._typed)
            self.query_one("#yes", Button).disabled = not is_right
            note = MATCHES if is_right else NO_MATCH_YET if typed else ""
            if not is_right and typed.casefold() == as_typed(self._typed).casefold():
                note = CAPITALS
            self.query_one("#typed-note", Static).update(safe_text((note, MUTED)))
            self.refresh_bindings()
