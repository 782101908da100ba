"""The second process that reads pieces of a large file; `pieces` starts it and says why."""

import gc
import signal
import sys
from contextlib import suppress

import msgspec

from amp_console.engage.pieces import PieceReader, PieceTask, read_message, write_message


def main() -> None:
    """Read the pieces that the standard input names or holds; results go to the standard output.

    It ends with the process that started it: then no one reads what it writes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    gc.disable()  # events form no reference cycles
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    message = read_message(stdin)
    if message is None:
        return
    task = msgspec.msgpack.decode(message, type=PieceTask)
    reader = PieceReader(task.descriptor, task.block_bytes, task.judging)
    given = iter(lambda: read_message(stdin), None)
    with suppress(BrokenPipeError):
        for piece in given if task.descriptor is None else task.pieces:
            write_message(stdout, msgspec.msgpack.encode(reader.result(piece)))
