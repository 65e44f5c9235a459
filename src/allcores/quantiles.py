"""Medians and quantiles under NumPy's names, on all cores.

Each takes what NumPy's function takes, ``workers=`` and ``executor=``. Inputs are array-likes as `numpy.asarray` takes
them, pandas and xarray objects among them; results are ndarrays or NumPy scalars. Compiled for bool, all integer
widths, float32 and float64, in any layout; float16 and other byte orders are searched as a copy in a wider or native
dtype. Masked arrays and other subclasses of ndarray, and dtypes without a kernel (object, complex, longdouble,
datetime64), get NumPy's own answer.

Elements are picked exactly, and what is computed of them follows NumPy's order of operations: the same bits as NumPy's
where NumPy has no integer overflow, and positive zeros. The input is never changed, whatever `overwrite_input` says.

Memory: at most 16 MB, and some times the size of the result, for arrays that are reduced along one axis or along
several that adjoin in memory; otherwise one copy of the input more. With weights: 3 MB a worker for lines of up to
65,536 elements, and 26 bytes an element of the longest line beyond; one copy of the input more where the kept axes do
not adjoin.

Weights are added in the order of the elements, equal ones by position. NumPy 2.0 does so, too; later versions add
those of equal elements in any order, so that a sum may differ in its last bit. An executor leaves weighted
quantiles to NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._engine.arguments import NoValue
from ._families import quantiles as _quantiles
from .executor import on

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike, NDArray

    Axis = int | tuple[int, ...] | None

__all__: list[str] = [
    "median",
    "nanmedian",
    "nanpercentile",
    "nanquantile",
    "percentile",
    "quantile",
]


def median(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Median of elements over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        float64 for integers, else the dtype of `a`. NaN where there is a NaN.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    A sample says between which two elements the middle must be, and one pass keeps what lies between [1]_. Short lines
    are sorted side by side. The time is linear in the number of elements, whatever their order: where samples mislead,
    the range of values is halved instead.

    References
    ----------
    .. [1] R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Communications of the ACM 18 (1975),
           165-172.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.median(np.array([[10, 7, 4], [3, 2, 1]]), axis=0)
    array([6.5, 4.5, 2.5])
    """
    return on(executor, _quantiles.median, "median", a, axis, out, keepdims, workers)


