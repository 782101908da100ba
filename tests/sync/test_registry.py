"""The scheme of an address determines how a source is read and followed."""

import io
import sys
from pathlib import Path

import pytest

from amp_console.engage import EventBatch, UnreadableSource
from amp_console.sync.ingest.stream import StreamIngestor
from amp_console.sync.sources.registry import open_reader, open_stream
from amp_console.sync.sources.streams import PathStream, PipeStream, StreamGroup
from tests.sync.workspace import Workspace, lines


@pytest.mark.parametrize("address", ["{path}", "file:{path}", "file://{path}"])
def test_a_path_and_a_file_url_mean_the_same_file(
    workspace: Workspace, tmp_path: Path, address: str
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(lines("u1"))
    with open_reader(address.format(path=path), workspace.read_options()) as reader:
        assert (reader.name, reader.key, reader.size) == (str(path), str(path), len(lines("u1")))
        assert _users(list(reader)) == ["u1"]


def test_a_dash_is_the_standard_input_which_cannot_be_read_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ("-", "stdin:"):
        text = io.TextIOWrapper(io.BytesIO(lines("u1").encode()))
        monkeypatch.setattr(sys, "stdin", text)
        with open_reader(address, workspace.read_options()) as reader:
            assert (reader.name, reader.key) == ("stdin", None)
            assert _users(list(reader)) == ["u1"]
        assert not text.buffer.closed


def test_what_has_no_known_scheme_is_a_path(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "s4:a.ndjson"
    path.write_text(lines("u1"))
    with open_reader(str(path), workspace.read_options()) as reader:
        assert reader.key == str(path)
    with pytest.raises(UnreadableSource, match="s5:nothing does not exist"):
        open_reader("s5:nothing", workspace.read_options())


def test_sources_of_several_schemes_are_followed_as_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    ingestor = StreamIngestor(workspace.ledger, workspace.read_options())
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert isinstance(open_stream([a, b], ingestor), PathStream)
    assert isinstance(open_stream([a, f"file:{b}"], ingestor), StreamGroup)
    assert isinstance(open_stream(["-"], ingestor), PipeStream)
    with pytest.raises(UnreadableSource, match=r"Standard input \(-\) can't be combined"):
        open_stream([a, "-"], ingestor)


def _users(batches: list[EventBatch]) -> list[str | None]:
    return [change.user_id for batch in batches for change in batch.changes]
