"""Messages of the lower layers suit every front end: they name no option of the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import amp_console

ROOT = Path(amp_console.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z]")


def strings(tree: ast.AST) -> Iterator[str]:
    """Every string of a module that is not a docstring."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


@pytest.mark.parametrize("package", ["sync", "engage", "ledger"])
def test_no_option_of_the_command_line_is_named(package: str) -> None:
    found = {
        text
        for path in (ROOT / package).rglob("*.py")
        for text in strings(ast.parse(path.read_text(encoding="utf-8")))
        if OPTION.search(text)
    }
    assert found == set()
