"""Textual reads some environment variables on import; the console sets them before that."""

import subprocess
import sys

import pytest

from amp_console.console.main import DEVELOPER, PAINTS_PER_SECOND, prepare_textual

FRAME_RATE = "TEXTUAL_FPS"
LOG = "TEXTUAL_LOG"
PROGRAM = """
import os
from amp_console.console.main import prepare_textual
prepare_textual(os.environ)
from textual.constants import MAX_FPS
print(MAX_FPS)
"""


def test_textual_paints_as_often_as_the_console_says() -> None:
    found = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)

    assert found.split() == [PAINTS_PER_SECOND]


def test_the_operator_chooses_another_rate() -> None:
    environ = {FRAME_RATE: "30"}
    prepare_textual(environ)

    assert environ == {FRAME_RATE: "30"}


@pytest.mark.parametrize(("developer", "is_kept"), [({}, False), ({DEVELOPER: "1"}, True)])
def test_textual_logs_for_developers_only(developer: dict[str, str], is_kept: bool) -> None:
    environ = {LOG: "textual.log", **developer}
    prepare_textual(environ)

    assert (LOG in environ) is is_kept
