# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Exponentially weighted moments of 16 lanes side by side, with their states in registers and one alpha for all.

A function here does to four lanes what `join_...` and `finish_...` of scan.pyx do to a row of them, operation by
operation. Where an element is missing the state only decays. Where none is, and lanes have the same count, they also have
the same shares, which are then computed once a row (`Shares`) by the same operations.
"""
from libc.math cimport NAN, ldexp

from cursor cimport allcores_ahead_rows
from f64x4 cimport (
    add, anything, broadcast, div, f64x4, greater, lesser, load, missing, mul, root, store, sub, where_equal, zeros)

cdef enum:
    KNOWN = 6               # fields of a state, at most
    BYTES = 128             # of a row of 16 lanes
    ROWS = 32               # rows of lanes at a time, at most: they stay in the first-level cache


cdef enum Kind:
    COUNT
    SUM
    MEAN
    VAR
    STD
    COV
    CORR


cdef struct Shares:         # what all lanes of some rows share where no element is missing
    double count, r         # of all lanes, before the rows
    double next_count, next_r
    bint usual              # no u is 1, no r is 0
    double u[ROWS]
    double k[ROWS]
    double rs[ROWS]         # r after each row


cdef inline void shares_of(double decay, double count, double r, Py_ssize_t rows, Shares *to) noexcept nogil:
    cdef double w, u, k
    cdef Py_ssize_t i
    to.count = count
    to.r = r
    to.usual = True
    for i in range(rows):
        w = decay * count
        u = 1 / (w + 1)
        k = w * u
        count = w + 1
        r = k * (k * r + 2 * u)
        to.u[i] = u
        to.k[i] = k
        to.rs[i] = r
        to.usual &= (u < 1) & (r > 0)
    to.next_count = count
    to.next_r = r


cdef inline f64x4 here_of(f64x4 x) noexcept nogil:
    """1 where there is an element, else 0."""
    return where_equal(x, x, broadcast(1), zeros())


cdef inline f64x4 moved(f64x4 mean, f64x4 d, f64x4 x, f64x4 u) noexcept nogil:
    """The mean after x has joined. Where u is 1 it is x itself: mean + (x - mean) would be rounded. An infinity stays."""
    return where_equal(u, broadcast(1), add(x, sub(d, d)), add(mean, mul(d, u)))


cdef inline f64x4 kept(bint whole, f64x4 here, f64x4 joined, f64x4 known) noexcept nogil:
    return joined if whole else where_equal(here, broadcast(1), joined, known)


cdef inline f64x4 positive(f64x4 a, f64x4 value) noexcept nogil:
    """The value where a > 0, else NaN; no a is negative."""
    return where_equal(a, zeros(), broadcast(NAN), where_equal(a, a, value, broadcast(NAN)))


cdef inline double least_variance() noexcept nogil:
    """Correlations take no variances below this, which have lost digits, nor above the most, which may overflow."""
    return ldexp(1, -1000)


cdef inline double most_variance() noexcept nogil:
    return ldexp(1, 1020)


cdef inline f64x4 exact(f64x4 variance, f64x4 value) noexcept nogil:
    """The value where the variance has all its digits, else NaN."""
    cdef f64x4 bounded = greater(lesser(variance, broadcast(most_variance())), broadcast(least_variance()))
    return where_equal(bounded, variance, value, broadcast(NAN))


cdef inline void chain_var(
        Kind kind, bint ends, Shares *shares, Py_ssize_t row, const double *x, f64x4 decay, double *to, f64x4 *s) noexcept nogil:
    """An element joins the state s: count, mean, variance, r."""
    cdef bint whole = shares != NULL
    cdef f64x4 v = load(x)
    cdef f64x4 here = here_of(v)
    cdef f64x4 w = mul(decay, s[0])
    cdef f64x4 u = broadcast(shares.u[row]) if whole else div(broadcast(1), add(w, broadcast(1)))
    cdef f64x4 k = broadcast(shares.k[row]) if whole else mul(w, u)
    cdef f64x4 d = sub(v, s[1])
    s[1] = kept(whole, here, add(s[1], mul(d, u)) if whole else moved(s[1], d, v, u), s[1])
    s[2] = kept(whole, here, mul(k, add(s[2], mul(mul(d, d), u))), s[2])
    if not whole:
        s[0] = add(w, here)
        s[3] = kept(whole, here, mul(k, add(mul(k, s[3]), mul(broadcast(2), u))), s[3])
    if not ends:
        v = add(div(s[2], broadcast(shares.rs[row]) if whole else s[3]), sub(s[1], s[1]))
        v = root(v) if kind == STD else v
        store(to, v if whole else positive(s[3], v))


cdef inline void chain_two(
        Kind kind, bint ends, Shares *shares, Py_ssize_t row, const double *x, const double *y, f64x4 decay, double *to,
        f64x4 *s) noexcept nogil:
    """A pair joins the state s: count, means, covariance; then r, or the variances."""
    cdef bint whole = shares != NULL
    cdef f64x4 v = load(x)
    cdef f64x4 b = load(y)
    cdef f64x4 here = mul(here_of(v), here_of(b))
    cdef f64x4 w = mul(decay, s[0])
    cdef f64x4 u = broadcast(shares.u[row]) if whole else div(broadcast(1), add(w, broadcast(1)))
    cdef f64x4 k = broadcast(shares.k[row]) if whole else mul(w, u)
    cdef f64x4 d = sub(v, s[1])
    cdef f64x4 e = sub(b, s[2])
    s[1] = kept(whole, here, add(s[1], mul(d, u)) if whole else moved(s[1], d, v, u), s[1])
    s[2] = kept(whole, here, add(s[2], mul(e, u)) if whole else moved(s[2], e, b, u), s[2])
    s[3] = kept(whole, here, mul(k, add(s[3], mul(mul(d, e), u))), s[3])
    if not whole:
        s[0] = add(w, here)
    if kind == CORR:
        s[4] = kept(whole, here, mul(k, add(s[4], mul(mul(d, d), u))), s[4])
        s[5] = kept(whole, here, mul(k, add(s[5], mul(mul(e, e), u))), s[5])
    elif not whole:
        s[4] = kept(whole, here, mul(k, add(mul(k, s[4]), mul(broadcast(2), u))), s[4])
    if ends:
        return
    v = add(sub(s[1], s[1]), sub(s[2], s[2]))
    if kind == COV:
        v = add(div(s[3], broadcast(shares.rs[row]) if whole else s[4]), v)
        store(to, v if whole else positive(s[4], v))
    else:
        v = add(div(s[3], mul(root(s[4]), root(s[5]))), v)
        v = greater(lesser(v, broadcast(1)), broadcast(-1))
        store(to, exact(s[4], exact(s[5], v)))


cdef inline void chain_of(
        Kind kind, bint ends, Shares *shares, const double *x, Py_ssize_t x_step, const double *y, Py_ssize_t y_step,
        Py_ssize_t rows, int fields, double decayed, double *to, Py_ssize_t to_step, double **known,
        Py_ssize_t ahead) noexcept nogil:
    """Rows of 16 lanes join their states, known[field], and the values of these after each row go to `to`.

    What is so many rows ahead is prefetched, row by row, since loads would wait for a whole block. 0: all is in the cache.
    """
    cdef f64x4 s[4][KNOWN]
    cdef f64x4 decay = broadcast(decayed)
    cdef Py_ssize_t row
    cdef int k, f
    for k in range(4):
        for f in range(fields):
            s[k][f] = load(known[f] + 4 * k)
    for row in range(rows):
        if ahead:
            allcores_ahead_rows(x, 0, 1, BYTES, ahead * x_step * <Py_ssize_t> sizeof(double))
            if kind == COV or kind == CORR:
                allcores_ahead_rows(y, 0, 1, BYTES, ahead * y_step * <Py_ssize_t> sizeof(double))
            if not ends:
                allcores_ahead_rows(to, 0, 1, BYTES, ahead * to_step * <Py_ssize_t> sizeof(double))
        if kind == COV or kind == CORR:
            chain_two(kind, ends, shares, row, x, y, decay, to, s[0])
            chain_two(kind, ends, shares, row, x + 4, y + 4, decay, to + 4, s[1])
            chain_two(kind, ends, shares, row, x + 8, y + 8, decay, to + 8, s[2])
            chain_two(kind, ends, shares, row, x + 12, y + 12, decay, to + 12, s[3])
        else:
            chain_var(kind, ends, shares, row, x, decay, to, s[0])
            chain_var(kind, ends, shares, row, x + 4, decay, to + 4, s[1])
            chain_var(kind, ends, shares, row, x + 8, decay, to + 8, s[2])
            chain_var(kind, ends, shares, row, x + 12, decay, to + 12, s[3])
        x += x_step
        y += y_step
        to += to_step
    for k in range(4):
        for f in range(fields):
            store(known[f] + 4 * k, s[k][f])


cdef inline bint are_all(const double *field, double value) noexcept nogil:
    """Whether a field has this value in all of 16 lanes."""
    cdef bint equal = True
    cdef int l
    for l in range(16):
        equal &= field[l] == value
    return equal


cdef inline bint complete(const double *x, Py_ssize_t step, Py_ssize_t rows) noexcept nogil:
    """Whether 16 lanes miss nothing."""
    cdef f64x4 found[4]
    cdef Py_ssize_t _
    cdef int k
    for k in range(4):
        found[k] = zeros()
    for _ in range(rows):
        for k in range(4):
            found[k] = missing(found[k], load(x + 4 * k))
        x += step
    return not (anything(found[0]) or anything(found[1]) or anything(found[2]) or anything(found[3]))


cdef inline void chain_some(
        Kind kind, bint ends, Shares *shares, const double *x, Py_ssize_t x_step, const double *y, Py_ssize_t y_step,
        Py_ssize_t rows, int fields, double decay, double *to, Py_ssize_t to_step, double **known,
        Py_ssize_t ahead) noexcept nogil:
    """Use the shares that all lanes have in common, where they have."""
    cdef bint whole = shares.usual and are_all(known[0], shares.count)
    cdef int l
    whole = whole and (kind == CORR or are_all(known[fields - 1], shares.r)) and complete(x, x_step, rows)
    if whole and (kind == COV or kind == CORR):
        whole = complete(y, y_step, rows)
    if not whole:
        chain_of(kind, ends, NULL, x, x_step, y, y_step, rows, fields, decay, to, to_step, known, ahead)
        return
    chain_of(kind, ends, shares, x, x_step, y, y_step, rows, fields, decay, to, to_step, known, ahead)
    for l in range(16):
        known[0][l] = shares.next_count
        if kind != CORR:
            known[fields - 1][l] = shares.next_r


cdef inline void chain_kind(
        Kind kind, bint ends, Shares *shares, const double *x, Py_ssize_t x_step, const double *y, Py_ssize_t y_step,
        Py_ssize_t rows, double decay, double *to, Py_ssize_t to_step, double **known, Py_ssize_t ahead) noexcept nogil:
    """Choose the function for a kind that is known at run time only."""
    if kind == VAR:
        chain_some(VAR, ends, shares, x, x_step, y, y_step, rows, 4, decay, to, to_step, known, ahead)
    elif kind == STD:
        chain_some(STD, ends, shares, x, x_step, y, y_step, rows, 4, decay, to, to_step, known, ahead)
    elif kind == COV:
        chain_some(COV, ends, shares, x, x_step, y, y_step, rows, 5, decay, to, to_step, known, ahead)
    else:
        chain_some(CORR, ends, shares, x, x_step, y, y_step, rows, 6, decay, to, to_step, known, ahead)


cdef inline void chain(
        Kind kind, bint ends, Shares *shares, const double *x, Py_ssize_t x_step, const double *y, Py_ssize_t y_step,
        Py_ssize_t rows, double decay, double *to, Py_ssize_t to_step, double **known, Py_ssize_t ahead) noexcept nogil:
    if ends:
        chain_kind(kind, True, shares, x, x_step, y, y_step, rows, decay, to, to_step, known, ahead)
    else:
        chain_kind(kind, False, shares, x, x_step, y, y_step, rows, decay, to, to_step, known, ahead)
