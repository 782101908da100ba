"""What every job has in common, and the messages that jobs publish."""

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
    """What screens show may differ: the ledger, the open connection, Amplitude's figures."""


@dataclass(frozen=True, slots=True)
class JobProgress:
    """A job got further. Only its present state counts, so a newer one replaces it."""

    job: "Job"


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job is over."""

    job: "Job"


ConsoleChange = LedgerChanged | JobProgress | JobEnded
Publish = Callable[[ConsoleChange], None]


class Job(ABC):
    """Work under way, from start to end. It belongs to the console, not to a screen.

    A job keeps its newest state, and publishes that there is one; `work` is what it does.
    """

    GIVEN_UP: ClassVar[str] = "Stopped before the end."
    """Its failure when `give_up` ends it."""
    EXPECTED: ClassVar[tuple[type[Exception], ...]] = ()
    """Its own failures whose text is a sentence for the operator, besides `expected_failures`."""

    def __init__(self, session: Session, publish: Publish) -> None:
        self.session = session
        self.failure: str | None = None
        self.is_over = False
        self._publish = publish
        self._task: asyncio.Task[None] | None = None

    @property
    def end_notice(self) -> str:
        """Says that it has ended, where none of its screens is shown; "" if something else does."""
        return ""

    @property
    @abstractmethod
    def is_ending(self) -> bool:
        """Whether it was told to end before it is done."""

    @abstractmethod
    def cancel(self) -> None:
        """End it cleanly: what is in flight ends first, and nothing is half done."""

    @abstractmethod
    async def work(self) -> None:
        """Do what the job is for, and keep its report."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def give_up(self) -> None:
        """End it now, whether or not the request in flight has been answered."""
        if self._task is not None and not self.is_over:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until it is over."""
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._task)

    async def fail(self, failure: str) -> None:
        """Keep why it ended early."""
        self.failure = failure

    def progressed(self) -> None:
        """Publish that there is a newer state to see."""
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
