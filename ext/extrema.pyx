# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Extrema and their positions. Leaves are added to one running slot, in order: of equals the first stays.

A leaf of a line is searched by value at the speed of memory; only where it beats what came before is it searched once
more for the position, which happens seldom in most data, and in the first-level cache.
"""
from libc.math cimport INFINITY, NAN
from libc.stdint cimport INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN
from libc.string cimport memcpy

from cursor cimport allcores_ahead
from drive cimport LANES, Job, line_function, rows_function
from entry cimport Views, close_views, open_views, run_job
from reals cimport (
    floating, int8_t, int16_t, int32_t, int64_t, real, uint8_t, uint16_t, uint32_t, uint64_t)

cdef enum:
    TILE = 512              # columns that are searched at a time


# ---- the ends of a type

cdef inline real highest(real _) noexcept nogil:
    if real in floating:
        return INFINITY
    elif real is int8_t:
        return INT8_MAX
    elif real is int16_t:
        return INT16_MAX
    elif real is int32_t:
        return INT32_MAX
    elif real is int64_t:
        return INT64_MAX
    else:
        return <real> -1


cdef inline real lowest(real _) noexcept nogil:
    if real in floating:
        return -INFINITY
    elif real is int8_t:
        return INT8_MIN
    elif real is int16_t:
        return INT16_MIN
    elif real is int32_t:
        return INT32_MIN
    elif real is int64_t:
        return INT64_MIN
    else:
        return 0


# ---- which of two, a being the earlier

cdef inline bint lower(real a, real b, bint skip) noexcept nogil:
    """Whether b takes the place of a in a minimum: NaN wins, or with `skip` loses."""
    if real in floating:
        return b < a or (a != a if skip else b != b and a == a)
    else:
        return b < a


cdef inline bint higher(real a, real b, bint skip) noexcept nogil:
    if real in floating:
        return b > a or (a != a if skip else b != b and a == a)
    else:
        return b > a


# ---- a leaf of a line

cdef inline Py_ssize_t line_nans(const real *v, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t nans = 0, i
    if real in floating:
        for i in range(n):
            nans += v[i] != v[i]
    return nans


cdef inline Py_ssize_t find(const real *v, real value) noexcept nogil:
    """Where the first element is that equals `value`, or the first NaN where that is NaN. There must be one."""
    cdef Py_ssize_t i = 0
    if value == value:
        while not v[i] == value:
            i += 1
    else:
        while v[i] == v[i]:
            i += 1
    return i


cdef inline real line_low(const real *v, Py_ssize_t n) noexcept nogil:
    """The least number; the highest of the type where there is none."""
    cdef real lane[LANES]
    cdef Py_ssize_t i = 0
    cdef int l
    for l in range(LANES):
        lane[l] = highest(v[0])
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(real))
        for l in range(LANES):
            lane[l] = v[i + l] if v[i + l] < lane[l] else lane[l]
        i += LANES
    for l in range(n - i):
        lane[l] = v[i + l] if v[i + l] < lane[l] else lane[l]
    for l in range(1, LANES):
        lane[0] = lane[l] if lane[l] < lane[0] else lane[0]
    return lane[0]


cdef inline real line_high(const real *v, Py_ssize_t n) noexcept nogil:
    cdef real lane[LANES]
    cdef Py_ssize_t i = 0
    cdef int l
    for l in range(LANES):
        lane[l] = lowest(v[0])
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(real))
        for l in range(LANES):
            lane[l] = v[i + l] if v[i + l] > lane[l] else lane[l]
        i += LANES
    for l in range(n - i):
        lane[l] = v[i + l] if v[i + l] > lane[l] else lane[l]
    for l in range(1, LANES):
        lane[0] = lane[l] if lane[l] > lane[0] else lane[0]
    return lane[0]


cdef inline real settle(const real *v, Py_ssize_t n, real value, bint skip, real none) noexcept nogil:
    """What the search for the least or greatest number left open: NaN, and which zero."""
    if real in floating:
        if skip:
            if value == none and line_nans(v, n) == n:
                return NAN
        elif line_nans(v, n):
            return NAN
        if value == 0:
            return v[find(v, value)]
    return value


cdef inline void line_min(const real *v, Py_ssize_t n, bint skip, bint fresh, real *best) noexcept nogil:
    cdef real value
    if not fresh and not skip and best[0] != best[0]:
        return
    value = settle(v, n, line_low(v, n), skip, highest(v[0]))
    if fresh or lower(best[0], value, skip):
        best[0] = value


cdef inline void line_max(const real *v, Py_ssize_t n, bint skip, bint fresh, real *best) noexcept nogil:
    cdef real value
    if not fresh and not skip and best[0] != best[0]:
        return
    value = settle(v, n, line_high(v, n), skip, lowest(v[0]))
    if fresh or higher(best[0], value, skip):
        best[0] = value


cdef inline void line_argmin(
        const real *v, Py_ssize_t n, Py_ssize_t start, bint skip, bint fresh, real *best, int64_t *index) noexcept nogil:
    cdef real value
    if fresh:
        index[0] = -1
    elif not skip and best[0] != best[0]:
        return
    value = settle(v, n, line_low(v, n), skip, highest(v[0]))
    if skip and value != value:
        return
    if index[0] < 0 or lower(best[0], value, skip):
        best[0] = value
        index[0] = start + find(v, value)


cdef inline void line_argmax(
        const real *v, Py_ssize_t n, Py_ssize_t start, bint skip, bint fresh, real *best, int64_t *index) noexcept nogil:
    cdef real value
    if fresh:
        index[0] = -1
    elif not skip and best[0] != best[0]:
        return
    value = settle(v, n, line_high(v, n), skip, lowest(v[0]))
    if skip and value != value:
        return
    if index[0] < 0 or higher(best[0], value, skip):
        best[0] = value
        index[0] = start + find(v, value)


# ---- a leaf of columns

cdef inline void rows_min(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, bint skip, bint fresh, real *best) noexcept nogil:
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b
    if fresh:
        memcpy(best, v, cols * sizeof(real))
        i = 1
    while i + 4 <= n:
        a = v + i * s
        for j in range(cols):
            b = best[j]
            b = a[j] if lower(b, a[j], skip) else b
            b = a[j + s] if lower(b, a[j + s], skip) else b
            b = a[j + 2 * s] if lower(b, a[j + 2 * s], skip) else b
            b = a[j + 3 * s] if lower(b, a[j + 3 * s], skip) else b
            best[j] = b
        i += 4
    while i < n:
        a = v + i * s
        for j in range(cols):
            best[j] = a[j] if lower(best[j], a[j], skip) else best[j]
        i += 1


cdef inline void rows_max(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, bint skip, bint fresh, real *best) noexcept nogil:
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b
    if fresh:
        memcpy(best, v, cols * sizeof(real))
        i = 1
    while i + 4 <= n:
        a = v + i * s
        for j in range(cols):
            b = best[j]
            b = a[j] if higher(b, a[j], skip) else b
            b = a[j + s] if higher(b, a[j + s], skip) else b
            b = a[j + 2 * s] if higher(b, a[j + 2 * s], skip) else b
            b = a[j + 3 * s] if higher(b, a[j + 3 * s], skip) else b
            best[j] = b
        i += 4
    while i < n:
        a = v + i * s
        for j in range(cols):
            best[j] = a[j] if higher(best[j], a[j], skip) else best[j]
        i += 1


cdef inline Py_ssize_t find_row(const real *v, Py_ssize_t s, real value) noexcept nogil:
    cdef Py_ssize_t i = 0
    if value == value:
        while not v[i * s] == value:
            i += 1
    else:
        while v[i * s] == v[i * s]:
            i += 1
    return i


cdef inline void rows_argmin(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint skip, bint fresh,
        real *best, int64_t *index) noexcept nogil:
    cdef real low[TILE]
    cdef Py_ssize_t left = 0, width, j, s = stride // <Py_ssize_t> sizeof(real)
    while left < cols:
        width = TILE if cols - left > TILE else cols - left
        rows_min(v + left, stride, n, width, skip, True, low)
        for j in range(width):
            if fresh:
                index[left + j] = -1
            if skip and low[j] != low[j]:
                continue
            if index[left + j] < 0 or lower(best[left + j], low[j], skip):
                best[left + j] = low[j]
                index[left + j] = start + find_row(v + left + j, s, low[j])
        left += width


cdef inline void rows_argmax(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint skip, bint fresh,
        real *best, int64_t *index) noexcept nogil:
    cdef real high[TILE]
    cdef Py_ssize_t left = 0, width, j, s = stride // <Py_ssize_t> sizeof(real)
    while left < cols:
        width = TILE if cols - left > TILE else cols - left
        rows_max(v + left, stride, n, width, skip, True, high)
        for j in range(width):
            if fresh:
                index[left + j] = -1
            if skip and high[j] != high[j]:
                continue
            if index[left + j] < 0 or higher(best[left + j], high[j], skip):
                best[left + j] = high[j]
                index[left + j] = start + find_row(v + left + j, s, high[j])
        left += width


# ---- kernels: field 0 the value, field 1 the position or, of ptp, the other end

cdef void min_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_min(v, n, False, fresh, <real *> slot[0])


cdef void min_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_min(v, stride, n, cols, False, fresh, <real *> slot[0])


cdef void argmin_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_argmin(v, n, start, False, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void argmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_argmin(v, stride, n, cols, start, False, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void nanmin_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_min(v, n, True, fresh, <real *> slot[0])


cdef void nanmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_min(v, stride, n, cols, True, fresh, <real *> slot[0])


cdef void nanargmin_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_argmin(v, n, start, True, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void nanargmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_argmin(v, stride, n, cols, start, True, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void max_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_max(v, n, False, fresh, <real *> slot[0])


cdef void max_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_max(v, stride, n, cols, False, fresh, <real *> slot[0])


cdef void argmax_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_argmax(v, n, start, False, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void argmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_argmax(v, stride, n, cols, start, False, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void nanmax_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_max(v, n, True, fresh, <real *> slot[0])


cdef void nanmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_max(v, stride, n, cols, True, fresh, <real *> slot[0])


cdef void nanargmax_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_argmax(v, n, start, True, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void nanargmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_argmax(v, stride, n, cols, start, True, fresh, <real *> slot[0], <int64_t *> slot[1])


cdef void ptp_line(const real *v, Py_ssize_t padded, Py_ssize_t n, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    line_min(v, n, False, fresh, <real *> slot[0])
    line_max(v, n, False, fresh, <real *> slot[1])


cdef void ptp_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t start, bint fresh, void **slot) noexcept nogil:
    rows_min(v, stride, n, cols, False, fresh, <real *> slot[0])
    rows_max(v, stride, n, cols, False, fresh, <real *> slot[1])


# ---- which functions make a kernel

cdef enum Kernel:
    MIN
    MAX
    PTP
    ARGMIN
    ARGMAX
    NANMIN
    NANMAX
    NANARGMIN
    NANARGMAX


cdef void bind_real(Job *job, Kernel kernel, real *_) noexcept nogil:
    cdef real zero = 0
    cdef real pad = highest(zero)
    if kernel == MIN:
        job.line = <line_function> <void *> min_line[real]
        job.rows = <rows_function> <void *> min_rows[real]
    elif kernel == MAX:
        job.line = <line_function> <void *> max_line[real]
        job.rows = <rows_function> <void *> max_rows[real]
    elif kernel == PTP:
        job.line = <line_function> <void *> ptp_line[real]
        job.rows = <rows_function> <void *> ptp_rows[real]
    elif kernel == ARGMIN:
        job.line = <line_function> <void *> argmin_line[real]
        job.rows = <rows_function> <void *> argmin_rows[real]
    elif kernel == ARGMAX:
        job.line = <line_function> <void *> argmax_line[real]
        job.rows = <rows_function> <void *> argmax_rows[real]
    if kernel in (MAX, ARGMAX):
        pad = lowest(zero)
    memcpy(job.padding, &pad, sizeof(real))


cdef void bind_floating(Job *job, Kernel kernel, floating *_) noexcept nogil:
    cdef floating pad = NAN
    if kernel == NANMIN:
        job.line = <line_function> <void *> nanmin_line[floating]
        job.rows = <rows_function> <void *> nanmin_rows[floating]
    elif kernel == NANMAX:
        job.line = <line_function> <void *> nanmax_line[floating]
        job.rows = <rows_function> <void *> nanmax_rows[floating]
    elif kernel == NANARGMIN:
        job.line = <line_function> <void *> nanargmin_line[floating]
        job.rows = <rows_function> <void *> nanargmin_rows[floating]
    elif kernel == NANARGMAX:
        job.line = <line_function> <void *> nanargmax_line[floating]
        job.rows = <rows_function> <void *> nanargmax_rows[floating]
    memcpy(job.padding, &pad, sizeof(floating))


cdef bint bind(Job *job, Kernel kernel, char code) noexcept nogil:
    """Fill the job's functions. False where there is no kernel for this dtype."""
    job.line = NULL
    if kernel in (NANMIN, NANMAX, NANARGMIN, NANARGMAX):
        if code == b"d":
            bind_floating(job, kernel, <double *> NULL)
        elif code == b"f":
            bind_floating(job, kernel, <float *> NULL)
    elif code == b"d":
        bind_real(job, kernel, <double *> NULL)
    elif code == b"f":
        bind_real(job, kernel, <float *> NULL)
    elif code == b"b":
        bind_real(job, kernel, <int8_t *> NULL)
    elif code == b"h":
        bind_real(job, kernel, <int16_t *> NULL)
    elif code == b"i":
        bind_real(job, kernel, <int32_t *> NULL)
    elif code == b"q":
        bind_real(job, kernel, <int64_t *> NULL)
    elif code == b"B" or code == b"?":
        bind_real(job, kernel, <uint8_t *> NULL)
    elif code == b"H":
        bind_real(job, kernel, <uint16_t *> NULL)
    elif code == b"I":
        bind_real(job, kernel, <uint32_t *> NULL)
    elif code == b"Q":
        bind_real(job, kernel, <uint64_t *> NULL)
    return job.line != NULL


