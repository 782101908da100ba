from pathlib import Path

import pytest

from amp_console.console.paths import PathListing, completed, listing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path = tmp_path / "events"
    (tmp_path / "old").mkdir(parents=True)
    for name in ("events-1.gz", "events-2.gz", "Notes [red].txt", ".hidden"):
        (tmp_path / name).write_text("12345")
    return tmp_path


def test_a_folder_lists_folders_first_and_hides_what_is_hidden(folder: Path) -> None:
    found = listing(f"{folder}/")

    names = [entry.name for entry in found.entries]
    assert names == ["old", "events-1.gz", "events-2.gz", "Notes [red].txt"]
    assert found.files == ()
    assert found.note == "4 entries. Choose a file, or type a pattern such as *.gz."


def test_a_beginning_lists_what_it_may_become_whatever_its_case(folder: Path) -> None:
    assert [entry.name for entry in listing(f"{folder}/EV").entries] == [
        "events-1.gz",
        "events-2.gz",
    ]
    assert listing(f"{folder}/nothing").note == "There is no such file."
    assert [entry.name for entry in listing(f"{folder}/.h").entries] == [".hidden"]


def test_a_file_names_itself_even_if_its_name_looks_like_a_pattern(folder: Path) -> None:
    found = listing(f"{folder}/Notes [red].txt")

    assert found.files == (f"{folder}/Notes [red].txt",)
    assert found.bytes == 5


def test_a_pattern_names_all_its_files_in_order(folder: Path) -> None:
    found = listing(f"{folder}/*.gz")

    assert found.files == (f"{folder}/events-1.gz", f"{folder}/events-2.gz")
    assert found.bytes == 10
    assert listing(f"{folder}/*.csv").note == "No file matches this pattern."


def test_what_can_be_no_path_is_said_in_words(folder: Path) -> None:
    assert listing(f"{folder}/no/where/").note == "There is no such folder."
    assert listing("a\0b/").note == "This is not a valid path."
    assert listing("a\0b").files == ()


def test_completing_goes_as_far_as_all_agree(folder: Path) -> None:
    text = f"{folder}/e"

    assert completed(text, listing(text).entries) == f"{folder}/events-"
    assert completed(f"{folder}/o", listing(f"{folder}/o").entries) == f"{folder}/old/"
    assert completed(f"{folder}/*.g", ()) == f"{folder}/*.g"


def test_the_home_of_an_unknown_user_is_said_in_words() -> None:
    """The console crashed if a tilde was typed first."""
    for text in ("~no-such-user", "~no-such-user/*.gz"):
        assert listing(text) == PathListing((), (), "There is no user of this name.")
