"""A real keyring for a test: a private D-Bus and gnome-keyring.

`REQUIRE_SECRET_SERVICE=1` turns the skip, if the programs are missing, into a failure.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jeepney  # type: ignore[import-untyped]
import pytest
import secretstorage
from jeepney.io.blocking import (  # type: ignore[import-untyped]
    DBusConnection,
    open_dbus_connection,
)
from secretstorage.util import DBusAddressWrapper, format_secret, open_session

_PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
_PASSWORD = b"example-keyring-password"
_PATIENCE = 20.0  # seconds; both are ready within a tenth of one
_BUS = """<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True)
class SecretService:
    """The keyring as the test's owner sees it."""

    address: str

    def lock(self) -> None:
        with self._connection() as connection:
            secretstorage.get_default_collection(connection).lock()

    def unlock(self) -> None:
        with self._connection() as connection:
            session = open_session(connection)
            collection = secretstorage.get_default_collection(connection, session)
            daemon = DBusAddressWrapper(
                "/org/freedesktop/secrets",
                "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface",
                connection,
            )
            secret = format_secret(session, _PASSWORD, "text/plain")
            daemon.call("UnlockWithMasterPassword", "o(oayays)", collection.collection_path, secret)

    def items(self) -> dict[str, str]:
        """Every item's service name and text."""
        with self._connection() as connection:
            collection = secretstorage.get_default_collection(connection)
            return {
                item.get_attributes()["service"]: item.get_secret().decode()
                for item in collection.get_all_items()
            }

    def overwrite(self, service: str, text: str) -> None:
        with self._connection() as connection:
            collection = secretstorage.get_default_collection(connection)
            (item,) = collection.search_items({"service": service})
            item.set_secret(text.encode())

    @contextmanager
    def _connection(self) -> Iterator[DBusConnection]:
        with closing(open_dbus_connection(self.address)) as connection:
            yield connection


def require_programs() -> None:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if not missing:
        return
    if os.environ.get("REQUIRE_SECRET_SERVICE") == "1":
        pytest.fail(f"{', '.join(missing)} not installed, and REQUIRE_SECRET_SERVICE is set")
    pytest.skip(f"{', '.join(missing)} not installed")


@contextmanager
def secret_service() -> Iterator[SecretService]:
    """Run a keyring, unlocked and empty, until the block ends."""
    require_programs()
    with ExitStack() as stack:
        # Not pytest's own folder: a socket's path may have 107 characters only.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ring-")))
        bus = stack.enter_context(_bus(home))
        stack.enter_context(_keyring(home, bus))
        yield SecretService(bus)


@contextmanager
def _bus(home: Path) -> Iterator[str]:
    config = home / "bus.conf"
    config.write_text(_BUS.format(socket=home / "bus"))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"]
    with _running(command, home, {}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()


@contextmanager
def _keyring(home: Path, bus: str) -> Iterator[None]:
    command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    command.append(f"--control-directory={home}")
    with closing(open_dbus_connection(bus)) as connection:
        name_taken = _watch_for(connection, "org.freedesktop.secrets")
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
        with _running(command, home, {"DBUS_SESSION_BUS_ADDRESS": bus}, **streams) as process:
            assert process.stdin is not None
            process.stdin.write(_PASSWORD)
            process.stdin.close()
            with name_taken as names:
                connection.recv_until_filtered(names, timeout=_PATIENCE)
            yield


def _watch_for(connection: DBusConnection, name: str) -> Any:
    rule = jeepney.MatchRule(
        type="signal",
        interface="org.freedesktop.DBus",
        member="NameOwnerChanged",
    )
    rule.add_arg_condition(0, name)
    connection.send_and_get_reply(jeepney.message_bus.AddMatch(rule))
    return connection.filter(rule)


@contextmanager
def _running(
    command: list[str], home: Path, environ: dict[str, str], **streams: Any
) -> Iterator[subprocess.Popen[bytes]]:
    own = {name: str(home) for name in ("HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")}
    own |= {"PATH": os.environ["PATH"], **environ}
    process = subprocess.Popen(command, env=own, stderr=subprocess.DEVNULL, **streams)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_PATIENCE)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
