"""Which kind of source an address means: its URL scheme decides how it is read and followed.

An address without one of these schemes is a path. A new kind of source is one more row here.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from amp_console.engage import ReadOptions, UnreadableSource, open_file, read_stream
from amp_console.sync.ingest.batch_reader import BatchReader, SourceSet
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.bucket.address import SERVICES, BucketAddress
from amp_console.sync.sources.protocols import EventStream
from amp_console.sync.sources.streams import PathStream, PipeStream, grouped
from amp_console.sync.sources.watcher import PathWatcher, readable

ALIASES = {"-": "stdin:"}


class Scheme(NamedTuple):
    """How a kind of source is opened; the functions get addresses without the scheme.

    A source that `is_alone` can't be followed together with other addresses. One that `is_polled`
    is asked for news at an interval (seconds; None: its usual one). `open_set` opens addresses that
    may mean many sources.
    """

    open_reader: Callable[[str, ReadOptions], BatchReader]
    open_stream: Callable[[Sequence[str], StreamIngestor, float | None], EventStream]
    is_alone: bool = False
    is_polled: bool = False
    open_set: Callable[[str, ReadOptions], SourceSet] | None = None


def open_reader(address: str, options: ReadOptions) -> BatchReader:
    """Open a source that ends. Raises `UnreadableSource`."""
    scheme, rest = _split(address, ALIASES)
    return SCHEMES[scheme].open_reader(rest, options)


def open_source(address: str, options: ReadOptions) -> BatchReader | SourceSet:
    """Open what an import reads at an address: one source or many. Raises `UnreadableSource`."""
    scheme, rest = _split(address, ALIASES)
    open_set = SCHEMES[scheme].open_set
    return open_set(rest, options) if open_set else SCHEMES[scheme].open_reader(rest, options)


def open_stream(
    addresses: Sequence[str],
    ingestor: StreamIngestor,
    aliases: Mapping[str, str] = ALIASES,
    every: float | None = None,
) -> EventStream:
    """Open sources that are followed, as one stream. Raises `UnreadableSource`.

    Sources that are polled are polled `every` this many seconds.
    """
    by_scheme: dict[str, list[str]] = {}
    for address in addresses:
        scheme, rest = _split(address, aliases)
        by_scheme.setdefault(scheme, []).append(rest)
        if len(addresses) > 1 and SCHEMES[scheme].is_alone:
            raise UnreadableSource(
                f"Standard input ({address}) can't be combined with other paths."
            )
    streams = [
        SCHEMES[scheme].open_stream(rest, ingestor, every) for scheme, rest in by_scheme.items()
    ]
    return grouped(streams)


def absent_path(address: str) -> Path | None:
    """Return the path of an address if nothing exists there yet; otherwise None.

    Raises `UnreadableSource` if it could not be followed.
    """
    scheme, rest = _split(address, {})
    if scheme not in {"", "file"}:
        return None
    path = readable([_path_of(rest) if scheme else rest])[0]
    return None if path.exists() else path


def is_polled(address: str) -> bool:
    """Whether a source is polled at an interval when it is followed."""
    return SCHEMES[_split(address, ALIASES)[0]].is_polled


def _split(address: str, aliases: Mapping[str, str]) -> tuple[str, str]:
    """Return the scheme and what follows it; a path has the scheme "" and stays as it is."""
    scheme, colon, rest = aliases.get(address, address).partition(":")
    return (scheme, rest) if colon and scheme in SCHEMES else ("", address)


def _path_of(rest: str) -> str:
    """The path of a `file:` URL, on this machine."""
    path = unquote(rest.removeprefix("//"))
    is_drive = os.name == "nt" and path.startswith("/")
    return str(Path(path.removeprefix("/") if is_drive else path))


def _follow_paths(paths: Sequence[str], ingestor: StreamIngestor, _: float | None) -> EventStream:
    return PathStream(PathWatcher(ingestor, readable(paths)))


def _read_object(address: str, options: ReadOptions) -> BatchReader:
    from amp_console.sync.sources.bucket.object_set import open_object  # noqa: PLC0415  # optional

    return open_object(BucketAddress.parse(address), options)


def _read_bucket(address: str, options: ReadOptions) -> SourceSet:
    from amp_console.sync.sources.bucket.object_set import ObjectSet  # noqa: PLC0415  # optional

    return ObjectSet(BucketAddress.parse(address), options)


def _follow_buckets(
    addresses: Sequence[str], ingestor: StreamIngestor, every: float | None
) -> EventStream:
    from amp_console.sync.sources.bucket.stream import (  # noqa: PLC0415  # optional
        PollOptions,
        open_buckets,
    )

    options = PollOptions() if every is None else PollOptions(interval=every)
    return open_buckets([BucketAddress.parse(address) for address in addresses], ingestor, options)


def _bucket(scheme: str) -> Scheme:
    return Scheme(
        lambda rest, options: _read_object(f"{scheme}:{rest}", options),
        lambda rest, ingestor, every: _follow_buckets(
            [f"{scheme}:{item}" for item in rest], ingestor, every
        ),
        is_polled=True,
        open_set=lambda rest, options: _read_bucket(f"{scheme}:{rest}", options),
    )


SCHEMES = {
    "": Scheme(open_file, _follow_paths),
    "file": Scheme(
        lambda rest, options: open_file(_path_of(rest), options),
        lambda rest, ingestor, every: _follow_paths(list(map(_path_of, rest)), ingestor, every),
    ),
    "stdin": Scheme(
        lambda _, options: read_stream(sys.stdin.buffer, "stdin", options),
        lambda _, ingestor, __: PipeStream(ingestor, sys.stdin.buffer, "stdin"),
        is_alone=True,
    ),
    **{scheme: _bucket(scheme) for scheme in SERVICES},
}
