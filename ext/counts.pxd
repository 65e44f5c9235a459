"""How many elements of a leaf are what is asked for: true, false, a number, or NaN."""
from libc.stdint cimport int32_t, int64_t, uint8_t

from cursor cimport allcores_ahead, allcores_ahead_rows
from drive cimport LANES, STRIP
from reals cimport real

cdef enum Predicate:             # what is counted; any byte of a bool but 0 is true
    TRUE
    FALSE
    NUMBER
    NOT_NUMBER


cdef inline bint holds(real v, Predicate what) noexcept nogil:
    if what == TRUE:
        return v != 0
    if what == FALSE:
        return v == 0
    if what == NUMBER:
        return v == v
    return v != v


cdef inline int64_t line_count(const real *v, const real *tail, Py_ssize_t n, Predicate what) noexcept nogil:
    """How often the predicate holds. Each lane counts in an integer of the size of an element: a leaf has 128 rows, which
    even one byte can count."""
    cdef uint8_t lane1[LANES]
    cdef uint8_t wide[4 * LANES]
    cdef int32_t lane4[LANES]
    cdef int64_t lane8[LANES]
    cdef int64_t count = 0
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        lane1[l] = 0
        lane4[l] = 0
        lane8[l] = 0
    if sizeof(real) == 1:
        for l in range(4 * LANES):
            wide[l] = 0
        while i + 4 * LANES <= n:
            allcores_ahead(v + i, 4 * LANES)
            for l in range(4 * LANES):
                wide[l] += holds(v[i + l], what)
            i += 4 * LANES
        for l in range(LANES):
            lane1[l] = (wide[l] + wide[l + LANES]) + (wide[l + 2 * LANES] + wide[l + 3 * LANES])
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(real))
        for l in range(LANES):
            if sizeof(real) == 1:
                lane1[l] += holds(v[i + l], what)
            elif sizeof(real) == 8:
                lane8[l] += holds(v[i + l], what)
            else:
                lane4[l] += holds(v[i + l], what)
        i += LANES
    if i < n:
        allcores_ahead(tail, 32 * sizeof(real))
        for l in range(LANES):
            if sizeof(real) == 1:
                lane1[l] += holds(tail[l], what) & (l < n - i)
            elif sizeof(real) == 8:
                lane8[l] += holds(tail[l], what) & (l < n - i)
            else:
                lane4[l] += holds(tail[l], what) & (l < n - i)
    if sizeof(real) == 1:
        for l in range(LANES):
            count += lane1[l]
    elif sizeof(real) == 8:
        for l in range(LANES):
            count += lane8[l]
    else:
        for l in range(LANES):
            count += lane4[l]
    return count


cdef inline void rows_count(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Predicate what, bint fresh,
        int64_t *count) noexcept nogil:
    """How often the predicate holds in each column of a leaf. A leaf has 32 rows: those of one byte are counted in bytes."""
    cdef const real *a
    cdef uint8_t few[STRIP]
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    for j in range(cols):
        if fresh:
            count[j] = 0
        if sizeof(real) == 1:
            few[j] = 0
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            if sizeof(real) == 1:
                few[j] += <uint8_t> holds(a[j], what) + <uint8_t> holds(a[j + s], what) + (
                    <uint8_t> holds(a[j + 2 * s], what) + <uint8_t> holds(a[j + 3 * s], what)) + (
                    <uint8_t> holds(a[j + 4 * s], what) + <uint8_t> holds(a[j + 5 * s], what)) + (
                    <uint8_t> holds(a[j + 6 * s], what) + <uint8_t> holds(a[j + 7 * s], what))
            else:
                count[j] += (holds(a[j], what) + holds(a[j + s], what) + holds(a[j + 2 * s], what)
                             + holds(a[j + 3 * s], what) + holds(a[j + 4 * s], what) + holds(a[j + 5 * s], what)
                             + holds(a[j + 6 * s], what) + holds(a[j + 7 * s], what))
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            if sizeof(real) == 1:
                few[j] += holds(a[j], what)
            else:
                count[j] += holds(a[j], what)
        i += 1
    if sizeof(real) == 1:
        for j in range(cols):
            count[j] += few[j]
