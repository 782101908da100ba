"""The stage of the demo: a simulated Amplitude, a home that is thrown away, and the play.

The simulator's modules, the scene and the street are loaded in the play's own thread, so that the
scene is set while Textual is imported and the first picture is painted. Requests to the simulator
wait in its socket meanwhile.
"""

import random
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from amp_console.connections import Connection, ConnectionStore, Folders, Keyring, Limits
from amp_console.console.environment import DemoTrouble, Environment
from amp_console.demo.clock import Clock
from amp_console.demo.trouble import Troubles, now_and_then
from amp_console.sync.timing import Timing
from amp_console.values import Credentials, Secret

if TYPE_CHECKING:
    from amp_console.demo.scene import Scene
    from amp_console.ledger import Ledger
    from amp_console.simulator import Behaviour, Simulator

APP_ID = 153957
KEYS = Credentials(Secret("simulated-api-key"), Secret("simulated-secret-key"))
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
LIVE = Path("segment-logs", "live")  # where people who come and go are written: Live follows it
PAUSE, FAST_PAUSE = 2.0, 0.5  # seconds between two groups of people on the street


class SimulatedSession:
    """A context manager: what a console needs for a demo, and a `Stage` for it.

    `seed` chooses other people; `fast` makes everything quick; `faults` adds trouble now and then;
    without `lively` nobody comes and goes, so that pictures repeat. So that addresses and paths
    repeat too, `port` and `home` may be given; a home that is there already raises
    FileExistsError. What fails while the scene is set is raised by `wait`, and at the end.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        fast: bool = False,
        faults: bool = False,
        lively: bool = True,
        timing: Timing | None = None,
        port: int = 0,
        home: Path | None = None,
    ) -> None:
        self._seed = seed
        self._fast = fast
        self._faults = faults
        self._lively = lively
        self._timing = timing or Timing()
        self._port = port
        self._home = home
        self._over = threading.Event()
        self._set = threading.Event()
        self._play: threading.Thread | None = None
        self._troubles = Troubles()
        self._failure: BaseException | None = None
        self._scene: Scene | None = None
        self.simulator: Simulator | None = None

    def __enter__(self) -> Self:
        """Make the home and listen; the simulator itself begins with `open`."""
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
            )
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the play and throw everything away. Raises what kept the scene from being set."""
        self._stack.close()
        if error is None and self._failure is not None:
            raise self._failure

    def open(self) -> None:
        """Begin the play, in a thread of its own."""
        if self._play is None:
            self._play = threading.Thread(target=self._run, name="demo", daemon=True)
            self._play.start()

    def wait(self) -> None:
        """Wait until the scene is set; raises what kept it from being set."""
        self._set.wait()
        if self._failure is not None:
            raise self._failure

    def is_ready(self) -> bool:
        """Whether the scene is set; raises what kept it from being set."""
        if self._failure is not None:
            raise self._failure
        return self._set.is_set()

    def progress(self) -> float:
        """How much of the scene is set, from 0.0 to 1.0."""
        return self._scene.progress if self._scene is not None else 0.0

    def troubles(self) -> tuple[DemoTrouble, ...]:
        """The kinds of trouble there are."""
        return self._troubles.all()

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off; before the scene is set, it waits for that."""
        return self._troubles.toggle(name)

    def _connection(self, port: int) -> Connection:
        return Connection(
            id="demo",
            name="Demo",
            app_id=APP_ID,
            owner_email="ana@acme.example",
            base_url=f"http://127.0.0.1:{port}",
            amplitude_id_path="$.traits.amplitude_id",
            limits=Limits(first_batch=500, largest_batch=2_000),
        )

    def _end(self) -> None:
        self._over.set()
        if self._play is not None:
            self._play.join()

    def _run(self) -> None:
        try:
            self._perform()
        except Exception as error:
            self._failure = error
        finally:
            self._set.set()

    def _perform(self) -> None:
        from amp_console.demo.seeder import SeedingStopped

        clock = Clock(self._timing.now)
        segment = self.home / "segment-logs"
        (self.home / LIVE).mkdir(mode=0o700, parents=True)
        with (
            suppress(SeedingStopped),
            self._amplitude(clock) as simulator,
            self._ledger() as ledger,
        ):
            self._set_scene(simulator, ledger, segment, clock)
            self._set.set()
            if self._lively:
                from amp_console.demo.traffic import Traffic

                traffic = Traffic(
                    self.connection, ledger, self.home / LIVE, self._timing, seed=self._seed
                )
                traffic.run(FAST_PAUSE if self._fast else PAUSE, self._over)
            self._over.wait()

    @contextmanager
    def _amplitude(self, clock: Clock) -> "Iterator[Simulator]":
        from amp_console.simulator import Simulator, World

        world = World(app_id=APP_ID, seed=self._seed, clock=clock.seconds)
        with Simulator(world, credentials=KEYS, listener=self._listener) as simulator:
            self.simulator = simulator
            yield simulator

    @contextmanager
    def _ledger(self) -> "Iterator[Ledger]":
        from amp_console.ledger import open_ledger

        with open_ledger(self.environment.folders.ledger(self.connection.id)) as ledger:
            yield ledger

    def _set_scene(
        self, simulator: "Simulator", ledger: "Ledger", segment: Path, clock: Clock
    ) -> None:
        import asyncio

        from amp_console.demo.scene import Scene
        from amp_console.demo.seeder import Seeder
        from amp_console.simulator import RefuseIds, Rule, Slow
        from amp_console.sync.connection_options import client_for

        seeder = Seeder(
            self.connection, ledger, segment, clock, random.Random(self._seed), self._over
        )
        scene = self._scene = Scene(simulator, seeder, self._seed)
        refused = Rule(RefuseIds(scene.refused(), named=True))
        simulator.faults.set([refused])

        async def play() -> None:
            async with client_for(self.connection, KEYS) as client:
                await scene.play(client)

        asyncio.run(play())
        clock.release()
        simulator.behaviour = _behaviour(fast=self._fast)
        always = [Rule(Slow(0.0, 0.0 if self._fast else 0.3)), refused]
        self._troubles.meet(simulator.faults, always + (now_and_then() if self._faults else []))


def _new_home(wish: Path | None) -> Path:
    """Make the folder, for its owner alone."""
    if wish is None:
        return Path(tempfile.mkdtemp(prefix="amp-console-demo-"))
    wish.mkdir(mode=0o700)
    return wish


def _environ() -> dict[str, str]:
    """The keys, and nothing else of the environment."""
    return {
        "AMP_CONSOLE_API_KEY": KEYS.api_key.reveal(),
        "AMP_CONSOLE_SECRET_KEY": KEYS.secret_key.reveal(),
    }


def _behaviour(*, fast: bool) -> "Behaviour":
    """How quickly Amplitude answers: quickly enough to wait for, slowly enough to watch."""
    from amp_console.simulator import Behaviour

    if fast:
        return Behaviour(latency=0.05)
    return Behaviour(latency=0.3, latency_per_1000=0.3)
