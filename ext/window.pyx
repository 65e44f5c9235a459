# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Moving sums, extrema and moments: what can be merged, and is never taken out again.

A window is never updated by adding what enters and subtracting what leaves. Each line is cut into groups of L elements
at absolute positions (van Herk 1992, Gil and Werman 1993, there for minima with L = window):

    group      |  g - q - 1  |   g - q   | ... |    g    |
    elements   . . . [ s s s . m m m m m m ... m . p p p ] . .
                     start                           end i

    window = (suffix of the group where it starts + whole groups between) + prefix of the group where it ends

Suffixes and prefixes are scans inside a group; sums of whole groups come by doubling over the totals of groups. Three
merges an element whatever the window, no cancellation, and what has left leaves no trace. Up to MOST elements the
window itself is the group, L = window, and there is nothing between.

Groups lie side by side in scratch: row p holds the elements p of all groups of a block, so that every merge is a loop
over adjoining numbers, the same for lines and for columns. A block without missing elements merges with constant
weights; others keep counts. A window without missing elements gets the same bits from both: the weights are equal.
"""
from libc.math cimport INFINITY, NAN, isfinite, sqrt
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from cursor cimport allcores_ahead, allcores_ahead_rows
from fours cimport anything, drop, four, greater, lesser, load, missing, nought, pick, plus, store, times, turn
from window cimport Job, Operand, Strip, run_windows, scratch

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    typedef double *__restrict allcores_row;
    #else
    typedef double *__restrict__ allcores_row;
    #endif
    """
    # Rows that share no memory: with 3 to 15 of them in a loop, gcc would give up on telling them apart at run time.
    ctypedef double *row "allcores_row"

cdef enum:
    FIELDS = 5
    MOST = 64               # the largest window that is a group of its own
    GROUP = 32              # elements in a group of larger windows
    BLOCK = 4096            # elements in a batch, about: some arrays of this size stay in the first-level cache
    SPAN = 4                # windows in a stretch, where it is longer than a batch
    KEEP = 262_144          # numbers of suffixes that are kept: 2 MiB
    FOURS = 16              # groups of a line that are scanned before they are joined
    SHORTEST = 4            # window that is worth the scans of a line

cdef enum Kind:
    COUNT
    SUM
    MEAN
    PROD
    MIN
    MAX
    ARGMIN
    ARGMAX
    VAR
    STD
    SKEW
    KURT
    COV
    CORR


cdef struct Window:
    Kind kind
    Py_ssize_t window, offset, min_count, ddof
    Py_ssize_t group        # elements that are brought up as one: L, or a multiple of it
    Py_ssize_t period       # L: scans begin anew after so many
    Py_ssize_t between      # q: whole groups between start and end, or q - 1
    Py_ssize_t rest         # window - 1 = q * L + rest
    int inputs
    int fields              # of what is known of a run of elements


cdef struct Block:
    Py_ssize_t step         # numbers from row to row
    double *field[FIELDS]
    double *count           # of elements that are not missing


cdef inline int fields_of(Kind kind) noexcept nogil:
    if kind == CORR:
        return 5
    if kind == KURT:
        return 4
    if kind == SKEW or kind == COV:
        return 3
    if kind in (VAR, STD, ARGMIN, ARGMAX):
        return 2
    return 0 if kind == COUNT else 1


cdef inline bint is_moment(Kind kind) noexcept nogil:
    return kind >= VAR


# ---- merging runs of elements, a before b, n of them side by side

