"""Exceptions that reach another process, whatever they are made of.

An exception is unpickled by a call of its class with its `args`. So one whose `__init__` takes something else does not
arrive, and one that holds a lock does not even leave. The standard library's pool and loky's break then. Here a worker
tries what it is going to send, and has a stand-in for what fails: an exception of the same class, made without its
`__init__`, in which what can't be pickled is replaced by its `repr`. What comes out of its pickle there may still not
in the parent, which has other modules perhaps: so its parts go along, each in a pickle of its own.

This module knows no pools.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import process
from typing import Any, TypeGuard

from . import pickling

Arrives = Callable[[object], bool]

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of classes that were made by a class statement
DEEP = 10  # exceptions in exceptions
LONG = 1000  # characters of a `repr`
LARGE = 1 << 16  # bytes of a part from which its `repr` goes instead
CANT = "(the exception was a {}, which can't be {})"


def text_of(error: BaseException) -> str:
    """Its traceback as text. An exception may raise another one even there."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:  # an exit, too
        return f"{_name(type(error))}: {_repr(error)}\n"


# An exception may refuse attributes, as frozen dataclasses do. Python itself does not ask it either.


def forget_frames(error: BaseException) -> None:
    """Drop the traceback, whose frames refer to all that was at hand."""
    BaseException.with_traceback(error, None)


def set_cause(error: BaseException, text: str) -> None:
    """Have an exception say where it was raised in the other process."""
    cause: Any = process
    object.__setattr__(error, "__cause__", cause._RemoteTraceback(f'\n"""\n{text}"""'))


def arrives(pickled: pickling.Pickled) -> bool:
    """Whether an exception comes out of a pickle."""
    return isinstance(pickling.loads(pickled.data, pickled.views()), BaseException)


def message(error: BaseException) -> str:
    """What it says, if it says something."""
    try:
        return str(error)
    except BaseException:
        return ""


def sendable(error: BaseException, arrives: Arrives) -> object:
    """What is to be pickled in the place of an exception: itself, where `arrives` says so."""
    try:
        return _sendable(error, arrives, 0)
    except BaseException:  # one that refuses to be looked at
        return RuntimeError(f"{_name(type(error))}: {_repr(error)}")


def _sendable(error: BaseException, arrives: Arrives, depth: int) -> object:

    def arrives_surely(thing: object) -> bool:
        try:
            return arrives(thing)
        except BaseException:  # whatever somebody's `__reduce__` raises, an exit included
            return False

    def part(value: object) -> object:
        if arrives_surely(Exception(value)):
            return value
        if isinstance(value, BaseException) and depth < DEEP:
            return _sendable(value, arrives, depth + 1)
        return _repr(value)

    if arrives_surely(error):
        return error
    kind = type(error)
    args, state = _contents(error)
    if _is_group(error):
        args = (part(error.message), [part(each) for each in error.exceptions])
    else:
        args = tuple(part(value) for value in args)
    state = {name: part(value) for name, value in state.items()}
    for base in _bases(kind):
        # The class itself if possible; one that can't be imported there is replaced by the first of its bases that can.
        note = () if base is kind else (CANT.format(_name(kind), "pickled"),)
        stand_in = StandIn(base, args, state, note)
        if arrives_surely(stand_in):
            return stand_in
    return RuntimeError(f"{_name(kind)}: {_repr(error)}")


class Parts:
    """What an exception is made of, each part pickled by itself: some come out where the whole does not."""

    def __init__(self, error: BaseException, depth: int = 0) -> None:
        kind = type(error)
        self.name, self.text = _name(kind), _repr(error)
        self.kinds = [_part(base) for base in _bases(kind)]
        args, state = _contents(error)
        self.members: list[Parts] = []
        if _is_group(error) and depth < DEEP:
            args, self.members = args[:1], [Parts(each, depth + 1) for each in error.exceptions]
        self.args = [_part(value) for value in args]
        self.state = {name: _part(value) for name, value in state.items()}

    @classmethod
    def of(cls, error: BaseException) -> Parts | None:
        try:
            return cls(error)
        except BaseException:  # one that refuses to be looked at
            return None

    def together(self) -> BaseException:
        """The exception, or one of the first base that is known here."""
        args = tuple(_whole(part) for part in self.args)
        if self.members:
            args = (*args, [member.together() for member in self.members])
        state = {name: _whole(part) for name, part in self.state.items()}
        for number, part in enumerate(self.kinds):
            kind = _whole(part)
            note = (CANT.format(self.name, "unpickled"),) if number else ()
            try:
                return rebuilt(kind, args, state, note)  # type: ignore[arg-type]
            except Exception:  # what came out is no class; or its members are no exceptions
                continue
        return RuntimeError(f"{self.name}: {self.text}")


def _part(value: object) -> tuple[bytes, str]:
    try:
        pickled = pickle.dumps(value)
    except BaseException:
        pickled = b""
    return (b"" if len(pickled) > LARGE else pickled), _repr(value)


def _whole(part: tuple[bytes, str]) -> object:
    try:
        return pickle.loads(part[0])
    except BaseException:
        return part[1]


class Imports(pickle.Unpickler):
    """Notes whether all that a pickle refers to is Python's own, or NumPy's, and so the same in every process."""

    everywhere = True

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        own = package == "__main__" or package not in (*sys.builtin_module_names, *sys.stdlib_module_names, "numpy")
        self.everywhere = self.everywhere and not own
        return super().find_class(module, name)


class StandIn:
    """Pickles as an exception does that is made without its `__init__`."""

    def __init__(self, kind: type[Any], args: tuple[Any, ...], state: dict[str, Any], notes: tuple[str, ...]) -> None:
        self.parts = kind, args, state, notes

    def __reduce__(self) -> Any:
        return rebuilt, self.parts


def rebuilt(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any], notes: tuple[str, ...]
) -> BaseException:
    """Unpickle a stand-in."""
    builtin = _builtin(kind)
    error: BaseException = builtin.__new__(kind, *args)
    builtin.__init__(error, *args)
    for name, value in state.items():
        try:
            object.__setattr__(error, name, value)
        except Exception:  # a property, say
            continue
    for note in notes:
        BaseException.add_note(error, note)
    return error


def _contents(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What an exception is made of, asked in the way of the class that Python brings. (OSError keeps a file name that
    is not in its `args`.)"""
    _, args, *state = _builtin(type(error)).__reduce__(error)
    return tuple(args), dict(state[0] or {}) if state else {}


def _bases(kind: type[Any]) -> list[type[BaseException]]:
    return [base for base in kind.__mro__ if issubclass(base, BaseException)]


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return issubclass(type(error), BaseExceptionGroup)  # its `__class__` may be anything


def _builtin(kind: type[Any]) -> Any:
    """The class of Python's own that an exception extends."""
    return next(base for base in kind.__mro__ if issubclass(base, BaseException) and not base.__flags__ & _HEAP_TYPE)


def _name(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _repr(value: object) -> str:
    try:
        text = repr(value)
    except BaseException:
        text = object.__repr__(value)
    return text if len(text) <= LONG else text[:LONG] + "..."
