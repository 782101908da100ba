"""Envelopes of delivery services, which contain Segment's events.

Amazon EventBridge (`detail`), Kinesis and Firehose (base64 `data`), SQS and SNS (a JSON text),
Google Pub/Sub (`message.data`), and batches of Segment's own HTTP API.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from typing import Any

from amp_console.engage import json_text

UNPACKED_LIMIT = 16 * 1024 * 1024  # bytes of one compressed record; services allow at most 10 MiB

_LISTS = ("batch", "Records", "records")
_FIELDS = re.compile(
    rb'"(?:batch|[Rr]ecords|detail|kinesis|[Dd]ata|body|Message|message)"[ \t\r\n]*:'
)


def may_be_envelope(text: bytes) -> bool:
    """Whether it is worth decoding a text to look for an envelope."""
    return _FIELDS.search(text) is not None


def contents_of(envelope: Mapping[str, Any]) -> list[object] | None:
    """Return the contents of an envelope, which may be envelopes again; None if it is none."""
    for name in _LISTS:
        if isinstance(envelope.get(name), list):
            return list(envelope[name])
    detail = envelope.get("detail")
    if isinstance(detail, dict):
        return [detail]
    for name in ("kinesis", "message"):
        inner = envelope.get(name)
        if isinstance(inner, dict) and (contents := _documents(inner.get("data"))):
            return contents
    for name in ("detail", "data", "Data", "body", "Message"):
        if contents := _documents(envelope.get(name)):
            return contents
    return None


def _documents(payload: object) -> list[object] | None:
    """The JSON documents in a payload, which is their text or its base64, perhaps gzipped."""
    if not isinstance(payload, str):
        return None
    text = payload.encode("utf-8", "surrogatepass")
    if not text.lstrip().startswith((b"{", b"[")):
        try:
            text = _unzipped(base64.b64decode(text, validate=True))
        except (binascii.Error, zlib.error):
            return None
    documents, rest = json_text.documents_in(text)
    if not documents or rest.strip():
        return None
    contents: list[object] = []
    try:
        for document in documents:
            content = json_text.decode(document)
            contents += content if isinstance(content, list) else [content]
    except ValueError:
        return None
    return contents


def _unzipped(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    return zlib.decompressobj(31).decompress(data, UNPACKED_LIMIT)
