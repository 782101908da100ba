"""Signals end asynchronous work in an orderly way, even if the event loop can't handle them."""

import asyncio
import signal
from collections.abc import Callable, Iterator

import pytest

from amp_console.amplitude.client import AmplitudeClient
from amp_console.cli.interrupts import with_signals
from amp_console.values import Credentials, Secret


class LoopOfWindows(asyncio.SelectorEventLoop):
    """Has no signal handlers, like the event loops of Windows."""

    def add_signal_handler(self, *_: object) -> None:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def _handlers_are_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("loop_factory", [asyncio.SelectorEventLoop, LoopOfWindows])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_work_end_by_itself(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], number: signal.Signals
) -> None:
    credentials = Credentials(Secret("example-api-key"), Secret("example-secret-key"))
    ending = asyncio.Event()

    async def work() -> str:
        signal.raise_signal(number)
        await ending.wait()
        return "ended"

    async def main() -> str:
        client = AmplitudeClient("http://127.0.0.1:9", credentials)
        return await with_signals(client, work, lambda _: ending.set())

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(main()) == "ended"
