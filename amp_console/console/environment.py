"""What a console is started with: settings, keys, time, limits, and what to open first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from amp_console.connections import ConnectionStore, Folders, Keyring
from amp_console.sync.ledgers import Ledgers
from amp_console.sync.timing import Timing
from amp_console.values import Region, Secret

if TYPE_CHECKING:
    from textual.app import App
    from textual.events import InputEvent


@dataclass(frozen=True, slots=True)
class DemoTrouble:
    """One kind of trouble a demo can make. `name` is for code, `label` for the screen."""

    name: str
    label: str
    is_on: bool


class DemoSession(Protocol):
    """What a demo adds to the console: members entering and leaving, and trouble on request."""

    @property
    def has_traffic(self) -> bool:
        """Whether the demo writes and imports simulated events while it is open."""

    def open(self) -> None:
        """Start filling the ledger and sending events in a thread of its own; returns at once."""

    def is_ready(self) -> bool:
        """Whether the ledger is filled. Raises what kept it from being filled."""

    def progress(self) -> float:
        """How much of the ledger is filled, from 0.0 to 1.0."""

    def troubles(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble there are, and which of them are on."""

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off; return a sentence that says what happens now."""


class Tour(Protocol):
    """A tour of the console that presses its keys."""

    async def run(self, app: "App[None]") -> None:
        """Run in a console that has just opened; returns when the tour ends."""

    def handle_input(self, event: "InputEvent") -> bool:
        """Handle a key or the mouse before the console; return whether the tour handled it."""


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What to open first, and how it looks. None: the default."""

    connection: str | None = None
    audience: str | None = None
    run_id: int | None = None
    read_only: bool = False
    ascii_only: bool = False
    theme: str | None = None
    tour: Tour | None = None


class SegmentTokens(NamedTuple):
    """Tokens of Segment's Public API and of its Profile API."""

    public: Secret
    profiles: Secret


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a console works. `environ` is searched for keys before the keyring is.

    A keyring that takes longer than `say_waiting_after` seconds is waited for in a dialog. A live
    session delivers `flush_seconds` after the first change, and `live_folder` is offered to follow.
    With `read_only`, settings and keys stay as they are. Every
    `tick_seconds` ages advance and what other processes wrote is loaded; a live session is drawn
    every `live_tick_seconds`. `region_urls` replace the addresses of
    Amplitude's regions. `segment_tokens` are used in place of those in the keyring. `encoding` is
    the terminal's.
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
    """Seconds in which a confirmation is taken for a repeat of the key that opened the question."""
    read_only: bool = False
    live_folder: str = ""
    region_urls: Mapping[Region, str] | None = None
    segment_tokens: SegmentTokens | None = None
    encoding: str = "utf-8"
    ledger_passwords: dict[str, Secret] = field(default_factory=dict, repr=False)
    """Those that the keyring gave, by their items."""

    @property
    def connections(self) -> ConnectionStore:
        """The stored connections."""
        return ConnectionStore(self.folders.config_file, read_only=self.read_only)

    @property
    def ledgers(self) -> Ledgers:
        """What opens the ledger of any connection."""
        return Ledgers(self.folders, self.environ, self.keyring, self.ledger_passwords)
