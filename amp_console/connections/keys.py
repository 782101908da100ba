"""Keys as people supply them: typed, pasted, piped or in the environment."""

import re
from collections.abc import Mapping

from amp_console.connections.key_errors import (
    KEY_VARIABLES,
    WEBHOOK_VARIABLE,
    KeysError,
    KeysProblem,
)
from amp_console.connections.ledger_server import LEDGER_VARIABLE
from amp_console.text import trimmed
from amp_console.values import Credentials, Secret

_VISIBLE_ASCII = re.compile(r"[!-~]+")


def checked_keys(api_key: str, secret_key: str) -> Credentials:
    """Return the two keys without spaces and invisible characters at their ends.

    Only visible ASCII is accepted: an HTTP library that fails on anything else quotes the key in
    its error.

    Raises ValueError, without quoting the key, if one is empty or contains anything else.
    """
    return Credentials(_checked("API key", api_key), _checked("secret key", secret_key))


def _checked(what: str, text: str) -> Secret:
    key = trimmed(text)
    if not key:
        raise ValueError(f"The {what} is empty.")
    if not _VISIBLE_ASCII.fullmatch(key):
        raise ValueError(
            f"The {what} contains a space, or a character no key has. Copy it again from Amplitude."
        )
    return Secret(key)


def keys_from_two_lines(text: str) -> Credentials:
    """Return the keys of a pasted or piped text: the API key, then the secret key.

    Raises ValueError, without quoting anything, unless there are two lines and both can be keys.
    """
    lines = [line for line in map(trimmed, text.splitlines()) if line]
    if len(lines) != 2:
        raise ValueError(
            "Two lines are expected, the API key and then the secret key; "
            f"there {'is' if len(lines) == 1 else 'are'} {len(lines)}."
        )
    return checked_keys(*lines)


def keys_from_environment(environ: Mapping[str, str]) -> Credentials | None:
    """Return the keys in AMP_CONSOLE_API_KEY and AMP_CONSOLE_SECRET_KEY; None if neither is set.

    Raises KeysError if only one is set (MISSING), or one can't be a key (DAMAGED).
    """
    texts = [trimmed(environ.get(variable, "")) for variable in KEY_VARIABLES]
    if not any(texts):
        return None
    if not all(texts):
        there, missing = KEY_VARIABLES if texts[0] else reversed(KEY_VARIABLES)
        raise KeysError(
            KeysProblem.MISSING,
            message=f"{there} is set, but {missing} is not. Nothing was sent. Set both or neither.",
        )
    try:
        return checked_keys(*texts)
    except ValueError as error:
        message = f"{error} It came from {' or '.join(KEY_VARIABLES)}. Nothing was sent."
        raise KeysError(KeysProblem.DAMAGED, message=message) from None


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without keys, for a child process such as an editor or a pager.

    The address of a ledger is left out, too: it may contain a password.
    """
    hidden = {*KEY_VARIABLES, WEBHOOK_VARIABLE, LEDGER_VARIABLE, "PGPASSWORD"}
    return {name: value for name, value in environ.items() if name not in hidden}
