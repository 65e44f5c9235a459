"""Sorting, the order of elements, ranks, distinct values and searching, on all cores.

NumPy's functions with ``workers=``, and bottleneck's `rankdata` and `nanrankdata`. Inputs are array-likes as
`numpy.asarray` takes them, pandas and xarray objects among them; subclasses of ndarray get NumPy's own function, and
so do dtypes without a kernel (float16, complex, times, strings, objects). Compiled are bool, all integer widths,
float32 and float64, in any layout and byte order.

Every sort is stable, whatever its `kind`: NaN comes last, -0.0 and 0.0 are equal and keep their order. So the result
is one, and the same bits for any number of workers. (The sign and payload of NaN are not kept.)

Memory: one copy of the elements beside the result while a line of more than 65,536 elements is sorted, and 2 bytes an
element more where positions are asked for. For shorter lines 33 bytes an element of the longest one, or 256 KiB, for
each worker; 17 bytes an element of up to 16 columns where columns are sorted. Elements in the other byte order are
sorted as a copy, and their sorted copy is turned back into one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

import numpy as np

from ._families import sorting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Scalar = TypeVar("Scalar", bound=np.generic)

__all__: list[str] = [
    "argsort",
    "lexsort",
    "nanrankdata",
    "rankdata",
    "searchsorted",
    "sort",
    "unique",
    "unique_counts",
    "unique_values",
]


@overload
def sort(
    a: NDArray[Scalar],
    axis: int | None = -1,
    kind: str | None = None,
    order: str | Sequence[str] | None = None,
    *,
    stable: bool | None = None,
    descending: bool | None = None,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> NDArray[Scalar]: ...
@overload
def sort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: str | Sequence[str] | None = None,
    *,
    stable: bool | None = None,
    descending: bool | None = None,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> NDArray[Any]: ...
def sort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: str | Sequence[str] | None = None,
    *,
    stable: bool | None = None,
    descending: bool | None = None,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> NDArray[Any]:
    """Sort along an axis.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension.
    axis : int or None, optional
        Along which axis; None: of the flattened array.
    kind : {'quicksort', 'mergesort', 'heapsort', 'stable'}, optional
        All of them are stable here.
    order : str or list of str, optional
        Fields by which to sort a structured array.
    stable : bool, optional
        As `kind`, of which only one may be given.
    descending : bool, optional
        The greatest first, equal elements in order of position, NaN last; not together with `kind`. As in NumPy 2.5,
        which dtypes without a kernel need for it.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad. ``out=a`` sorts in place.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray
        A sorted copy, of a's dtype and shape; with `out`, that.

    Notes
    -----
    By radix, after a look whether there is anything to do: see docs/architecture/sorting.md. Where NumPy has vectors
    for them, it sorts lines of 32 elements and more, and with AVX-512 the parts of long lines. Long lines that ascend
    or descend are read once. Integers of one or two bytes are counted. In place there is one copy of a long line
    beside `a`; with `descending` one of all elements.

    References
    ----------
    .. [1] numpy.sort, https://numpy.org/doc/stable/reference/generated/numpy.sort.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.sort([[3, 1, 2], [9, 8, 7]])
    array([[1, 2, 3],
           [7, 8, 9]])
    """
    return sorting.sort(a, axis, kind, order, stable, descending, out, workers)  # type: ignore[no-any-return]


def argsort(
    a: ArrayLike,
    axis: int | None = -1,
    kind: str | None = None,
    order: str | Sequence[str] | None = None,
    *,
    stable: bool | None = None,
    descending: bool | None = None,
    workers: int | None = None,
) -> NDArray[np.intp]:
    """Positions that would sort an array.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension.
    axis : int or None, optional
        Along which axis; None: of the flattened array.
    kind : {'quicksort', 'mergesort', 'heapsort', 'stable'}, optional
        All of them give the stable permutation here.
    order : str or list of str, optional
        Fields by which to sort a structured array.
    stable : bool, optional
        As `kind`, of which only one may be given.
    descending : bool, optional
        The greatest first, equal elements in order of position, NaN last; not together with `kind`. As in NumPy 2.5,
        which dtypes without a kernel need for it.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray of intp
        Positions along the axis; equal elements in order of position.

    References
    ----------
    .. [1] numpy.argsort, https://numpy.org/doc/stable/reference/generated/numpy.argsort.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.argsort([3.0, 1.0, 1.0])
    array([1, 2, 0])
    """
    return sorting.argsort(a, axis, kind, order, stable, descending, workers)  # type: ignore[no-any-return]


def lexsort(keys: Any, axis: int = -1, *, workers: int | None = None) -> NDArray[np.intp]:
    """Positions that would sort by several keys, the last of which counts most.

    Parameters
    ----------
    keys : sequence of array_like, or ndarray
        Keys of one shape; or an array with the keys along its first axis.
    axis : int, optional
        Along which axis of the keys.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray of intp
        Positions along the axis.

    References
    ----------
    .. [1] numpy.lexsort, https://numpy.org/doc/stable/reference/generated/numpy.lexsort.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.lexsort(([1, 5, 1, 4], [2, 1, 1, 2]))
    array([2, 1, 0, 3])
    """
    return sorting.lexsort(keys, axis, workers)  # type: ignore[no-any-return]


def rankdata(
    a: ArrayLike,
    axis: int | None = None,
    *,
    method: str = "average",
    nan_policy: str | None = None,
    workers: int | None = None,
) -> NDArray[np.float64]:
    """Ranks of the elements, from 1.

    Parameters
    ----------
    a : array_like
        Input.
    axis : int or None, optional
        Along which axis; None: of the flattened array.
    method : {'average', 'min', 'max', 'dense', 'ordinal'}, optional
        The rank of equal elements: the mean, the least or the greatest of those they take together; the least, where
        the next greater elements follow without a gap; or each its own, in order of position.
    nan_policy : {'propagate', 'omit', 'raise'}, optional
        As in `scipy.stats.rankdata`: where there is a NaN, all along the axis is NaN; NaN has no rank; or an error.
        None, as in bottleneck: NaN comes last, each with its own rank. NaT, missing strings and what is masked are
        NaN, too.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray of float64
        Ranks in a's shape, flattened if `axis` is None.

    References
    ----------
    .. [1] bottleneck.rankdata, https://bottleneck.readthedocs.io/en/latest/reference.html
    .. [2] scipy.stats.rankdata, https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.rankdata.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.rankdata([0, 2, 3, 2])
    array([1. , 2.5, 4. , 2.5])
    >>> ac.rankdata([0, 2, 3, 2], method="dense")
    array([1., 2., 3., 2.])
    """
    return sorting.rank(a, axis, method, nan_policy, workers)


def nanrankdata(
    a: ArrayLike,
    axis: int | None = None,
    *,
    method: str = "average",
    nan_policy: str | None = "omit",
    workers: int | None = None,
) -> NDArray[np.float64]:
    """Ranks of the elements, from 1; NaN has none.

    Parameters
    ----------
    a : array_like
        Input.
    axis : int or None, optional
        Along which axis; None: of the flattened array.
    method : {'average', 'min', 'max', 'dense', 'ordinal'}, optional
        The rank of equal elements, as in `rankdata`.
    nan_policy : {'omit', 'propagate', 'raise'}, optional
        As in `rankdata`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray of float64
        Ranks in a's shape, flattened if `axis` is None; NaN for NaN.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanrankdata([np.nan, 5.0, 4.0])
    array([nan,  2.,  1.])
    """
    return rankdata(a, axis, method=method, nan_policy=nan_policy, workers=workers)


def searchsorted(
    a: ArrayLike,
    v: ArrayLike,
    side: str = "left",
    sorter: ArrayLike | None = None,
    *,
    workers: int | None = None,
) -> Any:
    """Where elements would be put into a sorted array to keep it in order.

    Parameters
    ----------
    a : 1-D array_like
        In ascending order, or by `sorter`.
    v : array_like
        What is to be put into it.
    side : {'left', 'right'}, optional
        Before elements that are equal, or after them.
    sorter : 1-D array_like, optional
        Positions that sort `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    int or ndarray of intp
        Positions in v's shape.

    References
    ----------
    .. [1] numpy.searchsorted, https://numpy.org/doc/stable/reference/generated/numpy.searchsorted.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.searchsorted([11, 12, 13, 14, 15], [-10, 20, 12, 13])
    array([0, 5, 1, 2])
    """
    return sorting.searchsorted(a, v, side, sorter, workers)


@overload
def unique(
    ar: NDArray[Scalar],
    return_index: Literal[False] = False,
    return_inverse: Literal[False] = False,
    return_counts: Literal[False] = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> NDArray[Scalar]: ...
@overload
def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> Any: ...
def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> Any:
    """The different elements, in order.

    Parameters
    ----------
    ar : array_like
        Input.
    return_index, return_inverse, return_counts : bool, optional
        Whether to return where each of them occurs first in the flattened array, which of them each element is, and how
        often each occurs.
    axis : int or None, optional
        None: of the flattened array. Along an axis, NumPy's own function answers.
    equal_nan : bool, optional
        Whether all NaN are one.
    sorted : bool, optional
        They are in order in any case.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray, or tuple of ndarray
        The different elements: of equal zeros, the first one. Then what else was asked for.

    References
    ----------
    .. [1] numpy.unique, https://numpy.org/doc/stable/reference/generated/numpy.unique.html

    Examples
    --------
    >>> import allcores as ac
    >>> ac.unique([3, 1, 3], return_counts=True)
    (array([1, 3]), array([1, 2]))
    """
    return sorting.unique(ar, return_index, return_inverse, return_counts, axis, equal_nan, sorted, workers)


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: NDArray[Any]
    counts: NDArray[np.intp]


@overload
def unique_values(x: NDArray[Scalar], /, *, workers: int | None = None) -> NDArray[Scalar]: ...
@overload
def unique_values(x: ArrayLike, /, *, workers: int | None = None) -> NDArray[Any]: ...
def unique_values(x: ArrayLike, /, *, workers: int | None = None) -> NDArray[Any]:
    """The different elements, in order; each NaN is another.

    Parameters
    ----------
    x : array_like
        Input.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray
        One-dimensional.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.unique_values([3, 1, 3])
    array([1, 3])
    """
    return unique(x, equal_nan=False, workers=workers)  # type: ignore[no-any-return]


def unique_counts(x: ArrayLike, /, *, workers: int | None = None) -> UniqueCounts:
    """The different elements, in order, and how often each occurs; each NaN is another.

    Parameters
    ----------
    x : array_like
        Input.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    UniqueCounts
        A named tuple of `values` and `counts`.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.unique_counts([3, 1, 3]).counts
    array([1, 2])
    """
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False, workers=workers))
