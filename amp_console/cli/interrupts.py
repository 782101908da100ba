"""Running asynchronous work for a command, with an orderly end when a signal arrives."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from amp_console.cli.output import say
from amp_console.cli.progress import ProgressMeter
from amp_console.connections import Connection
from amp_console.ledger import Ledger
from amp_console.sync.delivery.context import RunContext
from amp_console.sync.timing import Stop

if TYPE_CHECKING:
    from amp_console.amplitude.client import AmplitudeClient

T = TypeVar("T")

LEASE_WAIT = 60  # seconds, for an audience that another process holds
GRACE = 10.0  # seconds that the request in flight may take after the first Ctrl-C


def until_interrupted(
    label: str,
    connection: Connection,
    ledger: Ledger,
    client: "AmplitudeClient",
    work: Callable[[RunContext], Coroutine[Any, Any, T]],
    *,
    lease_wait: float = LEASE_WAIT,
) -> T:
    """Do a run's work, with progress on stderr, until it ends, or until Ctrl-C or SIGTERM.

    The first signal lets the request in flight end, for ten seconds at most; the second one
    cancels it and raises KeyboardInterrupt. Either way everything is kept.
    """
    stop = Stop()

    def interrupted(task: "asyncio.Future[T]") -> None:
        if stop.is_asked:
            task.cancel()
            return
        say("Finishing the current request. Press Ctrl-C again to stop at once.", err=True)
        stop.ask()
        asyncio.get_running_loop().call_later(GRACE, task.cancel)

    with ProgressMeter(label) as meter:
        context = RunContext(
            connection, ledger, client, stop=stop, observe=meter.show_run, lease_wait=lease_wait
        )
        return asyncio.run(with_signals(client, lambda: work(context), interrupted))


async def with_signals(
    client: "AmplitudeClient",
    work: Callable[[], Coroutine[Any, Any, T]],
    interrupted: Callable[["asyncio.Future[T]"], None],
) -> T:
    """Do the work with an open client; call `interrupted` with its task for each signal.

    Raises KeyboardInterrupt if the task is cancelled.
    """
    async with client:
        task = asyncio.ensure_future(work())
        for number in (signal.SIGINT, signal.SIGTERM):
            _on_signal(number, lambda: interrupted(task))
        try:
            return await task
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _on_signal(number: int, call: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))
