"""The metrics of a live session match its report, over real HTTP, without private data."""

import random
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from amp_console.ledger.runs import all_runs
from amp_console.ledger.sources import ReadCounts
from amp_console.simulator import Answer, RefuseIds, Reset, Rule
from amp_console.sync.audience_settings import SettingsChange
from amp_console.sync.live.metrics import render
from amp_console.sync.live.monitoring import served
from amp_console.sync.live.options import LiveOptions
from amp_console.sync.live.progress import LiveSnapshot
from amp_console.sync.sources.http_server import listen_on
from amp_console.sync.sources.protocols import SourceStatus, StreamKind
from tests.ports import free_port
from tests.sync.test_live import Session, is_in, until
from tests.sync.webhook_sender import SECRET, WebhookSender, body_of, receiving, signed
from tests.sync.workspace import Workspace, event, lines

pytestmark = pytest.mark.anyio

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Samples = dict[tuple[str, str], float]
"""Values by the name of the sample and the value of its label, "" without a label."""


def families_of(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in families_of(text)
        for sample in family.samples
    }


def rendered(now: LiveSnapshot) -> Samples:
    return samples_of(render(now, OPENMETRICS)[0].decode())


async def scraped(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    return samples_of(answer.text)


async def scraped_afterwards(post: WebhookSender) -> Samples:
    """The metrics of a session that has ended."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    async with (
        served([post.monitoring.metrics_route()], listen_on("127.0.0.1", port)),
        httpx.AsyncClient(base_url=base_url, verify=False) as client,
    ):
        return await scraped(client)


def agrees(found: Samples, now: LiveSnapshot) -> None:
    """The metrics are the snapshot's figures."""
    counts, tally = now.counts, now.tally
    assert found["amp_console_delivered_changes_total", "add"] == counts.added
    assert found["amp_console_delivered_changes_total", "remove"] == counts.removed
    assert found["amp_console_rejected_users_total", ""] == counts.rejected
    assert _sum(found, "amp_console_requests_total") == counts.requests
    assert _sum(found, "amp_console_events_total") == tally.read
    assert found["amp_console_events_total", "valid"] == tally.valid
    assert found["amp_console_events_total", "invalid"] == tally.invalid
    assert found["amp_console_queue_changes", ""] == now.queue
    assert found["amp_console_waiting_changes", ""] == now.waiting
    assert _sum(found, "amp_console_audiences") == len(now.audiences)
    refused = sum(item.count for item in now.refused)
    assert _sum(found, "amp_console_refused_webhooks_total") == refused


def _sum(found: Samples, name: str) -> float:
    return sum(value for (known, _), value in found.items() if known == name)


async def settled(post: WebhookSender, events: int) -> None:
    """Wait until so many events are read and nothing is left to deliver."""
    now = post.live.snapshot
    await until(lambda: now().tally.read == events and now().queue == 0)


async def test_lag_and_queue_grow_while_amplitude_is_away_and_are_0_afterwards(
    workspace: Workspace,
) -> None:
    workspace.enter("u0")
    await workspace.sync()
    async with receiving(workspace) as post:
        workspace.simulator.faults.set([Rule(Answer(503))])
        await post.send(body_of("u1", "u2"))
        await until(lambda: post.live.snapshot().counts.requests > 1)
        found = await scraped(post.client)
        assert found["amp_console_queue_changes", ""] == 2
        assert found["amp_console_lag_seconds", ""] > 0
        assert found["amp_console_requests_total", "5xx"] > 0
        workspace.simulator.faults.set([])
        await settled(post, 2)
        found = await scraped(post.client)
    assert found["amp_console_lag_seconds", ""] == 0
    assert found["amp_console_queue_changes", ""] == 0
    assert found["amp_console_requests_total", "2xx"] > 0


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_session_the_counters_equal_the_report_and_the_history(
    workspace: Workspace, seed: int
) -> None:
    """Whatever happened, every figure comes from one source."""
    dice = random.Random(seed)
    workspace.simulator.faults.set(
        [
            Rule(RefuseIds(frozenset({"u3"}), named=True)),
            Rule(Answer(dice.choice([429, 500, 503])), every=dice.randint(2, 4)),
        ]
    )
    read = 0
    async with receiving(workspace, SECRET) as post:
        for at in range(8):
            sent = [
                event(dice.choice(["u1", "u2", "u3", "u4", "ghost-1"]), dice.random() < 0.7, at)
                for _ in range(dice.randint(1, 5))
            ]
            sent += [{"type": "page"}] * dice.randint(0, 2)
            body = httpx.Request("POST", "http://x", json=sent).content
            if dice.random() < 0.3:
                assert (await post.send(body, "wrong")).status_code == 401
            assert (await post.send(body, signed(body))).status_code == 200
            read += len(sent)
        await settled(post, read)
    found, last = await scraped_afterwards(post), post.live.snapshot()
    assert last.is_over
    agrees(found, last)
    agrees(rendered(last), last)
    run = workspace.ledger.read(all_runs)[0]
    assert found["amp_console_delivered_changes_total", "add"] == run.added
    assert found["amp_console_delivered_changes_total", "remove"] == run.removed
    assert found["amp_console_rejected_users_total", ""] == run.rejected
    assert _sum(found, "amp_console_requests_total") == run.requests
    assert found["amp_console_events_total", "filtered"] == run.tally.filtered


async def test_refused_webhooks_are_counted_by_reason_and_scraping_is_not_refused(
    workspace: Workspace,
) -> None:
    async with receiving(workspace, SECRET) as post:
        await post.send(body_of("u1"))
        await post.send(body_of("u1"), "wrong")
        await post.send(body_of("u1"), "wrong")
        await post.client.get("/nothing")
        await scraped(post.client)
        found = await scraped(post.client)
    name = "amp_console_refused_webhooks_total"
    assert {label: n for (known, label), n in found.items() if known == name and n} == {
        "missing_signature": 1,
        "wrong_signature": 2,
        "other_path": 1,
    }
    assert found[name, "not_json"] == 0
    assert found["amp_console_sources_in_trouble", "webhook"] == 1


async def test_the_position_of_a_source_is_the_bytes_that_were_read(
    workspace: Workspace,
) -> None:
    body = body_of("u1", "u2")
    async with receiving(workspace) as post:
        await post.send(body)
        found = await scraped(post.client)
    assert found["amp_console_source_position_bytes", "webhook"] == len(body)
    assert ("amp_console_source_size_bytes", "webhook") not in found


def test_of_many_files_those_that_are_not_listed_count_too() -> None:
    sources = (
        SourceStatus("a", position=10, size=30),
        SourceStatus("b", position=5, size=5, unlisted=7, unlisted_position=60, unlisted_size=80),
        SourceStatus("s3://b/in", kind=StreamKind.BUCKET, objects=4),
        SourceStatus("s3://b/in/1", kind=StreamKind.BUCKET, trouble="It is damaged."),
    )
    found = rendered(LiveSnapshot(1, 0.0, ReadCounts(), 0.0, (), sources))
    assert found["amp_console_source_position_bytes", "file"] == 75
    assert found["amp_console_source_size_bytes", "file"] == 115
    assert found["amp_console_source_objects_total", "bucket"] == 4
    assert found["amp_console_sources_in_trouble", "bucket"] == 1
    assert found["amp_console_sources_in_trouble", "file"] == 0


async def test_audiences_that_wait_are_counted_by_reason(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.read([event("u0", True, audience=key) for key in ("calm", "off")])
    await workspace.sync()
    workspace.change(SettingsChange(enabled=False), "off")
    async with Session(workspace, tmp_path, LiveOptions(flush_seconds=0.05)) as session:
        session.write(lines("u1", at=1, key="calm"))
        session.write(lines("u1", at=1, key="off"))
        session.write(lines("u1", at=1, key="new"))
        await until(is_in(workspace, "u0", "u1", key="calm"))
        await until(lambda: session.now().waiting == 2)
        found = rendered(session.now())
        assert found["amp_console_waiting_changes", ""] == 2
        name = "amp_console_waiting_audiences"
        assert {label: n for (known, label), n in found.items() if known == name} == {
            "no_cohort": 1,
            "large_removal": 0,
            "broken_link": 0,
            "disabled": 1,
            "paused": 0,
            "refused": 0,
        }
        assert found["amp_console_audiences", "live"] == 1
        assert found["amp_console_audiences", "waiting"] == 2


async def test_no_name_no_identifier_and_no_secret_is_in_the_metrics(workspace: Workspace) -> None:
    async with receiving(workspace, SECRET) as post:
        body = body_of("u-private", "ghost-private")
        await post.send(body, signed(body))
        await settled(post, 2)
        text = (await post.client.get("/metrics")).text
    key = workspace.simulator.credentials.secret_key.reveal()
    for private in ("private", "shoppers", SECRET, key, "127.0.0.1", str(workspace.ledger.url)):
        assert private not in text


async def test_without_openmetrics_it_is_the_older_text_format(workspace: Workspace) -> None:
    async with receiving(workspace) as post:
        answer = await post.client.get("/metrics", headers={"Accept": "*/*"})
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in parse_text(answer.text)}
    assert families["amp_console_lag_seconds"].type == "gauge"
    assert families["amp_console_requests"].type == "counter"


def test_names_follow_the_rules_of_prometheus_and_each_has_a_help_text() -> None:
    source = SourceStatus("http://127.0.0.1", kind=StreamKind.WEBHOOK)
    text = render(LiveSnapshot(1, 0.0, ReadCounts(), 0.0, (), (source,)), OPENMETRICS)[0].decode()
    for family in families_of(text):
        assert family.name.startswith("amp_console_")
        assert family.type in {"gauge", "counter"}
        assert family.documentation.endswith(".")
        assert not family.name.endswith(
            ("_total", "_count", "_sum", "_bucket")
        )  # the format adds these


def test_the_page_on_services_lists_each_metric_and_no_other() -> None:
    source = SourceStatus("http://127.0.0.1", kind=StreamKind.WEBHOOK)
    text = render(LiveSnapshot(1, 0.0, ReadCounts(), 0.0, (), (source,)), OPENMETRICS)[0].decode()
    page = Path(__file__).parents[2] / "docs" / "service.md"
    listed = re.findall(r"^\| `(amp_console_\w+)` \|", page.read_text(), re.MULTILINE)
    assert [name.removesuffix("_total") for name in listed] == [
        family.name for family in families_of(text)
    ]


async def test_requests_that_no_answer_came_to_are_counted_as_such(workspace: Workspace) -> None:
    workspace.enter("u0")
    await workspace.sync()
    workspace.simulator.faults.set([Rule(Reset(), times=1)])
    async with receiving(workspace) as post:
        await post.send(body_of("u1"))
        await settled(post, 1)
        found = await scraped(post.client)
    assert found["amp_console_requests_total", "none"] == 1
    assert found["amp_console_requests_total", "2xx"] == 1
