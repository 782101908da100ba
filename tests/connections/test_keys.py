"""Keys and texts as people enter them."""

import pytest

from amp_console.connections import (
    Connection,
    Keyring,
    KeysError,
    KeysProblem,
    Limits,
    checked_email,
    checked_keys,
    checked_name,
    find_keys,
    keys_from_environment,
    keys_from_two_lines,
    without_keys,
)
from amp_console.values import Credentials

BOTH = {"AMP_CONSOLE_API_KEY": "example-api-key", "AMP_CONSOLE_SECRET_KEY": "example-secret-key"}


@pytest.mark.parametrize("around", [" ", "\t", "\r\n", "\u200b", "\ufeff", "\u2060 \u200d", "\xa0"])
def test_what_pasting_brings_along_is_trimmed(keys: Credentials, around: str) -> None:
    pasted = [f"{around}{key.reveal()}{around}" for key in keys]

    assert checked_keys(*pasted) == keys


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "is empty"),
        (" \u200b ", "is empty"),
        ("marker marker", "contains a space"),
        ("marker\u200bmarker", "contains a space, or a character no key has"),
        ("marker\nmarker", "contains a space, or a character no key has"),
        ("märker", "contains a space, or a character no key has"),
        ("marker\x7f", "contains a space, or a character no key has"),
        ("marker…", "contains a space, or a character no key has"),
    ],
)
def test_what_cannot_be_a_key_is_refused_without_quoting_it(key: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^The API key {why}") as raised:
        checked_keys(key, "example-secret-key")
    assert "rker" not in str(raised.value)
    with pytest.raises(ValueError, match=f"^The secret key {why}"):
        checked_keys("example-api-key", key)


@pytest.mark.parametrize(
    "text",
    [
        "example-api-key\nexample-secret-key\n",
        "example-api-key\r\nexample-secret-key",
        "\ufeff\n  example-api-key \n\n\u200bexample-secret-key\n\n",
    ],
)
def test_two_lines_fill_both_keys(keys: Credentials, text: str) -> None:
    assert keys_from_two_lines(text) == keys


@pytest.mark.parametrize(
    ("text", "count"), [("", "are 0"), ("marker\n", "is 1"), ("marker\nb\nc", "are 3")]
)
def test_other_than_two_lines_are_refused_without_quoting_them(text: str, count: str) -> None:
    with pytest.raises(ValueError, match=f"the API key and then the secret key; there {count}"):
        keys_from_two_lines(text)


def test_both_variables_are_keys(keys: Credentials) -> None:
    assert keys_from_environment(BOTH) == keys


@pytest.mark.parametrize("environ", [{}, {"AMP_CONSOLE_API_KEY": " "}, dict.fromkeys(BOTH, "")])
def test_empty_variables_are_none(environ: dict[str, str]) -> None:
    assert keys_from_environment(environ) is None


@pytest.mark.parametrize("there", BOTH)
def test_one_variable_alone_names_the_other(there: str) -> None:
    (missing,) = BOTH.keys() - {there}

    with pytest.raises(KeysError, match=f"{there} is set, but {missing} is not") as raised:
        keys_from_environment({there: BOTH[there]})
    assert raised.value.problem is KeysProblem.MISSING


def test_a_variable_that_cannot_be_a_key_is_named_and_not_quoted() -> None:
    with pytest.raises(KeysError, match="It came from AMP_CONSOLE_API_KEY") as raised:
        keys_from_environment(BOTH | {"AMP_CONSOLE_API_KEY": "marker\u200bmarker"})
    assert raised.value.problem is KeysProblem.DAMAGED
    assert "marker" not in str(raised.value)


def test_a_child_process_gets_the_environment_without_keys() -> None:
    ledger = {"AMP_CONSOLE_LEDGER": "postgresql://ana:secret@db/amp", "PGPASSWORD": "secret"}
    assert without_keys(BOTH | ledger | {"PATH": "/bin"}) == {"PATH": "/bin"}


def test_a_connection_without_keys_says_how_to_supply_them(connection: Connection) -> None:
    with pytest.raises(KeysError) as raised:
        find_keys(connection, {}, Keyring({}))
    assert raised.value.problem is KeysProblem.MISSING
    assert str(raised.value) == (
        "No keys are stored for “Shop”. Store them with: amp-console connect NAME …, or set "
        "AMP_CONSOLE_API_KEY and AMP_CONSOLE_SECRET_KEY."
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [("Shop", "Shop"), ("  My shop\n", "My shop"), ("\u200bCafe\u0301", "Caf\u00e9"), ("🎉", "🎉")],
)
def test_a_name_is_trimmed_and_composed(text: str, name: str) -> None:
    assert checked_name(text) == name


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs a name"),
        (" \u200b\t", "needs a name"),
        ("x" * 101, "has 101 characters; at most 100 are allowed"),
        ("two\nlines", "can't be shown"),
        ("\x1b[31mred", "can't be shown"),
        ("a\u202eb", "can't be shown"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_name(text)


@pytest.mark.parametrize(
    "text", ["owner@example.com", "  o.w+n@mail.example.com\n", "größe@beispiel.example"]
)
def test_an_email_address_is_trimmed(text: str) -> None:
    assert checked_email(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    ["owner", "@example.com", "owner@", "owner@example", "owner@.com", "owner@example.",
     "a b@c.d", "a@b.c\u200bd", "a@b.c\nd@e.f", "a" * 250 + "@b.cd"],
)  # fmt: skip
def test_what_is_not_an_email_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"should look like owner@example\.com"):
        checked_email(text)


@pytest.mark.parametrize("text", ["", "  "])
def test_a_missing_email_address_is_reported_as_missing(text: str) -> None:
    with pytest.raises(ValueError, match="email address is missing"):
        checked_email(text)


@pytest.mark.parametrize(
    "limits",
    [
        {"parallel_cohorts": 0},
        {"first_batch": 0},
        {"largest_batch": 100_001},
        {"first_batch": 2, "largest_batch": 1},
        {"tries": 0},
        {"first_wait": -0.1},
        {"first_wait": 61},
        {"longest_wait": -1},
        {"longest_wait": float("inf")},
        {"quiet_time": 1e300},
        {"timeout": 0},
    ],
)
def test_limits_out_of_range_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Limits(**limits)


def test_each_connection_gets_an_id_of_its_own() -> None:
    made = {Connection(name="a", app_id=1, owner_email="a@b.example").id for _ in range(100)}

    assert len(made) == 100
    assert {len(item) for item in made} == {12}
