"""Where files are kept, and that no other user can read them."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

from amp_console.connections import Connection, ConnectionStore, Folders, SettingsError

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    folders = Folders.locate({"AMP_CONSOLE_HOME": str(tmp_path)})

    assert folders == Folders(tmp_path / "config", tmp_path / "data")
    assert folders.config_file == tmp_path / "config" / "config.toml"
    assert folders.ledger("0123456789ab") == tmp_path / "data" / "ledgers" / "0123456789ab.db"


@pytest.mark.parametrize("environ", [{}, {"AMP_CONSOLE_HOME": ""}])
def test_without_it_the_systems_folders_are_used(environ: dict[str, str]) -> None:
    folders = Folders.locate(environ)

    assert folders.config == Path(platformdirs.user_config_dir("amp-console", False))
    assert folders.data == Path(platformdirs.user_data_dir("amp-console", False))


def test_a_relative_home_does_not_move_with_the_working_folder() -> None:
    assert Folders.locate({"AMP_CONSOLE_HOME": "here"}).config == Path.cwd() / "here" / "config"


@on_posix
@pytest.mark.usefixtures("_umask")
def test_every_folder_that_is_made_is_the_users_alone(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    folders = Folders(home / "config", home / "data")

    folders.prepare()

    made = [path for path in tmp_path.rglob("*") if path != tmp_path / "home"]
    assert {path.name for path in made} == {"a", "b", "config", "data", "ledgers"}
    assert {mode(path) for path in made} == {0o700}


@on_posix
@pytest.mark.usefixtures("_umask")
def test_the_settings_and_their_lock_are_the_users_alone(
    tmp_path: Path, connection: Connection
) -> None:
    file = tmp_path / "a" / "b" / "config.toml"

    ConnectionStore(file).save(connection)

    assert {path.name: mode(path) for path in (tmp_path / "a").rglob("*")} == {
        "b": 0o700,
        "config.toml": 0o600,
        "config.toml.lock": 0o600,
    }
    assert mode(tmp_path / "a") == 0o700


@on_posix
def test_a_settings_file_open_to_all_is_closed_by_the_next_save(
    tmp_path: Path, connection: Connection
) -> None:
    file = tmp_path / "config.toml"
    file.touch(mode=0o644)

    ConnectionStore(file).save(connection)

    assert mode(file) == 0o600


def test_preparing_twice_changes_nothing(tmp_path: Path) -> None:
    folders = Folders(tmp_path / "config", tmp_path / "data")
    folders.prepare()
    folders.config_file.write_text("")

    folders.prepare()

    assert folders.config_file.exists()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsError, match=r"can't be created.*set AMP_CONSOLE_HOME"):
        Folders(tmp_path / "file" / "config", tmp_path / "data").prepare()
