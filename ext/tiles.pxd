# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Suffixes and prefixes of groups side by side, and the windows made of them, scanned in registers.

A tile holds groups as columns, row p their elements p: columns of an array as they are, or groups of lines, transposed.
Scans go up or down the rows, WIDE columns at a time: four chains of operations, which hide each other's latency. The width
of a tile is a multiple of WIDE, and no element is missing.
"""
from f64x4 cimport (
    add, anything, broadcast, div, f64x4, greater, lesser, load, missing, mul, root, store, sub, zeros)
from groups cimport WIDE
from merges cimport MAX, MEAN, MIN, MOST, PROD, STD, SUM, VAR, Kind

cdef struct Weights:        # of merged moments: u = nb / (na + nb), and na * u
    double scan[MOST]       # p elements merged with one more
    double scan_n[MOST]
    double head[MOST]       # the suffix with which a window starts that ends in row p, merged with whole groups
    double head_n[MOST]
    double join[MOST]       # both merged with the prefix
    double join_n[MOST]


cdef struct Before:         # what windows that end in a group consist of before it
    double *early[2]        # row 0 of the suffixes of those that end before row `rest`, in the column of their end
    double *late[2]         # row 0 of the suffixes of the other windows
    double *between[2]      # totals of the whole groups between; NULL where there are none, because a window is one group
    double *fewer[2]        # totals of one group less, for the other windows
    const double *early_pivot       # of moments: the elements that the means of each are relative to
    const double *late_pivot
    const double *between_pivot
    const double *fewer_pivot
    Py_ssize_t step         # how far apart rows of suffixes are
    Py_ssize_t rest


cdef inline void weigh(Weights *it, Py_ssize_t rows, Py_ssize_t rest, Py_ssize_t between) noexcept nogil:
    cdef Py_ssize_t p
    cdef double a, b
    for p in range(rows):
        it.scan[p] = 1.0 / <double> (p + 1)
        it.scan_n[p] = p * it.scan[p]
        a = rows - (p + rows - rest) % rows
        if between:
            b = (between if p < rest else between - 1) * rows
            it.head[p] = b / (a + b)
            it.head_n[p] = a * it.head[p]
            a += b
        b = p + 1
        it.join[p] = b / (a + b)
        it.join_n[p] = a * it.join[p]


cdef inline f64x4 merged4(Kind kind, f64x4 a, f64x4 b) noexcept nogil:
    if kind == PROD:
        return mul(a, b)
    if kind == MIN:
        return lesser(a, b)
    if kind == MAX:
        return greater(a, b)
    return add(a, b)


# One step of a scan, of four columns. The scans call it four times: gcc does not unroll a loop of this size.

cdef inline void back_step(Kind kind, const double *x, double *to, f64x4 *known, f64x4 *found) noexcept nogil:
    cdef f64x4 v = load(x)
    if kind == MIN or kind == MAX:
        found[0] = missing(found[0], v)
    known[0] = merged4(kind, v, known[0])
    store(to, known[0])


cdef inline void forth_step(
        Kind kind, bint between, bint first, bint has_suffix, const double *x, const double *suffix, const double *middle,
        f64x4 size, double *to, f64x4 *known) noexcept nogil:
    cdef f64x4 v = load(x)
    if first:                   # adding 0.0 makes sure that no sum is -0.0
        known[0] = add(v, zeros()) if kind == SUM or kind == MEAN else v
    else:
        known[0] = merged4(kind, known[0], v)
    v = known[0]
    if between:
        v = merged4(kind, merged4(kind, load(suffix), load(middle)), v)
    elif has_suffix:
        v = merged4(kind, load(suffix), v)
    store(to, div(v, size) if kind == MEAN else v)


cdef inline void add_elements(const double *x, f64x4 pivot, f64x4 u, f64x4 nu, f64x4 *mean, f64x4 *square) noexcept nogil:
    """Merge one more element into means and sums of squares."""
    cdef f64x4 d = sub(sub(load(x), pivot), mean[0])
    mean[0] = add(mean[0], mul(d, u))
    square[0] = add(square[0], mul(mul(d, d), nu))


cdef inline void back_step_two(
        const double *x, f64x4 pivot, f64x4 u, f64x4 nu, double *to, double *squares, f64x4 *mean, f64x4 *square) noexcept nogil:
    add_elements(x, pivot, u, nu, mean, square)
    store(to, mean[0])
    store(squares, square[0])


cdef inline void merge_two(f64x4 *mean, f64x4 *square, f64x4 by, f64x4 m, f64x4 s, f64x4 u, f64x4 nu) noexcept nogil:
    """Merge m and s into the mean and the sum of squares before them; `by` is how far their pivot is above that of the mean."""
    cdef f64x4 d = add(by, sub(m, mean[0]))
    mean[0] = add(mean[0], mul(d, u))
    square[0] = add(add(square[0], s), mul(mul(d, d), nu))


cdef inline void forth_step_two(
        Kind kind, bint between, bint first, bint has_suffix, const double *x, const double *pivot, const Weights *weights,
        Py_ssize_t p, const double *before, const double *suffix, const double *squares, const double *central,
        const double *middle, const double *middles, f64x4 degrees, double *to, f64x4 *mean, f64x4 *square) noexcept nogil:
    cdef f64x4 own = load(pivot)
    cdef f64x4 m, s, start
    if first:
        mean[0] = sub(load(x), own)
        square[0] = zeros()
    else:
        add_elements(x, own, broadcast(weights.scan[p]), broadcast(weights.scan_n[p]), mean, square)
    m = mean[0]
    s = square[0]
    if between or has_suffix:
        m = load(suffix)
        s = load(squares)
        start = load(before)
        if between:
            merge_two(&m, &s, sub(load(central), start), load(middle), load(middles), broadcast(weights.head[p]),
                      broadcast(weights.head_n[p]))
        merge_two(&m, &s, sub(own, start), mean[0], square[0], broadcast(weights.join[p]), broadcast(weights.join_n[p]))
    # An infinity makes the mean infinite or NaN; sums of squares that overflow without one are infinite.
    s = div(add(s, sub(m, m)), degrees)
    store(to, root(s) if kind == STD else s)


cdef inline bint back_one(
        Kind kind, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width, double *to,
        Py_ssize_t to_step) noexcept nogil:
    """Scan suffixes: row p gets what is known of elements p.. of each column. Returns False where an element is missing."""
    cdef f64x4 known[4]
    cdef f64x4 found = zeros()
    cdef const double *v
    cdef double *there
    cdef Py_ssize_t tile, _
    cdef int k
    for tile in range(width // WIDE):
        v = x + (rows - 1) * step + tile * WIDE
        there = to + (rows - 1) * to_step + tile * WIDE
        for k in range(4):
            known[k] = load(v + 4 * k)
            found = missing(found, known[k])
            store(there + 4 * k, known[k])
        for _ in range(rows - 1):
            v -= step
            there -= to_step
            back_step(kind, v, there, &known[0], &found)
            back_step(kind, v + 4, there + 4, &known[1], &found)
            back_step(kind, v + 8, there + 8, &known[2], &found)
            back_step(kind, v + 12, there + 12, &known[3], &found)
        for k in range(4):
            found = missing(found, known[k])
    return not anything(found)


cdef inline void forth_one(
        Kind kind, bint between, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width, Before *before,
        double window, double *to, Py_ssize_t to_step) noexcept nogil:
    """Compute the windows that end in these rows."""
    cdef f64x4 known[4]
    cdef f64x4 size = broadcast(window)
    cdef const double *suffix
    cdef const double *middle
    cdef const double *v
    cdef double *there
    cdef Py_ssize_t tile, p
    cdef bint more
    for tile in range(width // WIDE):
        suffix = before.early[0] + tile * WIDE
        middle = before.between[0] + tile * WIDE
        v = x + tile * WIDE
        there = to + tile * WIDE
        for p in range(rows):
            if p == before.rest:
                suffix = before.late[0] + tile * WIDE
                middle = before.fewer[0] + tile * WIDE
            more = p < before.rest
            forth_step(kind, between, p == 0, more, v, suffix, middle, size, there, &known[0])
            forth_step(kind, between, p == 0, more, v + 4, suffix + 4, middle + 4, size, there + 4, &known[1])
            forth_step(kind, between, p == 0, more, v + 8, suffix + 8, middle + 8, size, there + 8, &known[2])
            forth_step(kind, between, p == 0, more, v + 12, suffix + 12, middle + 12, size, there + 12, &known[3])
            suffix += before.step
            v += step
            there += to_step


cdef inline bint back_two(
        const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width, const Weights *weights,
        double *to, double *squares, Py_ssize_t to_step) noexcept nogil:
    """Scan suffixes of means and sums of squares, relative to the last element of each column."""
    cdef f64x4 mean[4]
    cdef f64x4 square[4]
    cdef f64x4 pivot[4]
    cdef f64x4 found = zeros()
    cdef f64x4 u, nu
    cdef const double *v
    cdef double *there
    cdef double *other
    cdef Py_ssize_t tile, p
    cdef int k
    for tile in range(width // WIDE):
        v = x + (rows - 1) * step + tile * WIDE
        there = to + (rows - 1) * to_step + tile * WIDE
        other = squares + (rows - 1) * to_step + tile * WIDE
        for k in range(4):
            pivot[k] = load(v + 4 * k)
            mean[k] = sub(pivot[k], pivot[k])
            square[k] = zeros()
            store(there + 4 * k, mean[k])
            store(other + 4 * k, square[k])
        for p in range(1, rows):
            v -= step
            there -= to_step
            other -= to_step
            u = broadcast(weights.scan[p])
            nu = broadcast(weights.scan_n[p])
            back_step_two(v, pivot[0], u, nu, there, other, &mean[0], &square[0])
            back_step_two(v + 4, pivot[1], u, nu, there + 4, other + 4, &mean[1], &square[1])
            back_step_two(v + 8, pivot[2], u, nu, there + 8, other + 8, &mean[2], &square[2])
            back_step_two(v + 12, pivot[3], u, nu, there + 12, other + 12, &mean[3], &square[3])
        for k in range(4):
            found = missing(found, mean[k])
    return not anything(found)


cdef inline void forth_two(
        Kind kind, bint between, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width,
        const Weights *weights, Before *before, double freedom, double *to, Py_ssize_t to_step) noexcept nogil:
    cdef f64x4 mean[4]
    cdef f64x4 square[4]
    cdef f64x4 degrees = broadcast(freedom)
    cdef const double *a             # pivots of suffixes
    cdef const double *m             # means of suffixes
    cdef const double *s             # sums of squares of suffixes
    cdef const double *b             # pivots of the whole groups between
    cdef const double *mb
    cdef const double *sb
    cdef const double *v
    cdef const double *c             # pivots of the prefixes: the first elements of the group itself
    cdef double *there
    cdef Py_ssize_t tile, p
    cdef bint more
    for tile in range(width // WIDE):
        a = before.early_pivot + tile * WIDE
        m = before.early[0] + tile * WIDE
        s = before.early[1] + tile * WIDE
        b = before.between_pivot + tile * WIDE
        mb = before.between[0] + tile * WIDE
        sb = before.between[1] + tile * WIDE
        c = v = x + tile * WIDE
        there = to + tile * WIDE
        for p in range(rows):
            if p == before.rest:
                a = before.late_pivot + tile * WIDE
                m = before.late[0] + tile * WIDE
                s = before.late[1] + tile * WIDE
                b = before.fewer_pivot + tile * WIDE
                mb = before.fewer[0] + tile * WIDE
                sb = before.fewer[1] + tile * WIDE
            more = p < before.rest
            forth_step_two(kind, between, p == 0, more, v, c, weights, p, a, m, s, b, mb, sb, degrees, there, &mean[0], &square[0])
            forth_step_two(kind, between, p == 0, more, v + 4, c + 4, weights, p, a + 4, m + 4, s + 4, b + 4, mb + 4, sb + 4,
                           degrees, there + 4, &mean[1], &square[1])
            forth_step_two(kind, between, p == 0, more, v + 8, c + 8, weights, p, a + 8, m + 8, s + 8, b + 8, mb + 8, sb + 8,
                           degrees, there + 8, &mean[2], &square[2])
            forth_step_two(kind, between, p == 0, more, v + 12, c + 12, weights, p, a + 12, m + 12, s + 12, b + 12, mb + 12,
                           sb + 12, degrees, there + 12, &mean[3], &square[3])
            m += before.step
            s += before.step
            v += step
            there += to_step


# ---- for kinds that are known at run time only

cdef inline bint back(
        Kind kind, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width,
        const Weights *weights, double **to, Py_ssize_t to_step) noexcept nogil:
    if kind == PROD:
        return back_one(PROD, x, step, rows, width, to[0], to_step)
    if kind == MIN:
        return back_one(MIN, x, step, rows, width, to[0], to_step)
    if kind == MAX:
        return back_one(MAX, x, step, rows, width, to[0], to_step)
    if kind == SUM or kind == MEAN:
        return back_one(SUM, x, step, rows, width, to[0], to_step)
    return back_two(x, step, rows, width, weights, to[0], to[1], to_step)


cdef inline void forth_of(
        Kind kind, bint between, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width,
        const Weights *weights, Before *before, double window, double ddof, double *to, Py_ssize_t to_step) noexcept nogil:
    if kind == SUM:
        forth_one(SUM, between, x, step, rows, width, before, window, to, to_step)
    elif kind == MEAN:
        forth_one(MEAN, between, x, step, rows, width, before, window, to, to_step)
    elif kind == PROD:
        forth_one(PROD, between, x, step, rows, width, before, window, to, to_step)
    elif kind == MIN:
        forth_one(MIN, between, x, step, rows, width, before, window, to, to_step)
    elif kind == MAX:
        forth_one(MAX, between, x, step, rows, width, before, window, to, to_step)
    elif kind == STD:
        forth_two(STD, between, x, step, rows, width, weights, before, window - ddof, to, to_step)
    else:
        forth_two(VAR, between, x, step, rows, width, weights, before, window - ddof, to, to_step)


cdef inline void forth(
        Kind kind, const double *x, Py_ssize_t step, Py_ssize_t rows, Py_ssize_t width,
        const Weights *weights, Before *before, double window, double ddof, double *to, Py_ssize_t to_step) noexcept nogil:
    if before.between[0] != NULL:
        forth_of(kind, True, x, step, rows, width, weights, before, window, ddof, to, to_step)
    else:
        forth_of(kind, False, x, step, rows, width, weights, before, window, ddof, to, to_step)
