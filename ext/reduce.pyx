# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sums, products and variances: one partial a chunk, filled leaf by leaf by the loops of drive.pxd.

The orders of operations, which fallback/reduce.py repeats to the bit:
  a line:   blocks of 8 rows of 32 lanes, down each lane; the lanes in halves; the blocks in neighbour pairs;
  columns:  32 rows, one after the other.
Floats accumulate in float64, integers in 64 bits with wrap-around.
"""
from numpy import _NoValue, empty, float32, float64, int64, uint64
from numpy import ndarray as _ndarray

from cpython.number cimport PyNumber_AsSsize_t
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport INFINITY, NAN, fabs, isfinite, signbit, sqrt
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

from buffers cimport PyBUF_FULL, PyBuffer_Release, PyObject_GetBuffer, dtype_code
from counts cimport TRUE, line_count as line_holds, rows_count as rows_hold
from cursor cimport allcores_ahead, allcores_ahead_rows
from door cimport LIMIT, Small, close_small, open_small, quiet_small, run_small, selected, shape_small, partials_small
from drive cimport LANES, STRIP, Job, line_function, load_function, rows_function
from entry cimport Views, close_views, merge_parts, open_views, run_job, output_code
from reals cimport (
    floating, int8_t, int16_t, integral, real, truth, uint8_t, uint16_t, uint32_t, uint64_t)

cdef enum:
    # A block has 8 rows of lanes. NumPy's chains have 8 to 16 elements, depending on n; with 16 here errors were up to 8% larger.
    BLOCK = 256
    BLOCKS = 16             # blocks in a leaf
    COLUMNS = STRIP         # columns in a strip, at most

cdef enum Term:             # what is summed
    PLAIN
    NUMBER                  # NaN counts as 0
    SQUARE


# ---- orders of summation

cdef inline double lanes_sum(double *lane) noexcept nogil:
    cdef int l
    for l in range(16):
        lane[l] += lane[l + 16]
    for l in range(8):
        lane[l] += lane[l + 8]
    for l in range(4):
        lane[l] += lane[l + 4]
    return (lane[0] + lane[2]) + (lane[1] + lane[3])


cdef inline double chosen(double v, bint wanted) noexcept nogil:
    """v or 0.0, chosen by bits: of a plain choice gcc may make two computations and choose afterwards, which raises flags."""
    cdef int64_t bits
    memcpy(&bits, &v, 8)
    bits &= -<int64_t> wanted
    memcpy(&v, &bits, 8)
    return v


cdef inline double lost(double a, double b, double total) noexcept nogil:
    """What a + b lost when it was rounded to `total` (Knuth's two-sum); -0.0, which changes no sum, if nothing was lost.

    Nothing counts as lost where the total is not finite. Bits tell that, and then the two-sum is one of zeros, because
    inf - inf would raise the invalid flag.
    """
    cdef int64_t bits, exponent = <int64_t> 0x7FF << 52
    cdef double x, y, z, t
    memcpy(&bits, &total, 8)
    x = chosen(a, bits & exponent != exponent)
    y = chosen(b, bits & exponent != exponent)
    z = x + y
    t = z - x
    return -(((z - t) - x) + (t - y))


cdef inline double blocks_sum(double *block, Py_ssize_t blocks, double *rest) noexcept nogil:
    """Add blocks, neighbours in pairs, one left over with the last pair. The last two levels keep what rounding loses."""
    cdef double a, b, c
    cdef Py_ssize_t i
    while blocks > 4:
        for i in range(blocks // 2):
            block[i] = block[2 * i] + block[2 * i + 1]
        if blocks & 1:
            block[blocks // 2 - 1] += block[blocks - 1]
        blocks //= 2
    rest[0] = -0.0
    if blocks == 1:
        return block[0]
    a = block[0] + block[1]
    rest[0] = lost(block[0], block[1], a)
    if blocks == 2:
        return a
    b = block[2]
    if blocks == 4:
        b = block[2] + block[3]
        rest[0] += lost(block[2], block[3], b)
    c = a + b
    rest[0] += lost(a, b, c)
    return c


cdef inline double term(real v, Term what) noexcept nogil:
    cdef double d
    cdef real nothing = 0
    if real in floating:
        nothing = -0.0                                      # changes no sum
    if what == NUMBER:
        return <double> (v if v == v else nothing)          # a float is tested before it is widened, which is half the work
    d = <double> v
    return d * d if what == SQUARE else d


cdef inline real among(const real *row, Py_ssize_t l, Py_ssize_t rest, real other) noexcept nogil:
    """Element l of a last row of which `rest` elements count, chosen by bits: see `chosen`.

    It is loaded whether it counts or not, so that the loop around this vectorises.
    """
    cdef real v = row[l]
    cdef int64_t a8, b8, mask8 = -<int64_t> (l < rest)
    cdef int32_t a4, b4, mask4 = <int32_t> mask8
    if real is double:
        memcpy(&a8, row + l, 8)
        memcpy(&b8, &other, 8)
        a8 = (a8 & mask8) | (b8 & ~mask8)
        memcpy(&v, &a8, 8)
        return v
    elif real is float:
        memcpy(&a4, row + l, 4)
        memcpy(&b4, &other, 4)
        a4 = (a4 & mask4) | (b4 & ~mask4)
        memcpy(&v, &a4, 4)
        return v
    else:
        return v if l < rest else other


cdef inline double line_sum(
        const real *v, const real *tail, Py_ssize_t n, Term what, double *rest) noexcept nogil:
    """The sum of a leaf, and what its rounding has lost."""
    cdef double lane[LANES]
    cdef double block[BLOCKS]
    cdef Py_ssize_t i, l, end, at = 0, blocks = 0
    cdef real nothing = 0
    if real in floating:
        nothing = -0.0
    while at < n:
        end = at + BLOCK if at + BLOCK < n else n
        i = at
        if at + LANES <= end:
            allcores_ahead(v + at, 32 * sizeof(real))
            for l in range(LANES):
                lane[l] = term(v[at + l], what)
            i += LANES
        else:
            for l in range(LANES):
                lane[l] = -0.0
        while i + LANES <= end:
            allcores_ahead(v + i, 32 * sizeof(real))
            for l in range(LANES):
                lane[l] += term(v[i + l], what)
            i += LANES
        if i < end:
            allcores_ahead(tail, 32 * sizeof(real))
            for l in range(LANES):
                lane[l] += term(among(tail, l, end - i, nothing), what)
        block[blocks] = lanes_sum(lane)
        blocks += 1
        at = end
    return blocks_sum(block, blocks, rest)


cdef inline Py_ssize_t line_count(const real *v, const real *tail, Py_ssize_t n) noexcept nogil:
    """How many elements are not NaN. Lanes are as wide as an element. Counting in the same loop as summing is slower."""
    cdef int32_t lane4[LANES]
    cdef int64_t lane8[LANES]
    cdef real c, nan = 0
    cdef Py_ssize_t i = 0, l, count = 0
    if real not in floating:
        return n
    if real in floating:
        nan = NAN
    for l in range(LANES):
        lane4[l] = 0
        lane8[l] = 0
    while i + LANES <= n:
        for l in range(LANES):
            if sizeof(real) == 8:
                lane8[l] += v[i + l] == v[i + l]
            else:
                lane4[l] += v[i + l] == v[i + l]
        i += LANES
    if i < n:
        for l in range(LANES):
            c = among(tail, l, n - i, nan)
            if sizeof(real) == 8:
                lane8[l] += c == c
            else:
                lane4[l] += c == c
    if sizeof(real) == 8:
        for l in range(LANES):
            count += lane8[l]
    else:
        for l in range(LANES):
            count += lane4[l]
    return count


cdef inline void rows_sum(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Term what, double *total) noexcept nogil:
    """Sum each column of a leaf, eight rows a step, in the order of single rows."""
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    for j in range(cols):
        total[j] = -0.0                             # changes no sum
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            total[j] = (((((((total[j] + term(a[j], what)) + term(a[j + s], what)) + term(a[j + 2 * s], what))
                           + term(a[j + 3 * s], what)) + term(a[j + 4 * s], what)) + term(a[j + 5 * s], what))
                        + term(a[j + 6 * s], what)) + term(a[j + 7 * s], what)
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            total[j] += term(a[j], what)
        i += 1


cdef inline void rows_count(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, int64_t *count) noexcept nogil:
    """How many elements of each column are not NaN."""
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    for j in range(cols):
        count[j] = n
    if real in floating:
        while i + 4 <= n:
            a = v + i * s
            for j in range(cols):
                count[j] -= (a[j] != a[j]) + (a[j + s] != a[j + s]) + (a[j + 2 * s] != a[j + 2 * s]) + (
                    a[j + 3 * s] != a[j + 3 * s])
            i += 4
        while i < n:
            a = v + i * s
            for j in range(cols):
                count[j] -= a[j] != a[j]
            i += 1


# ---- sum, nansum, ss in float64: the total, and what its rounding lost since the leaves

cdef void sum_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_sum(v, tail, n, PLAIN, <double *> partial[1])


cdef void nansum_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_sum(v, tail, n, NUMBER, <double *> partial[1])


cdef void ss_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_sum(v, tail, n, SQUARE, <double *> partial[1])


cdef inline void nothing_lost(double *rest, Py_ssize_t cols) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(cols):
        rest[j] = -0.0


cdef void sum_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_sum(v, stride, n, cols, ahead, PLAIN, <double *> partial[0])
    nothing_lost(<double *> partial[1], cols)


cdef void nansum_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_sum(v, stride, n, cols, ahead, NUMBER, <double *> partial[0])
    nothing_lost(<double *> partial[1], cols)


cdef void ss_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_sum(v, stride, n, cols, ahead, SQUARE, <double *> partial[0])
    nothing_lost(<double *> partial[1], cols)


cdef void sum_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef double *total = <double *> a[0]
    cdef double *rest = <double *> a[1]
    cdef double *more = <double *> b[0]
    cdef double *more_rest = <double *> b[1]
    cdef double s
    cdef Py_ssize_t j
    for j in range(width):
        s = total[j] + more[j]
        rest[j] = (rest[j] + more_rest[j]) + lost(total[j], more[j], s)
        total[j] = s


# ---- nanmean: total, rest, count

cdef void nanmean_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_sum(v, tail, n, NUMBER, <double *> partial[1])
    (<int64_t *> partial[2])[0] = line_count(v, tail, n)


cdef void nanmean_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_sum(v, stride, n, cols, ahead, NUMBER, <double *> partial[0])
    nothing_lost(<double *> partial[1], cols)
    rows_count(v, stride, n, cols, <int64_t *> partial[2])


cdef void nanmean_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef int64_t *count = <int64_t *> a[2]
    cdef int64_t *more = <int64_t *> b[2]
    cdef Py_ssize_t j
    sum_fold(a, b, width)
    for j in range(width):
        count[j] += more[j]


# ---- sum and ss of integers, in 64 bits with wrap-around, where every order gives the same

cdef void isum_line(
        const integral *v, const integral *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int32_t lane4[LANES]                       # a leaf has 128 rows: elements of 16 bits fit
    cdef int64_t lane8[LANES]
    cdef int64_t total = 0
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        lane4[l] = 0
        lane8[l] = 0
    while i + LANES <= n:
        allcores_ahead(v + i, 32 * sizeof(integral))
        for l in range(LANES):
            if sizeof(integral) <= 2:
                lane4[l] += v[i + l]
            else:
                lane8[l] += <int64_t> v[i + l]
        i += LANES
    for l in range(LANES):
        total += <int64_t> lane4[l] + lane8[l]
    while i < n:
        total += <int64_t> v[i]
        i += 1
    (<int64_t *> partial[0])[0] = total


cdef void iss_line(
        const integral *v, const integral *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int64_t total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += <int64_t> v[i] * <int64_t> v[i]
    (<int64_t *> partial[0])[0] = total


cdef void isum_rows(
        const integral *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int64_t *total = <int64_t *> partial[0]
    cdef const integral *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(integral)
    for j in range(cols):
        total[j] = 0
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(integral), ahead)
        for j in range(cols):
            if sizeof(integral) <= 2:
                total[j] += <int32_t> a[j] + <int32_t> a[j + s] + <int32_t> a[j + 2 * s] + <int32_t> a[j + 3 * s] + (
                    <int32_t> a[j + 4 * s] + <int32_t> a[j + 5 * s] + <int32_t> a[j + 6 * s] + <int32_t> a[j + 7 * s])
            else:
                total[j] += <int64_t> a[j] + <int64_t> a[j + s] + <int64_t> a[j + 2 * s] + <int64_t> a[j + 3 * s] + (
                    <int64_t> a[j + 4 * s] + <int64_t> a[j + 5 * s] + <int64_t> a[j + 6 * s] + <int64_t> a[j + 7 * s])
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            total[j] += <int64_t> a[j]
        i += 1


cdef void iss_rows(
        const integral *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int64_t *total = <int64_t *> partial[0]
    cdef const integral *a
    cdef Py_ssize_t i, j, s = stride // <Py_ssize_t> sizeof(integral)
    for j in range(cols):
        total[j] = 0
    for i in range(n):
        a = v + i * s
        for j in range(cols):
            total[j] += <int64_t> a[j] * <int64_t> a[j]


cdef void isum_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef int64_t *total = <int64_t *> a[0]
    cdef int64_t *more = <int64_t *> b[0]
    cdef Py_ssize_t j
    for j in range(width):
        total[j] += more[j]


# ---- prod, nanprod: the order of sum

cdef inline double factor(real v, bint skip) noexcept nogil:
    cdef real one = 1
    return <double> (v if not skip or v == v else one)


cdef inline double line_product(const real *v, const real *tail, Py_ssize_t n, bint skip) noexcept nogil:
    cdef double lane[LANES]
    cdef double block[BLOCKS]
    cdef Py_ssize_t i, l, end, half, at = 0, blocks = 0
    cdef real one = 1
    while at < n:
        end = at + BLOCK if at + BLOCK < n else n
        i = at
        for l in range(LANES):
            lane[l] = 1.0
        while i + LANES <= end:
            allcores_ahead(v + i, 32 * sizeof(real))
            for l in range(LANES):
                lane[l] *= factor(v[i + l], skip)
            i += LANES
        if i < end:
            allcores_ahead(tail, 32 * sizeof(real))
            for l in range(LANES):
                lane[l] *= factor(among(tail, l, end - i, one), skip)
        half = LANES // 2
        while half:
            for l in range(half):
                lane[l] *= lane[l + half]
            half //= 2
        block[blocks] = lane[0]
        blocks += 1
        at = end
    while blocks > 1:
        for i in range(blocks // 2):
            block[i] = block[2 * i] * block[2 * i + 1]
        if blocks & 1:
            block[blocks // 2] = block[blocks - 1]
        blocks = (blocks + 1) // 2
    return block[0]


cdef inline void rows_product(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint skip,
        double *product) noexcept nogil:
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    for j in range(cols):
        product[j] = 1.0
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            product[j] = (((((((product[j] * factor(a[j], skip)) * factor(a[j + s], skip)) * factor(a[j + 2 * s], skip))
                             * factor(a[j + 3 * s], skip)) * factor(a[j + 4 * s], skip)) * factor(a[j + 5 * s], skip))
                          * factor(a[j + 6 * s], skip)) * factor(a[j + 7 * s], skip)
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            product[j] *= factor(a[j], skip)
        i += 1


cdef void prod_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_product(v, tail, n, False)


cdef void nanprod_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<double *> partial[0])[0] = line_product(v, tail, n, True)


cdef void prod_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_product(v, stride, n, cols, ahead, False, <double *> partial[0])


cdef void nanprod_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_product(v, stride, n, cols, ahead, True, <double *> partial[0])


cdef void prod_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef double *product = <double *> a[0]
    cdef double *more = <double *> b[0]
    cdef Py_ssize_t j
    for j in range(width):
        product[j] *= more[j]


cdef void iprod_line(
        const integral *v, const integral *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int64_t lane[8]                            # eight chains hide the multiplier's latency
    cdef Py_ssize_t i
    cdef int l
    for l in range(8):
        lane[l] = 1
    for i in range(0, n - 7, 8):
        for l in range(8):
            lane[l] *= <int64_t> v[i + l]
    for i in range(n // 8 * 8, n):
        lane[0] *= <int64_t> v[i]
    for l in range(1, 8):
        lane[0] *= lane[l]
    (<int64_t *> partial[0])[0] = lane[0]


cdef void iprod_rows(
        const integral *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    cdef int64_t *product = <int64_t *> partial[0]
    cdef const integral *a
    cdef Py_ssize_t i, j, s = stride // <Py_ssize_t> sizeof(integral)
    for j in range(cols):
        product[j] = 1
    for i in range(n):
        a = v + i * s
        for j in range(cols):
            product[j] *= <int64_t> a[j]


cdef void iprod_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef int64_t *product = <int64_t *> a[0]
    cdef int64_t *more = <int64_t *> b[0]
    cdef Py_ssize_t j
    for j in range(width):
        product[j] *= more[j]


# ---- var, nanvar: count, pivot, shift, m2
#
# The mean of a leaf is pivot + shift. The pivot is the mean as a first pass gives it, and shift is the mean of what is left
# when the pivot is subtracted, which is exact where elements are close to it. m2 is the sum of squares around that mean, by
# the corrected two-pass algorithm (Chan, Golub, LeVeque 1983). Leaves are merged by Chan's formula with the difference of
# their pivots, which loses no digits either: on 1e8 plus noise the error is 1e-16, where means alone give 2.5e-11.

cdef inline double deviation(real v, double pivot, bint skip) noexcept nogil:
    cdef double d = <double> v
    return d - pivot if not skip or d == d else 0.0


cdef inline bint overflowed(double v) noexcept nogil:
    """Whether v is inf, by its bits: gcc makes v > DBL_MAX of v == INFINITY, which raises the invalid flag for NaN."""
    cdef int64_t bits
    memcpy(&bits, &v, 8)
    return bits == <int64_t> 0x7FF << 52


cdef inline void moments(double count, double pivot, double sum1, double sum2, double *shift, double *m2) noexcept nogil:
    cdef double mean = sum1 / count if count > 0 else 0.0
    cdef bint overflow = overflowed(sum2)                           # then m2 stays inf; inf - inf would be NaN
    cdef double rest = sum2 if overflow else sum2 - sum1 * mean
    shift[0] = 0.0 if overflow else mean
    # Rounding can leave a negative number. A comparison with < would raise the invalid flag where rest is NaN.
    m2[0] = 0.0 if signbit(rest) and rest == rest else rest


cdef inline void line_var(const real *v, const real *tail, Py_ssize_t n, bint skip, void **partial) noexcept nogil:
    cdef double lane1[LANES]
    cdef double lane2[LANES]
    cdef double block1[BLOCKS]
    cdef double block2[BLOCKS]
    cdef double d, count = <double> (line_count(v, tail, n) if skip else n)
    cdef double rest1, rest2
    cdef double pivot = line_sum(v, tail, n, NUMBER if skip else PLAIN, &rest1)
    cdef real nothing = 0
    cdef Py_ssize_t i, l, rest, end, at = 0, blocks = 0
    pivot = (pivot + rest1) / count if count > 0 else 0.0
    while at < n:
        end = at + BLOCK if at + BLOCK < n else n
        for l in range(LANES):
            lane1[l] = 0
            lane2[l] = 0
        for i in range(at, end - 31, 32):
            for l in range(LANES):
                d = deviation(v[i + l], pivot, skip)
                lane1[l] += d
                lane2[l] += d * d
        rest = (end - at) % 32
        if rest:
            for l in range(LANES):
                d = deviation(among(tail, l, rest, nothing), pivot, skip)
                d = chosen(d, l < rest)
                lane1[l] += d
                lane2[l] += d * d
        block1[blocks] = lanes_sum(lane1)
        block2[blocks] = lanes_sum(lane2)
        blocks += 1
        at = end
    (<double *> partial[0])[0] = count
    (<double *> partial[1])[0] = pivot
    d = blocks_sum(block1, blocks, &rest1)
    moments(count, pivot, d + rest1, blocks_sum(block2, blocks, &rest2) + rest2, <double *> partial[2], <double *> partial[3])


cdef inline void rows_var(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint skip,
        void **partial) noexcept nogil:
    cdef double *count = <double *> partial[0]
    cdef double *pivot = <double *> partial[1]
    cdef double *shift = <double *> partial[2]
    cdef double *m2 = <double *> partial[3]
    cdef double sum1[COLUMNS]
    cdef double sum2[COLUMNS]
    cdef int64_t numbers[COLUMNS]
    cdef double p, s1, s2, d
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    rows_sum(v, stride, n, cols, ahead, NUMBER if skip else PLAIN, pivot)
    if skip:
        rows_count(v, stride, n, cols, numbers)
    for j in range(cols):
        count[j] = <double> numbers[j] if skip else <double> n
        pivot[j] = pivot[j] / count[j] if count[j] > 0 else 0.0
        sum1[j] = 0
        sum2[j] = 0
    while i + 4 <= n:
        a = v + i * s
        for j in range(cols):
            p = pivot[j]
            s1 = sum1[j]
            s2 = sum2[j]
            d = deviation(a[j], p, skip)
            s1 += d
            s2 += d * d
            d = deviation(a[j + s], p, skip)
            s1 += d
            s2 += d * d
            d = deviation(a[j + 2 * s], p, skip)
            s1 += d
            s2 += d * d
            d = deviation(a[j + 3 * s], p, skip)
            sum1[j] = s1 + d
            sum2[j] = s2 + d * d
        i += 4
    while i < n:
        a = v + i * s
        for j in range(cols):
            d = deviation(a[j], pivot[j], skip)
            sum1[j] += d
            sum2[j] += d * d
        i += 1
    for j in range(cols):
        moments(count[j], pivot[j], sum1[j], sum2[j], shift + j, m2 + j)


cdef void var_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_var(v, tail, n, False, partial)


cdef void nanvar_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_var(v, tail, n, True, partial)


cdef void var_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_var(v, stride, n, cols, ahead, False, partial)


cdef void nanvar_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_var(v, stride, n, cols, ahead, True, partial)


cdef void var_fold(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef double *count = <double *> a[0]
    cdef double *pivot = <double *> a[1]
    cdef double *shift = <double *> a[2]
    cdef double *m2 = <double *> a[3]
    cdef double na, nb, n, delta, spread, weight
    cdef Py_ssize_t j
    for j in range(width):
        na = count[j]
        nb = (<double *> b[0])[j]
        n = na + nb
        spread = m2[j] + (<double *> b[3])[j]
        if na == 0:
            pivot[j] = (<double *> b[1])[j]
            shift[j] = (<double *> b[2])[j]
        elif nb > 0 and not overflowed(spread):
            weight = nb / n
            delta = ((<double *> b[1])[j] - pivot[j]) + ((<double *> b[2])[j] - shift[j])
            shift[j] += delta * weight
            spread += (delta * delta) * (na * weight)
        count[j] = n
        m2[j] = spread


# ---- what a masked integer becomes before a nanvar

cdef void load_masked(
        const real *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride,
        Py_ssize_t n, double *to) noexcept nogil:
    cdef Py_ssize_t i
    cdef real v
    for i in range(n):
        memcpy(&v, <const char *> x + i * stride, sizeof(real))
        to[i] = <double> v if mask[i * mask_stride] else NAN


# ---- bools, of which any byte but 0 is true. Their count is enough, but not for variances, which load them as 0 and 1

cdef inline void bools_line(
        const uint8_t *v, const uint8_t *tail, Py_ssize_t n, bint product, bint integers, void **partial) noexcept nogil:
    cdef int64_t result = line_holds(v, tail, n, TRUE)
    if product:
        result = result == n
    if integers:
        (<int64_t *> partial[0])[0] = result
        return
    (<double *> partial[0])[0] = <double> result
    if not product:
        nothing_lost(<double *> partial[1], 1)


cdef inline void bools_rows(
        const uint8_t *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, bint product, bint integers,
        void **partial) noexcept nogil:
    cdef int64_t *result = <int64_t *> partial[0]
    cdef double *total = <double *> partial[0]
    cdef Py_ssize_t j
    rows_hold(v, stride, n, cols, ahead, TRUE, True, result)
    if product:
        for j in range(cols):
            result[j] = result[j] == n
    if integers:
        return
    for j in range(cols):
        total[j] = <double> <int32_t> result[j]         # through 32 bits, which vectors can convert
    if not product:
        nothing_lost(<double *> partial[1], cols)


cdef void bools_sum_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_line(<const uint8_t *> v, <const uint8_t *> tail, n, False, False, partial)


cdef void bools_isum_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_line(<const uint8_t *> v, <const uint8_t *> tail, n, False, True, partial)


cdef void bools_prod_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_line(<const uint8_t *> v, <const uint8_t *> tail, n, True, False, partial)


cdef void bools_iprod_line(
        const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_line(<const uint8_t *> v, <const uint8_t *> tail, n, True, True, partial)


cdef void bools_sum_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_rows(<const uint8_t *> v, stride, n, cols, ahead, False, False, partial)


cdef void bools_isum_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_rows(<const uint8_t *> v, stride, n, cols, ahead, False, True, partial)


cdef void bools_prod_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_rows(<const uint8_t *> v, stride, n, cols, ahead, True, False, partial)


cdef void bools_iprod_rows(
        const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    bools_rows(<const uint8_t *> v, stride, n, cols, ahead, True, True, partial)


cdef void load_bools(
        const uint8_t *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride,
        Py_ssize_t n, uint8_t *to) noexcept nogil:
    cdef Py_ssize_t i
    if stride == 1:
        for i in range(n):
            to[i] = truth(x[i])
    else:
        for i in range(n):
            to[i] = truth(x[i * stride])


cdef void load_masked_bools(
        const uint8_t *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride,
        Py_ssize_t n, double *to) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = <double> truth(x[i * stride]) if mask[i * mask_stride] else NAN


# ---- which functions make a kernel

cdef enum Kernel:
    SUM
    NANSUM
    NANMEAN
    SS
    PROD
    NANPROD
    VAR
    NANVAR


cdef void bind_real(Job *job, Kernel kernel, real *_) noexcept nogil:
    """Set the functions for elements of any type that are accumulated in float64."""
    cdef real pad = 0
    if kernel == SUM:
        job.line = <line_function> <void *> sum_line[real]
        job.rows = <rows_function> <void *> sum_rows[real]
        job.fold = sum_fold
        if real in floating:
            pad = -0.0                              # the only number that changes no sum
    elif kernel == SS:
        job.line = <line_function> <void *> ss_line[real]
        job.rows = <rows_function> <void *> ss_rows[real]
        job.fold = sum_fold
    elif kernel == PROD:
        job.line = <line_function> <void *> prod_line[real]
        job.rows = <rows_function> <void *> prod_rows[real]
        job.fold = prod_fold
        pad = 1
    elif kernel == VAR:
        job.line = <line_function> <void *> var_line[real]
        job.rows = <rows_function> <void *> var_rows[real]
        job.fold = var_fold
        if real in floating:
            pad = -0.0
    memcpy(job.padding, &pad, sizeof(real))


cdef void bind_floating(Job *job, Kernel kernel, floating *_) noexcept nogil:
    """Set the functions for elements among which there may be NaN, which is skipped."""
    cdef floating pad = NAN
    if kernel == NANSUM:
        job.line = <line_function> <void *> nansum_line[floating]
        job.rows = <rows_function> <void *> nansum_rows[floating]
        job.fold = sum_fold
    elif kernel == NANMEAN:
        job.line = <line_function> <void *> nanmean_line[floating]
        job.rows = <rows_function> <void *> nanmean_rows[floating]
        job.fold = nanmean_fold
    elif kernel == NANPROD:
        job.line = <line_function> <void *> nanprod_line[floating]
        job.rows = <rows_function> <void *> nanprod_rows[floating]
        job.fold = prod_fold
    elif kernel == NANVAR:
        job.line = <line_function> <void *> nanvar_line[floating]
        job.rows = <rows_function> <void *> nanvar_rows[floating]
        job.fold = var_fold
    memcpy(job.padding, &pad, sizeof(floating))


cdef void bind_integral(Job *job, Kernel kernel, integral *_) noexcept nogil:
    """Set the functions for integers, which are accumulated in 64 bits, or where masked are doubles with NaN."""
    cdef integral pad = 0
    if kernel == SUM:
        job.line = <line_function> <void *> isum_line[integral]
        job.rows = <rows_function> <void *> isum_rows[integral]
        job.fold = isum_fold
    elif kernel == SS:
        job.line = <line_function> <void *> iss_line[integral]
        job.rows = <rows_function> <void *> iss_rows[integral]
        job.fold = isum_fold
    elif kernel == PROD:
        job.line = <line_function> <void *> iprod_line[integral]
        job.rows = <rows_function> <void *> iprod_rows[integral]
        job.fold = iprod_fold
        pad = 1
    elif kernel == NANVAR:
        job.load = <load_function> <void *> load_masked[integral]
        job.width = 8
        job.line = <line_function> <void *> nanvar_line[double]
        job.rows = <rows_function> <void *> nanvar_rows[double]
        job.fold = var_fold
    memcpy(job.padding, &pad, sizeof(integral))


cdef void bind_bools(Job *job, Kernel kernel, bint integers) noexcept nogil:
    job.padding[0] = 0
    if kernel in (SUM, SS):
        job.line = bools_isum_line if integers else bools_sum_line
        job.rows = bools_isum_rows if integers else bools_sum_rows
        job.fold = isum_fold if integers else sum_fold
    elif kernel == PROD:
        job.line = bools_iprod_line if integers else bools_prod_line
        job.rows = bools_iprod_rows if integers else bools_prod_rows
        job.fold = iprod_fold if integers else prod_fold
        job.padding[0] = 1
    elif kernel == VAR:
        bind_real(job, kernel, <uint8_t *> NULL)
        job.load = <load_function> <void *> load_bools
    elif kernel == NANVAR:
        bind_integral(job, kernel, <uint8_t *> NULL)
        job.load = <load_function> <void *> load_masked_bools


cdef bint bind(Job *job, Kernel kernel, char code, bint integers) noexcept nogil:
    """Set the job's functions. Returns False where there is no kernel for these dtypes."""
    cdef bint nan = kernel in (NANSUM, NANMEAN, NANPROD, NANVAR)
    job.line = NULL
    if code == b"?":
        bind_bools(job, kernel, integers)
    elif nan and code == b"d":
        bind_floating(job, kernel, <double *> NULL)
    elif nan and code == b"f":
        bind_floating(job, kernel, <float *> NULL)
    elif integers or nan:
        if code == b"b":
            bind_integral(job, kernel, <int8_t *> NULL)
        elif code == b"h":
            bind_integral(job, kernel, <int16_t *> NULL)
        elif code == b"i":
            bind_integral(job, kernel, <int32_t *> NULL)
        elif code == b"q":
            bind_integral(job, kernel, <int64_t *> NULL)
        elif code == b"B":
            bind_integral(job, kernel, <uint8_t *> NULL)
        elif code == b"H":
            bind_integral(job, kernel, <uint16_t *> NULL)
        elif code == b"I":
            bind_integral(job, kernel, <uint32_t *> NULL)
        elif code == b"Q":
            bind_integral(job, kernel, <uint64_t *> NULL)
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
    elif code == b"B":
        bind_real(job, kernel, <uint8_t *> NULL)
    elif code == b"H":
        bind_real(job, kernel, <uint16_t *> NULL)
    elif code == b"I":
        bind_real(job, kernel, <uint32_t *> NULL)
    elif code == b"Q":
        bind_real(job, kernel, <uint64_t *> NULL)
    return job.line != NULL and (kernel != NANVAR or job.load == NULL or job.mask != NULL)


cdef int run(Kernel kernel, object x, object where, object cursor, tuple outputs) except -1:
    cdef Job job
    cdef Views views
    cdef char code
    try:
        code = open_views(&views, &job, x, where, cursor, outputs)
        if not bind(&job, kernel, code, dtype_code(&views.output[0]) in (b"q", b"Q")):
            raise TypeError("no kernel for arrays of this dtype")
        return run_job(&job, &views)
    finally:
        close_views(&views)


cdef int merge(Kernel kernel, tuple outputs) except -1:
    """Fold what chunks left in the outputs into their first part."""
    cdef Job job
    cdef char code = output_code(outputs[0])            # the dtype of the accumulator; that of the elements no longer matters
    job.load = NULL
    job.mask = NULL
    bind(&job, kernel, code, code != b"d")
    job.merge = job.fold
    return merge_parts(&job, outputs)


def sum(x, where, cursor, total, rest=None):
    return run(SUM, x, where, cursor, (total,) if rest is None else (total, rest))


def nansum(x, where, cursor, total, rest=None):
    return run(NANSUM, x, where, cursor, (total,) if rest is None else (total, rest))


def nanmean(x, where, cursor, total, rest, count):
    return run(NANMEAN, x, where, cursor, (total, rest, count))


def ss(x, where, cursor, total, rest=None):
    return run(SS, x, where, cursor, (total,) if rest is None else (total, rest))


def prod(x, where, cursor, product):
    return run(PROD, x, where, cursor, (product,))


def nanprod(x, where, cursor, product):
    return run(NANPROD, x, where, cursor, (product,))


def var(x, where, cursor, count, pivot, shift, m2):
    return run(VAR, x, where, cursor, (count, pivot, shift, m2))


def nanvar(x, where, cursor, count, pivot, shift, m2):
    return run(NANVAR, x, where, cursor, (count, pivot, shift, m2))


def fold_sum(*outputs):
    return merge(SUM, outputs)


def fold_nansum(*outputs):
    return merge(NANSUM, outputs)


def fold_nanmean(*outputs):
    return merge(NANMEAN, outputs)


def fold_ss(*outputs):
    return merge(SS, outputs)


def fold_prod(*outputs):
    return merge(PROD, outputs)


def fold_nanprod(*outputs):
    return merge(NANPROD, outputs)


def fold_var(*outputs):
    return merge(VAR, outputs)


def fold_nanvar(*outputs):
    return merge(NANVAR, outputs)


# ---- doors: small arrays, with all arguments but these at their defaults

cdef object NoValue = _NoValue
cdef object ndarray = _ndarray      # as C variables, not looked up in the module at each call
cdef object scalar32 = float32
cdef object scalar64 = float64

cdef enum Finish:
    TOTAL
    AVERAGE
    SPREAD
    ROOT


cdef inline bint suspicious(double total, double value) noexcept nogil:
    """Whether the step from one to the other may have overflowed, underflowed, or been invalid."""
    if isfinite(value):
        return fabs(value) < DBL_MIN and (value != 0 or total != 0)
    return isfinite(total) or (value != value and total == total)


cdef object small(Kernel kernel, Finish finish, object a, object axis, object keepdims, object where, object initial, double ddof):
    cdef Job job
    cdef Small it
    cdef char code
    cdef bint integers, compensated, plain, odd = False
    cdef double n, value, total, first = 0
    cdef double *values
    cdef Py_ssize_t i
    if type(a) is not ndarray or (keepdims is not True and keepdims is not False and keepdims is not NoValue):
        return None
    code = open_small(&it, &job, a, axis, where, False, LIMIT)
    if code == 0:
        return None
    it.partials = it.fixed
    try:
        integers = code != b"d" and code != b"f"
        if integers:                                # no NaN to skip
            kernel = (SUM if kernel in (NANSUM, NANMEAN) else PROD if kernel == NANPROD
                      else VAR if kernel == NANVAR else kernel)
        plain = kernel == VAR
        if plain and it.masked:                     # what is left out goes in as NaN
            kernel = NANVAR
        integers = integers and finish == TOTAL
        if not bind(&job, kernel, code, integers):
            return None
        compensated = not integers and kernel in (SUM, NANSUM, SS, NANMEAN)
        if not partials_small(&it, &job, 4 if kernel in (VAR, NANVAR) else 3 if kernel == NANMEAN else 1 + compensated):
            return None
        job.merge = job.fold
        run_small(&it, &job)
        values = <double *> it.partials
        if integers:
            if initial is not None:
                begin_integers(&it, kernel, initial, code in (b"B", b"H", b"I", b"Q"))
            return deliver_integers(&it, code, shape_small(&it, keepdims is True))
        if initial is not None:
            first = initial
        for i in range(it.outputs):
            value = values[i]
            if compensated:
                value += (<double *> job.output[1])[i]
            total = value
            if finish == TOTAL:
                if initial is not None:
                    value = first * value if kernel in (PROD, NANPROD) else first + value
                elif kernel in (SUM, NANSUM):
                    value += 0.0                    # NumPy's sum of nothing but -0.0, or NaN, is 0.0
            elif finish == AVERAGE:
                if kernel == NANMEAN:
                    n = <double> (<int64_t *> job.output[2])[i]
                else:
                    n = <double> (selected(&job, i) if it.masked else job.n * it.carried)
                if n == 0:
                    return None
                value = (value + 0.0) / n
            else:
                n = values[i]
                value = (<double *> job.output[3])[i]
                if plain and it.masked and n != selected(&job, i):
                    n = selected(&job, i)
                    value = NAN                     # one that `where` selects is NaN itself
                total = value
                n -= ddof
                if not n > 0:
                    return None
                value = value / n
            if (initial is not None or finish != TOTAL) and suspicious(total, value):
                return None
            if finish == ROOT:
                value = sqrt(value)
            if code == b"f" and isfinite(value) and (
                    not isfinite(<float> value) or (fabs(value) < FLT_MIN and <double> <float> value != value)):
                return None                         # rounding it overflows, or underflows
            # Not finite, or so small that digits may have been lost: is it a case of which NumPy warns?
            odd = odd or not 1e-140 < fabs(value) < INFINITY
            values[i] = value
        if odd:
            # The results move aside: the partials are computed once more.
            return deliver_odd(&it, &job, code, shape_small(&it, keepdims is True))
        return deliver(&it, code, shape_small(&it, keepdims is True))
    finally:
        close_small(&it)


cdef object deliver_odd(Small *it, Job *job, char code, object shape):
    """The results, if no floating-point flag was raised on the way to them."""
    cdef object result = deliver(it, code, shape)
    return result if quiet_small(it, job) else None


cdef object deliver(Small *it, char code, object shape):
    """float64 partials as a scalar or array: float32 for float32."""
    cdef double *values = <double *> it.partials
    cdef Py_buffer out
    cdef Py_ssize_t i
    if shape is None:
        return scalar32(values[0]) if code == b"f" else scalar64(values[0])
    result = empty(shape, float32 if code == b"f" else float64)
    PyObject_GetBuffer(result, &out, PyBUF_FULL)
    if code == b"f":
        for i in range(it.outputs):
            (<float *> out.buf)[i] = <float> values[i]
    else:
        memcpy(out.buf, values, 8 * it.outputs)
    PyBuffer_Release(&out)
    return result


cdef int begin_integers(Small *it, Kernel kernel, object initial, bint unsigned) except -1:
    """Add the initial number to every total, or multiply, with wrap-around."""
    cdef int64_t *values = <int64_t *> it.partials
    cdef int64_t first = <int64_t> <uint64_t> initial if unsigned else <int64_t> initial
    cdef Py_ssize_t i
    for i in range(it.outputs):
        values[i] = first * values[i] if kernel == PROD else first + values[i]
    return 0


cdef object deliver_integers(Small *it, char code, object shape):
    cdef bint unsigned = code in (b"B", b"H", b"I", b"Q")
    cdef Py_buffer out
    if shape is None:
        if unsigned:
            return uint64((<uint64_t *> it.partials)[0])
        return int64((<int64_t *> it.partials)[0])
    result = empty(shape, uint64 if unsigned else int64)
    PyObject_GetBuffer(result, &out, PyBUF_FULL)
    memcpy(out.buf, it.partials, 8 * it.outputs)
    PyBuffer_Release(&out)
    return result


def small_sum(a, axis, keepdims, where=None, initial=None):
    return small(SUM, TOTAL, a, axis, keepdims, where, initial, 0)


def small_nansum(a, axis, keepdims, where=None, initial=None):
    return small(NANSUM, TOTAL, a, axis, keepdims, where, initial, 0)


def small_prod(a, axis, keepdims, where=None, initial=None):
    return small(PROD, TOTAL, a, axis, keepdims, where, initial, 0)


def small_nanprod(a, axis, keepdims, where=None, initial=None):
    return small(NANPROD, TOTAL, a, axis, keepdims, where, initial, 0)


def small_ss(a, axis, keepdims):
    return small(SS, TOTAL, a, axis, keepdims, None, None, 0)


def small_mean(a, axis, keepdims, where=None):
    return small(SUM, AVERAGE, a, axis, keepdims, where, None, 0)


def small_nanmean(a, axis, keepdims, where=None):
    return small(NANMEAN, AVERAGE, a, axis, keepdims, where, None, 0)


cdef object small_spread(
        Kernel kernel, Finish finish, object a, object axis, object keepdims, object where, object ddof):
    """None also for an array of degrees of freedom, and for integers that C does not have."""
    cdef double free
    try:
        if isinstance(ddof, float):
            free = ddof
        else:
            free = <double> PyNumber_AsSsize_t(ddof, OverflowError)
    except (TypeError, OverflowError):
        return None
    return small(kernel, finish, a, axis, keepdims, where, None, free)


def small_var(a, axis, keepdims, where, ddof):
    return small_spread(VAR, SPREAD, a, axis, keepdims, where, ddof)


def small_std(a, axis, keepdims, where, ddof):
    return small_spread(VAR, ROOT, a, axis, keepdims, where, ddof)


def small_nanvar(a, axis, keepdims, where, ddof):
    return small_spread(NANVAR, SPREAD, a, axis, keepdims, where, ddof)


def small_nanstd(a, axis, keepdims, where, ddof):
    return small_spread(NANVAR, ROOT, a, axis, keepdims, where, ddof)
