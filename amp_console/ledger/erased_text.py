"""Erasing identifiers from the ledger's texts: answers, notes, reasons, log entries."""

import json
import re
from collections.abc import Callable, Iterable, Sequence

from amp_console.ledger.db import Db
from amp_console.text import escaped

ERASED = "[erased]"
_CUT = 40  # characters of a longer identifier that are enough: texts show how it begins
_SHORTEST_REST = 4  # characters of an identifier at the end of a text that was cut off
_ANSWER_LENGTH = 2_000  # characters that are kept of an answer
TEXTS = (
    ("request", "answer"),
    ("rejection", "reason"),
    ("log_entry", "text"),
    ("run", "note"),
    ("run_audience", "note"),
    ("refused_requests", "words"),
    ("unread_source", "reason"),
    ("audience", "broken"),
    ("audience_query", "note"),
    ("segment_space", "trouble"),
    ("segment_audience", "definition"),
    ("invalid_event", "reason"),
)
"""Columns of words that may quote an identifier."""
_AROUND = r"\s\"“”‘’'\[\](){}<>,:;="
"""What may stand beside an identifier that is nothing but punctuation, for a regular expression."""
COUNTED = ("invalid_reason", "filtered")
"""Tables that count events of a source by a `reason` in words."""
NAMES = (
    ("source", "name", "the name of a source"),
    ("unread_source", "name", "the name of a source"),
    ("comparison", "against", "the name of a list"),
    ("audience", "name", "the name of an audience"),
    ("audience", "cohort_name", "the name of a cohort"),
    ("audience", "linked_name", "the name of a cohort"),
    ("audience_query", "sql", "the query of an audience"),
)
"""Columns that operators fill, and what to call them: they are not changed behind their backs."""


class Eraser:
    """Finds identifiers in a text, spelled as they are or as JSON and the log spell them."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._spellings = sorted({form for id_ in ids for form in _spellings(id_)}, reverse=True)
        # An alternative of nothing would be found everywhere, so without spellings nothing is.
        self._pattern = re.compile("|".join(map(_pattern, self._spellings)) or r"(?!)")

    def finds(self, text: str) -> bool:
        """Whether a text contains one of the identifiers, as a whole word."""
        return self._pattern.search(text) is not None

    def erased(self, text: str) -> str:
        """The text without the identifiers; one that was cut may end with the beginning of one."""
        is_cut = len(text) >= _ANSWER_LENGTH or text.endswith("…")
        text = self._pattern.sub(ERASED, text)
        if not is_cut:
            return text
        end = text.removesuffix("…")
        rest = max(
            (
                size
                for form in self._spellings
                for size in range(_SHORTEST_REST, len(form))
                if end.endswith(form[:size])
            ),
            default=0,
        )
        return f"{end[: len(end) - rest]}{ERASED}" if rest else text


def _spellings(id_: str) -> set[str]:
    """How answers, notes and the log spell an identifier; blank text names no one."""
    if not id_ or id_.isspace():
        return set()
    in_json = {json.dumps(id_, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False)}
    return {id_, escaped(id_), *in_json}


def _pattern(form: str) -> str:
    """Match a whole word: “ana” is not in “banana”."""
    if not re.search(r"\w", form):  # “.” ends every sentence
        return rf"(?<![^{_AROUND}]){re.escape(form)}(?![^{_AROUND}])"
    before = r"(?<!\w)" if re.match(r"\w", form) else ""
    if len(form) > _CUT:
        return before + re.escape(form[:_CUT]) + r"[^\s\"”]*"
    return before + re.escape(form) + (r"(?!\w)" if re.search(r"\w\Z", form) else "")


def erase_from_texts(db: Db, eraser: Eraser) -> int:
    """Erase identifiers from all texts of the ledger; return how many texts that changed.

    Invalid events that quote one lose their text and position; they are only counted.
    """
    changed = _erase_invalid_events(db, eraser)
    for table, column in TEXTS:
        changed += _rewrite(db, table, column, eraser.erased)
    for table in COUNTED:
        changed += _rewrite_counted(db, table, eraser)
    return changed


def _erase_invalid_events(db: Db, eraser: Eraser) -> int:
    rows = db.execute("SELECT DISTINCT reason FROM invalid_event").fetchall()
    found = [row for row in rows if eraser.erased(row[0]) != row[0]]
    if not found:
        return 0
    return db.executemany("DELETE FROM invalid_event WHERE reason = ?", found).rowcount


def _rewrite(db: Db, table: str, column: str, erased: Callable[[str], str]) -> int:
    rows: Sequence[tuple[str]] = db.execute(
        f"SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''"
    ).fetchall()
    found = [(new, text) for (text,) in rows if (new := erased(text)) != text]
    if not found:
        return 0
    query = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
    return db.executemany(query, found).rowcount


def _rewrite_counted(db: Db, table: str, eraser: Eraser) -> int:
    rows = db.execute(f"SELECT source_id, reason, count FROM {table}").fetchall()
    found = [(row, new) for row in rows if (new := eraser.erased(row[1])) != row[1]]
    for (source_id, reason, count), new in found:
        db.execute(f"DELETE FROM {table} WHERE source_id = ? AND reason = ?", (source_id, reason))
        db.execute(
            f"INSERT INTO {table} (source_id, reason, count) VALUES (?, ?, ?) "
            f"ON CONFLICT (source_id, reason) DO UPDATE SET count = {table}.count + excluded.count",
            (source_id, new, count),
        )
    return len(found)


def names_left(db: Db, eraser: Eraser) -> list[str]:
    """What contains an identifier and has to be changed by the operator: "the name of …"."""
    found = []
    for table, column, what in NAMES:
        rows = db.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''").fetchall()
        found += [what for (text,) in rows if eraser.finds(text)]
    return sorted(set(found))
