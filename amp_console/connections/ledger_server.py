"""The server of a team's ledger: its address, without a password."""

from urllib.parse import urlsplit

import msgspec

from amp_console.connections.named_source import NOT_UNDERSTOOD, split_password
from amp_console.text import trimmed
from amp_console.values import Secret

LEDGER_VARIABLE = "AMP_CONSOLE_LEDGER"
FILE = "file"
"""The word entered instead of an address for a ledger in a file on this machine."""
WRITTEN_AS = (
    "Write it as postgresql://USER@HOST:PORT/DATABASE, and percent-encode special characters: @ is "
    "%40, / is %2F, # is %23, ? is %3F. For a file on this machine, write: file."
)
_SCHEMES = ("postgresql", "postgres")


class LedgerServer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A ledger on a server. `password_item` is the keyring item with its password.

    Raises ValueError if the URL is invalid or contains a password.
    """

    url: str
    password_item: str | None = None

    def __post_init__(self) -> None:
        if split_ledger_password(self.url)[1] is not None:
            raise ValueError(
                "the URL of the ledger contains a password; remove it, and set the ledger again "
                "with: amp-console connect NAME … --ledger URL"
            )


def split_ledger_password(url: str) -> tuple[str, Secret | None]:
    """Return the URL of a ledger's server without its password, and the password, if any.

    Raises ValueError: it can't be right. The text never quotes the URL.
    """
    try:
        address, password = split_password(url)
    except ValueError as error:
        if str(error) != NOT_UNDERSTOOD:
            raise
        raise ValueError(f"The address of the ledger can't be understood. {WRITTEN_AS}") from None
    if urlsplit(address).scheme not in _SCHEMES:
        raise ValueError(f"A ledger is in a file, or on PostgreSQL. {WRITTEN_AS}")
    return address, password


def entered_ledger(text: str) -> tuple[LedgerServer | None, Secret | None]:
    """Return the entered server, None for a file, and the password in its URL.

    Raises ValueError: it can't be right. The text never quotes what was entered.
    """
    entered = trimmed(text)
    if entered == FILE:
        return None, None
    address, password = split_ledger_password(entered)
    return LedgerServer(url=address), password
