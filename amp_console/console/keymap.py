"""Keys that the settings give to actions: which of them can be had, and what each place has then.

Textual lays a keymap over its bindings without a question: an unknown id does nothing, and a key
that two want goes to one of them. So a keymap is checked against every place first.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from textual.binding import Binding, BindingsMap
from textual.keys import Keys, _normalize_key_list, key_to_character

from amp_console.text import clean

_STAYS = "Its own key stays."
MODIFIERS = {"ctrl", "alt", "shift", "super", "hyper", "meta"}
NAMED = {key.value for key in Keys}
Layer = dict[str, list[Binding]]
"""The bindings of one widget, screen or application by id; those without one by action."""


class Checked(NamedTuple):
    """What can be had of the keys that are wished for, and a sentence on each that can't."""

    keymap: dict[str, str]
    told: tuple[str, ...]


def check(wished: Mapping[str, tuple[str, ...]], app: BindingsMap) -> Checked:
    """Return the keymap for these wishes. It imports every screen: it belongs aside."""
    stacks = [(place, _layers(below, kind, app)) for place, below, kind in _places()]
    ids = {
        id_
        for _, layers in stacks
        for layer in layers
        for id_, found in layer.items()
        if found[0].id
    }
    keymap: dict[str, str] = {}
    told = []
    for id_, keys in wished.items():
        wrong = [key for key in keys if not _is_key(key)]
        if id_ not in ids:
            told.append(_unknown(id_, ids))
        elif wrong:
            told.append(f"{_name(id_)}: “{clean(wrong[0], 20)}” is no key. {_STAYS}")
        else:
            keymap[id_] = ",".join(_normal(key) for key in keys)
    while clash := _clash(keymap, stacks):
        loser, words = clash
        del keymap[loser]
        told.append(words)
    return Checked(keymap | _pinned(keymap, stacks), tuple(told))


def bindings(of: BindingsMap, keymap: Mapping[str, str]) -> BindingsMap:
    """Return the bindings as they are with the keymap laid over them."""
    if not keymap:
        return of
    copy = of.copy()
    copy.apply_keymap(dict(keymap))
    return copy


def _places() -> Iterator[tuple[str, BindingsMap, BindingsMap]]:
    """Every place there is, with the bindings of its lists and its own."""
    from amp_console.console import screens
    from amp_console.console.screens.base import BaseScreen
    from amp_console.console.widgets.grid import Grid

    for module in pkgutil.walk_packages(screens.__path__, f"{screens.__name__}."):
        found = vars(importlib.import_module(module.name))
        for kind in found.values():
            if isinstance(kind, type) and issubclass(kind, BaseScreen) and kind.NAME:
                assert Grid._merged_bindings is not None
                assert kind._merged_bindings is not None
                yield kind.NAME, Grid._merged_bindings, kind._merged_bindings


def _layers(*maps: BindingsMap) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for bindings_map in maps:
        layer: Layer = {}
        for _, binding in bindings_map:
            layer.setdefault(binding.id or binding.action, []).append(binding)
        layers.append(layer)
    return tuple(layers)


def _keys_of(id_: str, layer: Layer, keymap: Mapping[str, str]) -> list[str]:
    return keymap[id_].split(",") if id_ in keymap else [item.key for item in layer[id_]]


def _clash(
    keymap: Mapping[str, str], stacks: list[tuple[str, tuple[Layer, ...]]]
) -> tuple[str, str] | None:
    """Find a wish whose key another action of the same place has; of two wishes, the later one."""
    for place, layers in stacks:
        for id_ in reversed([*keymap]):
            for key in _moved(id_, layers, keymap):
                other = _holder(key, id_, layers, keymap)
                if other is not None:
                    return id_, _taken(id_, key, other, place)
    return None


def _moved(id_: str, layers: tuple[Layer, ...], keymap: Mapping[str, str]) -> list[str]:
    """The keys that an action has in a place only because they are wished for."""
    layer = next((item for item in layers if id_ in item), None)
    own = [item.key for item in layer[id_]] if layer is not None else keymap[id_].split(",")
    return [key for key in keymap[id_].split(",") if key not in own]


def _holder(
    key: str, but: str, layers: tuple[Layer, ...], keymap: Mapping[str, str]
) -> Binding | None:
    """The binding of another action that has this key."""
    for layer in layers:
        for id_, found in layer.items():
            if id_ != but and key in _keys_of(id_, layer, keymap):
                return found[0]
    return None


def _pinned(
    keymap: Mapping[str, str], stacks: list[tuple[str, tuple[Layer, ...]]]
) -> dict[str, str]:
    """The keys of actions that shared theirs with a moved one: Textual would take those, too."""
    pinned = {}
    for _, layers in stacks:
        for layer in layers:
            gone = {item.key for id_ in keymap if id_ in layer for item in layer[id_]}
            for id_, found in layer.items():
                keys = [item.key for item in found]
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
    """Textual's name of a key; a comma is cut there as if it parted two."""
    return "comma" if key == "," else _normalize_key_list(key) if key.strip() else "space"


def _name(id_: str) -> str:
    return f"console.keys.{clean(id_, 40)}"


def _unknown(id_: str, known: set[str]) -> str:
    near = get_close_matches(id_[:60], known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return f"{_name(id_)}: there is no action of this id.{hint}"


def _taken(id_: str, key: str, other: Binding, place: str) -> str:
    what = f"“{other.description}”" if other.description else other.action
    if other.id:
        what += f" ({other.id})"
    return f"{_name(id_)}: in “{place}”, {key} is the key of {what}. {_STAYS}"
