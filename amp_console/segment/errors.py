"""One error type for each thing that an operator can act on. Calls only read."""

from collections.abc import Generator
from contextlib import contextmanager

from amp_console.http import (
    AddressTooLong,
    ConnectionFailed,
    DamagedResponse,
    NetworkSettingInvalid,
    NoResponse,
    ResponseTooLarge,
)
from amp_console.text import duration


class SegmentError(Exception):
    """A call to Segment that failed.

    `status` is the answer's HTTP status, None if there was no answer. `message` is Segment's own
    text on one line, "" if there is none.
    """

    _HAPPENED = "The call to Segment failed"
    _NEXT = "Try again."

    def __init__(self, status: int | None = None, message: str = "") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        quotation = f": {self.message.rstrip('.')}" if self.message else ""
        return f"{self._happened()}{quotation}. {self._next()}"

    def _happened(self) -> str:
        return self._HAPPENED if self.status is None else f"{self._HAPPENED} (status {self.status})"

    def _next(self) -> str:
        return self._NEXT


class TokenRefused(SegmentError):
    """Segment does not accept the token, or not for this call."""

    _HAPPENED = "Segment refused the token"
    _NEXT = "Check the token, its permissions and the region: a token works only in its own region."


class SpaceNotFound(SegmentError):
    """The space does not exist, or the token may not see it."""

    _HAPPENED = "Segment has no such space"
    _NEXT = "Check the space ID, the region and what the token may read."


class SegmentBusy(SegmentError):
    """Too many requests; `retry_after` is how many seconds Segment asks to wait, if it does."""

    _HAPPENED = "Segment asked for fewer requests"

    def __init__(
        self, status: int | None = None, message: str = "", *, retry_after: float | None = None
    ) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after

    def _next(self) -> str:
        return f"Wait {duration(self.retry_after)}, then try again."


class SegmentTrouble(SegmentError):
    """Segment could not answer, or something else answered in its place."""

    def _happened(self) -> str:
        if self.status is None or self.status < 300:
            return "Segment's answer could not be understood"
        if self.status < 400:
            return f"Segment's address answered with a redirect (status {self.status})"
        if self.status >= 500:
            return f"Segment could not answer (status {self.status})"
        return f"Segment refused the request (status {self.status})"

    def _next(self) -> str:
        if (self.status or 0) >= 500:
            return "Try again later."
        return "Check the space ID, the base URL and any proxy on the way, then try again."


class SegmentUnreachable(SegmentError):
    """Segment could not be reached, or did not answer in time."""

    def __init__(self, happened: str, next_step: str) -> None:
        super().__init__()
        self._parts = happened, next_step

    def _happened(self) -> str:
        return self._parts[0]

    def _next(self) -> str:
        return self._parts[1]


class SegmentMisconfigured(SegmentUnreachable):
    """A setting in the environment makes every connection impossible."""


@contextmanager
def segment_errors() -> Generator[None, None, None]:
    """Raise our errors instead of a request's."""
    try:
        yield
    except ConnectionFailed as error:
        happened = error.reason.at(error.where, error.status)
        raise SegmentUnreachable(happened, error.reason.next) from None
    except NetworkSettingInvalid as error:
        raise SegmentMisconfigured(error.happened, error.next) from None
    except AddressTooLong:
        raise SegmentUnreachable(
            "The request is too long to be sent", "Nothing was sent. Use a shorter identifier."
        ) from None
    except NoResponse:
        raise SegmentUnreachable("Segment did not answer in time", "Try again later.") from None
    except ResponseTooLarge:
        raise SegmentTrouble(message="it is too long") from None
    except DamagedResponse:
        raise SegmentTrouble from None
