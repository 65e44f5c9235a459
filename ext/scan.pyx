# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Exponentially weighted counts, sums, means and moments.

What is known of a series is a state; an element decays it, then joins it. That is a chain of some 10 cycles an
element, so series go side by side, as lanes of rows:

    many series        a lane is a series, from its beginning to its end
    few, long ones     a lane is a leaf of a series, `leaf` elements at an absolute position

Leaves take two passes. The first (`ends_...`) begins each of them with nothing and keeps the state at its end;
`fold_...` turns these into the state before each leaf, by merging in order; the second begins there and writes, and
leaves the states at which its leaves end, where a series that comes piece by piece goes on. The engine chooses by the
number of series and their length alone, so no bit depends on chunks, workers or layout.

Counts, sums and means of one alpha, without weights, take four elements at a time instead (decays.pxd): `decays`, which
the engine says, since an array of equal alphas may be one that has travelled.

But for the count, states of moments don't decay: mean, variance v and r = 1 - sum(w^2) / sum(w)^2 are relative to the
sum of weights. With k the share of what was known and u that of what joins, both from one division,

    v = k * (v + (x - mean)^2 * u)      r = k * (k * r + 2 * u)      result = v / r

as West (1979) updates a weighted variance: never negative, exactly 0 for equal elements; r is 0 for a single one.

What decays leaves the range of doubles in a long gap, though no mean and no variance changes there. So before its count
does, a state is multiplied by a power of two, and the exponent is kept: `far` is that of the count and of what decays
with it, `near` that of v and r, which are tiny where the first element after a long gap has nearly all the weight. The
fast loops know of no exponents. They take few enough rows that nothing underflows between two looks at the counts
(`settle`), and they are right as long as no element joins a lane that has an exponent. A lane where one does is computed
once more, element by element (`walk_lane`); so are lanes of which an alpha of 1 forgets everything. Powers of two
change no digit, so neither do these detours.
"""
from libc.float cimport DBL_MIN
from libc.math cimport NAN, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from buffers cimport PyBUF_FULL, PyBuffer_Release, PyObject_GetBuffer, any_code, hold, is_native, release
from chains cimport CORR, COUNT, COV, MEAN, ROWS, STD, SUM, VAR, Kind, Shares, chain, least_variance, most_variance, shares_of
from cursor cimport PATIENCE, Cursor, allcores_ahead, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim
from decays cimport (
    AT_ONCE, LEAST, LEAST_EXPONENT, LOW, Powers, decay_far, decay_rows, decay_some, joins, lowered, powers_of, settled, split)
from f64x4 cimport VECTORS, broadcast, f64x4, first_of, lesser
from groups cimport WIDE, side_by_side, straight, transpose_in, transpose_out
from window cimport (
    HALF_MOST, LANES, Job, Operand, columns_adjoin, describe, describe_axes, open_small, outer_offset, scratch,
    taker)

from numpy import dtype, empty_like

DOUBLE = dtype("d")

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    typedef double *__restrict allcores_row;
    #else
    typedef double *__restrict__ allcores_row;
    #endif
    """
    # Rows that share no memory: or gcc would test all pairs of them at run time, and give up.
    ctypedef double *row "allcores_row"

cdef enum:
    FIELDS = 11             # of a state, those of MORE included
    MORE = 5                # weight, decay, far, near, exponent of the decay
    SPACED = 72             # from row to row. Rows of 64 would put a lane's elements into the same few sets of the cache
    INPUTS = 3              # a, b, alpha
    LEAF = 512              # elements of a leaf
    PIECE = 256           # elements of a line at a time
    SUMS = 32               # partial sums of a leaf, of every 32nd element
    COLUMNS = 16            # fewer columns than these are taken as lines

cdef struct Scan:
    Kind kind
    int given               # inputs besides alpha
    int fields              # of the state; then come weight and decay
    Py_ssize_t leaf
    double least            # min_weight; weights are not needed where it is 0
    bint constant           # one alpha for all
    bint ends               # the first pass
    bint decays             # counts, sums and means of one alpha, without weights: four elements at a time
    Powers powers           # of the decay, for these
    double *state[FIELDS]   # (outer, leaves, inner): outputs of the first pass; where the second begins, then ends; or NULL


cdef struct Lanes:
    Py_ssize_t count, longest
    bint adjoin             # they are columns
    char *first[INPUTS + 1][LANES]
    Py_ssize_t rows[LANES]
    Py_ssize_t at[LANES]    # in the arrays of states
    bint scaled             # one of them has an exponent
    double known[FIELDS][LANES]


cdef int fields_of(Kind kind) noexcept nogil:
    if kind == COUNT:
        return 1
    if kind == SUM or kind == MEAN:
        return 2
    return 6 if kind == CORR else 5 if kind == COV else 4


# ---- a row of elements joins the states of its lanes

