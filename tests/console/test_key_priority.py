"""A thread that computes for long waits from when a key is read until its effect is shown."""

import io
import threading
from typing import Any

import pytest
from textual import events
from textual.driver import Driver
from textual.message import Message

from amp_console.console.key_priority import KeyPriority
from amp_console.console.priority_driver import with_priority


class WatchedClock:
    """A clock that shows these times; `unread` tells how often a thread has waited."""

    def __init__(self, *times: float) -> None:
        self._times = list(times)
        self.is_read = threading.Event()

    @property
    def unread(self) -> int:
        return len(self._times)

    def __call__(self) -> float:
        self.is_read.set()
        return self._times.pop(0)


def test_without_a_key_a_thread_waits_for_nothing() -> None:
    KeyPriority(60).wait()


def test_a_thread_waits_until_the_effect_of_a_key_is_shown() -> None:
    clock = WatchedClock(0.0, 1.0, 2.0)
    keys, order = KeyPriority(60, clock), []
    keys.begin()
    clock.is_read.clear()

    def compute() -> None:
        keys.wait()
        order.append("continued")

    thread = threading.Thread(target=compute)
    thread.start()
    assert clock.is_read.wait(60)
    order.append("shown")
    keys.end()
    thread.join()

    assert order == ["shown", "continued"]


def test_a_key_without_an_effect_makes_a_thread_wait_once() -> None:
    clock = WatchedClock(0.0, 1.0, 2.0, 10.0, 11.0)
    keys = KeyPriority(0.001, clock)
    keys.begin()

    keys.wait()
    keys.wait()

    assert clock.unread == 1


@pytest.mark.parametrize(("later", "unread"), [(4.9, 1), (5.1, 0)])
def test_a_key_that_is_held_down_takes_at_most_half_of_the_time(later: float, unread: int) -> None:
    begun, ended = 10.0, 15.0
    clock = WatchedClock(0.0, begun, ended, ended + later, 30.0)
    keys = KeyPriority(0.001, clock)
    keys.begin()
    keys.wait()

    keys.begin()
    keys.wait()

    assert clock.unread == unread


class TerminalDriver(Driver):
    """A driver that writes to a file and keeps what it sends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._file = io.StringIO()
        self.sent: list[Message] = []

    def send_message(self, message: Message) -> None:
        self.sent.append(message)

    def paint(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

    def write(self, data: str) -> None: ...

    def start_application_mode(self) -> None: ...

    def disable_input(self) -> None: ...

    def stop_application_mode(self) -> None: ...


class RecordedPriority(KeyPriority):
    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[str] = []

    def begin(self) -> None:
        self.recorded.append("begin")

    def end(self) -> None:
        self.recorded.append("end")


@pytest.mark.parametrize(
    ("message", "begun"), [(events.Key("j", "j"), ["begin"]), (events.AppFocus(), [])]
)
def test_a_driver_says_when_a_key_was_read(message: Message, begun: list[str]) -> None:
    keys = RecordedPriority()
    driver = with_priority(TerminalDriver, keys)(None)  # type: ignore[arg-type]

    driver.send_message(message)

    assert keys.recorded == begun
    assert driver.sent == [message]  # type: ignore[attr-defined]


def test_a_driver_says_when_what_was_painted_is_shown() -> None:
    keys = RecordedPriority()
    driver = with_priority(TerminalDriver, keys)(None)  # type: ignore[arg-type]

    driver.paint("picture")  # type: ignore[attr-defined]

    assert keys.recorded == ["end"]
