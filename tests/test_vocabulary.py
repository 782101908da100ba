"""Names and phrases that the project has given up stay out of code, tests, documents and screens.

Each of them was a private metaphor or a turn that no native writer uses; CONTRIBUTING says which
terms to use instead.
"""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import amp_console

PROJECT = Path(amp_console.__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("amp_console", "tests", "screenshots")
    for path in (PROJECT / folder).rglob("*")
    if path.suffix in {".py", ".tcss"} and path != Path(__file__)
)
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"]

NAMES = re.compile(
    r"\b(SpeakingApp|LikedApp|Happening|happenings|Premises|premises|Opening|Look|errands|Errands"
    r"|lasting_driver|keys_trial|told_to_end|Place|look|look_again|why_not|run_picture|Picture"
    r"|audience_wish|wish|Wish|desk|Desk|Slots|GaveUp|Means|means|Workplace|workplace|Common"
    r"|lane|Lane|Hunt|hunt|culprits|Tries|Patience|OutOfPatience|Gathered|fold"
    r"|fold_part|Feed|Taken|door|Door|carried|Knew|knew|Occasion|occasion|cast_of|stagehand"
    r"|Stagehand|street|Street|Curtain|curtain|theatre|Theatre|House|house|Held|Office|office"
    r"|furnish|each|of|part|tell)\b"
)
PHRASES = re.compile(
    r"\b(whoever|whom|nobody|everybody|somebody|can be had|can't be had|goes on|stands|but for"
    r"|wants to be|of it|by our books|put right|putting right|taken out)\b",
    re.IGNORECASE,
)


def names(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NAME and NAMES.fullmatch(token.string):
                yield f"{path.relative_to(PROJECT)}:{token.start[0]}: {token.string}"


def phrases(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for found in PHRASES.findall(line):
            yield f"{path.relative_to(PROJECT)}:{number}: {found}"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.suffix == ".py"], ids=str)
def test_no_name_is_a_retired_one(path: Path) -> None:
    assert [*names(path)] == []


@pytest.mark.parametrize("path", [*SOURCES, *DOCUMENTS], ids=str)
def test_no_sentence_uses_a_retired_phrase(path: Path) -> None:
    assert [*phrases(path)] == []
