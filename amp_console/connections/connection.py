"""A connection: what Segment calls the destination's settings, for one Amplitude project."""

import math
import re
import secrets
import unicodedata

import msgspec

from amp_console.connections.ledger_server import LedgerServer
from amp_console.connections.named_source import NamedSource
from amp_console.connections.redaction import shown_url
from amp_console.connections.segment_space import SegmentSpace
from amp_console.text import trimmed
from amp_console.values import Region

OPERATOR_VARIABLE = "AMP_CONSOLE_OPERATOR"
MAX_OPERATOR = 60  # characters of an operator's name

YEAR = 31_536_000  # seconds

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def new_id() -> str:
    """Return a random id: 12 characters that are safe in file names, even if case is ignored."""
    return secrets.token_hex(6)


def _require(*rules: tuple[bool, str]) -> None:
    """Raise a ValueError with the first sentence whose condition is false."""
    for holds, sentence in rules:
        if not holds:
            raise ValueError(sentence)


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """The limits of a connection's requests, and of its removals.

    Batches are counted in ids (Amplitude's Behavioral Cohorts API page allows 100,000 in one
    request). `timeout` is seconds for one request, `first_wait` is seconds before the first retry
    (doubled for each further one, up to a minute), and `longest_wait` limits the seconds between
    retries, in total for one audience in one run. To remove more than the share `largest_removal`
    of a cohort's members, the operator has to type the cohort's name. After `quiet_time` seconds, a
    request without an answer can no longer take effect; with 0 it never can.

    Raises ValueError if a limit is out of range.
    """

    parallel_cohorts: int = 4
    first_batch: int = 10_000
    largest_batch: int = 100_000
    tries: int = 8
    first_wait: float = 0.5
    longest_wait: float = 600.0
    timeout: float = 30.0
    largest_removal: float = 0.2
    quiet_time: float = 600.0

    def __post_init__(self) -> None:
        _require(
            (1 <= self.parallel_cohorts <= 64, "parallel_cohorts must be 1 to 64"),
            (1 <= self.largest_batch <= 100_000, "largest_batch must be 1 to 100,000"),
            (
                1 <= self.first_batch <= self.largest_batch,
                "first_batch must be 1 or more, and no larger than largest_batch",
            ),
            (1 <= self.tries <= 100, "tries must be 1 to 100"),
            (0 <= self.first_wait <= 60, "first_wait must be 0 to 60 seconds"),
            (0 <= self.longest_wait < math.inf, "longest_wait must be 0 or more seconds"),
            (0 < self.timeout < math.inf, "timeout must be more than 0 seconds"),
            (0 <= self.quiet_time <= YEAR, f"quiet_time must be 0 to {YEAR} seconds"),
            (0 <= self.largest_removal <= 1, "largest_removal must be 0 to 1"),
        )

    @property
    def quiet(self) -> int:
        """The quiet time in microseconds."""
        return round(self.quiet_time * 1_000_000)

    def late_until(self, now: int) -> int | None:
        """Until when a request that is abandoned `now` may take effect; None if it no longer can.

        Both are in microseconds since 1970.
        """
        return now + self.quiet if self.quiet else None


MAX_HISTORY = 36_500
"""The most days for which a history can be kept, other than forever."""


class Connection(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One Amplitude project and its settings, without keys.

    `keyring_item` is the keyring item that holds the keys; None if no keys are stored.
    `webhook_item` is the one with the shared secret of the webhook destination. `sources` are the
    warehouses that audiences are read from; `segment` is the space of the audiences, if Segment's
    API is used. `ledger` is the server of the ledger; None is a file on this machine. The ledger's
    log names the `operator`; None is user@host. The history is kept for `keep_history` days; None
    is forever. `base_url` replaces the region's address; the paths are where an event holds its
    identifiers.

    Raises ValueError if the id, name, App ID or owner is invalid.
    """

    id: str = msgspec.field(default_factory=new_id)
    name: str
    app_id: int
    owner_email: str
    region: Region = Region.NORTH_AMERICA
    base_url: str | None = None
    prefix: bool = False
    user_id_path: str = "$.userId"
    amplitude_id_path: str | None = None
    read_only: bool = False
    keyring_item: str | None = None
    webhook_item: str | None = None
    sources: tuple[NamedSource, ...] = ()
    segment: SegmentSpace | None = None
    ledger: LedgerServer | None = None
    limits: Limits = Limits()
    keep_history: int | None = None
    operator: str | None = None

    def __post_init__(self) -> None:
        _require(
            (_ID.fullmatch(self.id) is not None, "id may only contain letters, digits, - and _"),
            (checked_name(self.name) == self.name, "name must not begin or end with spaces"),
            (self.app_id > 0, "app_id must be a whole number above 0"),
            (
                checked_email(self.owner_email) == self.owner_email,
                "owner_email must not contain spaces",
            ),
            (
                self.operator is None or checked_operator(self.operator) == self.operator,
                "operator must not be empty, or begin or end with spaces",
            ),
            (
                self.keep_history is None or 1 <= self.keep_history <= MAX_HISTORY,
                f"keep_history must be 1 to {MAX_HISTORY} days",
            ),
            (
                len({source.name for source in self.sources}) == len(self.sources),
                "two sources have the same name",
            ),
        )

    @property
    def where(self) -> str:
        """Where its requests go, as it may be shown: the region, or the base URL."""
        return shown_url(self.base_url) if self.base_url else self.region.label


def checked_name(text: str) -> str:
    """Return a connection's name, trimmed and in Unicode's composed form.

    Raises ValueError if it is empty, longer than 100 characters, or can't be shown as it is.
    """
    name = unicodedata.normalize("NFC", trimmed(text))
    if not name:
        raise ValueError("A connection needs a name.")
    return _displayable(name, 100)


def checked_operator(text: str) -> str | None:
    """Return the name of an operator, trimmed; None for the default, user@host.

    Raises ValueError if it is longer than `MAX_OPERATOR`, or can't be shown as it is.
    """
    return _displayable(trimmed(text), MAX_OPERATOR) or None


def _displayable(name: str, most: int) -> str:
    """Return a name of at most `most` printable characters. Raises ValueError for others."""
    if len(name) > most:
        raise ValueError(f"The name has {len(name)} characters; at most {most} are allowed.")
    if not name.isprintable():
        raise ValueError("The name contains a character that can't be shown, such as a line break.")
    return name


def checked_email(text: str) -> str:
    """Return an email address, trimmed: something, an @, and a domain with a dot.

    Only Amplitude can say whether it belongs to a login.

    Raises ValueError if it is empty, or doesn't look like an address.
    """
    email = trimmed(text)
    if not email:
        raise ValueError("The email address is missing. Enter the login of the cohort owner.")
    mailbox, _, domain = email.rpartition("@")
    visible = email.isprintable() and not any(character.isspace() for character in email)
    if not (mailbox and all(domain.split(".")) and "." in domain and visible) or len(email) > 254:
        raise ValueError("That isn't an email address. It should look like owner@example.com.")
    return email