def nanmedian(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    keepdims: bool = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Median of elements over the given axes, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of any shape.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        float64 for integers, else the dtype of `a`. NaN where there is nothing else.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Warns
    -----
    RuntimeWarning
        If there is nothing but NaN to reduce, once a call.

    Notes
    -----
    A sample says between which two elements the middle must be, and one pass keeps what lies between [1]_. Short lines
    are sorted side by side. The time is linear in the number of elements, whatever their order: where samples mislead,
    the range of values is halved instead.

    References
    ----------
    .. [1] R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Communications of the ACM 18 (1975),
           165-172.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanmedian(np.array([[10.0, np.nan, 4.0], [3.0, 2.0, 1.0]]), axis=1)
    array([7., 2.])
    """
    return on(executor, _quantiles.median, "nanmedian", a, axis, out, keepdims, workers)


def quantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Quantiles of elements over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape, of real numbers.
    q : array_like
        Quantiles: numbers from 0 to 1, of at most two dimensions.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    method : str, optional
        How to estimate what lies between two elements: one of those of `numpy.quantile`.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    weights : array_like, optional
        Weights of the elements, with ``method="inverted_cdf"``: of the shape of `a`, or of its reduced axes.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The shape of `q`, if it has any, then the kept axes. The dtype is NumPy's: for integers float64, or their own
        where `method` picks elements. NaN where there is a NaN.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `q` or `workers` is out of bounds, or `method` is unknown.

    Notes
    -----
    A sample says between which elements the quantiles must be, and one pass keeps what lies between, for all of them at
    once. Short lines are sorted side by side. See `median`.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.quantile(np.array([3.0, 1.0, 2.0, 4.0]), [0.25, 1.0])
    array([1.75, 4.  ])
    """
    return on(executor, _quantiles.quantile, "quantile", a, q, axis, out, method, keepdims, weights, workers)


def percentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: ArrayLike | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Percentiles of elements over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape, of real numbers.
    q : array_like
        Percentages: numbers from 0 to 100, of at most two dimensions.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    method : str, optional
        How to estimate what lies between two elements: one of those of `numpy.quantile`.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    weights : array_like, optional
        Weights of the elements, with ``method="inverted_cdf"``: of the shape of `a`, or of its reduced axes.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The shape of `q`, if it has any, then the kept axes. The dtype is NumPy's: for integers float64, or their own
        where `method` picks elements. NaN where there is a NaN.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `q` or `workers` is out of bounds, or `method` is unknown.

    Notes
    -----
    A sample says between which elements the quantiles must be, and one pass keeps what lies between, for all of them at
    once. Short lines are sorted side by side. See `median`.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.percentile(np.array([[10, 7, 4], [3, 2, 1]]), 50, axis=1)
    array([7., 2.])
    """
    return on(
        executor,
        _quantiles.quantile,
        "percentile",
        a,
        q,
        axis,
        out,
        method,
        keepdims,
        weights,
        workers,
    )


def nanquantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = NoValue,
    *,
    weights: ArrayLike | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Quantiles of elements over the given axes, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of any shape, of real numbers.
    q : array_like
        Quantiles: numbers from 0 to 1, of at most two dimensions.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    method : str, optional
        How to estimate what lies between two elements: one of those of `numpy.quantile`.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    weights : array_like, optional
        Weights of the elements, with ``method="inverted_cdf"``: of the shape of `a`, or of its reduced axes.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The shape of `q`, if it has any, then the kept axes. The dtype is NumPy's: for integers float64, or their own
        where `method` picks elements. NaN where there is nothing else.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `q` or `workers` is out of bounds, or `method` is unknown.

    Warns
    -----
    RuntimeWarning
        If there is nothing but NaN to reduce, once a call.

    Notes
    -----
    A sample says between which elements the quantiles must be, and one pass keeps what lies between, for all of them at
    once. Short lines are sorted side by side. See `median`.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanquantile(np.array([3.0, np.nan, 2.0, 4.0]), 0.5)
    np.float64(3.0)
    """
    return on(
        executor,
        _quantiles.quantile,
        "nanquantile",
        a,
        q,
        axis,
        out,
        method,
        keepdims,
        weights,
        workers,
    )


def nanpercentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = NoValue,
    *,
    weights: ArrayLike | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Percentiles of elements over the given axes, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of any shape, of real numbers.
    q : array_like
        Percentages: numbers from 0 to 100, of at most two dimensions.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype.
    overwrite_input : bool, optional
        For compatibility: the input is never changed.
    method : str, optional
        How to estimate what lies between two elements: one of those of `numpy.quantile`.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    weights : array_like, optional
        Weights of the elements, with ``method="inverted_cdf"``: of the shape of `a`, or of its reduced axes.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The shape of `q`, if it has any, then the kept axes. The dtype is NumPy's: for integers float64, or their own
        where `method` picks elements. NaN where there is nothing else.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `q` or `workers` is out of bounds, or `method` is unknown.

    Warns
    -----
    RuntimeWarning
        If there is nothing but NaN to reduce, once a call.

    Notes
    -----
    A sample says between which elements the quantiles must be, and one pass keeps what lies between, for all of them at
    once. Short lines are sorted side by side. See `median`.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanpercentile(np.array([[10.0, np.nan], [3.0, 2.0]]), [0, 100], axis=0)
    array([[ 3.,  2.],
           [10.,  2.]])
    """
    return on(
        executor,
        _quantiles.quantile,
        "nanpercentile",
        a,
        q,
        axis,
        out,
        method,
        keepdims,
        weights,
        workers,
    )
