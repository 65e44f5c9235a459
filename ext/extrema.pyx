# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Extrema and their positions. Leaves are added to one running partial, in order, so that of equal elements the first stays.

A leaf of a line is searched by value at the speed of memory. Only where its extremum beats what came before, it is searched
once more for the position, which is seldom in most data, and happens in the first-level cache.
"""
from numpy import (
    False_, True_, empty, float32, float64, int8, int16, int32, int64, intp, subtract, uint8, uint16, uint32, uint64)
from numpy import _NoValue
from numpy import ndarray as _ndarray

from libc.math cimport INFINITY, NAN, isfinite
from libc.stdint cimport INT8_MAX, INT8_MIN, INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN
from libc.string cimport memcpy

from cursor cimport allcores_ahead, allcores_ahead_rows
from buffers cimport PyBUF_FULL, PyBuffer_Release, PyObject_GetBuffer
from door cimport LIMIT, Small, close_small, open_small, run_small, shape_small, partials_small
from drive cimport LANES, STRIP, Job, fold_function, line_function, rows_function
from entry cimport Views, close_views, merge_parts, open_views, run_job, output_code
from reals cimport (
    floating, int8_t, int16_t, int32_t, int64_t, real, uint8_t, uint16_t, uint32_t, uint64_t)

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


# ---- which of two elements wins; a is the earlier one

cdef inline bint lower(real a, real b, bint skip) noexcept nogil:
    """Whether b takes the place of a in a minimum: NaN wins, or with `skip` loses. """
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

cdef inline bint below(real c, real b) noexcept nogil:
    """Whether c, the later one, takes the place of b in a minimum. With `|` and a test of c alone gcc vectorises it."""
    return (c < b) | (c != c)


cdef inline bint above(real c, real b) noexcept nogil:
    """Whether c, the later one, takes the place of b in a maximum. With `|` and a test of c alone gcc vectorises it."""
    return (c > b) | (c != c)


cdef inline bint line_has_number(const real *v, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    while i < n and v[i] != v[i]:
        i += 1
    return i < n


cdef inline Py_ssize_t first_of_row(const real *row, real value) noexcept nogil:
    """Which of 32 elements is the first that equals `value`; 32 where none does. It has no branches, which saves 10 ns."""
    cdef real lane[LANES]
    cdef int l
    for l in range(32):
        lane[l] = <real> l if row[l] == value else <real> LANES
    for l in range(16):
        lane[l] = lane[l] if lane[l] < lane[l + 16] else lane[l + 16]
    for l in range(8):
        lane[l] = lane[l] if lane[l] < lane[l + 8] else lane[l + 8]
    for l in range(4):
        lane[l] = lane[l] if lane[l] < lane[l + 4] else lane[l + 4]
    for l in range(2):
        lane[l] = lane[l] if lane[l] < lane[l + 2] else lane[l + 2]
    return <Py_ssize_t> (lane[0] if lane[0] < lane[1] else lane[1])


cdef inline Py_ssize_t find(const real *v, const real *tail, Py_ssize_t n, real value) noexcept nogil:
    """Where the first element is that equals `value`, or the first NaN where that is NaN. There must be one."""
    cdef Py_ssize_t i = 0, a, b
    cdef int found, l
    if value != value:
        while v[i] == v[i]:
            i += 1
        return i
    while i + 64 <= n:
        found = 0
        for l in range(64):
            found |= v[i + l] == value
        if found:
            a = first_of_row(v + i, value)
            b = first_of_row(v + i + 32, value) + 32
            return i + (a if a < 32 else b)
        i += 64
    if i + 32 <= n:
        a = first_of_row(v + i, value)
        if a < 32:
            return i + a
        i += 32
    return i + first_of_row(tail, value)            # what follows the line is found after its elements


cdef inline void lanes_low(real *lane) noexcept nogil:
    """Fold the lanes in halves, into the first."""
    cdef real c
    cdef int l
    for l in range(16):
        c = lane[l + 16]
        lane[l] = c if below(c, lane[l]) else lane[l]
    for l in range(8):
        c = lane[l + 8]
        lane[l] = c if below(c, lane[l]) else lane[l]
    for l in range(4):
        c = lane[l + 4]
        lane[l] = c if below(c, lane[l]) else lane[l]
    for l in range(2):
        c = lane[l + 2]
        lane[l] = c if below(c, lane[l]) else lane[l]
    lane[0] = lane[1] if below(lane[1], lane[0]) else lane[0]


cdef inline real line_low(const real *v, const real *tail, Py_ssize_t n, bint skip) noexcept nogil:
    """The least element: with `skip` the least number, or NaN where there is none; otherwise NaN where there is one."""
    cdef real lane[LANES]
    cdef real wide[4 * LANES]
    cdef real c
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        lane[l] = highest(v[0])
    if sizeof(real) == 1:
        for l in range(4 * LANES):
            wide[l] = highest(v[0])
        while i + 4 * LANES <= n:
            allcores_ahead(v + i, 4 * LANES)
            for l in range(4 * LANES):
                c = v[i + l]
                wide[l] = c if below(c, wide[l]) else wide[l]
            i += 4 * LANES
        for l in range(2 * LANES):
            c = wide[l + 2 * LANES]
            wide[l] = c if below(c, wide[l]) else wide[l]
        for l in range(LANES):
            c = wide[l + LANES]
            lane[l] = c if below(c, wide[l]) else wide[l]
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(real))
        for l in range(LANES):
            c = v[i + l]
            if skip:
                lane[l] = c if c < lane[l] else lane[l]
            else:
                lane[l] = c if below(c, lane[l]) else lane[l]
        i += LANES
    if i < n:
        allcores_ahead(tail, 32 * sizeof(real))
        for l in range(LANES):
            c = tail[l]
            c = c if l < n - i else highest(v[0])
            if skip:
                lane[l] = c if c < lane[l] else lane[l]
            else:
                lane[l] = c if below(c, lane[l]) else lane[l]
    lanes_low(lane)
    if skip and lane[0] == highest(v[0]) and not line_has_number(v, n):
        return v[0]
    return lane[0]


cdef inline void lanes_high(real *lane) noexcept nogil:
    """Fold the lanes in halves, into the first."""
    cdef real c
    cdef int l
    for l in range(16):
        c = lane[l + 16]
        lane[l] = c if above(c, lane[l]) else lane[l]
    for l in range(8):
        c = lane[l + 8]
        lane[l] = c if above(c, lane[l]) else lane[l]
    for l in range(4):
        c = lane[l + 4]
        lane[l] = c if above(c, lane[l]) else lane[l]
    for l in range(2):
        c = lane[l + 2]
        lane[l] = c if above(c, lane[l]) else lane[l]
    lane[0] = lane[1] if above(lane[1], lane[0]) else lane[0]


cdef inline real line_high(const real *v, const real *tail, Py_ssize_t n, bint skip) noexcept nogil:
    """The greatest element: with `skip` the greatest number, or NaN where there is none; otherwise NaN where there is one."""
    cdef real lane[LANES]
    cdef real wide[4 * LANES]
    cdef real c
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        lane[l] = lowest(v[0])
    if sizeof(real) == 1:
        for l in range(4 * LANES):
            wide[l] = lowest(v[0])
        while i + 4 * LANES <= n:
            allcores_ahead(v + i, 4 * LANES)
            for l in range(4 * LANES):
                c = v[i + l]
                wide[l] = c if above(c, wide[l]) else wide[l]
            i += 4 * LANES
        for l in range(2 * LANES):
            c = wide[l + 2 * LANES]
            wide[l] = c if above(c, wide[l]) else wide[l]
        for l in range(LANES):
            c = wide[l + LANES]
            lane[l] = c if above(c, wide[l]) else wide[l]
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(real))
        for l in range(LANES):
            c = v[i + l]
            if skip:
                lane[l] = c if c > lane[l] else lane[l]
            else:
                lane[l] = c if above(c, lane[l]) else lane[l]
        i += LANES
    if i < n:
        allcores_ahead(tail, 32 * sizeof(real))
        for l in range(LANES):
            c = tail[l]
            c = c if l < n - i else lowest(v[0])
            if skip:
                lane[l] = c if c > lane[l] else lane[l]
            else:
                lane[l] = c if above(c, lane[l]) else lane[l]
    lanes_high(lane)
    if skip and lane[0] == lowest(v[0]) and not line_has_number(v, n):
        return v[0]
    return lane[0]


cdef inline real first_zero(const real *v, const real *tail, Py_ssize_t n, real value) noexcept nogil:
    """The first one of equal zeros."""
    if real in floating:
        if value == 0:
            return v[find(v, tail, n, value)]
    return value


cdef inline void line_min(
        const real *v, const real *tail, Py_ssize_t n, bint skip, bint fresh, real *best) noexcept nogil:
    cdef real value
    if not fresh and not skip and best[0] != best[0]:
        return
    value = first_zero(v, tail, n, line_low(v, tail, n, skip))
    if fresh or lower(best[0], value, skip):
        best[0] = value


cdef inline void line_max(
        const real *v, const real *tail, Py_ssize_t n, bint skip, bint fresh, real *best) noexcept nogil:
    cdef real value
    if not fresh and not skip and best[0] != best[0]:
        return
    value = first_zero(v, tail, n, line_high(v, tail, n, skip))
    if fresh or higher(best[0], value, skip):
        best[0] = value


cdef inline void line_argmin(
        const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint skip, bint fresh,
        real *best, int64_t *index) noexcept nogil:
    cdef real value
    if fresh:
        index[0] = -1
    elif not skip and best[0] != best[0]:
        return
    value = first_zero(v, tail, n, line_low(v, tail, n, skip))
    if skip and value != value:
        return
    if index[0] < 0 or lower(best[0], value, skip):
        best[0] = value
        index[0] = start + find(v, tail, n, value)


cdef inline void line_argmax(
        const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint skip, bint fresh,
        real *best, int64_t *index) noexcept nogil:
    cdef real value
    if fresh:
        index[0] = -1
    elif not skip and best[0] != best[0]:
        return
    value = first_zero(v, tail, n, line_high(v, tail, n, skip))
    if skip and value != value:
        return
    if index[0] < 0 or higher(best[0], value, skip):
        best[0] = value
        index[0] = start + find(v, tail, n, value)


# ---- a leaf of columns: eight rows a step, in the order of single rows; at most STRIP bytes wide

cdef inline void rows_min(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint fresh, real *best) noexcept nogil:
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c
    if fresh:
        memcpy(best, v, cols * sizeof(real))
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            b = best[j]
            c = a[j]
            b = c if below(c, b) else b
            c = a[j + s]
            b = c if below(c, b) else b
            c = a[j + 2 * s]
            b = c if below(c, b) else b
            c = a[j + 3 * s]
            b = c if below(c, b) else b
            c = a[j + 4 * s]
            b = c if below(c, b) else b
            c = a[j + 5 * s]
            b = c if below(c, b) else b
            c = a[j + 6 * s]
            b = c if below(c, b) else b
            c = a[j + 7 * s]
            b = c if below(c, b) else b
            best[j] = b
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = best[j]
            c = a[j]
            best[j] = c if below(c, b) else b
        i += 1


cdef inline void rows_max(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint fresh, real *best) noexcept nogil:
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c
    if fresh:
        memcpy(best, v, cols * sizeof(real))
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            b = best[j]
            c = a[j]
            b = c if above(c, b) else b
            c = a[j + s]
            b = c if above(c, b) else b
            c = a[j + 2 * s]
            b = c if above(c, b) else b
            c = a[j + 3 * s]
            b = c if above(c, b) else b
            c = a[j + 4 * s]
            b = c if above(c, b) else b
            c = a[j + 5 * s]
            b = c if above(c, b) else b
            c = a[j + 6 * s]
            b = c if above(c, b) else b
            c = a[j + 7 * s]
            b = c if above(c, b) else b
            best[j] = b
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = best[j]
            c = a[j]
            best[j] = c if above(c, b) else b
        i += 1


cdef inline Py_ssize_t find_row(const real *v, Py_ssize_t s, Py_ssize_t n, real value) noexcept nogil:
    """The row of the first element of a column that equals `value`, or is NaN where that is NaN; -1 if there is none."""
    cdef Py_ssize_t i
    for i in range(n):
        if v[i * s] == value or (value != value and v[i * s] != v[i * s]):
            return i
    return -1


cdef inline void rows_nanmin(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint fresh, real *best) noexcept nogil:
    """The least number of each column; NaN where there was none."""
    cdef real low[STRIP]
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c
    for j in range(cols):
        low[j] = highest(v[0]) if fresh or best[j] != best[j] else best[j]
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            b = low[j]
            c = a[j]
            b = c if c < b else b
            c = a[j + s]
            b = c if c < b else b
            c = a[j + 2 * s]
            b = c if c < b else b
            c = a[j + 3 * s]
            b = c if c < b else b
            c = a[j + 4 * s]
            b = c if c < b else b
            c = a[j + 5 * s]
            b = c if c < b else b
            c = a[j + 6 * s]
            b = c if c < b else b
            c = a[j + 7 * s]
            b = c if c < b else b
            low[j] = b
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = low[j]
            c = a[j]
            low[j] = c if c < b else b
        i += 1
    for j in range(cols):
        if low[j] != highest(v[0]) or find_row(v + j, s, n, low[j]) >= 0:
            best[j] = low[j]
        elif fresh:
            best[j] = v[j]


cdef inline void rows_nanmax(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint fresh, real *best) noexcept nogil:
    """The greatest number of each column; NaN where there was none."""
    cdef real high[STRIP]
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c
    for j in range(cols):
        high[j] = lowest(v[0]) if fresh or best[j] != best[j] else best[j]
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            b = high[j]
            c = a[j]
            b = c if c > b else b
            c = a[j + s]
            b = c if c > b else b
            c = a[j + 2 * s]
            b = c if c > b else b
            c = a[j + 3 * s]
            b = c if c > b else b
            c = a[j + 4 * s]
            b = c if c > b else b
            c = a[j + 5 * s]
            b = c if c > b else b
            c = a[j + 6 * s]
            b = c if c > b else b
            c = a[j + 7 * s]
            b = c if c > b else b
            high[j] = b
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = high[j]
            c = a[j]
            high[j] = c if c > b else b
        i += 1
    for j in range(cols):
        if high[j] != lowest(v[0]) or find_row(v + j, s, n, high[j]) >= 0:
            best[j] = high[j]
        elif fresh:
            best[j] = v[j]


cdef inline void rows_low(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint skip,
        real *low, real *at) noexcept nogil:
    """The least element of each column of a leaf, and its row: of the type of the elements, so that it is vectorised.

    With `skip` NaN is never less, and a column of nothing but NaN gives the highest value of the type.
    """
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c, k
    cdef bint t
    for j in range(cols):
        low[j] = highest(v[0])
        at[j] = 0
    while i + 4 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 4, cols * sizeof(real), ahead)
        for j in range(cols):
            b = low[j]
            k = at[j]
            c = a[j]
            t = c < b if skip else (c < b) | (c != c)
            b = c if t else b
            k = <real> (i + 0) if t else k
            c = a[j + s]
            t = c < b if skip else (c < b) | (c != c)
            b = c if t else b
            k = <real> (i + 1) if t else k
            c = a[j + 2 * s]
            t = c < b if skip else (c < b) | (c != c)
            b = c if t else b
            k = <real> (i + 2) if t else k
            c = a[j + 3 * s]
            t = c < b if skip else (c < b) | (c != c)
            b = c if t else b
            k = <real> (i + 3) if t else k
            low[j] = b
            at[j] = k
        i += 4
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = low[j]
            c = a[j]
            t = c < b if skip else (c < b) | (c != c)
            low[j] = c if t else b
            at[j] = <real> i if t else at[j]
        i += 1


cdef inline void rows_high(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint skip,
        real *high, real *at) noexcept nogil:
    """The greatest element of each column of a leaf, and its row: of the type of the elements, so that it is vectorised.

    With `skip` NaN is never greater, and a column of nothing but NaN gives the lowest value of the type.
    """
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    cdef real b, c, k
    cdef bint t
    for j in range(cols):
        high[j] = lowest(v[0])
        at[j] = 0
    while i + 4 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 4, cols * sizeof(real), ahead)
        for j in range(cols):
            b = high[j]
            k = at[j]
            c = a[j]
            t = c > b if skip else (c > b) | (c != c)
            b = c if t else b
            k = <real> (i + 0) if t else k
            c = a[j + s]
            t = c > b if skip else (c > b) | (c != c)
            b = c if t else b
            k = <real> (i + 1) if t else k
            c = a[j + 2 * s]
            t = c > b if skip else (c > b) | (c != c)
            b = c if t else b
            k = <real> (i + 2) if t else k
            c = a[j + 3 * s]
            t = c > b if skip else (c > b) | (c != c)
            b = c if t else b
            k = <real> (i + 3) if t else k
            high[j] = b
            at[j] = k
        i += 4
    while i < n:
        a = v + i * s
        for j in range(cols):
            b = high[j]
            c = a[j]
            t = c > b if skip else (c > b) | (c != c)
            high[j] = c if t else b
            at[j] = <real> i if t else at[j]
        i += 1


cdef inline void rows_argmin(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Py_ssize_t start,
        bint skip, bint fresh, real *best, int64_t *index) noexcept nogil:
    cdef real low[STRIP]
    cdef real at[STRIP]
    cdef real value
    cdef Py_ssize_t j, row, s = stride // <Py_ssize_t> sizeof(real)
    rows_low(v, stride, n, cols, ahead, skip, low, at)
    for j in range(cols):
        value = low[j]
        row = <Py_ssize_t> at[j]
        # The row is not to be trusted where there was NaN, or nothing that beat the end of the type.
        if value != value or value == highest(value):
            row = find_row(v + j, s, n, value)
        if fresh:
            index[j] = -1
        if row >= 0 and (index[j] < 0 or lower(best[j], value, skip)):
            best[j] = value
            index[j] = start + row
        elif fresh:
            best[j] = v[j]


cdef inline void rows_argmax(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Py_ssize_t start,
        bint skip, bint fresh, real *best, int64_t *index) noexcept nogil:
    cdef real high[STRIP]
    cdef real at[STRIP]
    cdef real value
    cdef Py_ssize_t j, row, s = stride // <Py_ssize_t> sizeof(real)
    rows_high(v, stride, n, cols, ahead, skip, high, at)
    for j in range(cols):
        value = high[j]
        row = <Py_ssize_t> at[j]
        # The row is not to be trusted where there was NaN, or nothing that beat the end of the type.
        if value != value or value == lowest(value):
            row = find_row(v + j, s, n, value)
        if fresh:
            index[j] = -1
        if row >= 0 and (index[j] < 0 or higher(best[j], value, skip)):
            best[j] = value
            index[j] = start + row
        elif fresh:
            best[j] = v[j]


# ---- bools, of which any byte but 0 is true. A minimum looks for the first false one, a maximum for the first true one

cdef inline bint is_sought(uint8_t v, bint sought) noexcept nogil:
    return v != 0 if sought else v == 0


cdef inline Py_ssize_t first_bool(const uint8_t *v, Py_ssize_t n, bint sought) noexcept nogil:
    """Where the first element is that is true, or false. There must be one."""
    cdef Py_ssize_t i = 0, l
    cdef int found
    while i + 64 <= n:
        found = 0
        for l in range(64):
            found |= is_sought(v[i + l], sought)
        if found:
            break
        i += 64
    while not is_sought(v[i], sought):
        i += 1
    return i


cdef inline void line_bools(
        const uint8_t *v, const uint8_t *tail, Py_ssize_t n, Py_ssize_t start, bint sought, bint fresh,
        uint8_t *best, int64_t *index) noexcept nogil:
    """The extremum of bools of a line; `index` is NULL where no position is asked for."""
    if fresh:
        best[0] = not sought
        if index != NULL:
            index[0] = start
    if best[0] == sought:
        return
    best[0] = (line_high(v, tail, n, False) if sought else line_low(v, tail, n, False)) != 0
    if index != NULL and best[0] == sought:
        index[0] = start + first_bool(v, n, sought)


cdef inline void rows_bools(
        const uint8_t *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Py_ssize_t start,
        bint sought, bint fresh, uint8_t *best, int64_t *index) noexcept nogil:
    cdef uint8_t at[STRIP]
    cdef const uint8_t *a
    cdef uint8_t k
    cdef Py_ssize_t i = n, j
    for j in range(cols):
        at[j] = 255
    if ahead:
        allcores_ahead_rows(v, stride, n, cols, ahead)
    while i >= 4:                                   # from the last row to the first
        i -= 4
        a = v + i * stride
        for j in range(cols):
            k = at[j]
            k = <uint8_t> (i + 3) if is_sought(a[j + 3 * stride], sought) else k
            k = <uint8_t> (i + 2) if is_sought(a[j + 2 * stride], sought) else k
            k = <uint8_t> (i + 1) if is_sought(a[j + stride], sought) else k
            at[j] = <uint8_t> i if is_sought(a[j], sought) else k
    while i > 0:
        i -= 1
        a = v + i * stride
        for j in range(cols):
            at[j] = <uint8_t> i if is_sought(a[j], sought) else at[j]
    for j in range(cols):
        if fresh:
            best[j] = not sought
            index[j] = start
        if at[j] != 255 and best[j] != sought:
            best[j] = sought
            index[j] = start + at[j]


cdef inline void made_bools(uint8_t *best, Py_ssize_t cols) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(cols):
        best[j] = best[j] != 0


cdef void bools_min_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_bools(<const uint8_t *> v, <const uint8_t *> tail, n, start, False, fresh, <uint8_t *> partial[0], NULL)


cdef void bools_max_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_bools(<const uint8_t *> v, <const uint8_t *> tail, n, start, True, fresh, <uint8_t *> partial[0], NULL)


cdef void bools_argmin_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_bools(<const uint8_t *> v, <const uint8_t *> tail, n, start, False, fresh, <uint8_t *> partial[0], <int64_t *> partial[1])


cdef void bools_argmax_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_bools(<const uint8_t *> v, <const uint8_t *> tail, n, start, True, fresh, <uint8_t *> partial[0], <int64_t *> partial[1])


cdef void bools_min_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_min(<const uint8_t *> v, stride, n, cols, ahead, fresh, <uint8_t *> partial[0])
    made_bools(<uint8_t *> partial[0], cols)


cdef void bools_max_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_max(<const uint8_t *> v, stride, n, cols, ahead, fresh, <uint8_t *> partial[0])
    made_bools(<uint8_t *> partial[0], cols)


cdef void bools_argmin_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_bools(<const uint8_t *> v, stride, n, cols, ahead, start, False, fresh, <uint8_t *> partial[0], <int64_t *> partial[1])


cdef void bools_argmax_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_bools(<const uint8_t *> v, stride, n, cols, ahead, start, True, fresh, <uint8_t *> partial[0], <int64_t *> partial[1])


# ---- kernels: field 0 the value, field 1 the position or, of ptp, the other end

cdef void min_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_min(v, tail, n, False, fresh, <real *> partial[0])


cdef void min_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_min(v, stride, n, cols, ahead, fresh, <real *> partial[0])


cdef void argmin_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_argmin(v, tail, n, start, False, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void argmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_argmin(v, stride, n, cols, ahead, start, False, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void nanmin_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_min(v, tail, n, True, fresh, <real *> partial[0])


cdef void nanmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_nanmin(v, stride, n, cols, ahead, fresh, <real *> partial[0])


cdef void nanargmin_line(
        const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_argmin(v, tail, n, start, True, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void nanargmin_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_argmin(v, stride, n, cols, ahead, start, True, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void max_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_max(v, tail, n, False, fresh, <real *> partial[0])


cdef void max_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_max(v, stride, n, cols, ahead, fresh, <real *> partial[0])


cdef void argmax_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_argmax(v, tail, n, start, False, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void argmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_argmax(v, stride, n, cols, ahead, start, False, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void nanmax_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_max(v, tail, n, True, fresh, <real *> partial[0])


cdef void nanmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_nanmax(v, stride, n, cols, ahead, fresh, <real *> partial[0])


cdef void nanargmax_line(
        const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_argmax(v, tail, n, start, True, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void nanargmax_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_argmax(v, stride, n, cols, ahead, start, True, fresh, <real *> partial[0], <int64_t *> partial[1])


cdef void ptp_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_min(v, tail, n, False, fresh, <real *> partial[0])
    line_max(v, tail, n, False, fresh, <real *> partial[1])


cdef void ptp_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_min(v, stride, n, cols, ahead, fresh, <real *> partial[0])
    rows_max(v, stride, n, cols, ahead, fresh, <real *> partial[1])


# ---- folds: one partial of two runs of elements, of which the first one is earlier

cdef inline void keep_low(real *best, const real *more, Py_ssize_t width, bint skip) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(width):
        if lower(best[j], more[j], skip):
            best[j] = more[j]


cdef void min_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_low(a[0], b[0], width, False)


cdef void nanmin_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_low(a[0], b[0], width, True)


cdef inline void keep_arg_low(real **a, real **b, Py_ssize_t width, bint skip) noexcept nogil:
    """Keep the first of the least elements. An index of -1 says that there was nothing but NaN."""
    cdef real *best = a[0]
    cdef real *more = b[0]
    cdef int64_t *index = <int64_t *> a[1]
    cdef int64_t *other = <int64_t *> b[1]
    cdef Py_ssize_t j
    for j in range(width):
        if other[j] >= 0 and (index[j] < 0 or lower(best[j], more[j], skip)):
            best[j] = more[j]
            index[j] = other[j]


cdef void argmin_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_arg_low(a, b, width, False)


cdef void nanargmin_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_arg_low(a, b, width, True)


cdef inline void keep_high(real *best, const real *more, Py_ssize_t width, bint skip) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(width):
        if higher(best[j], more[j], skip):
            best[j] = more[j]


cdef void max_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_high(a[0], b[0], width, False)


cdef void nanmax_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_high(a[0], b[0], width, True)


cdef inline void keep_arg_high(real **a, real **b, Py_ssize_t width, bint skip) noexcept nogil:
    """Keep the first of the greatest elements. An index of -1 says that there was nothing but NaN."""
    cdef real *best = a[0]
    cdef real *more = b[0]
    cdef int64_t *index = <int64_t *> a[1]
    cdef int64_t *other = <int64_t *> b[1]
    cdef Py_ssize_t j
    for j in range(width):
        if other[j] >= 0 and (index[j] < 0 or higher(best[j], more[j], skip)):
            best[j] = more[j]
            index[j] = other[j]


cdef void argmax_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_arg_high(a, b, width, False)


cdef void nanargmax_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    keep_arg_high(a, b, width, True)


cdef void ptp_merge(real **a, real **b, Py_ssize_t width) noexcept nogil:
    min_merge(a, b, width)
    max_merge(a + 1, b + 1, width)


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
        job.merge = <fold_function> <void *> min_merge[real]
    elif kernel == MAX:
        job.line = <line_function> <void *> max_line[real]
        job.rows = <rows_function> <void *> max_rows[real]
        job.merge = <fold_function> <void *> max_merge[real]
    elif kernel == PTP:
        job.line = <line_function> <void *> ptp_line[real]
        job.rows = <rows_function> <void *> ptp_rows[real]
        job.merge = <fold_function> <void *> ptp_merge[real]
    elif kernel == ARGMIN:
        job.line = <line_function> <void *> argmin_line[real]
        job.rows = <rows_function> <void *> argmin_rows[real]
        job.merge = <fold_function> <void *> argmin_merge[real]
    elif kernel == ARGMAX:
        job.line = <line_function> <void *> argmax_line[real]
        job.rows = <rows_function> <void *> argmax_rows[real]
        job.merge = <fold_function> <void *> argmax_merge[real]
    if kernel in (MAX, ARGMAX):
        pad = lowest(zero)
    memcpy(job.padding, &pad, sizeof(real))


cdef void bind_floating(Job *job, Kernel kernel, floating *_) noexcept nogil:
    cdef floating pad = NAN
    if kernel == NANMIN:
        job.line = <line_function> <void *> nanmin_line[floating]
        job.rows = <rows_function> <void *> nanmin_rows[floating]
        job.merge = <fold_function> <void *> nanmin_merge[floating]
    elif kernel == NANMAX:
        job.line = <line_function> <void *> nanmax_line[floating]
        job.rows = <rows_function> <void *> nanmax_rows[floating]
        job.merge = <fold_function> <void *> nanmax_merge[floating]
    elif kernel == NANARGMIN:
        job.line = <line_function> <void *> nanargmin_line[floating]
        job.rows = <rows_function> <void *> nanargmin_rows[floating]
        job.merge = <fold_function> <void *> nanargmin_merge[floating]
    elif kernel == NANARGMAX:
        job.line = <line_function> <void *> nanargmax_line[floating]
        job.rows = <rows_function> <void *> nanargmax_rows[floating]
        job.merge = <fold_function> <void *> nanargmax_merge[floating]
    memcpy(job.padding, &pad, sizeof(floating))


cdef void bind_bools(Job *job, Kernel kernel) noexcept nogil:
    bind_real(job, kernel, <uint8_t *> NULL)        # padding, and what is left of two runs
    if kernel == MIN:
        job.line = bools_min_line
        job.rows = bools_min_rows
    elif kernel == MAX:
        job.line = bools_max_line
        job.rows = bools_max_rows
    elif kernel == ARGMIN:
        job.line = bools_argmin_line
        job.rows = bools_argmin_rows
    elif kernel == ARGMAX:
        job.line = bools_argmax_line
        job.rows = bools_argmax_rows


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
    elif code == b"?":
        bind_bools(job, kernel)
    elif code == b"B":
        bind_real(job, kernel, <uint8_t *> NULL)
    elif code == b"H":
        bind_real(job, kernel, <uint16_t *> NULL)
    elif code == b"I":
        bind_real(job, kernel, <uint32_t *> NULL)
    elif code == b"Q":
        bind_real(job, kernel, <uint64_t *> NULL)
    return job.line != NULL


cdef int run(Kernel kernel, object x, object where, object cursor, tuple outputs) except -1:
    cdef Job job
    cdef Views views
    cdef char code
    try:
        code = open_views(&views, &job, x, where, cursor, outputs)
        if not bind(&job, kernel, code):
            raise TypeError("no kernel for arrays of this dtype")
        run_job(&job, &views)
        return 0            # comparing with a NaN raises a flag, but nothing of which NumPy warns
    finally:
        close_views(&views)


cdef int merge(Kernel kernel, tuple outputs) except -1:
    """What chunks left in the outputs, folded into the first part."""
    cdef Job job
    if not bind(&job, kernel, output_code(outputs[0])):
        raise TypeError("no kernel for arrays of this dtype")
    merge_parts(&job, outputs)
    return 0


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


def fold_ptp(*outputs):
    return merge(PTP, outputs)


def fold_min(*outputs):
    return merge(MIN, outputs)


def fold_max(*outputs):
    return merge(MAX, outputs)


def fold_nanmin(*outputs):
    return merge(NANMIN, outputs)


def fold_nanmax(*outputs):
    return merge(NANMAX, outputs)


def fold_argmin(*outputs):
    return merge(ARGMIN, outputs)


def fold_argmax(*outputs):
    return merge(ARGMAX, outputs)


def fold_nanargmin(*outputs):
    return merge(NANARGMIN, outputs)


def fold_nanargmax(*outputs):
    return merge(NANARGMAX, outputs)


# ---- doors: small arrays, with all arguments but these at their defaults

cdef object NoValue = _NoValue
cdef object ndarray = _ndarray      # as C variables, not looked up in the module at each call
cdef object scalar64 = float64
cdef object true = True_
cdef object false = False_

# The positions in small arrays: making a scalar of a number takes 130 ns, a third of the whole call.
cdef tuple FEW = tuple([int64(i) for i in range(1024)])


cdef object scalar(char code, const char *p):
    """One element as NumPy's scalar."""
    cdef int64_t i
    if code == b"d":
        return scalar64((<double *> p)[0])
    if code == b"f":
        return float32((<float *> p)[0])
    if code == b"q":
        i = (<int64_t *> p)[0]
        return FEW[i] if 0 <= i < 1024 else int64(i)
    if code == b"i":
        return int32((<int32_t *> p)[0])
    if code == b"?":
        return true if (<uint8_t *> p)[0] else false
    if code == b"B":
        return uint8((<uint8_t *> p)[0])
    if code == b"b":
        return int8((<int8_t *> p)[0])
    if code == b"h":
        return int16((<int16_t *> p)[0])
    if code == b"H":
        return uint16((<uint16_t *> p)[0])
    if code == b"I":
        return uint32((<uint32_t *> p)[0])
    return uint64((<uint64_t *> p)[0])


