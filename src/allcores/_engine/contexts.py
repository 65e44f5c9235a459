"""Context managers made of generators.

contextlib's throw an exception into the generator, and restore its traceback by an assignment afterwards, which an
exception that refuses attributes (a frozen dataclass) answers with another one. Ours end the generator instead: all of
them leave exceptions alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from functools import wraps
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Context(ContextDecorator, Generic[T]):
    """What a call of such a generator function returns."""

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin, self._generator = begin, iter(begin())

    def _recreate_cm(self) -> Context[T]:
        """For each call of a function that is decorated."""
        return Context(self._begin)

    def __enter__(self) -> T:
        return next(self._generator)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is None:
            next(self._generator, None)
        else:
            self._generator.close()  # type: ignore[attr-defined]


def contextmanager(function: Callable[P, Iterator[T]]) -> Callable[P, Context[T]]:
    """As that of contextlib, for a generator that lets exceptions pass."""

    @wraps(function)
    def manager(*args: P.args, **kwargs: P.kwargs) -> Context[T]:
        return Context(lambda: function(*args, **kwargs))

    return manager
