"""Exceptions that reach another process, whatever they are made of.

An exception is unpickled by a call of its class with its `args`. So one whose `__init__` takes something else does not
arrive, and one that holds a lock does not even leave. The standard library's pool and loky's break then. Here a worker
tries what it is going to send, and has a stand-in for what fails: an exception of the same class, made without its
`__init__`, in which what can't be pickled is replaced by its `repr`. What comes out of its pickle there may still not
in the parent, which has other modules perhaps: so its parts go along, each in a pickle of its own.

This module knows no pools.
"""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import process
from typing import Any, NamedTuple, TypeGuard

from . import pickling

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
        return f"{in_words(error)}\n"


def in_words(error: BaseException) -> RuntimeError:
    """What can always be sent in the place of an exception."""
    return RuntimeError(f"{_name(type(error))}: {_repr(error)}")


# An exception may refuse attributes, as frozen dataclasses do, or have properties of these names. Python itself does
# not ask it either.


def forget_frames(error: BaseException) -> None:
    """Drop the traceback, whose frames refer to all that was at hand."""
    BaseException.with_traceback(error, None)


def set_cause(error: BaseException, text: str) -> None:
    """Have an exception say where it was raised in the other process."""
    cause: Any = process
    vars(BaseException)["__cause__"].__set__(error, cause._RemoteTraceback(f'\n"""\n{text}"""'))


def message(error: BaseException) -> str:
    """What it says, if it says something."""
    try:
        return str(error)
    except BaseException:
        return ""


class Packed(NamedTuple):
    """An exception on its way."""

    pickled: pickling.Pickled  # of itself, or of its stand-in
    parts: Parts | None  # what it can be made of where it does not come out of its pickle
    ordinary: bool  # whether it comes out of it everywhere


def pack(error: BaseException, threshold: float = float("inf"), main: bool = True, handles: bool = True) -> Packed:
    """Pickle an exception, or what stands for it, as `pickling.dumps` does. Never raises what others can raise.

    What is sent is the very pickle that was tried: some can be pickled once.
    """

    def tried(thing: object) -> tuple[pickling.Pickled, bool] | None:
        """A pickle from which an exception comes out here, and whether it does so everywhere."""
        try:
            pickled = pickling.dumps(thing, threshold, main, handles)
            imports = Imports(io.BytesIO(pickled.data), buffers=pickled.views())
            came = issubclass(type(imports.load()), BaseException)
        except BaseException:  # whatever somebody's `__reduce__` raises, an exit included
            return None
        return (pickled, imports.everywhere) if came else None

    def small(thing: object) -> bytes:
        pickled = pickling.dumps(thing, LARGE, main, handles=False)
        return b"" if pickled.sources or len(pickled.data) > LARGE else pickled.data

    try:
        found = tried(error)
        if found is not None and found[1]:
            return Packed(found[0], None, True)
        parts = Parts(error, small)
        if found is None:
            found = tried(_StandIns(lambda thing: tried(thing) is not None).of(error))
        if found is not None:
            return Packed(found[0], parts, False)
    except BaseException:  # one that refuses to be looked at
        pass
    return Packed(pickling.dumps(in_words(error)), None, False)


def unpack(loads: Callable[[], object], parts: Parts | None, text: str) -> BaseException:
    """The exception that a pickle brings, or what can be made of its parts."""
    try:
        error: Any = loads()
        if not issubclass(type(error), BaseException):
            raise pickle.UnpicklingError(f"what should be an exception is of {type(error)}")
    except BaseException as failed:
        error = failed if parts is None else parts.together()
        forget_frames(error)
    set_cause(error, text)
    return error  # type: ignore[no-any-return]


class _StandIns:
    """Stand-ins of an exception, and of those in it: each is made once, whatever refers to it."""

    def __init__(self, arrives: Callable[[object], bool]) -> None:
        self._arrives = arrives
        self._made: dict[int, object] = {}
        self._seen: list[object] = []  # whose numbers have to stay theirs

    def of(self, error: BaseException, depth: int = 0) -> object:
        self._note(error, _repr(error))  # for itself, where it is in a circle
        kind = type(error)
        args, state = _contents(error)
        if _is_group(error):
            args = (self._part(error.message, depth), [self._part(each, depth) for each in error.exceptions])
        else:
            args = tuple(self._part(value, depth) for value in args)
        state = {name: self._part(value, depth) for name, value in state.items()}
        for base in _bases(kind):
            # The class itself if possible; one that can't be imported there is replaced by the first of its bases that
            # can.
            note = () if base is kind else (CANT.format(_name(kind), "pickled"),)
            stand_in = StandIn(base, args, state, note)
            if self._arrives(stand_in):
                return stand_in
        return in_words(error)

    def _part(self, value: object, depth: int) -> object:
        if id(value) not in self._made:
            if self._arrives(Exception(value)):
                self._note(value, value)
            elif issubclass(type(value), BaseException) and depth < DEEP:
                self._note(value, self.of(value, depth + 1))  # type: ignore[arg-type]
            else:
                self._note(value, _repr(value))
        return self._made[id(value)]

    def _note(self, value: object, made: object) -> None:
        self._made[id(value)] = made
        self._seen.append(value)


class Parts:
    """What an exception is made of, each part pickled by itself: some come out where the whole does not. These are
    bytes and text alone."""

    def __init__(self, error: BaseException, dumps: Callable[[object], bytes], depth: int = 0) -> None:

        def part(value: object) -> tuple[bytes, str]:
            try:
                return dumps(value), _repr(value)
            except BaseException:
                return b"", _repr(value)

        kind = type(error)
        self.text = str(in_words(error))
        self.name = _name(kind)
        self.kinds = [part(base) for base in _bases(kind)]
        args, state = _contents(error)
        self.members: list[Parts] = []
        if _is_group(error) and depth < DEEP:
            args, self.members = args[:1], [Parts(each, dumps, depth + 1) for each in error.exceptions]
        self.args = [part(value) for value in args]
        self.state = {name: part(value) for name, value in state.items()}

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
            except BaseException:  # what came out is no class; or its members are no exceptions
                continue
        return RuntimeError(self.text)


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
        except BaseException:  # what a property raises, say
            continue
    for note in notes:
        BaseException.add_note(error, note)
    return error


def _contents(error: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What an exception is made of, asked in the way of the class that Python brings. (OSError keeps a file name that
    is not in its `args`.)"""
    _, args, *state = _builtin(type(error)).__reduce__(error)
    named = state[0] or {} if state else {}
    return tuple(args), {str.__str__(name): value for name, value in named.items() if issubclass(type(name), str)}


def _bases(kind: type[Any]) -> list[type[BaseException]]:
    return [base for base in kind.__mro__ if issubclass(base, BaseException)]


def _is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    return issubclass(type(error), BaseExceptionGroup)  # its `__class__` may be anything


def _builtin(kind: type[Any]) -> Any:
    """The class of Python's own that an exception extends."""
    return next(base for base in kind.__mro__ if issubclass(base, BaseException) and not base.__flags__ & _HEAP_TYPE)


# Text that others have made may be of a class of theirs.


def _name(kind: type[Any]) -> str:
    try:
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return str.__str__(name)
    except BaseException:  # a metaclass
        return str.__str__(vars(type)["__name__"].__get__(kind))


def _repr(value: object) -> str:
    try:
        text = str.__str__(repr(value))
    except BaseException:
        text = f"<{_name(type(value))} object at {id(value):#x}>"
    return text if len(text) <= LONG else text[:LONG] + "..."
