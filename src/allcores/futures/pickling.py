"""From objects to a pickle and the buffers that go beside it, and back.

`dumps` tries plain pickle, with NumPy's arrays as in reducers.py. Functions and classes that the other side can't
import (lambdas, closures, what is defined in a notebook) need cloudpickle: where one turns up, everything is pickled
once more with it. Buffers below the threshold stay in the pickle.
"""

from __future__ import annotations

import importlib.util
import io
import itertools
import os
import pickle
import sys
import types
import weakref
from collections.abc import Sequence
from functools import cache
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from . import shared
from .globals import Marks, home, reduced
from .reducers import reduce_array
from .shared import Array

# A source of bytes: contiguous memory, or an array to be copied in C order.
Source = memoryview | Array


class Pickled:
    """A pickle, what belongs beside it, and what must live until it is unpickled."""

    __slots__ = ("data", "kept", "sources")

    def __init__(self, data: bytes, sources: list[Source], kept: list[shared.Found]) -> None:
        self.data, self.sources, self.kept = data, sources, kept

    @property
    def sizes(self) -> list[int]:
        return [source.nbytes for source in self.sources]

    def views(self) -> list[memoryview]:
        """The buffers as they are, to unpickle in this process."""
        arrays: list[Any] = [np.ascontiguousarray(source).reshape(-1).view(np.uint8) for source in self.sources]
        return [memoryview(array) for array in arrays]

    def inline(self) -> list[bytes | bytearray]:
        """The buffers as objects that can themselves be pickled. Who may write to them still may."""
        return [_inline(source) for source in self.sources]


def _inline(source: Source) -> bytes | bytearray:
    if isinstance(source, np.ndarray):
        return bytearray(source.tobytes()) if source.flags.writeable else source.tobytes()
    return source.tobytes() if source.readonly else bytearray(source)


class _NeedsCloudpickle(Exception):
    """Raised while pickling."""


def main_is_a_file() -> bool:
    """Whether a new process can import what `__main__` defines."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return not f".{spec.name}".endswith(".__main__")  # `python -m package` is not imported again
    if getattr(sys, "frozen", False):
        return True  # a new process of an executable runs its main script itself
    path = getattr(main, "__file__", None)
    # Not what a shell hands over once: `python /dev/stdin`, `python <(...)`. Nor "<stdin>", nor a file that is gone.
    return path is not None and os.path.isfile(path) and not path.startswith(("/dev/stdin", "/dev/fd/", "/proc/"))


@cache
def has_cloudpickle() -> bool:
    return importlib.util.find_spec("cloudpickle") is not None


def _by_value(module: str) -> bool:
    """Whether the user has told cloudpickle that others can't import a module, or a package that it is in."""
    cloudpickle: Any = sys.modules.get("cloudpickle")
    names = cloudpickle.list_registry_pickle_by_value() if cloudpickle else ()
    return any(f"{module}.".startswith(f"{name}.") for name in names)


def importable(thing: Any, main: bool) -> bool:
    """Whether a function or class is found under its name, in this process and another; `main`: also in `__main__`."""
    module = getattr(thing, "__module__", None)
    if module == "__main__" and not main:
        return False
    if module and _by_value(module):
        return False
    found: Any = sys.modules.get(module) if module else None
    if found is None:
        # Pickle looks further, and says what it does not find.
        return module != "__main__" and "<" not in thing.__qualname__
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
        if found is None:
            return False
    return found is thing


class _Sink:
    """What stays beside the stream. Not a part of the pickler, which would refer to itself through its callback: what
    it has pickled, and so the arguments of a task, would wait for the collector."""

    def __init__(self, threshold: float, handles: bool) -> None:
        self.threshold, self.handles = threshold, handles
        self.sources: list[Source] = []
        self._shared: dict[int, tuple[Any, shared.Found]] = {}
        self._gathered: dict[int, tuple[pickle.PickleBuffer, Array]] = {}

    def buffer(self, array: Array) -> pickle.PickleBuffer:
        """An object that stands for the elements of an array, in C order."""
        empty: Any = bytearray() if array.flags.writeable else b""
        if array.flags.c_contiguous:
            memory: Any = array.reshape(-1).view(np.uint8)
            return pickle.PickleBuffer(memory if array.nbytes else empty)
        if array.nbytes < self.threshold:
            copy = np.ascontiguousarray(array)
            copy.flags.writeable = array.flags.writeable
            return self.buffer(copy)
        # Gathered when it is written to its place, without a copy in between: this only stands for it.
        mark = pickle.PickleBuffer(empty)
        self._gathered[id(mark)] = mark, array
        return mark

    def handle(self, found: shared.Found) -> Any:
        """The handle of a piece of shared memory, which is kept until the other side has unpickled."""
        begin = found.known.begin
        if begin not in self._shared:
            self._shared[begin] = found.known.handle, found
        return self._shared[begin][0]

    @property
    def kept(self) -> list[shared.Found]:
        return [found for _, found in self._shared.values()]

    def out_of_band(self, buffer: pickle.PickleBuffer) -> bool:
        """The pickler's buffer callback: whether the buffer stays in the pickle."""
        _, array = self._gathered.pop(id(buffer), (None, None))
        source: Source = buffer.raw() if array is None else array
        if source.nbytes < self.threshold:
            return True
        self.sources.append(source)
        return False