cdef void merge_sum(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = a[j] + b[j]


cdef void merge_prod(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = a[j] * b[j]


cdef void merge_min(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = b[j] if b[j] < a[j] else a[j]


cdef void merge_max(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = b[j] if b[j] > a[j] else a[j]


cdef void merge_argmin(Py_ssize_t n, row a, row at, row b, row bt, row to, row tot) noexcept nogil:
    """The last of the least; what is missing is at -1, before all others."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(n):
        take = (b[j] < a[j]) | ((b[j] == a[j]) & (bt[j] > at[j]))
        to[j] = b[j] if take else a[j]
        tot[j] = bt[j] if take else at[j]


cdef void merge_argmax(Py_ssize_t n, row a, row at, row b, row bt, row to, row tot) noexcept nogil:
    cdef Py_ssize_t j
    cdef bint take
    for j in range(n):
        take = (b[j] > a[j]) | ((b[j] == a[j]) & (bt[j] > at[j]))
        to[j] = b[j] if take else a[j]
        tot[j] = bt[j] if take else at[j]


# Moments of na and nb elements (Chan, Golub and LeVeque 1983; third and fourth: Pebay 2008). u and v are the shares of
# b and a: exactly 0 or 1 where the other is empty.

cdef inline void moments2(
        double ma, double sa, double mb, double sb, double na, double u, double *m, double *s) noexcept nogil:
    cdef double d = mb - ma
    m[0] = ma + d * u
    s[0] = (sa + sb) + (d * d) * (na * u)


cdef inline double moment3(
        double ma, double sa, double ta, double mb, double sb, double tb, double na, double u, double v) noexcept nogil:
    cdef double d = mb - ma
    return (ta + tb) + d * ((d * d) * (na * u * (v - u)) + 3 * (v * sb - u * sa))


cdef inline double moment4(
        double ma, double sa, double ta, double fa, double mb, double sb, double tb, double fb,
        double na, double u, double v) noexcept nogil:
    cdef double d = mb - ma
    cdef double d2 = d * d
    return ((fa + fb) + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (v * v * sb + u * u * sa))
            + 4 * d * (v * tb - u * ta))


cdef inline double share(double part, double whole) noexcept nogil:
    return part / (whole if whole > 1 else 1)


cdef void merge_var(
        Py_ssize_t n, double na, double nb, row ma, row sa, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])


cdef void merge_var_counted(
        Py_ssize_t n, row na, row nb, row ma, row sa, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na[j], share(nb[j], na[j] + nb[j]), &m[j], &s[j])


cdef void merge_skew(
        Py_ssize_t n, double na, double nb, row ma, row sa, row ta, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na, u, v)


cdef void merge_skew_counted(
        Py_ssize_t n, row na, row nb, row ma, row sa, row ta, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u, v
    for j in range(n):
        u = share(nb[j], na[j] + nb[j])
        v = share(na[j], na[j] + nb[j])
        moments2(ma[j], sa[j], mb[j], sb[j], na[j], u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na[j], u, v)


cdef void merge_kurt(
        Py_ssize_t n, double na, double nb, row ma, row sa, row ta, row fa, row mb, row sb, row tb, row fb,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na, u, v)
        f[j] = moment4(ma[j], sa[j], ta[j], fa[j], mb[j], sb[j], tb[j], fb[j], na, u, v)


cdef void merge_kurt_counted(
        Py_ssize_t n, row na, row nb, row ma, row sa, row ta, row fa, row mb, row sb, row tb, row fb,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u, v
    for j in range(n):
        u = share(nb[j], na[j] + nb[j])
        v = share(na[j], na[j] + nb[j])
        moments2(ma[j], sa[j], mb[j], sb[j], na[j], u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na[j], u, v)
        f[j] = moment4(ma[j], sa[j], ta[j], fa[j], mb[j], sb[j], tb[j], fb[j], na[j], u, v)


cdef inline void comoment(
        double xa, double ya, double ca, double xb, double yb, double cb, double na, double u,
        double *x, double *y, double *c) noexcept nogil:
    cdef double dx = xb - xa
    cdef double dy = yb - ya
    x[0] = xa + dx * u
    y[0] = ya + dy * u
    c[0] = (ca + cb) + (dx * dy) * (na * u)


cdef void merge_cov(
        Py_ssize_t n, double na, double nb, row xa, row ya, row ca, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    for j in range(n):
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na, u, &x[j], &y[j], &c[j])


cdef void merge_cov_counted(
        Py_ssize_t n, row na, row nb, row xa, row ya, row ca, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na[j], share(nb[j], na[j] + nb[j]), &x[j], &y[j], &c[j])


cdef void merge_corr(
        Py_ssize_t n, double na, double nb, row xa, row ya, row ca, row pa, row qa, row xb, row yb, row cb, row pb, row qb,
        row x, row y, row c, row p, row q) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy
    cdef double u = nb / (na + nb)
    for j in range(n):
        dx = xb[j] - xa[j]
        dy = yb[j] - ya[j]
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na, u, &x[j], &y[j], &c[j])
        p[j] = (pa[j] + pb[j]) + (dx * dx) * (na * u)
        q[j] = (qa[j] + qb[j]) + (dy * dy) * (na * u)


cdef void merge_corr_counted(
        Py_ssize_t n, row na, row nb, row xa, row ya, row ca, row pa, row qa, row xb, row yb, row cb, row pb, row qb,
        row x, row y, row c, row p, row q) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy, u
    for j in range(n):
        dx = xb[j] - xa[j]
        dy = yb[j] - ya[j]
        u = share(nb[j], na[j] + nb[j])
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na[j], u, &x[j], &y[j], &c[j])
        p[j] = (pa[j] + pb[j]) + (dx * dx) * (na[j] * u)
        q[j] = (qa[j] + qb[j]) + (dy * dy) * (na[j] * u)


cdef struct Run:            # what is known of n runs of elements, side by side
    double *field[FIELDS]
    double *count           # NULL: `number` elements each, none of them missing
    double number


cdef inline void merge(Kind kind, Py_ssize_t n, Run *a, Run *b, Run *to) noexcept nogil:
    """to = a, then b; `to` shares no memory with them. Its pointers are set, its number is not."""
    cdef double **x = a.field
    cdef double **y = b.field
    cdef double **z = to.field
    cdef bint counted = a.count != NULL
    to.number = a.number + b.number
    if counted:
        merge_sum(n, a.count, b.count, to.count)
    if kind == SUM or kind == MEAN:
        merge_sum(n, x[0], y[0], z[0])
    elif kind == PROD:
        merge_prod(n, x[0], y[0], z[0])
    elif kind == MIN:
        merge_min(n, x[0], y[0], z[0])
    elif kind == MAX:
        merge_max(n, x[0], y[0], z[0])
    elif kind == ARGMIN:
        merge_argmin(n, x[0], x[1], y[0], y[1], z[0], z[1])
    elif kind == ARGMAX:
        merge_argmax(n, x[0], x[1], y[0], y[1], z[0], z[1])
    elif kind == VAR or kind == STD:
        if counted:
            merge_var_counted(n, a.count, b.count, x[0], x[1], y[0], y[1], z[0], z[1])
        else:
            merge_var(n, a.number, b.number, x[0], x[1], y[0], y[1], z[0], z[1])
    elif kind == SKEW:
        if counted:
            merge_skew_counted(n, a.count, b.count, x[0], x[1], x[2], y[0], y[1], y[2], z[0], z[1], z[2])
        else:
            merge_skew(n, a.number, b.number, x[0], x[1], x[2], y[0], y[1], y[2], z[0], z[1], z[2])
    elif kind == KURT:
        if counted:
            merge_kurt_counted(
                n, a.count, b.count, x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3], z[0], z[1], z[2], z[3])
        else:
            merge_kurt(n, a.number, b.number, x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3], z[0], z[1], z[2], z[3])
    elif kind == COV:
        if counted:
            merge_cov_counted(n, a.count, b.count, x[0], x[1], x[2], y[0], y[1], y[2], z[0], z[1], z[2])
        else:
            merge_cov(n, a.number, b.number, x[0], x[1], x[2], y[0], y[1], y[2], z[0], z[1], z[2])
    elif kind == CORR:
        if counted:
            merge_corr_counted(
                n, a.count, b.count, x[0], x[1], x[2], x[3], x[4], y[0], y[1], y[2], y[3], y[4],
                z[0], z[1], z[2], z[3], z[4])
        else:
            merge_corr(
                n, a.number, b.number, x[0], x[1], x[2], x[3], x[4], y[0], y[1], y[2], y[3], y[4],
                z[0], z[1], z[2], z[3], z[4])


# ---- from what is known of a window to its value

cdef inline double within(double v) noexcept nogil:
    """A correlation that rounding has taken past its limits."""
    v = 1 if v > 1 else v
    return -1 if v < -1 else v


cdef void finish(Window *it, Py_ssize_t n, Run *known, double *full, double *last, double *to) noexcept nogil:
    """The values of n windows. `full` holds counts where `known` has none, `last` the positions of the ends."""
    cdef Py_ssize_t j
    cdef const double *c = known.count if known.count != NULL else full
    cdef const double *x = known.field[0]
    cdef const double *y = known.field[1]
    cdef const double *z = known.field[2]
    cdef const double *p = known.field[3]
    cdef const double *q = known.field[4]
    cdef double least = it.min_count
    cdef double ddof = it.ddof
    cdef double v, k, s
    cdef Kind kind = it.kind
    if kind in (VAR, STD, COV) and least < ddof + 1:
        least = ddof + 1
    if kind == SKEW and least < 3:
        least = 3
    if kind == KURT and least < 4:
        least = 4
    if kind == COUNT:
        for j in range(n):
            to[j] = c[j] if c[j] >= least else NAN
    elif kind == SUM:
        for j in range(n):
            v = x[j] + 0.0
            to[j] = v if c[j] >= least else NAN
    elif kind == MEAN:
        for j in range(n):
            v = (x[j] + 0.0) / c[j]
            to[j] = v if c[j] >= least else NAN
    elif kind in (PROD, MIN, MAX):
        for j in range(n):
            to[j] = x[j] if c[j] >= least else NAN
    elif kind in (ARGMIN, ARGMAX):
        for j in range(n):
            v = last[j] - y[j]
            to[j] = v if c[j] >= least else NAN
    # An infinity makes the mean infinite or NaN; sums of squares that overflow without one are infinite.
    elif kind == VAR:
        for j in range(n):
            v = (y[j] + (x[j] - x[j])) / (c[j] - ddof)
            to[j] = v if c[j] >= least else NAN
    elif kind == STD:
        for j in range(n):
            v = sqrt((y[j] + (x[j] - x[j])) / (c[j] - ddof if c[j] >= least else 1))
            to[j] = v if c[j] >= least else NAN
    elif kind == SKEW:
        for j in range(n):
            k = c[j]
            s = y[j]
            v = (sqrt(k * (k - 1) if k >= least else 1) / (k - 2)) * ((z[j] / k) / ((s / k) * sqrt(s / k)))
            to[j] = v if k >= least else NAN
    elif kind == KURT:
        for j in range(n):
            k = c[j]
            s = y[j]
            v = ((k * k - 1) * ((p[j] / k) / ((s / k) * (s / k))) - 3 * (k - 1) * (k - 1)) / ((k - 2) * (k - 3))
            to[j] = v if k >= least else NAN
    elif kind == COV:
        for j in range(n):
            v = (z[j] + ((x[j] - x[j]) + (y[j] - y[j]))) / (c[j] - ddof)
            to[j] = v if c[j] >= least else NAN
    elif kind == CORR:
        for j in range(n):
            v = within(z[j] / (sqrt(p[j]) * sqrt(q[j])))
            to[j] = v if c[j] >= least else NAN


# ---- bringing groups up

cdef void take_groups(
        Job *job, Strip *strip, int f, Py_ssize_t group, Py_ssize_t groups, Py_ssize_t length,
        double *to, Py_ssize_t step) noexcept nogil:
    """Elements of groups group.. of one input: row p of `to` gets the elements p of each group, of all lanes. NaN stands
    for what lies outside of the series."""
    cdef Operand *x = &job.operand[f]
    cdef Py_ssize_t lanes = strip.lanes, g, base, low, high, p, l
    for g in range(groups):
        base = (group + g) * length
        low = -base if base < 0 else 0
        low = length if low > length else low
        high = length if base + length <= job.n else job.n - base
        high = low if high < low else high
        if low > 0 or high < length:
            for p in range(length):
                if p < low or p >= high:
                    for l in range(lanes):
                        to[p * step + g * lanes + l] = NAN
        if strip.adjoin:
            for p in range(low, high):
                allcores_ahead_rows(
                    strip.lane[f][0] + (base + p) * x.n_stride, 0, 1, lanes * x.inner_stride, groups * length * x.n_stride)
                x.take(strip.lane[f][0] + (base + p) * x.n_stride, x.inner_stride, lanes, to + p * step + g * lanes, 1)
        else:
            for l in range(lanes):
                if x.n_stride == x.itemsize:
                    allcores_ahead(strip.lane[f][l] + (base + low) * x.n_stride, <int> (length * x.n_stride))
                x.take(strip.lane[f][l] + (base + low) * x.n_stride, x.n_stride, high - low,
                       to + low * step + g * lanes + l, step)


cdef void give_groups(
        Job *job, Strip *strip, Py_ssize_t group, Py_ssize_t groups, Py_ssize_t length, Py_ssize_t offset,
        Py_ssize_t begin, Py_ssize_t end, double *v, Py_ssize_t step) noexcept nogil:
    """The reverse, into out: row p of `v` holds the windows that end at element p of each group. Those that belong to
    outputs begin..end."""
    cdef Operand *out = job.out
    cdef Py_ssize_t lanes = strip.lanes, g, base, low, high, p, l
    for g in range(groups):
        base = (group + g) * length - offset
        low = begin - base if base < begin else 0
        high = length if base + length <= end else end - base
        if strip.adjoin:
            for p in range(low, high):
                allcores_ahead_rows(
                    strip.out[0] + (base + p) * out.n_stride, 0, 1, lanes * out.inner_stride, groups * length * out.n_stride)
                out.give(v + p * step + g * lanes, 1, lanes, strip.out[0] + (base + p) * out.n_stride, out.inner_stride)
        else:
            for l in range(lanes):
                if out.n_stride == out.itemsize:
                    allcores_ahead(strip.out[l] + (base + low) * out.n_stride, <int> (length * out.n_stride))
                out.give(v + low * step + g * lanes + l, step, high - low,
                         strip.out[l] + (base + low) * out.n_stride, out.n_stride)


cdef bint any_missing(const double *v, Py_ssize_t n) noexcept nogil:
    cdef int64_t found = 0
    cdef Py_ssize_t j
    for j in range(n):
        found |= v[j] != v[j]
    return found != 0


cdef inline double identity(Kind kind) noexcept nogil:
    if kind == SUM or kind == MEAN:
        return -0.0
    if kind == PROD:
        return 1
    if kind == MIN or kind == ARGMIN:
        return INFINITY
    if kind == MAX or kind == ARGMAX:
        return -INFINITY
    return 0


cdef void mask_one(Py_ssize_t n, double nothing, row x, row count) noexcept nogil:
    cdef Py_ssize_t j
    cdef double v
    for j in range(n):
        v = x[j]
        count[j] = 1.0 if v == v else 0.0
        x[j] = v if v == v else nothing


cdef void mask_two(Py_ssize_t n, row x, row y, row count) noexcept nogil:
    """A pair of which one is missing is missing."""
    cdef Py_ssize_t j
    cdef double v, w
    cdef bint both
    for j in range(n):
        v = x[j]
        w = y[j]
        both = (v == v) & (w == w)
        count[j] = 1.0 if both else 0.0
        x[j] = v if both else 0.0
        y[j] = w if both else 0.0


cdef void subtract(Py_ssize_t n, row x, row pivot) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        x[j] -= pivot[j]


cdef bint bring(
        Job *job, Strip *strip, Window *it, Block *block, Py_ssize_t at, Py_ssize_t group, Py_ssize_t groups,
        bint counted, bint look, double *const *pivot) noexcept nogil:
    """Take groups, into columns `at`... False, unless they are to be counted, where something is missing; of NaN, if
    asked to look."""
    cdef Py_ssize_t length = it.group, width = groups * strip.lanes, p, g, l
    cdef int f
    cdef double *to
    if not counted and (group < 0 or (group + groups) * length > job.n):
        return False
    for f in range(it.inputs):
        to = block.field[f] + at
        take_groups(job, strip, f, group, groups, length, to, block.step)
        for p in range(length):
            if look and not counted and job.operand[f].may_miss and any_missing(to + p * block.step, width):
                return False
            if is_moment(it.kind):
                subtract(width, to + p * block.step, pivot[f])
    if it.kind == ARGMIN or it.kind == ARGMAX:
        for p in range(length):
            to = block.field[1] + at + p * block.step
            for g in range(groups):
                for l in range(strip.lanes):
                    to[g * strip.lanes + l] = (group + g) * length + p
    if counted:
        for p in range(length):
            mask(it, block, p * block.step + at, width)
    return True


cdef void mask(Window *it, Block *block, Py_ssize_t at, Py_ssize_t width) noexcept nogil:
    """Count what is not missing in a row, and put what changes nothing where an element is missing."""
    cdef Py_ssize_t j
    if it.inputs == 2:
        mask_two(width, block.field[0] + at, block.field[1] + at, block.count + at)
    else:
        mask_one(width, identity(it.kind), block.field[0] + at, block.count + at)
    if it.kind == ARGMIN or it.kind == ARGMAX:
        for j in range(width):
            block.field[1][at + j] = block.field[1][at + j] if block.count[at + j] else -1.0


cdef inline int given_of(Window *it) noexcept nogil:
    """Fields that are known of an element: its value, or values, or value and position."""
    return 2 if it.kind == ARGMIN or it.kind == ARGMAX else it.inputs


cdef inline Run row_of(Window *it, Block *block, Py_ssize_t at, bint counted, double number) noexcept nogil:
    cdef Run run
    cdef int f
    for f in range(FIELDS):
        run.field[f] = block.field[f] + at if f < it.fields else block.field[0]
    run.count = block.count + at if counted else NULL
    run.number = number
    return run


cdef inline Run elements(Window *it, Block *block, Py_ssize_t at, bint counted, double *zeros) noexcept nogil:
    """A row of elements as runs of one: their sums of squares are zero."""
    cdef Run run
    cdef int f
    cdef int given = given_of(it)
    for f in range(FIELDS):
        run.field[f] = block.field[f] + at if f < given else zeros
    run.count = block.count + at if counted else NULL
    run.number = 1
    return run


cdef inline void advance(Run *run, Py_ssize_t by, int fields) noexcept nogil:
    """To another row: cheaper than to begin anew for each row of some 80 numbers."""
    cdef int f
    for f in range(fields):
        run.field[f] += by
    if run.count != NULL:
        run.count += by


cdef inline void copy(Window *it, Py_ssize_t n, Run *a, Run *to) noexcept nogil:
    cdef int f
    for f in range(it.fields):
        memcpy(to.field[f], a.field[f], n * sizeof(double))
    if a.count != NULL:
        memcpy(to.count, a.count, n * sizeof(double))
    to.number = a.number


# ---- a stretch of groups, of all lanes of a strip

cdef struct Room:           # the scratch
    Py_ssize_t batch        # groups that are brought up at a time
    bint keep               # suffixes of all groups of a stretch are kept; otherwise they are scanned again
    Block start             # elements of a batch of groups, where windows start
    Block stop              # and where they end
    Block suffix
    Block work              # four rows: prefixes, by turns, and a window as it is merged
    Block totals            # of groups, one after the other
    Block fewer             # of q - 1 groups in a row
    Block between           # of q groups in a row
    Block power             # of 1, 2, 4, ... groups in a row
    Block spare
    double *groups          # of one line: totals of its groups
    double *pivot[2]
    double *zeros
    double *full
    double *ends


cdef inline double *part(double **at, Py_ssize_t numbers) noexcept nogil:
    """Numbers of the scratch, from where the last part ended."""
    cdef double *here = at[0]
    at[0] += numbers
    return here


cdef inline void reserve(Block *block, double **at, int fields, Py_ssize_t rows, Py_ssize_t step) noexcept nogil:
    cdef int f
    block.step = step
    for f in range(FIELDS):
        block.field[f] = part(at, rows * step if f < fields else 0)
    block.count = part(at, rows * step)


cdef inline Py_ssize_t spaced(Py_ssize_t width) noexcept nogil:
    """Numbers from row to row: rows a power of two apart would share a few sets of the cache."""
    cdef Py_ssize_t step = (width + 7) // 8 * 8
    return step + 8 if step % 32 == 0 else step


cdef double pivot_of(Job *job, Strip *strip, int f, Py_ssize_t lane) noexcept nogil:
    """The first finite element of a line: near the others, so that their differences from it are exact or nearly so."""
    cdef Operand *x = &job.operand[f]
    cdef Py_ssize_t i
    cdef double v = 0
    for i in range(job.n):
        x.take(strip.lane[f][lane] + i * x.n_stride, x.n_stride, 1, &v, 1)
        if isfinite(v):
            return v
    return 0


cdef bint furnish(Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t total) noexcept nogil:
    """Lay the scratch out for stretches of so many groups in which windows end. False where there is no memory."""
    cdef Py_ssize_t lanes = strip.lanes, step, kept, wide = 0, j, l
    cdef int f, given = given_of(it)
    cdef double *at
    step = spaced((room.batch + 1) * lanes)
    kept = spaced((total + it.between + 1) * lanes) if room.keep else step
    if it.between:
        wide = (total + it.between + 1) * lanes
    at = scratch(job, (given + 1 + it.fields + 1) * it.group * kept + (given + 1) * it.group * step
                 + (5 * (it.fields + 1) + 1) * wide + (4 * (it.fields + 1) + 5) * step)
    if at == NULL:
        return False
    reserve(&room.start, &at, given, it.group, kept)
    reserve(&room.suffix, &at, it.fields, it.group, kept)
    if room.keep:
        room.stop = room.start
    else:
        reserve(&room.stop, &at, given, it.group, step)
    reserve(&room.work, &at, it.fields, 4, step)
    reserve(&room.totals, &at, it.fields, 1, wide)
    reserve(&room.fewer, &at, it.fields, 1, wide)
    reserve(&room.between, &at, it.fields, 1, wide)
    reserve(&room.power, &at, it.fields, 1, wide)
    reserve(&room.spare, &at, it.fields, 1, wide)
    room.groups = part(&at, wide)
    room.zeros = part(&at, step)
    room.full = part(&at, step)
    room.ends = part(&at, step)
    for j in range(step):
        room.zeros[j] = 0
        room.full[j] = it.window
    for f in range(2):
        room.pivot[f] = part(&at, step)
        if f < it.inputs and is_moment(it.kind):
            for l in range(lanes):
                room.pivot[f][l] = pivot_of(job, strip, f, l)
            for j in range(lanes, (room.batch + 1) * lanes):
                room.pivot[f][j] = room.pivot[f][j - lanes]
    return True


cdef void scan_suffixes(Window *it, Room *room, Py_ssize_t width, Py_ssize_t at, bint counted) noexcept nogil:
    """Row p of the suffixes, in columns `at`...: elements p.. of each group, merged from the last one on."""
    cdef Py_ssize_t step = room.start.step
    cdef Run a = elements(it, &room.start, (it.group - 1) * step + at, counted, room.zeros)
    cdef Run b, to = row_of(it, &room.suffix, (it.group - 1) * step + at, counted, 1)
    cdef int given = given_of(it)
    cdef Py_ssize_t p
    for p in range(it.group):               # from the last row on
        if p % it.period == 0:
            copy(it, width, &a, &to)
        else:
            merge(it.kind, width, &a, &b, &to)
        b = to
        advance(&a, -step, given)
        advance(&to, -step, it.fields)


cdef bint scan(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t group, Py_ssize_t count, Py_ssize_t at,
        bint counted) noexcept nogil:
    """Bring groups up and scan their suffixes, in columns `at`... False where something is missing, unless counted."""
    cdef Py_ssize_t width = count * strip.lanes, p
    cdef int f
    # What is added or multiplied makes NaN of NaN: to look at whole groups is enough, and saves 0.1 ns an element.
    cdef bint look = it.kind in (COUNT, MIN, MAX, ARGMIN, ARGMAX)
    if not bring(job, strip, it, &room.start, at, group, count, counted, look, room.pivot):
        return False
    scan_suffixes(it, room, width, at, counted)
    if not counted and not look:
        for f in range(it.inputs):
            if job.operand[f].may_miss:
                p = 0
                while p < it.group:
                    if any_missing(room.suffix.field[f] + p * room.suffix.step + at, width):
                        return False
                    p += it.period
    return True


cdef void add_up(
        Window *it, Py_ssize_t width, Block *x, Block *y, Py_ssize_t shift, Block *to, bint counted,
        Py_ssize_t groups, Py_ssize_t more) noexcept nogil:
    """Runs of so many groups, each merged with one of `more` groups, `shift` further on."""
    cdef Run a = row_of(it, x, 0, counted, groups * it.group)
    cdef Run b = row_of(it, y, shift, counted, more * it.group)
    cdef Run c = row_of(it, to, 0, counted, 0)
    merge(it.kind, width, &a, &b, &c)


cdef void whole_groups(Window *it, Room *room, Py_ssize_t known, Py_ssize_t lanes, bint counted) noexcept nogil:
    """From the totals of so many groups, but for the first one, to those of q - 1 and of q groups in a row, by doubling."""
    cdef Py_ssize_t q = it.between, have = 0, power = 1
    cdef Run a = row_of(it, &room.totals, lanes, counted, 0)
    cdef Run to = row_of(it, &room.power, 0, counted, 0)
    cdef Block swap
    copy(it, known * lanes, &a, &to)
    while power <= q - 1:
        if (q - 1) & power:
            if have == 0:
                a = row_of(it, &room.power, 0, counted, 0)
                to = row_of(it, &room.between, 0, counted, 0)
                copy(it, (known - power + 1) * lanes, &a, &to)
            else:
                add_up(it, (known - have - power + 1) * lanes, &room.fewer, &room.power, have * lanes, &room.between,
                       counted, have, power)
            swap = room.fewer
            room.fewer = room.between
            room.between = swap
            have += power
        power *= 2
        if power <= q - 1:
            add_up(it, (known - power + 1) * lanes, &room.power, &room.power, power // 2 * lanes, &room.spare,
                   counted, power // 2, power // 2)
            swap = room.power
            room.power = room.spare
            room.spare = swap
    add_up(it, (known - q + 1) * lanes, &room.fewer, &room.totals, (have + 1) * lanes, &room.between, counted, have, 1)


cdef void never_negative_zero(Py_ssize_t n, double *v) noexcept nogil:
    """Every window has a prefix, and no sum that contains 0.0 is -0.0: as in NumPy, and as after `finish`."""
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = v[j] + 0.0


cdef void windows(
        Window *it, Room *room, Py_ssize_t lanes, Py_ssize_t group, Py_ssize_t count, Py_ssize_t first,
        bint counted) noexcept nogil:
    """The values of all windows that end in a batch of groups, into their rows of `stop`, which are used up in this order."""
    cdef Py_ssize_t q = it.between, length = it.group, width = count * lanes, step = room.stop.step, p, g, l, left
    # The first of the batch among the columns of the suffixes, and where its elements are.
    cdef Py_ssize_t from_ = (group - first) * lanes if room.keep else 0
    cdef Py_ssize_t at = from_ + (q + 1) * lanes if room.keep else 0
    cdef int given = given_of(it)
    cdef Run element = elements(it, &room.stop, at, counted, room.zeros)
    cdef Run prefix = row_of(it, &room.work, 0, counted, 1)
    cdef Run other = row_of(it, &room.work, room.work.step, counted, 1)
    cdef Run head = row_of(it, &room.work, 2 * room.work.step, counted, 0)
    cdef Run whole = row_of(it, &room.work, 3 * room.work.step, counted, 0)
    # A window starts `rest` elements before element p of a group: at first in the group before.
    cdef Run suffix = row_of(it, &room.suffix, (length - it.rest) * room.suffix.step + from_, counted, length)
    cdef Run middle, swap
    # Without missing elements a sum, product or extremum is the value: it is merged where it is to be.
    cdef bint direct = not counted and it.kind in (SUM, PROD, MIN, MAX)
    if q:
        middle = row_of(it, &room.between, (group - first) * lanes, counted, q * length)
    for p in range(length):
        if p % it.period == 0:
            copy(it, width, &element, &prefix)
            if it.kind == SUM:
                never_negative_zero(width, prefix.field[0])
        else:
            merge(it.kind, width, &prefix, &element, &other)
            swap = prefix
            prefix = other
            other = swap
        if p == it.rest:
            suffix = row_of(it, &room.suffix, from_ + lanes, counted, length)
            if q:
                middle = row_of(it, &room.fewer, (group - first + 1) * lanes, counted, (q - 1) * length)
        left = (p + length - it.rest) % it.period           # of a group, before the window
        suffix.number = it.period - left
        if it.kind == ARGMIN or it.kind == ARGMAX:
            for g in range(count):
                for l in range(lanes):
                    room.ends[g * lanes + l] = (group + g) * length + p
        if direct:
            whole.field[0] = room.stop.field[0] + p * step + at
        if q:
            merge(it.kind, width, &suffix, &middle, &head)
            merge(it.kind, width, &head, &prefix, &whole)
        elif left:
            merge(it.kind, width, &suffix, &prefix, &whole)
        elif direct:
            copy(it, width, &prefix, &whole)    # the last element of a group that is the window
        if not direct:
            finish(it, width, &whole if q or left else &prefix, room.full, room.ends, room.stop.field[0] + p * step + at)
        advance(&suffix, room.suffix.step, it.fields)
        advance(&element, step, given)


cdef bint stretch(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end, bint counted) noexcept nogil:
    """Outputs begin..end, as far as their windows end in groups first..last. False, and to be repeated with counts, where
    an element is missing."""
    cdef Py_ssize_t lanes = strip.lanes, q = it.between, group = first - q - 1, count, at
    cdef Py_ssize_t known = last if not room.keep else last + 1
    cdef Run a, to
    cdef int f
    while group < known:
        count = room.batch + 1 if group + room.batch + 1 < known else known - group
        at = (group - first + q + 1) * lanes
        if not scan(job, strip, it, room, group, count, at if room.keep else 0, counted):
            return False
        if q and not room.keep:
            a = row_of(it, &room.suffix, 0, counted, 0)
            to = row_of(it, &room.totals, at, counted, 0)
            copy(it, count * lanes, &a, &to)
        group += count
    if q:
        if room.keep:
            for f in range(FIELDS):
                room.totals.field[f] = room.suffix.field[f]
            room.totals.count = room.suffix.count
        whole_groups(it, room, last - first + q, lanes, counted)
    group = first
    while group <= last:
        count = room.batch if group + room.batch <= last + 1 else last + 1 - group
        at = (group - first + q + 1) * lanes if room.keep else 0
        if not room.keep:
            if not scan(job, strip, it, room, group - q - 1, count + 1, 0, counted):
                return False
            if not bring(job, strip, it, &room.stop, 0, group, count, counted, True, room.pivot):
                return False
        windows(it, room, lanes, group, count, first, counted)
        give_groups(job, strip, group, count, it.group, it.offset, begin, end, room.stop.field[0] + at, room.stop.step)
        group += count
    return True


# ---- one line without missing elements: nothing is laid out in rows. Scans of four groups at a time are turned in
# registers, and what is left are loops over adjoining numbers: a third of the time. The order is the same.

cdef inline double merged(Kind kind, double a, double b) noexcept nogil:
    if kind == PROD:
        return a * b
    if kind == MIN:
        return b if b < a else a
    if kind == MAX:
        return b if b > a else a
    return a + b


cdef inline four merged4(Kind kind, four a, four b) noexcept nogil:
    if kind == PROD:
        return times(a, b)
    if kind == MIN:
        return lesser(a, b)
    if kind == MAX:
        return greater(a, b)
    return plus(a, b)


cdef inline void scan_back(Kind kind, const double *x, Py_ssize_t length, double *to) noexcept nogil:
    """Suffixes of four adjoining groups, in their places."""
    cdef Py_ssize_t p = length - 1
    cdef four a, b, c, d
    cdef four known = pick(x + p, length)
    drop(to + p, length, known)
    while p % 4:
        p -= 1
        known = merged4(kind, pick(x + p, length), known)
        drop(to + p, length, known)
    while p:
        p -= 4
        a = load(x + p)
        b = load(x + length + p)
        c = load(x + 2 * length + p)
        d = load(x + 3 * length + p)
        turn(&a, &b, &c, &d)
        d = merged4(kind, d, known)
        c = merged4(kind, c, d)
        b = merged4(kind, b, c)
        a = merged4(kind, a, b)
        known = a
        turn(&a, &b, &c, &d)
        store(to + p, a)
        store(to + length + p, b)
        store(to + 2 * length + p, c)
        store(to + 3 * length + p, d)


cdef inline bint scan_forth(Kind kind, const double *x, Py_ssize_t length, double *to) noexcept nogil:
    """Prefixes of four adjoining groups, in their places; no sum is -0.0. Whether none of the elements is missing."""
    cdef Py_ssize_t p = 1
    cdef four a, b, c, d
    cdef four known = pick(x, length)
    cdef four found = missing(nought(), known)
    if kind == SUM or kind == MEAN:
        known = plus(known, nought())
    drop(to, length, known)
    while p + 4 <= length:
        a = load(x + p)
        b = load(x + length + p)
        c = load(x + 2 * length + p)
        d = load(x + 3 * length + p)
        found = missing(missing(missing(missing(found, a), b), c), d)
        turn(&a, &b, &c, &d)
        a = merged4(kind, known, a)
        b = merged4(kind, a, b)
        c = merged4(kind, b, c)
        d = merged4(kind, c, d)
        known = d
        turn(&a, &b, &c, &d)
        store(to + p, a)
        store(to + length + p, b)
        store(to + 2 * length + p, c)
        store(to + 3 * length + p, d)
        p += 4
    while p < length:
        a = pick(x + p, length)
        found = missing(found, a)
        known = merged4(kind, known, a)
        drop(to + p, length, known)
        p += 1
    return not anything(found)


cdef inline void joined(
        Kind kind, const double *suffix, const double *prefix, Py_ssize_t n, double window, double *to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = merged(kind, suffix[j], prefix[j])
        if kind == MEAN:
            to[j] = to[j] / window


cdef inline void joined_over(
        Kind kind, const double *suffix, double early, double late, Py_ssize_t rest, const double *prefix, double window,
        double *to) noexcept nogil:
    """The same with whole groups between: some for windows that end before element `rest` of their group, others after."""
    cdef Py_ssize_t j
    for j in range(GROUP):
        to[j] = merged(kind, merged(kind, suffix[j], early if j < rest else late), prefix[j])
        if kind == MEAN:
            to[j] = to[j] / window


cdef inline bint short_line(
        Kind kind, const double *x, Py_ssize_t length, Py_ssize_t groups, double *suffix, double *prefix,
        double *to) noexcept nogil:
    """The windows that end in all but the first of groups that are a window each. False where an element of these is
    missing."""
    cdef Py_ssize_t g = 0, n = groups * length
    while g < groups:
        scan_back(kind, x + g * length, length, suffix + g * length)
        if not scan_forth(kind, x + (g + 1) * length, length, prefix + g * length):
            return False
        g += 4
    joined(kind, suffix + 1, prefix, n - 1, <double> length, to)
    for g in range(1, groups + 1):
        to[g * length - 1] = prefix[g * length - 1] / (<double> length if kind == MEAN else 1.0)
    return True


cdef bint short_line_of(
        Kind kind, const double *x, Py_ssize_t length, Py_ssize_t groups, double *suffix, double *prefix,
        double *to) noexcept nogil:
    if kind == SUM:
        return short_line(SUM, x, length, groups, suffix, prefix, to)
    if kind == MEAN:
        return short_line(MEAN, x, length, groups, suffix, prefix, to)
    if kind == PROD:
        return short_line(PROD, x, length, groups, suffix, prefix, to)
    if kind == MIN:
        return short_line(MIN, x, length, groups, suffix, prefix, to)
    return short_line(MAX, x, length, groups, suffix, prefix, to)


cdef inline void long_line(
        Kind kind, const double *x, const double *suffix, const double *between, const double *fewer, Py_ssize_t rest,
        double window, double *prefix, double *to) noexcept nogil:
    """The windows that end in FOURS adjoining groups, at x."""
    cdef Py_ssize_t g
    for g in range(0, FOURS, 4):
        scan_forth(kind, x + g * GROUP, GROUP, prefix + g * GROUP)
    for g in range(FOURS):
        joined_over(kind, suffix + g * GROUP, between[g], fewer[g], rest, prefix + g * GROUP, window, to + g * GROUP)


cdef void long_line_of(
        Kind kind, const double *x, const double *suffix, const double *between, const double *fewer, Py_ssize_t rest,
        double window, double *prefix, double *to) noexcept nogil:
    if kind == SUM:
        long_line(SUM, x, suffix, between, fewer, rest, window, prefix, to)
    elif kind == MEAN:
        long_line(MEAN, x, suffix, between, fewer, rest, window, prefix, to)
    elif kind == PROD:
        long_line(PROD, x, suffix, between, fewer, rest, window, prefix, to)
    elif kind == MIN:
        long_line(MIN, x, suffix, between, fewer, rest, window, prefix, to)
    else:
        long_line(MAX, x, suffix, between, fewer, rest, window, prefix, to)


cdef bint scan_back_of(Kind kind, const double *x, double *to) noexcept nogil:
    """Suffixes of FOURS groups. False where an element is missing."""
    cdef Py_ssize_t g
    if any_missing(x, FOURS * GROUP):
        return False
    for g in range(0, FOURS, 4):
        if kind == PROD:
            scan_back(PROD, x + g * GROUP, GROUP, to + g * GROUP)
        elif kind == MIN:
            scan_back(MIN, x + g * GROUP, GROUP, to + g * GROUP)
        elif kind == MAX:
            scan_back(MAX, x + g * GROUP, GROUP, to + g * GROUP)
        else:
            scan_back(SUM, x + g * GROUP, GROUP, to + g * GROUP)
    return True


cdef inline const double *piece(
        Job *job, Strip *strip, Py_ssize_t at, Py_ssize_t n, double *room) noexcept nogil:
    """Elements at.. of the line: where they are, if they are doubles side by side, else brought up."""
    cdef Operand *x = &job.operand[0]
    cdef char *v = strip.lane[0][0] + at * x.n_stride
    if x.is_double and x.n_stride == sizeof(double) and <size_t> v % sizeof(double) == 0:
        allcores_ahead(v, <int> (n * sizeof(double)))
        return <const double *> v
    x.take(v, x.n_stride, n, room, 1)
    return room


cdef inline double *place_of(
        Job *job, Strip *strip, Py_ssize_t at, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, double *room) noexcept nogil:
    """Where outputs at.. are computed: where they belong, if that is possible."""
    cdef char *v = strip.out[0] + at * job.out.n_stride
    if (job.out.is_double and job.out.n_stride == sizeof(double) and <size_t> v % sizeof(double) == 0
            and at >= begin and at + n <= end):
        return <double *> v
    return room


cdef void give_line(
        Job *job, Strip *strip, Py_ssize_t at, Py_ssize_t n, Py_ssize_t begin, Py_ssize_t end, const double *v) noexcept nogil:
    """Outputs at.., as far as they are among begin..end."""
    cdef Py_ssize_t low = begin - at if at < begin else 0
    cdef Py_ssize_t high = n if at + n <= end else end - at
    if low < high:
        job.out.give(v + low, 1, high - low, strip.out[0] + (at + low) * job.out.n_stride, job.out.n_stride)


cdef bint short_stretch(
        Job *job, Strip *strip, Window *it, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`stretch` without counts, for groups first..last of a window each: at least four."""
    cdef double elements[FOURS * GROUP + MOST]
    cdef double suffix[FOURS * GROUP]
    cdef double prefix[FOURS * GROUP]
    cdef double result[FOURS * GROUP]
    cdef Py_ssize_t length = it.period, group = first, at
    cdef Py_ssize_t count = FOURS * GROUP // length // 4 * 4
    cdef const double *v
    cdef double *to
    if count > (last + 1 - first) // 4 * 4:
        count = (last + 1 - first) // 4 * 4
    v = piece(job, strip, (first - 1) * length, length, elements)
    if any_missing(v, length):
        return False
    while group <= last:
        if group + count > last + 1:            # the last ones: some are computed once more
            group = last + 1 - count
        v = piece(job, strip, (group - 1) * length, (count + 1) * length, elements)
        at = group * length - it.offset
        to = place_of(job, strip, at, count * length, begin, end, result)
        if not short_line_of(it.kind, v, length, count, suffix, prefix, to):
            return False
        if to == result:
            give_line(job, strip, at, count * length, begin, end, result)
        group += count
    return True


cdef bint long_stretch(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """The same for windows of several groups: at least FOURS of these, and suffixes are kept."""
    cdef double elements[FOURS * GROUP]
    cdef double prefix[FOURS * GROUP]
    cdef double result[FOURS * GROUP]
    cdef Py_ssize_t q = it.between, low = first - q - 1, group = low, g, at
    cdef double *suffix = room.suffix.field[0]
    cdef const double *v
    cdef double *to
    while group <= last:
        if group + FOURS > last + 1:
            group = last + 1 - FOURS
        v = piece(job, strip, group * GROUP, FOURS * GROUP, elements)
        if not scan_back_of(it.kind, v, suffix + (group - low) * GROUP):
            return False
        for g in range(FOURS):
            room.groups[group - low + g] = suffix[(group - low + g) * GROUP]
        group += FOURS
    room.totals.field[0] = room.groups
    whole_groups(it, room, last - first + q, 1, False)
    group = first
    while group <= last:
        if group + FOURS > last + 1:
            group = last + 1 - FOURS
        v = piece(job, strip, group * GROUP, FOURS * GROUP, elements)
        at = group * GROUP - it.offset
        to = place_of(job, strip, at, FOURS * GROUP, begin, end, result)
        g = group - first
        long_line_of(it.kind, v, suffix + g * GROUP + GROUP - it.rest, room.between.field[0] + g,
                     room.fewer.field[0] + g + 1, it.rest, <double> it.window, prefix, to)
        if to == result:
            give_line(job, strip, at, FOURS * GROUP, begin, end, result)
        group += FOURS
    return True


cdef bint line_stretch(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`stretch` without counts of a line where that is possible by scans of four groups."""
    cdef Py_ssize_t periods = it.group // it.period
    if (strip.lanes > 1 or it.period < SHORTEST or last + 1 - first < FOURS or not room.keep
            or it.kind not in (SUM, MEAN, PROD, MIN, MAX)):
        return stretch(job, strip, it, room, first, last, begin, end, False)
    if it.between:
        return long_stretch(job, strip, it, room, first, last, begin, end)
    return short_stretch(job, strip, it, first * periods, (last + 1) * periods - 1, begin, end)


cdef int fill(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Window *it = <Window *> job.parameters
    cdef Room room
    cdef Py_ssize_t lanes = strip.lanes, q = it.between
    cdef Py_ssize_t first = (begin + it.offset) // it.group         # of the groups in which windows end
    cdef Py_ssize_t last = (end - 1 + it.offset) // it.group
    cdef Py_ssize_t most = last - first + 1, stop
    cdef Py_ssize_t inside = job.n // it.group                      # whole groups of the series
    cdef int failed = 0, pause = 0
    cdef bint counted
    room.batch = BLOCK // it.group // lanes
    room.batch = 1 if room.batch < 1 else room.batch
    room.batch = most if room.batch > most else room.batch
    # Stretches are some windows long, or nothing but their beginnings would be computed.
    if q:
        stop = SPAN * q if SPAN * q > room.batch else room.batch
        most = most if most < stop else stop
    else:
        most = room.batch
    room.keep = q == 0 or (most + q + 1) * it.group * lanes * it.fields <= KEEP
    if not furnish(job, strip, it, &room, most):
        return -1
    while first <= last:
        stop = first + most - 1 if first + most - 1 < last else last
        # Only windows that reach beyond the series are counted for that.
        if first <= q:
            stop = q if q < stop else stop
        elif first < inside and stop >= inside:
            stop = inside - 1
        # Where much is missing, don't look for stretches without at every one: 2.0 instead of 2.2 ns for sums.
        counted = pause > 0 or first < q + 1 or (stop + 1) * it.group > job.n
        pause -= pause > 0
        if not counted:
            counted = not line_stretch(job, strip, it, &room, first, stop, begin, end)
            failed = (2 * failed + 1 if failed < 8 else failed) if counted else 0
            pause = failed
        if counted:
            stretch(job, strip, it, &room, first, stop, begin, end, True)
        first = stop + 1
    return 0


# ---- kernels: window, offset of the last element from the output's position, fewest elements

cdef int run(
        Kind kind, tuple inputs, Py_ssize_t window, Py_ssize_t offset, Py_ssize_t min_count, Py_ssize_t ddof,
        object cursor, object out) except -1:
    cdef Window it
    it.kind = kind
    it.window = window
    it.offset = offset
    it.min_count = min_count
    it.ddof = ddof
    # Short groups are brought up together: a window of 5 elements takes 1.5 instead of 2 ns.
    it.period = window if window <= MOST else GROUP
    it.group = it.period * (GROUP // it.period if it.period < GROUP else 1)
    it.between = (window - 1) // it.group if window > MOST else 0
    it.rest = (window - 1) % it.group
    it.inputs = <int> len(inputs)
    it.fields = fields_of(kind)
    return run_windows(fill, &it, inputs, cursor, out)


def move_count(a, window, offset, min_count, cursor, out):
    return run(COUNT, (a,), window, offset, min_count, 0, cursor, out)


def move_sum(a, window, offset, min_count, cursor, out):
    return run(SUM, (a,), window, offset, min_count, 0, cursor, out)


def move_mean(a, window, offset, min_count, cursor, out):
    return run(MEAN, (a,), window, offset, min_count, 0, cursor, out)


def move_prod(a, window, offset, min_count, cursor, out):
    return run(PROD, (a,), window, offset, min_count, 0, cursor, out)


def move_min(a, window, offset, min_count, cursor, out):
    return run(MIN, (a,), window, offset, min_count, 0, cursor, out)


def move_max(a, window, offset, min_count, cursor, out):
    return run(MAX, (a,), window, offset, min_count, 0, cursor, out)


def move_argmin(a, window, offset, min_count, cursor, out):
    return run(ARGMIN, (a,), window, offset, min_count, 0, cursor, out)


def move_argmax(a, window, offset, min_count, cursor, out):
    return run(ARGMAX, (a,), window, offset, min_count, 0, cursor, out)


def move_var(a, window, offset, min_count, ddof, cursor, out):
    return run(VAR, (a,), window, offset, min_count, ddof, cursor, out)


def move_std(a, window, offset, min_count, ddof, cursor, out):
    return run(STD, (a,), window, offset, min_count, ddof, cursor, out)


def move_skew(a, window, offset, min_count, cursor, out):
    return run(SKEW, (a,), window, offset, min_count, 0, cursor, out)


def move_kurt(a, window, offset, min_count, cursor, out):
    return run(KURT, (a,), window, offset, min_count, 0, cursor, out)


def move_cov(a, b, window, offset, min_count, ddof, cursor, out):
    return run(COV, (a, b), window, offset, min_count, ddof, cursor, out)


def move_corr(a, b, window, offset, min_count, cursor, out):
    return run(CORR, (a, b), window, offset, min_count, 0, cursor, out)
