"""Moving windows under bottleneck's names, on all cores.

Each takes what bottleneck's function takes, and ``out=``, ``workers=``, ``executor=`` and ``center=``. Inputs are
array-likes as `numpy.asarray` takes them, pandas and xarray objects among them; results are ndarrays of the input's
shape. Compiled for bool, all integer widths, float16, float32 and float64, in any layout and byte order. Objects that
are integers become these, where int64 or uint64 has them all; other objects that are numbers, and longdouble, become
float64, and so do integers and bools of which some are missing: NaN stands for what is masked, None, NA and, among
numbers, NaT. Quantities are refused, as results have no unit.

The window of output i holds the elements i - window + 1 .. i, or with ``center=True`` as many to the right of i as to
its left (one more to the left where the window is even), as in pandas. NaN is missing, and so is what lies outside of
the series. Where fewer than `min_count` elements are left, the result is NaN.

A window is a function of its own elements: nothing is added and later subtracted again, so an infinity, NaN or huge
number that has left, or is still to come, leaves no trace, and rounding errors don't grow with the length of the
series. Float32 is computed in float64. The order of operations depends on the window and on positions alone: the same
bits for any number of workers.

Integers are never rounded before the result, whatever their size, unless some are missing: order, ranks and positions
are those of the integers themselves, and of their sum, their least, or the mean of the two in the middle the float64
next to it is the result. A mean is that sum divided by the number of elements, and a quantile between two elements is
computed from the two as float64 and from their exact distance. Products, variances, skewness, kurtosis, covariances and
correlations are those of the elements as float64, which above 2**53 has not all integers: time stamps in nanoseconds
lose their last digits, so subtract one of them before.

Counts and positions have the dtype of the input's floats as long as it has all integers up to the window: 2048 for
float16, 16,777,216 for float32; otherwise, or in an `out` of that dtype, they are float64. An `out` is returned itself;
one of a subclass is assigned to, and in a masked array nothing is masked then, unless its mask is hard.

Elements that are further apart than the greatest float64 have no variance and no covariance: NaN, as where there is an
infinity. A product is NaN where the elements before a 0 already overflow.

Of a lazy source (`allcores.open`) pieces are read with what is around them, at least three windows at a time.

Memory: the result, and a few MiB for each worker, up to 20 where windows have more than 10,000 elements. Above some
200,000 elements each worker takes 8 to 60 bytes for each element of the window (moments and positions the most), for
medians, quantiles, ranks, and positions of integers beyond 2**53 up to 100. Nothing else is copied whole but what has
to be converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._families.windows import check_ddof, check_method, check_quantiles, move
from .executor import sent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[Any]

__all__: list[str] = [
    "move_argmax",
    "move_argmin",
    "move_corr",
    "move_count",
    "move_cov",
    "move_kurt",
    "move_max",
    "move_mean",
    "move_median",
    "move_min",
    "move_prod",
    "move_quantile",
    "move_rank",
    "move_skew",
    "move_std",
    "move_sum",
    "move_var",
]


def move_sum(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Sum of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The sums. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window. At most about 64 + log2(window)
    roundings of the sum of the absolute values go into a result.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_sum([1.0, 2.0, 3.0, 4.0], 2)
    array([nan,  3.,  5.,  7.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_sum", (a,), window, min_count, axis, out, workers, center)


def move_mean(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Mean of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The means. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window. At most about 64 + log2(window)
    roundings of the mean of the absolute values go into a result.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_mean([1.0, 2.0, 3.0, 4.0], 2, min_count=1)
    array([1. , 1.5, 2.5, 3.5])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_mean", (a,), window, min_count, axis, out, workers, center)


def move_std(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    ddof: int = 0,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Standard deviation of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    ddof : int, optional
        The sum of squares is divided by the number of elements less `ddof`.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The standard deviations; NaN where there are not more than `ddof` elements. float32 (or float16) if all input
        is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Means and sums of squared deviations, relative to elements of the window, are merged pairwise [2]_: never negative,
    and exactly 0 where all elements are equal. The relative error of a variance is at most 1e-14 up to 50 elements and
    grows no faster than the window, also far from zero, and whatever stands outside of the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
           Statistician 37 (1983), 242-247.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_std([1.0, 2.0, 4.0, 8.0], 2)
    array([nan, 0.5, 1. , 2. ])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_std", (a,), window, min_count, axis, out, workers, center, check_ddof(ddof))


def move_var(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    ddof: int = 0,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Variance of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    ddof : int, optional
        The sum of squares is divided by the number of elements less `ddof`.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The variances; NaN where there are not more than `ddof` elements. float32 (or float16) if all input is, else
        float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Means and sums of squared deviations, relative to elements of the window, are merged pairwise [2]_: never negative,
    and exactly 0 where all elements are equal. The relative error of a variance is at most 1e-14 up to 50 elements and
    grows no faster than the window, also far from zero, and whatever stands outside of the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
           Statistician 37 (1983), 242-247.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_var([1.0, 2.0, 4.0, 8.0], 2)
    array([ nan, 0.25, 1.  , 4.  ])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_var", (a,), window, min_count, axis, out, workers, center, check_ddof(ddof))


def move_min(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Minimum of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The minima. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_min([3.0, 1.0, 2.0, 4.0], 2)
    array([nan,  1.,  1.,  2.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_min", (a,), window, min_count, axis, out, workers, center)


def move_max(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Maximum of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The maxima. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_max([3.0, 1.0, 2.0, 4.0], 2)
    array([nan,  3.,  2.,  4.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_max", (a,), window, min_count, axis, out, workers, center)


def move_median(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Median of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The medians; of an even number of elements the mean of the two in the middle. float32 (or float16) if all input
        is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Windows of up to 300 elements share comparator networks with their neighbours [1]_; for longer ones the elements are
    sorted once in runs, and a window is a bitset over their ranks with a pointer to the middle (in the manner of
    [2]_). Some 20 ns an element, however long the window. Memory: 70 to 100 bytes for each element of the window and
    worker.

    References
    ----------
    .. [1] K. E. Batcher, "Sorting networks and their applications", AFIPS Spring Joint Computer Conference 32 (1968),
           307-314.
    .. [2] J. Suomela, "Median filtering is equivalent to sorting", arXiv:1406.1717 (2014).

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_median([3.0, 1.0, 2.0, 4.0], 3)
    array([nan, nan,  2.,  2.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_median", (a,), window, min_count, axis, out, workers, center)


def move_quantile(
    a: ArrayLike,
    window: int,
    q: float | Sequence[float],
    min_count: int | None = None,
    axis: int = -1,
    *,
    method: str = "linear",
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Quantiles of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    q : float or sequence of float
        Which quantiles: numbers from 0 to 1, in an array of any shape.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    method : str, optional
        How a quantile between two elements is estimated: one of those of `numpy.quantile`.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The quantiles: the shape of `q`, if it has any, then that of `a`. float32 (or float16) if all input is, else
        float64.

    Raises
    ------
    ValueError
        If `window`, `q`, `min_count` or `workers` is out of bounds, `method` is unknown, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Windows of up to 300 elements share comparator networks with their neighbours [1]_; for longer ones the elements are
    sorted once in runs, and a window is a bitset over their ranks with a pointer to the middle (in the manner of
    [2]_). Several quantiles share the sorting. Computed in float64, in NumPy's order of operations. Memory: 70 to 100
    bytes for each element of the window and worker.

    References
    ----------
    .. [1] K. E. Batcher, "Sorting networks and their applications", AFIPS Spring Joint Computer Conference 32 (1968),
           307-314.
    .. [2] J. Suomela, "Median filtering is equivalent to sorting", arXiv:1406.1717 (2014).

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_quantile([3.0, 1.0, 2.0, 4.0], 3, [0.25, 1.0])
    array([[nan, nan, 1.5, 1.5],
           [nan, nan, 3. , 4. ]])
    """
    points = check_quantiles(q)
    chosen = tuple(points.ravel().tolist()), check_method(method)
    call = move if executor is None else sent(executor, move)
    return call("move_quantile", (a,), window, min_count, axis, out, workers, center, *chosen, leading=points.shape)


