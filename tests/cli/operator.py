"""An operator at a shell, whose commands have a separate home."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from amp_console.simulator import Simulator
from tests.cli.inside import Ended, run_inside
from tests.cli.processes import Prepare, Process, nothing

MODULE = (sys.executable, "-m", "amp_console")
OWNER = "ana@acme.example"


class Operator:
    """Runs `amp-console`, with keys in the environment by default."""

    def __init__(self, home: Path, simulator: Simulator) -> None:
        self.home = home
        self.simulator = simulator
        self._started: list[Process] = []
        keys = simulator.credentials
        self.environment = {
            **os.environ,
            "AMP_CONSOLE_HOME": str(home / "amp-console"),
            "AMP_CONSOLE_API_KEY": keys.api_key.reveal(),
            "AMP_CONSOLE_SECRET_KEY": keys.secret_key.reveal(),
        }

    def start(
        self, *arguments: str | Path, stdin: bytes = b"", prepare: Prepare = nothing
    ) -> Process:
        """Start a command in a separate process, and return at once."""
        folder = self.home / f"process-{len(self._started)}"
        folder.mkdir()
        process = Process(arguments, self.environment, folder, stdin, prepare)
        self._started.append(process)
        return process

    def end(self) -> None:
        """Kill processes that are still running, even if a test has failed."""
        for process in self._started:
            process.kill()

    def run(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        without: Iterable[str] = (),
        more: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a command to its end, without these variables of the environment, or with more."""
        environment = {k: v for k, v in self.environment.items() if k not in set(without)}
        return run_inside(arguments, {**environment, **(more or {})}, stdin=stdin)

    def run_apart(self, *arguments: str | Path, stdin: bytes = b"") -> Ended:
        """Run a command to its end in a separate process."""
        process = self.start(*arguments, stdin=stdin)
        status = process.wait()
        assert status is not None, "it never ended"
        return Ended(status, process.out, process.err)

    def run_process(self, *arguments: str | Path, stdin: bytes = b"") -> Ended:
        """Run a command to its end as a shell does, from the start of Python on."""
        done = subprocess.run(
            [*MODULE, *map(str, arguments)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def connect(self, name: str = "acme", *more: str) -> Ended:
        """Connect the simulated project."""
        app_id = str(self.simulator.world.app_id)
        where = ("--base-url", self.simulator.base_url)
        return self.run("connect", name, "--app-id", app_id, "--owner-email", OWNER, *where, *more)

    def limit(self, **limits: float) -> None:
        """Set limits of the last connection, which has none yet.

        If a kill interrupts requests, use `quiet_time=0`: otherwise, users who have changed since
        are correctly uncertain for minutes.
        """
        settings = self.home / "amp-console/config/config.toml"
        table = ", ".join(f"{name} = {value}" for name, value in limits.items())
        settings.write_text(f"{settings.read_text()}limits = {{ {table} }}\n")

    def cohort(self, name: str) -> set[str]:
        """The members of the cohort with this name."""
        world = self.simulator.world
        return world.members(world.cohort_named(name).id)
