# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What is known of a run of elements, how two runs are merged, and the value of a window."""
from libc.math cimport INFINITY, NAN, ldexp, sqrt
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #if defined(_MSC_VER) && !defined(__clang__)
    typedef double *__restrict allcores_row;
    #else
    typedef double *__restrict__ allcores_row;
    #endif
    """
    # A row shares no memory with others. gcc does not check that at run time where a loop has more than a few of them.
    ctypedef double *row "allcores_row"

cdef enum:
    FIELDS = 5
    INPUTS = 2
    MOST = 64               # the largest window that is a group of its own


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


# Third and fourth moments of numbers below 1e-80 or above 1e77 are out of float64's range. Windows whose sum of squares
# is beyond these bounds are computed with elements multiplied by a power of two, which is exact. Each is computed at one
# scale, which its own sum of squares decides; where that is subnormal or overflows there is no result.
# In correlations each series has a scale of its own, with a larger factor, so that every sum of squares is in range at one.

cdef enum Scale:
    PLAIN
    TINY
    HUGE
    SCALES


cdef inline double factor(Kind kind, Scale scale) noexcept nogil:
    cdef int digits = 600 if kind == CORR else 350
    return ldexp(1, digits if scale == TINY else -digits if scale == HUGE else 0)


cdef inline bint belongs(double square, Scale scale) noexcept nogil:
    """Whether the sum of squares of a series in a correlation belongs to this scale. A zero is that of a constant, or underflow."""
    if scale == TINY:
        return square < ldexp(1, -960 + 1200)
    if scale == HUGE:
        return (square > ldexp(1, 1020 - 1200)) & (square < INFINITY)
    return (square >= ldexp(1, -960)) & (square <= ldexp(1, 1020))


cdef inline int scale_of(double square) noexcept nogil:
    """At which scale a window is computed, by its sum of squares. This is NaN where a difference overflows."""
    return TINY if square < ldexp(1, -960) else PLAIN if square <= ldexp(1, 1020) else HUGE


cdef inline double least_square(Scale scale) noexcept nogil:
    return ldexp(1, -1022 + 700 if scale == TINY else 340 - 700 if scale == HUGE else -340)


cdef inline double most_square(Scale scale) noexcept nogil:
    return ldexp(1, -340 + 700 if scale == TINY else 1020 - 700 if scale == HUGE else 340)


cdef struct Window:
    Kind kind
    Py_ssize_t window, offset, min_count, ddof
    Py_ssize_t group        # elements that are loaded together: L, or a multiple of it
    Py_ssize_t period       # L: scans begin anew after so many
    Py_ssize_t between      # q: whole groups between start and end, or q - 1
    Py_ssize_t rest         # window - 1 = q * L + rest
    int inputs
    int fields              # how many numbers are known of a run of elements
    int pivots              # of moments, as many as there are inputs; else 0
    Scale scale[INPUTS]     # of skewness and kurtosis, and of each series that is correlated
    int64_t met             # a bit for each scale that a window needs; those of the second input are SCALES bits further on


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

cdef inline void merge_sum(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = a[j] + b[j]


cdef inline void merge_prod(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = a[j] * b[j]


cdef inline void merge_min(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = b[j] if b[j] < a[j] else a[j]


cdef inline void merge_max(Py_ssize_t n, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        to[j] = b[j] if b[j] > a[j] else a[j]


cdef inline void merge_argmin(Py_ssize_t n, row a, row at, row b, row bt, row to, row tot) noexcept nogil:
    """The last one of the least elements, and its position. A missing element is at -1, before all others."""
    cdef Py_ssize_t j
    cdef bint take
    for j in range(n):
        take = (b[j] < a[j]) | ((b[j] == a[j]) & (bt[j] > at[j]))
        to[j] = b[j] if take else a[j]
        tot[j] = bt[j] if take else at[j]


cdef inline void merge_argmax(Py_ssize_t n, row a, row at, row b, row bt, row to, row tot) noexcept nogil:
    cdef Py_ssize_t j
    cdef bint take
    for j in range(n):
        take = (b[j] > a[j]) | ((b[j] == a[j]) & (bt[j] > at[j]))
        to[j] = b[j] if take else a[j]
        tot[j] = bt[j] if take else at[j]


# Moments of na and nb elements (Chan, Golub and LeVeque 1983; third and fourth: Pebay 2008). u and v are the shares of
# b and a. The mean of a run is kept relative to its pivot, one of its elements (p, q): what lies outside of a window has
# no part in it. d is how far apart the means are; an empty run has no mean, and changes nothing.

cdef inline double apart(double pa, double ma, double pb, double mb) noexcept nogil:
    return (pb - pa) + (mb - ma)


cdef inline double share(double part, double whole) noexcept nogil:
    return part / (whole if whole > 1 else 1)


cdef inline double square(double d, double sa, double sb, double na, double u) noexcept nogil:
    return (sa + sb) + (d * d) * (na * u)


cdef inline double product(double dx, double dy, double ca, double cb, double na, double u) noexcept nogil:
    return (ca + cb) + (dx * dy) * (na * u)


cdef inline double cube(
        double d, double sa, double ta, double sb, double tb, double na, double u, double v) noexcept nogil:
    return (ta + tb) + d * ((d * d) * (na * u * (v - u)) + 3 * (v * sb - u * sa))


cdef inline double fourth(
        double d, double sa, double ta, double fa, double sb, double tb, double fb,
        double na, double u, double v) noexcept nogil:
    cdef double d2 = d * d
    return ((fa + fb) + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (v * v * sb + u * u * sa))
            + 4 * d * (v * tb - u * ta))


cdef inline void merge_var(
        Py_ssize_t n, double na, double nb, row pa, row ma, row sa, row pb, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = nb / (na + nb)
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        m[j] = ma[j] + d * u
        s[j] = square(d, sa[j], sb[j], na, u)


cdef inline void merge_var_counted(
        Py_ssize_t n, row na, row nb, row pa, row ma, row sa, row pb, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u, k, l
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        u = share(nb[j], na[j] + nb[j])
        d = d if na[j] * u > 0 else 0
        k = ma[j]
        l = mb[j]
        m[j] = (k if na[j] > 0 else l) + d * u
        s[j] = square(d, sa[j], sb[j], na[j], u)


cdef inline void merge_skew(
        Py_ssize_t n, double na, double nb, row pa, row ma, row sa, row ta, row pb, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        m[j] = ma[j] + d * u
        s[j] = square(d, sa[j], sb[j], na, u)
        t[j] = cube(d, sa[j], ta[j], sb[j], tb[j], na, u, v)


cdef inline void merge_skew_counted(
        Py_ssize_t n, row na, row nb, row pa, row ma, row sa, row ta, row pb, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u, v, k, l
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        u = share(nb[j], na[j] + nb[j])
        d = d if na[j] * u > 0 else 0
        v = share(na[j], na[j] + nb[j])
        k = ma[j]
        l = mb[j]
        m[j] = (k if na[j] > 0 else l) + d * u
        s[j] = square(d, sa[j], sb[j], na[j], u)
        t[j] = cube(d, sa[j], ta[j], sb[j], tb[j], na[j], u, v)


cdef inline void merge_kurt(
        Py_ssize_t n, double na, double nb, row pa, row ma, row sa, row ta, row fa, row pb, row mb, row sb, row tb, row fb,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        m[j] = ma[j] + d * u
        s[j] = square(d, sa[j], sb[j], na, u)
        t[j] = cube(d, sa[j], ta[j], sb[j], tb[j], na, u, v)
        f[j] = fourth(d, sa[j], ta[j], fa[j], sb[j], tb[j], fb[j], na, u, v)


cdef inline void merge_kurt_counted(
        Py_ssize_t n, row na, row nb, row pa, row ma, row sa, row ta, row fa, row pb, row mb, row sb, row tb, row fb,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u, v, k, l
    for j in range(n):
        d = apart(pa[j], ma[j], pb[j], mb[j])
        u = share(nb[j], na[j] + nb[j])
        d = d if na[j] * u > 0 else 0
        v = share(na[j], na[j] + nb[j])
        k = ma[j]
        l = mb[j]
        m[j] = (k if na[j] > 0 else l) + d * u
        s[j] = square(d, sa[j], sb[j], na[j], u)
        t[j] = cube(d, sa[j], ta[j], sb[j], tb[j], na[j], u, v)
        f[j] = fourth(d, sa[j], ta[j], fa[j], sb[j], tb[j], fb[j], na[j], u, v)


cdef inline void merge_cov(
        Py_ssize_t n, double na, double nb, row pa, row qa, row xa, row ya, row ca, row pb, row qb, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy
    cdef double u = nb / (na + nb)
    for j in range(n):
        dx = apart(pa[j], xa[j], pb[j], xb[j])
        dy = apart(qa[j], ya[j], qb[j], yb[j])
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = product(dx, dy, ca[j], cb[j], na, u)


cdef inline void merge_cov_counted(
        Py_ssize_t n, row na, row nb, row pa, row qa, row xa, row ya, row ca, row pb, row qb, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy, u, k, l
    for j in range(n):
        u = share(nb[j], na[j] + nb[j])
        dx = apart(pa[j], xa[j], pb[j], xb[j])
        dy = apart(qa[j], ya[j], qb[j], yb[j])
        dx = dx if na[j] * u > 0 else 0
        dy = dy if na[j] * u > 0 else 0
        k = xa[j]
        l = xb[j]
        x[j] = (k if na[j] > 0 else l) + dx * u
        k = ya[j]
        l = yb[j]
        y[j] = (k if na[j] > 0 else l) + dy * u
        c[j] = product(dx, dy, ca[j], cb[j], na[j], u)


cdef inline void merge_corr(
        Py_ssize_t n, double na, double nb, row pa, row qa, row xa, row ya, row ca, row va, row wa,
        row pb, row qb, row xb, row yb, row cb, row vb, row wb, row x, row y, row c, row v, row w) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy
    cdef double u = nb / (na + nb)
    for j in range(n):
        dx = apart(pa[j], xa[j], pb[j], xb[j])
        dy = apart(qa[j], ya[j], qb[j], yb[j])
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = product(dx, dy, ca[j], cb[j], na, u)
        v[j] = square(dx, va[j], vb[j], na, u)
        w[j] = square(dy, wa[j], wb[j], na, u)


cdef inline void merge_corr_counted(
        Py_ssize_t n, row na, row nb, row pa, row qa, row xa, row ya, row ca, row va, row wa,
        row pb, row qb, row xb, row yb, row cb, row vb, row wb, row x, row y, row c, row v, row w) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy, u, k, l
    for j in range(n):
        u = share(nb[j], na[j] + nb[j])
        dx = apart(pa[j], xa[j], pb[j], xb[j])
        dy = apart(qa[j], ya[j], qb[j], yb[j])
        dx = dx if na[j] * u > 0 else 0
        dy = dy if na[j] * u > 0 else 0
        k = xa[j]
        l = xb[j]
        x[j] = (k if na[j] > 0 else l) + dx * u
        k = ya[j]
        l = yb[j]
        y[j] = (k if na[j] > 0 else l) + dy * u
        c[j] = product(dx, dy, ca[j], cb[j], na[j], u)
        v[j] = square(dx, va[j], vb[j], na[j], u)
        w[j] = square(dy, wa[j], wb[j], na[j], u)


# An element e joins runs of na elements; `has` is 0 where it is missing. It becomes the pivot of a run that was empty.

cdef inline double cube_added(double d, double sa, double ta, double na, double u, double v) noexcept nogil:
    return ta + d * ((d * d) * (na * u * (v - u)) - 3 * (u * sa))


cdef inline double fourth_added(
        double d, double sa, double ta, double fa, double na, double u, double v) noexcept nogil:
    cdef double d2 = d * d
    return (fa + d2 * (d2 * (na * u * (v * v - u * v + u * u)) + 6 * (u * u * sa))) - 4 * d * (u * ta)


cdef inline void add_var(Py_ssize_t n, double na, row e, row p, row ma, row sa, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = 1 / (na + 1)
    for j in range(n):
        d = (e[j] - p[j]) - ma[j]
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na * u)


cdef inline void add_var_counted(
        Py_ssize_t n, row na, row has, row e, row p, row ma, row sa, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u
    for j in range(n):
        p[j] = p[j] if na[j] > 0 else e[j]
        d = (e[j] - p[j]) - ma[j]
        d = d if has[j] > 0 else 0
        u = share(has[j], na[j] + has[j])
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na[j] * u)


cdef inline void add_skew(
        Py_ssize_t n, double na, row e, row p, row ma, row sa, row ta, row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = 1 / (na + 1)
    cdef double v = na / (na + 1)
    for j in range(n):
        d = (e[j] - p[j]) - ma[j]
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na * u)
        t[j] = cube_added(d, sa[j], ta[j], na, u, v)


cdef inline void add_skew_counted(
        Py_ssize_t n, row na, row has, row e, row p, row ma, row sa, row ta, row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u, v
    for j in range(n):
        p[j] = p[j] if na[j] > 0 else e[j]
        d = (e[j] - p[j]) - ma[j]
        d = d if has[j] > 0 else 0
        u = share(has[j], na[j] + has[j])
        v = share(na[j], na[j] + has[j])
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na[j] * u)
        t[j] = cube_added(d, sa[j], ta[j], na[j], u, v)


cdef inline void add_kurt(
        Py_ssize_t n, double na, row e, row p, row ma, row sa, row ta, row fa, row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d
    cdef double u = 1 / (na + 1)
    cdef double v = na / (na + 1)
    for j in range(n):
        d = (e[j] - p[j]) - ma[j]
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na * u)
        t[j] = cube_added(d, sa[j], ta[j], na, u, v)
        f[j] = fourth_added(d, sa[j], ta[j], fa[j], na, u, v)


cdef inline void add_kurt_counted(
        Py_ssize_t n, row na, row has, row e, row p, row ma, row sa, row ta, row fa,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double d, u, v
    for j in range(n):
        p[j] = p[j] if na[j] > 0 else e[j]
        d = (e[j] - p[j]) - ma[j]
        d = d if has[j] > 0 else 0
        u = share(has[j], na[j] + has[j])
        v = share(na[j], na[j] + has[j])
        m[j] = ma[j] + d * u
        s[j] = sa[j] + (d * d) * (na[j] * u)
        t[j] = cube_added(d, sa[j], ta[j], na[j], u, v)
        f[j] = fourth_added(d, sa[j], ta[j], fa[j], na[j], u, v)


cdef inline void add_cov(
        Py_ssize_t n, double na, row e, row g, row p, row q, row xa, row ya, row ca, row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy
    cdef double u = 1 / (na + 1)
    for j in range(n):
        dx = (e[j] - p[j]) - xa[j]
        dy = (g[j] - q[j]) - ya[j]
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = ca[j] + (dx * dy) * (na * u)


cdef inline void add_cov_counted(
        Py_ssize_t n, row na, row has, row e, row g, row p, row q, row xa, row ya, row ca,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy, u
    for j in range(n):
        dx = p[j]
        dy = q[j]
        dx = dx if na[j] > 0 else e[j]
        dy = dy if na[j] > 0 else g[j]
        p[j] = dx
        q[j] = dy
        dx = (e[j] - dx) - xa[j]
        dy = (g[j] - dy) - ya[j]
        dx = dx if has[j] > 0 else 0
        dy = dy if has[j] > 0 else 0
        u = share(has[j], na[j] + has[j])
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = ca[j] + (dx * dy) * (na[j] * u)


cdef inline void add_corr(
        Py_ssize_t n, double na, row e, row g, row p, row q, row xa, row ya, row ca, row va, row wa,
        row x, row y, row c, row v, row w) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy
    cdef double u = 1 / (na + 1)
    for j in range(n):
        dx = (e[j] - p[j]) - xa[j]
        dy = (g[j] - q[j]) - ya[j]
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = ca[j] + (dx * dy) * (na * u)
        v[j] = va[j] + (dx * dx) * (na * u)
        w[j] = wa[j] + (dy * dy) * (na * u)


cdef inline void add_corr_counted(
        Py_ssize_t n, row na, row has, row e, row g, row p, row q, row xa, row ya, row ca, row va, row wa,
        row x, row y, row c, row v, row w) noexcept nogil:
    cdef Py_ssize_t j
    cdef double dx, dy, u
    for j in range(n):
        dx = p[j]
        dy = q[j]
        dx = dx if na[j] > 0 else e[j]
        dy = dy if na[j] > 0 else g[j]
        p[j] = dx
        q[j] = dy
        dx = (e[j] - dx) - xa[j]
        dy = (g[j] - dy) - ya[j]
        dx = dx if has[j] > 0 else 0
        dy = dy if has[j] > 0 else 0
        u = share(has[j], na[j] + has[j])
        x[j] = xa[j] + dx * u
        y[j] = ya[j] + dy * u
        c[j] = ca[j] + (dx * dy) * (na[j] * u)
        v[j] = va[j] + (dx * dx) * (na[j] * u)
        w[j] = wa[j] + (dy * dy) * (na[j] * u)


cdef struct Run:            # what is known of n runs of elements, side by side
    double *field[FIELDS]
    double *pivot[INPUTS]   # of moments: the elements that means are relative to
    double *count           # elements of each run; NULL: each has `number`, and none is missing
    double number


cdef inline void merge(Kind kind, Py_ssize_t n, Run *a, Run *b, Run *to) noexcept nogil:
    """Merge a and b, which follows a, to `to`, which shares no memory with them. Its pointers have to be set; its number and
    its pivots are left alone (they are a's, or b's where a is empty)."""
    cdef double **x = a.field
    cdef double **y = b.field
    cdef double **z = to.field
    cdef double **p = a.pivot
    cdef double **q = b.pivot
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
            merge_var_counted(n, a.count, b.count, p[0], x[0], x[1], q[0], y[0], y[1], z[0], z[1])
        else:
            merge_var(n, a.number, b.number, p[0], x[0], x[1], q[0], y[0], y[1], z[0], z[1])
    elif kind == SKEW:
        if counted:
            merge_skew_counted(
                n, a.count, b.count, p[0], x[0], x[1], x[2], q[0], y[0], y[1], y[2], z[0], z[1], z[2])
        else:
            merge_skew(n, a.number, b.number, p[0], x[0], x[1], x[2], q[0], y[0], y[1], y[2], z[0], z[1], z[2])
    elif kind == KURT:
        if counted:
            merge_kurt_counted(
                n, a.count, b.count, p[0], x[0], x[1], x[2], x[3], q[0], y[0], y[1], y[2], y[3],
                z[0], z[1], z[2], z[3])
        else:
            merge_kurt(
                n, a.number, b.number, p[0], x[0], x[1], x[2], x[3], q[0], y[0], y[1], y[2], y[3],
                z[0], z[1], z[2], z[3])
    elif kind == COV:
        if counted:
            merge_cov_counted(
                n, a.count, b.count, p[0], p[1], x[0], x[1], x[2], q[0], q[1], y[0], y[1], y[2], z[0], z[1], z[2])
        else:
            merge_cov(
                n, a.number, b.number, p[0], p[1], x[0], x[1], x[2], q[0], q[1], y[0], y[1], y[2], z[0], z[1], z[2])
    elif kind == CORR:
        if counted:
            merge_corr_counted(
                n, a.count, b.count, p[0], p[1], x[0], x[1], x[2], x[3], x[4], q[0], q[1], y[0], y[1], y[2], y[3], y[4],
                z[0], z[1], z[2], z[3], z[4])
        else:
            merge_corr(
                n, a.number, b.number, p[0], p[1], x[0], x[1], x[2], x[3], x[4], q[0], q[1], y[0], y[1], y[2], y[3], y[4],
                z[0], z[1], z[2], z[3], z[4])


cdef inline void add(Kind kind, Py_ssize_t n, Run *a, Run *element, Run *to) noexcept nogil:
    """Add to runs of moments a an element each, to `to`. The pivots of a become those of `to`, in place."""
    cdef double **e = element.field
    cdef double **p = a.pivot
    cdef double **x = a.field
    cdef double **z = to.field
    cdef bint counted = a.count != NULL
    to.number = a.number + 1
    if counted:
        merge_sum(n, a.count, element.count, to.count)
    if kind == VAR or kind == STD:
        if counted:
            add_var_counted(n, a.count, element.count, e[0], p[0], x[0], x[1], z[0], z[1])
        else:
            add_var(n, a.number, e[0], p[0], x[0], x[1], z[0], z[1])
    elif kind == SKEW:
        if counted:
            add_skew_counted(n, a.count, element.count, e[0], p[0], x[0], x[1], x[2], z[0], z[1], z[2])
        else:
            add_skew(n, a.number, e[0], p[0], x[0], x[1], x[2], z[0], z[1], z[2])
    elif kind == KURT:
        if counted:
            add_kurt_counted(n, a.count, element.count, e[0], p[0], x[0], x[1], x[2], x[3], z[0], z[1], z[2], z[3])
        else:
            add_kurt(n, a.number, e[0], p[0], x[0], x[1], x[2], x[3], z[0], z[1], z[2], z[3])
    elif kind == COV:
        if counted:
            add_cov_counted(n, a.count, element.count, e[0], e[1], p[0], p[1], x[0], x[1], x[2], z[0], z[1], z[2])
        else:
            add_cov(n, a.number, e[0], e[1], p[0], p[1], x[0], x[1], x[2], z[0], z[1], z[2])
    elif kind == CORR:
        if counted:
            add_corr_counted(
                n, a.count, element.count, e[0], e[1], p[0], p[1], x[0], x[1], x[2], x[3], x[4],
                z[0], z[1], z[2], z[3], z[4])
        else:
            add_corr(
                n, a.number, e[0], e[1], p[0], p[1], x[0], x[1], x[2], x[3], x[4], z[0], z[1], z[2], z[3], z[4])


# ---- from what is known of a window to its value

cdef inline double within(double v) noexcept nogil:
    """A correlation between -1 and 1, where rounding has taken it beyond."""
    v = 1 if v > 1 else v
    return -1 if v < -1 else v


cdef inline void finish_scaled(Window *it, Py_ssize_t n, Run *known, const double *c, double *to) noexcept nogil:
    """Skewness or kurtosis of the windows that belong to this scale. Others get infinity, which no window has as its result."""
    cdef Py_ssize_t j
    cdef const double *m2 = known.field[1]
    cdef const double *m3 = known.field[2]
    cdef const double *m4 = known.field[3]
    cdef double least = it.min_count
    cdef double low = least_square(it.scale[0])
    cdef double high = most_square(it.scale[0])
    cdef double other = NAN if it.scale[0] == PLAIN else INFINITY
    cdef double v, k, s
    cdef int64_t tiny = 0, huge = 0
    if it.kind == SKEW:
        least = 3 if least < 3 else least
        for j in range(n):
            k = c[j]
            s = m2[j] / k
            v = (sqrt(k * (k - 1) if k >= least else 1) / (k - 2)) * ((m3[j] / k) / (s * sqrt(s)))
            to[j] = v if (k >= least) & (m2[j] >= low) & (m2[j] <= high) else other
            tiny |= (m2[j] > 0) & (m2[j] < low)
            huge |= (m2[j] > high) & (m2[j] < INFINITY)
    else:
        least = 4 if least < 4 else least
        for j in range(n):
            k = c[j]
            s = m2[j] / k
            v = ((k * k - 1) * ((m4[j] / k) / (s * s)) - 3 * (k - 1) * (k - 1)) / ((k - 2) * (k - 3))
            to[j] = v if (k >= least) & (m2[j] >= low) & (m2[j] <= high) else other
            tiny |= (m2[j] > 0) & (m2[j] < low)
            huge |= (m2[j] > high) & (m2[j] < INFINITY)
    it.met |= tiny << <int> TINY | huge << <int> HUGE


cdef inline void finish_corr(Window *it, Py_ssize_t n, Run *known, const double *c, double *to) noexcept nogil:
    """Correlations of the windows that belong to these scales. Others get infinity."""
    cdef Py_ssize_t j
    cdef const double *z = known.field[2]
    cdef const double *p = known.field[3]
    cdef const double *q = known.field[4]
    cdef double least = it.min_count
    cdef Scale first = it.scale[0], second = it.scale[1]
    cdef bint plain = first == PLAIN and second == PLAIN, fits
    cdef double v, other = NAN if plain else INFINITY
    cdef int64_t beyond = 0
    if plain:
        for j in range(n):
            v = within(z[j] / (sqrt(p[j]) * sqrt(q[j])))
            fits = belongs(p[j], PLAIN) & belongs(q[j], PLAIN)
            to[j] = v if (c[j] >= least) & fits else other
            beyond |= not fits
        if beyond:
            for j in range(n):
                if c[j] >= least:
                    it.met |= <int64_t> 1 << (scale_of(q[j]) * <int> SCALES + scale_of(p[j]))
        return
    for j in range(n):
        v = within(z[j] / (sqrt(p[j]) * sqrt(q[j])))
        to[j] = v if c[j] >= least and belongs(p[j], first) and belongs(q[j], second) else other


cdef inline void finish(Window *it, Py_ssize_t n, Run *known, double *full, double *last, double *to) noexcept nogil:
    """Write the results of n windows. `full` holds counts where `known` has none, `last` the positions of the ends."""
    cdef Py_ssize_t j
    cdef const double *c = known.count if known.count != NULL else full
    cdef const double *x = known.field[0]
    cdef const double *y = known.field[1]
    cdef const double *z = known.field[2]
    cdef double least = it.min_count
    cdef double ddof = it.ddof
    cdef double v
    cdef Kind kind = it.kind
    if kind in (VAR, STD, COV) and least < ddof + 1:
        least = ddof + 1
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
    elif kind == SKEW or kind == KURT:
        finish_scaled(it, n, known, c, to)
    elif kind == COV:
        for j in range(n):
            v = (z[j] + ((x[j] - x[j]) + (y[j] - y[j]))) / (c[j] - ddof)
            to[j] = v if c[j] >= least else NAN
    elif kind == CORR:
        finish_corr(it, n, known, c, to)


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
