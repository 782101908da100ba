"""Keeping secrets out of logs, by value, and out of lists: any text may contain one."""

import base64
import json
import logging
import re
from urllib.parse import quote, quote_plus

from amp_console.values import Credentials, Secret


def redact(text: str, credentials: Credentials) -> str:
    """Return the text with *** for each key, in every form in which it is sent."""
    return _without(text, _forms(credentials))


def redact_secret(text: str, secret: Secret | None) -> str:
    """Return the text with *** for a password, plain or quoted."""
    return text if secret is None else _without(text, _quoted(secret.reveal()))


def shown_url(url: str) -> str:
    """Return a base URL with *** for a user name and password, a query and a fragment.

    Settings are edited by hand, too, and listed unchecked; no request is sent to such a URL
    (`checked_base_url`).
    """
    begin, separator, rest = url.rpartition("://") if url.count("://") == 1 else ("", "", url)
    rest = re.sub(r".*@", "***@", rest, flags=re.DOTALL)
    return begin + separator + re.sub(r"([?#]).*", r"\1***", rest, flags=re.DOTALL)


class RedactingFormatter(logging.Formatter):
    """A formatter that hides the keys it was given.

    It hides them in `format`, because a filter never sees an exception's text.
    """

    _hidden: tuple[Credentials, ...] = ()

    def hide(self, credentials: Credentials) -> None:
        """Hide these keys too, from now on."""
        self._hidden = (*self._hidden, credentials)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, with its traceback, without the keys."""
        text = super().format(record)
        for credentials in self._hidden:
            text = redact(text, credentials)
        return text


def _forms(credentials: Credentials) -> set[str]:
    """The keys as plain text, and in their encoded forms.

    Base64 has no padding here, because some texts omit it.
    """
    keys = [key.reveal() for key in credentials]
    pair = ":".join(keys).encode()
    forms = {base64.b64encode(pair), base64.urlsafe_b64encode(pair)}
    texts = {form.decode().rstrip("=") for form in forms}
    return texts.union(*map(_quoted, keys))


def _quoted(key: str) -> set[str]:
    return {key, quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1], repr(key)[1:-1]}


def _without(text: str, forms: set[str]) -> str:
    for form in sorted(forms, key=len, reverse=True):  # one may hold another
        text = text.replace(form, "***")
    return text
