"""Keys from the settings: which of them work, and which keys each screen then has.

Textual applies a keymap to its bindings unchecked: an unknown id has no effect, and if two actions
have the same key, only one gets it. So a keymap is checked against every screen first. Textual's
`App.handle_bindings_clash` does not replace this. It sees the bindings of one node at a time, so
never a screen's key that hides one of its list or of the application. It is called when the
bindings are applied, after the settings were accepted. And by then, the moved key has won.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from textual.binding import Binding, BindingsMap
from textual.keys import Keys, _normalize_key_list, key_to_character

from amp_console.text import clean

_STAYS = "Its own key stays."
MODIFIERS = {"ctrl", "alt", "shift", "super", "hyper", "meta"}
NAMED = {key.value for key in Keys}
Layer = dict[str, list[Binding]]
"""The bindings of one widget, screen or application, by id, or by action if there is no id."""


class Scope(NamedTuple):
    """A screen's name, with the bindings that work on it: of its lists, its own, the app's."""

    name: str
    maps: tuple[BindingsMap, ...]


class CheckedKeymap(NamedTuple):
    """The valid keys by id, and a sentence on each invalid one."""

    keymap: dict[str, str]
    problems: tuple[str, ...]


def check(wanted: Mapping[str, tuple[str, ...]], scopes: Iterable[Scope]) -> CheckedKeymap:
    """Return the keymap for the requested keys, by the id of an action."""
    stacks = [(scope.name, _layers(*scope.maps)) for scope in scopes]
    ids = {
        id_
        for _, layers in stacks
        for layer in layers
        for id_, found in layer.items()
        if found[0].id
    }
    keymap: dict[str, str] = {}
    problems = []
    for id_, keys in wanted.items():
        wrong = [key for key in keys if not _is_key(key)]
        if id_ not in ids:
            problems.append(_unknown(id_, ids))
        elif wrong:
            problems.append(f"{_name(id_)}: “{clean(wrong[0], 20)}” is not a key. {_STAYS}")
        else:
            keymap[id_] = ",".join(_normal(key) for key in keys)
    while clash := _clash(keymap, stacks):
        loser, words = clash
        del keymap[loser]
        problems.append(words)
    return CheckedKeymap(keymap | _pinned(keymap, stacks), tuple(problems))


def bindings(plain: BindingsMap, keymap: Mapping[str, str]) -> BindingsMap:
    """Return the bindings with the keymap applied."""
    if not keymap:
        return plain
    copy = plain.copy()
    copy.apply_keymap(dict(keymap))
    return copy


def action_name(action: str) -> str:
    """The name of an action without its parameters."""
    return action.partition("(")[0]


def by_action(found: Iterable[Binding]) -> dict[str, list[Binding]]:
    """The bindings of each action, in their order."""
    actions: dict[str, list[Binding]] = {}
    for binding in found:
        actions.setdefault(binding.action, []).append(binding)
    return actions


def _layers(*maps: BindingsMap) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for bindings_map in maps:
        layer: Layer = {}
        for _, binding in bindings_map:
            layer.setdefault(binding.id or binding.action, []).append(binding)
        layers.append(layer)
    return tuple(layers)


def _keys_of(id_: str, layer: Layer, keymap: Mapping[str, str]) -> list[str]:
    return keymap[id_].split(",") if id_ in keymap else [binding.key for binding in layer[id_]]


def _clash(
    keymap: Mapping[str, str], stacks: list[tuple[str, tuple[Layer, ...]]]
) -> tuple[str, str] | None:
    """Find a moved action whose key another action of the screen has; of two, the later one."""
    for screen, layers in stacks:
        for id_ in reversed([*keymap]):
            for key in _moved(id_, layers, keymap):
                other = _holder(key, id_, layers, keymap)
                if other is not None:
                    return id_, _taken(id_, key, other, screen)
    return None


def _moved(id_: str, layers: tuple[Layer, ...], keymap: Mapping[str, str]) -> list[str]:
    """The keys that an action has on a screen only because of the settings."""
    layer = next((candidate for candidate in layers if id_ in candidate), None)
    own = [binding.key for binding in layer[id_]] if layer is not None else keymap[id_].split(",")
    return [key for key in keymap[id_].split(",") if key not in own]


def _holder(
    key: str, except_id: str, layers: tuple[Layer, ...], keymap: Mapping[str, str]
) -> Binding | None:
    """The binding of another action that has this key."""
    for layer in layers:
        for id_, found in layer.items():
            if id_ != except_id and key in _keys_of(id_, layer, keymap):
                return found[0]
    return None


def _pinned(
    keymap: Mapping[str, str], stacks: list[tuple[str, tuple[Layer, ...]]]
) -> dict[str, str]:
    """The keys of actions that shared one with a moved action: Textual would remove them, too."""
    pinned = {}
    for _, layers in stacks:
        for layer in layers:
            gone = {binding.key for id_ in keymap if id_ in layer for binding in layer[id_]}
            for id_, found in layer.items():
                keys = [binding.key for binding in found]
                if found[0].id and id_ not in keymap and gone & set(keys):
                    pinned[id_] = ",".join(keys)
    return pinned


def _is_key(key: str) -> bool:
    if len(key) == 1:
        return key.isprintable()
    *modifiers, base = key.split("+")
    is_there = base in NAMED or key_to_character(base) is not None
    return is_there and MODIFIERS.issuperset(modifiers)


def _normal(key: str) -> str:
    """Textual's name of a key; Textual itself would split at a comma."""
    return "comma" if key == "," else _normalize_key_list(key) if key.strip() else "space"


def _name(id_: str) -> str:
    return f"console.keys.{clean(id_, 40)}"


def _unknown(id_: str, known: set[str]) -> str:
    near = get_close_matches(id_[:60], known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{_name(id_)}: there is no action with this ID.{hint}"


def _taken(id_: str, key: str, other: Binding, screen: str) -> str:
    what = f"“{other.description}”" if other.description else other.action
    if other.id:
        what += f" ({other.id})"
    return f"{_name(id_)}: in “{screen}”, {key} is the key of {what}. {_STAYS}"
