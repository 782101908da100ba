"""The base class of jobs, and the messages that they publish."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from amp_console.console.failures import expected_failures, unexpected
from amp_console.console.session import Session


@dataclass(frozen=True, slots=True)
class LedgerChanged:
    """Data on screens has changed: the ledger, the open connection or Amplitude's figures."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job has made progress. Only its latest state counts: a newer message replaces this one."""

    job: "Job"


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job is over."""

    job: "Job"


ConsoleChange = LedgerChanged | JobProgress | JobEnded
Publish = Callable[[ConsoleChange], None]


class Job(ABC):
    """Work from its start to its end. It belongs to the console, not to a screen.

    A job keeps its latest state, and publishes that there is one; `work` does the work.
    """

    GIVEN_UP: ClassVar[str] = "Stopped before the end."
    """The failure if `give_up` ends it."""
    EXPECTED: ClassVar[tuple[type[Exception], ...]] = ()
    """Exceptions, besides `expected_failures`, whose text is written for the operator."""

    def __init__(self, session: Session, publish: Publish) -> None:
        self.session = session
        self.failure: str | None = None
        self.is_over = False
        self._publish = publish
        self._task: asyncio.Task[None] | None = None

    @property
    def end_notice(self) -> str:
        """The notification that it has ended, if no screen shows it; "" if none is needed."""
        return ""

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether it was asked to end before it is done."""

    @abstractmethod
    def cancel(self) -> None:
        """End it in an orderly way: requests in flight end first, and nothing is left half done."""

    @abstractmethod
    async def work(self) -> None:
        """Do the work of the job, and keep its report."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def give_up(self) -> None:
        """End it now, even if the request in flight has no answer yet."""
        if self._task is not None and not self.is_over:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until it is over."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._task)

    async def fail(self, failure: str) -> None:
        """Store why it ended early."""
        self.failure = failure

    def progressed(self) -> None:
        """Publish that there is a newer state."""
        self._publish(JobProgress(self))

    async def _run(self) -> None:
        try:
            await self.work()
        except expected_failures(*self.EXPECTED) as error:
            await self.fail(str(error))
        except asyncio.CancelledError:
            await self.fail(self.GIVEN_UP)
        except Exception as error:
            await self.fail(unexpected(error))
        finally:
            self.is_over = True
            self._publish(JobEnded(self))
