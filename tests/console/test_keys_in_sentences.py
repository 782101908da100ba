"""Keys named in sentences work on the screens that the sentences name."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from textual.binding import Binding

import amp_console
from amp_console.console.app import ConsoleApp
from amp_console.console.navigation import MAIN
from amp_console.console.routes import MainScreen

PACKAGE = Path(amp_console.__file__).parent
TWO_KEYS = re.compile(r"[Pp]ress (\d)[^.;:]*?, then (\w)\b")
MAY_HAVE_ONE = re.compile(r"[Pp]ress \d")  # parsing all modules would take a second


def sentences() -> Iterator[tuple[str, str, str]]:
    """Each "press 5, then T" in the package: its place, the screen's key, and the other key."""
    sources = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    for path in (path for path, source in sources.items() if MAY_HAVE_ONE.search(source)):
        for node in ast.walk(ast.parse(sources[path])):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for screen, key in TWO_KEYS.findall(" ".join(node.value.split())):
                    yield str(path.relative_to(PACKAGE)), screen, key


def keys_of(bindings: object) -> dict[str, str]:
    """The keys of a class's bindings, and the action of each."""
    assert isinstance(bindings, list)
    found = [item for item in bindings if isinstance(item, Binding)]
    return {key: item.action for item in found for key in item.key.split(",")}


def screen_of(digit: str) -> type:
    """The main screen that a digit opens."""
    name = keys_of(ConsoleApp.BINDINGS)[digit].removeprefix("go('").removesuffix("')")
    module, _, class_name = MAIN[MainScreen(name)].partition(":")
    found = getattr(import_module(f"amp_console.console.screens.{module}"), class_name)
    assert isinstance(found, type)
    return found


def test_the_second_of_two_keys_is_bound_on_the_screen_of_the_first() -> None:
    named = list(sentences())
    assert len(named) >= 8
    wrong = [
        (where, digit, key)
        for where, digit, key in named
        if key not in keys_of(getattr(screen_of(digit), "BINDINGS", []))
    ]
    assert wrong == []
