"""The second process that reads pieces of a large file; `pieces` starts it and says why."""

import gc
import signal
import sys
from contextlib import suppress

import msgspec

from amp_console.engage.pieces import PieceReader, PieceTask, write_result


def main() -> None:
    """Read the pieces that the standard input names; results go to the standard output.

    It ends with the process that started it: then no one reads what it writes.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started it
    gc.disable()  # events form no reference cycles
    task = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=PieceTask)
    reader = PieceReader(task.descriptor, task.block_bytes, task.judging)
    with suppress(BrokenPipeError):
        for piece in task.pieces:
            write_result(sys.stdout.buffer, reader.result(piece))
