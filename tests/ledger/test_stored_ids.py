"""Sets of identifiers on disk are compared as sets in memory are."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_console.ledger.scratch_file import ScratchFile, ScratchFull
from amp_console.ledger.stored_ids import StoredIds, set_differences
from tests.examples import examples

IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@examples(100)
@given(first=st.lists(st.lists(IDS)), second=st.sets(IDS), shared=st.sets(IDS))
def test_it_finds_what_is_in_one_of_two_sets(
    first: list[list[str]], second: set[str], shared: set[str]
) -> None:
    with closing(StoredIds()) as firsts, closing(StoredIds()) as seconds:
        for ids in (*first, shared):
            firsts.add(ids)
        seconds.add(second)
        seconds.add(shared - second)
        found = [*set_differences(firsts, seconds)]
        whole, other = set[str]().union(*first, shared), second | shared
        assert {id_ for part in found for id_ in part.only_first} == whole - other
        assert sorted(id_ for part in found for id_ in part.only_second) == sorted(other - whole)
        assert sum(part.first_size for part in found) == firsts.count_distinct() == len(whole)


def test_a_folder_that_can_keep_no_temporary_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(ScratchFull, match=r"missing: No such file or directory\. Nothing was"):
        ScratchFile()
