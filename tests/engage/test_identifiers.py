import pytest

from tests.engage.events import event, lines, members, read


@pytest.mark.parametrize(
    ("user_id", "text"),
    [
        ("ana", "ana"),
        (" ana ", " ana "),
        ("ANA", "ANA"),
        ("a\nb\t\x7f", "a\nb\t\x7f"),
        ("\u202eana\u2028", "\u202eana\u2028"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("é", "é"),
        ("e\u0301", "e\u0301"),
        ("x" * 1_024, "x" * 1_024),
        ("é" * 512, "é" * 512),
        ("null", "null"),
        (123, "123"),
        (0, "0"),
        (-5, "-5"),
        (2**64 + 1, "18446744073709551617"),
        (10**40 + 1, "1" + "0" * 39 + "1"),
        (7.0, "7"),
        (1.5, "1.5"),
    ],
)
def test_an_identifier_is_taken_as_it_is(user_id: object, text: str) -> None:
    assert members(read(lines(event(user_id)))) == [text]


@pytest.mark.parametrize(
    "user_id", [None, "", " ", "\t\n", "\u00a0\u2003", True, False, {}, {"id": "ana"}, [], ["ana"]]
)
def test_a_change_without_identifier_is_invalid(user_id: object) -> None:
    assert read(lines(event(user_id))).refusals == [(1, "no usable identifier at $.userId")]


def test_a_change_without_the_field_is_invalid() -> None:
    anonymous = event()
    del anonymous["userId"]
    assert read(lines(anonymous)).refusals == [(1, "no usable identifier at $.userId")]


@pytest.mark.parametrize(
    ("user_id", "fault"),
    [
        ("a\0b", "contains a NUL character"),
        ("\0", "contains a NUL character"),
        ("x" * 1_025, "is longer than 1,024 bytes"),
        ("é" * 513, "is longer than 1,024 bytes"),
        ("😀" * 257, "is longer than 1,024 bytes"),
    ],
)
def test_what_no_ledger_can_keep_is_invalid(user_id: str, fault: str) -> None:
    assert read(lines(event(user_id), event("ana"))).refusals == [(1, f"the identifier {fault}")]