cdef object deliver(const char *partials, Py_ssize_t outputs, char code, object dtype, object shape):
    """Partials as a scalar, where there is no shape, or as an array."""
    cdef Py_buffer out
    if shape is None:
        return scalar(code, partials)
    result = empty(shape, dtype)
    PyObject_GetBuffer(result, &out, PyBUF_FULL)
    memcpy(out.buf, partials, outputs * out.itemsize)
    PyBuffer_Release(&out)
    return result


cdef object small(Kernel kernel, object a, object axis, object keepdims, object where):
    cdef Job job
    cdef Small it
    cdef char code
    cdef Py_ssize_t i
    cdef double difference
    cdef bint positions = kernel in (ARGMIN, ARGMAX, NANARGMIN, NANARGMAX)
    if type(a) is not ndarray or (keepdims is not True and keepdims is not False and keepdims is not NoValue):
        return None
    code = open_small(&it, &job, a, axis, where, positions, 2 * LIMIT)
    if code == 0:
        return None
    it.partials = it.fixed
    try:
        if code != b"d" and code != b"f":           # no NaN to skip
            kernel = (MIN if kernel == NANMIN else MAX if kernel == NANMAX
                      else ARGMIN if kernel == NANARGMIN else ARGMAX if kernel == NANARGMAX else kernel)
        if not bind(&job, kernel, code) or not partials_small(&it, &job, 2 if positions or kernel == PTP else 1):
            return None
        job.size[0] = job.itemsize
        if kernel == PTP:
            if code == b"?":                       # can't be subtracted
                return None
            job.size[1] = job.itemsize
        run_small(&it, &job)
        if kernel in (NANARGMIN, NANARGMAX):
            for i in range(it.outputs):
                if (<int64_t *> job.output[1])[i] < 0:
                    return None                     # nothing but NaN
        elif kernel in (NANMIN, NANMAX):
            for i in range(it.outputs):
                if code == b"d" and (<double *> it.partials)[i] != (<double *> it.partials)[i]:
                    return None
                if code == b"f" and (<float *> it.partials)[i] != (<float *> it.partials)[i]:
                    return None
        shape = shape_small(&it, keepdims is True)
        if positions:
            result = deliver(job.output[1], it.outputs, b"q", int64, shape)
            return result if int64 is intp or shape is None else result.astype(intp)
        if kernel == PTP and shape is None and code == b"d":
            difference = (<double *> job.output[1])[0] - (<double *> it.partials)[0]
            if isfinite(difference):                # otherwise NumPy may warn
                return scalar64(difference)
        dtype = a.dtype.newbyteorder("=") if job.swapped else a.dtype
        result = deliver(it.partials, it.outputs, code, dtype, shape)
        if kernel == PTP:
            return subtract(deliver(job.output[1], it.outputs, code, dtype, shape), result)
        return result
    finally:
        close_small(&it)


def small_min(a, axis, keepdims, where=None):
    return small(MIN, a, axis, keepdims, where)


def small_max(a, axis, keepdims, where=None):
    return small(MAX, a, axis, keepdims, where)


def small_nanmin(a, axis, keepdims, where=None):
    return small(NANMIN, a, axis, keepdims, where)


def small_nanmax(a, axis, keepdims, where=None):
    return small(NANMAX, a, axis, keepdims, where)


def small_argmin(a, axis, keepdims):
    return small(ARGMIN, a, axis, keepdims, None)


def small_argmax(a, axis, keepdims):
    return small(ARGMAX, a, axis, keepdims, None)


def small_nanargmin(a, axis, keepdims):
    return small(NANARGMIN, a, axis, keepdims, None)


def small_nanargmax(a, axis, keepdims):
    return small(NANARGMAX, a, axis, keepdims, None)


def small_ptp(a, axis, keepdims):
    return small(PTP, a, axis, keepdims, None)