cdef void join_count(Py_ssize_t n, row x, row decay, row count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        count[j] = decay[j] * count[j] + (1.0 if x[j] == x[j] else 0.0)


cdef void join_sum(Py_ssize_t n, row x, row decay, row total, row seen) noexcept nogil:
    cdef Py_ssize_t j
    cdef double here
    for j in range(n):
        total[j] = decay[j] * total[j] + (x[j] if x[j] == x[j] else 0.0)
        here = 1.0 if x[j] == x[j] else 0.0
        seen[j] = here if here > seen[j] else seen[j]


cdef void join_mean(Py_ssize_t n, row x, row decay, row total, row count) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        total[j] = decay[j] * total[j] + (x[j] if x[j] == x[j] else 0.0)
        count[j] = decay[j] * count[j] + (1.0 if x[j] == x[j] else 0.0)


cdef inline double moved(double mean, double x, double u) noexcept nogil:
    """What is known no longer counts where u is 1: mean + (x - mean) would leave its rounding errors. An infinity stays."""
    cdef double d = x - mean
    cdef double to = mean + d * u
    return x + (d - d) if u == 1 else to


cdef void join_var(Py_ssize_t n, row x, row decay, row count, row mean, row v, row r) noexcept nogil:
    cdef Py_ssize_t j
    cdef double w, u, k, d, joined
    cdef bint here
    for j in range(n):
        here = x[j] == x[j]
        w = decay[j] * count[j]
        u = 1 / (w + 1)
        k = w * u
        d = x[j] - mean[j]
        count[j] = w + (1.0 if here else 0.0)
        joined = moved(mean[j], x[j], u)
        mean[j] = joined if here else mean[j]
        joined = k * (v[j] + d * d * u)
        v[j] = joined if here else v[j]
        joined = k * (k * r[j] + 2 * u)
        r[j] = joined if here else r[j]


cdef void join_cov(Py_ssize_t n, row x, row y, row decay, row count, row xm, row ym, row c, row r) noexcept nogil:
    cdef Py_ssize_t j
    cdef double w, u, k, dx, dy, joined
    cdef bint here
    for j in range(n):
        here = (x[j] == x[j]) & (y[j] == y[j])
        w = decay[j] * count[j]
        u = 1 / (w + 1)
        k = w * u
        dx = x[j] - xm[j]
        dy = y[j] - ym[j]
        count[j] = w + (1.0 if here else 0.0)
        joined = moved(xm[j], x[j], u)
        xm[j] = joined if here else xm[j]
        joined = moved(ym[j], y[j], u)
        ym[j] = joined if here else ym[j]
        joined = k * (c[j] + dx * dy * u)
        c[j] = joined if here else c[j]
        joined = k * (k * r[j] + 2 * u)
        r[j] = joined if here else r[j]


cdef void join_corr(
        Py_ssize_t n, row x, row y, row decay, row count, row xm, row ym, row c, row p, row q) noexcept nogil:
    cdef Py_ssize_t j
    cdef double w, u, k, dx, dy, joined
    cdef bint here
    for j in range(n):
        here = (x[j] == x[j]) & (y[j] == y[j])
        w = decay[j] * count[j]
        u = 1 / (w + 1)
        k = w * u
        dx = x[j] - xm[j]
        dy = y[j] - ym[j]
        count[j] = w + (1.0 if here else 0.0)
        joined = moved(xm[j], x[j], u)
        xm[j] = joined if here else xm[j]
        joined = moved(ym[j], y[j], u)
        ym[j] = joined if here else ym[j]
        joined = k * (c[j] + dx * dy * u)
        c[j] = joined if here else c[j]
        joined = k * (p[j] + dx * dx * u)
        p[j] = joined if here else p[j]
        joined = k * (q[j] + dy * dy * u)
        q[j] = joined if here else q[j]


# ---- from states to a row of results. An infinity stays: mean - mean is NaN.

cdef void finish_count(Py_ssize_t n, row count, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = count[j]


cdef void finish_sum(Py_ssize_t n, row total, row seen, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = total[j] if seen[j] > 0 else NAN


cdef void finish_mean(Py_ssize_t n, row total, row count, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = total[j] / count[j]


cdef void finish_var(Py_ssize_t n, row mean, row v, row r, row to) noexcept nogil:
    cdef Py_ssize_t j
    cdef double value
    for j in range(n):
        value = v[j] / r[j] + (mean[j] - mean[j])
        to[j] = value if r[j] > 0 else NAN


cdef void finish_std(Py_ssize_t n, row mean, row v, row r, row to) noexcept nogil:
    cdef Py_ssize_t j
    cdef double value
    for j in range(n):
        value = sqrt(v[j] / r[j] + (mean[j] - mean[j]))
        to[j] = value if r[j] > 0 else NAN


cdef void finish_cov(Py_ssize_t n, row xm, row ym, row c, row r, row to) noexcept nogil:
    cdef Py_ssize_t j
    cdef double value
    for j in range(n):
        value = c[j] / r[j] + ((xm[j] - xm[j]) + (ym[j] - ym[j]))
        to[j] = value if r[j] > 0 else NAN


cdef void finish_corr(Py_ssize_t n, row xm, row ym, row c, row p, row q, row to) noexcept nogil:
    cdef double least = least_variance(), most = most_variance()
    cdef Py_ssize_t j
    cdef double value
    for j in range(n):
        value = c[j] / (sqrt(p[j]) * sqrt(q[j])) + ((xm[j] - xm[j]) + (ym[j] - ym[j]))
        value = 1.0 if value > 1 else value
        value = -1.0 if value < -1 else value
        to[j] = value if (p[j] >= least) & (p[j] <= most) & (q[j] >= least) & (q[j] <= most) else NAN


cdef void weigh_one(Py_ssize_t n, row x, row alpha, row decay, row weight) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        weight[j] = decay[j] * weight[j] + (alpha[j] if x[j] == x[j] else 0.0)


cdef void weigh_two(Py_ssize_t n, row x, row y, row alpha, row decay, row weight) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        weight[j] = decay[j] * weight[j] + (alpha[j] if (x[j] == x[j]) & (y[j] == y[j]) else 0.0)


cdef void hide(Py_ssize_t n, double least, row weight, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = to[j] if weight[j] >= least else NAN


cdef void lose(Py_ssize_t n, row decay, row product) noexcept nogil:
    """The decay of some elements."""
    cdef Py_ssize_t j
    for j in range(n):
        product[j] = decay[j] * product[j]


cdef void complement(Py_ssize_t n, row alpha, row decay, row lost) noexcept nogil:
    """And the product of the decays of all rows."""
    cdef Py_ssize_t j
    for j in range(n):
        decay[j] = 1 - alpha[j]
        lost[j] = decay[j] * lost[j]


cdef inline void join(
        Scan *it, Py_ssize_t n, double *x, double *y, double *alpha, double *decay, double **known) noexcept nogil:
    cdef Kind kind = it.kind
    if kind == COUNT:
        join_count(n, x, decay, known[0])
    elif kind == SUM:
        join_sum(n, x, decay, known[0], known[1])
    elif kind == MEAN:
        join_mean(n, x, decay, known[0], known[1])
    elif kind == VAR or kind == STD:
        join_var(n, x, decay, known[0], known[1], known[2], known[3])
    elif kind == COV:
        join_cov(n, x, y, decay, known[0], known[1], known[2], known[3], known[4])
    else:
        join_corr(n, x, y, decay, known[0], known[1], known[2], known[3], known[4], known[5])
    if it.least > 0 and it.given == 1:
        weigh_one(n, x, alpha, decay, known[it.fields])
    elif it.least > 0:
        weigh_two(n, x, y, alpha, decay, known[it.fields])
    if it.ends:
        # All lanes lose the same where there is one alpha.
        lose(1 if it.constant else n, decay, known[it.fields + 1])


cdef inline void finish(Scan *it, Py_ssize_t n, double **known, double *to) noexcept nogil:
    cdef Kind kind = it.kind
    if kind == COUNT:
        finish_count(n, known[0], to)
    elif kind == SUM:
        finish_sum(n, known[0], known[1], to)
    elif kind == MEAN:
        finish_mean(n, known[0], known[1], to)
    elif kind == VAR:
        finish_var(n, known[1], known[2], known[3], to)
    elif kind == STD:
        finish_std(n, known[1], known[2], known[3], to)
    elif kind == COV:
        finish_cov(n, known[1], known[2], known[3], known[4], to)
    else:
        finish_corr(n, known[1], known[2], known[3], known[4], known[5], to)
    if it.least > 0:
        hide(n, it.least, known[it.fields], to)


# ---- exponents

cdef inline int count_of(Kind kind) noexcept nogil:
    """The field that must not underflow, or -1: counts and sums do decay to 0."""
    return -1 if kind == COUNT or kind == SUM else 1 if kind == MEAN else 0


cdef inline bint settle_state(Kind kind, int fields, double **known, Py_ssize_t l) noexcept nogil:
    """Whether lane l has an exponent once its count and its decay are no longer low."""
    cdef int f = count_of(kind), exponent
    cdef double *far = known[fields + 2] + l
    if 0 < known[fields + 1][l] < LOW:
        known[fields + 1][l] = split(known[fields + 1][l], &exponent)
        known[fields + 4][l] -= exponent
    if f < 0:
        return False
    if 0 < known[f][l] < LOW:
        settled(known[0] + l if kind == MEAN else NULL, known[f] + l, far)
    return far[0] > 0 or known[fields + 3][l] > 0


cdef inline Py_ssize_t span_of(double decay, Py_ssize_t most) noexcept nogil:
    """So many elements, a multiple of four, leave more than LEAST of a count, or four."""
    cdef double left
    cdef Py_ssize_t span = 4
    left = decay * decay * (decay * decay)
    if left == 0:
        return most             # all of them forget everything
    while span < most and left * left >= LEAST:
        left *= left
        span *= 2
    return span


cdef inline bint any_low(const double *field, Py_ssize_t n) noexcept nogil:
    cdef bint low = False
    cdef Py_ssize_t l
    for l in range(n):
        low |= (field[l] < LOW) & (field[l] > 0)
    return low


cdef void settle(Scan *it, Lanes *lanes) noexcept nogil:
    """After some rows: multiply states whose counts are low by powers of two."""
    cdef double *known[FIELDS]
    cdef int f = count_of(it.kind)
    cdef Py_ssize_t l
    if not (lanes.scaled or (f >= 0 and any_low(lanes.known[f], lanes.count))
            or (it.ends and any_low(lanes.known[it.fields + 1], 1 if it.constant else lanes.count))):
        return
    lanes.scaled = False
    pointers(lanes, it.fields + MORE, 0, known)
    for l in range(lanes.count):
        lanes.scaled |= settle_state(it.kind, it.fields, known, l)


cdef inline void pointers(Lanes *lanes, int fields, Py_ssize_t l, double **known) noexcept nogil:
    cdef int f
    for f in range(fields):
        known[f] = lanes.known[f] + l


cdef inline bint wakes(
        Scan *it, Lanes *lanes, Py_ssize_t l, Py_ssize_t rows, const double *x, Py_ssize_t x_step, const double *y,
        Py_ssize_t y_step) noexcept nogil:
    """Whether an element joins a lane that has an exponent."""
    cdef Py_ssize_t r
    if lanes.known[it.fields + 2][l] == 0 and lanes.known[it.fields + 3][l] == 0:
        return False
    for r in range(rows):
        if x[r * x_step] == x[r * x_step] and (it.given == 1 or y[r * y_step] == y[r * y_step]):
            return True
    return False


cdef inline void forget(Kind kind, int fields, double *s) noexcept nogil:
    """Forget everything before, but for the fact that there was an element: a sum is 0 then, not NaN."""
    cdef int f
    for f in range(fields):
        if kind != SUM or f != 1:
            s[f] = 0
    s[fields + 2] = 0
    s[fields + 3] = 0


cdef void join_one(Scan *it, double x, double y, double alpha, double *s) noexcept nogil:
    """Do to one state of any exponents what `join` does to a row of states."""
    cdef Kind kind = it.kind
    cdef int fields = it.fields
    cdef double decay = 1 - alpha, w, u, k, whole, d, e, near = s[fields + 3]
    cdef double *far = s + fields + 2
    cdef bint here = x == x and (it.given == 1 or y == y)
    if decay == 0:
        forget(kind, fields, s)
    if kind == COUNT:
        s[0] = decay * s[0] + (1.0 if here else 0.0)
    elif kind == SUM:
        s[0] = decay * s[0] + (x if here else 0.0)
        s[1] = 1 if here else s[1]
    elif kind == MEAN:
        if here:
            s[0] = lowered(decay * s[0], far[0]) + x
            s[1] = lowered(decay * s[1], far[0]) + 1
            far[0] = 0
        else:
            s[0] = decay * s[0] + 0.0
            s[1] = decay * s[1] + 0.0
    elif not here:
        s[0] = decay * s[0] + 0.0
    else:
        # v and r become smaller by the exponent of k: it becomes theirs.
        w = decay * s[0]
        whole = lowered(w, far[0])
        u = 1 / (whole + 1)
        k = w * u
        d = x - s[1]
        s[1] = moved(s[1], x, u)
        if kind == VAR or kind == STD:
            s[2] = k * (lowered(s[2], near) + d * d * u)
            s[3] = k * (lowered(k, far[0]) * lowered(s[3], near) + 2 * u)
        else:
            e = y - s[2]
            s[2] = moved(s[2], y, u)
            s[3] = k * (lowered(s[3], near) + d * e * u)
            if kind == COV:
                s[4] = k * (lowered(k, far[0]) * lowered(s[4], near) + 2 * u)
            else:
                s[4] = k * (lowered(s[4], near) + d * d * u)
                s[5] = k * (lowered(s[5], near) + e * e * u)
        s[0] = whole + 1
        s[fields + 3] = far[0]
        far[0] = 0
    if it.least > 0:
        s[fields] = decay * s[fields] + (alpha if here else 0.0)
    if it.ends and not it.constant:
        s[fields + 1] = decay * s[fields + 1]


cdef void walk_lane(
        Scan *it, const double *x, Py_ssize_t x_step, const double *y, Py_ssize_t y_step, const double *alpha,
        Py_ssize_t alpha_step, Py_ssize_t rows, double *s, double *to, Py_ssize_t to_step) noexcept nogil:
    """Compute one lane from the state s on, element by element."""
    cdef double *known[FIELDS]
    cdef Py_ssize_t r
    cdef int f
    for f in range(it.fields + MORE):
        known[f] = s + f
    for r in range(rows):
        join_one(it, x[r * x_step], y[r * y_step], alpha[r * alpha_step], s)
        settle_state(it.kind, it.fields, known, 0)
        if not it.ends:
            finish(it, 1, known, to + r * to_step)


# ---- lanes from memory and back

cdef inline bint can_transpose(Operand *operand, Lanes *lanes, int f, Py_ssize_t l, Py_ssize_t last, Py_ssize_t end) noexcept nogil:
    """Whether four lanes of doubles from l on are at least so long: they are transposed into columns, 4 x 4 at a time."""
    cdef int k
    cdef bint can = operand.is_double and operand.n_stride == sizeof(double) and l + 4 <= last
    if can:
        for k in range(4):
            can &= lanes.rows[l + k] >= end and <size_t> lanes.first[f][l + k] % sizeof(double) == 0
    return can


cdef inline void fetch(Lanes *lanes, int f, Py_ssize_t l, Py_ssize_t at) noexcept nogil:
    """Transpose the next rows of four lines."""
    cdef int k
    for k in range(4):
        allcores_ahead_rows(lanes.first[f][l + k], 0, 1, ROWS * sizeof(double), (at + ROWS) * sizeof(double))


cdef inline void bring(
        Operand *operand, Lanes *lanes, int f, Py_ssize_t first, Py_ssize_t last, Py_ssize_t at, Py_ssize_t rows,
        double *to) noexcept nogil:
    """Rows at.. of lanes first..last; NaN after a lane's end."""
    cdef Py_ssize_t r, l = first, most
    if lanes.adjoin:
        for r in range(rows):
            operand.take(
                lanes.first[f][0] + (at + r) * operand.n_stride + first * operand.inner_stride, operand.inner_stride,
                last - first, to + r * SPACED, 1)
        return
    while can_transpose(operand, lanes, f, l, last, at + rows):
        fetch(lanes, f, l, at)
        transpose_in(
            <const double *> lanes.first[f][l] + at, <const double *> lanes.first[f][l + 1] + at,
            <const double *> lanes.first[f][l + 2] + at, <const double *> lanes.first[f][l + 3] + at, rows, to, SPACED)
        l += 4
        to += 4
    while l < last:
        most = lanes.rows[l] - at
        most = rows if most > rows else 0 if most < 0 else most
        operand.take(lanes.first[f][l] + at * operand.n_stride, operand.n_stride, most, to, SPACED)
        for r in range(most, rows):
            to[r * SPACED] = NAN
        l += 1
        to += 1


cdef inline void put(
        Operand *operand, Lanes *lanes, int f, Py_ssize_t first, Py_ssize_t last, Py_ssize_t at, Py_ssize_t rows,
        double *v) noexcept nogil:
    cdef Py_ssize_t r, l = first, most
    if lanes.adjoin:
        for r in range(rows):
            operand.give(
                v + r * SPACED, 1, last - first,
                lanes.first[f][0] + (at + r) * operand.n_stride + first * operand.inner_stride, operand.inner_stride)
        return
    while can_transpose(operand, lanes, f, l, last, at + rows):
        fetch(lanes, f, l, at)
        transpose_out(
            v, SPACED, rows, <double *> lanes.first[f][l] + at, <double *> lanes.first[f][l + 1] + at,
            <double *> lanes.first[f][l + 2] + at, <double *> lanes.first[f][l + 3] + at)
        l += 4
        v += 4
    while l < last:
        most = lanes.rows[l] - at
        most = rows if most > rows else 0 if most < 0 else most
        operand.give(v, SPACED, most, lanes.first[f][l] + at * operand.n_stride, operand.n_stride)
        l += 1
        v += 1


cdef struct Columns:        # where rows of lanes are scanned: where they belong, or in the scratch
    bint there
    double *v
    Py_ssize_t step


cdef inline Columns columns_of(
        Operand *operand, Lanes *lanes, int f, Py_ssize_t at, Py_ssize_t rows, double *room) noexcept nogil:
    cdef Columns columns
    cdef char *here = lanes.first[f][0] + at * operand.n_stride
    columns.there = lanes.adjoin and straight(operand, here, lanes.count)
    columns.v = <double *> here if columns.there else room
    columns.step = operand.n_stride // <Py_ssize_t> sizeof(double) if columns.there else SPACED
    return columns


cdef inline void idle(double *to, Py_ssize_t used, Py_ssize_t rows) noexcept nogil:
    """Lanes beside the last ones miss nothing: `chain_some` looks at 16."""
    cdef Py_ssize_t r
    if used < WIDE:
        for r in range(rows):
            memset(to + r * SPACED + used, 0, (WIDE - used) * sizeof(double))


cdef void walk_again(
        Scan *it, Lanes *lanes, Py_ssize_t first, Py_ssize_t last, const bint *odd, double *saved, Py_ssize_t rows, Columns *a,
        Columns *b, Columns *alpha, Columns *out) noexcept nogil:
    """Compute those lanes once more for which the fast loops may be wrong. `saved` are their states before."""
    cdef double s[FIELDS]
    cdef Py_ssize_t l
    cdef int f
    for l in range(first, last):
        if not odd[l]:
            continue
        for f in range(it.fields + MORE):
            s[f] = saved[f * LANES + l]
        if it.decays:
            decay_far(
                a.v + l - first, a.step, rows, &it.powers, out.v + l - first if not it.ends else NULL, out.step, s, s + 1,
                s + it.fields + 2)
        else:
            walk_lane(
                it, a.v + l - first, a.step, b.v + l - first, b.step, alpha.v + (l - first if alpha.step else 0), alpha.step,
                rows, s, out.v + l - first, out.step)
        for f in range(it.fields + MORE):
            if f != it.fields + 1 or not it.constant:
                lanes.known[f][l] = s[f]
        lanes.scaled = True


cdef void chained(
        Job *job, Scan *it, Lanes *lanes, Py_ssize_t at, Py_ssize_t rows, double *x, double *y, double *alpha, double decayed,
        double *to) noexcept nogil:
    """Rows join the states of their lanes, 16 lanes at a time in registers, and give results."""
    cdef double *known[FIELDS]
    cdef double saved[FIELDS][LANES]
    cdef bint odd[LANES]
    cdef Columns a = columns_of(&job.operand[0], lanes, 0, at, rows, x)
    cdef Columns b = columns_of(&job.operand[1], lanes, 1, at, rows, y) if it.given > 1 else a
    cdef Columns out = a if it.ends else columns_of(job.out, lanes, it.given + 1, at, rows, to)
    cdef Columns share = Columns(False, alpha, 0)
    cdef Py_ssize_t ahead = ROWS if a.there else 0, l = 0, last, lane, _
    cdef Shares shares
    cdef bint again
    if not it.decays:
        shares_of(decayed, lanes.known[0][0], 0 if it.kind == CORR else lanes.known[it.fields - 1][0], rows, &shares)
    while l < lanes.count:
        last = l + WIDE if l + WIDE < lanes.count else lanes.count
        if not a.there:
            idle(x, last - l, rows)
            bring(&job.operand[0], lanes, 0, l, last, at, rows, x)
        if it.given > 1 and not b.there:
            idle(y, last - l, rows)
            bring(&job.operand[1], lanes, 1, l, last, at, rows, y)
        again = False
        if lanes.scaled:
            for lane in range(l, last):
                odd[lane] = wakes(it, lanes, lane, rows, a.v + lane - l, a.step, b.v + lane - l, b.step)
                again |= odd[lane]
            if again:
                memcpy(saved, lanes.known, sizeof(saved))
        pointers(lanes, it.fields, l, known)
        if it.decays:
            decay_rows(
                it.kind, it.ends, a.v, a.step, rows, &it.powers, out.v, out.step, known[0], lanes.known[1] + l, ahead)
        else:
            chain(it.kind, it.ends, &shares, a.v, a.step, b.v, b.step, rows, decayed, out.v, out.step, known, ahead)
        if again:
            walk_again(it, lanes, l, last, odd, saved[0], rows, &a, &b, &share, &out)
        if not it.ends and not out.there:
            put(job.out, lanes, it.given + 1, l, last, at, rows, to)
        a.v += WIDE if a.there else 0
        b.v += WIDE if b.there else 0
        out.v += WIDE if out.there else 0
        l = last
    if it.ends:
        for _ in range(rows):
            lose(1, &decayed, lanes.known[it.fields + 1])


cdef void joined(
        Job *job, Scan *it, Lanes *lanes, Py_ssize_t at, Py_ssize_t rows, double *x, double *y, double *alpha, double *decay,
        double *to) noexcept nogil:
    """Rows join the states of their lanes one after the other, for any alpha, and with weights."""
    cdef double *known[FIELDS]
    cdef double saved[FIELDS][LANES]
    cdef double lost[LANES]
    cdef bint odd[LANES]
    cdef bint again = False
    cdef Columns a = Columns(False, x, SPACED), b = Columns(False, y, SPACED), out = Columns(False, to, SPACED)
    cdef Columns share = Columns(False, alpha, 0 if it.constant else SPACED)
    cdef Py_ssize_t l, r
    bring(&job.operand[0], lanes, 0, 0, lanes.count, at, rows, x)
    if it.given > 1:
        bring(&job.operand[1], lanes, 1, 0, lanes.count, at, rows, y)
    for l in range(lanes.count):
        lost[l] = (1.0 if decay[0] > 0 else 0.0) if it.constant else 1
    if not it.constant:
        bring(&job.operand[it.given], lanes, it.given, 0, lanes.count, at, rows, alpha)
        for r in range(rows):
            complement(lanes.count, alpha + r * SPACED, decay + r * SPACED, lost)
    for l in range(lanes.count):
        odd[l] = lost[l] < LEAST or (
            lanes.scaled and wakes(it, lanes, l, rows, x + l, SPACED, y + l, SPACED))
        again |= odd[l]
    if again:
        memcpy(saved, lanes.known, sizeof(saved))
    pointers(lanes, it.fields + MORE, 0, known)
    for r in range(rows if decay[0] > 0 or not it.constant else 0):
        join(it, lanes.count, x + r * SPACED, y + r * SPACED, alpha + r * share.step, decay + r * share.step, known)
        if not it.ends:
            finish(it, lanes.count, known, to + r * SPACED)
    if again:
        walk_again(it, lanes, 0, lanes.count, odd, saved[0], rows, &a, &b, &share, &out)
    if not it.ends:
        put(job.out, lanes, it.given + 1, 0, lanes.count, at, rows, to)


cdef int scan(Job *job, Scan *it, Lanes *lanes) noexcept nogil:
    cdef double *x = scratch(job, 5 * ROWS * SPACED)
    cdef double *y = x + ROWS * SPACED
    cdef double *alpha = x + 2 * ROWS * SPACED
    cdef double *decay = x + 3 * ROWS * SPACED
    cdef double *to = x + 4 * ROWS * SPACED
    cdef Py_ssize_t at = 0, most = ROWS, l, rows
    cdef int f
    if x == NULL:
        return -1
    lanes.scaled = False
    for f in range(it.fields + MORE):
        for l in range(lanes.count):
            lanes.known[f][l] = 0
            if it.ends:
                lanes.known[f][l] = 1 if f == it.fields + 1 else 0
            elif it.state[f] != NULL:
                lanes.known[f][l] = it.state[f][lanes.at[l]]
                lanes.scaled |= it.fields + 2 <= f < it.fields + 4 and lanes.known[f][l] > 0
        for l in range(lanes.count, (lanes.count + WIDE - 1) // WIDE * WIDE):
            lanes.known[f][l] = lanes.known[f][0]       # lanes beyond the last one compute in vain
    if it.constant:
        job.operand[it.given].take(lanes.first[it.given][0], 0, lanes.count, alpha, 1)
        for l in range(lanes.count):
            decay[l] = 1 - alpha[l]
        powers_of(alpha[0], &it.powers)
        most = span_of(decay[0], ROWS)
    while at < lanes.longest:
        rows = most if at + most < lanes.longest else lanes.longest - at
        if it.decays or (VECTORS and it.constant and it.least == 0 and it.fields > 2 and decay[0] > 0):
            chained(job, it, lanes, at, rows, x, y, alpha, decay[0], to)
        else:
            joined(job, it, lanes, at, rows, x, y, alpha, decay, to)
        settle(it, lanes)
        at += rows
    if it.ends:
        if it.constant:
            for l in range(1, lanes.count):
                lanes.known[it.fields + 1][l] = lanes.known[it.fields + 1][0]
                lanes.known[it.fields + 4][l] = lanes.known[it.fields + 4][0]
    if it.state[0] != NULL:
        for f in range(it.fields + MORE):
            for l in range(lanes.count):
                it.state[f][lanes.at[l]] = lanes.known[f][l]
    return 0


# ---- counts, sums and means of lines, which need not be transposed into lanes

cdef void means_of_stretch(
        const double **x, double **to, Py_ssize_t many, Py_ssize_t n, Powers *powers, f64x4 *total, f64x4 *count,
        double *far) noexcept nogil:
    """Compute some elements of each line at a time. A line where an element joins a count that has an exponent goes by itself."""
    cdef f64x4 totals[AT_ONCE]
    cdef f64x4 counts[AT_ONCE]
    cdef const double *a[AT_ONCE]
    cdef double *b[AT_ONCE]
    cdef double t, c
    cdef Py_ssize_t at = 0, m, k
    while at < n:
        m = powers.span if at + powers.span < n else n - at
        for k in range(AT_ONCE):
            a[k] = x[k] + at
            b[k] = to[k] + at
            totals[k] = total[k]
            counts[k] = count[k]
        decay_some(MEAN, a, b, m, powers, total, count)
        for k in range(many):
            if far[k] > 0 and joins(a[k], m):
                t = first_of(totals[k])
                c = first_of(counts[k])
                decay_far(a[k], 1, m, powers, b[k], 1, &t, &c, far + k)
                total[k] = broadcast(t)
                count[k] = broadcast(c)
        if first_of(lesser(lesser(count[0], count[1]), lesser(count[2], count[3]))) < LOW:
            for k in range(many):
                t = first_of(total[k])
                c = first_of(count[k])
                if 0 < c < LOW:
                    settled(&t, &c, far + k)
                    total[k] = broadcast(t)
                    count[k] = broadcast(c)
        at += m


cdef void line_piece(
        Job *job, Scan *it, Lanes *lanes, Py_ssize_t first, Py_ssize_t many, Py_ssize_t at, Py_ssize_t n, f64x4 *total,
        f64x4 *count, double *far, double *room) noexcept nogil:
    """Compute the elements at.. of up to four lines."""
    cdef const double *x[AT_ONCE]
    cdef double *to[AT_ONCE]
    cdef Operand *operand = &job.operand[0]
    cdef Py_ssize_t k
    cdef char *here
    for k in range(AT_ONCE):
        here = lanes.first[0][first + k % many] + at * operand.n_stride
        x[k] = <const double *> here
        if side_by_side(operand, here):
            allcores_ahead(here, <int> (n * sizeof(double)))
        else:
            operand.take(here, operand.n_stride, n, room + k * PIECE, 1)
            x[k] = room + k * PIECE
        here = lanes.first[2][first + k % many] + at * job.out.n_stride
        to[k] = room + (AT_ONCE + k) * PIECE
        if k < many and side_by_side(job.out, here):
            allcores_ahead(here, <int> (n * sizeof(double)))
            to[k] = <double *> here
    if it.kind == MEAN:
        means_of_stretch(x, to, many, n, &it.powers, total, count, far)
    else:
        decay_some(it.kind, x, to, n, &it.powers, total, count)
    for k in range(many):
        here = lanes.first[2][first + k] + at * job.out.n_stride
        if not side_by_side(job.out, here):
            job.out.give(to[k], 1, n, here, job.out.n_stride)


cdef int lines_of_decays(Job *job, Scan *it, Lanes *lanes) noexcept nogil:
    """Compute lines, four at a time, or one where their lengths differ."""
    cdef double *room = scratch(job, 2 * AT_ONCE * PIECE)
    cdef f64x4 total[AT_ONCE]
    cdef f64x4 count[AT_ONCE]
    cdef double far[AT_ONCE]
    cdef Py_ssize_t l = 0, many, at, k, lane
    cdef double alpha
    if room == NULL:
        return -1
    job.operand[1].take(lanes.first[1][0], 0, 1, &alpha, 1)
    powers_of(alpha, &it.powers)
    it.powers.span = span_of(1 - alpha, PIECE)
    while l < lanes.count:
        many = 1
        while many < AT_ONCE and l + many < lanes.count and lanes.rows[l + many] == lanes.rows[l]:
            many += 1
        for k in range(AT_ONCE):
            lane = l + k % many
            total[k] = broadcast(it.state[0][lanes.at[lane]] if it.state[0] != NULL else 0)
            count[k] = broadcast(it.state[1][lanes.at[lane]] if it.state[0] != NULL and it.fields > 1 else 0)
            far[k] = it.state[it.fields + 2][lanes.at[lane]] if it.state[0] != NULL else 0
        at = 0
        while at < lanes.rows[l]:
            line_piece(
                job, it, lanes, l, many, at, PIECE if at + PIECE < lanes.rows[l] else lanes.rows[l] - at, total, count,
                far, room)
            at += PIECE
        for k in range(many if it.state[0] != NULL else 0):
            it.state[0][lanes.at[l + k]] = first_of(total[k])
            if it.fields > 1:
                it.state[1][lanes.at[l + k]] = first_of(count[k])
            it.state[it.fields + 2][lanes.at[l + k]] = far[k]
        l += many
    return 0


# ---- the state at the end of a leaf by its definition, a sum of products: nothing waits, and nothing is transposed.
# Both passes of a sum take 2.1 instead of 3.6 ns an element, in cache.


cdef double factors_of(double alpha, double *factor, double *exponent) noexcept nogil:
    """The factors of the elements of a leaf, 0 from where they underflow, and the decay of the leaf."""
    cdef double d = 1 - alpha, here = 1, product, far = 0
    cdef Py_ssize_t i = LEAF
    cdef int shift
    while i > 0 and here >= LEAST:
        i -= 1
        factor[i] = here
        here = here * d
    product = here
    while i > 0:
        i -= 1
        factor[i] = here
        here = here * d
        here = here if here >= DBL_MIN else 0.0
        product = product * d
        if product < LEAST:
            product = product / LEAST
            far += LEAST_EXPONENT
    if product < LOW:
        product = split(product, &shift)
        far -= shift
    exponent[0] = far
    return product


cdef double add_up(double *part) noexcept nogil:
    cdef Py_ssize_t step = SUMS // 2, l
    while step:
        for l in range(step):
            part[l] = part[l] + part[l + step]
        step //= 2
    return part[0]


cdef double whole_products(const double *x, const double *factor) noexcept nogil:
    """The state at the end of a leaf without missing elements; NaN if one is missing."""
    cdef double sums[SUMS]
    cdef Py_ssize_t at = 0, l
    for l in range(SUMS):
        sums[l] = 0
    while at < LEAF:
        for l in range(SUMS):
            sums[l] += x[at + l] * factor[at + l]
        at += SUMS
    return add_up(sums)


cdef void products(const double *x, const double *factor, double *total, double *count) noexcept nogil:
    cdef double sums[SUMS]
    cdef double counts[SUMS]
    cdef Py_ssize_t at = 0, l
    for l in range(SUMS):
        sums[l] = 0
        counts[l] = 0
    while at < LEAF:
        for l in range(SUMS):
            sums[l] += x[at + l] * factor[at + l] if x[at + l] == x[at + l] else 0.0
            counts[l] += factor[at + l] if x[at + l] == x[at + l] else 0.0
        at += SUMS
    total[0] = add_up(sums)
    count[0] = add_up(counts)


cdef void far_products(const double *x, double alpha, double *total, double *count, double *far) noexcept nogil:
    """The state at the end of a leaf by factors with exponents, which are relative to that of its last element."""
    cdef double factor[LEAF]
    cdef double exponent[LEAF]
    cdef double sums[SUMS]
    cdef double counts[SUMS]
    cdef double d = 1 - alpha, product = 1, above = 0
    cdef Py_ssize_t i, last = LEAF - 1
    while last > 0 and x[last] != x[last]:
        last -= 1
    for i in range(LEAF - 1, -1, -1):
        factor[i] = product
        exponent[i] = above
        product = product * d
        if product < LEAST:
            product = product / LEAST
            above += LEAST_EXPONENT
    for i in range(SUMS):
        sums[i] = 0
        counts[i] = 0
    for i in range(LEAF):
        if x[i] == x[i]:
            sums[i % SUMS] += lowered(x[i] * factor[i], exponent[i] - exponent[last])
            counts[i % SUMS] += lowered(factor[i], exponent[i] - exponent[last])
        else:
            sums[i % SUMS] += 0.0
    total[0] = add_up(sums)
    count[0] = add_up(counts)
    far[0] = 0
    if count[0] > 0:
        far[0] = exponent[last]
        settled(total, count, far)


cdef int ends_of_lines(
        Job *job, Scan *it, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute the ends of leaves begin..end of lines first..last. That of the last leaf of a series is not needed."""
    cdef Py_ssize_t leaves = (job.n + LEAF - 1) // LEAF, position, leaf, at
    cdef double *room = scratch(job, 2 * LEAF)
    cdef double *factor = room + LEAF
    cdef double alpha, decay, lost, total, count, whole, far
    cdef Operand *operand = &job.operand[0]
    cdef const double *x
    cdef char *here
    if room == NULL:
        return -1
    job.operand[it.given].take(job.operand[it.given].data, 0, 1, &alpha, 1)
    decay = factors_of(alpha, factor, &lost)
    products(factor, factor, &total, &whole)
    for position in range(first, last):
        for leaf in range(begin, end):
            at = position * leaves + leaf
            total = 0
            count = 0
            far = 0
            if (leaf + 1) * LEAF <= job.n:
                here = operand.data + outer_offset(job, operand, position) + leaf * LEAF * operand.n_stride
                x = <const double *> here
                if side_by_side(operand, here):
                    allcores_ahead(here, LEAF * sizeof(double))
                else:
                    operand.take(here, operand.n_stride, LEAF, room, 1)
                    x = room
                total = whole_products(x, factor)
                count = whole
                if total != total:
                    products(x, factor, &total, &count)
                if total != total or count < LOW:
                    # An element is missing, an infinity was multiplied by 0, or factors have underflowed.
                    far_products(x, alpha, &total, &count, &far)
            if it.kind == COUNT:
                it.state[0][at] = lowered(count, far)
            elif it.kind == SUM:
                it.state[0][at] = lowered(total, far)
                it.state[1][at] = 1 if count > 0 else 0
            else:
                it.state[0][at] = total
                it.state[1][at] = count
            it.state[it.fields][at] = 0
            it.state[it.fields + 1][at] = decay
            it.state[it.fields + 2][at] = far if it.kind == MEAN else 0
            it.state[it.fields + 3][at] = 0
            it.state[it.fields + 4][at] = lost
    return 0


# ---- chunks: lines x leaves x columns

cdef inline char *line_of(Job *job, int f, Py_ssize_t position) noexcept nogil:
    cdef Operand *operand = &job.operand[f]
    return operand.data + outer_offset(job, operand, position)


cdef int chunk_columns(
        Job *job, Scan *it, Lanes *lanes, Py_ssize_t position, Py_ssize_t leaf, Py_ssize_t left, Py_ssize_t right) noexcept nogil:
    cdef Py_ssize_t leaves = (job.n + it.leaf - 1) // it.leaf, l
    cdef int f
    cdef Operand *operand
    lanes.adjoin = True
    lanes.longest = it.leaf if (leaf + 1) * it.leaf < job.n else job.n - leaf * it.leaf
    while left < right:
        lanes.count = LANES if left + LANES < right else right - left
        for f in range(it.given + (1 if it.ends else 2)):
            operand = &job.operand[f]
            lanes.first[f][0] = (line_of(job, f, position)
                                 + leaf * it.leaf * operand.n_stride + left * operand.inner_stride)
        for l in range(lanes.count):
            lanes.at[l] = (position * leaves + leaf) * job.inner + left + l
        if scan(job, it, lanes) < 0:
            return -1
        left += LANES
    return 0


cdef int chunk_lines(
        Job *job, Scan *it, Lanes *lanes, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute leaves begin..end of lines first..last."""
    cdef Py_ssize_t leaves = (job.n + it.leaf - 1) // it.leaf, position = first, leaf = begin, l
    cdef int f
    cdef Operand *operand
    lanes.adjoin = False
    while position < last:
        l = 0
        lanes.longest = 0
        while l < LANES and position < last:
            for f in range(it.given + (1 if it.ends else 2)):
                operand = &job.operand[f]
                lanes.first[f][l] = line_of(job, f, position) + leaf * it.leaf * operand.n_stride
            lanes.rows[l] = it.leaf if (leaf + 1) * it.leaf < job.n else job.n - leaf * it.leaf
            lanes.longest = lanes.rows[l] if lanes.rows[l] > lanes.longest else lanes.longest
            lanes.at[l] = position * leaves + leaf
            l += 1
            leaf += 1
            if leaf == end:
                leaf = begin
                position += 1
        lanes.count = l
        if (lines_of_decays(job, it, lanes) if it.decays else scan(job, it, lanes)) < 0:
            return -1
    return 0


cdef int drive(Job *job, Scan *it, Cursor *cursor) noexcept nogil:
    """Claim chunks until there are none, or until it is time to look at signals. -1 where there is no memory."""
    cdef Lanes lanes
    cdef Py_ssize_t leaves = (job.n + it.leaf - 1) // it.leaf
    # The grid of the first pass counts leaves along n, that of the second elements.
    cdef Py_ssize_t run = cursor.leaves if it.ends else (cursor.leaves + it.leaf - 1) // it.leaf
    cdef Py_ssize_t parts = (leaves + run - 1) // run
    cdef Py_ssize_t tiles = (job.inner + cursor.tile - 1) // cursor.tile
    cdef Py_ssize_t first, last, begin, end, left, right, position, leaf
    cdef int failed = 0
    cdef int64_t deadline = allcores_clock() + PATIENCE
    cdef int64_t chunk = claim(cursor, deadline)
    while chunk >= 0:
        left = chunk % tiles * cursor.tile
        right = left + cursor.tile if left + cursor.tile < job.inner else job.inner
        begin = chunk // tiles % parts * run
        end = begin + run if begin + run < leaves else leaves
        first = chunk // tiles // parts * cursor.lines
        last = first + cursor.lines if first + cursor.lines < job.outer else job.outer
        if it.decays and it.ends and job.inner == 1:
            failed = ends_of_lines(job, it, first, last, begin, end)
        elif job.inner == 1:
            failed = chunk_lines(job, it, &lanes, first, last, begin, end)
        else:
            for position in range(first, last):
                for leaf in range(begin, end):
                    if failed == 0:
                        failed = chunk_columns(job, it, &lanes, position, leaf, left, right)
        if failed < 0:
            break
        allcores_fetch_add(&cursor.done, 1)
        chunk = claim(cursor, deadline)
    return failed


# ---- the states at the ends of leaves become those before them

cdef void merge(Kind kind, int fields, double *a, double *b) noexcept nogil:
    """Merge a, which decays first, and b, which follows it, into a. The caller adds up weights."""
    cdef double decay = b[fields + 1], lost = b[fields + 4], far = a[fields + 2] + lost, near = a[fields + 3]
    cdef double w, n, u, k, d, e, top, u_low, k_low
    cdef int f, count = count_of(kind)
    if decay == 0:
        forget(kind, fields, a)
    if kind == COUNT:
        a[0] = lowered(decay * a[0], lost) + b[0]
        return
    if kind == SUM:
        a[0] = lowered(decay * a[0], lost) + b[0]
        a[1] = b[1] if b[1] > a[1] else a[1]
        return
    if a[count] == 0:
        for f in range(fields):
            a[f] = b[f]
        a[fields + 2] = b[fields + 2]
        a[fields + 3] = b[fields + 3]
        return
    w = decay * a[count]
    if b[count] == 0:
        a[0] = decay * a[0] + 0.0
        a[count] = w
        a[fields + 2] = far
        return
    # The one with the larger weight keeps its scale.
    top = far if far < b[fields + 2] else b[fields + 2]
    k_low = far - top
    u_low = b[fields + 2] - top
    a[fields + 2] = top
    n = lowered(w, k_low) + lowered(b[count], u_low)
    if kind == MEAN:
        a[0] = lowered(decay * a[0], k_low) + lowered(b[0], u_low)
        a[1] = n
        return
    u = b[0] / n
    k = w / n
    a[0] = n
    d = b[1] - a[1]
    a[1] = moved(a[1], b[1], lowered(u, u_low))
    # v and r are sums of three terms each: the largest of r gives the scale.
    top = k_low + u_low
    if kind == CORR:
        if (a[4] > 0 or a[5] > 0) and k_low + near < top:
            top = k_low + near
        if (b[4] > 0 or b[5] > 0) and u_low + b[fields + 3] < top:
            top = u_low + b[fields + 3]
    else:
        if a[fields - 1] > 0 and 2 * k_low + near < top:
            top = 2 * k_low + near
        if b[fields - 1] > 0 and 2 * u_low + b[fields + 3] < top:
            top = 2 * u_low + b[fields + 3]
    a[fields + 3] = top
    if kind == VAR or kind == STD:
        a[2] = together(k * a[2], k_low + near - top, u * b[2], u_low + b[fields + 3] - top, d * d * (k * u), k_low + u_low - top)
        a[3] = together(
            k * k * a[3], 2 * k_low + near - top, u * u * b[3], 2 * u_low + b[fields + 3] - top, 2 * (k * u),
            k_low + u_low - top)
        return
    e = b[2] - a[2]
    a[2] = moved(a[2], b[2], lowered(u, u_low))
    a[3] = together(k * a[3], k_low + near - top, u * b[3], u_low + b[fields + 3] - top, d * e * (k * u), k_low + u_low - top)
    if kind == COV:
        a[4] = together(
            k * k * a[4], 2 * k_low + near - top, u * u * b[4], 2 * u_low + b[fields + 3] - top, 2 * (k * u),
            k_low + u_low - top)
    else:
        a[4] = together(
            k * a[4], k_low + near - top, u * b[4], u_low + b[fields + 3] - top, d * d * (k * u), k_low + u_low - top)
        a[5] = together(
            k * a[5], k_low + near - top, u * b[5], u_low + b[fields + 3] - top, e * e * (k * u), k_low + u_low - top)


cdef inline double together(
        double known, double known_low, double here, double here_low, double between, double between_low) noexcept nogil:
    return (lowered(known, known_low) + lowered(here, here_low)) + lowered(between, between_low)


cdef void fold_states(Kind kind, double **field, Py_ssize_t outer, Py_ssize_t leaves, Py_ssize_t inner) noexcept nogil:
    cdef int fields = fields_of(kind), f
    cdef double known[FIELDS]
    cdef double here[FIELDS]
    cdef double *state[FIELDS]
    cdef Py_ssize_t position, column, leaf, at
    for f in range(FIELDS):
        state[f] = known + f
    for position in range(outer):
        for column in range(inner):
            for f in range(FIELDS):
                known[f] = 0
            for leaf in range(leaves):
                at = (position * leaves + leaf) * inner + column
                for f in range(fields + MORE):
                    here[f] = field[f][at]
                    field[f][at] = known[f]
                merge(kind, fields, known, here)
                settle_state(kind, fields, state, 0)
                known[fields] = lowered(here[fields + 1] * known[fields], here[fields + 4]) + here[fields]


# ---- kernels

cdef int run(
        Kind kind, tuple inputs, object states, Py_ssize_t leaf, double least, object cursor, tuple outputs, bint ends,
        bint decays) except -1:
    cdef Job job
    cdef Scan it
    cdef Py_buffer view[INPUTS + FIELDS + 2]
    cdef tuple known = () if states is None else tuple(states)
    cdef int taken = <int> len(inputs), first, f, d, failed
    cdef Operand *alpha
    it.kind = kind
    it.given = <int> len(inputs) - 1
    it.fields = fields_of(kind)
    it.leaf = leaf
    it.least = least
    it.ends = ends
    it.decays = decays
    job.scratch = NULL
    job.room = 0
    hold(view, inputs + (cursor,) + outputs + known, taken)
    try:
        for f in range(it.given + 1):
            describe(&job.operand[f], &view[f], False)
        if not ends:
            job.out = &job.operand[it.given + 1]
            describe(job.out, &view[taken + 1], True)
            job.out.flat = view[taken + 1].ndim == 3
        first = taken + 1 if ends else taken + 2        # the first buffer of states, where there are any
        for f in range(FIELDS):
            it.state[f] = NULL
            if (ends or states is not None) and f < it.fields + MORE:
                it.state[f] = <double *> view[first + f].buf
        d = view[0].ndim - 2
        job.outer_ndim = d
        job.outer_shape = view[0].shape
        job.n = view[0].shape[d]
        job.inner = view[0].shape[d + 1]
        job.outer = 1
        for f in range(d):
            job.outer *= view[0].shape[f]
        alpha = &job.operand[it.given]
        it.constant = decays or alpha.n_stride == 0 and (alpha.inner_stride == 0 or job.inner == 1)
        for f in range(0 if decays else d):
            it.constant = it.constant and (alpha.outer_strides[f] == 0 or view[0].shape[f] == 1)
        with nogil:
            failed = drive(&job, &it, <Cursor *> view[taken].buf)
            free(job.scratch)
        if failed < 0:
            raise MemoryError("no memory for the lanes of a chunk")
        return 0
    finally:
        release(view, taken + 1 + <int> len(outputs) + <int> len(known))


cdef int fold(Kind kind, tuple states) except -1:
    cdef Py_buffer view[FIELDS]
    cdef double *field[FIELDS]
    cdef int f
    hold(view, states, 0)
    try:
        for f in range(fields_of(kind) + MORE):
            field[f] = <double *> view[f].buf
        with nogil:
            fold_states(kind, field, view[0].shape[0], view[0].shape[1], view[0].shape[2])
        return 0
    finally:
        release(view, <int> len(states))


# ---- the fast path of small arrays with one alpha: without views, grids, cursors and teams, which take 20 to 45 us

cdef int compute_small(Job *job, Scan *it) noexcept nogil:
    """Compute each pass as one chunk. Returns -1 where there is no memory."""
    cdef Lanes lanes
    cdef Py_ssize_t leaves = (job.n + it.leaf - 1) // it.leaf
    cdef double *states = NULL
    cdef int failed = 0, f
    for f in range(FIELDS):
        it.state[f] = NULL
    if job.inner > 1:
        return chunk_columns(job, it, &lanes, 0, 0, 0, job.inner)
    if leaves > 1:
        states = <double *> malloc((it.fields + MORE) * job.outer * leaves * sizeof(double))
        if states == NULL:
            return -1
        for f in range(it.fields + MORE):
            it.state[f] = states + f * job.outer * leaves
        it.ends = True
        if it.decays:
            failed = ends_of_lines(job, it, 0, job.outer, 0, leaves)
        else:
            failed = chunk_lines(job, it, &lanes, 0, job.outer, 0, leaves)
        it.ends = False
        fold_states(it.kind, it.state, job.outer, leaves, 1)
    if failed == 0:
        failed = chunk_lines(job, it, &lanes, 0, job.outer, 0, leaves)
    free(states)
    return failed


cdef inline bint is_share(object value) except -1:
    """A plain number between 0 and 1."""
    return (isinstance(value, float) or type(value) is int) and 0 <= value <= 1


cdef inline bint same_shape(const Py_buffer *a, const Py_buffer *b) noexcept nogil:
    return a.ndim == b.ndim and a.shape[0] == b.shape[0] and (a.ndim == 1 or a.shape[1] == b.shape[1])


cdef int run_small(Scan *it, Py_buffer *view, double alpha, int along, object out) except -1:
    """Compute from the buffers `view` of the inputs. Returns 0 where there is no kernel for these dtypes."""
    cdef Job job
    cdef Py_buffer to
    cdef Py_ssize_t nothing = 0
    cdef int other = 1 - along if view.ndim == 2 else -1, inner = -1, f, failed
    cdef Operand *operand
    cdef bint covered = True
    if other >= 0 and view.shape[other] >= COLUMNS and columns_adjoin(view, along):
        inner = other
    job.scratch = NULL
    job.room = 0
    job.n = view.shape[along]
    job.inner = view.shape[inner] if inner >= 0 else 1
    job.outer_ndim = 1 if other >= 0 and inner < 0 else 0
    job.outer_shape = view.shape + other
    job.outer = view.shape[other] if job.outer_ndim else 1
    job.out = &job.operand[it.given + 1]
    PyObject_GetBuffer(out, &to, PyBUF_FULL)
    try:
        for f in range(it.given):
            covered &= describe_axes(&job.operand[f], &view[f], False, along, inner)
        covered &= describe_axes(job.out, &to, True, along, inner)
        if not covered:
            return 0
        for f in range(it.given + 2):
            operand = &job.operand[f]
            if f != it.given:
                operand.outer_strides += other
                continue
            operand.data = <char *> &alpha
            operand.outer_strides = &nothing
            operand.flat = False
            operand.n_stride = 0
            operand.inner_stride = 0
            operand.is_double = True
            operand.take = taker(b"d", False)
        it.leaf = job.n if job.outer * job.inner * LEAF >= job.n else LEAF
        with nogil:
            failed = compute_small(&job, it)
            free(job.scratch)
        if failed < 0:
            raise MemoryError("no memory for the lanes of a small array")
        return 1
    finally:
        PyBuffer_Release(&to)


cdef object small(Kind kind, tuple inputs, object alpha, object min_weight, object axis):
    """The results of small arrays, as the public function returns them; None for what the engine has to look at."""
    cdef Scan it
    cdef Py_buffer view[INPUTS]
    cdef int held = 0, along = 0, f
    cdef char code = 0
    cdef double share
    if not is_share(alpha) or not is_share(min_weight):
        return None
    it.kind = kind
    it.given = <int> len(inputs)
    it.fields = fields_of(kind)
    it.least = min_weight
    it.constant = True
    it.ends = False
    share = alpha
    it.decays = it.fields <= 2 and it.least == 0 and share < 1
    try:
        for f in range(it.given):
            # The first input is an ndarray; a mask of another one would be lost.
            if type(inputs[f]) is not type(inputs[0]) or not open_small(&view[f], inputs[f], axis, &along):
                return None
            held += 1
            if any_code(&view[f]) in (b"d", b"e", b"f") and not is_native(&view[f]):
                return None
            if not same_shape(&view[0], &view[f]):
                return None
            code = any_code(&view[f]) if code == 0 or code == any_code(&view[f]) else b"d"
        if kind == COUNT and code == b"e" and view[0].shape[along] > HALF_MOST:
            return None                     # float16 can't hold every count
        out = empty_like(inputs[0]) if code in (b"e", b"f") else empty_like(inputs[0], DOUBLE)
        return out if run_small(&it, view, share, along, out) else None
    finally:
        for f in range(held):
            PyBuffer_Release(&view[f])


def move_exp_nancount(a, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(COUNT, (a, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nancount(a, alpha, leaf, min_weight, decays, cursor, *states):
    return run(COUNT, (a, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nancount(*states):
    return fold(COUNT, states)


def move_exp_nansum(a, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(SUM, (a, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nansum(a, alpha, leaf, min_weight, decays, cursor, *states):
    return run(SUM, (a, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nansum(*states):
    return fold(SUM, states)


def move_exp_nanmean(a, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(MEAN, (a, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nanmean(a, alpha, leaf, min_weight, decays, cursor, *states):
    return run(MEAN, (a, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nanmean(*states):
    return fold(MEAN, states)


def move_exp_nanvar(a, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(VAR, (a, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nanvar(a, alpha, leaf, min_weight, decays, cursor, *states):
    return run(VAR, (a, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nanvar(*states):
    return fold(VAR, states)


def move_exp_nanstd(a, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(STD, (a, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nanstd(a, alpha, leaf, min_weight, decays, cursor, *states):
    return run(STD, (a, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nanstd(*states):
    return fold(STD, states)


def move_exp_nancov(a, b, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(COV, (a, b, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nancov(a, b, alpha, leaf, min_weight, decays, cursor, *states):
    return run(COV, (a, b, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nancov(*states):
    return fold(COV, states)


def move_exp_nancorr(a, b, alpha, states, leaf, min_weight, decays, cursor, out):
    return run(CORR, (a, b, alpha), states, leaf, min_weight, cursor, (out,), False, decays)


def ends_move_exp_nancorr(a, b, alpha, leaf, min_weight, decays, cursor, *states):
    return run(CORR, (a, b, alpha), None, leaf, min_weight, cursor, states, True, decays)


def fold_move_exp_nancorr(*states):
    return fold(CORR, states)


def small_move_exp_nancount(a, alpha, min_weight, axis):
    return small(COUNT, (a,), alpha, min_weight, axis)


def small_move_exp_nansum(a, alpha, min_weight, axis):
    return small(SUM, (a,), alpha, min_weight, axis)


def small_move_exp_nanmean(a, alpha, min_weight, axis):
    return small(MEAN, (a,), alpha, min_weight, axis)


def small_move_exp_nanvar(a, alpha, min_weight, axis):
    return small(VAR, (a,), alpha, min_weight, axis)


def small_move_exp_nanstd(a, alpha, min_weight, axis):
    return small(STD, (a,), alpha, min_weight, axis)


def small_move_exp_nancov(a, b, alpha, min_weight, axis):
    return small(COV, (a, b), alpha, min_weight, axis)


def small_move_exp_nancorr(a, b, alpha, min_weight, axis):
    return small(CORR, (a, b), alpha, min_weight, axis)
