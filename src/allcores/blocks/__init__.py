"""Your own function over blocks of arrays, on threads or on any executor.

    Plan: what each block gets       ---->  threads.run, or executors.run  ---->  Whole: where its result belongs
    (plan.py, overlap.py, lines.py)         (one block at a time, in order)       (results.py)

The names and meanings of arguments are dask.array's (`map_blocks`, `map_overlap`, `reduction`) and NumPy's
(`apply_along_axis`); what is computed is computed now.

Nothing here is imported before it is used.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from .._engine.imports import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor
    from typing import Literal

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .failures import BlockFailure

__all__ = ["BlockFailure", "apply_along_axis", "map_blocks", "map_overlap", "reduction"]


if not TYPE_CHECKING:  # or every name would be there

    def __getattr__(name: str) -> Any:
        if name == "BlockFailure":
            with importing:
                from .failures import BlockFailure

            return BlockFailure
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _calls() -> Any:
    """What makes the calls. Kept: late at exit nothing can be imported, not even once more."""
    with importing:
        from . import calls

    return calls


def map_blocks(
    func: Callable[..., Any],
    *arrays: ArrayLike,
    block_axis: int = 0,
    block_size: int | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    drop_axis: int | Sequence[int] | None = None,
    new_axis: int | Sequence[int] | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
    errors: Literal["raise", "collect"] = "raise",
    **kwargs: Any,
) -> Any:
    """Apply a function to blocks of arrays, on all cores.

    Parameters
    ----------
    func : callable
        Called with the same block of each array, and `kwargs`. It returns an array with as many elements along the
        axis as the block has.
    *arrays : array_like
        Arrays that broadcast together. One that has no such axis, or a single element along it, is passed whole.
    block_axis : int, default: 0
        The axis along which blocks are cut, of the arrays broadcast together.
    block_size : int, optional
        Number of elements along the axis in a block. By default blocks of threads stay in a core's own cache; on an
        executor there are 32 to 256 of them.
    dtype : dtype_like, optional
        Of the result. By default that of the first block, and then all must have it.
    out : ndarray, optional
        Where the result is written to; it may be one of the arrays. Workers of `allcores.futures.ProcessPoolExecutor`
        write straight to one that is shared (`allcores.shared_empty`).
    drop_axis : int or sequence of int, optional
        Axes that the function loses.
    new_axis : int or sequence of int, optional
        Axes of the result that the function makes.
    executor : concurrent.futures.Executor, optional
        Where blocks are computed: a process pool for functions that hold the GIL. By default on threads.
    workers : int, optional
        Number of threads; with an executor, of tasks in flight (by default twice as many as it has workers).
    progress : bool or callable, default: False
        True: a bar of tqdm (extra ``progress``). A callable gets the number of blocks done and of all, in this thread.
    errors : {"raise", "collect"}, default: "raise"
        What to do when the function raises. "raise": blocks that have not begun are cancelled, and the exception of
        the first one that failed is raised, with a note that names it. "collect": go on, and return the exceptions too.
    **kwargs
        Passed to the function. Arrays among them are passed whole.

    Returns
    -------
    ndarray
        The results of the blocks side by side. With an `allcores.futures.ProcessPoolExecutor` it is in shared memory.
    list of BlockFailure
        With ``errors="collect"``: a tuple of the result and of what failed. Failed blocks are NaN, NaT, masked or zero
        (in an `out` that was given: as they were); if all have failed, the result is `out`, or None.

    See Also
    --------
    map_overlap : Where a block needs its neighbours' elements.
    reduction : Where blocks become one value.
    allcores.submit : The same in the background.

    Notes
    -----
    Blocks depend on the shapes of the arrays and on `block_size` alone, and the result does not depend on `workers`.

    A function with a parameter ``block_id`` gets the block's number in a tuple with an element for each axis, and one
    with a parameter ``block_info`` a dict that has for the position of each array its ``shape``, ``num-chunks``,
    ``array-location`` and ``chunk-location``, as in dask.array.

    `workers` are those of the whole call: calls of allcores in the function run in the thread that calls them where
    several blocks are computed at a time, and with no more than `workers` where it is one.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> a, b = np.arange(6.0), np.ones(6)
    >>> ac.map_blocks(lambda a, b: np.sqrt(a * a + b * b) * np.exp(-a), a, b).round(3)
    array([1.   , 0.52 , 0.303, 0.157, 0.076, 0.034])
    >>> ac.map_blocks(np.sort, [[3, 1, 2], [6, 5, 4]], axis=1)
    array([[1, 2, 3],
           [4, 5, 6]])
    """
    calls = _calls()
    with calls.how(executor, workers, progress, errors) as how:
        return calls.map_blocks(func, arrays, kwargs, block_axis, block_size, drop_axis, new_axis, dtype, out, how)


def map_overlap(
    func: Callable[..., Any],
    x: ArrayLike,
    depth: Any,
    boundary: Any = None,
    trim: bool = True,
    *,
    block_axis: int = 0,
    block_size: int | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    drop_axis: int | Sequence[int] | None = None,
    new_axis: int | Sequence[int] | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
    errors: Literal["raise", "collect"] = "raise",
    **kwargs: Any,
) -> Any:
    """Apply a function to blocks of an array that overlap, on all cores.

    Parameters
    ----------
    func : callable
        Called with a block that has `depth` elements of its neighbours on either side, and `kwargs`.
    x : array_like
        The array.
    depth : int, tuple or dict
        How many elements of its neighbours a block gets, on either side: for all axes, for each one, or for those that
        are keys. Where the sides differ: a tuple (before, after) for an axis.
    boundary : str, number, tuple or dict, optional
        What is beyond the ends of the array: "reflect" (the last elements, in reverse), "periodic" (the other end),
        "nearest" (the last element), a number, or "none": nothing, which is the default. A tuple or dict for several
        axes.
    trim : bool, default: True
        Whether results have the elements of neighbours too, which are then cut off.
    block_axis, block_size, dtype, out, drop_axis, new_axis, executor, workers, progress, errors
        As in `map_blocks`.
    **kwargs
        Passed to the function.

    Returns
    -------
    ndarray
        The results of the blocks side by side; with ``errors="collect"`` a tuple, as in `map_blocks`.

    See Also
    --------
    map_blocks : Without overlap.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> x = np.array([1.0, 1, 2, 3, 3, 3, 2, 1, 1])
    >>> ac.map_overlap(lambda x: x - np.roll(x, 1), x, 1, boundary=0, block_size=5)
    array([ 1.,  0.,  1.,  1.,  0.,  0., -1., -1.,  0.])
    """
    calls = _calls()
    with calls.how(executor, workers, progress, errors) as how:
        return calls.map_overlap(
            func, x, depth, boundary, trim, kwargs, block_axis, block_size, drop_axis, new_axis, dtype, out, how
        )


def reduction(
    x: ArrayLike,
    chunk: Callable[..., Any],
    aggregate: Callable[..., Any],
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    dtype: DTypeLike | None = None,
    split_every: int | dict[int, int] | None = None,
    combine: Callable[..., Any] | None = None,
    *,
    concatenate: bool = True,
    block_axis: int = 0,
    block_size: int | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
) -> Any:
    """Reduce an array by functions of your own, on all cores.

    Parameters
    ----------
    x : array_like
        The array.
    chunk : callable
        Called as ``chunk(block, axis=axis, keepdims=True)`` for each block, on a thread or in the executor.
    aggregate : callable
        Called once as ``aggregate(partials, axis=axis, keepdims=keepdims)``: it makes the result of what `chunk` or
        `combine` gave.
    axis : int or sequence of int, optional
        Axes that are reduced; by default all. The functions get a tuple.
    keepdims : bool, default: False
        Whether reduced axes stay, with length 1.
    dtype : dtype_like, optional
        Of the result; by default what `aggregate` returns.
    split_every : int or dict, optional
        At most so many partial results are put together at a time; 16 by default. A dict has axes as keys.
    combine : callable, optional
        Called as ``combine(partials, axis=axis, keepdims=True)`` where there are more than `split_every` partial
        results; by default `aggregate`.
    concatenate : bool, default: True
        Whether partial results are arrays, which are put together along the axis. If not, `combine` and `aggregate`
        get a list.
    block_axis, block_size, executor, workers, progress
        As in `map_blocks`. Where the axis is not one that is reduced, each block is aggregated where it is computed.

    Returns
    -------
    ndarray or scalar
        What `aggregate` gave.

    Notes
    -----
    Partial results are put together in order, in groups that depend on `split_every` alone: the result does not depend
    on `workers`. This happens in the calling thread.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> x = np.arange(10.0).reshape(5, 2)
    >>> ac.reduction(x, np.sum, np.sum, axis=0, block_size=2)
    array([20., 25.])
    """
    calls = _calls()
    with calls.how(executor, workers, progress) as how:
        return calls.reduction(
            x, chunk, aggregate, axis, keepdims, dtype, split_every, combine, concatenate, block_axis, block_size, how
        )


def apply_along_axis(
    func1d: Callable[..., Any],
    axis: int,
    arr: ArrayLike,
    *args: Any,
    block_size: int | None = None,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool | Callable[[int, int], object] = False,
    **kwargs: Any,
) -> Any:
    """Apply a function to the lines of an array along one axis, on all cores.

    Parameters
    ----------
    func1d : callable
        Called with each line, `args` and `kwargs`. The first result says what shape and dtype all of them have.
    axis : int
        The axis of the lines.
    arr : array_like
        The array.
    *args
        Passed to the function.
    block_size : int, optional
        A block is so many elements of the longest other axis.
    executor, workers, progress
        As in `map_blocks`. A function in plain Python needs a process pool as its executor.
    **kwargs
        Passed to the function.

    Returns
    -------
    ndarray
        What `numpy.apply_along_axis` returns: the axis has become those of the function's results.

    Notes
    -----
    The function is called once more for the first line. Subclasses of ndarray are left to NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.apply_along_axis(np.median, 1, [[3.0, 1.0, 2.0], [6.0, 5.0, 7.0]])
    array([2., 6.])
    """
    calls = _calls()
    with calls.how(executor, workers, progress) as how:
        return calls.apply_along_axis(func1d, axis, arr, args, kwargs, block_size, how)
