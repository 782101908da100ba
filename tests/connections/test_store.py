"""The settings file: what is kept, what is refused, and the state after a crash."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Limits,
    NameTaken,
    NoConnections,
    SettingsError,
    SeveralConnections,
    UnknownConnection,
)
from amp_console.connections.rewrite import rewrite
from amp_console.connections.settings import Settings
from amp_console.values import Region

EVERYTHING = Connection(
    id="a1b2c3d4e5f6",
    name="Shop",
    app_id=123456,
    owner_email="owner@example.com",
    region=Region.EUROPE,
    base_url="http://127.0.0.1:8080",
    prefix=True,
    user_id_path="$.traits.id",
    amplitude_id_path="$.traits.amplitude_id",
    read_only=True,
    keyring_item="0123456789ab",
    limits=Limits(
        parallel_cohorts=1,
        first_batch=100,
        largest_batch=1_000,
        tries=2,
        first_wait=0.1,
        longest_wait=1.5,
        timeout=0.5,
    ),
)
WRITTEN_BY_HAND = """\
# Ask Ada before changing anything.
color = "blue"
# Ada's.
[connections.shop]
name = "Shop"  # as in Segment
app_id = 1
owner_email = "owner@example.com"
nickname = "the shop"

# Gently: it is a small project.
[connections.shop.limits]
tries = 3  # not more

[connections.blog]
name = 'Blog'
app_id = 0x10
owner_email = "owner@example.com"
limits = { tries = 5, mood = "calm" }

# Bob's, mind the owner.
[connections.news]
name = "News"
app_id = 3
owner_email = "owner@example.com"
"""


def other(name: str) -> Connection:
    return Connection(name=name, app_id=2, owner_email="owner@example.com")


def test_a_new_book_is_empty(store: ConnectionStore) -> None:
    assert store.all() == ()
    assert store.forgotten() == ()


@pytest.mark.parametrize("limits", [EVERYTHING.limits, Limits(), Limits(tries=1)])
def test_a_connection_comes_back_as_it_was_saved(store: ConnectionStore, limits: Limits) -> None:
    store.save(EVERYTHING)
    store.save(msgspec.structs.replace(EVERYTHING, limits=limits))

    assert store.all() == (msgspec.structs.replace(EVERYTHING, limits=limits),)


def test_a_saved_connection_keeps_its_place(store: ConnectionStore, connection: Connection) -> None:
    blog = other("Blog")
    store.save(connection)
    store.save(blog)
    renamed = msgspec.structs.replace(connection, name="Store", base_url="http://127.0.0.1:1")
    store.save(renamed)

    assert store.all() == (renamed, blog)


def test_only_what_differs_from_the_defaults_is_written(
    store: ConnectionStore, connection: Connection, file: Path
) -> None:
    store.save(connection)

    assert file.read_text() == (
        "# amp-console's connections. Their keys are in the keyring, not here.\n\n"
        f'[connections.{connection.id}]\nname = "Shop"\napp_id = 123456\n'
        'owner_email = "owner@example.com"\n'
    )


@pytest.mark.parametrize(
    "name",
    [
        'say "hello"',
        "it's",
        "a.b.c",
        "[connections]",
        "a = 1 # b",
        "back\\slash",
        "C:\\new\\table",
        "Läden in Zürich",
        "🎉🛒",
        "../../etc/passwd",
        "--help",
        "'''",
        '"""',
        "x" * 100,
    ],
)
def test_any_name_that_can_be_shown_comes_back(store: ConnectionStore, name: str) -> None:
    store.save(other("Neighbor"))
    store.save(msgspec.structs.replace(EVERYTHING, name=name))

    assert store.get(name).name == name
    assert store.pick(name) == store.get(name)
    store.remove(name)
    assert [item.name for item in store.all()] == ["Neighbor"]


def test_a_name_is_found_in_either_form_of_its_accents(store: ConnectionStore) -> None:
    store.save(other("Caf\u00e9"))

    assert store.get("Cafe\u0301").name == "Caf\u00e9"


def test_two_connections_cannot_have_one_name(
    store: ConnectionStore, connection: Connection
) -> None:
    store.save(connection)

    with pytest.raises(NameTaken, match=r"is called “Shop”\. Nothing was saved"):
        store.save(other("Shop"))
    assert store.all() == (connection,)


