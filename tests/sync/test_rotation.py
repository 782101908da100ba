"""Which files beside a log are its earlier parts, and their order."""

import os
from pathlib import Path

import pytest

from amp_console.sync.sources.rotation import rotations_of


@pytest.mark.parametrize(
    ("log", "rotated", "others"),
    [
        ("app.log", ["app.log.10.gz", "app.log.2.gz", "app.log.1"], ["app2.log", "app.log.lock"]),
        ("app.log", ["app.log-20261101.gz", "app.log-20261101-1", "app.log-20261102"], ["app"]),
        ("app.log", ["app-2026-11-01.log.gz", "app-2026-11-02.log"], ["application-1.log"]),
        ("app.log", ["app.log.1730419200", "app.log.1730505600"], [".app.log.swp"]),
        ("events", ["events.2026-11-01T10:00:00Z", "events.2026-11-01T11:00:00Z"], ["events-new"]),
        ("app.log", ["app.log.3.zst", "app.log.old", "app.log.1"], ["app.log.old.txt"]),
        ("app.log", ["app.log.gz"], ["other.log.1"]),
    ],
)
def test_rotated_logs_are_known_by_name_and_ordered_oldest_first(
    tmp_path: Path, log: str, rotated: list[str], others: list[str]
) -> None:
    for second, name in enumerate([*rotated, *others, log]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (second, second))
    assert [path.name for path in rotations_of(tmp_path / log)] == rotated
