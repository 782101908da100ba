"""The stage of the demo: a simulated Amplitude, a home that is thrown away, and the play.

The first picture waits for nothing: the simulator's modules, the scene and the street are loaded
in the play's own thread, while requests to the simulator wait in its socket.
"""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from amp_console.connections import Connection, ConnectionBook, Folders, Limits, Vault
from amp_console.console.premises import Premises, Trouble
from amp_console.sync.timing import Timing
from amp_console.values import Credentials, Secret

if TYPE_CHECKING:
    from amp_console.demo.trouble import Troubles
    from amp_console.simulator import Simulator
    from amp_console.sync.workplace import Workplace

APP_ID = 153957
KEYS = Credentials(Secret("simulated-api-key"), Secret("simulated-secret-key"))
NO_KEYRING = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
LATENCY, FAST_LATENCY = 0.45, 0.03  # seconds of one call
PAUSE, FAST_PAUSE = 2.0, 0.5  # seconds between two groups of people on the street


class DemoStage:
    """A context manager: what a console needs for a demo, and a `Stage` for it.

    `seed` chooses other people; `fast` makes everything quick; `faults` adds trouble now and then;
    without `lively` nobody comes and goes, so that pictures repeat.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        fast: bool = False,
        faults: bool = False,
        lively: bool = True,
        timing: Timing | None = None,
    ) -> None:
        self._seed = seed
        self._fast = fast
        self._faults = faults
        self._lively = lively
        self._timing = timing or Timing()
        self._over = threading.Event()
        self._set = threading.Event()
        self._play: threading.Thread | None = None
        self._troubles: Troubles | None = None
        self._failure: BaseException | None = None
        self.simulator: Simulator | None = None

    def __enter__(self) -> Self:
        """Make the home and listen; the simulator itself begins with `open`."""
        self._home = Path(tempfile.mkdtemp(prefix="amp-console-demo-"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        folders = Folders(self._home / "config", self._home / "data")
        folders.prepare()
        self.connection = Connection(
            name="Demo",
            app_id=APP_ID,
            owner_email="ana@acme.example",
            base_url=f"http://127.0.0.1:{port}",
            amplitude_id_path="$.traits.amplitude_id",
            limits=Limits(first_batch=2_000, largest_batch=20_000),
        )
        ConnectionBook(folders.config_file).save(self.connection)
        api_key, secret_key = KEYS
        environ = {
            "AMP_CONSOLE_API_KEY": api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": secret_key.reveal(),
        }
        self.premises = Premises(folders, Vault(NO_KEYRING), environ, self._timing, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the play and throw everything away."""
        self._over.set()
        if self._play is not None:
            self._play.join()
        self._listener.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def open(self) -> None:
        """Begin the play, in a thread of its own."""
        self._play = threading.Thread(target=self._run, name="demo", daemon=True)
        self._play.start()

    def wait(self) -> None:
        """Wait until the scene is set; raises what kept it from being set."""
        self._set.wait()
        if self._failure is not None:
            raise self._failure

    def troubles(self) -> tuple[Trouble, ...]:
        """The kinds of trouble there are; none before the curtain has risen."""
        return self._troubles.all() if self._troubles is not None else ()

    def toggle(self, name: str) -> str:
        """Turn a kind of trouble on or off."""
        if self._troubles is None:
            return "The scene is still being set."
        return self._troubles.toggle(name)

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                self.simulator = stack.enter_context(self._amplitude())
                place = stack.enter_context(self._place())
                self._set_scene(self.simulator, place)
                self._set.set()
                if self._lively:
                    self._street(place)
                self._over.wait()
        except BaseException as error:
            self._failure = error
            if not self._over.is_set():
                raise
        finally:
            self._set.set()

    @contextmanager
    def _amplitude(self) -> "Iterator[Simulator]":
        from amp_console.simulator import Simulator, World

        world = World(app_id=APP_ID, seed=self._seed)
        with Simulator(world, credentials=KEYS, listener=self._listener) as simulator:
            yield simulator

    @contextmanager
    def _place(self) -> "Iterator[Workplace]":
        from amp_console.ledger import Ledger
        from amp_console.sync.workplace import Workplace

        with Ledger(self.premises.folders.ledger(self.connection.id)) as ledger:
            yield Workplace(self.connection, ledger)

    def _set_scene(self, simulator: "Simulator", place: "Workplace") -> None:
        from amp_console.demo.scene import Scene
        from amp_console.demo.trouble import Troubles, now_and_then
        from amp_console.simulator import Behaviour, RefuseIds, Rule

        folder = self._home / "segment-logs"
        folder.mkdir(mode=0o700)
        scene = Scene(simulator, place, folder, seed=self._seed, begun=self._timing.now())
        refused = Rule(RefuseIds(scene.refused(), named=True))
        simulator.faults.set([refused])
        scene.set()
        simulator.behaviour = Behaviour(latency=FAST_LATENCY if self._fast else LATENCY)
        always = [refused, *(now_and_then() if self._faults else [])]
        self._troubles = Troubles(simulator.faults, always)

    def _street(self, place: "Workplace") -> None:
        from amp_console.demo.street import Street

        street = Street(place, self._home / "segment-logs", self._timing, seed=self._seed)
        street.run(FAST_PAUSE if self._fast else PAUSE, self._over)
