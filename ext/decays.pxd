# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Counts, sums and means that lose a constant share with each element, for four elements of a series at a time:

    t[i] = x[i] + d t[i - 1]        within the four, from zeros:   t = x + d later(x);   t += d^2 later_two(t)
    s[i] = t[i] + d^(i + 1) s       where s is the sum before the four

so that only one multiplication and one addition of each four elements wait for the elements before. A missing element is 0.
"""
from libc.math cimport NAN, frexp, ldexp
from libc.string cimport memcpy

from chains cimport COUNT, MEAN, SUM, Kind
from cursor cimport allcores_ahead, allcores_ahead_rows
from f64x4 cimport (
    add, broadcast, div, f64x4, greater, last, later, later_two, load, mul, store, where_equal, zeros)

cdef enum:
    BYTES = 128             # of a row of 16 lanes
    AT_ONCE = 4             # lines that are computed side by side
    SPLIT = (1 << 27) + 1   # splits the digits of a double into halves
    LEAST_EXPONENT = 128

cdef extern from *:
    """
    #define ALLCORES_LOW 0x1p-8
    #define ALLCORES_LEAST 0x1p-128
    """
    const double LOW "ALLCORES_LOW"         # counts below this are multiplied by a power of two
    const double LEAST "ALLCORES_LEAST"     # the least that may be left of a count when it is looked at again


cdef struct Powers:         # powers of the decay, which is not 0: none of them underflows
    f64x4 one, two, three, four
    f64x4 all
    Py_ssize_t span         # elements in which no count underflows


cdef inline double product_error(double a, double b, double product) noexcept nogil:
    """The rounding error of a product (Dekker, 1971)."""
    cdef double c = SPLIT * a, d = SPLIT * b
    cdef double a_high = c - (c - a), b_high = d - (d - b)
    cdef double a_low = a - a_high, b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


cdef inline void powers_of(double alpha, Powers *to) noexcept nogil:
    """The powers of 1 - alpha, each rounded once: an error of d^4 would be repeated every four elements."""
    cdef double p[4]
    cdef double rest[4]
    cdef double product, error
    cdef int k, a
    p[0] = 1 - alpha
    rest[0] = (1 - p[0]) - alpha
    for k in range(1, 4):
        a = k // 2              # d^(k + 1) = d^(a + 1) d^(k - a)
        product = p[a] * p[k - a - 1]
        error = product_error(p[a], p[k - a - 1], product) + (p[a] * rest[k - a - 1] + rest[a] * p[k - a - 1])
        p[k] = product + error
        rest[k] = error - (p[k] - product)
    to.one = broadcast(p[0])
    to.two = broadcast(p[1])
    to.three = broadcast(p[2])
    to.four = broadcast(p[3])
    to.all = load(p)


cdef inline f64x4 here_of(f64x4 x) noexcept nogil:
    """1 where there is an element, else 0."""
    return where_equal(x, x, broadcast(1), zeros())


cdef inline f64x4 present(f64x4 x) noexcept nogil:
    """The elements, and 0 where one is missing."""
    return where_equal(x, x, x, zeros())


cdef inline f64x4 seen_only(f64x4 seen, f64x4 value) noexcept nogil:
    return where_equal(seen, zeros(), broadcast(NAN), value)


# ---- exponents: what is known of a series is multiplied by a power of two before it underflows in a long gap

cdef inline double lowered(double value, double exponent) noexcept nogil:
    """value / 2^exponent; an infinity stays one."""
    return value if exponent == 0 else ldexp(value, -<int> (exponent if exponent < 5000 else 5000))


cdef inline double split(double value, int *exponent) noexcept nogil:
    """Split a value into digits between a half and two and an even exponent, whose root is a power of two as well."""
    cdef double digits = frexp(value, exponent)
    if exponent[0] % 2 != 0:
        exponent[0] -= 1
        digits = 2 * digits
    return digits


cdef inline void settled(double *total, double *count, double *far) noexcept nogil:
    """Change the exponent of a state so that its count is near one."""
    cdef int exponent
    count[0] = split(count[0], &exponent)
    far[0] -= exponent
    if total != NULL:
        total[0] = ldexp(total[0], -exponent)


cdef inline bint joins(const double *x, Py_ssize_t n) noexcept nogil:
    """Whether there is an element."""
    cdef bint found = False
    cdef Py_ssize_t i
    for i in range(n):
        found |= x[i] == x[i]
    return found


cdef inline void decay_far(
        const double *x, Py_ssize_t x_step, Py_ssize_t n, Powers *powers, double *to, Py_ssize_t to_step, double *total,
        double *count, double *far) noexcept nogil:
    """n elements join a mean that has an exponent, in the order of `along`. Before the first of them the mean does not change."""
    cdef double v[4]
    cdef double here[4]
    cdef double p[4]
    cdef Py_ssize_t at = 0
    cdef int i, first
    store(p, powers.all)
    while at < n:
        first = 4
        for i in range(3, -1, -1):
            v[i] = 0
            here[i] = 0
            if at + i < n and x[(at + i) * x_step] == x[(at + i) * x_step]:
                v[i] = x[(at + i) * x_step]
                here[i] = 1
                first = i
        if to != NULL:
            for i in range(first):
                if at + i < n:
                    to[(at + i) * to_step] = (0 + p[i] * total[0]) / (0 + p[i] * count[0])
        if first < 4:
            total[0] = lowered(total[0], far[0])
            count[0] = lowered(count[0], far[0])
            far[0] = 0
        sums_of_four(v, p, total)
        sums_of_four(here, p, count)
        if to != NULL:
            for i in range(first, 4):
                if at + i < n:
                    to[(at + i) * to_step] = v[i] / here[i]
        if 0 < count[0] < LOW:
            settled(total, count, far)
        at += 4


cdef inline void sums_of_four(double *x, const double *p, double *before) noexcept nogil:
    """`along` for four numbers, one by one."""
    cdef double b = x[1] + p[0] * x[0], c = x[2] + p[0] * x[1], d = x[3] + p[0] * x[2]
    cdef double a = x[0] + 0.0
    d = d + p[1] * b
    c = c + p[1] * a
    x[0] = a + p[0] * before[0]
    x[1] = (b + 0.0) + p[1] * before[0]
    x[2] = c + p[2] * before[0]
    x[3] = d + p[3] * before[0]
    before[0] = x[3]


# ---- lines: a vector is four elements of one of them

cdef inline f64x4 along(f64x4 x, Powers *p, f64x4 *before) noexcept nogil:
    """The sums up to each of four elements."""
    cdef f64x4 t = add(x, mul(p.one, later(x)))
    t = add(t, mul(p.two, later_two(t)))
    t = add(t, mul(p.all, before[0]))
    before[0] = last(t)
    return t


cdef inline f64x4 seen_along(f64x4 here, f64x4 *before) noexcept nogil:
    """1 from the first element that is there on, else 0."""
    here = greater(here, later(here))
    here = greater(greater(here, later_two(here)), before[0])
    before[0] = last(here)
    return here


cdef inline void decay_line(
        Kind kind, bint seen, const double *x, double *to, Powers *p, f64x4 *total, f64x4 *count) noexcept nogil:
    cdef f64x4 v = load(x)
    cdef f64x4 here
    if kind == COUNT:
        store(to, along(here_of(v), p, total))
    elif kind == MEAN:
        here = along(here_of(v), p, count)
        store(to, div(along(present(v), p, total), here))
    elif seen:
        store(to, along(present(v), p, total))
    else:
        here = seen_along(here_of(v), count)
        store(to, seen_only(here, along(present(v), p, total)))


cdef inline void decay_lines(
        Kind kind, bint seen, const double **x, double **to, Py_ssize_t n, Powers *powers, f64x4 *total,
        f64x4 *count) noexcept nogil:
    """Compute n elements, a multiple of four, of four lines. `total` and `count` are those before, in all four places."""
    cdef Powers p = powers[0]
    cdef f64x4 a = total[0], b = total[1], c = total[2], d = total[3]
    cdef f64x4 e = count[0], f = count[1], g = count[2], h = count[3]
    cdef Py_ssize_t i = 0
    while i < n:
        decay_line(kind, seen, x[0] + i, to[0] + i, &p, &a, &e)
        decay_line(kind, seen, x[1] + i, to[1] + i, &p, &b, &f)
        decay_line(kind, seen, x[2] + i, to[2] + i, &p, &c, &g)
        decay_line(kind, seen, x[3] + i, to[3] + i, &p, &d, &h)
        i += 4
    total[0] = a
    total[1] = b
    total[2] = c
    total[3] = d
    count[0] = e
    count[1] = f
    count[2] = g
    count[3] = h


cdef inline bint positive(const f64x4 *count) noexcept nogil:
    cdef double v[4]
    cdef bint all_are = True
    cdef int k
    for k in range(AT_ONCE):
        store(v, count[k])
        all_are &= v[0] > 0
    return all_are


cdef inline void decay_kind(
        Kind kind, const double **x, double **to, Py_ssize_t n, Powers *p, f64x4 *total, f64x4 *count) noexcept nogil:
    if kind == COUNT:
        decay_lines(COUNT, True, x, to, n, p, total, count)
    elif kind == MEAN:
        decay_lines(MEAN, True, x, to, n, p, total, count)
    elif positive(count):
        decay_lines(SUM, True, x, to, n, p, total, count)
    else:
        decay_lines(SUM, False, x, to, n, p, total, count)


cdef inline void decay_some(
        Kind kind, const double **x, double **to, Py_ssize_t n, Powers *p, f64x4 *total, f64x4 *count) noexcept nogil:
    """Compute any number of elements of four lines; NaN stands for those after the last one."""
    cdef double rest[AT_ONCE][4]
    cdef double results[AT_ONCE][4]
    cdef const double *a[AT_ONCE]
    cdef double *b[AT_ONCE]
    cdef Py_ssize_t whole = n - n % 4, i
    cdef int k
    decay_kind(kind, x, to, whole, p, total, count)
    if whole == n:
        return
    for k in range(AT_ONCE):
        for i in range(4):
            rest[k][i] = x[k][whole + i] if whole + i < n else NAN
        a[k] = rest[k]
        b[k] = results[k]
    decay_kind(kind, a, b, 4, p, total, count)
    for k in range(AT_ONCE):
        memcpy(to[k] + whole, results[k], (n - whole) * sizeof(double))


# ---- columns: a vector is one row of four of them

cdef inline void down(f64x4 *x, Powers *p, f64x4 *before) noexcept nogil:
    """The sums up to each of four rows, in the order of `along`."""
    cdef f64x4 a = add(x[0], zeros())
    cdef f64x4 b = add(x[1], mul(p.one, x[0]))
    cdef f64x4 c = add(x[2], mul(p.one, x[1]))
    cdef f64x4 d = add(x[3], mul(p.one, x[2]))
    d = add(d, mul(p.two, b))
    c = add(c, mul(p.two, a))
    x[0] = add(a, mul(p.one, before[0]))
    x[1] = add(add(b, zeros()), mul(p.two, before[0]))
    x[2] = add(c, mul(p.three, before[0]))
    x[3] = add(d, mul(p.four, before[0]))
    before[0] = x[3]


cdef inline void decay_column(
        Kind kind, bint ends, const double *x, Py_ssize_t x_step, double *to, Py_ssize_t to_step, int rows, Powers *p,
        f64x4 *total, f64x4 *count) noexcept nogil:
    """Compute up to four rows of four columns; NaN stands for rows after the last one."""
    cdef f64x4 v[4]
    cdef f64x4 here[4]
    cdef int r
    for r in range(4):
        v[r] = load(x + r * x_step) if r < rows else broadcast(NAN)
        here[r] = here_of(v[r])
        v[r] = present(v[r])
    if kind == COUNT:
        down(here, p, total)
    else:
        down(v, p, total)
    if kind == MEAN:
        down(here, p, count)
    elif kind == SUM:
        for r in range(4):
            count[0] = greater(count[0], here[r])
            here[r] = count[0]
    if ends:
        return
    for r in range(rows):
        if kind == COUNT:
            store(to + r * to_step, here[r])
        elif kind == MEAN:
            store(to + r * to_step, div(v[r], here[r]))
        else:
            store(to + r * to_step, seen_only(here[r], v[r]))


cdef inline void decay_columns(
        Kind kind, bint ends, const double *x, Py_ssize_t x_step, Py_ssize_t rows, Powers *powers, double *to,
        Py_ssize_t to_step, double *totals, double *counts, Py_ssize_t ahead) noexcept nogil:
    """Rows of 16 columns. What is so many rows ahead is prefetched, unless that number is 0."""
    cdef Powers p = powers[0]
    cdef f64x4 total[4]
    cdef f64x4 count[4]
    cdef Py_ssize_t at = 0
    cdef int k
    for k in range(4):
        total[k] = load(totals + 4 * k)
        count[k] = load(counts + 4 * k)
    while at < rows:
        if ahead:
            allcores_ahead_rows(x, x_step * sizeof(double), 4, BYTES, ahead * x_step * <Py_ssize_t> sizeof(double))
            if not ends:
                allcores_ahead_rows(to, to_step * sizeof(double), 4, BYTES, ahead * to_step * <Py_ssize_t> sizeof(double))
        if at + 4 <= rows:
            for k in range(4):
                decay_column(kind, ends, x + 4 * k, x_step, to + 4 * k, to_step, 4, &p, &total[k], &count[k])
        else:
            for k in range(4):
                decay_column(
                    kind, ends, x + 4 * k, x_step, to + 4 * k, to_step, <int> (rows - at), &p, &total[k], &count[k])
        at += 4
        x += 4 * x_step
        to += 4 * to_step
    for k in range(4):
        store(totals + 4 * k, total[k])
        store(counts + 4 * k, count[k])


cdef inline void decay_rows(
        Kind kind, bint ends, const double *x, Py_ssize_t x_step, Py_ssize_t rows, Powers *p, double *to,
        Py_ssize_t to_step, double *totals, double *counts, Py_ssize_t ahead) noexcept nogil:
    if kind == COUNT and ends:
        decay_columns(COUNT, True, x, x_step, rows, p, to, to_step, totals, counts, ahead)
    elif kind == COUNT:
        decay_columns(COUNT, False, x, x_step, rows, p, to, to_step, totals, counts, ahead)
    elif kind == SUM and ends:
        decay_columns(SUM, True, x, x_step, rows, p, to, to_step, totals, counts, ahead)
    elif kind == SUM:
        decay_columns(SUM, False, x, x_step, rows, p, to, to_step, totals, counts, ahead)
    elif ends:
        decay_columns(MEAN, True, x, x_step, rows, p, to, to_step, totals, counts, ahead)
    else:
        decay_columns(MEAN, False, x, x_step, rows, p, to, to_step, totals, counts, ahead)
