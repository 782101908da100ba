"""Events inside the envelopes of delivery services, and events without membership."""

import base64
import gzip
import json
from collections.abc import Callable

import pytest

from amp_console.engage import FieldMapping
from amp_console.engage.trial import try_mapping
from tests.engage.events import PERSONAS, event, lines, members, read

EVENT = event("ana")
TEXT = json.dumps(EVENT)


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def packed(text: str, pack: Callable[[bytes], bytes] = bytes) -> str:
    return base64.b64encode(pack(text.encode())).decode()


ENVELOPES = {
    "EventBridge": {"version": "0", "detail-type": "identify", "detail": EVENT},
    "EventBridge, a text": {"detail-type": "identify", "detail": TEXT},
    "Kinesis by Lambda": {"Records": [{"kinesis": {"data": packed(TEXT)}, "eventID": "1"}]},
    "Kinesis": {"Records": [{"Data": packed(TEXT), "PartitionKey": "ana"}]},
    "Kinesis, a record": {"SequenceNumber": "1", "Data": packed(TEXT)},
    "Firehose": {"requestId": "1", "records": [{"data": packed(TEXT)}], "timestamp": 1},
    "Firehose, gzip": {"records": [{"data": packed(TEXT, zipped)}]},
    "SQS": {"Records": [{"messageId": "1", "body": TEXT}]},
    "SNS": {"Type": "Notification", "Message": TEXT},
    "SNS by SQS": {"Records": [{"body": json.dumps({"Type": "Notification", "Message": TEXT})}]},
    "Pub/Sub": {"message": {"data": packed(TEXT), "messageId": "1"}, "subscription": "x"},
    "a batch": {"batch": [EVENT], "writeKey": "x", "sentAt": "2026-05-03T19:42:50.066Z"},
    "EventBridge by SQS": {"Records": [{"body": json.dumps({"detail": EVENT})}]},
}


@pytest.mark.parametrize("envelope", ENVELOPES.values(), ids=ENVELOPES)
def test_the_events_in_an_envelope_are_read(envelope: object) -> None:
    text = json.dumps(envelope)
    for content in (text, f"[{text}]", f"[\n{text}\n]", text + text, f"{{}}\n{text}"):
        assert set(members(read(content.encode()))) == {"ana"}
    batch = read(lines(envelope, event("ben")))
    assert (members(batch), batch.read) == (["ana", "ben"], 2)


def test_every_event_of_a_batch_is_judged() -> None:
    batch = read(lines({"batch": [EVENT, 7, {"type": "page"}, event("ben", False)]}))
    assert [(change.user_id, change.is_member) for change in batch.changes] == [
        ("ana", True),
        ("ben", False),
    ]
    assert batch.refusals == [(1, "not a JSON object")]
    assert batch.filtered == {"not an audience event": 1}


@pytest.mark.parametrize(
    "odd",
    [
        {"detail": 5},
        {"data": "not base64"},
        {"data": packed("not JSON")},
        {"data": packed("{} and more")},
        {"data": packed("{", zipped)[:-9]},
        {"body": '{"a":'},
        {"message": {"data": None}},
        {"batch": {"a": 1}},
    ],
    ids=str,
)
def test_what_is_no_envelope_is_one_event(odd: object) -> None:
    batch = read(lines(odd, event("ben")))
    assert (members(batch), batch.read) == (["ben"], 2)
    assert list(batch.filtered) == [
        "not an audience event: it has no type, which every Segment event has"
    ]


def test_an_event_that_has_such_fields_itself_is_no_envelope() -> None:
    assert members(read(lines(event("ana", detail={"type": "page"}, batch=[])))) == ["ana"]


STEP = {**PERSONAS, "computation_class": "journey_step"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"traits": {}, "context": {"personas": STEP}}, "a step of a Journey"),
        ({"type": "track", "properties": {"journey_metadata": {}}}, "a step of a Journey"),
        ({"context": {"personas": {"computation_class": "journey"}}}, "a step of a Journey"),
        ({"context": {"personas": {"computation_class": "computed_trait"}}}, "a computed trait"),
        ({"traits": {}}, "neither true nor false"),
    ],
)
def test_the_reason_says_what_an_event_is(fields: dict[str, object], reason: str) -> None:
    [told] = read(lines(event(**fields))).filtered
    assert reason in told


def test_a_mapping_is_tried_on_the_event_in_an_envelope() -> None:
    trial = try_mapping(FieldMapping.parse(), json.dumps({"detail-type": "x", "detail": EVENT}))
    assert (trial.user_id, trial.verdict) == ("ana", "enters the audience")
