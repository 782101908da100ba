"""Retired names and phrases stay out of code, tests and documents.

Each was a private metaphor, or a turn of phrase that no native writer uses.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import amp_console

PROJECT = Path(amp_console.__file__).parent.parent
CODE = [
    path
    for folder in ("amp_console", "tests", "screenshots")
    for path in sorted((PROJECT / folder).rglob("*.py"))
    if path != Path(__file__)
]
STYLES = sorted((PROJECT / "amp_console").rglob("*.tcss"))
DOCUMENTS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]
MIGRATIONS = PROJECT / "amp_console" / "ledger" / "schema.py"  # past migration steps never change

NAMES = re.compile(
    "SpeakingApp|LikedApp|Happening|happenings|Premises|premises|Opening|Look|look|look_again"
    "|Errands|errands|lasting_driver|keys_trial|told_to_end|Place|why_not|run_picture|Picture"
    "|audience_wish|wish|Wish|desk|Desk|Slots|GaveUp|Means|means|Workplace|workplace|Common"
    "|lane|Lane|Hunt|hunt|culprits|Tries|Patience|OutOfPatience|Gathered|fold|fold_part|Feed"
    "|Taken|door|Door|carried|Knew|knew|Occasion|occasion|stagehand|Stagehand|street|Street"
    "|Curtain|curtain|theatre|Theatre|House|house|Office|office|furnish|each|of|tell"
    r"|_?(MOST|LONGEST)(_[A-Z_]+)?"
)
TEXTS = r'"{3}(?:[^\\]|\\.)*?"{3}|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|#[^\n]*'
TOKENS = re.compile(rf"{TEXTS}|(?P<name>\w+)", re.DOTALL)
"""Texts, comments and names of a module; Python's own tokenizer takes five times as long."""
PHRASES = re.compile(
    r"\b(whoever|whom|nobody|everybody|somebody|can be had|can't be had|goes on|stands|but for"
    r"|wants to be|of it|by our books|put right|putting right|taken out)\b",
    re.IGNORECASE,
)


def retired_names(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for token in TOKENS.finditer(text):
        if token["name"] and NAMES.fullmatch(token["name"]):
            line = text.count("\n", 0, token.start()) + 1
            yield f"{path.relative_to(PROJECT)}:{line}: {token['name']}"


def retired_phrases(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        for phrase in PHRASES.findall(line):
            yield f"{path.relative_to(PROJECT)}:{number}: {phrase}"


def test_no_retired_name_is_used() -> None:
    assert [name for path in CODE for name in retired_names(path)] == []


def test_no_retired_phrase_is_used() -> None:
    paths = [path for path in (*CODE, *STYLES, *DOCUMENTS) if path != MIGRATIONS]
    assert [phrase for path in paths for phrase in retired_phrases(path)] == []