cdef int run(Kernel kernel, object x, object where, object cursor, tuple sinks) except -1:
    cdef Job job
    cdef Views views
    cdef char code
    try:
        code = open_views(&views, &job, x, where, cursor, sinks)
        if not bind(&job, kernel, code):
            raise TypeError("no kernel for arrays of this dtype")
        return run_job(&job, &views)
    finally:
        close_views(&views)


def ptp(x, where, cursor, low, high):
    return run(PTP, x, where, cursor, (low, high))


def min(x, where, cursor, value):
    return run(MIN, x, where, cursor, (value,))


def max(x, where, cursor, value):
    return run(MAX, x, where, cursor, (value,))


def nanmin(x, where, cursor, value):
    return run(NANMIN, x, where, cursor, (value,))


def nanmax(x, where, cursor, value):
    return run(NANMAX, x, where, cursor, (value,))


def argmin(x, where, cursor, value, index):
    return run(ARGMIN, x, where, cursor, (value, index))


def argmax(x, where, cursor, value, index):
    return run(ARGMAX, x, where, cursor, (value, index))


def nanargmin(x, where, cursor, value, index):
    return run(NANARGMIN, x, where, cursor, (value, index))


def nanargmax(x, where, cursor, value, index):
    return run(NANARGMAX, x, where, cursor, (value, index))
