"""The figures of a live session for Prometheus; all come from its snapshot.

No label contains an identifier, the name of an audience or a path: every label has a closed set of
values. Counters begin at zero with each session.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from amp_console.ledger.refused_requests import RefusalReason
from amp_console.sync.live.progress import LivePhase, LiveSnapshot, WaitReason
from amp_console.sync.sources.protocols import SourceStatus, StreamKind

PREFIX = "amp_console"
REFUSED = "refused"  # an audience whose cohort Amplitude refuses to change


class SnapshotCollector(Collector):
    """The metrics of one snapshot."""

    def __init__(self, now: LiveSnapshot) -> None:
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """The metrics by topic: delivery, audiences, events, sources."""
        yield from _delivery(self._now)
        yield from _audiences(self._now)
        yield _counter(
            "events",
            "Events read in this session, by what became of them.",
            "outcome",
            {
                "valid": self._now.tally.valid,
                "filtered": self._now.tally.filtered,
                "invalid": self._now.tally.invalid,
            },
        )
        yield from _sources(self._now)


def render(now: LiveSnapshot, accept: str) -> tuple[bytes, str]:
    """The metrics as text and its content type: OpenMetrics where the `Accept` header names it."""
    encode, content_type = choose_encoder(accept)
    return encode(SnapshotCollector(now)), content_type


def _delivery(now: LiveSnapshot) -> Iterator[Metric]:
    yield _gauge(
        "lag_seconds",
        "Time since the oldest change that is not delivered yet was read. Changes that wait for "
        "the operator do not count.",
        now.lag,
        unit="seconds",
    )
    yield _gauge(
        "queue_changes",
        "Changes that are not delivered yet, without those that wait for the operator.",
        now.queue,
    )
    yield _gauge("waiting_changes", "Changes that wait for the operator.", now.waiting)
    yield _counter(
        "delivered_changes",
        "Changes that Amplitude confirmed.",
        "operation",
        {"add": now.counts.added, "remove": now.counts.removed},
    )
    rejected = CounterMetricFamily(
        f"{PREFIX}_rejected_users", "Users whose changes Amplitude rejected."
    )
    rejected.add_metric([], now.counts.rejected)
    yield rejected
    yield _counter(
        "requests",
        "Answered requests to Amplitude that change or create a cohort, by the class of the HTTP "
        "status. None: no answer came.",
        "status",
        {str(answered.status): answered.count for answered in now.answered},
    )


def _audiences(now: LiveSnapshot) -> Iterator[Metric]:
    phases = Counter(audience.phase for audience in now.audiences)
    yield _gauge_by(
        "audiences",
        "Audiences by state. Delayed: retried without the operator. Waiting: the operator has to "
        "act.",
        "state",
        {str(phase): phases[phase] for phase in LivePhase},
    )
    reasons = Counter(
        _reason(audience.waits_for)
        for audience in now.audiences
        if audience.waits and audience.queue
    )
    yield _gauge_by(
        "waiting_audiences",
        "Audiences with changes that wait for the operator, by reason.",
        "reason",
        {reason: reasons[reason] for reason in (*map(_label, WaitReason), REFUSED)},
    )


def _reason(waits_for: str) -> str:
    """The label of a reason; Amplitude's own words are no label."""
    return _label(waits_for) if waits_for in list(WaitReason) else REFUSED


def _label(message: str) -> str:
    return message.replace(" ", "_")


def _sources(now: LiveSnapshot) -> Iterator[Metric]:
    kinds = sorted({source.kind for source in now.sources})

    def total(count: Callable[[SourceStatus], int], *counted: StreamKind) -> dict[str, float]:
        return {
            str(kind): sum(count(source) for source in now.sources if source.kind is kind)
            for kind in kinds
            if kind in counted
        }

    yield _gauge_by(
        "source_position_bytes",
        "Bytes read: of files up to the current position, of stdin and webhooks in this session.",
        "kind",
        total(
            lambda source: (source.position or 0) + source.unlisted_position,
            StreamKind.FILE,
            StreamKind.STDIN,
            StreamKind.WEBHOOK,
        ),
        unit="bytes",
    )
    yield _gauge_by(
        "source_size_bytes",
        "Size of the files that are followed.",
        "kind",
        total(lambda source: (source.size or 0) + source.unlisted_size, StreamKind.FILE),
        unit="bytes",
    )
    yield _counter(
        "source_objects",
        "Objects of buckets read to their end in this session.",
        "kind",
        total(lambda source: source.objects, StreamKind.BUCKET),
    )
    yield _gauge_by(
        "sources_in_trouble",
        "Sources that could not be read, or whose last request was refused.",
        "kind",
        total(lambda source: bool(source.trouble), *StreamKind),
    )
    refused = {reason.name.lower(): 0 for reason in RefusalReason}
    for item in now.refused:
        refused[item.reason.name.lower()] += item.count
    yield _counter(
        "refused_webhooks",
        "Webhook requests that were refused, by reason.",
        "reason",
        refused if StreamKind.WEBHOOK in kinds else {},
    )


def _gauge(name: str, documentation: str, value: float, *, unit: str = "") -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", documentation, value, unit=unit)


def _gauge_by(
    name: str, documentation: str, label: str, values: Mapping[str, float], *, unit: str = ""
) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", documentation, labels=[label], unit=unit)
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _counter(name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", documentation, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
