"""Which file systems a ledger's file can be on: local ones, not network ones.

The processes that use a file in WAL mode share memory, so all of them must be on one machine, and
locks of network file systems may be missing or stale: https://sqlite.org/wal.html (Overview) and
https://sqlite.org/useovernet.html. Nothing fails there at first, but sooner or later the file is
damaged.
"""

import os
import re
from pathlib import Path

from amp_console.ledger.errors import LedgerOnNetwork

MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = re.compile(
    r"(fuse\.)?(nfs4?|cifs|smb3|smbfs|smbnetfs|ncpfs|afs|coda|9p|ceph|ceph-fuse|glusterfs|lustre|gpfs"
    r"|beegfs|orangefs|pvfs2|mfs|seaweedfs|juicefs|sshfs|davfs|curlftpfs|gvfsd-fuse|rclone|s3fs"
    r"|mount-s3|goofys|gcsfuse|blobfuse2?)"
)


def refuse_network(ledger: Path) -> None:
    """Raise `LedgerOnNetwork` for a file on a network file system, whether it exists or not."""
    kind = network_file_system(ledger.resolve().parent)
    if kind is not None:
        raise LedgerOnNetwork(ledger, kind)


def network_file_system(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The type of a folder's file system, such as `nfs4`, if it is a network file system.

    Linux lists them in proc(5)'s mountinfo, by their device. Also None if the type is not known.
    """
    try:
        device = folder.stat().st_dev
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        # ID, parent's ID, device, root, mount point, options, tags … - type, source, options
        mount, _, file_system = line.partition(" - ")
        if mount.split()[2:3] == [number]:
            kind = file_system.split()[0]
            return kind if _NETWORK.fullmatch(kind) else None
    return None
