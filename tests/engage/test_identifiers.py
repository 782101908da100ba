import pytest

from tests.engage.events import event, lines, members, read


@pytest.mark.parametrize(
    ("user_id", "text"),
    [
        ("ana", "ana"),
        (" ana ", " ana "),
        ("ANA", "ANA"),
        ("a\x00b", "a\x00b"),
        ("a\nb\t\x7f", "a\nb\t\x7f"),
        ("\u202eana\u2028", "\u202eana\u2028"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
        ("é", "é"),
        ("e\u0301", "e\u0301"),
        ("x" * 10_000, "x" * 10_000),
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
