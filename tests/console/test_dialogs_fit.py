"""However small the terminal, the buttons of every dialog are inside its box, and complete."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.screen import ModalScreen, Screen
from textual.widgets import Button, Static

from amp_console.console.dialogs.base import Answer, Confirm, Question
from amp_console.console.dialogs.imports.dialog import ImportDialog
from amp_console.console.dialogs.keyring import KeyringQuestion, KeysDialog
from amp_console.console.dialogs.live import follow_dialog, listen_dialog
from amp_console.console.dialogs.quit import QuitDialog
from amp_console.console.screens.errors.retry_question import RetryDialog, RetrySummary
from amp_console.console.texts import lines, safe_text
from tests.console.host import hosted

pytestmark = pytest.mark.anyio


class Asked(Question[str]):
    """A question with this many answers."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self._many = many

    def answers(self) -> list[Answer]:
        return [Answer(f"a{n}", f"Answer number {n}", str(n)) for n in range(self._many - 1)]

    def text(self) -> ComposeResult:
        yield Static(LONG)

    def give(self, name: str) -> None:
        self.dismiss(name)


LONG = "This sentence has a long name in it, and says at length what the answer would do. " * 3
MORE = lines(*(safe_text(f"  audience {n}  +1,234  creates its cohort") for n in range(8)))
RETRIED = RetrySummary({1: "High value shoppers" * 4}, {1: 10}, 3, others=390, unknown=8)
DIALOGS: Mapping[str, Callable[[], ModalScreen[Any]]] = {
    "retry": lambda: RetryDialog(RETRIED),
    "listen": lambda: listen_dialog(lambda _: MORE, is_first=True),
    "follow": lambda: follow_dialog("/logs/", lambda _: MORE, is_first=True),
    "confirm": lambda: Confirm("Sure?", [LONG] * 6, "Remove all of them"),
    "typed": lambda: Confirm("Sure?", [LONG] * 6, "Remove all of them", typed="shoppers"),
    "keyring": lambda: KeyringQuestion(LONG * 4),
    "keys": lambda: KeysDialog(LONG * 4),
    "import": ImportDialog,
    "three answers": lambda: Asked(3),
    "four answers": lambda: Asked(4),
    "quit": lambda: QuitDialog(lambda _: None, has_jobs=True),
}


@pytest.mark.parametrize("size", [(80, 24), (60, 20)], ids=["80x24", "60x20"])
async def test_the_buttons_of_every_dialog_are_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    async with hosted(tmp_path, Screen, size) as (host, pilot):
        for name, dialog in DIALOGS.items():
            await host.push_screen(dialog())
            await pilot.pause()
            box = host.screen.query_one(".dialog").content_region
            buttons = [button for button in host.screen.query(Button) if button.region]

            assert buttons, name
            for button in buttons:
                assert box.contains_region(button.region), (name, button.label)
                assert button.region.width > len(str(button.label)), (name, button.label)
                at = host.screen.get_widget_at(*button.region.offset)[0]
                assert at is button, f"{name}: {button.label} is behind {at}"
            lines = {button.region.y for button in buttons}
            assert len(lines) in {1, len(buttons)}, f"{name}: neither a row nor a column"
            await host.pop_screen()


async def test_the_buttons_of_a_column_are_reached_in_its_order(tmp_path: Path) -> None:
    async with hosted(tmp_path, Screen, (80, 24)) as (host, pilot):
        await host.push_screen(Asked(4))
        await pilot.pause()
        buttons = sorted(host.screen.query(Button), key=lambda button: button.region.y)
        assert [button.name for button in buttons] == ["a0", "a1", "a2", "no"]
        gaps = {button.region.width - len(str(button.label)) for button in buttons}
        assert len(gaps) == 1, "no label is centered in a wider button"
        for button in buttons[1:]:
            await pilot.press("down")
            assert host.focused is button
        await pilot.press("up")
        assert host.focused is buttons[-2]
