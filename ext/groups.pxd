# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Groups of the lanes of a strip are loaded as columns of a tile, and results are written back from there.

    row p of a tile    element p of each group:   g of all lanes | g + 1 of all lanes | ...

Columns of an array are copied row by row, lines are transposed, four groups at a time.
"""
from libc.math cimport INFINITY, NAN

from cursor cimport allcores_ahead, allcores_ahead_rows
from f64x4 cimport f64x4, load, store, transpose
from merges cimport MOST
from window cimport Job, Operand, Strip


cdef enum:
    WIDE = 16               # columns that are scanned at a time: four vectors


cdef inline bint straight(Operand *operand, char *first, Py_ssize_t lanes) noexcept nogil:
    """Whether columns of doubles can be scanned where they are."""
    return (operand.is_double and operand.inner_stride == sizeof(double) and operand.n_stride % <Py_ssize_t> sizeof(double) == 0
            and <size_t> first % sizeof(double) == 0 and lanes % WIDE == 0)


cdef inline void transpose_in(
        const double *a, const double *b, const double *c, const double *d, Py_ssize_t n, double *to,
        Py_ssize_t step) noexcept nogil:
    """Load n elements of each of four groups into four columns."""
    cdef f64x4 e, f, g, h
    cdef Py_ssize_t p = 0
    while p + 4 <= n:
        e = load(a + p)
        f = load(b + p)
        g = load(c + p)
        h = load(d + p)
        transpose(&e, &f, &g, &h)
        store(to, e)
        store(to + step, f)
        store(to + 2 * step, g)
        store(to + 3 * step, h)
        to += 4 * step
        p += 4
    while p < n:
        to[0] = a[p]
        to[1] = b[p]
        to[2] = c[p]
        to[3] = d[p]
        to += step
        p += 1


cdef inline void transpose_out(
        const double *v, Py_ssize_t step, Py_ssize_t n, double *a, double *b, double *c, double *d) noexcept nogil:
    """Write n numbers of each of four columns to four groups: the reverse of `transpose_in`."""
    cdef f64x4 e, f, g, h
    cdef Py_ssize_t p = 0
    while p + 4 <= n:
        e = load(v)
        f = load(v + step)
        g = load(v + 2 * step)
        h = load(v + 3 * step)
        transpose(&e, &f, &g, &h)
        store(a + p, e)
        store(b + p, f)
        store(c + p, g)
        store(d + p, h)
        v += 4 * step
        p += 4
    while p < n:
        a[p] = v[0]
        b[p] = v[1]
        c[p] = v[2]
        d[p] = v[3]
        v += step
        p += 1


cdef inline bint side_by_side(Operand *operand, char *first) noexcept nogil:
    """Whether the elements of a line are doubles that can be read or written where they are."""
    return operand.is_double and operand.n_stride == sizeof(double) and <size_t> first % sizeof(double) == 0


cdef inline const double *line_group(
        Job *job, Operand *x, char *lane, Py_ssize_t base, Py_ssize_t length, double *room) noexcept nogil:
    """Elements base.. of a line: in place if they are doubles side by side, else copied. NaN stands for what lies outside of
    the series."""
    cdef Py_ssize_t low = -base if base < 0 else 0
    cdef Py_ssize_t high = length if base + length <= job.n else job.n - base
    cdef Py_ssize_t p
    cdef char *v = lane + base * x.n_stride
    low = length if low > length else low
    high = low if high < low else high
    if x.n_stride == x.itemsize:
        allcores_ahead(v, <int> (length * x.itemsize))
        if x.is_double and high - low == length and <size_t> v % sizeof(double) == 0:
            return <const double *> v
    for p in range(length):
        if p < low or p >= high:
            room[p] = NAN
    x.take(v + low * x.n_stride, x.n_stride, high - low, room + low, 1)
    return room


cdef inline void take_groups(
        Job *job, Strip *strip, int f, Py_ssize_t group, Py_ssize_t groups, Py_ssize_t length,
        double *to, Py_ssize_t step) noexcept nogil:
    """Load groups group.. of one input: row p of `to` gets element p of each group, of all lanes. NaN stands
    for what lies outside of the series."""
    cdef Operand *x = &job.operand[f]
    cdef double room[4 * MOST]
    cdef const double *column[4]
    cdef const double *at
    cdef char *here
    cdef Py_ssize_t lanes = strip.lanes, width = groups * lanes, g = 0, p, l = 0, c = 0, i
    if strip.adjoin:
        for g in range(groups):
            here = strip.lane[f][0] + (group + g) * length * x.n_stride
            for p in range(length):
                if 0 <= (group + g) * length + p < job.n:
                    allcores_ahead_rows(here, 0, 1, lanes * x.inner_stride, groups * length * x.n_stride)
                    x.take(here, x.inner_stride, lanes, to + p * step + g * lanes, 1)
                else:
                    for l in range(lanes):
                        to[p * step + g * lanes + l] = NAN
                here += x.n_stride
        return
    if lanes == 1 and side_by_side(x, strip.lane[f][0]) and group >= 0 and (group + groups) * length <= job.n:
        at = <const double *> strip.lane[f][0] + group * length
        while c + 4 <= width:
            allcores_ahead(at, <int> (4 * length * sizeof(double)))
            transpose_in(at, at + length, at + 2 * length, at + 3 * length, length, to + c, step)
            at += 4 * length
            c += 4
        g = c
    while c < width:
        for i in range(4 if c + 4 <= width else width - c):
            column[i] = line_group(job, x, strip.lane[f][l], (group + g) * length, length, room + i * MOST)
            l += 1
            if l == lanes:
                l = 0
                g += 1
        if c + 4 <= width:
            transpose_in(column[0], column[1], column[2], column[3], length, to + c, step)
        else:
            for i in range(width - c):
                for p in range(length):
                    to[p * step + c + i] = column[i][p]
        c += 4


cdef inline void give_groups(
        Job *job, Strip *strip, Py_ssize_t group, Py_ssize_t groups, Py_ssize_t length, Py_ssize_t offset,
        Py_ssize_t begin, Py_ssize_t end, double *v, Py_ssize_t step) noexcept nogil:
    """Write results to out. Row p of `v` holds the results of the windows that end at element p of each group; only those of
    outputs begin..end are written."""
    cdef Operand *out = job.out
    cdef Py_ssize_t lanes = strip.lanes, width = groups * lanes, g = 0, base, low, high, p, l = 0, c = 0, i
    cdef Py_ssize_t first[4]
    cdef double room[4 * MOST]
    cdef char *to[4]
    cdef double *at
    cdef bint direct
    if strip.adjoin:
        for g in range(groups):
            base = (group + g) * length - offset
            low = begin - base if base < begin else 0
            high = length if base + length <= end else end - base
            for p in range(low, high):
                allcores_ahead_rows(
                    strip.out[0] + (base + p) * out.n_stride, 0, 1, lanes * out.inner_stride, groups * length * out.n_stride)
                out.give(v + p * step + g * lanes, 1, lanes, strip.out[0] + (base + p) * out.n_stride, out.inner_stride)
        return
    base = group * length - offset
    if lanes == 1 and side_by_side(out, strip.out[0]) and base >= begin and base + groups * length <= end:
        at = <double *> strip.out[0] + base
        while c + 4 <= width:
            allcores_ahead(at, <int> (4 * length * sizeof(double)))
            transpose_out(v + c, step, length, at, at + length, at + 2 * length, at + 3 * length)
            at += 4 * length
            c += 4
        g = c
    while c < width:
        direct = c + 4 <= width and out.is_double and out.n_stride == sizeof(double)
        for i in range(4 if c + 4 <= width else width - c):
            first[i] = base = (group + g) * length - offset
            to[i] = strip.out[l] + base * out.n_stride
            l += 1
            if l == lanes:
                l = 0
                g += 1
            direct &= base >= begin and base + length <= end and <size_t> to[i] % sizeof(double) == 0
        if direct:
            for i in range(4):
                allcores_ahead(to[i], <int> (length * sizeof(double)))
            transpose_out(v + c, step, length, <double *> to[0], <double *> to[1], <double *> to[2], <double *> to[3])
        else:
            if c + 4 <= width:
                transpose_out(v + c, step, length, room, room + MOST, room + 2 * MOST, room + 3 * MOST)
            for i in range(4 if c + 4 <= width else width - c):
                base = first[i]
                low = begin - base if base < begin else 0
                high = length if base + length <= end else end - base
                if c + 4 > width:
                    for p in range(length):
                        room[i * MOST + p] = v[c + i + p * step]
                if low < high:
                    out.give(room + i * MOST + low, 1, high - low, to[i] + low * out.n_stride, out.n_stride)
        c += 4


cdef inline void give_accepted(
        Job *job, Strip *strip, Py_ssize_t group, Py_ssize_t groups, Py_ssize_t length, Py_ssize_t offset,
        Py_ssize_t begin, Py_ssize_t end, const double *v, Py_ssize_t step) noexcept nogil:
    """`give_groups` for the results that are not infinite, one by one."""
    cdef Operand *out = job.out
    cdef Py_ssize_t lanes = strip.lanes, at, p, c
    for p in range(length):
        for c in range(groups * lanes):
            at = (group + c // lanes) * length + p - offset
            if begin <= at < end and v[p * step + c] != INFINITY:
                out.give(v + p * step + c, 1, 1, strip.out[c % lanes] + at * out.n_stride, out.n_stride)
