"""Which elements of a sorted window a quantile is made of: all of NumPy's methods, and the median.

The formulas are evaluated in NumPy's order of operations, so that the results have the same bits. That includes what
NumPy makes of infinities: where it interpolates, inf - inf is NaN even if the weight is 0.
"""
from libc.math cimport ceil, floor, rint

cdef enum Method:
    # The order is that of METHODS in src/allcores/_kernels/fallback/ranks.py.
    INVERTED_CDF
    AVERAGED_INVERTED_CDF
    CLOSEST_OBSERVATION
    INTERPOLATED_INVERTED_CDF
    HAZEN
    WEIBULL
    LINEAR
    MEDIAN_UNBIASED
    NORMAL_UNBIASED
    LOWER
    HIGHER
    MIDPOINT
    NEAREST
    MEDIAN              # the mean of the two middle elements, as np.median computes it; q is 0.5

cdef enum Mode:
    TAKE
    MEAN
    LERP

cdef struct QuantileRanks:
    Py_ssize_t low      # two adjoining ranks, from 0, or the same one twice
    Py_ssize_t high
    double t
    Mode mode


cdef inline QuantileRanks take(double index) noexcept nogil:
    cdef QuantileRanks ranks
    ranks.low = <Py_ssize_t> index if index > 0 else 0
    ranks.high = ranks.low
    ranks.t = 0
    ranks.mode = TAKE
    return ranks


cdef inline QuantileRanks after(double index, bint at) noexcept nogil:
    """The rank above a fractional index; of a whole one itself, with `at`."""
    cdef double below = floor(index)
    return take(below if index == below and at else below + 1)


cdef inline QuantileRanks between(double index, Py_ssize_t n) noexcept nogil:
    """The ranks on both sides of an index, and how far it lies from the lower one."""
    cdef QuantileRanks ranks
    ranks.mode = LERP
    if index >= n - 1:
        ranks.low = n - 1
        ranks.high = n - 1
        ranks.t = 1
    elif index < 0:
        ranks.low = 0
        ranks.high = 0
        ranks.t = 0
    else:
        ranks.low = <Py_ssize_t> index
        ranks.high = ranks.low + 1
        ranks.t = index - ranks.low
    return ranks


cdef inline double position(double n, double q, double alpha, double beta) noexcept nogil:
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


cdef inline QuantileRanks ranks_of_quantile(Py_ssize_t n, double q, Method method) noexcept nogil:
    """Of n > 0 sorted elements those which make the quantile q."""
    cdef QuantileRanks ranks
    cdef double count = n, index = (count - 1) * q
    if method == MEDIAN:
        ranks.low = (n - 1) >> 1
        ranks.high = n >> 1
        ranks.t = 0.5
        ranks.mode = TAKE if n & 1 else MEAN
        return ranks
    if method == LINEAR:
        return between(index, n)
    if method == LOWER:
        return take(floor(index))
    if method == HIGHER:
        return take(ceil(index))
    if method == NEAREST:
        return take(rint(index))
    if method == MIDPOINT:
        ranks = between(0.5 * (floor(index) + ceil(index)), n)
        return ranks
    if method == INVERTED_CDF:
        return after(count * q - 1, True)
    if method == CLOSEST_OBSERVATION:
        index = count * q - 1 - 0.5
        return after(index, (<Py_ssize_t> floor(index)) & 1)
    if method == AVERAGED_INVERTED_CDF:
        ranks = between(count * q - 1, n)
        ranks.t = 0.5 if ranks.t == 0 and ranks.low < ranks.high else 1
        return ranks
    if method == INTERPOLATED_INVERTED_CDF:
        return between(position(count, q, 0, 1), n)
    if method == HAZEN:
        return between(position(count, q, 0.5, 0.5), n)
    if method == WEIBULL:
        return between(position(count, q, 0, 0), n)
    if method == MEDIAN_UNBIASED:
        return between(position(count, q, 1 / 3.0, 1 / 3.0), n)
    return between(position(count, q, 3 / 8.0, 3 / 8.0), n)


cdef inline double blend(double a, double b, double t, Mode mode) noexcept nogil:
    """The quantile. Adding 0.0 makes all zeros positive: which of equal zeros was found depends on the way to it."""
    cdef double span
    if mode == TAKE:
        return a + 0.0
    if mode == MEAN:
        return (a + b) / 2 + 0.0
    span = b - a
    return (b - span * (1 - t) if t >= 0.5 else a + span * t) + 0.0
