"""Four processes that share one ledger on a server, any of which may be killed at any time."""

import json
import random
import signal
from collections import defaultdict, deque
from contextlib import suppress
from pathlib import Path
from time import monotonic

import httpx

from amp_console.ledger import open_ledger
from amp_console.ledger.late_effects import uncertain
from amp_console.values import now_in_microseconds
from tests.cli.operator import Operator
from tests.cli.processes import PATIENCE, Process
from tests.sync.workspace import event

AUDIENCES = ("shoppers", "readers", "newcomers")
LIVE = ("--create", "--allow-large-removals", "--flush-seconds", "0.1")
REFUSED_AT_ONCE = 429  # while another request for the same cohort is in progress


class Team:
    """`watch`, `sync`, `import` and `listen` in parallel; each reads its own events.

    `operator` has a connection whose ledger is at `url`.
    """

    def __init__(self, operator: Operator, url: str, port: int, seed: int) -> None:
        """`listen` is at a port of loopback."""
        self.members: dict[str, set[str]] = defaultdict(set)
        self.in_flight = 0  # at most, requests in progress when a process was killed
        self._operator = operator
        self._url = url
        self._dice = random.Random(seed)
        self._at = 0
        self._unanswered: deque[bytes] = deque()
        self._files = {
            name: operator.home / f"{name}.ndjson" for name in ("watch", "sync", "import")
        }
        self._commands: dict[str, tuple[str | Path, ...]] = {
            "watch": ("watch", self._files["watch"], *LIVE),
            "sync": ("sync", "--from", self._files["sync"], "--yes"),
            "import": ("import", self._files["import"]),
            "listen": ("listen", "--port", str(port), *LIVE),
        }
        self._processes: dict[str, Process] = {}
        self._sender = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            verify=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        for file in self._files.values():
            file.touch()

    def feed(self, count: int) -> None:
        """Give each of them some events; the sender repeats requests not answered with 200."""
        for name in self._commands:
            events = [self._event() for _ in range(count)]
            if name == "listen":
                self._unanswered.append(json.dumps(events).encode())
            else:
                with self._files[name].open("a") as file:
                    file.writelines(json.dumps(item) + "\n" for item in events)
        self._post()

    def _event(self) -> dict[str, object]:
        self._at += 1
        key, user = self._dice.choice(AUDIENCES), f"u{self._dice.randrange(60)}"
        is_member = self._dice.random() < 0.6
        (self.members[key].add if is_member else self.members[key].discard)(user)
        return event(user, is_member, self._at, audience=key)

    def _post(self) -> None:
        with suppress(httpx.TransportError):
            while self._unanswered:
                if self._sender.post("/", content=self._unanswered[0]).status_code != 200:
                    return
                self._unanswered.popleft()

    def keep_running(self) -> None:
        """Start those that are not running."""
        for name, command in self._commands.items():
            process = self._processes.get(name)
            if process is None or process.status is not None:
                if process is not None:
                    check_end(process)
                self._processes[name] = self._operator.start(*command)

    def kill_one(self, seconds: float = 0.5) -> None:
        """Kill one of them, at a random moment within the next seconds."""
        victim = self._processes[self._dice.choice(list(self._commands))]
        victim.wait(self._dice.uniform(0, seconds))
        victim.kill()
        self.in_flight += self._operator.simulator.in_work

    def finish(self) -> None:
        """Kill all, read what is left, and sync until Amplitude can no longer change anything."""
        for process in self._processes.values():
            process.kill()
        for file in self._files.values():
            assert self._operator.run("import", file).status == 0
        listening = self._operator.start(*self._commands["listen"])
        listening.wait_until(self._has_posted)
        assert listening.end(signal.SIGTERM) in {0, 1, 4}, listening.err
        check_end(listening)
        wait_until_certain(self._url)
        ended = self._operator.run("sync", "--yes")
        assert ended.status == 0, ended.err

    def _has_posted(self) -> bool:
        """Whether the receiver listens, and has answered everything."""
        self._post()
        with suppress(httpx.TransportError):
            return not self._unanswered and self._sender.get("/healthz").status_code == 200
        return False

    def check(self) -> None:
        """Compare the cohorts with the events, and look for requests that overlapped."""
        simulator = self._operator.simulator
        names = sorted(cohort.name for cohort in simulator.world.cohorts())
        assert names == sorted(AUDIENCES)
        for key in AUDIENCES:
            assert self._operator.cohort(key) == self.members[key]
        assert self.overlaps <= self.in_flight

    @property
    def overlaps(self) -> int:
        """How many requests met another one in progress for the same cohort."""
        return sum(seen.status == REFUSED_AT_ONCE for seen in self._operator.simulator.requests)


def wait_until_certain(url: str) -> None:
    """Wait until no unanswered request can still change anything."""
    begun = monotonic()
    with open_ledger(url) as ledger:
        while any(item.until > now_in_microseconds() for item in ledger.read(uncertain).values()):
            assert monotonic() - begun < PATIENCE


def check_end(process: Process) -> None:
    """A process that ended on its own says why in a sentence."""
    assert "Traceback" not in process.err, process.err
    assert process.status in {0, 1, 4, -signal.SIGKILL}, (process.status, process.err)
