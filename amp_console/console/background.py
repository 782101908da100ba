"""Blocking work in the background: in daemon threads, which never delay quitting.

`asyncio.to_thread` and Textual's thread workers wait for their threads when the program ends, and a
locked keyring may never answer.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do `work` in a separate thread and return its result. Raises what it raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return  # no one is waiting anymore
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failed = None, None
        try:
            value = work(*args, **kwargs)
        except BaseException as error:  # it is raised in the awaiting task
            failed = error
        try:
            loop.call_soon_threadsafe(settle, value, failed)
        except RuntimeError:
            return  # the console has quit in the meantime

    threading.Thread(target=run, name="in_thread", daemon=True).start()
    return await result
