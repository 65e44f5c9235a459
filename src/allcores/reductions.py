"""Reductions under NumPy's and bottleneck's names, on all cores.

Each takes what NumPy's function takes, ``workers=`` and ``executor=``. Inputs are array-likes as `numpy.asarray` takes
them, pandas and xarray objects among them; results are ndarrays or NumPy scalars. Masked arrays and other subclasses of
ndarray, and dtypes without a kernel (object, complex, longdouble, float16, datetime64), get NumPy's own answer. What
is in the other byte order has the bits of the same numbers in the machine's.

Memory: at most some 16 MB beyond the result, whatever the size, layout and byte order of the input; nothing is copied
whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._engine import doors, settings
from ._engine.arguments import NoValue
from ._families import reductions
from .executor import on

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Axis = int | tuple[int, ...] | None

__all__: list[str] = [
    "all",
    "allnan",
    "any",
    "anynan",
    "argmax",
    "argmin",
    "count_nonzero",
    "max",
    "mean",
    "min",
    "nanargmax",
    "nanargmin",
    "nancount",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "prod",
    "ptp",
    "ss",
    "std",
    "sum",
    "var",
]


def sum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Sum of elements over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result; integers may be summed as float64, and float32 returned as float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        Added to the sum.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Integers give 64-bit integers with wrap-around, floats their own dtype, unless `dtype` says otherwise.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Floats are added in float64, also float32, in a fixed order: blocks of 8 rows of 32 lanes, folded in a binary tree
    that keeps what its additions lose [2]_. The error is at most some 15 rounding errors (32 where the axis is not the
    fastest in memory) of the sum of the absolute values, whatever their number; its root mean square is not larger
    than that of NumPy's pairwise summation [1]_. For float32 the result is the exact sum rounded once in nearly all
    cases. The order depends on shape, dtype and memory order alone.

    References
    ----------
    .. [1] N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14 (1993), 783-799.
    .. [2] D. E. Knuth, "The Art of Computer Programming", vol. 2, section 4.2.2 (the exact error of an addition).

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.sum(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    array([4., 6.])
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.sum(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.total, "sum", a, axis, dtype, out, keepdims, initial, where, workers)


def prod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Product of elements over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result; integers may be multiplied as float64, and float32 returned as float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        Multiplied with the product.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Integers give 64-bit integers with wrap-around, floats their own dtype, unless `dtype` says otherwise.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Floats are multiplied in float64, also float32, in a fixed order: blocks of 8 rows of 32 lanes, folded in a binary
    tree. The order depends on shape, dtype and memory order alone; n factors lose at most some n/2 units in the last
    place of float64.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.prod(np.array([[1, 2], [3, 4]]), axis=1)
    array([ 2, 12])
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.prod(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.total, "prod", a, axis, dtype, out, keepdims, initial, where, workers)


def nansum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Sum of elements over the given axes, NaN counting as zero.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result; integers may be summed as float64, and float32 returned as float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        Added to the sum.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Integers give 64-bit integers with wrap-around, floats their own dtype, unless `dtype` says otherwise.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Floats are added in float64, also float32, in a fixed order: blocks of 8 rows of 32 lanes, folded in a binary tree
    that keeps what its additions lose [2]_. The error is at most some 15 rounding errors (32 where the axis is not the
    fastest in memory) of the sum of the absolute values, whatever their number; its root mean square is not larger
    than that of NumPy's pairwise summation [1]_. For float32 the result is the exact sum rounded once in nearly all
    cases. The order depends on shape, dtype and memory order alone.

    A slice of nothing but NaN sums to 0.0.

    References
    ----------
    .. [1] N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14 (1993), 783-799.
    .. [2] D. E. Knuth, "The Art of Computer Programming", vol. 2, section 4.2.2 (the exact error of an addition).

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nansum(np.array([1.0, np.nan, 3.0]))
    np.float64(4.0)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nansum(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.total, "nansum", a, axis, dtype, out, keepdims, initial, where, workers)


def nanprod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Product of elements over the given axes, NaN counting as one.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result; integers may be multiplied as float64, and float32 returned as float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        Multiplied with the product.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Integers give 64-bit integers with wrap-around, floats their own dtype, unless `dtype` says otherwise.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    See `prod`. The product of nothing but NaN is 1.0.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanprod(np.array([2.0, np.nan, 3.0]))
    np.float64(6.0)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanprod(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.total, "nanprod", a, axis, dtype, out, keepdims, initial, where, workers)


def mean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Arithmetic mean over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The mean; NaN, with a RuntimeWarning, where there is nothing to average.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    The sum of `sum`, divided once: its error bound holds here too.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.mean(np.array([1.0, 3.0]))
    np.float64(2.0)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.mean(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.mean, "mean", a, axis, dtype, out, keepdims, where, workers)


def nanmean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Arithmetic mean over the given axes of what is not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The mean; NaN, with a RuntimeWarning, where there is nothing to average.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    The sum of `nansum`, divided once: its error bound holds here too.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanmean(np.array([1.0, np.nan, 3.0]))
    np.float64(2.0)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanmean(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.mean, "nanmean", a, axis, dtype, out, keepdims, where, workers)


def var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    mean: ArrayLike = NoValue,
    correction: float = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Variance over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    ddof : int or float
        The sum of squares is divided by N - `ddof`, N being the number of elements.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    mean : array_like, optional
        The mean, if it is known: of the result's shape with ``keepdims=True``.
    correction : int or float, optional
        The array API's name for `ddof`; give one of them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The variance; NaN or inf, with a RuntimeWarning, where N - `ddof` is not positive.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1, or `ddof` and `correction` are both given.

    Notes
    -----
    The corrected two-pass algorithm [1]_ over leaves of 4096 elements (or 32 rows), merged in a binary tree by Chan's
    formula [2]_ with means relative to a pivot: the relative error stays near 1e-16 also where the mean is large, as
    on 1e8 plus noise. Results are never negative, and 0 for constant input up to rounding of the mean.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983), 242-247.
    .. [2] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
       variances", COMPSTAT 1982, 30-41.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.var(np.array([1.0, 2.0, 3.0, 4.0]))
    np.float64(1.25)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and mean is NoValue
        and correction is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.var(a, axis, keepdims, None, ddof)
        if small is not None:
            return small
    return on(
        executor, reductions.variance, "var", a, axis, dtype, out, ddof, keepdims, where, mean, correction, workers
    )


def std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    mean: ArrayLike = NoValue,
    correction: float = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Standard deviation over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    ddof : int or float
        The sum of squares is divided by N - `ddof`, N being the number of elements.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    mean : array_like, optional
        The mean, if it is known: of the result's shape with ``keepdims=True``.
    correction : int or float, optional
        The array API's name for `ddof`; give one of them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The standard deviation; NaN or inf, with a RuntimeWarning, where N - `ddof` is not positive.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1, or `ddof` and `correction` are both given.

    Notes
    -----
    The corrected two-pass algorithm [1]_ over leaves of 4096 elements (or 32 rows), merged in a binary tree by Chan's
    formula [2]_ with means relative to a pivot: the relative error stays near 1e-16 also where the mean is large, as
    on 1e8 plus noise. Results are never negative, and 0 for constant input up to rounding of the mean.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983), 242-247.
    .. [2] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
       variances", COMPSTAT 1982, 30-41.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.std(np.array([1.0, 2.0, 3.0, 4.0]))
    np.float64(1.118033988749895)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and mean is NoValue
        and correction is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.std(a, axis, keepdims, None, ddof)
        if small is not None:
            return small
    return on(
        executor, reductions.variance, "std", a, axis, dtype, out, ddof, keepdims, where, mean, correction, workers
    )


def nanvar(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    mean: ArrayLike = NoValue,
    correction: float = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Variance over the given axes of what is not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    ddof : int or float
        The sum of squares is divided by N - `ddof`, N being the number of elements that are not NaN.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    mean : array_like, optional
        The mean, if it is known: of the result's shape with ``keepdims=True``.
    correction : int or float, optional
        The array API's name for `ddof`; give one of them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The variance; NaN or inf, with a RuntimeWarning, where N - `ddof` is not positive.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1, or `ddof` and `correction` are both given.

    Notes
    -----
    The corrected two-pass algorithm [1]_ over leaves of 4096 elements (or 32 rows), merged in a binary tree by Chan's
    formula [2]_ with means relative to a pivot: the relative error stays near 1e-16 also where the mean is large, as
    on 1e8 plus noise. Results are never negative, and 0 for constant input up to rounding of the mean.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983), 242-247.
    .. [2] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
       variances", COMPSTAT 1982, 30-41.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanvar(np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    np.float64(1.25)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and mean is NoValue
        and correction is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanvar(a, axis, keepdims, None, ddof)
        if small is not None:
            return small
    return on(
        executor, reductions.variance, "nanvar", a, axis, dtype, out, ddof, keepdims, where, mean, correction, workers
    )


def nanstd(
    a: ArrayLike,
    axis: Axis = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    ddof: float = 0,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    mean: ArrayLike = NoValue,
    correction: float = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Standard deviation over the given axes of what is not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    dtype : dtype, optional
        dtype of the result: float64 for integers, for floats their own or float64.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    ddof : int or float
        The sum of squares is divided by N - `ddof`, N being the number of elements that are not NaN.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    mean : array_like, optional
        The mean, if it is known: of the result's shape with ``keepdims=True``.
    correction : int or float, optional
        The array API's name for `ddof`; give one of them.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        The standard deviation; NaN or inf, with a RuntimeWarning, where N - `ddof` is not positive.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1, or `ddof` and `correction` are both given.

    Notes
    -----
    The corrected two-pass algorithm [1]_ over leaves of 4096 elements (or 32 rows), merged in a binary tree by Chan's
    formula [2]_ with means relative to a pivot: the relative error stays near 1e-16 also where the mean is large, as
    on 1e8 plus noise. Results are never negative, and 0 for constant input up to rounding of the mean.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis and
       recommendations", The American Statistician 37 (1983), 242-247.
    .. [2] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
       variances", COMPSTAT 1982, 30-41.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanstd(np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    np.float64(1.118033988749895)
    """
    if (
        settings.doors > 0
        and dtype is None
        and out is None
        and where is NoValue
        and mean is NoValue
        and correction is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanstd(a, axis, keepdims, None, ddof)
        if small is not None:
            return small
    return on(
        executor, reductions.variance, "nanstd", a, axis, dtype, out, ddof, keepdims, where, mean, correction, workers
    )


def min(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Minimum over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        A further value to compare with; required with `where`.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Of the dtype of `a`. NaN where there is one.

    Raises
    ------
    ValueError
        If `a` is empty and there is no `initial`, or `where` is given without it; or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal zeros (-0.0 and 0.0) the first in memory is returned.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.min(np.array([[3.0, 1.0], [2.0, 5.0]]), axis=0)
    array([2., 1.])
    """
    if (
        settings.doors > 0
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.min(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.extremum, "min", a, axis, out, keepdims, initial, where, workers)


def max(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Maximum over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        A further value to compare with; required with `where`.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Of the dtype of `a`. NaN where there is one.

    Raises
    ------
    ValueError
        If `a` is empty and there is no `initial`, or `where` is given without it; or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal zeros (-0.0 and 0.0) the first in memory is returned.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.max(np.array([[3.0, 1.0], [2.0, 5.0]]), axis=0)
    array([3., 5.])
    """
    if (
        settings.doors > 0
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.max(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.extremum, "max", a, axis, out, keepdims, initial, where, workers)


def nanmin(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Minimum over the given axes of what is not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        A further value to compare with; required with `where`.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Of the dtype of `a`. NaN, with a RuntimeWarning, where there is nothing but NaN.

    Raises
    ------
    ValueError
        If `a` is empty and there is no `initial`, or `where` is given without it; or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal zeros (-0.0 and 0.0) the first in memory is returned.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanmin(np.array([[3.0, 1.0], [np.nan, 5.0]]), axis=0)
    array([3., 1.])
    """
    if (
        settings.doors > 0
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanmin(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.extremum, "nanmin", a, axis, out, keepdims, initial, where, workers)


def nanmax(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    initial: Any = NoValue,
    where: ArrayLike = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Maximum over the given axes of what is not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    initial : scalar, optional
        A further value to compare with; required with `where`.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Of the dtype of `a`. NaN, with a RuntimeWarning, where there is nothing but NaN.

    Raises
    ------
    ValueError
        If `a` is empty and there is no `initial`, or `where` is given without it; or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal zeros (-0.0 and 0.0) the first in memory is returned.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanmax(np.array([[3.0, 1.0], [np.nan, 5.0]]), axis=0)
    array([3., 5.])
    """
    if (
        settings.doors > 0
        and out is None
        and initial is NoValue
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.nanmax(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.extremum, "nanmax", a, axis, out, keepdims, initial, where, workers)


def ptp(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Range of values (maximum - minimum) over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        Of the dtype of `a`: signed integers wrap around, as in NumPy. NaN where there is one.

    Raises
    ------
    ValueError
        If `a` is empty, or `workers` is zero or less than -1.
    TypeError
        If `a` is of bools, which can't be subtracted.

    Notes
    -----
    One pass over the data.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.ptp(np.array([4.0, 9.0, 2.0]))
    np.float64(7.0)
    """
    if settings.doors > 0 and out is None and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.ptp(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.extent, a, axis, out, keepdims, workers)


def argmin(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[Any] | None = None,
    *,
    keepdims: bool = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Index of the first minimum along an axis.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int or None
        Axis to search; None: the flattened array, in C order.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or intp
        Position along `axis`, or in the flattened array. The first NaN, where there is one.

    Raises
    ------
    ValueError
        If `a` is empty, or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal elements the first counts, -0.0 and 0.0 being equal.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.argmin(np.array([3.0, 1.0, 4.0, 1.0, 4.0]))
    np.int64(1)
    """
    if settings.doors > 0 and out is None and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.argmin(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.position, "argmin", a, axis, out, keepdims, workers)


def argmax(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[Any] | None = None,
    *,
    keepdims: bool = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Index of the first maximum along an axis.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int or None
        Axis to search; None: the flattened array, in C order.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or intp
        Position along `axis`, or in the flattened array. The first NaN, where there is one.

    Raises
    ------
    ValueError
        If `a` is empty, or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal elements the first counts, -0.0 and 0.0 being equal.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.argmax(np.array([3.0, 1.0, 4.0, 1.0, 4.0]))
    np.int64(2)
    """
    if settings.doors > 0 and out is None and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.argmax(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.position, "argmax", a, axis, out, keepdims, workers)


def nanargmin(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[Any] | None = None,
    *,
    keepdims: bool = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Index of the first minimum along an axis, NaN ignored.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int or None
        Axis to search; None: the flattened array, in C order.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or intp
        Position along `axis`, or in the flattened array.

    Raises
    ------
    ValueError
        If `a` is empty or a slice is all NaN, or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal elements the first counts, -0.0 and 0.0 being equal.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanargmin(np.array([3.0, np.nan, 1.0, 4.0, 1.0, 4.0]))
    np.int64(2)
    """
    if settings.doors > 0 and out is None and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.nanargmin(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.position, "nanargmin", a, axis, out, keepdims, workers)


def nanargmax(
    a: ArrayLike,
    axis: int | None = None,
    out: NDArray[Any] | None = None,
    *,
    keepdims: bool = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Index of the first maximum along an axis, NaN ignored.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int or None
        Axis to search; None: the flattened array, in C order.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or intp
        Position along `axis`, or in the flattened array.

    Raises
    ------
    ValueError
        If `a` is empty or a slice is all NaN, or `workers` is zero or less than -1.
    numpy.exceptions.AxisError
        If `axis` is out of bounds.

    Notes
    -----
    Of equal elements the first counts, -0.0 and 0.0 being equal.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nanargmax(np.array([3.0, np.nan, 1.0, 4.0, 1.0, 4.0]))
    np.int64(3)
    """
    if settings.doors > 0 and out is None and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.nanargmax(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.position, "nanargmax", a, axis, out, keepdims, workers)


def any(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Whether any element over the given axes is true.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of bool, or bool
        NaN is true, as it is not zero.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Stops at the first element that settles the answer.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.any(np.array([[True, False], [True, True]]), axis=0)
    array([ True,  True])
    """
    if (
        settings.doors > 0
        and out is None
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.any(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.truth, "any", a, axis, out, keepdims, where, workers)


def all(
    a: ArrayLike,
    axis: Axis = None,
    out: NDArray[Any] | None = None,
    keepdims: bool = NoValue,
    *,
    where: ArrayLike = NoValue,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Whether all elements over the given axes are true.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, and unchanged if an argument is bad.
    keepdims : bool, optional
        Keep the reduced axes, with length one.
    where : array_like of bool, optional
        Elements to include, broadcast to the shape of `a`.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of bool, or bool
        NaN is true, as it is not zero.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Stops at the first element that settles the answer.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.all(np.array([[True, False], [True, True]]), axis=0)
    array([ True, False])
    """
    if (
        settings.doors > 0
        and out is None
        and where is NoValue
        and executor is None
        and (workers is None or settings.is_count(workers))
    ):
        small = doors.all(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.truth, "all", a, axis, out, keepdims, where, workers)


def count_nonzero(
    a: ArrayLike,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Number of elements over the given axes that are not zero.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    keepdims : bool
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or int
        The counts.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.count_nonzero(np.array([[0, 1], [7, 0], [2, 3]]), axis=0)
    array([2, 2])
    """
    if settings.doors > 0 and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.count_nonzero(a, axis, keepdims)
        if small is not None:
            scalar = axis is None and not keepdims and type(small) is not reductions.COUNT_TYPE
            return reductions.COUNT_TYPE(small) if scalar else small
    return on(executor, reductions.count, "count_nonzero", a, axis, keepdims, workers)


def nancount(
    a: ArrayLike,
    axis: Axis = None,
    *,
    keepdims: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Number of elements over the given axes that are not NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    keepdims : bool
        Keep the reduced axes, with length one.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of intp, or intp
        The counts, as numbagg's ``nancount``.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.nancount(np.array([[1.0, np.nan], [2.0, 3.0]]), axis=0)
    array([2, 1])
    """
    if settings.doors > 0 and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.nancount(a, axis, keepdims)
        if small is not None:
            return small
    return on(executor, reductions.count, "nancount", a, axis, keepdims, workers)


def ss(
    a: ArrayLike,
    axis: Axis = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Sum of squares over the given axes.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for bool, all integer widths, float32 and float64, in any layout.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray or scalar
        As bottleneck's ``ss``: integers give 64-bit integers with wrap-around, floats their own dtype.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Added as in `sum`.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.ss(np.array([1.0, 2.0, 3.0]))
    np.float64(14.0)
    """
    if settings.doors > 0 and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.ss(a, axis, False)
        if small is not None:
            return small
    return on(executor, reductions.total, "ss", a, axis, None, None, NoValue, NoValue, NoValue, workers)


def anynan(
    a: ArrayLike,
    axis: Axis = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Whether any element over the given axes is NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of bool, or bool
        As bottleneck's ``anynan``.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Stops at the first element that settles the answer.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.anynan(np.array([[1.0, np.nan], [2.0, np.nan]]), axis=0)
    array([False,  True])
    """
    if settings.doors > 0 and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.anynan(a, axis, False)
        if small is not None:
            return small
    return on(executor, reductions.truth, "anynan", a, axis, None, NoValue, NoValue, workers)


def allnan(
    a: ArrayLike,
    axis: Axis = None,
    *,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Any:
    """Whether all elements over the given axes are NaN.

    Parameters
    ----------
    a : array_like
        Input of any shape. Compiled for float32 and float64, and for bool and integers, which have no NaN.
    axis : int, tuple of int or None
        Axes to reduce; None: all.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray of bool, or bool
        As bottleneck's ``allnan``.

    Raises
    ------
    numpy.exceptions.AxisError
        If `axis` is out of bounds.
    ValueError
        If `workers` is zero or less than -1.

    Notes
    -----
    Stops at the first element that settles the answer.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.allnan(np.array([[1.0, np.nan], [2.0, np.nan]]), axis=0)
    array([False,  True])
    """
    if settings.doors > 0 and executor is None and (workers is None or settings.is_count(workers)):
        small = doors.allnan(a, axis, False)
        if small is not None:
            return small
    return on(executor, reductions.truth, "allnan", a, axis, None, NoValue, NoValue, workers)
