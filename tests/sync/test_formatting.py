"""Sentences do not repeat themselves."""

import time

import pytest

from amp_console.amplitude.errors import KeysRefused, ServerTrouble
from amp_console.engage import UnreadableSource
from amp_console.ledger.refused_requests import RefusalReason, RefusedRequests
from amp_console.sync.formatting import (
    clock_time,
    iso_time,
    refused_words,
    uncertain_text,
    without_name,
)
from amp_console.text import blank_if_zero, local_time, named


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


def test_a_reason_is_named_once_whatever_the_statuses() -> None:
    refused = [
        RefusedRequests(reason, status, count, 0, "")
        for reason, status, count in (
            (RefusalReason.BAD_HTTP, 400, 2),
            (RefusalReason.NOT_JSON, 400, 1),
            (RefusalReason.BAD_HTTP, 431, 3),
        )
    ]
    assert refused_words(refused) == "6 refused (5 broken HTTP, 1 not JSON)"
    assert refused_words([]) == ""


def test_of_many_names_only_the_first_are_listed() -> None:
    assert named(["a", "b\n"], 2) == r"a, b\n"
    assert named(["a" * 9, "b", "c"], 1, 5) == "aaaa… and 2 more"


AT = 1_777_837_371_000_000  # 2026-05-03T19:42:51Z
HOUR = 3_600_000_000


@pytest.mark.usefixtures("berlin")
def test_times_for_people_are_local_and_name_their_zone() -> None:
    assert local_time(AT) == local_time(iso_time(AT)) == "2026-05-03 21:42:51 CEST"
    assert local_time(AT + 5_000 * HOUR).endswith(" CET")
    assert local_time(None) == local_time(2**62) == ""
    assert clock_time(AT + HOUR, AT) == "22:42:51 CEST"
    assert clock_time(AT + 3 * HOUR, AT) == "2026-05-04 00:42:51 CEST"
    assert "A run after 2026-05-03 21:42:51 CEST, or" in uncertain_text(1, AT)
    assert iso_time(AT) == "2026-05-03T19:42:51Z"


def test_a_zone_without_an_abbreviation_is_named_by_its_offset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as there:
        there.setenv("TZ", "<Central-European>-2")
        time.tzset()
        assert local_time(AT) == "2026-05-03 21:42:51 +0200"
    time.tzset()


@pytest.mark.parametrize(("count", "shown"), [(1_200, "1,200"), (-1, "-1"), (0, ""), (None, "")])
def test_a_count_of_zero_is_left_blank(count: int | None, shown: str) -> None:
    assert blank_if_zero(count) == shown
    assert blank_if_zero(count, "+") == (shown and f"+{shown}")
