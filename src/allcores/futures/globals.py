"""The globals of functions that come by value: one dictionary a worker, as a module has one.

    parent                                               worker
      each global that a function names:                   Home.take
        its value, and a mark of it  ---- pickle ------>     new, or another mark than before: is set
                                                             the same mark: is set, too, but where the worker has bound
                                                             the name anew, or changed the object: that stays

cloudpickle gives each task globals of its own: what an initializer has set would be gone, and every cache empty. Here
functions of the main script that a worker can't import have one dictionary for all tasks. A value that comes once more
takes the place of the one before, although it is equal: what else has come in this pickle may be the same object, as a
default that a function looks for with `is`. Whether the worker has changed an object is seen by its contents, next to
those of the new one.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

_MISSING = object()
_CONSTANT = (bool, int, float, complex, str, bytes)


def _is_bare(value: Any) -> bool:
    """Whether it is a function in which nothing can have been changed in place."""
    if type(value) is not types.FunctionType:
        return False
    return not (value.__closure__ or value.__dict__ or value.__defaults__ or value.__kwdefaults__)


Contents = Callable[[Any], bytes | None]


class Marks:
    """In the parent: what stands for the values of globals, and differs where they differ."""

    def __init__(self) -> None:
        self._definitions: dict[str, tuple[Any, int]] = {}
        self._numbers = itertools.count()

    def of(self, name: str, value: Any) -> bytes | int | None:
        """A mark; None for a value that is sent, and taken, each time."""
        if isinstance(value, (type, types.ModuleType)) or _is_bare(value):
            known, number = self._definitions.get(name, (_MISSING, 0))
            if known is not value:
                number = next(self._numbers)
                self._definitions[name] = value, number
            return number
        try:
            data = home.contents(value)
        except Exception:  # the task will fail with it
            return None
        return None if data is None else hashlib.blake2b(data).digest()


def _is_constant(bound: Any, value: Any) -> bool:
    return bound is value or type(value) in _CONSTANT or (_is_bare(bound) and _is_bare(value))


class Home:
    """In a worker. (What looks into values serves the parent, too.)"""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._marks: dict[str, bytes | int | None] = {}
        self._taken: dict[str, Any] = {}  # what was set here, and not by the worker's own functions
        self._equal: dict[str, Any] = {}  # what may take its place
        self.contents: Contents = lambda _: None  # how pickling.py looks into a value
        self._main: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self.imported = False

    def has_main(self, imported: bool) -> None:
        """Say that the worker has the main script: it has imported it, or is a fork of a process that has.

        What the initializer, or a task, then binds there holds here, too.
        """
        main = vars(sys.modules["__main__"])
        # multiprocessing copies what a script defines: the globals that its functions have are other ones.
        functions = (each for each in main.values() if isinstance(each, types.FunctionType))
        ours = (each.__globals__ for each in functions if each.__module__ == main.get("__name__"))
        self._main = next(ours, main)
        self._before, self.imported = dict(self._main), imported

    def own(self, name: str) -> Any:
        """What the script defines under a qualified name, where it was imported; or None."""
        found: Any = sys.modules["__main__"]
        for part in name.split(".") if self.imported and name else [""]:
            found = getattr(found, part, _MISSING)
        return None if found is _MISSING else found

    def follow(self) -> None:
        """Take over what was bound in the main script since the last time."""
        for name, value in list(self._main.items()):
            if value is not self._before.get(name, _MISSING):
                self.names[name] = self._before[name] = value

    def take(self, values: dict[str, Any], marks: dict[str, bytes | int | None]) -> None:
        for name, value in values.items():
            mark, known = marks[name], self._marks.get(name, _MISSING)
            self._marks[name] = mark
            if name in self.names and known is _MISSING:
                continue
            if name in self.names and mark is not None and mark == known:
                self._equal[name] = value  # which may lack its state yet
            else:
                self._equal.pop(name, None)  # of a task that could not be unpickled
                self.names[name] = self._taken[name] = value

    def settle(self) -> None:
        """Call this when a task is unpickled: take over what has come once more, unless the worker has changed it."""
        equal, self._equal = self._equal, {}
        ours = {
            name: (self.names[name], value)
            for name, value in equal.items()
            if name in self.names and self.names[name] is self._taken.get(name, _MISSING)
        }
        # Most have not been changed: all are looked into at once.
        changeable = [(bound, value) for bound, value in ours.values() if not _is_constant(bound, value)]
        same = not changeable or self._same(*zip(*changeable, strict=True))
        for name, (bound, value) in ours.items():
            if same or _is_constant(bound, value) or self._same(bound, value):
                self.names[name] = self._taken[name] = value

    def _same(self, bound: Any, value: Any) -> bool:
        """Whether the worker has not changed an object since it was the same as another one."""
        try:
            return self.contents(bound) == self.contents(value)
        except Exception:  # it has got something that can't be pickled
            return False

    def let_go(self) -> None:
        """Call this after a task: forget what comes with the next one in any case."""
        for name, mark in self._marks.items():
            if mark is None and name in self._taken:
                value = self._taken.pop(name)
                if self.names.get(name, _MISSING) is value:
                    del self.names[name]


# Of this process, if it is a worker.
home = Home()


def names(first: dict[str, Any]) -> dict[str, Any]:
    """The globals of functions that come here by value; with what relative imports need."""
    for name, value in first.items():
        home.names.setdefault(name, value)
    home.follow()
    return home.names


class Names:
    """What stands for these globals in a pickle."""

    def __init__(self, first: dict[str, Any]) -> None:
        self.first = first

    def __reduce__(self) -> Any:
        return names, (self.first,)


def make(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """A function or class, before it has its state."""
    found = home.own(name)
    return function(*args) if found is None else found


def set_state(thing: Any, state: tuple[Any, ...]) -> None:
    """The state, as cloudpickle sets it."""
    name, setter, values, marks = state
    if home.own(name) is thing:
        return
    if marks:
        home.take(values[1]["__globals__"], marks)
        values[1]["__globals__"] = {}
    setter(thing, values)


def reduced(thing: Any, parts: Any, importable: bool, marks: Marks) -> Any:
    """How a function or class of the main script is pickled, made of how cloudpickle does it. The difference is that
    functions get those globals, and that a process which has imported the script takes its own function or class."""
    if not (isinstance(parts, tuple) and len(parts) == 6 and parts[3] is parts[4] is None):
        return parts  # not as this knows it
    function, args, values, _, _, setter = parts
    name = thing.__qualname__ if importable else ""
    each: dict[str, bytes | int | None] = {}
    if isinstance(thing, types.FunctionType):
        if thing.__globals__ is not vars(sys.modules["__main__"]) and thing.__globals__ is not home.names:
            return parts
        args = (args[0], Names(args[1]), *args[2:])
        each = {key: marks.of(key, value) for key, value in values[1]["__globals__"].items()}
    return make, (name, function, args), (name, setter, values, each), None, None, set_state
