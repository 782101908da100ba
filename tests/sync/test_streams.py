"""Several sources in one live session."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.live.session import LiveSession
from amp_console.sync.sources.protocols import CannotBind
from amp_console.sync.sources.streams import PathStream, StreamGroup
from amp_console.sync.sources.watcher import PathWatcher
from tests.ports import free_port
from tests.sync.test_live import is_in, until
from tests.sync.webhook_sender import LIVE_OPTIONS, receiver
from tests.sync.workspace import Workspace, lines

pytestmark = pytest.mark.anyio


def source_of(workspace: Workspace, file: Path) -> PathStream:
    return PathStream(
        PathWatcher(StreamIngestor(workspace.ledger, workspace.read_options()), [file])
    )


async def test_a_source_added_later_is_followed_too(workspace: Workspace, tmp_path: Path) -> None:
    first, second = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    first.write_text(lines("u1"))
    second.write_text(lines("u2"))
    async with workspace.client() as client:
        group = StreamGroup(source_of(workspace, first))
        live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(group))
        await until(is_in(workspace, "u1"))
        group.add(source_of(workspace, second))
        await until(is_in(workspace, "u1", "u2"))
        assert [Path(source.name).name for source in group.status()] == ["a.ndjson", "b.ndjson"]
        live.end()
        assert (await task).last.tally.read == 2


class SilentWatcher(PathWatcher):
    """A watcher of files on a file system that does not answer."""

    is_waiting = False
    may_answer = threading.Event()

    def has_news(self) -> bool:
        self.is_waiting = True
        self.may_answer.wait(20)
        self.is_waiting = False
        return super().has_news()


async def test_a_file_system_that_does_not_answer_holds_up_no_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    watcher = SilentWatcher(
        StreamIngestor(workspace.ledger, workspace.read_options()), [tmp_path / "a.ndjson"]
    )
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(PathStream(watcher)))
        await until(lambda: watcher.is_waiting)
        assert live.snapshot().sources[0].is_awaited
        watcher.may_answer.set()
        live.end()
        await task


async def test_two_sources_that_meet_an_audience_at_once_share_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    files = [tmp_path / f"{n}.ndjson" for n in range(6)]
    for n, file in enumerate(files):
        file.write_text(lines(f"u{n}"))
    async with workspace.client() as client:
        group = StreamGroup(*(source_of(workspace, file) for file in files))
        live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        task = asyncio.create_task(live.run(group))
        await until(is_in(workspace, *(f"u{n}" for n in range(6))))
        assert len(live.snapshot().audiences) == len(live._tasks) == 1
        live.end()
        await task


async def test_a_source_that_fails_ends_the_others(workspace: Workspace, tmp_path: Path) -> None:
    port = free_port()
    first, second = receiver(workspace, port), receiver(workspace, port)
    first.open()
    async with workspace.client() as client:
        live = LiveSession(workspace.context(client), LIVE_OPTIONS)
        with pytest.raises(CannotBind):
            await live.run(StreamGroup(first, second, source_of(workspace, tmp_path / "a.ndjson")))
    with socket.create_server(("127.0.0.1", port)):
        pass  # the address is free again
