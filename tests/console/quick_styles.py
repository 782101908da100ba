"""Textual's styles, computed once per process for widgets that no rule distinguishes.

Each application, and each screen that opens, parses its style sheets, searches all their rules for
each widget, and applies the results rule by rule. That was a fifth of the time of the console's
tests. Here the result for a widget is cached, keyed by everything that the selectors of the
relevant rules can see of the widget and its ancestors: types, names, classes, and the states that
these rules use. A widget that is not mounted yet takes the result over as it is. For a mounted one,
only changed rules are set: setting a rule lays out and styles the widget again. Applications with
the same variables share their tokens, and the styles of texts that name them.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from textual.css.model import RuleSet
from textual.css.styles import RulesMap
from textual.css.stylesheet import Stylesheet
from textual.css.tokenizer import Token
from textual.css.types import CSSLocation
from textual.dom import DOMNode
from textual.style import Style

_ORDER = {"first-of-type", "last-of-type", "first-child", "last-child", "empty"}
"""The states that depend on a widget's siblings and descendants."""
_apply = Stylesheet.apply
_parse = Stylesheet.parse
_parse_rules = Stylesheet._parse_rules
_replace_rules = Stylesheet.replace_rules
_set_variables = Stylesheet.set_variables


class _Candidates:
    """The rules whose last selector may match a widget, and their results for widgets."""

    def __init__(self, rules: Sequence[RuleSet]) -> None:
        around = {
            state
            for rule in rules
            for selector_set in rule.selector_set
            for selector in selector_set.selectors[:-1]
            for state in selector.pseudo_classes
        }
        self.states_around = tuple(around)
        """The states of its ancestors that these rules use."""
        self.states = frozenset[str]().union(*(rule.pseudo_classes for rule in rules))
        """The same for the widget itself."""
        self.found: dict[Hashable, RulesMap | None] = {}


class _Sheet:
    """A list of rules, with the candidates for the names of a widget."""

    def __init__(self, rules: Sequence[RuleSet]) -> None:
        self.rules = rules  # kept, so that its identity stays its own
        self.candidates: dict[frozenset[str], _Candidates] = {}


_parsed: dict[Hashable, list[RuleSet]] = {}
_joined: dict[Hashable, list[RuleSet]] = {}
"""The rules of several sources."""
_sheets: dict[int, _Sheet] = {}
"""By the identity of the list of rules."""
_candidates: dict[tuple[int, ...], _Candidates] = {}
"""By the identity of each rule: screens share most of theirs."""
_as_set: dict[int, tuple[RulesMap, RulesMap]] = {}
"""By identity, rules that were found, and the values after setting them."""
_of_variables: dict[Hashable, tuple[dict[str, list[Token]], dict[str, Style]]] = {}
"""The tokens of variables, and the styles of texts that name them."""
_under_way: list[tuple[_Candidates, Hashable]] = []


def _apply_known(
    self: Stylesheet,
    node: DOMNode,
    *,
    animate: bool = False,
    cache: dict[tuple[object, ...], RulesMap] | None = None,
) -> None:
    candidates = _candidates_for(self, node)
    states = candidates.states
    node._has_hover_style = "hover" in states
    node._has_focus_within = "focus-within" in states
    node._has_order_style = not states.isdisjoint(_ORDER)
    node._has_odd_or_even = "odd" in states or "even" in states
    key = _key(node, candidates)
    if key in candidates.found:
        rules = candidates.found[key]
        if rules is not None:
            _set_other_rules(node, rules, animate)
        self._process_component_classes(node)
        return
    _under_way.append((candidates, key))
    _apply(self, node, animate=animate)
    if _under_way and _under_way[-1] == (candidates, key):  # no rule matches this widget
        _under_way.pop()
        candidates.found[key] = None


def _candidates_for(stylesheet: Stylesheet, node: DOMNode) -> _Candidates:
    all_rules, names = stylesheet.rules, frozenset(node._selector_names)
    if id(all_rules) not in _sheets:
        _sheets[id(all_rules)] = _Sheet(all_rules)
    known = _sheets[id(all_rules)].candidates
    if names not in known:
        rules = [rule for rule in all_rules if not names.isdisjoint(rule.selector_names)]
        key = tuple(map(id, rules))
        known[names] = _candidates.setdefault(key, _Candidates(rules))
    return known[names]


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
    """Whether Textual itself gives a widget, or its parts, different styles than here."""
    had = _styles_of(node)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "apply", _apply)
        patch.setattr(Stylesheet, "replace_rules", staticmethod(_replace_rules))
        node.app.stylesheet.apply(node)
    return _styles_of(node) != had


def _styles_of(node: DOMNode) -> list[RulesMap]:
    parts = [node._component_styles[name] for name in sorted(node._component_styles)]
    return [styles.base._rules.copy() for styles in (node.styles, *parts)]


def _replace_other_rules(node: DOMNode, rules: RulesMap, animate: bool = False) -> None:
    if _under_way:
        candidates, key = _under_way.pop()
        candidates.found[key] = rules
    _set_other_rules(node, rules, animate)


def _set_other_rules(node: DOMNode, rules: RulesMap, animate: bool) -> None:
    styles = node.styles.base
    own, as_set = styles._rules, _values_as_set(rules)
    if own == as_set:
        node.notify_style_update()
    elif animate and "transitions" in rules:
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


def _parse_once(self: Stylesheet) -> None:
    key = tuple(self.source.items()), frozenset(self._variables.items())
    if key in _joined:
        self._rules = _joined[key]
        self._rules_map = None
        self._require_parse = False
    else:
        _parse(self)
        _joined[key] = self._rules


def _set_known_variables(self: Stylesheet, variables: dict[str, str]) -> None:
    self._style_parse_cache = {}  # type: ignore[assignment]  # else what others use is forgotten
    _set_variables(self, variables)
    key = frozenset(variables.items())
    if key not in _of_variables:
        _of_variables[key] = self._variable_tokens, {}
    tokens, styles = _of_variables[key]
    vars(self).update(_Stylesheet__variable_tokens=tokens, _style_parse_cache=styles)


@contextmanager
def quick_styles() -> Iterator[None]:
    """Make all applications share what was parsed and found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "parse", _parse_once)
        patch.setattr(Stylesheet, "_parse_rules", _parse_rules_once)
        patch.setattr(Stylesheet, "replace_rules", staticmethod(_replace_other_rules))
        patch.setattr(Stylesheet, "apply", _apply_known)
        patch.setattr(Stylesheet, "set_variables", _set_known_variables)
        yield
