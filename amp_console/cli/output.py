"""Printing: the only module that writes to a terminal, a pipe or a file.

Its output can't control a terminal, whatever events, file names and Amplitude's answers contain.
No command ends in a traceback because its output can't be written or encoded: what a command did
matters more than what it prints.
"""

import codecs
import io
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

from amp_console.cli.exits import Exit

if TYPE_CHECKING:
    from amp_console.values import Secret

_PLAIN = {"…": "...", "–": "-", "—": "-", "−": "-", "→": "->", "·": "|", "×": "x", "»": ">"}
_NOT_JSON_SAFE = re.compile(
    "[\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001-\U000e007f]"
)


class GuardedStream(io.TextIOBase):
    """A standard stream that drops what it can't write, and keeps the error."""

    def __init__(self, stream: TextIO, *, is_output: bool) -> None:
        self._stream = stream
        self._is_output = is_output
        self.lost: OSError | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The error handler for characters that the encoding lacks."""
        return self._stream.errors

    def write(self, text: str) -> int:
        """Write, unless writing failed before."""
        if self.lost is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Flush, unless writing failed before."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._lose(error)

    @property
    def buffer(self) -> BinaryIO:
        """The underlying binary stream; click writes shell completions to it."""
        return self._stream.buffer

    def fileno(self) -> int:
        """The file descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Always true: what can't be written is dropped."""
        return True

    def _lose(self, error: OSError) -> None:
        self.lost = error
        # Python writes the rest of the buffer when it ends, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
        if self._is_output and not isinstance(error, BrokenPipeError):
            say(
                f"Can't write the output: {error.strerror}. The command continues, and "
                "nothing it does is lost.",
                err=True,
            )


def prepare() -> None:
    """Make the standard streams safe. Call this once, before anything is printed."""
    _fill_closed_handles()
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123  # for good
    codecs.register_error("amp-console", _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # for good
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="amp-console")
        setattr(sys, name, GuardedStream(stream, is_output=name == "stdout"))


def _fill_closed_handles() -> None:
    """Open the null device for each closed file descriptor from 0 to 2.

    Otherwise a file opened later would get the number, and with it the text for the terminal.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char, "?") for char in wrong), error.end


def say(*lines: str, err: bool = False) -> None:
    """Print lines; escape control characters in them, line breaks included."""
    stream = sys.stderr if err else sys.stdout
    for line in lines:
        stream.write(f"{_escaped(line)}\n")
    stream.flush()


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    from amp_console.text import escaped  # --help needs nothing but click

    return escaped(line)


def say_json(document: bytes) -> None:
    """Print JSON, escaped so that any terminal and any encoding accepts it unchanged."""
    text = document.decode()
    is_unicode = codecs.lookup(sys.stdout.encoding or "ascii").name.startswith("utf")
    steering = _NOT_JSON_SAFE if is_unicode else _NOT_ASCII
    sys.stdout.write(f"{steering.sub(_json_escape, text)}\n")
    sys.stdout.flush()


_NOT_ASCII = re.compile("[^\x00-\x7e]")


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def ask(question: str) -> bool:
    """Ask a yes-or-no question at the terminal."""
    return click.confirm(_escaped(question), err=True)


def ask_for(what: str, *, is_hidden: bool = False) -> str:
    """Ask for a text at the terminal."""
    return str(click.prompt(_escaped(what), hide_input=is_hidden, err=True))


def ask_password(what: str) -> "Secret":
    """Read a password: hidden at a terminal, else from a line of stdin."""
    from amp_console.values import Secret

    typed = ask_for(what, is_hidden=True) if sys.stdin.isatty() else piped(is_line=True)
    return Secret(typed.removesuffix("\n"))


def piped(*, is_line: bool = False) -> str:
    """Read the text on stdin, or its next line. Invalid UTF-8 is misuse."""
    try:
        text = sys.stdin.readline() if is_line else sys.stdin.read()
        text.encode()  # in some locales Python passes invalid bytes as surrogates
    except UnicodeError:
        raise click.UsageError("The input on stdin is not valid UTF-8. Nothing was done.") from None
    return text


def say_misuse(error: click.ClickException) -> None:
    """Print what is wrong with a command's arguments."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(*error.ctx.get_usage().splitlines(), err=True)
        say(f"Try '{error.ctx.command_path} --help' for help.", "", err=True)
    say(f"Error: {error.format_message()}", err=True)


def say_defect(error: Exception) -> None:
    """Print the traceback of a defect."""
    for entry in traceback.format_exception(error):
        say(*entry.splitlines(), err=True)


def is_read() -> bool:
    """Whether the reader of the output is still there."""
    return getattr(sys.stdout, "lost", None) is None


def finish(status: int) -> int:
    """Flush, and return the exit status: 1 instead of 0 if the output could not be written."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    lost = getattr(sys.stdout, "lost", None)
    if lost is not None and not isinstance(lost, BrokenPipeError):
        return status or Exit.PARTIAL
    return status
