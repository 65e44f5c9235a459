"""Gaps filled, values replaced, and exponentially weighted statistics, on all cores.

`push` and `replace` are bottleneck's; `ffill`, `bfill` and the exponential family are numbagg's, with ``out=`` and
``workers=``. Inputs are array-likes as `numpy.asarray` takes them, pandas and xarray objects among them; results are
ndarrays of the input's shape.

In the exponential family an element i steps before the last one counts with the weight (1 - alpha)**i, where alpha
may differ from element to element. NaN is missing: it counts for nothing, but time passes. In a gap counts and sums
decay to 0, while means, variances, covariances and correlations stay what they are, however long it is: these are
relative to weights of which only the ratios matter. An infinity stays, as nothing is ever quite forgotten; except by
an `alpha` of 1, which begins anew: before that element nothing has weight, and where it is missing there is no mean
and no variance.

Compiled for bool, all integer widths, float32 and float64, in any layout; other dtypes are converted, and masked
elements become NaN (quantities are refused, as results have no unit). Float32 is computed in float64, and so are
integers, of which those beyond 2**53 are rounded first: subtract one of them from time stamps in nanoseconds. What
fills gaps or replaces values never computes with elements, and integers stay what they are. Truth values among which
some are missing (pandas, pyarrow, polars) become float64 with NaN, as missing numbers do.

Many series are computed side by side. A few long ones are cut into leaves of 512 elements, each begun with nothing,
and what comes before is added by its decay. Counts, sums and means of one `alpha`, without `min_weight`, take four
elements of a series at a time. How depends on the arguments, the number of series, their length and their order in
memory alone: the same bits for any number of workers.

Of a lazy source (`allcores.open`) one piece after the other is computed along the axis, and what is known of each
series goes from one to the next.

Memory: the result, and less than one MiB for each worker; 0.1 to 0.2 bytes for each element of long series besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ._families import scans
from .executor import sent

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from numpy import generic
    from numpy.typing import ArrayLike, NDArray

    Scalar = TypeVar("Scalar", bound=generic)
    Floats = NDArray[Any]

__all__: list[str] = [
    "bfill",
    "ffill",
    "move_exp_nancorr",
    "move_exp_nancount",
    "move_exp_nancov",
    "move_exp_nanmean",
    "move_exp_nanstd",
    "move_exp_nansum",
    "move_exp_nanvar",
    "push",
    "replace",
]


def push(
    a: ArrayLike,
    n: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Fill gaps with the last number before them, at most `n` elements far.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source. Integers and bools have no gaps.
    n : int, optional
        How far a number is taken, in elements; None: to the end of the gap.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        A copy of `a`, of the same dtype, with gaps filled. Elements are moved, never computed with.

    Raises
    ------
    ValueError
        If `n` is negative, `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is neither of numbers nor of times.

    Notes
    -----
    The same as `ffill`, under bottleneck's name.

    Memory: the result. A series that is cut into chunks is looked at twice where it has gaps at their borders: from the
    border back to the last number, so that no element is read more than twice, even in a series of NaN alone. Compiled
    for float32 and float64; float16, longdouble, complex numbers and times (NaT) are filled by NumPy on one core,
    some 100,000 elements at a time.

    References
    ----------
    .. [1] bottleneck.push, https://bottleneck.readthedocs.io/en/latest/reference.html

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.push([np.nan, 1.0, np.nan, np.nan, 4.0], 1)
    array([nan,  1.,  1., nan,  4.])
    """
    call = scans.fill if executor is None else sent(executor, scans.fill)
    return call("n", a, n, axis, out, workers)


