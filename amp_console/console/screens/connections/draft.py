"""The entries of a connection form, checked field by field before anything is sent or saved."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import msgspec

from amp_console.connections import (
    Connection,
    checked_email,
    checked_keys,
    checked_name,
    checked_operator,
)
from amp_console.connections.ledger_server import FILE
from amp_console.sync.ledger_choice import entered_place
from amp_console.sync.ledgers import LedgerPlace
from amp_console.text import trimmed
from amp_console.values import Credentials, Region, Secret

T = TypeVar("T")

LARGEST_APP_ID = 2**53  # larger numbers are rounded by JSON readers


class Entered(NamedTuple):
    """The entries of the form. `has_keys`: keys are known without typing."""

    name: str
    api_key: Secret
    secret_key: Secret
    app_id: str
    owner: str
    region: Region
    read_only: bool
    prefix: bool
    base_url: str
    has_keys: bool
    ledger: str = ""
    operator: str = ""
    ledger_password: Secret = Secret("")


class Draft(NamedTuple):
    """A connection that can be tested and saved; without credentials, the known ones are kept.

    `ledger` is the new place of its ledger; None if that stays.
    """

    connection: Connection
    credentials: Credentials | None
    ledger: LedgerPlace | None = None

    def reaches_as(self, known: Connection | None) -> bool:
        """Whether keys, address and project are unchanged."""
        if known is None or self.credentials is not None:
            return False
        now = self.connection
        return (now.region, now.base_url, now.app_id) == (
            known.region,
            known.base_url,
            known.app_id,
        )


class Mistakes(Exception):
    """What is wrong, by field; the texts say what to enter instead."""

    def __init__(self, by_field: dict[str, str]) -> None:
        super().__init__("; ".join(by_field))
        self.by_field = by_field


def draft(entered: Entered, known: Connection | None, others: Iterable[Connection]) -> Draft:
    """Build a connection from the entries and the known one. Raises `Mistakes`."""
    by_field: dict[str, str] = {}

    def judged(field: str, check: Callable[[str], T], text: str) -> T | None:
        try:
            return check(text)
        except ValueError as error:
            by_field[field] = str(error)
            return None

    taken = {other.name for other in others if known is None or other.id != known.id}
    name = judged("name", lambda text: _free_name(text, taken), entered.name)
    credentials = _credentials(entered, by_field)
    app_id = judged("app-id", _app_id, entered.app_id)
    owner = judged("owner", checked_email, entered.owner)
    base_url = judged("base-url", _base_url, entered.base_url)
    ledger = judged("ledger", lambda _: _place(entered, known), "")
    operator = judged("operator", checked_operator, entered.operator)
    if name is None or app_id is None or owner is None or by_field:
        raise Mistakes(by_field)
    settings: dict[str, object] = {
        "name": name,
        "app_id": app_id,
        "owner_email": owner,
        "region": entered.region,
        "read_only": entered.read_only,
        "prefix": entered.prefix,
        "base_url": base_url,
        "operator": operator,
    }
    if known is not None:
        return Draft(msgspec.structs.replace(known, **settings), credentials, ledger)
    return Draft(Connection(**settings), credentials, ledger)  # type: ignore[arg-type]


def _place(entered: Entered, known: Connection | None) -> LedgerPlace | None:
    """The new place of the ledger, None if it stays. Raises ValueError."""
    text = trimmed(entered.ledger)
    place = entered_place(text or FILE, known)
    if entered.ledger_password.reveal():
        if place.server is None:
            raise ValueError("A file needs no password. Leave it empty, or enter a server.")
        return place._replace(password=entered.ledger_password)
    is_same = place.server == (known.ledger if known else None)
    return None if is_same and place.password is None else place


def _free_name(text: str, taken: set[str]) -> str:
    name = checked_name(text)
    if name in taken:
        raise ValueError(f"Another connection is called “{name}”. Choose another name.")
    return name


def _app_id(text: str) -> int:
    digits = trimmed(text)
    if not digits:
        raise ValueError("The App ID is missing: Amplitude calls it Project ID.")
    if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:20]) < LARGEST_APP_ID):
        raise ValueError("The App ID is a number, such as 153957.")
    return int(digits)


def _base_url(text: str) -> str | None:
    url = trimmed(text)
    if not url:
        return None
    from amp_console.http.addresses import checked_base_url

    return checked_base_url(url)


def _credentials(entered: Entered, by_field: dict[str, str]) -> Credentials | None:
    """The typed keys; mistakes are reported by field, without quoting a key."""
    texts = {
        "api-key": trimmed(entered.api_key.reveal()),
        "secret-key": trimmed(entered.secret_key.reveal()),
    }
    if entered.has_keys and not any(texts.values()):
        return None
    pairs = {"api-key": (texts["api-key"], "x"), "secret-key": ("x", texts["secret-key"])}
    for field, pair in pairs.items():
        try:
            checked_keys(*pair)
        except ValueError as error:
            by_field[field] = _missing(entered, field) if not texts[field] else str(error)
    if by_field.keys() & pairs.keys():
        return None
    return checked_keys(*texts.values())


def _missing(entered: Entered, field: str) -> str:
    if entered.has_keys:
        return "Enter both keys, or leave both empty to keep the stored ones."
    return f"The {'API' if field == 'api-key' else 'Secret'} Key is missing."
