"""The entries of a connection form, checked before anything is sent or saved."""

import pytest

from amp_console.connections import Connection
from amp_console.console.screens.connections.draft import Entered, Mistakes, draft
from amp_console.console.widgets.key_input import keys_in
from amp_console.values import Region, Secret

KNOWN = Connection(name="Acme", app_id=7, owner_email="ana@acme.example", keyring_item="abc")


def entered(**more: object) -> Entered:
    """A valid form, except for the fields named."""
    whole = Entered(
        name="Acme",
        api_key=Secret("key"),
        secret_key=Secret("secret"),
        app_id="7",
        owner="ana@acme.example",
        region=Region.EUROPE,
        read_only=False,
        prefix=True,
        base_url="",
        has_keys=False,
    )
    return whole._replace(**more)  # type: ignore[arg-type]


def by_field(form: Entered, known: Connection | None = None, *others: Connection) -> dict[str, str]:
    with pytest.raises(Mistakes) as raised:
        draft(form, known, others)
    return raised.value.by_field


@pytest.mark.parametrize(
    ("field", "more", "words"),
    [
        ("name", {"name": " \u200b "}, "needs a name"),
        ("name", {"name": "a\x1b[2J"}, "can't be shown"),
        ("name", {"name": "n" * 101}, "101 characters"),
        ("api-key", {"api_key": Secret("")}, "API Key is missing"),
        ("secret-key", {"secret_key": Secret("\u200b")}, "Secret Key is missing"),
        ("secret-key", {"secret_key": Secret("clé")}, "no key has"),
        ("api-key", {"api_key": Secret(""), "has_keys": True}, "Enter both keys"),
        ("app-id", {"app_id": ""}, "App ID is missing"),
        ("app-id", {"app_id": "0"}, "is a number"),
        ("app-id", {"app_id": "-7"}, "is a number"),
        ("app-id", {"app_id": "٧"}, "is a number"),
        ("app-id", {"app_id": "9" * 5000}, "is a number"),
        ("owner", {"owner": "ana@acme"}, "email"),
        ("base-url", {"base_url": "http://example.com"}, "https"),
    ],
)
def test_a_mistake_is_reported_at_its_field_alone(
    field: str, more: dict[str, object], words: str
) -> None:
    found = by_field(entered(**more))
    assert found.keys() == {field}
    assert words in found[field]


def test_mistakes_quote_no_key() -> None:
    form = entered(api_key=Secret("canary blank"), secret_key=Secret("canary\x00"))
    assert "canary" not in str(by_field(form))
    assert "canary" not in repr(form)


def test_a_name_is_taken_by_another_connection_only() -> None:
    assert "another" in by_field(entered(), None, KNOWN)["name"].casefold()
    assert draft(entered(), KNOWN, [KNOWN]).connection.name == "Acme"


def test_an_edited_connection_keeps_what_the_form_does_not_show() -> None:
    form = entered(name="New name ", api_key=Secret(""), secret_key=Secret(""), has_keys=True)
    connection, credentials, _ = draft(form, KNOWN, [KNOWN])
    assert credentials is None
    assert (connection.id, connection.keyring_item) == (KNOWN.id, "abc")
    assert (connection.name, connection.region, connection.prefix) == (
        "New name",
        Region.EUROPE,
        True,
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one", ["one"]),
        (" \u200bone\ufeff \n", ["one"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("API Key:\none\n\nSecret Key\ntwo", ["one", "two"]),
        ("", []),
        ("\n \u200b\n", []),
    ],
)
def test_keys_are_found_in_what_is_pasted(text: str, found: list[str]) -> None:
    assert list(keys_in(text)) == found
