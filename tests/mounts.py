"""Linux's list of file systems, with folders on a network file system for tests."""

import os
from pathlib import Path

import pytest


def mountinfo(folder: Path, kind: str) -> str:
    """A /proc/self/mountinfo in which this folder is on a file system of that type."""
    device = folder.stat().st_dev
    return (
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / /mnt/the\\040share rw shared:7 master:1 - "
        f"{kind} server:/export/home rw,vers=4.2\n"
    )


def mount(monkeypatch: pytest.MonkeyPatch, folder: Path, kind: str) -> None:
    """Make Linux report that a folder is on a file system of that type."""
    says = mountinfo(folder, kind)
    read_text = Path.read_text

    def read(path: Path, encoding: str | None = None, errors: str | None = None) -> str:
        is_asked = path == Path("/proc/self/mountinfo")
        return says if is_asked else read_text(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", read)
