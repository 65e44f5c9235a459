"""From the arguments of the public functions to a plan and its results."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._engine import settings, team
from .._engine.contexts import contextmanager
from .._engine.sources import Source
from ..futures.cluster import Courier, check_executor
from . import executors, threads
from .failures import Failures, note
from .lines import along, first_line
from .overlap import OverlapPlan
from .plan import Function, Plan, as_argument, axes_of, axis_of
from .progress import watched
from .results import Partials, Whole
from .tree import SPLIT_EVERY, aggregated, fold, joined

log = logging.getLogger("allcores")


class How(NamedTuple):
    """Where and in whose sight blocks are computed."""

    executor: Any
    workers: Any
    progress: Any
    errors: str = "raise"

    @property
    def on_executor(self) -> bool:
        if self.executor is None:
            return False
        check_executor(self.executor)
        return True


@contextmanager
def how(executor: Any, workers: Any, progress: Any, errors: str = "raise") -> Iterator[How]:
    """Where nobody says, on the executor that `set_executor` has set; within a block, where it is computed. On threads,
    `workers` is the limit of all that is done meanwhile, calls of the user's function among it."""
    if executor is None and not team.here.worker:
        executor = getattr(settings.sender(), "executor", None)
    number = settings.resolve_workers(workers)
    if executor is not None:
        yield How(executor, workers, progress, errors)
        return
    with settings.at_most(number):
        yield How(None, number, progress, errors)


def as_one_array(x: Any) -> Any:
    x = as_argument(x)
    return x if isinstance(x, (np.ndarray, Source)) else np.asarray(x)


def map_blocks(
    func: Function,
    arrays: tuple[Any, ...],
    kwargs: dict[str, Any],
    block_axis: Any,
    block_size: Any,
    drop_axis: Any,
    new_axis: Any,
    dtype: Any,
    out: Any,
    how: How,
) -> Any:
    plan = Plan("map_blocks", func, arrays, kwargs, block_axis, block_size, on_executor=how.on_executor)
    plan.change_axes(drop_axis, new_axis)
    return whole(plan, dtype, out, how)


def map_overlap(
    func: Function,
    x: Any,
    depth: Any,
    boundary: Any,
    trim: bool,
    kwargs: dict[str, Any],
    block_axis: Any,
    block_size: Any,
    drop_axis: Any,
    new_axis: Any,
    dtype: Any,
    out: Any,
    how: How,
) -> Any:
    x = as_one_array(x)
    plan = OverlapPlan(func, x, depth, boundary, trim, kwargs, block_axis, block_size, on_executor=how.on_executor)
    plan.change_axes(drop_axis, new_axis)
    return whole(plan, dtype, out, how)


def reduction(
    x: Any,
    chunk: Function,
    aggregate: Function,
    axis: Any,
    keepdims: bool,
    dtype: Any,
    split_every: Any,
    combine: Function | None,
    concatenate: bool,
    block_axis: Any,
    block_size: Any,
    how: How,
) -> Any:
    x = as_one_array(x)
    axes = tuple(range(x.ndim)) if axis is None else axes_of(axis, x.ndim, "axis")
    for function in (chunk, aggregate, aggregate if combine is None else combine):
        if not callable(function):
            raise TypeError(f"chunk, aggregate and combine must be callable, got {function!r}")
    options: dict[str, Any] = {"on_executor": how.on_executor}
    if x.ndim and axis_of(block_axis, x.ndim, "block_axis") not in axes:
        func = partial(aggregated, chunk=chunk, aggregate=aggregate, axis=axes, keepdims=keepdims, bare=not concatenate)
        plan = Plan("reduction", func, (x,), {}, block_axis, block_size, **options)
        plan.change_axes(None if keepdims else axes, None)
        return whole(plan, dtype, None, how)
    plan = Plan("reduction", chunk, (x,), {"axis": axes, "keepdims": True}, block_axis, block_size, **options)
    partials = Partials(plan)
    every = split_every.get(plan.axis, SPLIT_EVERY) if isinstance(split_every, dict) else split_every or SPLIT_EVERY
    if every < 2:
        raise ValueError(f"split_every must be at least 2, got {every}")
    run(plan, partials, Failures(plan, how.errors), how)
    join = partial(joined, axis=plan.axis) if concatenate and x.ndim else None if concatenate else list
    values = fold(partials.values, partial(combine or aggregate, axis=axes, keepdims=True), every, join)
    result = aggregate(values, axis=axes, keepdims=keepdims)
    return result if dtype is None else np.asanyarray(result).astype(dtype, casting="same_kind")[()]


def apply_along_axis(
    func1d: Function, axis: Any, arr: Any, args: tuple[Any, ...], kwargs: dict[str, Any], block_size: Any, how: How
) -> Any:
    x = as_one_array(arr)
    axis = axis_of(axis, x.ndim, "axis")
    if type(x) is not np.ndarray or x.ndim == 1 or not x.size:
        return np.apply_along_axis(func1d, axis, x, *args, **kwargs)
    along_axis = max((i for i in range(x.ndim) if i != axis), key=lambda i: x.shape[i])
    keywords = {"func1d": func1d, "axis": axis, "args": args, "kwargs": kwargs}
    plan = Plan("apply_along_axis", along, (x,), keywords, along_axis, block_size, on_executor=how.on_executor)
    try:
        line = first_line(x, axis)
        if how.executor is None:
            first = np.asanyarray(func1d(line, *args, **kwargs))
        else:
            with Courier(how.executor) as courier:
                first = np.asanyarray(courier.submit(func1d, line, *args, **kwargs).result())
    except Exception as error:
        note(error, plan, 0)
        raise
    if type(first) is not np.ndarray:
        return np.apply_along_axis(func1d, axis, x, *args, **kwargs)
    keywords |= {"shape": first.shape, "dtype": first.dtype}
    plan.out_axis = along_axis if along_axis < axis else along_axis - x.ndim
    return whole(plan, None, None, how)


def whole(plan: Plan, dtype: Any, out: Any, how: How) -> Any:
    """Results side by side."""
    failures = Failures(plan, how.errors)
    sink = Whole(plan, dtype, out)
    run(plan, sink, failures, how)
    if how.errors == "raise":
        return sink.value()
    for number in failures.found:
        sink.blank(number)
    return sink.value(), failures.list()


def run(plan: Plan, sink: Whole | Partials, failures: Failures, how: How) -> None:
    executor = how.executor
    began = time.perf_counter()
    with watched(how.progress, plan.name, plan.count) as tell:
        if executor is None:
            threads.run(plan, sink, failures, how.workers, tell)
        else:
            executors.run(plan, sink, failures, executor, how.workers, tell)
    if log.isEnabledFor(logging.DEBUG):
        where = "threads" if executor is None else type(executor).__name__
        name, seconds = getattr(plan.func, "__name__", repr(plan.func)), time.perf_counter() - began
        log.debug("%s %s %s: %d blocks, %s, %.3f ms", plan.name, name, plan.shape, plan.count, where, 1e3 * seconds)
    failures.raise_first()
