"""Textual's styles, found once in a process for widgets that no rule tells apart.

Each application, and each screen that is opened, parses its style sheets, looks through all their
rules for each widget, and sets what it finds rule by rule. That was a fifth of the time of the
console's tests. Here what was found for a widget is kept, under all that the selectors of the rules
in question can see of the widget and of its ancestors: types, names, classes, and the states that
these rules ask for. A widget that is not mounted yet takes it over as it is. Of one that is, only
the rules that are others are set: each rule that is set lays out and styles the widget anew.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import pytest
from textual.css.model import RuleSet
from textual.css.styles import RulesMap
from textual.css.stylesheet import Stylesheet
from textual.css.types import CSSLocation
from textual.dom import DOMNode

_ORDER = {"first-of-type", "last-of-type", "first-child", "last-child", "empty"}
"""The states that depend on the widgets beside a widget, and inside it."""
_apply = Stylesheet.apply
_parse_rules = Stylesheet._parse_rules
_replace_rules = Stylesheet.replace_rules


class _Candidates(NamedTuple):
    """What the rules whose last selector may be that of a widget ask for."""

    states: frozenset[str]
    """Of the widget, and of what it is in."""
    states_around: tuple[str, ...]
    """Of what it is in alone."""


class _Sheet:
    """What is known of all that one list of rules can style."""

    def __init__(self) -> None:
        self.candidates: dict[frozenset[str], _Candidates] = {}
        self.found: dict[Hashable, RulesMap | None] = {}


_parsed: dict[Hashable, list[RuleSet]] = {}
"""All rules, which lets `_sheets` know them by their identity."""
_sheets: dict[tuple[int, ...], _Sheet] = {}
_sheet_of: WeakKeyDictionary[Stylesheet, tuple[Sequence[RuleSet], _Sheet]] = WeakKeyDictionary()
_as_set: dict[int, tuple[RulesMap, RulesMap]] = {}
"""By identity, rules that were found and what setting them makes of their values."""
_under_way: list[tuple[_Sheet, Hashable]] = []


def _apply_known(
    self: Stylesheet,
    node: DOMNode,
    *,
    animate: bool = False,
    cache: dict[tuple[object, ...], RulesMap] | None = None,
) -> None:
    sheet = _sheet(self)
    names = frozenset(node._selector_names)
    candidates = sheet.candidates.get(names)
    if candidates is None:
        candidates = sheet.candidates[names] = _candidates(self, names)
    states = candidates.states
    node._has_hover_style = "hover" in states
    node._has_focus_within = "focus-within" in states
    node._has_order_style = not states.isdisjoint(_ORDER)
    node._has_odd_or_even = "odd" in states or "even" in states
    key = _key(node, candidates)
    if key in sheet.found:
        rules = sheet.found[key]
        if rules is not None:
            _set_other_rules(node, rules, animate)
        self._process_component_classes(node)
        return
    _under_way.append((sheet, key))
    _apply(self, node, animate=animate)
    if _under_way and _under_way[-1] == (sheet, key):  # no rule is that of this widget
        _under_way.pop()
        sheet.found[key] = None


def _sheet(stylesheet: Stylesheet) -> _Sheet:
    rules = stylesheet.rules
    known = _sheet_of.get(stylesheet)
    if known is None or known[0] is not rules:
        known = rules, _sheets.setdefault(tuple(map(id, rules)), _Sheet())
        _sheet_of[stylesheet] = known
    return known[1]


def _candidates(stylesheet: Stylesheet, names: frozenset[str]) -> _Candidates:
    rules_map = stylesheet.rules_map
    rules = {rule for name in rules_map.keys() & names for rule in rules_map[name]}
    around = {
        state
        for rule in rules
        for selector_set in rule.selector_set
        for selector in selector_set.selectors[:-1]
        for state in selector.pseudo_classes
    }
    states = frozenset[str]().union(*(rule.pseudo_classes for rule in rules))
    return _Candidates(states, tuple(sorted(around)))


def _key(node: DOMNode, candidates: _Candidates) -> Hashable:
    key: list[Hashable] = [_state(node, candidates.states)]
    parent: object = node
    while isinstance(parent, DOMNode):
        key += type(parent), parent._id, parent.classes
        if candidates.states_around and parent is not node:
            key.append(_state(parent, candidates.states_around))
        parent = parent._parent
    return tuple(key)


def _state(node: DOMNode, names: Sequence[str] | frozenset[str]) -> Hashable:
    checks = node._PSEUDO_CLASSES
    return tuple([name for name in names if name in checks and checks[name](node)])  # type: ignore[arg-type]


def styles_differ(node: DOMNode) -> bool:
    """Whether Textual itself gives a widget other styles than those it has here."""
    had = node.styles.base._rules.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "apply", _apply)
        patch.setattr(Stylesheet, "replace_rules", staticmethod(_replace_rules))
        node.app.stylesheet.apply(node)
    return node.styles.base._rules != had


def _replace_other_rules(node: DOMNode, rules: RulesMap, animate: bool = False) -> None:
    if _under_way:
        sheet, key = _under_way.pop()
        sheet.found[key] = rules
    _set_other_rules(node, rules, animate)


def _set_other_rules(node: DOMNode, rules: RulesMap, animate: bool) -> None:
    styles = node.styles.base
    own, as_set = styles._rules, _values_as_set(rules)
    if own == as_set:
        node.notify_style_update()
    elif animate:
        _replace_rules(node, rules, animate)
    elif own or node._is_mounted:
        for name in own.keys() | as_set.keys():
            if own.get(name) != as_set.get(name):
                setattr(styles, name, rules.get(name))
        node.notify_style_update()
    else:
        own.update(as_set)
        styles._updates += 1
        node.notify_style_update()


def _values_as_set(rules: RulesMap) -> RulesMap:
    if id(rules) not in _as_set:
        node = DOMNode()
        _replace_rules(node, rules)
        _as_set[id(rules)] = rules, node.styles.base._rules
    return _as_set[id(rules)][1]


def _parse_rules_once(
    self: Stylesheet,
    css: str,
    read_from: CSSLocation,
    is_default_rules: bool = False,
    tie_breaker: int = 0,
    scope: str = "",
) -> list[RuleSet]:
    variables = frozenset(self._variables.items())
    key = (css, read_from, is_default_rules, tie_breaker, scope, variables)
    if key not in _parsed:
        _parsed[key] = _parse_rules(self, css, read_from, is_default_rules, tie_breaker, scope)
    return _parsed[key]


@contextmanager
def quick_styles() -> Iterator[None]:
    """Let all applications share what was parsed and found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", _parse_rules_once)
        patch.setattr(Stylesheet, "replace_rules", staticmethod(_replace_other_rules))
        patch.setattr(Stylesheet, "apply", _apply_known)
        yield
