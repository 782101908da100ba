"""The session of a demo: a simulated Amplitude, a temporary folder, and a thread to fill both.

The thread imports the simulator, the history and the traffic, so that the first screen does not
wait for them. In the meantime, requests to the simulator wait in its socket.
"""

import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Folders,
    Keyring,
    Limits,
    NamedSource,
    SegmentSpace,
)
from amp_console.console.environment import DemoTrouble, Environment, SegmentTokens
from amp_console.demo.clock import Clock
from amp_console.demo.dataset import SECOND, SPACE, is_user_id
from amp_console.demo.trouble import Troubles, occasional_faults
from amp_console.demo.warehouse import FILE, SOURCE
from amp_console.sync.timing import Timing
from amp_console.values import Credentials, Secret

if TYPE_CHECKING:
    from amp_console.demo.history import History
    from amp_console.demo.seeder import Seeder
    from amp_console.ledger import Ledger
    from amp_console.simulator import Behavior, Simulator

APP_ID = 153957
FIRST_EVENT_AFTER = 45  # seconds until Amplitude knows a user it has rejected
KEYS = Credentials(Secret("simulated-api-key"), Secret("simulated-secret-key"))
SEGMENT_TOKENS = SegmentTokens(  # the simulator's
    Secret("simulated-segment-token"), Secret("simulated-profiles-token")
)
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
LIVE = Path("segment-logs", "live")  # the files of the traffic; a live session can follow it
PAUSE, FAST_PAUSE = 2.0, 0.5  # seconds between two files of the traffic


