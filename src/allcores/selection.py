"""Partitions under NumPy's names, and the largest or smallest elements, on all cores.

Compiled for bool, all integer widths, float32 and float64, in any layout; float16 and other byte orders are searched
as a copy in a wider or native dtype. `topk` takes masked elements for missing, and no quantities. Masked arrays and
other subclasses of ndarray, and other dtypes (object, complex, longdouble, datetime64), get NumPy's own answer. NaN
comes last, and both zeros are equal.

Results are the same for any number of workers: elements that are equal, or between the same two of those that were
asked for, keep their order. NumPy promises no order there, and has another one.

Memory beyond the result, of `partition` and `argpartition`: up to 10 MB a worker where lines are columns in memory, of
up to 131,072 elements, 3 MB a worker where their elements adjoin; for longer lines some 10 MB in all. `topk`: three
times its indices more. Float16 and other byte orders take a copy of the input more, in the dtype that is searched, and
one of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._families import partitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import generic, intp
    from numpy.typing import ArrayLike, NDArray

    Scalar = TypeVar("Scalar", bound=generic)

__all__: list[str] = ["argpartition", "partition", "topk"]


@overload
def partition(
    a: NDArray[Scalar],
    kth: int | Sequence[int],
    axis: int | None = -1,
    kind: str = "introselect",
    order: str | Sequence[str] | None = None,
    *,
    workers: int | None = None,
) -> NDArray[Scalar]: ...
@overload
def partition(
    a: ArrayLike,
    kth: int | Sequence[int],
    axis: int | None = -1,
    kind: str = "introselect",
    order: str | Sequence[str] | None = None,
    *,
    workers: int | None = None,
) -> NDArray[Any]: ...
def partition(
    a: ArrayLike,
    kth: int | Sequence[int],
    axis: int | None = -1,
    kind: str = "introselect",
    order: str | Sequence[str] | None = None,
    *,
    workers: int | None = None,
) -> NDArray[Any]:
    """A copy of an array in which some elements are where sorting would put them, with smaller ones before them.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    kth : int or sequence of int
        Which positions are to have the elements that they have in the sorted array. Negative ones count from the end.
    axis : int or None
        Along which axis; None: of the flattened array.
    kind : {"introselect"}, optional
        For compatibility.
    order : str or sequence of str, optional
        For structured arrays: NumPy sorts them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray
        The shape and dtype of `a`. What is less than the kth element comes before it, what is equal beside it, what is
        greater after it; within each of these, elements are in their original order.

    Raises
    ------
    ValueError
        If `kth` or `workers` is out of bounds.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.partition(np.array([7, 1, 7, 5, 2, 4]), 2)
    array([1, 2, 4, 7, 7, 5])
    """
    result: NDArray[Any] = partitions.partition("partition", a, kth, axis, kind, order, workers)
    return result


def argpartition(
    a: ArrayLike,
    kth: int | Sequence[int],
    axis: int | None = -1,
    kind: str = "introselect",
    order: str | Sequence[str] | None = None,
    *,
    workers: int | None = None,
) -> NDArray[intp]:
    """The positions of the elements that `partition` returns.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    kth : int or sequence of int
        Which positions are to have the elements that they have in the sorted array. Negative ones count from the end.
    axis : int or None
        Along which axis; None: of the flattened array.
    kind : {"introselect"}, optional
        For compatibility.
    order : str or sequence of str, optional
        For structured arrays: NumPy sorts them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray of intp
        The shape of `a`. Positions in the order of `partition`; those of equal elements ascend.

    Raises
    ------
    ValueError
        If `kth` or `workers` is out of bounds.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.argpartition(np.array([7, 1, 7, 5, 2, 4]), 2)
    array([1, 4, 5, 0, 2, 3])
    """
    result: NDArray[Any] = partitions.partition("argpartition", a, kth, axis, kind, order, workers)
    return result


@overload
def topk(
    a: NDArray[Scalar],
    k: int,
    axis: int | None = -1,
    *,
    largest: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> tuple[NDArray[Scalar], NDArray[intp]]: ...
@overload
def topk(
    a: ArrayLike,
    k: int,
    axis: int | None = -1,
    *,
    largest: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> tuple[NDArray[Any], NDArray[intp]]: ...
def topk(
    a: ArrayLike,
    k: int,
    axis: int | None = -1,
    *,
    largest: bool = True,
    sorted: bool = True,
    workers: int | None = None,
) -> tuple[NDArray[Any], NDArray[intp]]:
    """The k largest or smallest elements along an axis, and where they are.

    Parameters
    ----------
    a : array_like
        Input of any shape, of numbers or times.
    k : int
        How many: from 0 to the length of the axis.
    axis : int or None
        Along which axis; None: of the flattened array.
    largest : bool, optional
        The largest ones, otherwise the smallest ones.
    sorted : bool, optional
        The best first, equal ones by position. Otherwise all that are better than the last one are in the order of
        their positions, then those that equal it.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    values : ndarray
        k elements along the axis.
    indices : ndarray of intp
        Their positions along the axis. Of elements that are equal, those at the lowest positions are taken.

    Raises
    ------
    ValueError
        If `k` or `workers` is out of bounds.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If `k` or `axis` is no integer.

    Notes
    -----
    NaN is neither large nor small: it comes last, where there are fewer than k numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> values, indices = ac.topk(np.array([3.0, np.nan, 7.0, 1.0, 7.0]), 3)
    >>> values
    array([7., 7., 3.])
    >>> indices
    array([2, 4, 0])
    """
    return partitions.topk(a, k, axis, largest, sorted, workers)