def test_the_only_connection_needs_no_name(store: ConnectionStore, connection: Connection) -> None:
    store.save(connection)

    assert store.pick(None) == connection


def test_several_connections_are_named_in_the_error(
    store: ConnectionStore, connection: Connection
) -> None:
    store.save(connection)
    store.save(other("Blog"))

    with pytest.raises(SeveralConnections, match=r"Shop, Blog\. Name one of them"):
        store.pick(None)


def test_an_unknown_name_lists_the_known_ones(
    store: ConnectionStore, connection: Connection
) -> None:
    store.save(connection)
    store.save(other("Blog"))

    for call in (store.get, store.pick, store.remove):
        with pytest.raises(
            UnknownConnection, match=r"called “Shpo”\. Known connections: Shop, Blog\."
        ):
            call("Shpo")


@pytest.mark.parametrize("name", [None, "Shop"])
def test_an_empty_book_says_how_to_begin(store: ConnectionStore, name: str | None) -> None:
    with pytest.raises(NoConnections, match="amp-console connect NAME …"):
        store.pick(name)


def test_saving_keeps_what_people_wrote(store: ConnectionStore, file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)
    shop = store.get("Shop")

    store.save(msgspec.structs.replace(shop, app_id=7, base_url="http://127.0.0.1:1"))

    assert file.read_text() == WRITTEN_BY_HAND.replace("app_id = 1\n", "app_id = 7\n").replace(
        'nickname = "the shop"\n', 'nickname = "the shop"\nbase_url = "http://127.0.0.1:1"\n'
    )


def test_tables_in_any_order_are_edited(store: ConnectionStore, file: Path) -> None:
    file.write_text(
        '[connections.a.limits]\ntries = 3\n\n[other]\n# mine\nx = 1\n[connections."b"]\n'
        'name = "B"\napp_id = 1\nowner_email = "a@b.example"\n'
        '[connections.a]\nname = "A"\napp_id = 1\nowner_email = "a@b.example"\n'
    )
    for item in store.all():
        store.save(msgspec.structs.replace(item, app_id=2, limits=Limits(tries=4), read_only=True))
    store.save(other("C"))

    assert {item.name: item.app_id for item in store.all()} == {"A": 2, "B": 2, "C": 2}
    assert "\n[other]\n# mine\nx = 1\n" in file.read_text()


SHOP = '[connections.shop]\nname = "Shop"\napp_id = 1\nowner_email = "owner@example.com"\n'
NESTED = "[" * 20_000 + "]" * 20_000
TORN_APART = """\
[connections]
[other.b]
[connections.shop]
name = "Shop"
app_id = 1
owner_email = "owner@example.com"
[other]
x = 1
[[others]]
y = 1
[connections.shop.limits]
tries = 3
"""


def test_what_cannot_be_edited_without_harm_is_left_alone(
    store: ConnectionStore, file: Path
) -> None:
    file.write_text(TORN_APART)

    with pytest.raises(SettingsError, match=r"can't be edited safely\. Nothing was changed"):
        store.remove("Shop")
    assert file.read_text() == TORN_APART


def test_an_edit_that_would_lose_a_connection_is_refused(connection: Connection) -> None:
    text = "[connections]\n[[others]]\ny = 1\n" + SHOP

    with pytest.raises(ValueError, match="can't be edited safely"):
        rewrite(text, Settings(connections=(connection,)))


def test_removing_the_first_connection_keeps_the_header(
    store: ConnectionStore, connection: Connection, file: Path
) -> None:
    store.save(connection)
    store.save(other("Blog"))

    store.remove("Shop")

    assert file.read_text().startswith("# amp-console's connections.")


def test_removing_keeps_what_people_wrote_elsewhere(store: ConnectionStore, file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)

    store.remove("Blog")

    start = WRITTEN_BY_HAND.index("\n[connections.blog]")
    end = WRITTEN_BY_HAND.index("\n# Bob's")
    assert file.read_text() == WRITTEN_BY_HAND[:start] + WRITTEN_BY_HAND[end:]


