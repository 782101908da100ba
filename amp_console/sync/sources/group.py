"""Several sources in one live session: files are followed and webhooks received at once."""

import asyncio

from amp_console.sync.sources.protocols import EventStream, Sink, SourceStatus


class SourceGroup:
    """Sources that share a session; more can be added while it lasts."""

    def __init__(self, *sources: EventStream) -> None:
        self._sources = list(sources)
        self._tasks: set[asyncio.Task[None]] = set()
        self._added = asyncio.Event()
        self._sink: Sink | None = None

    def status(self) -> tuple[SourceStatus, ...]:
        """Where events come from, in the order the sources were added."""
        return tuple(found for source in self._sources for found in source.status())

    def add(self, source: EventStream) -> None:
        """Take in what this source brings, too; it begins at once in a session under way."""
        self._sources.append(source)
        if self._sink is not None:
            self._tasks.add(asyncio.create_task(source.follow(self._sink)))
            self._added.set()

    async def follow(self, sink: Sink) -> None:
        """Follow until every source has ended; one that fails ends the others, and is raised."""
        self._sink = sink
        self._tasks = {asyncio.create_task(source.follow(sink)) for source in self._sources}
        try:
            while self._tasks:
                await self._until_one_ends()
        finally:
            self._sink = None
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _until_one_ends(self) -> None:
        """Wait until a source has ended, or another one was added; raises what ended it."""
        self._added.clear()
        added = asyncio.create_task(self._added.wait())
        try:
            await asyncio.wait({*self._tasks, added}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            added.cancel()
        ended = {task for task in self._tasks if task.done()}
        self._tasks -= ended
        for task in ended:
            task.result()
