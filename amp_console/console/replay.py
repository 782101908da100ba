"""The state of a finished run at any time, from its request log. No screen, no clock.

The log contains when each request was sent, how many users it carried, and when and how Amplitude
answered. Waits are the gaps between an answer and the next request of the same audience. The log
does not contain what happened before the first request, or the reason for a wait.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from amp_console.console.words import SECOND
from amp_console.ledger.deliveries import RequestKind
from amp_console.ledger.requests import RequestRecord, RequestState

MIN_WAIT = SECOND // 2  # microseconds; a shorter gap between two requests is not a wait


class Wait(NamedTuple):
    """A pause of an audience between an answer and its next request, in microseconds since 1970."""

    audience_id: int
    since: int
    until: int


class AudienceMoment(NamedTuple):
    """One audience at a given time: `done` of `total` users are delivered or rejected."""

    audience_id: int
    name: str
    done: int
    total: int
    requests: int
    rejected: int
    doing: str


class Bucket(NamedTuple):
    """One interval of the run: users delivered, failed requests, and waits."""

    users: int
    failures: int
    waits: bool


class Replay:
    """The requests of one run, the oldest first. Times are in microseconds since 1970."""

    def __init__(self, requests: Sequence[RequestRecord], started_at: int, ended_at: int) -> None:
        """A request that was settled after the run's end counts as unanswered."""
        self.started_at = min([started_at, *(item.sent_at for item in requests)])
        self.ended_at = max([ended_at, *(item.sent_at for item in requests)])
        self.requests = sorted(
            (_known_at(item, self.ended_at) for item in requests),
            key=lambda item: (item.sent_at, item.id),
        )
        self._by_audience: dict[int, list[RequestRecord]] = defaultdict(list)
        for item in self.requests:
            self._by_audience[item.audience_id].append(item)
        self.waits = tuple(wait for found in self._by_audience.values() for wait in _waits(found))

    @property
    def duration(self) -> int:
        """The duration of the run in microseconds, at least one."""
        return max(1, self.ended_at - self.started_at)

    def sent_until(self, moment: int) -> list[RequestRecord]:
        """The requests sent by `moment`, as known at that time, the newest first."""
        return [_known_at(item, moment) for item in self.requests if item.sent_at <= moment][::-1]

    def audiences(self, moment: int) -> list[AudienceMoment]:
        """Every audience of the run at `moment`, in the order of their first requests."""
        return [self._audience(found, moment) for found in self._by_audience.values()]

    def buckets(self, count: int) -> list[Bucket]:
        """The run's time, divided into `count` intervals."""
        users, failures, waits = [0] * count, [0] * count, [False] * count

        def index(moment: int) -> int:
            return min(count - 1, (moment - self.started_at) * count // self.duration)

        for item in self.requests:
            at = index(item.settled_at or item.sent_at)
            users[at] += delivered(item)
            failures[at] += is_failure(item)
        for wait in self.waits:
            for at in range(index(wait.since), index(wait.until) + 1):
                waits[at] = True
        return [Bucket(*stretch) for stretch in zip(users, failures, waits, strict=True)]

    def _audience(self, found: Sequence[RequestRecord], moment: int) -> AudienceMoment:
        sent = [_known_at(item, moment) for item in found if item.sent_at <= moment]
        audience_id = found[0].audience_id
        return AudienceMoment(
            audience_id,
            found[0].audience_name,
            sum(delivered(item) + item.rejected for item in sent),
            sum(delivered(item) + item.rejected for item in found),
            len(sent),
            sum(item.rejected for item in sent),
            self._doing(audience_id, sent, is_over=len(sent) == len(found), moment=moment),
        )

    def _doing(
        self, audience_id: int, sent: Sequence[RequestRecord], *, is_over: bool, moment: int
    ) -> str:
        if not sent:
            return "not begun"
        if sent[-1].state is RequestState.OPEN:
            return "waiting for an answer"
        for wait in self.waits:
            if wait.audience_id == audience_id and wait.since <= moment < wait.until:
                seconds = -(-(wait.until - moment) // SECOND)
                why = _why(sent[-1])
                return f"{why}, next request in {seconds:,} s"
        return "last request answered" if is_over else "between two requests"


def delivered(item: RequestRecord) -> int:
    """How many users a request delivered. Users of an upload are counted in later requests."""
    is_counted = item.kind is RequestKind.MEMBERSHIP and item.state is RequestState.CONFIRMED
    return item.size - item.skipped if is_counted else 0


def is_failure(item: RequestRecord) -> bool:
    """Whether a request was refused, or had no answer."""
    return item.state is RequestState.VOID


def _why(item: RequestRecord) -> str:
    if not is_failure(item):
        return "waiting"
    if item.status == 429:
        return "rate limited"
    return "no answer" if item.status is None else f"answered {item.status}"


def _known_at(item: RequestRecord, moment: int) -> RequestRecord:
    """A request as known at a given time: without an answer that came later."""
    if item.settled_at is not None and item.settled_at <= moment:
        return item
    return msgspec.structs.replace(
        item, settled_at=None, state=RequestState.OPEN, status=None, response="", skipped=0
    )


def _waits(requests: Sequence[RequestRecord]) -> list[Wait]:
    """The waits between the requests of one audience."""
    return [
        Wait(before.audience_id, before.settled_at, after.sent_at)
        for before, after in pairwise(requests)
        if before.settled_at is not None and after.sent_at - before.settled_at >= MIN_WAIT
    ]
