"""Keys kept out of logs."""

import base64
import io
import json
import logging
from urllib.parse import quote

import pytest

from amp_console.connections import RedactingFormatter, checked_keys, redact, redact_secret

API_KEY = 'mark\\er+one"/'
SECRET_KEY = "mark>>?er~two=&%!"
KEYS = checked_keys(API_KEY, SECRET_KEY)
# Of a length that Base64 pads.
PAIR = f"{API_KEY}:{SECRET_KEY}".encode()


@pytest.mark.parametrize(
    "form",
    [
        API_KEY,
        SECRET_KEY,
        base64.b64encode(PAIR).decode(),
        base64.b64encode(PAIR).decode().rstrip("="),
        base64.urlsafe_b64encode(PAIR).decode().rstrip("="),
        quote(API_KEY, safe=""),
        quote(SECRET_KEY, safe=""),
        json.dumps({"key": API_KEY, "secret": SECRET_KEY}),
        repr([API_KEY, SECRET_KEY]),
    ],
)
def test_every_form_of_a_key_is_hidden(form: str) -> None:
    hidden = redact(f"before {form} after", KEYS)

    assert "mark" not in hidden
    assert base64.b64encode(PAIR).decode()[:8] not in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    assert "***" in hidden


def test_a_password_is_hidden_plain_and_quoted() -> None:
    for form in (API_KEY, quote(API_KEY, safe=""), json.dumps(API_KEY), repr(API_KEY)):
        hidden = redact_secret(f"before {form} after", KEYS.api_key)
        assert "mark" not in hidden
        assert "***" in hidden
    assert redact_secret("nothing to hide", None) == "nothing to hide"


def test_a_text_without_keys_stays_as_it_is() -> None:
    assert redact("nothing to hide", KEYS) == "nothing to hide"


@pytest.mark.parametrize(("one", "other"), [("marker", "marker-two"), ("marker-two", "marker")])
def test_a_key_that_holds_the_other_is_hidden_whole(one: str, other: str) -> None:
    assert redact("marker-two", checked_keys(one, other)) == "***"


def test_a_traceback_is_redacted_too() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = RedactingFormatter("%(levelname)s %(message)s")
    formatter.hide(checked_keys("another-key", "another-secret"))
    formatter.hide(KEYS)
    handler.setFormatter(formatter)
    logger = logging.Logger("tests.redaction")
    logger.addHandler(handler)

    try:
        raise RuntimeError(f"header {SECRET_KEY}")
    except RuntimeError:
        logger.exception("sent %s and %s", API_KEY, "another-key")

    assert stream.getvalue().startswith("ERROR sent *** and ***\nTraceback")
    assert "RuntimeError: header ***" in stream.getvalue()
    assert "mark" not in stream.getvalue()
