"""Consoles with a keyring (in memory, silent or real), and typing keys."""

import dataclasses
import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from textual import events
from textual.pilot import Pilot

from amp_console.connections import Keyring
from amp_console.console.widgets.fields import Field
from tests.connections import backends
from tests.console.harness import ConsoleHarness, until
from tests.secret_service import SecretService, secret_service
from tests.sync.workspace import OWNER

__all__ = ["backends", "fill", "paste", "real_keyring", "told", "use_keyring"]


def use_keyring(
    harness: ConsoleHarness, ring: type[backends.Memory], *, say_after: float = 60.0
) -> None:
    """Keep the console's keys in this keyring; `say_after` is in seconds."""
    backends.Memory.clear()
    _give(harness, {"PYTHON_KEYRING_BACKEND": f"{ring.__module__}.{ring.__name__}"}, say_after)


@contextmanager
def real_keyring(
    harness: ConsoleHarness, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretService]:
    """Keep the console's keys in a separate, real keyring."""
    with secret_service() as service:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", service.address)
        monkeypatch.delenv("PYTHON_KEYRING_BACKEND")
        _give(harness, {}, 60.0)
        yield service
        gc.collect()  # now, not in the next test: each KeyringLocked leaks a socket


def _give(harness: ConsoleHarness, environ: Mapping[str, str], say_after: float) -> None:
    harness.environment = dataclasses.replace(
        harness.environment, keyring=Keyring(environ), say_waiting_after=say_after
    )


async def paste(pilot: Pilot[None], name: str, text: str) -> None:
    """Focus an input and paste into it."""
    await _paste(pilot, name, text)
    await _handled(pilot)


async def _paste(pilot: Pilot[None], name: str, text: str) -> None:
    line = pilot.app.screen.query_one(f"#{name}")
    line.focus()
    await until(pilot, lambda: line.has_focus)
    pilot.app.post_message(events.Paste(text))


async def _handled(pilot: Pilot[None]) -> None:
    await pilot.pause()  # until the application has passed the text on to the line
    await pilot.pause()  # until the line has inserted it


async def fill(pilot: Pilot[None], harness: ConsoleHarness, **more: str) -> None:
    """Fill the form for the simulated project; `more` are other texts by field."""
    keys = harness.simulator.credentials
    texts = {
        "name": "Acme prod",
        "api_key": keys.api_key.reveal(),
        "secret_key": keys.secret_key.reveal(),
        "app_id": str(harness.simulator.world.app_id),
        "owner": OWNER,
    }
    for name, text in (texts | more).items():
        await _paste(pilot, name.replace("_", "-"), text)
    await _handled(pilot)


def told(pilot: Pilot[None], name: str) -> str:
    """The note at a field."""
    return pilot.app.screen.query_one(f"#field-{name}", Field).note
