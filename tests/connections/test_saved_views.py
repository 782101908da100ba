"""Views in the settings: read tolerantly, written without damage to the rest."""

from pathlib import Path

import pytest

from amp_console.connections import (
    Preferences,
    SavedView,
    SettingsError,
    SettingsReadOnly,
    keep_views,
    read_preferences,
)

BY_MEMBERS = SavedView("churn", "Members", True, ("Audience", "Members"))
HOSTILE = 'a "quoted".name [x] = \\ é'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def save(file: Path, name: str, view: SavedView) -> None:
    keep_views(file, lambda views: views | {name: view}, name)


def test_a_view_that_was_saved_is_read_again_and_is_the_one_in_use(file: Path) -> None:
    save(file, "Churn", BY_MEMBERS)
    save(file, HOSTILE, SavedView())
    found = read_preferences(file)
    assert found == Preferences(views={"Churn": BY_MEMBERS, HOSTILE: SavedView()}, view=HOSTILE)


def test_a_view_keeps_a_column_that_has_another_name_today(file: Path) -> None:
    file.write_text(
        '[console.views.Stale]\nsort = "Last sent"\ncolumns = ["Audience", "Last sent"]\n'
    )
    assert read_preferences(file).views == {
        "Stale": SavedView(sort="Last sync", columns=("Audience", "Last sync"))
    }


def test_everything_else_in_the_settings_stays(file: Path) -> None:
    file.write_text('# Mine.\n[console]\ntheme = "nord"  # bright\n\n[console.keys]\ncopy = "c"\n')
    save(file, "Churn", BY_MEMBERS)
    keep_views(file, lambda views: {}, "")
    text, found = file.read_text(), read_preferences(file)
    assert "# Mine." in text
    assert "# bright" in text
    assert (found.theme, found.keys, found.views, found.view) == ("nord", {"copy": ("c",)}, {}, "")
    assert found.problems == ()


def test_a_view_that_another_console_has_saved_meanwhile_stays(file: Path) -> None:
    save(file, "Churn", BY_MEMBERS)
    keep_views(file, lambda views: views | {"New": SavedView("new")}, "New")
    assert [*read_preferences(file).views] == ["Churn", "New"]


@pytest.mark.parametrize(
    "entry",
    [
        "3",
        '"text"',
        "{ filter = 3 }",
        "{ sort = true }",
        '{ columns = "Members" }',
        "{ columns = [1] }",
        '{ descending = "yes" }',
        "{ color = 'red' }",
    ],
)
def test_an_invalid_view_is_reported_and_left_out(file: Path, entry: str) -> None:
    file.write_text(f"[console.views]\nodd = {entry}\ngood = {{ sort = 'Members' }}\n")
    found = read_preferences(file)
    assert found.views == {"good": SavedView(sort="Members")}
    assert len(found.problems) == 1
    assert "odd" in found.problems[0]


@pytest.mark.parametrize(
    "text", ["[console]\nviews = 3", "[console]\nview = 'gone'", "console = ["]
)
def test_broken_settings_are_reported_and_never_fatal(file: Path, text: str) -> None:
    file.write_text(text)
    found = read_preferences(file)
    assert (found.views, found.view) == ({}, "")
    assert len(found.problems) == 1


@pytest.mark.parametrize("text", ["console = [", "console = 3"])
def test_settings_that_cannot_be_edited_stay_as_they_are(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError, match="views can't be kept"):
        save(file, "Churn", BY_MEMBERS)
    assert file.read_text() == text


def test_a_read_only_process_writes_nothing(file: Path) -> None:
    with pytest.raises(SettingsReadOnly):
        keep_views(file, lambda views: views, "", read_only=True)
    assert not file.exists()
