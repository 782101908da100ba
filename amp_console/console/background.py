"""Work that may block, beside the screen: in daemon threads, which never hold up quitting.

`asyncio.to_thread` and Textual's thread workers wait for their threads at the end, and a locked
keyring may never answer.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do `work` in a thread of its own and return its result; raises what it raises."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if result.done():
            return  # no one waits any more
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failed = None, None
        try:
            value = work(*args, **kwargs)
        except BaseException as error:  # it is raised where it is awaited
            failed = error
        try:
            loop.call_soon_threadsafe(settle, value, failed)
        except RuntimeError:
            return  # the console has quit meanwhile

    threading.Thread(target=run, name="aside", daemon=True).start()
    return await result
