"""Sentences say a thing once."""

import pytest

from amp_console.amplitude.errors import KeysRefused, ServerTrouble
from amp_console.engage import UnreadableSource
from amp_console.sync.formatting import without_name


@pytest.mark.parametrize("words", ["503", "503.", "HTTP 503", "Error code: 503"])
def test_words_that_only_repeat_the_status_are_left_out(words: str) -> None:
    assert str(ServerTrouble(503, words)).startswith("Amplitude could not answer (status 503). ")


def test_words_that_say_more_are_shown() -> None:
    assert "(status 503): 503 overloaded. " in str(ServerTrouble(503, "503 overloaded"))
    assert str(KeysRefused(403, "403")).startswith("Amplitude refused the keys: 403. ")


def test_a_line_that_begins_with_a_name_does_not_repeat_it() -> None:
    error = UnreadableSource("/logs/x.csv can't be read. It is empty.")
    assert without_name(error, "/logs/x.csv") == "It can't be read. It is empty."
    assert without_name(error, "/logs/x") == "/logs/x.csv can't be read. It is empty."
