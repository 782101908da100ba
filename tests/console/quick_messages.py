"""Textual's messages at half the cost: a console handles hundreds for each screen that it opens.

For each message, Textual makes three loggers that write nowhere, enters generators that change
nothing, and asks an abstract class whether None can be awaited. It also looks up the handlers of a
message again each time; here those of a class are cached. It counts the parameters of each callback
by its signature; here the code object has the number.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Token
from inspect import CO_VARARGS, CO_VARKEYWORDS, isawaitable
from types import FunctionType
from typing import Any

import pytest
from textual._callback import _count_parameters, count_parameters
from textual._context import active_message_pump
from textual.dom import DOMNode
from textual.message import Message
from textual.message_pump import MessagePump
from textual.reactive import Reactive
from textual.screen import Screen

_Handlers = list[tuple[type, list[Any]]]
"""The handler methods of each class."""
_handlers: dict[tuple[type[MessagePump], type[Message], str], _Handlers | None] = {}
_get_dispatch_methods = MessagePump._get_dispatch_methods
_prevent = MessagePump.prevent
_get_reactive: Any = Reactive.__get__
_get_screen = vars(DOMNode)["screen"].fget
_NOTHING = nullcontext()


class _Silence:
    """A log that no one reads."""

    def __init__(self) -> None:
        self.event = self.verbosity = self

    def __getattr__(self, name: str) -> "_Silence":
        return self

    def __call__(self, *args: object) -> "_Silence":
        return self


class _Context:
    """Makes a message pump the active one, as its own generator does."""

    __slots__ = ("_pump", "_token")
    _token: Token[MessagePump]

    def __init__(self, pump: MessagePump) -> None:
        self._pump = pump

    def __enter__(self) -> None:
        self._token = active_message_pump.set(self._pump)

    def __exit__(self, *raised: object) -> None:
        active_message_pump.reset(self._token)


def _entered(self: MessagePump) -> _Context:
    return _Context(self)


def _prevent_some(self: MessagePump, *message_types: type[Message]) -> AbstractContextManager[None]:
    return _prevent(self, *message_types) if message_types else _NOTHING


async def _invoke_untimed(callback: Callable[..., Any], *params: object) -> Any:
    result = callback(*params[: count_parameters(callback)])
    return await result if result is not None and isawaitable(result) else result


def _get_known_reactive(self: Reactive[Any], node: Any, kind: type[Any]) -> Any:
    if node is None or self.internal_name not in node.__dict__ or hasattr(node, self.compute_name):
        return _get_reactive(self, node, kind)
    return node.__dict__[self.internal_name]


def _find_screen(self: DOMNode) -> Screen[object]:
    node: MessagePump | None = self
    while node is not None and not isinstance(node, Screen):
        node = node._parent
    return _get_screen(self) if node is None else node  # which says what is wrong


def _get_known_methods(
    self: MessagePump, method_name: str, message: Message
) -> Iterator[tuple[type, Callable[[Message], Awaitable[object]]]]:
    key = (type(self), type(message), method_name)
    if key not in _handlers:
        _handlers[key] = _handlers_of(*key)
    handlers = _handlers[key]
    if handlers is None:
        yield from _get_dispatch_methods(self, method_name, message)
        return
    for kind, methods in handlers:
        if message._no_default_action:
            return
        for method in methods:
            yield kind, method.__get__(self, kind)


def _handlers_of(
    pump: type[MessagePump], message: type[Message], method_name: str
) -> _Handlers | None:
    """What Textual would find; None if it depends on the sender of the message."""
    decorated, found = set[object](), _Handlers()
    for kind in pump.__mro__:
        methods: list[Any] = []
        for message_kind in message.__mro__:
            for method, selectors in kind.__dict__.get("_decorated_handlers", {}).get(
                message_kind, ()
            ):
                if selectors:
                    return None
                if method not in decorated:
                    decorated.add(method)
                    methods.append(method)
        named = kind.__dict__.get(f"_{method_name}") or kind.__dict__.get(method_name)
        if named is not None and not getattr(named, "_textual_on", None):
            methods.append(named)
        if methods:
            found.append((kind, methods))
    return found


def _count_code_parameters(func: Callable[..., object]) -> int:
    own = getattr(func, "__func__", func)
    if not isinstance(own, FunctionType) or hasattr(own, "__wrapped__"):
        return _count_parameters(func)
    code = own.__code__
    named = code.co_argcount + code.co_kwonlyargcount - (own is not func)
    return named + bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)


@contextmanager
def quick_messages() -> Iterator[None]:
    """Make applications handle messages with less overhead in Textual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("textual._callback._count_parameters", _count_code_parameters)
        patch.setattr(MessagePump, "_get_dispatch_methods", _get_known_methods)
        patch.setattr("textual.message_pump.log", _Silence())
        patch.setattr(MessagePump, "_context", _entered)
        patch.setattr(MessagePump, "prevent", _prevent_some)
        patch.setattr("textual.message_pump.invoke", _invoke_untimed)
        patch.setattr(Reactive, "__get__", _get_known_reactive)
        patch.setattr(DOMNode, "screen", property(_find_screen))
        yield
