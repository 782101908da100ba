"""One error type for each thing that an operator can act on.

Its text says what happened, whether anything changed in Amplitude, and what to do next.
"""

import enum
import re
from collections.abc import Generator
from contextlib import contextmanager

from amp_console.http import (
    AddressTooLong,
    ConnectionFailed,
    DamagedResponse,
    NetworkSettingInvalid,
    NoResponse,
    ResponseTooLarge,
    Unreachable,
)
from amp_console.text import duration


class AmplitudeError(Exception):
    """A call to Amplitude that failed.

    `status` is the answer's HTTP status, None if there was no answer. `message` is Amplitude's
    own text on one line, "" if there is none; `text` is the first 2000 characters of the body.
    `may_be_applied` means that the request may have taken effect although it failed.
    """

    _HAPPENED = "The call to Amplitude failed"
    _NEXT = "Try again."

    def __init__(
        self,
        status: int | None = None,
        message: str = "",
        text: str = "",
        *,
        may_be_applied: bool = False,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.text = text
        self.may_be_applied = may_be_applied

    def __str__(self) -> str:
        return f"{self.account} {self._next()}"

    @property
    def account(self) -> str:
        """What happened and what it changed, without advice; saved as the answer to a request."""
        happened, quoted = self._happened(), self.message.rstrip(".")
        is_repeated = f"(status {self.status})" in happened and _is_only(self.status, quoted)
        quotation = f": {quoted}" if quoted and not is_repeated else ""
        return f"{happened}{quotation}. {self._kept()}"

    def _happened(self) -> str:
        return self._HAPPENED

    def _kept(self) -> str:
        if self.may_be_applied:
            return "The request may or may not have taken effect."
        return "The request changed nothing in Amplitude."

    def _next(self) -> str:
        return self._NEXT


def _is_only(status: int | None, message: str) -> bool:
    """Whether Amplitude's message is only the status: "503", "HTTP 503", "Error 503"."""
    return (
        re.fullmatch(rf"(\W|http|status|error|code)*{status}\W*", message, re.IGNORECASE)
        is not None
    )


class KeysReason(enum.StrEnum):
    """Why Amplitude refuses a key pair, according to the text of its 403 answers."""

    UNKNOWN_KEY = "unknown key"
    WRONG_SECRET = "wrong secret"  # noqa: S105  # a reason, not a secret
    OTHER = "other"


_KEYS_NEXT = {
    KeysReason.UNKNOWN_KEY: "Copy the API key again from Amplitude, and check the region: a "
    "key works in one region only.",
    KeysReason.WRONG_SECRET: "Copy the project's secret key again from Amplitude.",
    KeysReason.OTHER: "Check the keys, their permissions and the App ID.",
}


class KeysRefused(AmplitudeError):
    """Amplitude does not accept the keys, or not for this call: 401, or in practice 403."""

    HAPPENED = "Amplitude refused the keys"
    """The beginning of the error's text."""
    _HAPPENED = HAPPENED

    @property
    def reason(self) -> KeysReason:
        """What is wrong with the keys."""
        message = self.message.casefold()
        if "invalid api/secret key" in message:
            return KeysReason.WRONG_SECRET
        return KeysReason.UNKNOWN_KEY if "invalid api key" in message else KeysReason.OTHER

    def _next(self) -> str:
        return _KEYS_NEXT[self.reason]


class CohortGone(AmplitudeError):
    """The cohort that the call names does not exist, or no longer exists."""

    _HAPPENED = "Amplitude has no such cohort"
    _NEXT = "Choose another cohort, or create a new one."


class BadRequest(AmplitudeError):
    """Amplitude refuses this request, and would refuse it again.

    `named_ids` are the ids that the refusal names: perhaps none, perhaps a sample.
    """

    _NEXT = "Correct what Amplitude's answer mentions, then try again."

    def __init__(
        self,
        status: int | None = None,
        message: str = "",
        text: str = "",
        *,
        named_ids: tuple[str, ...] = (),
    ) -> None:
        super().__init__(status, message, text)
        self.named_ids = named_ids

    def _happened(self) -> str:
        return f"Amplitude refused the request (status {self.status})"


class DownloadLinkExpired(AmplitudeError):
    """The link to a large file has expired: it is valid for one minute, the file for 7 days."""

    _HAPPENED = "The link to the downloaded file has expired"
    _NEXT = "Request the file again to get a new link."


class Transient(AmplitudeError):
    """A failure that may not occur at the next try."""


class RateLimited(Transient):
    """Too many requests, or an exhausted quota (429).

    `retry_after` is how many seconds Amplitude asks to wait, None if it does not say.
    `is_about_cohort`: the request was a change of one cohort. `is_cohort_busy`: another change of
    that cohort is under way, and Amplitude accepts one at a time.
    """

    def __init__(
        self,
        status: int | None = None,
        message: str = "",
        text: str = "",
        *,
        retry_after: float | None = None,
        is_about_cohort: bool = False,
        is_cohort_busy: bool = False,
    ) -> None:
        super().__init__(status, message, text)
        self.retry_after = retry_after
        self.is_about_cohort = is_about_cohort
        self.is_cohort_busy = is_cohort_busy

    def _happened(self) -> str:
        if self.is_cohort_busy:
            return "Amplitude is busy with another change to this cohort"
        return "Amplitude asked for fewer requests"

    def _next(self) -> str:
        return f"Wait {duration(self.retry_after)}, then try again."


class TooLarge(Transient):
    """The request is larger than Amplitude accepts; a smaller one may succeed."""

    _HAPPENED = "The request was too large for Amplitude"
    _NEXT = "Send fewer users at a time."


class ServerTrouble(Transient):
    """Amplitude, or a proxy before it, did not answer, or not in a way that can be understood."""

    def _happened(self) -> str:
        if self.status is None:
            return "Amplitude's answer could not be understood"
        if self.status < 300:
            return f"Amplitude's answer could not be understood (status {self.status})"
        if self.status < 400:
            return f"Amplitude's address answered with a redirect (status {self.status})"
        return f"Amplitude could not answer (status {self.status})"

    def _next(self) -> str:
        return _check_or_wait(self.status)


def _check_or_wait(status: int | None) -> str:
    if (status or 0) < 500:
        return "Check the base URL, and any proxy on the way, then try again."
    return "Try again later."


class Unconfirmed(Transient):
    """A 2xx answer that does not name the cohort and the operation of the request.

    The message says what is wrong with the answer. Nothing in it is trusted: it may come from a
    proxy or a cache, or belong to another request.
    """

    _NEXT = "Check the base URL, and any proxy on the way, then try again."

    def _happened(self) -> str:
        return "Amplitude's answer does not confirm the request"


class ForeignResponse(Transient):
    """A 4xx answer in none of Amplitude's forms: it came from a proxy, a firewall or a login page.

    It says nothing about users, keys or cohorts.
    """

    _NEXT = "Check any proxy, firewall or login page on the way, then try again."

    def _happened(self) -> str:
        return f"A proxy or another server answered instead of Amplitude (status {self.status})"


class ResponseTooLong(Transient):
    """An answer that is longer than any from Amplitude, and was not read to the end."""

    _HAPPENED = "The answer was too long and was not read to the end"

    def _next(self) -> str:
        return _check_or_wait(self.status)


class NoConnection(Transient):
    """Amplitude could not be reached, or the connection was lost before its answer was complete.

    `reason` says why: LOST if there was a connection. `where` is the host or the proxy.
    """

    def __init__(
        self,
        reason: Unreachable = Unreachable.OTHER,
        where: str = "Amplitude",
        *,
        status: int | None = None,
        may_be_applied: bool = False,
    ) -> None:
        super().__init__(status, may_be_applied=may_be_applied)
        self.reason = Unreachable.LOST if may_be_applied else reason
        self.where = where

    def _happened(self) -> str:
        return self.reason.at(self.where, self.status)

    def _kept(self) -> str:
        return super()._kept() if self.reason is Unreachable.LOST else "Nothing was sent."

    def _next(self) -> str:
        return self.reason.next


class NetworkMisconfigured(AmplitudeError):
    """The environment variable `variable` makes every connection impossible."""

    def __init__(self, cause: NetworkSettingInvalid) -> None:
        super().__init__()
        self.variable = cause.variable
        self._cause = cause

    def _happened(self) -> str:
        return self._cause.happened

    def _kept(self) -> str:
        return "Nothing was sent."

    def _next(self) -> str:
        return self._cause.next


class RequestTooLong(AmplitudeError):
    """The URL of a request is too long to be sent: it contains a long identifier."""

    _HAPPENED = "The request is too long to be sent"
    _NEXT = "Use a shorter identifier."

    def _kept(self) -> str:
        return "Nothing was sent."


class TimedOut(Transient):
    """Amplitude did not answer in time; it is often slow."""

    _HAPPENED = "Amplitude did not answer in time"
    _NEXT = "Try again later, or with fewer users at a time."


@contextmanager
def amplitude_errors(*, has_effect: bool) -> Generator[None, None, None]:
    """Raise our errors instead of a request's; `has_effect`: it may have changed something."""
    try:
        yield
    except NetworkSettingInvalid as error:
        raise NetworkMisconfigured(error) from None
    except ConnectionFailed as error:
        if error.reason is Unreachable.LOST:
            raise NoConnection(error.reason, may_be_applied=has_effect) from None
        raise NoConnection(error.reason, error.where, status=error.status) from None
    except AddressTooLong:
        raise RequestTooLong from None
    except NoResponse:
        raise TimedOut(may_be_applied=has_effect) from None
    except DamagedResponse:
        raise ServerTrouble(may_be_applied=has_effect) from None
    except ResponseTooLarge as error:
        raise ResponseTooLong(error.status, may_be_applied=has_effect) from None