def move_rank(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Rank of the newest element in each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The ranks, from -1 (the least) to 1 (the greatest); equal elements share the mean of their ranks, a single one
        has 0. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    The newest element is the last of the window, with ``center=True`` too; where a window reaches beyond the series it
    is the series' last. NaN has no rank. In windows of up to 192 elements each is compared with all others; for longer
    ones the elements are sorted once in runs, and a window is a bitset over their ranks, in which those before an
    element's own are counted [1]_. Memory: 70 to 100 bytes for each element of the window and worker.

    References
    ----------
    .. [1] J. Suomela, "Median filtering is equivalent to sorting", arXiv:1406.1717 (2014).

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_rank([3.0, 1.0, 2.0, 4.0], 3)
    array([nan, nan,  0.,  1.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_rank", (a,), window, min_count, axis, out, workers, center)


def move_argmin(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Where the minimum of each moving window is, counted from its right end.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        Positions as floats: 0 is the right end of the window, which with ``center=True`` may lie outside of the series.
        Of equal elements the rightmost counts. float32 (or float16) if all input is and it has them, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_argmin([3.0, 1.0, 2.0, 4.0], 3)
    array([nan, nan,  1.,  2.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_argmin", (a,), window, min_count, axis, out, workers, center)


def move_argmax(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Where the maximum of each moving window is, counted from its right end.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        Positions as floats: 0 is the right end of the window, which with ``center=True`` may lie outside of the series.
        Of equal elements the rightmost counts. float32 (or float16) if all input is and it has them, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_argmax([3.0, 1.0, 2.0, 4.0], 3)
    array([nan, nan,  2.,  0.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_argmax", (a,), window, min_count, axis, out, workers, center)


def move_count(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Number of elements of each moving window that are not NaN.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result; None: a count has no minimum.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The counts, as floats. float32 (or float16) if all input is and it has them, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_count([1.0, float("nan"), 3.0, 4.0], 2)
    array([1., 1., 1., 2.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_count", (a,), window, min_count, axis, out, workers, center)


def move_prod(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Product of each moving window, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The products. float32 (or float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_prod([1.0, 2.0, 3.0, 4.0], 2)
    array([nan,  2.,  6., 12.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_prod", (a,), window, min_count, axis, out, workers, center)


def move_skew(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Skewness of each moving window, corrected for bias as in pandas, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The skewness; NaN where there are fewer than three elements, or all are equal. float32 (or float16) if all
        input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Central moments, relative to elements of the window, are merged pairwise [2]_. Elements are multiplied by a power
    of two where their third or fourth powers would under- or overflow: the result is NaN only where the variance is 0,
    subnormal, or close to overflow.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] P. Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
           moments", Sandia Report SAND2008-6212 (2008).

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_skew([1.0, 2.0, 3.0, 1.0, 2.0], 3)
    array([nan, nan,  0.,  0.,  0.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_skew", (a,), window, min_count, axis, out, workers, center)


def move_kurt(
    a: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Excess kurtosis of each moving window, corrected for bias as in pandas, NaN left out.

    Parameters
    ----------
    a : array_like
        Input of at least one dimension, perhaps a lazy source: see `allcores.open`.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest elements that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The kurtosis; NaN where there are fewer than four elements, or all are equal. float32 (or float16) if all
        input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Central moments, relative to elements of the window, are merged pairwise [2]_. Elements are multiplied by a power
    of two where their third or fourth powers would under- or overflow: the result is NaN only where the variance is 0,
    subnormal, or close to overflow.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] P. Pebay, "Formulas for robust, one-pass parallel computation of covariances and arbitrary-order statistical
           moments", Sandia Report SAND2008-6212 (2008).

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_kurt([0.0, 0.0, 1.0, 1.0, 0.0], 4).round(12)
    array([nan, nan, nan, -6., -6.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_kurt", (a,), window, min_count, axis, out, workers, center)


def move_cov(
    a: ArrayLike,
    b: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    ddof: int = 0,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Covariance of two series in each moving window.

    Parameters
    ----------
    a, b : array_like
        Inputs of at least one dimension, broadcast together. A pair of which one is NaN is missing.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest pairs that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    ddof : int, optional
        The sum of products is divided by the number of pairs less `ddof`.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The covariances; NaN where there are not more than `ddof` pairs. float32 (or float16) if all input is, else
        float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Means and sums of products of deviations, relative to elements of the window, are merged pairwise [2]_: what stands
    outside of the window has no part in it.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
           Statistician 37 (1983), 242-247.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_cov([1.0, 2.0, 4.0], [2.0, 4.0, 3.0], 2)
    array([ nan,  0.5, -0.5])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_cov", (a, b), window, min_count, axis, out, workers, center, check_ddof(ddof))


def move_corr(
    a: ArrayLike,
    b: ArrayLike,
    window: int,
    min_count: int | None = None,
    axis: int = -1,
    *,
    out: Floats | None = None,
    workers: int | None = None,
    center: bool = False,
    executor: Executor | None = None,
) -> Floats:
    """Pearson's correlation of two series in each moving window.

    Parameters
    ----------
    a, b : array_like
        Inputs of at least one dimension, broadcast together. A pair of which one is NaN is missing.
    window : int
        Number of elements in a window: at least 1, at most the length of the axis.
    min_count : int, optional
        Fewest pairs that are not NaN for a result: 1 to `window`; None: `window`.
    axis : int, optional
        Along which axis the window moves.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, perhaps a lazy source; unchanged if an argument is bad.
    workers : int, optional
        Threads to use; None: `get_workers`; -1: all the cores this process may use. Changes no bit of the result.
    center : bool, optional
        Whether the window is around an output's position instead of ending there.
    executor : concurrent.futures.Executor, optional
        Where to compute instead of on threads: see `set_executor`. An array in memory is sent there, once a worker.

    Returns
    -------
    ndarray
        The correlations, between -1 and 1; NaN where one of the series is constant or has an infinity. float32 (or
        float16) if all input is, else float64.

    Raises
    ------
    ValueError
        If `window`, `min_count` or `workers` is out of bounds, or `out` has another shape.
    numpy.exceptions.AxisError
        If `axis` is out of bounds: a ValueError, too.
    TypeError
        If one of these is no integer, or the input is not of real numbers.

    Notes
    -----
    Each line is cut into groups of elements at fixed positions; a window is the end of one group, whole groups between,
    and the beginning of another [1]_: three operations an element, whatever the window.
    Means and sums of products of deviations, relative to elements of the window, are merged pairwise [2]_: what stands
    outside of the window has no part in it. Windows of series whose squares underflow or overflow are computed from
    elements multiplied by a power of two.

    References
    ----------
    .. [1] M. van Herk, "A fast algorithm for local minimum and maximum filters on rectangular and octagonal kernels",
           Pattern Recognition Letters 13 (1992), 517-521; J. Gil and M. Werman, "Computing 2-D min, median, and max
           filters", IEEE Trans. PAMI 15 (1993), 504-507.
    .. [2] T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance", The American
           Statistician 37 (1983), 242-247.

    Examples
    --------
    >>> import allcores as ac
    >>> ac.move_corr([1.0, 2.0, 4.0], [2.0, 4.0, 3.0], 2).round(12)
    array([nan,  1., -1.])
    """
    call = move if executor is None else sent(executor, move)
    return call("move_corr", (a, b), window, min_count, axis, out, workers, center)
