# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What is known of a run of elements, how two runs are merged, and the value of a window."""
from libc.math cimport INFINITY, NAN, sqrt

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
    """The last of the least; what is missing is at -1, before all others."""
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


cdef inline void merge_var(
        Py_ssize_t n, double na, double nb, row ma, row sa, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])


cdef inline void merge_var_counted(
        Py_ssize_t n, row na, row nb, row ma, row sa, row mb, row sb, row m, row s) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na[j], share(nb[j], na[j] + nb[j]), &m[j], &s[j])


cdef inline void merge_skew(
        Py_ssize_t n, double na, double nb, row ma, row sa, row ta, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na, u, v)


cdef inline void merge_skew_counted(
        Py_ssize_t n, row na, row nb, row ma, row sa, row ta, row mb, row sb, row tb,
        row m, row s, row t) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u, v
    for j in range(n):
        u = share(nb[j], na[j] + nb[j])
        v = share(na[j], na[j] + nb[j])
        moments2(ma[j], sa[j], mb[j], sb[j], na[j], u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na[j], u, v)


cdef inline void merge_kurt(
        Py_ssize_t n, double na, double nb, row ma, row sa, row ta, row fa, row mb, row sb, row tb, row fb,
        row m, row s, row t, row f) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    cdef double v = na / (na + nb)
    for j in range(n):
        moments2(ma[j], sa[j], mb[j], sb[j], na, u, &m[j], &s[j])
        t[j] = moment3(ma[j], sa[j], ta[j], mb[j], sb[j], tb[j], na, u, v)
        f[j] = moment4(ma[j], sa[j], ta[j], fa[j], mb[j], sb[j], tb[j], fb[j], na, u, v)


cdef inline void merge_kurt_counted(
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


cdef inline void merge_cov(
        Py_ssize_t n, double na, double nb, row xa, row ya, row ca, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    cdef double u = nb / (na + nb)
    for j in range(n):
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na, u, &x[j], &y[j], &c[j])


cdef inline void merge_cov_counted(
        Py_ssize_t n, row na, row nb, row xa, row ya, row ca, row xb, row yb, row cb,
        row x, row y, row c) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        comoment(xa[j], ya[j], ca[j], xb[j], yb[j], cb[j], na[j], share(nb[j], na[j] + nb[j]), &x[j], &y[j], &c[j])


cdef inline void merge_corr(
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


cdef inline void merge_corr_counted(
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


cdef inline void finish(Window *it, Py_ssize_t n, Run *known, double *full, double *last, double *to) noexcept nogil:
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
