"""The globals of functions that come by value: one dictionary a worker, as a module has one.

    parent                                               worker
      each global that a function names:                   Home.take
        its value, and a mark of it  ---- pickle ------>     there already, with this mark: stays
                                                             new, or the parent's has changed: is set

cloudpickle gives each task globals of its own: what an initializer has set would be gone, and every cache empty. Here
functions of the main script that a worker can't import have one dictionary for all tasks. The parent's value is taken
where there is none yet, or where it differs from the one that came before: what is defined anew in a notebook arrives.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

_MISSING = object()


class Marks:
    """In the parent: what stands for the values of globals, and differs where they differ."""

    def __init__(self) -> None:
        self._definitions: dict[str, tuple[Any, int]] = {}
        self._numbers = itertools.count()

    def of(self, name: str, value: Any, dumps: Callable[[Any], bytes | None]) -> bytes | int | None:
        """A mark; None for a value that is sent, and taken, each time."""
        if isinstance(value, (types.FunctionType, type, types.ModuleType)):
            known, number = self._definitions.get(name, (_MISSING, 0))
            if known is not value:
                number = next(self._numbers)
                self._definitions[name] = value, number
            return number
        try:
            data = dumps(value)
        except Exception:  # the task will fail with it
            return None
        return None if data is None else hashlib.blake2b(data).digest()


class Home:
    """In a worker."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self._marks: dict[str, bytes | int | None] = {}
        self._main: dict[str, Any] = {}
        self._before: dict[str, Any] = {}
        self.imported = False

    def has_main(self, imported: bool) -> None:
        """The worker has the main script: it has imported it, or is a fork of a process that has.

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
        """Have what was bound in the main script since the last time."""
        for name, value in list(self._main.items()):
            if value is not self._before.get(name, _MISSING):
                self.names[name] = self._before[name] = value

    def take(self, values: dict[str, Any], marks: dict[str, bytes | int | None]) -> None:
        for name, value in values.items():
            mark, known = marks[name], self._marks.get(name, _MISSING)
            self._marks[name] = mark
            if name not in self.names or not (known is _MISSING or (mark is not None and mark == known)):
                self.names[name] = value


# Of this process, if it is a worker.
home = Home()


def names(first: dict[str, Any]) -> dict[str, Any]:
    """The globals of functions that come here by value; with what relative imports need."""
    for name, value in first.items():
        home.names.setdefault(name, value)
    home.follow()
    return home.names


class Names:
    """Stands for them in a pickle."""

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


def reduced(thing: Any, parts: Any, importable: bool, marks: Marks, dumps: Callable[[Any], bytes | None]) -> Any:
    """How a function or class of the main script is pickled, from how cloudpickle does it: the same, but that functions
    get those globals, and that who has imported the script takes its own."""
    if not (isinstance(parts, tuple) and len(parts) == 6 and parts[3] is parts[4] is None):
        return parts  # not as this knows it
    function, args, values, _, _, setter = parts
    name = thing.__qualname__ if importable else ""
    each: dict[str, bytes | int | None] = {}
    if isinstance(thing, types.FunctionType):
        if thing.__globals__ is not vars(sys.modules["__main__"]) and thing.__globals__ is not home.names:
            return parts
        args = (args[0], Names(args[1]), *args[2:])
        each = {key: marks.of(key, value, dumps) for key, value in values[1]["__globals__"].items()}
    return make, (name, function, args), (name, setter, values, each), None, None, set_state
