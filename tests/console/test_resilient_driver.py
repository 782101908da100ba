"""A terminal that disappears does not block painting."""

import os
from contextlib import suppress

from textual.drivers._writer_thread import WriterThread

from amp_console.console.resilient_driver import ResilientFile


def test_what_is_painted_on_a_terminal_that_is_gone_is_dropped() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w")
    thread = WriterThread(ResilientFile(file))  # type: ignore[arg-type]
    thread.daemon = True
    thread.start()
    for _ in range(100):  # more than its queue can hold
        thread.write("picture" * 1_000)
    thread.stop()
    with suppress(BrokenPipeError):
        file.close()
