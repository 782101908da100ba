"""Views of the list of audiences that operators save under a name in the settings."""

from typing import Any, NamedTuple

MAX_VIEWS = 50
MAX_NAME, MAX_FILTER, MAX_COLUMNS = 60, 200, 30  # characters, characters, columns
RENAMED = {"Last sent": "Last sync"}
"""Labels of columns that views saved by earlier versions may contain, with those of today."""


class SavedView(NamedTuple):
    """Filter, order and columns of a list; the defaults are those of an unchanged list.

    `sort` and `columns` are labels of columns; no columns means the default ones.
    """

    filter: str = ""
    sort: str = ""
    descending: bool = False
    columns: tuple[str, ...] = ()


def name_problem(name: str) -> str | None:
    """Why a view can't have this name; None if it can."""
    if not name.strip():
        return "A view needs a name."
    if len(name) > MAX_NAME:
        return f"A name can have at most {MAX_NAME} characters."
    if not name.isprintable():
        return "A name can't contain control characters."
    return None


def parsed_views(section: object) -> tuple[dict[str, SavedView], list[str]]:
    """Return the views of a settings section, and a sentence on each that is invalid."""
    if not isinstance(section, dict):
        return {}, ["The settings' console.views is not a section; no view was read."]
    views: dict[str, SavedView] = {}
    problems = []
    for name, entry in section.items():
        view = None if name_problem(name) else _parsed(entry)
        if view is None:
            problems.append(
                f"The view “{name[:MAX_NAME]}” in the settings is invalid; it is ignored."
            )
        elif len(views) == MAX_VIEWS:
            problems.append(
                f"The settings contain more than {MAX_VIEWS} views; the others are ignored."
            )
            break
        else:
            views[name] = view
    return views, problems


def written(view: SavedView) -> dict[str, Any]:
    """Return a view for the settings, without default values."""
    entry: dict[str, Any] = {}
    if view.filter:
        entry["filter"] = view.filter
    if view.sort:
        entry["sort"] = view.sort
    if view.descending:
        entry["descending"] = True
    if view.columns:
        entry["columns"] = list(view.columns)
    return entry


def _parsed(entry: object) -> SavedView | None:
    if not isinstance(entry, dict) or set(entry) - set(SavedView._fields):
        return None
    text, sort = entry.get("filter", ""), entry.get("sort", "")
    descending, columns = entry.get("descending", False), entry.get("columns", [])
    is_valid = (
        isinstance(text, str)
        and len(text) <= MAX_FILTER
        and isinstance(sort, str)
        and isinstance(descending, bool)
        and isinstance(columns, list)
        and len(columns) <= MAX_COLUMNS
        and all(isinstance(column, str) for column in columns)
    )
    if not is_valid:
        return None
    return SavedView(text, _of_today(sort), descending, tuple(map(_of_today, columns)))


def _of_today(label: str) -> str:
    """The label that a column has today."""
    return RENAMED.get(label, label)
