"""The types shared by the calls and the application that serves them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from amp_console.values import Operation

T = TypeVar("T")


class Call(enum.StrEnum):
    """The kinds of call that the simulated Amplitude answers."""

    LIST = "list"
    USAGE = "usage"
    UPLOAD = "upload"
    MEMBERSHIP = "membership"
    SEARCH = "search"
    DOWNLOAD_START = "download-start"
    DOWNLOAD_STATUS = "download-status"
    DOWNLOAD_FILE = "download-file"
    DOWNLOAD_LINK = "download-link"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it was served. `status` is 0 if the connection was reset."""

    call: Call
    cohort_id: str | None
    operation: Operation | None
    count: int
    status: int
    applied: bool


@dataclass(frozen=True, slots=True)
class ParsedRequest(Generic[T]):
    """One parsed request: its content, and what locks, faults and records need.

    `line` names the queue whose slots the request needs; "" is none.
    """

    order: T
    cohort_id: str | None = None
    operation: Operation | None = None
    ids: Sequence[str] = ()
    line: str = ""


class Reply(msgspec.Struct, frozen=True):
    """The reply. `applied` means that the call changed or started something."""

    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    cohort_id: str | None = None
    applied: bool = False


class Refused(Exception):
    """The call gets an error. `text` is placed where Amplitude places it for this status."""

    def __init__(self, status: int, text: str, metadata: msgspec.Struct | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.metadata = metadata
