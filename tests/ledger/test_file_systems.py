"""A ledger's file is only opened on a local file system."""

from pathlib import Path

import pytest

from amp_console.ledger import open_ledger
from amp_console.ledger.audiences import all_audiences
from amp_console.ledger.errors import LedgerOnNetwork
from amp_console.ledger.file_systems import network_file_system, refuse_network
from amp_console.ledger.opening import peek
from tests.mounts import mount, mountinfo


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "afs", "ceph", "fuse.sshfs"])
def test_a_network_file_system_is_known_by_the_device_of_the_folder(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(mountinfo(tmp_path, kind))
    assert network_file_system(tmp_path, file) == kind
    assert network_file_system(Path("/proc"), file) is None


@pytest.mark.parametrize("kind", ["ext4", "tmpfs", "btrfs", "overlay", "fuse", "fuse.gocryptfs"])
def test_other_file_systems_are_local(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "mountinfo"
    file.write_text(mountinfo(tmp_path, kind))
    assert network_file_system(tmp_path, file) is None


def test_what_is_not_known_is_local(tmp_path: Path) -> None:
    file = tmp_path / "mountinfo"
    assert network_file_system(tmp_path, file) is None, "no such file, as on macOS"
    file.write_text("\n36\n36 35\n")
    assert network_file_system(tmp_path, file) is None
    assert network_file_system(tmp_path / "missing", file) is None
    refuse_network(tmp_path / "ledger.db")


def test_a_ledger_on_a_network_file_system_is_neither_made_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, new = tmp_path / "used.db", tmp_path / "new.db"
    open_ledger(used).close()
    mount(monkeypatch, tmp_path, "nfs4")
    for path in (used, new):
        with pytest.raises(LedgerOnNetwork, match=r"\(nfs4\).*It was not opened.*PostgreSQL"):
            open_ledger(path)
        with pytest.raises(LedgerOnNetwork):
            peek(path, lambda db, _: all_audiences(db))
    assert not new.exists()
    open_ledger(new, is_durable=False).close()  # of the demo, which one process uses


def test_a_link_to_a_local_disk_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(monkeypatch, tmp_path, "nfs4")
    with pytest.raises(LedgerOnNetwork):
        refuse_network(tmp_path / "ledgers" / ".." / "ledger.db")
    (tmp_path / "ledgers").symlink_to("/proc")  # another file system
    refuse_network(tmp_path / "ledgers" / "ledger.db")
