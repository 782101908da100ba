"""What commands say they did: it names only what there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amp_console.simulator import Simulator
from tests.cli.inside import Streams
from tests.cli.operator import OWNER


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch, simulator: Simulator, tmp_path: Path) -> Streams:
    """Commands of an operator with one connection, run in an empty folder."""
    keys = simulator.credentials
    monkeypatch.setenv("AMP_CONSOLE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AMP_CONSOLE_API_KEY", keys.api_key.reveal())
    monkeypatch.setenv("AMP_CONSOLE_SECRET_KEY", keys.secret_key.reveal())
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    streams = Streams(monkeypatch)
    where = ("--owner-email", OWNER, "--base-url", simulator.base_url)
    app_id = str(simulator.world.app_id)
    assert streams.run("connect", "acme", "--app-id", app_id, *where) == 0
    return streams


def members_csv(*users: str) -> Path:
    path = Path("download.csv")
    path.write_text("user_id,city\n" + "".join(f"{user},Graz\n" for user in users))
    return path


def test_an_import_names_its_audience_and_says_that_it_is_new(streams: Streams) -> None:
    file = members_csv("u1")
    assert streams.run("import", "--audience", "vip", file) == 0
    assert "New audience: vip. The next sync creates a cohort for it" in streams.out
    assert streams.run("import", "--audience", "vip", file) == 0
    assert "New audience" not in streams.out
    assert "Audience: vip." in streams.out