class SimulatedSession:
    """A context manager: the environment of a console for a demo, and its `DemoSession`.

    Another `seed` generates other people; `fast` shortens every delay; `faults` causes trouble now
    and then. Without `has_traffic`, members do not change, so that screenshots repeat. `port` and
    `home` make addresses and paths repeat, too; a `home` that exists raises FileExistsError. An
    error during seeding is raised by `wait`, and on exit.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        fast: bool = False,
        faults: bool = False,
        has_traffic: bool = True,
        timing: Timing | None = None,
        port: int = 0,
        home: Path | None = None,
    ) -> None:
        self._seed = seed
        self._fast = fast
        self._faults = faults
        self.has_traffic = has_traffic
        self._timing = timing or Timing()
        self._port = port
        self._home = home
        self._ended = threading.Event()
        self._ready = threading.Event()
        self._complete = threading.Event()
        self._thread: threading.Thread | None = None
        self._troubles = Troubles()
        self._failure: BaseException | None = None
        self._history: History | None = None
        self.simulator: Simulator | None = None

    def __enter__(self) -> Self:
        """Create the folder and listen; `open` starts the simulator."""
        with ExitStack() as stack:
            self.home = _new_home(self._home)
            stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            self._listener = stack.enter_context(socket.create_server(("127.0.0.1", self._port)))
            folders = Folders(self.home / "config", self.home / "data")
            folders.prepare()
            self.connection = self._connection(self._listener.getsockname()[1])
            ConnectionStore(folders.config_file).save(self.connection)
            self.environment = Environment(
                folders,
                Keyring(NO_KEYRING),
                _environ(),
                timing=self._timing,
                demo=self,
                live_folder=str(self.home / LIVE),
                confirm_after=0.0 if self._fast else 0.4,
                segment_tokens=SEGMENT_TOKENS,
            )
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """End the thread and remove everything. Raises the error that stopped seeding."""
        self._stack.close()
        if error is None and self._failure is not None:
            raise self._failure

    def open(self) -> None:
        """Start the simulator, seeding and traffic in a thread."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._thread_main, name="demo", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until ledger and files are complete. Raises the error that stopped seeding."""
        self._complete.wait()
        if self._failure is not None:
            raise self._failure

    def is_ready(self) -> bool:
        """Whether the ledger is seeded. Raises the error that stopped seeding."""
        if self._failure is not None:
            raise self._failure
        return self._ready.is_set()

    def progress(self) -> float:
        """How much of the history is seeded, from 0.0 to 1.0."""
        return self._history.progress if self._history is not None else 0.0

    def troubles(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble, and which of them are on."""
        return self._troubles.all()

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off; during seeding, it takes effect when that ends."""
        return self._troubles.toggle(name)

    def make_ghosts_known(self) -> None:
        """Make the users that Amplitude rejected as unknown known to it; once, after seeding."""
        from amp_console.demo.history import GHOSTS

        assert self.simulator is not None
        self.simulator.world.expect_users(GHOSTS, 0.0)

    def _connection(self, port: int) -> Connection:
        url = f"http://127.0.0.1:{port}"
        return Connection(
            id="demo",
            name="Demo",
            app_id=APP_ID,
            owner_email="ana@acme.example",
            base_url=url,
            segment=SegmentSpace(id=SPACE, base_url=url),
            amplitude_id_path="$.traits.amplitude_id",
            limits=Limits(first_batch=500, largest_batch=2_000),
            sources=(NamedSource(name=SOURCE, url=f"sqlite://{quote(str(self.home / FILE))}"),),
        )

    def _end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _thread_main(self) -> None:
        try:
            self._run_demo()
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()
            self._complete.set()

    def _run_demo(self) -> None:
        from amp_console.demo.history import GHOSTS
        from amp_console.demo.seeder import SeedingStopped

        clock = Clock(self._timing.now)
        segment = self.home / "segment-logs"
        (self.home / LIVE).mkdir(mode=0o700, parents=True)
        with (
            suppress(SeedingStopped),
            self._amplitude(clock) as simulator,
            self._ledger() as ledger,
        ):
            seeder = self._seed_history(simulator, ledger, segment, clock)
            late = self._timing.now() / SECOND + FIRST_EVENT_AFTER
            simulator.world.expect_users(GHOSTS[:1], late)
            self._ready.set()
            seeder.write_files()
            self._complete.set()
            if self.has_traffic:
                from amp_console.demo.traffic import Traffic

                traffic = Traffic(
                    self.connection, ledger, self.home / LIVE, self._timing, seed=self._seed
                )
                traffic.run(FAST_PAUSE if self._fast else PAUSE, self._ended)
            self._ended.wait()

    @contextmanager
    def _amplitude(self, clock: Clock) -> "Iterator[Simulator]":
        from amp_console.simulator import Simulator, World

        world = World(
            is_found=partial(is_user_id, self._seed),
            app_id=APP_ID,
            seed=self._seed,
            clock=clock.seconds,
        )
        with Simulator(world, credentials=KEYS, listener=self._listener) as simulator:
            self.simulator = simulator
            yield simulator

    @contextmanager
    def _ledger(self) -> "Iterator[Ledger]":
        from amp_console.ledger import open_ledger

        path = self.environment.folders.ledger(self.connection.id)
        with open_ledger(path, is_durable=False) as ledger:
            yield ledger

    def _seed_history(
        self, simulator: "Simulator", ledger: "Ledger", segment: Path, clock: Clock
    ) -> "Seeder":
        import asyncio

        from amp_console.demo.history import History
        from amp_console.demo.seeder import Seeder
        from amp_console.demo.segment import seed_segment
        from amp_console.simulator import RefuseIds, Rule, Slow
        from amp_console.sync.connection_options import client_for

        seeder = Seeder(
            self.connection, ledger, segment, clock, random.Random(self._seed), self._ended
        )
        history = self._history = History(simulator, seeder, self._seed, self.home / FILE)
        refused = Rule(RefuseIds(history.refused(), named=True))
        simulator.faults.set([refused])

        async def seed() -> None:
            async with client_for(self.connection, KEYS) as client:
                await history.seed_all(client)
            await seed_segment(simulator, ledger, self.connection, clock)

        asyncio.run(seed())
        clock.release()
        simulator.behavior = _behavior(fast=self._fast)
        always = [Rule(Slow(0.0, 0.0 if self._fast else 0.3)), refused]
        self._troubles.attach(
            simulator.faults, always + (occasional_faults() if self._faults else [])
        )
        return seeder


def _new_home(requested: Path | None) -> Path:
    """Create the folder, for its owner alone."""
    if requested is None:
        return Path(tempfile.mkdtemp(prefix="amp-console-demo-"))
    requested.mkdir(mode=0o700)
    return requested


def _environ() -> dict[str, str]:
    """Environment variables with the keys, and no others."""
    return {
        "AMP_CONSOLE_API_KEY": KEYS.api_key.reveal(),
        "AMP_CONSOLE_SECRET_KEY": KEYS.secret_key.reveal(),
    }


def _behavior(*, fast: bool) -> "Behavior":
    """Amplitude's latency: short enough to wait for, long enough to watch."""
    from amp_console.simulator import Behavior

    if fast:
        return Behavior(latency=0.05)
    return Behavior(latency=0.3, latency_per_1000=0.3)
