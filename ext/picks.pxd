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

cdef struct Pick:
    Py_ssize_t low      # two adjoining ranks, from 0, or the same one twice
    Py_ssize_t high
    double t
    Mode mode


cdef inline Pick take(double index) noexcept nogil:
    cdef Pick pick
    pick.low = <Py_ssize_t> index if index > 0 else 0
    pick.high = pick.low
    pick.t = 0
    pick.mode = TAKE
    return pick


cdef inline Pick after(double index, bint at) noexcept nogil:
    """The rank above a fractional index; of a whole one itself, with `at`."""
    cdef double below = floor(index)
    return take(below if index == below and at else below + 1)


cdef inline Pick between(double index, Py_ssize_t n) noexcept nogil:
    """The ranks on both sides of an index, and how far it lies from the lower one."""
    cdef Pick pick
    pick.mode = LERP
    if index >= n - 1:
        pick.low = n - 1
        pick.high = n - 1
        pick.t = 1
    elif index < 0:
        pick.low = 0
        pick.high = 0
        pick.t = 0
    else:
        pick.low = <Py_ssize_t> index
        pick.high = pick.low + 1
        pick.t = index - pick.low
    return pick


cdef inline double position(double n, double q, double alpha, double beta) noexcept nogil:
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


cdef inline Pick pick_ranks(Py_ssize_t n, double q, Method method) noexcept nogil:
    """Of n > 0 sorted elements those which make the quantile q."""
    cdef Pick pick
    cdef double count = n, index = (count - 1) * q
    if method == MEDIAN:
        pick.low = (n - 1) >> 1
        pick.high = n >> 1
        pick.t = 0.5
        pick.mode = TAKE if n & 1 else MEAN
        return pick
    if method == LINEAR:
        return between(index, n)
    if method == LOWER:
        return take(floor(index))
    if method == HIGHER:
        return take(ceil(index))
    if method == NEAREST:
        return take(rint(index))
    if method == MIDPOINT:
        pick = between(0.5 * (floor(index) + ceil(index)), n)
        return pick
    if method == INVERTED_CDF:
        return after(count * q - 1, True)
    if method == CLOSEST_OBSERVATION:
        index = count * q - 1 - 0.5
        return after(index, (<Py_ssize_t> floor(index)) & 1)
    if method == AVERAGED_INVERTED_CDF:
        pick = between(count * q - 1, n)
        pick.t = 0.5 if pick.t == 0 and pick.low < pick.high else 1
        return pick
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