def test_a_comment_goes_with_the_connection_below_it(store: ConnectionStore, file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)

    store.remove("News")

    assert file.read_text() == WRITTEN_BY_HAND[: WRITTEN_BY_HAND.index("\n# Bob's")]


def test_removing_all_keeps_the_rest_of_the_file(store: ConnectionStore, file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)

    for name in ("Shop", "Blog", "News"):
        store.remove(name)

    assert file.read_text() == '# Ask Ada before changing anything.\ncolor = "blue"\n'


def test_changed_limits_keep_their_comments(store: ConnectionStore, file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)
    for name in ("Shop", "Blog"):
        store.save(msgspec.structs.replace(store.get(name), limits=Limits(tries=4, timeout=9)))

    text = file.read_text()
    assert "# Gently: it is a small project.\n" in text
    assert "tries = 4  # not more\n" in text
    assert 'mood = "calm"' in text
    assert [item.limits for item in store.all()] == [Limits(tries=4, timeout=9)] * 2 + [Limits()]


def test_a_file_from_a_windows_editor_is_read(store: ConnectionStore, file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + WRITTEN_BY_HAND.replace("\n", "\r\n").encode())

    store.save(msgspec.structs.replace(store.get("Shop"), app_id=7))

    assert [item.app_id for item in store.all()] == [7, 16, 3]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[connections", "at end of document"),
        ("connections = 3", "connections: Expected `object`, got `int`"),
        ("forgotten = [1]", r"forgotten\[0\]: Expected `str`, got `int`"),
        (SHOP.replace("= 1", '= "1"'), r"connections\.shop\.app_id: Expected `int`, got `str`"),
        (SHOP.replace("= 1", "= 0"), r"connections\.shop: app_id must be a whole number above 0"),
        (SHOP.replace("app_id = 1", ""), r"connections\.shop: .*missing required field `app_id`"),
        (SHOP.replace("Shop", "S\\u001b[2Jp"), r"connections\.shop: The name contains"),
        (SHOP.replace("@", " at "), r"connections\.shop: That isn't an email address"),
        (SHOP.replace(".shop", '."../shop"'), r"connections\.\.\./shop: id may only"),
        (SHOP + 'region = "Mars"', r"connections\.shop\.region: Invalid enum value 'Mars'"),
        (SHOP + "limits.tries = 0", r"connections\.shop\.limits: tries must be 1 to 100"),
        (SHOP + "limits.tries = true", r"connections\.shop\.limits\.tries: Expected `int`"),
        (SHOP + "limits.timeout = nan", r"connections\.shop\.limits: timeout must be more than 0"),
        (SHOP + "limits.first_batch = 100001", r"connections\.shop\.limits: first_batch must be"),
        (SHOP + SHOP.replace(".shop", ".blog"), "two connections are called “Shop”"),
        pytest.param(SHOP + f"x = {NESTED}", "it is nested too deeply", id="nested"),
    ],
)
def test_a_damaged_file_is_reported_and_left_alone(
    store: ConnectionStore, file: Path, text: str, why: str
) -> None:
    file.write_text(text)

    for call in (store.all, lambda: store.save(EVERYTHING)):
        with pytest.raises(SettingsError, match=f"{why}.*Nothing was changed") as raised:
            call()
        assert str(file) in str(raised.value)
    assert file.read_text() == text


def test_a_file_that_is_no_text_is_reported(store: ConnectionStore, file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="can't be read"):
        store.all()


def test_a_folder_in_the_files_place_is_reported(store: ConnectionStore, file: Path) -> None:
    file.mkdir()

    with pytest.raises(SettingsError, match="can't be read"):
        store.save(EVERYTHING)


def test_a_keyring_item_that_a_save_leaves_behind_is_remembered(store: ConnectionStore) -> None:
    store.save(EVERYTHING)
    saved = store.save(EVERYTHING, keyring_item="second")
    assert saved.keyring_item == "second"
    assert store.forgotten() == ("0123456789ab",)

    store.remove("Shop")
    assert store.forgotten() == ("0123456789ab", "second")

    store.mark_deleted("0123456789ab")
    assert store.forgotten() == ("second",)
    store.mark_deleted("second")
    assert store.forgotten() == ()


