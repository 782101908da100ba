"""No text on any screen controls the terminal, or has characters that its encoding lacks."""

import importlib
import pkgutil
import unicodedata
from dataclasses import replace

import pytest
from rich.segment import Segment
from textual.color import Color
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

import amp_console.console
from amp_console.console import LaunchOptions
from amp_console.console.routes import MainScreen, Visit
from amp_console.console.terminal_text import TerminalText
from tests.console.harness import ConsoleHarness, picture, services, until, until_shown
from tests.console.sample_audiences import connect_with_audiences
from tests.sync.workspace import Workspace, event

pytestmark = pytest.mark.anyio

HOSTILE = "evil\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u200b\u2028\nINJECTED\r\t\x00\x7f"


KEPT = HOSTILE.replace("\0", "")
"""The same without the NUL: no ledger keeps an audience or an identifier with one."""


def hostile_audience(workspace: Workspace) -> None:
    workspace.read(
        [
            event("u1", True, audience=KEPT),
            event(f"ghost-{HOSTILE}", True, audience=KEPT),
            event(f"ghost-{KEPT}", True, audience=KEPT),
            event("u2", True, audience=KEPT + "x" * 10_000),
            event("u3", True, audience=HOSTILE),
        ]
    )


def steers(text: str) -> bool:
    return any(
        unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for char in text.replace("\n", "")
    )


async def test_no_place_shows_what_steers_a_terminal(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness, hostile_audience)
    async with harness.open() as pilot:
        await until_shown(pilot, "evil\\x1b[2J")
        for main in MainScreen:
            services(pilot).navigate(Visit(main))
            await pilot.pause(0.1)
            services(pilot).notifications.post(f"About {main}: {HOSTILE}", "error")
            await pilot.pause(0.1)
            assert not steers(picture(pilot)), main


async def test_what_slips_through_is_dropped(harness: ConsoleHarness) -> None:
    connect_with_audiences(harness)
    async with harness.open() as pilot:
        await until_shown(pilot, "Audiences")
        await pilot.app.screen.mount(Static(Content(HOSTILE + " \ud83d here")))
        await until(pilot, lambda: "title" in picture(pilot) or "evil" in picture(pilot))
        assert not steers(picture(pilot))


async def test_a_terminal_that_is_not_utf_8_gets_plain_ascii_by_itself(
    harness: ConsoleHarness,
) -> None:
    connect_with_audiences(
        harness, lambda workspace: workspace.read([event("u1", True, audience="größe 漢字")])
    )
    harness.environment = replace(harness.environment, encoding="ascii")
    async with harness.open() as pilot:
        await until_shown(pilot, "gr??e ????")
        assert picture(pilot).isascii()


def test_every_widget_goes_through_it() -> None:
    for module in pkgutil.walk_packages(amp_console.console.__path__, "amp_console.console."):
        found = vars(importlib.import_module(module.name)).values()
        for kind in found:
            if isinstance(kind, type) and issubclass(kind, Widget):
                assert kind.get_line_filters is Widget.get_line_filters, kind


async def test_who_asks_for_ascii_sees_no_other_sign(harness: ConsoleHarness) -> None:
    connect_with_audiences(
        harness, lambda workspace: workspace.read([event("u1", True, audience="größe")])
    )
    async with harness.open(LaunchOptions(ascii_only=True)) as pilot:
        await until_shown(pilot, "größe")
        await pilot.press("e")
        await until_shown(pilot, "Link~")
        assert {sign for sign in picture(pilot) if not sign.isascii()} <= set("öß")


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("utf-8", "plain — ●", "plain — ●"),
        ("utf-8", "a\x1b[31mb\x9b\u202ec", "a[31mbc"),
        ("utf-8", "\ud83d", "?"),
        ("ascii", "│é●漢→“…”", '|?*??>"~"'),
        ("latin-1", "é●", "é*"),
    ],
)
def test_each_character_is_kept_replaced_or_dropped(encoding: str, text: str, shown: str) -> None:
    background = Color(0, 0, 0)
    (segment,) = TerminalText(encoding).apply([Segment(text)], background)
    assert segment.text == shown
