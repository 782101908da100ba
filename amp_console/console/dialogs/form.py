"""A small form: a question, an input, perhaps more fields, and a button."""

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Generic, NamedTuple, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.validation import Function, ValidationResult, Validator
from textual.widget import Widget
from textual.widgets import Checkbox, Input, Static

from amp_console.console.context import services_of
from amp_console.console.dialogs.base import Dialog
from amp_console.console.texts import BAD, WARN, safe_text
from amp_console.console.widgets.button_row import ButtonRow
from amp_console.console.widgets.fields import Choice
from amp_console.console.widgets.path_input import PathInput

T = TypeVar("T")

Question = str | Callable[[], Content]
"""What a form asks; a function if that changes while the form is open."""
NOT_EMPTY = Function(lambda text: bool(text.strip()), "Enter a path.")


class Objection(NamedTuple):
    """An objection to an answer; unless `is_final`, the same answer is accepted when repeated."""

    text: str
    is_final: bool = True


Check = Callable[[T], Awaitable[Objection | None]]
"""Returns an objection to an answer, or None; may take long."""


class Mistake(Static):
    """Where a form shows what is wrong with the input."""


class FormDialog(Dialog[T | None], Generic[T]):
    """Asks for the first of its fields that is an `Input`, and for the other fields below it.

    Enter in the input answers, and so does F2 anywhere, as in every form.

    A mistake appears when the form is submitted, and disappears as soon as the input is valid. An
    objection disappears as soon as the input is edited. Esc answers None.
    """

    IN_LINE = "submit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2,ctrl+s", "submit", "Save", key_display="F2", show=False),
        Binding("escape", "dismiss(None)", "Cancel", key_display="Esc", show=False),
    ]

    def __init__(
        self,
        title: str,
        question: Question,
        fields: Iterable[Widget],
        yes: str,
        answer: Callable[[], T],
        validator: Validator = NOT_EMPTY,
        check: Check[T] | None = None,
    ) -> None:
        """`answer` reads the fields; it is called once `validator` accepts the input.

        `check` returns an objection to an answer, or None; it may take long.
        """
        super().__init__()
        self._title = title
        self._question = question
        self._fields = tuple(fields)
        self._yes = yes
        self._answer = answer
        self._validator = validator
        self._check = check
        self._doubted: T | None = None  # the answer that got an objection
        self._objection: Objection | None = None  # if the same answer is accepted when repeated
        self._doubted_at = 0.0

    @property
    def box_title(self) -> str:
        return self._title

    def box(self) -> ComposeResult:
        yield Static(self._asked_text(), id="question")
        yield from self._fields
        with ButtonRow():
            yield self.button_of("dismiss(None)", "no")
            yield self.button_of("submit", "yes", "primary")

    def ask_again(self) -> None:
        """Show the current question, unless the dialog is just being opened or closed."""
        for question in self.query("#question").results(Static):
            question.update(self._asked_text())

    def _asked_text(self) -> Content:
        question = self._question
        return safe_text(question) if isinstance(question, str) else question()

    def name_of(self, binding: Binding) -> str:
        return self._yes if binding.action == "submit" else super().name_of(binding)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        if self.query_one(Mistake).content:
            self._validate()

    def on_input_submitted(self) -> None:
        self.action_submit()

    def on_checkbox_changed(self, event: Checkbox.Changed) -> None:
        """Show what the answer would do now."""
        event.stop()
        self.ask_again()

    def on_choice_changed(self, event: Choice.Changed) -> None:
        event.stop()

    def action_submit(self) -> None:
        """Answer, unless the input is invalid or there is an objection."""
        if not self._validate().is_valid:
            return
        answer = self._answer()
        objection = self._objection if answer == self._doubted else None
        if objection is not None and services_of(self).is_key_repeat(self._doubted_at):
            self._show(objection)  # the objection has not been readable yet
        elif objection is not None or self._check is None:
            self.dismiss(answer)
        else:
            self.run_worker(self._object_or_dismiss(answer, self._check), exclusive=True)

    async def _object_or_dismiss(self, answer: T, check: Check[T]) -> None:
        objection = await check(answer)
        if not self.is_current or answer != self._answer():
            return  # it was closed or edited in the meantime
        if objection is None:
            self.dismiss(answer)
            return
        self._doubted, self._objection = answer, None if objection.is_final else objection
        self._doubted_at = services_of(self).timing.monotonic()
        self._show(objection)

    def _show(self, objection: Objection) -> None:
        style = BAD if objection.is_final else WARN
        self.query_one(Mistake).update(safe_text((objection.text, style)))

    def _validate(self) -> ValidationResult:
        result = self._validator.validate(self.query_one(Input).value)
        mistakes = " ".join(result.failure_descriptions)
        self.query_one(Mistake).update(safe_text((mistakes, BAD)) if mistakes else "")
        return result


def ask_text(
    title: str, question: str, value: str, yes: str, validator: Validator = NOT_EMPTY
) -> FormDialog[str]:
    """A form that asks for a text."""
    line = Input(value, id="answer")
    return FormDialog(title, question, (line, Mistake()), yes, lambda: line.value, validator)


def ask_path(title: str, question: Question, value: str, yes: str) -> FormDialog[str]:
    """A form that asks for the path of a file or folder that exists."""
    line = PathInput(value, id="answer")

    def answer() -> str:
        return line.value.strip()

    return FormDialog(title, question, (line, Mistake()), yes, answer)