def test_keys_that_another_process_stored_meanwhile_stay(store: ConnectionStore) -> None:
    store.save(EVERYTHING)
    seen = store.get("Shop")
    store.save(seen, keyring_item="newer", webhook_item="secret")

    saved = store.save(msgspec.structs.replace(seen, owner_email="ben@example.com"))

    assert (saved.owner_email, saved.keyring_item, saved.webhook_item) == (
        "ben@example.com",
        "newer",
        "secret",
    )
    assert store.get("Shop") == saved
    assert store.forgotten() == ("0123456789ab",)


def test_a_changed_setting_leaves_those_that_others_changed(store: ConnectionStore) -> None:
    store.save(EVERYTHING)
    seen = store.get("Shop")
    store.change(seen, user_id_path="$.traits.other", owner_email="ben@example.com")

    changed = store.change(seen, read_only=False)

    assert (changed.user_id_path, changed.owner_email) == ("$.traits.other", "ben@example.com")
    assert not changed.read_only
    assert store.all() == (changed,)
    store.remove("Shop")
    with pytest.raises(UnknownConnection):
        store.change(seen, read_only=True)


def test_a_save_leaves_what_others_changed_since_it_was_read(store: ConnectionStore) -> None:
    store.save(EVERYTHING)
    seen = store.get("Shop")
    store.change(seen, read_only=False, user_id_path="$.traits.other")

    changed = msgspec.structs.replace(seen, owner_email="ben@example.com")
    saved = store.save(changed, seen, keyring_item="newer")

    assert saved == msgspec.structs.replace(
        changed, read_only=False, user_id_path="$.traits.other", keyring_item="newer"
    )
    assert store.all() == (saved,)
    store.remove("Shop")
    with pytest.raises(UnknownConnection):
        store.save(changed, seen)
    assert store.all() == ()


def test_an_item_in_use_is_never_among_the_forgotten(store: ConnectionStore, file: Path) -> None:
    file.write_text('forgotten = ["0123456789ab", "second"]\n')

    store.save(EVERYTHING)

    assert store.forgotten() == ("second",)


CRASH = """
import os, sys
from pathlib import Path
from amp_console.connections import Connection, ConnectionStore
Path.replace = lambda self, target: os._exit(9)  # the power goes, just before the rename
ConnectionStore(Path(sys.argv[1])).save(Connection(name="New", app_id=1, owner_email="a@b.example"))
"""


def test_a_crash_before_the_rename_leaves_the_old_file(
    store: ConnectionStore, connection: Connection, file: Path
) -> None:
    store.save(connection)
    before = file.read_bytes()

    run = subprocess.run([sys.executable, "-c", CRASH, str(file)], check=False, timeout=30)

    assert run.returncode == 9
    assert file.read_bytes() == before
    store.save(other("After"))  # the lock went with the process
    assert len(store.all()) == 2


def test_a_disk_that_refuses_leaves_the_old_file_and_no_other(
    store: ConnectionStore, connection: Connection, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(connection)
    before = file.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SettingsError, match=r"can't be written \(OSError\)\. The earlier settings"):
        store.save(other("Blog"))

    assert file.read_bytes() == before
    assert {item.name for item in file.parent.iterdir()} == {"config.toml", "config.toml.lock"}


SAVE_TEN = """
import sys
from pathlib import Path
from amp_console.connections import Connection, ConnectionStore
store = ConnectionStore(Path(sys.argv[1]))
for count in range(10):
    store.save(Connection(name=f"{sys.argv[2]}-{count}", app_id=1, owner_email="a@b.example"))
"""


def test_processes_that_save_at_once_lose_nothing(store: ConnectionStore, file: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", SAVE_TEN, str(file), name]) for name in "abcd"
    ]

    assert [writer.wait(60) for writer in writers] == [0, 0, 0, 0]
    assert {item.name for item in store.all()} == {f"{a}-{b}" for a in "abcd" for b in range(10)}


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_to_the_settings_stays_a_link(
    store: ConnectionStore, connection: Connection, file: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "dotfiles.toml"
    kept.write_text("")
    file.symlink_to(kept)

    store.save(connection)

    assert file.is_symlink()
    assert "Shop" in kept.read_text()
