"""The environment of a console: settings, keys, time, limits, and what to open first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from amp_console.connections import ConnectionStore, Folders, Keyring
from amp_console.console.key_priority import KeyPriority
from amp_console.sync.ledgers import Ledgers
from amp_console.sync.timing import Timing
from amp_console.values import Region, Secret

if TYPE_CHECKING:
    from textual.app import App
    from textual.events import InputEvent


@dataclass(frozen=True, slots=True)
class DemoTrouble:
    """One kind of trouble that a demo can make. `name` is for code, `label` for the screen."""

    name: str
    label: str
    is_on: bool


class DemoSession(Protocol):
    """What a demo adds to the console: members who enter and leave, and trouble on request."""

    @property
    def has_traffic(self) -> bool:
        """Whether the demo writes and imports simulated events while it is open."""

    def open(self) -> None:
        """Start filling the ledger and sending events in a separate thread; return at once."""

    def is_ready(self) -> bool:
        """Whether the ledger is filled. Raises the error that prevented that."""

    def progress(self) -> float:
        """How much of the ledger is filled, from 0.0 to 1.0."""

    def troubles(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble, and which of them are on."""

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off; return a sentence on what happens now."""


class Tour(Protocol):
    """A guided tour that presses the console's keys."""

    async def run(self, app: "App[None]") -> None:
        """Run the tour in a console that has just opened; return when it ends."""

    def handle_input(self, event: "InputEvent") -> bool:
        """Handle an input event before the console does; return whether it was handled."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What to open first, and the appearance. None means the default."""

    connection: str | None = None
    audience: str | None = None
    run_id: int | None = None
    read_only: bool = False
    ascii_only: bool = False
    theme: str | None = None
    tour: Tour | None = None


class SegmentTokens(NamedTuple):
    """The tokens of Segment's Public API and Profile API."""

    public: Secret
    profiles: Secret


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of a console. Keys in `environ` take precedence over the keyring.

    If the keyring takes longer than `say_waiting_after` seconds, a dialog says so. A live session
    delivers `flush_seconds` after the first change, and `live_folder` is suggested to follow. With
    `read_only`, settings and keys can't be changed. Every `tick_seconds`, ages advance and changes
    by other processes are loaded; a live session is redrawn every `live_tick_seconds`.
    `region_urls` replace the addresses of Amplitude's regions. `segment_tokens` replace those in
    the keyring. `encoding` is the terminal's.
    """

    folders: Folders
    keyring: Keyring
    environ: Mapping[str, str]
    timing: Timing = field(default_factory=Timing)
    demo: DemoSession | None = None
    say_waiting_after: float = 2.0
    flush_seconds: float = 5.0
    tick_seconds: float = 1.0
    live_tick_seconds: float = 0.5
    confirm_after: float = 0.4
    """Seconds in which a confirming key counts as a repeat of the key that opened the question."""
    keys_wait: float = 1.0
    """Seconds at most that keys wait on the way back to a list until it is read again."""
    read_only: bool = False
    live_folder: str = ""
    region_urls: Mapping[Region, str] | None = None
    segment_tokens: SegmentTokens | None = None
    encoding: str = "utf-8"
    key_priority: KeyPriority = field(default_factory=KeyPriority)
    """Makes imports wait while a key is handled."""
    ledger_passwords: dict[str, Secret] = field(default_factory=dict, repr=False)
    """Passwords that the keyring has returned, by item."""

    @property
    def connections(self) -> ConnectionStore:
        """The stored connections."""
        return ConnectionStore(self.folders.config_file, read_only=self.read_only)

    @property
    def ledgers(self) -> Ledgers:
        """The factory of ledgers for any connection."""
        return Ledgers(self.folders, self.environ, self.keyring, self.ledger_passwords)
