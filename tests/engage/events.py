"""Events, and reading them, for the tests of `engage`."""

import io
import json
from collections import Counter

from amp_console.engage import EventBatch, ReadOptions, Source, read_stream

TIME = "2026-05-03T19:42:50.066Z"
AT = 1_777_837_370_066_000
PERSONAS = {
    "computation_class": "audience",
    "computation_id": "aud_1",
    "computation_key": "shoppers",
    "namespace": "spa_1",
    "space_id": "spa_1",
}
DEFAULTS = ReadOptions()


def event(user: object = "ana", is_member: object = True, **more: object) -> dict[str, object]:
    """An identify call; `more` replaces or adds fields."""
    return {
        "type": "identify",
        "userId": user,
        "timestamp": TIME,
        "context": {"personas": PERSONAS},
        "traits": {"shoppers": is_member, "email": "ana@acme.example"},
        **more,
    }


def lines(*events: object) -> bytes:
    """Events as NDJSON; bytes already are lines."""
    texts = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    return b"".join(text + b"\n" for text in texts)


def opened(content: bytes, options: ReadOptions = DEFAULTS, block_bytes: int = 1 << 20) -> Source:
    """The content as read from standard input on 2026-05-03."""
    stream = io.BytesIO(content)
    return read_stream(stream, "stdin", options, now=lambda: AT * 1000, block_bytes=block_bytes)


def read(content: bytes, options: ReadOptions = DEFAULTS, block_bytes: int = 1 << 20) -> EventBatch:
    """All batches as one."""
    with opened(content, options, block_bytes) as source:
        return joined(source)


def joined(source: Source) -> EventBatch:
    """The batches of a source as one."""
    whole = EventBatch([], filtered=Counter(), hints=[], unlisted=Counter())
    assert isinstance(whole.changes, list)
    assert isinstance(whole.filtered, Counter)
    assert isinstance(whole.unlisted, Counter)
    assert isinstance(whole.hints, list)
    for batch in source:
        whole.changes.extend(batch.changes)
        whole.refusals.extend(batch.refusals)
        whole.filtered.update(batch.filtered)
        whole.hints.extend(batch.hints)
        whole.unlisted.update(batch.unlisted)
    return whole


def members(batch: EventBatch) -> list[str | None]:
    return [change.user_id for change in batch.changes]
