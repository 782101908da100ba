"""A process started with --read-only never changes settings or keys, however it is asked to."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import amp_console
from amp_console.connections import (
    Connection,
    ConnectionStore,
    Keyring,
    LedgerServer,
    NamedSource,
    SegmentSpace,
    SettingsReadOnly,
    forget_connection,
    keep_theme,
    remove_space,
    restricted,
    retry_forgotten,
    save_ledger,
    save_source,
    save_space,
    store_keys,
    store_webhook_secret,
)
from amp_console.connections.read_only import guard, refusal
from amp_console.values import Credentials, Secret
from tests.connections import backends

RING = {"PYTHON_KEYRING_BACKEND": f"{backends.Memory.__module__}.Memory"}

LAKE = NamedSource(name="lake", url="sqlite:///lake.db")
SPACE = SegmentSpace(id="spa_1")
SERVER = LedgerServer(url="postgresql://console@db.acme.example/amp")

Write = Callable[[ConnectionStore, Keyring, Connection, Credentials], object]
WRITERS: dict[str, Write] = {
    "save": lambda store, _, target, __: store.save(msgspec.structs.replace(target, app_id=7)),
    "change": lambda store, _, target, __: store.change(target, app_id=7),
    "remove": lambda store, _, target, __: store.remove(target.name),
    "put_source": lambda store, _, target, __: store.put_source(target, LAKE),
    "drop_source": lambda store, _, target, __: store.drop_source(target, LAKE.name),
    "save_source": lambda store, keyring, target, _: save_source(
        store, keyring, target, LAKE, Secret("not-a-secret")
    ),
    "put_space": lambda store, _, target, __: store.put_space(target, SPACE),
    "save_space": lambda store, keyring, target, _: save_space(
        store, keyring, target, SPACE, token=Secret("not-a-secret")
    ),
    "remove_space": lambda store, keyring, target, _: remove_space(store, keyring, target),
    "put_ledger": lambda store, _, target, __: store.put_ledger(target, SERVER),
    "save_ledger": lambda store, keyring, target, _: save_ledger(
        store, keyring, target, SERVER, Secret("not-a-secret")
    ),
    "mark_deleted": lambda store, _, __, ___: store.mark_deleted("item"),
    "store_keys": store_keys,
    "store_webhook_secret": lambda store, keyring, target, _: store_webhook_secret(
        store, keyring, target, Secret("not-a-secret")
    ),
    "forget_connection": lambda store, keyring, target, _: forget_connection(
        store, keyring, target.name
    ),
    "retry_forgotten": lambda store, keyring, _, __: retry_forgotten(store, keyring),
}


@pytest.fixture(autouse=True)
def _fresh_rings() -> Iterator[None]:
    backends.Memory.clear()
    yield
    backends.Memory.clear()


@pytest.mark.parametrize("name", WRITERS)
def test_no_writer_of_settings_or_keys_works(
    store: ConnectionStore, connection: Connection, keys: Credentials, tmp_path: Path, name: str
) -> None:
    keyring, file = Keyring(RING), tmp_path / "config" / "config.toml"
    stored = store_keys(store, keyring, connection, keys)
    store_keys(store, keyring, stored, keys)
    store.remove(stored.name)  # so that an item is still to be deleted
    store.save(stored)
    before = file.read_bytes(), dict(backends.Memory.items)
    with pytest.raises(SettingsReadOnly, match="started with --read-only"):
        WRITERS[name](ConnectionStore(file, read_only=True), keyring, stored, keys)
    assert (file.read_bytes(), backends.Memory.items) == before


def test_every_public_method_of_the_book_that_writes_is_tried() -> None:
    reads = {"all", "get", "pick", "forgotten", "check_writable"}
    public = {name for name in vars(ConnectionStore) if not name.startswith("_")}
    assert public - reads <= set(WRITERS)


def test_a_theme_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with pytest.raises(SettingsReadOnly):
        keep_theme(file, "nord", read_only=True)
    assert not file.exists()


def test_the_refusal_names_the_switch(connection: Connection) -> None:
    own = msgspec.structs.replace(connection, read_only=True)
    assert refusal(own, "Nothing was sent.").startswith(
        "The connection “Shop” is read-only. Nothing was sent. Connect it again"
    )
    assert refusal(restricted(connection), "Nothing was sent.") == (
        "amp-console was started with --read-only. Nothing was sent. "
        "Start it without --read-only to do this."
    )
    assert refusal(own, way_out="Press W.") == "The connection “Shop” is read-only. Press W."
    both = refusal(restricted(own))
    assert "started with --read-only" in both
    assert "“Shop” is read-only, too" in both
    assert restricted(restricted(own)) == restricted(own)


def test_a_restricted_connection_is_read_only_and_a_writable_one_is_not(
    connection: Connection,
) -> None:
    guard(connection)
    changed = msgspec.structs.replace(restricted(connection), app_id=9)
    assert changed.read_only, "also after other settings changed"


def calls(*packages: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in these packages, with its file."""
    root = Path(amp_console.__file__).parent
    for package in packages:
        for file in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    yield str(file.relative_to(root)), node


def test_front_ends_write_settings_and_keys_through_the_book_alone() -> None:
    """This way, a new action or command can't forget --read-only."""
    for file, call in calls("cli", "console", "sync"):
        function = ast.unparse(call.func)
        assert function != "SettingsFile", file
        assert not re.search(r"vault\.(write|write_secret|delete)$", function), file
        if function in {"ConnectionStore", "keep_theme"} or "keep_theme" in map(
            ast.unparse, call.args
        ):
            assert "read_only" in {keyword.arg for keyword in call.keywords}, file


def test_front_ends_change_the_ledger_through_sync_alone() -> None:
    """All changes to audiences there are refused for a read-only connection."""
    marks = {
        "add_local_entry",  # the console's messages, which change no audience
        "keep_audiences",  # Segment's answers, which change no audience
        "keep_trouble",  # why there is no answer
        "forget_limits",  # waits that Amplitude asked for, after `sync` has called the guard
    }
    for file, call in calls("cli", "console"):
        if re.search(r"ledger\.(write|awrite|submit)$", ast.unparse(call.func)):
            assert ast.unparse(call.args[0]) in marks, file