class _Plain(ForkingPickler):
    """As multiprocessing pickles, and arrays."""

    def __init__(self, file: io.BytesIO, sink: _Sink, main: bool, marks: Marks | None) -> None:
        super().__init__(file, 5, True, sink.out_of_band)
        self._sink, self._main = sink, main

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, np.ndarray) and type(thing) not in self.dispatch_table:
            return reduce_array(thing, self._sink)
        if isinstance(thing, (types.FunctionType, type)) and not importable(thing, self._main):
            raise _NeedsCloudpickle(thing)
        return NotImplemented


@cache
def _with_cloudpickle() -> type[Any]:
    """The pickler for functions that can't be imported."""
    import cloudpickle

    class Cloud(cloudpickle.Pickler):  # type: ignore[misc]
        def __init__(self, file: io.BytesIO, sink: _Sink, main: bool, marks: Marks | None) -> None:
            super().__init__(file, 5, sink.out_of_band)
            extra: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
            self.dispatch_table: Any = cloudpickle.Pickler.dispatch_table.new_child(extra)
            self._sink, self._main, self._marks = sink, main, marks

        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, np.ndarray) and type(thing) not in self.dispatch_table:
                return reduce_array(thing, self._sink)
            parts = super().reducer_override(thing)
            if self._marks is None or getattr(thing, "__module__", None) != "__main__":
                return parts
            if not isinstance(thing, (types.FunctionType, type)):
                return parts
            # Workers that have imported a script, which is gone since, find there what it defines.
            found = not self._main and importable(thing, True)
            return reduced(thing, parts, found, self._marks)

    return Cloud


_numbers: weakref.WeakKeyDictionary[type, int] = weakref.WeakKeyDictionary()  # of classes
_next = itertools.count()


@cache
def _for_contents() -> type[Any]:
    """The pickler of what is only compared: without the globals of functions, and what classes are made of."""

    class Compared(_with_cloudpickle()):  # type: ignore[misc]
        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, (types.FunctionType, type)) and not importable(thing, False):
                # `id` stands for something that can be called; nobody will.
                if isinstance(thing, type):
                    return id, (_numbers.setdefault(thing, next(_next)),)
                cells = [_cell(cell) for cell in thing.__closure__ or ()]
                return id, (thing.__code__,), (thing.__dict__, thing.__defaults__, thing.__kwdefaults__, cells)
            return super().reducer_override(thing)

    return Compared


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _contents(thing: object) -> bytes | None:
    """A pickle, to be compared; None of what is large, and would cost too much."""
    try:
        file, sink = io.BytesIO(), _Sink(1 << 18, True)
        _Plain(file, sink, False, None).dump(thing)
    except _NeedsCloudpickle:
        file, sink = io.BytesIO(), _Sink(1 << 18, True)
        _for_contents()(file, sink, False, None).dump(thing)
    return None if sink.sources else file.getvalue()


home.contents = _contents


def dumps(
    thing: object,
    threshold: float = float("inf"),
    main: bool = True,
    handles: bool = True,
    marks: Marks | None = None,
) -> Pickled:
    """Pickle; buffers of at least `threshold` bytes beside the stream.

    `main` tells whether the other side has this process's `__main__`; `handles` whether it may be sent handles to
    shared memory and mapped files, since it is on this machine. With `marks` functions of `__main__` have the globals
    that globals.py speaks of.
    """
    kinds: tuple[type[Any], ...] = (_Plain,)
    while True:
        file, sink = io.BytesIO(), _Sink(threshold, handles)
        try:
            kinds[0](file, sink, main, marks).dump(thing)
        except _NeedsCloudpickle as needs:
            what = needs.args[0]
        else:
            return Pickled(file.getvalue(), sink.sources, sink.kept)
        if not has_cloudpickle():
            raise pickle.PicklingError(
                f"{what!r} can't be sent to another process, which could not import it from "
                f"{what.__module__!r}. Move it to a module of its own, or: pip install 'allcores[cloudpickle]'"
            )
        kinds = (_with_cloudpickle(),)


def loads(data: bytes, buffers: Sequence[Any]) -> Any:
    """Unpickle."""
    return pickle.loads(data, buffers=buffers)