def ffill(
    a: ArrayLike,
    limit: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Fill gaps with the last number before them, at most `limit` elements far.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source. Integers and bools have no gaps.
    limit : int, optional
        How far a number is taken, in elements; None: to the end of the gap.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        A copy of `a`, of the same dtype, with gaps filled. Elements are moved, never computed with.

    Raises
    ------
    ValueError
        If `limit` is negative, `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is neither of numbers nor of times.

    Notes
    -----
    As numbagg's, and `pandas.Series.ffill`, but for a limit of 0, which fills nothing and which pandas does not take.

    Memory: the result. A series that is cut into chunks is looked at twice where it has gaps at their borders: from the
    border back to the last number, so that no element is read more than twice, even in a series of NaN alone. Compiled
    for float32 and float64; float16, longdouble, complex numbers and times (NaT) are filled by NumPy on one core,
    some 100,000 elements at a time.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.ffill([np.nan, 1.0, np.nan, np.nan, 4.0])
    array([nan,  1.,  1.,  1.,  4.])
    """
    call = scans.fill if executor is None else sent(executor, scans.fill)
    return call("limit", a, limit, axis, out, workers)


def bfill(
    a: ArrayLike,
    limit: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Fill gaps with the first number after them, at most `limit` elements far.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source. Integers and bools have no gaps.
    limit : int, optional
        How far a number is taken, in elements; None: to the end of the gap.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        A copy of `a`, of the same dtype, with gaps filled. Elements are moved, never computed with.

    Raises
    ------
    ValueError
        If `limit` is negative, `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is neither of numbers nor of times.

    Notes
    -----
    As numbagg's, and `pandas.Series.bfill`, but for a limit of 0, which fills nothing and which pandas does not take.

    Memory: the result. A series that is cut into chunks is looked at twice where it has gaps at their borders: from the
    border back to the last number, so that no element is read more than twice, even in a series of NaN alone. Compiled
    for float32 and float64; float16, longdouble, complex numbers and times (NaT) are filled by NumPy on one core,
    some 100,000 elements at a time.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> ac.bfill([np.nan, 1.0, np.nan, np.nan, 4.0], limit=1)
    array([ 1.,  1., nan,  4.,  4.])
    """
    call = scans.fill if executor is None else sent(executor, scans.fill)
    return call("limit", a, limit, axis, out, workers, backwards=True)


def replace(a: NDArray[Scalar], old: float, new: float, *, workers: int | None = None) -> NDArray[Scalar]:
    """Replace a value by another, in place.

    Parameters
    ----------
    a : ndarray
        The array to change, in any layout.
    old : scalar
        What to replace. NaN replaces all NaN; -0.0 and 0.0 are equal; True is 1, and no other number.
    new : scalar
        What to put there.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.

    Returns
    -------
    ndarray
        `a` itself.

    Raises
    ------
    TypeError
        If `a` is no ndarray, or `old` or `new` is no number.
    ValueError
        If `a` is of integers and does not have `old` or `new`, is read-only (bottleneck writes to it nevertheless), or
        `workers` is out of bounds.

    Notes
    -----
    In an array of integers there is no NaN to replace. `old` is rounded to float32 for an array of float32. Nothing is
    allocated, and parts of the array without `old` are only read. An array in the other byte order is replaced in a
    copy, which is then written back. Complex numbers, objects, float16 and longdouble are replaced by NumPy on one
    core, with a mask.

    References
    ----------
    .. [1] bottleneck.replace, https://bottleneck.readthedocs.io/en/latest/reference.html

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> a = np.array([1.0, np.nan, 3.0])
    >>> ac.replace(a, np.nan, 0)
    array([1., 0., 3.])
    """
    return scans.replace(a, old, new, workers)


def move_exp_nancorr(
    a: ArrayLike,
    b: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted correlation of two series, over elements of which neither is NaN.

    Parameters
    ----------
    a, b : array_like
        Input of at least one dimension, broadcast against each other; perhaps lazy sources: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The correlations, between -1 and 1; NaN where one of the series has been constant, or its standard deviation is
        below 1e-150 or above 1e153. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    Means, variances and covariance are updated relative to the sum of weights [2]_, not computed from sums of squares,
    whose digits cancel.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg
    .. [2] D. H. D. West, "Updating mean and variance estimates: an improved method", Communications of the ACM 22
           (1979), 532-535.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nancorr([1.0, 2.0, 4.0], [2.0, 4.0, 8.0], 0.5)
    array([nan,  1.,  1.])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nancorr", (a, b), alpha, min_weight, axis, out, workers)


def move_exp_nancount(
    a: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted number of elements that are not NaN.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The counts. float32 (or float16) if all input is, else float64; float64 for float16 along more than 2048
        elements, which it might not hold, unless there is an `out` of that dtype.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    At most about two roundings of the result for each of the last 1 / alpha elements go into it.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nancount([1.0, 2.0, 4.0], 0.5)
    array([1.  , 1.5 , 1.75])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nancount", (a,), alpha, min_weight, axis, out, workers)


def move_exp_nancov(
    a: ArrayLike,
    b: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted covariance of two series, over elements of which neither is NaN.

    Parameters
    ----------
    a, b : array_like
        Input of at least one dimension, broadcast against each other; perhaps lazy sources: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The covariances; NaN where there is but one element. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    Means and covariance are updated relative to the sum of weights [2]_, not computed from sums of products, whose
    digits cancel. The result is corrected for bias: divided by 1 - sum(weights**2) / sum(weights)**2.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg
    .. [2] D. H. D. West, "Updating mean and variance estimates: an improved method", Communications of the ACM 22
           (1979), 532-535.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nancov([1.0, 2.0, 4.0], [2.0, 4.0, 8.0], 0.5)
    array([nan,  1.,  5.])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nancov", (a, b), alpha, min_weight, axis, out, workers)


def move_exp_nanmean(
    a: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted mean, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The means; NaN where there is no element. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    The quotient of a weighted sum and a weighted count. As `pandas.Series.ewm(alpha=alpha).mean()`.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nanmean([1.0, 2.0, 4.0], 0.5)
    array([1.        , 1.66666667, 3.        ])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nanmean", (a,), alpha, min_weight, axis, out, workers)


def move_exp_nanstd(
    a: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted standard deviation, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The standard deviations; NaN where there is but one element. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    The root of `move_exp_nanvar` [2]_. As `pandas.Series.ewm(alpha=alpha).std()`.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg
    .. [2] D. H. D. West, "Updating mean and variance estimates: an improved method", Communications of the ACM 22
           (1979), 532-535.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nanstd([1.0, 2.0, 4.0], 0.5)
    array([       nan, 0.70710678, 1.58113883])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nanstd", (a,), alpha, min_weight, axis, out, workers)


def move_exp_nansum(
    a: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted sum, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The sums; NaN where there is no element. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    At most about two roundings of the sum of the absolute values for each of the last 1 / alpha elements go into a
    result.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nansum([1.0, 2.0, 4.0], 0.5)
    array([1.  , 2.5 , 5.25])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nansum", (a,), alpha, min_weight, axis, out, workers)


def move_exp_nanvar(
    a: ArrayLike,
    alpha: ArrayLike,
    min_weight: float = 0,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
) -> Floats:
    """Exponentially weighted variance, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    alpha : float or array_like
        How much of what is known is forgotten at each element: between 0 and 1. A number, one for each element of the
        axis, or one for each element of the input.
    min_weight : float, optional
        Between 0 and 1. Where numbers have less weight than this, NaN is the result; all elements together have 1.
    axis : int, optional
        Along which axis.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The variances; NaN where there is but one element. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `alpha`, `min_weight` or `workers` is out of bounds, or `alpha` or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no number, or the input is not of real numbers.

    Notes
    -----
    Mean and variance are updated relative to the sum of weights [2]_, not computed from sums of squares, whose digits
    cancel: never negative, and exactly 0 where all elements are equal. For 1e8 plus noise of variance 1 the error is
    some 4e-9, at most 1e-7, where numbagg has no digit right and many results below 0. The result is corrected for
    bias: divided by 1 - sum(weights**2) / sum(weights)**2. As `pandas.Series.ewm(alpha=alpha).var()`.

    numbagg [1]_ does not check `alpha` and `min_weight`, and takes `alpha` as keyword only. With a number as `alpha` it
    gives float64 for float32.

    References
    ----------
    .. [1] numbagg, https://github.com/numbagg/numbagg
    .. [2] D. H. D. West, "Updating mean and variance estimates: an improved method", Communications of the ACM 22
           (1979), 532-535.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_exp_nanvar([1.0, 2.0, 4.0], 0.5)
    array([nan, 0.5, 2.5])
    """
    call = scans.exponential if executor is None else sent(executor, scans.exponential)
    return call("move_exp_nanvar", (a,), alpha, min_weight, axis, out, workers)
