"""The operator's preferences: the section [console] of the settings.

Nothing in it is an error: invalid values are reported and ignored.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from amp_console.connections.saved_views import SavedView, parsed_views, written
from amp_console.connections.settings_errors import SettingsError
from amp_console.connections.settings_file import SettingsFile, parsed

SECTION = "console"
KNOWN = ("theme", "ascii", "notify", "keys", "views", "view")
_MAX_LENGTH = 60  # characters of a value in a report


class Preferences(NamedTuple):
    """The content of the section.

    With `notify`, alerts also appear as desktop notifications (OSC 9). `keys` maps the id of a
    binding to its keys; the console checks that bindings and themes exist. `views` are saved by
    name, and `view` is the one in use ("": none). `problems` are sentences on what was ignored, and
    why.
    """

    theme: str | None = None
    ascii_only: bool = False
    notify: bool = False
    keys: Mapping[str, tuple[str, ...]] = {}
    views: Mapping[str, SavedView] = {}
    view: str = ""
    problems: tuple[str, ...] = ()


def read_preferences(file: Path) -> Preferences:
    """Return the preferences. Raises nothing: errors are in `problems`."""
    try:
        section = parsed(SettingsFile(file).read()).get(SECTION, {})
    except SettingsError as error:
        return Preferences(problems=(str(error),))
    except ValueError as error:
        return Preferences(problems=(f"The settings of the console can't be read: {error}.",))
    if not isinstance(section, dict):
        return Preferences(problems=(_ignored("", section, "a section, [console]"),))
    return _understood(section)


def keep_theme(file: Path, theme: str, *, read_only: bool = False) -> None:
    """Save the theme in the settings, and leave everything else unchanged.

    Raises SettingsError: the file can't be read, edited or written; it is as it was.
    """
    from amp_console.connections.rewrite import put

    settings = SettingsFile(file, read_only=read_only)
    with settings.locked():
        text = settings.read()
        try:
            settings.write(put(text, SECTION, "theme", theme))
        except ValueError as error:
            raise SettingsError(
                f"The theme can't be saved in the settings {file}: {error}. Nothing was changed. "
                f"Add it yourself, under [{SECTION}]: theme = {json.dumps(theme)}"
            ) from error


def keep_views(
    file: Path,
    change: Callable[[dict[str, SavedView]], dict[str, SavedView]],
    view: str,
    *,
    read_only: bool = False,
) -> None:
    """Change the views in the settings, and keep the name of the one in use ("": none).

    `change` gets the views that the file holds by now. Everything else stays as it is. Raises
    SettingsError: the file can't be read, edited or written; it is as it was.
    """
    from amp_console.connections.rewrite import put

    settings = SettingsFile(file, read_only=read_only)
    with settings.locked():
        text = settings.read()
        try:
            section = parsed(text).get(SECTION, {})
            known, _ = parsed_views(section.get("views", {}))
            views = {name: written(item) for name, item in change(known).items()}
            settings.write(put(put(text, SECTION, "views", views), SECTION, "view", view))
        except (ValueError, AttributeError) as error:
            raise SettingsError(
                f"The views can't be kept in the settings {file}: {error}. Nothing was changed."
            ) from error


def _understood(section: dict[str, Any]) -> Preferences:
    problems = [
        f"The settings contain {SECTION}.{name[:_MAX_LENGTH]}, which is unknown and ignored. "
        f"Known settings: {', '.join(KNOWN[:-1])} and {KNOWN[-1]}."
        for name in section
        if name not in KNOWN
    ]
    theme, ascii_only = section.get("theme"), section.get("ascii", False)
    if theme is not None and not isinstance(theme, str):
        problems.append(_ignored("theme", theme, 'the name of a theme, such as "nord"'))
        theme = None
    if not isinstance(ascii_only, bool):
        problems.append(_ignored("ascii", ascii_only, "true or false"))
        ascii_only = False
    notify = section.get("notify", False)
    if not isinstance(notify, bool):
        problems.append(_ignored("notify", notify, "true or false"))
        notify = False
    view = section.get("view", "")
    if not isinstance(view, str):
        problems.append(_ignored("view", view, "the name of a view"))
        view = ""
    views, invalid = parsed_views(section.get("views", {}))
    keys = _keys(section.get("keys", {}), problems)
    problems += invalid
    if view and view not in views:
        problems.append(
            f"The settings contain no view “{view[:_MAX_LENGTH]}”; all audiences are shown."
        )
        view = ""
    return Preferences(theme, ascii_only, notify, keys, views, view, tuple(problems))


def _keys(value: object, problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the keys of each binding, and report which entries are wrong."""
    if not isinstance(value, dict):
        problems.append(_ignored("keys", value, f"a section, [{SECTION}.keys]"))
        return {}
    found = {}
    for name, given in _flat(value):
        keys = _listed(given)
        if keys:
            found[name] = keys
        else:
            problems.append(
                _ignored(f"keys.{name}", given, 'a key, such as "r", or a list of keys')
            )
    return found


def _flat(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, object]]:
    """Without quotes, the dot of an id makes TOML nest tables."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _listed(given: object) -> tuple[str, ...]:
    """Return the keys of "r", "r,f5" or ["r", "f5"]; none where that is no key."""
    if isinstance(given, str):
        given = given.split(",") if given.strip(" ,") else [given]  # a comma is a key, too
    if not isinstance(given, list) or not all(isinstance(key, str) for key in given):
        return ()
    keys = tuple(key if key == " " else key.strip() for key in given)
    return keys if all(keys) else ()


def _ignored(name: str, value: object, wanted: str) -> str:
    shown = str(value) if isinstance(value, int | float) else repr(value)
    where = f"{SECTION}.{name}" if name else SECTION
    return (
        f"The settings contain {where[:_MAX_LENGTH]} = {shown[:_MAX_LENGTH]}, which is ignored. "
        f"It must be {wanted}."
    )
