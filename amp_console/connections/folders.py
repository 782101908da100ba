"""The folders of settings and ledgers, readable by this user only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import platformdirs

from amp_console.connections.settings_errors import SettingsError

HOME_VARIABLE = "AMP_CONSOLE_HOME"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folder of the settings and the folder of the ledgers."""

    config: Path
    data: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> Self:
        """Return the system's folders for this user, or those under AMP_CONSOLE_HOME.

        Raises SettingsError.
        """
        if home := environ.get(HOME_VARIABLE):
            root = _expanded(home).absolute()
            return cls(root / "config", root / "data")
        return cls(
            platformdirs.user_config_path("amp-console", appauthor=False),
            platformdirs.user_data_path("amp-console", appauthor=False),
        )

    @property
    def config_file(self) -> Path:
        """The settings file."""
        return self.config / "config.toml"

    def ledger(self, connection_id: str) -> Path:
        """Return the ledger file of a connection."""
        return self.data / "ledgers" / f"{connection_id}.db"

    def prepare(self) -> None:
        """Create the missing folders, readable by this user only (0700).

        Raises SettingsError if one can't be created.
        """
        for folder in (self.config, self.data / "ledgers"):
            try:
                make_private(folder)
            except OSError as error:
                raise SettingsError(
                    f"The folder {folder} can't be created ({type(error).__name__}). Nothing was "
                    f"changed. Check its permissions, or set {HOME_VARIABLE} to another folder."
                ) from error


def _expanded(home: str) -> Path:
    try:
        return Path(home).expanduser()
    except RuntimeError:
        raise SettingsError(
            f"{HOME_VARIABLE} is in the home folder of an unknown user. Nothing was changed. Set "
            "it to the path of a folder."
        ) from None


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents one by one, readable by this user only (0700).

    `os.makedirs` sets the mode of the last one only. Raises OSError.
    """
    if folder.is_dir():
        return
    make_private(folder.parent)
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(0o700)  # whatever the umask is
    except FileExistsError:
        if not folder.is_dir():  # otherwise another process created it first
            raise
