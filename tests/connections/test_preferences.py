"""The console's preferences in the settings: read tolerantly, written without damage."""

from pathlib import Path

import msgspec
import pytest

from amp_console.connections import (
    Connection,
    ConnectionStore,
    Preferences,
    SettingsError,
    keep_theme,
    read_preferences,
)

WRITTEN_BY_HAND = """\
# Ask Ada before changing anything.

# Bright, for the projector.
[console]
theme = "nord"  # not too bright
ascii = true
notify = true
mood = "calm"

# As in the old tool.
[console.keys]
"audiences.sync" = "r"  # run
audiences.edit = ["e", "f4"]

# Ada's.
[connections.shop]
name = "Shop"
app_id = 1
owner_email = "owner@example.com"
"""
BETWEEN = """\
[connections.shop]
name = "Shop"
app_id = 1
owner_email = "owner@example.com"

# Mine.
[console]
theme = "nord"
[connections.blog]
name = "Blog"
app_id = 2
owner_email = "owner@example.com"
"""
IN_ONE_LINE = 'console = { theme = "nord", ascii = true }  # mine\n'
DOTTED = 'console.theme = "nord"\nconsole.keys.copy = "c"\n'


def told(file: Path, text: str) -> tuple[str, ...]:
    file.write_text(text)
    found = read_preferences(file)
    assert found[:4] == Preferences()[:4]
    return found.problems


def test_without_settings_nothing_is_preferred(file: Path) -> None:
    assert read_preferences(file) == Preferences()


def test_what_is_preferred_is_read(file: Path) -> None:
    file.write_text(WRITTEN_BY_HAND)

    theme, ascii_only, notify, keys, *_, (complaint,) = read_preferences(file)

    assert (theme, ascii_only, notify) == ("nord", True, True)
    assert keys == {"audiences.sync": ("r",), "audiences.edit": ("e", "f4")}
    assert "console.mood, which is unknown and ignored" in complaint


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ('"r, f5"', ("r", "f5")),
        ('","', (",",)),
        ('" "', (" ",)),
        ('[" ", "ctrl+r"]', (" ", "ctrl+r")),
    ],
)
def test_keys_are_written_in_a_text_or_a_list(
    file: Path, written: str, keys: tuple[str, ...]
) -> None:
    file.write_text(f"[console.keys]\ncopy = {written}\n")

    assert read_preferences(file) == Preferences(keys={"copy": keys})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("console = 5", "console = 5, which is ignored. It must be a section, [console]."),
        ("[console]\ntheme = 5", "console.theme = 5, which is ignored. It must be the name of a "),
        ("[console]\nascii = 'yes'", "console.ascii = 'yes', which is ignored. It must be true or"),
        ("[console]\nnotify = 1", "console.notify = 1, which is ignored. It must be true or false"),
        ("[console]\nkeys = 'r'", "console.keys = 'r', which is ignored. It must be a section, ["),
        ("[console.keys]\ncopy = 5", "console.keys.copy = 5, which is ignored. It must be a key,"),
        ("[console.keys]\ncopy = ''", "console.keys.copy = '', which is ignored."),
        ("[console.keys]\ncopy = ['c', 1]", "console.keys.copy = ['c', 1], which is ignored."),
        ("[console.keys]\ncopy = {}", "console.keys.copy = {}, which is ignored."),
    ],
)
def test_a_wrong_value_is_reported_and_ignored(file: Path, text: str, words: str) -> None:
    (only,) = told(file, text)

    assert words in only


@pytest.mark.parametrize(
    "text", ["[console", f"x = {'[' * 20_000}{']' * 20_000}"], ids=["unfinished", "nested"]
)
def test_settings_that_are_no_toml_prefer_nothing(file: Path, text: str) -> None:
    (only,) = told(file, text)

    assert "can't be read" in only


def test_settings_that_are_no_text_prefer_nothing(file: Path) -> None:
    file.write_bytes(b"\xff")

    assert "can't be read (UnicodeDecodeError)" in read_preferences(file).problems[0]


def test_a_kept_theme_is_read_again(file: Path) -> None:
    keep_theme(file, "nord")
    keep_theme(file, "dracula")

    assert read_preferences(file) == Preferences(theme="dracula")


@pytest.mark.parametrize("text", [WRITTEN_BY_HAND, BETWEEN, IN_ONE_LINE, DOTTED])
def test_keeping_a_theme_changes_nothing_else(file: Path, text: str) -> None:
    file.write_text(text)

    keep_theme(file, "dracula")

    assert file.read_text() == text.replace("nord", "dracula")


def test_a_first_theme_comes_after_the_connections(file: Path) -> None:
    before = BETWEEN.replace('# Mine.\n[console]\ntheme = "nord"\n', "")
    file.write_text(before)

    keep_theme(file, "nord")

    assert file.read_text() == before + '\n[console]\ntheme = "nord"\n'


def test_a_first_theme_stays_above_what_is_written_on_the_next_section(file: Path) -> None:
    file.write_text(
        "[console]\nascii = true\n\n# As in the old tool.\n[console.keys]\ncopy = 'c'\n"
    )

    keep_theme(file, "nord")

    assert file.read_text() == (
        '[console]\nascii = true\ntheme = "nord"\n\n'
        "# As in the old tool.\n[console.keys]\ncopy = 'c'\n"
    )


@pytest.mark.parametrize("text", ["console = 5\n", "[console\n"])
def test_a_theme_that_cannot_be_saved_harms_nothing(file: Path, text: str) -> None:
    file.write_text(text)

    with pytest.raises(SettingsError, match=r'Nothing was changed.*theme = "nord"'):
        keep_theme(file, "nord")

    assert file.read_text() == text


@pytest.mark.parametrize("text", [WRITTEN_BY_HAND, BETWEEN, IN_ONE_LINE, DOTTED])
def test_the_book_leaves_the_preferences_alone(
    file: Path, text: str, connection: Connection
) -> None:
    file.write_text(text)
    before = read_preferences(file)
    store = ConnectionStore(file)

    store.save(msgspec.structs.replace(connection, name="Third"))
    assert read_preferences(file) == before
    for item in store.all():
        store.remove(item.name)

    assert read_preferences(file) == before
    left = {line for line in text.splitlines() if "console" in line or line.startswith("theme")}
    assert left <= set(file.read_text().splitlines())


def test_keeping_a_theme_and_saving_a_connection_lose_nothing(
    file: Path, connection: Connection
) -> None:
    store = ConnectionStore(file)

    keep_theme(file, "nord")
    store.save(connection)
    keep_theme(file, "dracula")

    assert store.all() == (connection,)
    assert read_preferences(file).theme == "dracula"
