"""What Amplitude's user search said of a person; one screen hands it to another."""

from collections.abc import Iterable
from typing import NamedTuple

from textual.content import Content

from amp_console.sync.queries.person import PersonStatus

KNOWN_NOW = "Amplitude has just said that it knows this identifier."
STILL_UNKNOWN = "Amplitude has just said that it does not know this identifier: it would reject it."


class SearchAnswer(NamedTuple):
    """What is said of a search.

    `is_known`: whether Amplitude knows the identifier; None where it did not say. `has_events`:
    whether events name the person by the other identifier that Amplitude knows. `rejected_at`: when
    the person had been rejected by then, in microseconds since 1970.
    """

    text: Content
    is_known: bool | None = None
    has_events: bool = False
    rejected_at: frozenset[int] = frozenset()

    def is_outdated(self, statuses: Iterable[PersonStatus]) -> bool:
        """Whether Amplitude has rejected the person since it answered."""
        is_answer = self.is_known is not None
        return is_answer and not rejected_at(statuses) <= self.rejected_at

    @property
    def for_retry(self) -> str:
        """What a retry of the person says about the answer; "" if Amplitude did not say."""
        if self.is_known is None:
            return ""
        return KNOWN_NOW if self.is_known else STILL_UNKNOWN


def rejected_at(statuses: Iterable[PersonStatus]) -> frozenset[int]:
    """Return when each rejection was, in microseconds since 1970."""
    rejections = (status.record.rejection for status in statuses)
    return frozenset(item.at for item in rejections if item is not None)
