"""The progress of a run, as small frozen snapshots, at most ten a second."""

import asyncio
import enum
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from amp_console.ledger.runs import AudienceCounts, total_of
from amp_console.sync.timing import Timing

INTERVAL = 0.1  # seconds between two snapshots


class StatusClass(enum.StrEnum):
    """The class of an answer's HTTP status. `none`: no answer came."""

    SUCCESS = "2xx"
    REDIRECT = "3xx"
    CLIENT_ERROR = "4xx"
    SERVER_ERROR = "5xx"
    NONE = "none"


_CLASSES = {
    2: StatusClass.SUCCESS,
    3: StatusClass.REDIRECT,
    4: StatusClass.CLIENT_ERROR,
    5: StatusClass.SERVER_ERROR,
}


class RequestsByStatus(msgspec.Struct, frozen=True):
    """How many of a run's requests got an answer of one class."""

    status: StatusClass
    count: int


class StatusCounter:
    """Counts a run's requests by their answers; those in flight are not in it yet."""

    def __init__(self) -> None:
        self._counts = Counter(dict.fromkeys(StatusClass, 0))

    def add(self, status: int | None) -> None:
        """Count one more answer by its HTTP status; None if no answer came."""
        self._counts[_CLASSES.get((status or 0) // 100, StatusClass.NONE)] += 1

    def snapshot(self) -> tuple[RequestsByStatus, ...]:
        """Every class, also those without a request."""
        return tuple(RequestsByStatus(status, count) for status, count in self._counts.items())


class AudienceProgress(msgspec.Struct, frozen=True):
    """The progress of one audience: `done` counts users answered for, of `total`.

    The `total` begins as what was `planned` (None: nothing was) and follows what is pending: more
    changes may arrive during a run.

    `state` describes what it is doing; while it waits, `wait_until` is when it resumes, in seconds
    of the run's own clock (`RunSnapshot.elapsed`). `retrying` counts the users of the request that
    failed last and is being tried for the `tries`th time: Segment's "pending retry".
    """

    audience_id: int
    key: str
    name: str
    total: int
    done: int = 0
    counts: AudienceCounts = AudienceCounts()
    state: str = "waiting"
    wait_until: float | None = None
    retrying: int = 0
    tries: int = 1
    is_over: bool = False
    planned: int | None = None


class RunSnapshot(msgspec.Struct, frozen=True):
    """A run at one moment; `elapsed` in seconds."""

    run_id: int
    elapsed: float
    audiences: tuple[AudienceProgress, ...]

    @property
    def total(self) -> int:
        """Users to be answered for."""
        return sum(audience.total for audience in self.audiences)

    @property
    def done(self) -> int:
        """Users answered for."""
        return sum(audience.done for audience in self.audiences)

    @property
    def retrying(self) -> int:
        """Users whose request failed and is tried again."""
        return sum(audience.retrying for audience in self.audiences)

    @property
    def counts(self) -> AudienceCounts:
        """What was done for all audiences together."""
        return total_of(audience.counts for audience in self.audiences)

    @property
    def is_over(self) -> bool:
        """Whether the run has finished every audience."""
        return all(audience.is_over for audience in self.audiences)


Observer = Callable[[RunSnapshot], None]


def ignore(_: RunSnapshot) -> None:
    """Observe nothing."""


class Progress:
    """Collects what the workers report and hands snapshots to one observer."""

    def __init__(
        self,
        run_id: int,
        audiences: Iterable[AudienceProgress],
        timing: Timing,
        observe: Observer,
    ) -> None:
        self._run_id = run_id
        self._timing = timing
        self._observe = observe
        self._started = timing.monotonic()
        self._later: asyncio.TimerHandle | None = None
        self._observed_at = -INTERVAL
        self._audiences = {audience.audience_id: audience for audience in audiences}

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._timing.monotonic() - self._started

    def add(self, audience: AudienceProgress) -> None:
        """Include one more audience."""
        self._audiences[audience.audience_id] = audience

    def get(self, audience_id: int) -> AudienceProgress:
        return self._audiences[audience_id]

    def snapshot(self) -> RunSnapshot:
        return RunSnapshot(self._run_id, self.elapsed, tuple(self._audiences.values()))

    def show(self, audience_id: int, state: str, wait: float | None = None) -> None:
        """Show what an audience does now, and for how many seconds it waits."""
        until = None if wait is None else self.elapsed + wait
        self._change(audience_id, state=state, wait_until=until)

    def count(self, audience_id: int, counts: AudienceCounts, done: int) -> None:
        """Update an audience's counts; `done` more users are answered for."""
        known = self._audiences[audience_id]
        if done:
            self._change(audience_id, retrying=0, tries=1)
        done = known.done + done
        self._change(audience_id, counts=counts, done=done, total=max(known.total, done))

    def expect(self, audience_id: int, users: int) -> None:
        """Note how many users are still to be answered for."""
        self._change(audience_id, total=self._audiences[audience_id].done + users)

    def retry(self, audience_id: int, users: int, tries: int) -> None:
        """Note a failed request of `users`, who are tried for the `tries`th time."""
        self._change(audience_id, retrying=users, tries=tries)

    def finish(self, audience_id: int, state: str) -> None:
        """Note that the run has finished an audience."""
        self._change(audience_id, state=state, wait_until=None, retrying=0, is_over=True)

    def flush(self) -> None:
        """Hand the latest snapshot to the observer now."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._observed_at = self.elapsed
        self._observe(self.snapshot())

    def _change(self, audience_id: int, **fields: object) -> None:
        self._audiences[audience_id] = msgspec.structs.replace(
            self._audiences[audience_id], **fields
        )
        wait = self._observed_at + INTERVAL - self.elapsed
        if wait <= 0:
            self.flush()
        elif self._later is None:
            self._later = self._timing.call_later(wait, self.flush)
