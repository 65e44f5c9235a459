# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Truth and counts. any, all, anynan and allnan stop looking as soon as the answer is known."""
from numpy import False_, True_, bool_, empty, intp
from numpy import _NoValue
from numpy import ndarray as _ndarray

from libc.math cimport NAN
from libc.string cimport memcpy

from cursor cimport allcores_ahead_rows
from buffers cimport PyBUF_FULL, PyBuffer_Release, PyObject_GetBuffer
from counts cimport FALSE, NOT_NUMBER, NUMBER, TRUE, Predicate, holds, line_count, rows_count
from door cimport LIMIT, Small, close_small, open_small, run_small, shape_small, partials_small
from drive cimport Job, line_function, rows_function
from entry cimport Views, close_views, merge_parts, open_views, run_job
from reals cimport (
    floating, int8_t, int16_t, int32_t, int64_t, real, uint8_t, uint16_t, uint32_t, uint64_t)

cdef inline void rows_has(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Predicate what,
        uint8_t *found) noexcept nogil:
    """Set found[j] to 1 where the predicate holds somewhere in column j, and leave the others."""
    cdef const real *a
    cdef Py_ssize_t i = 0, j, s = stride // <Py_ssize_t> sizeof(real)
    while i + 8 <= n:
        a = v + i * s
        if ahead:
            allcores_ahead_rows(a, stride, 8, cols * sizeof(real), ahead)
        for j in range(cols):
            found[j] |= (holds(a[j], what) | holds(a[j + s], what) | holds(a[j + 2 * s], what) | holds(a[j + 3 * s], what)
                         | holds(a[j + 4 * s], what) | holds(a[j + 5 * s], what) | holds(a[j + 6 * s], what)
                         | holds(a[j + 7 * s], what))
        i += 8
    while i < n:
        a = v + i * s
        for j in range(cols):
            found[j] |= holds(a[j], what)
        i += 1


cdef inline void line_exists(
        const real *v, const real *tail, Py_ssize_t n, Predicate what, bint fresh, uint8_t *truth) noexcept nogil:
    """Into an answer that is 1 as soon as the predicate holds. To count is faster than to find out whether."""
    if fresh:
        truth[0] = 0
    if not truth[0]:
        truth[0] = line_count(v, tail, n, what) > 0


cdef inline void line_refuted(
        const real *v, const real *tail, Py_ssize_t n, Predicate what, bint fresh, uint8_t *truth) noexcept nogil:
    """Into an answer that is 0 as soon as the predicate holds."""
    if fresh:
        truth[0] = 1
    if truth[0]:
        truth[0] = line_count(v, tail, n, what) == 0


cdef inline void rows_refuted(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Predicate what, bint fresh,
        uint8_t *truth) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(cols):
        truth[j] = 0 if fresh else not truth[j]
    rows_has(v, stride, n, cols, ahead, what, truth)
    for j in range(cols):
        truth[j] = not truth[j]


cdef inline void rows_exists(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead, Predicate what, bint fresh,
        uint8_t *truth) noexcept nogil:
    cdef Py_ssize_t j
    if fresh:
        for j in range(cols):
            truth[j] = 0
    rows_has(v, stride, n, cols, ahead, what, truth)


# ---- kernels: field 0 the answer

cdef void any_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_exists(v, tail, n, TRUE, fresh, <uint8_t *> partial[0])


cdef void any_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_exists(v, stride, n, cols, ahead, TRUE, fresh, <uint8_t *> partial[0])


cdef void all_line(const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_refuted(v, tail, n, FALSE, fresh, <uint8_t *> partial[0])


cdef void all_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_refuted(v, stride, n, cols, ahead, FALSE, fresh, <uint8_t *> partial[0])


cdef void anynan_line(
        const floating *v, const floating *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_exists(v, tail, n, NOT_NUMBER, fresh, <uint8_t *> partial[0])


cdef void anynan_rows(
        const floating *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_exists(v, stride, n, cols, ahead, NOT_NUMBER, fresh, <uint8_t *> partial[0])


cdef void allnan_line(
        const floating *v, const floating *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    line_refuted(v, tail, n, NUMBER, fresh, <uint8_t *> partial[0])


cdef void allnan_rows(
        const floating *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_refuted(v, stride, n, cols, ahead, NUMBER, fresh, <uint8_t *> partial[0])


cdef void count_nonzero_line(
        const real *v, const real *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<int64_t *> partial[0])[0] = line_count(v, tail, n, TRUE) + (0 if fresh else (<int64_t *> partial[0])[0])


cdef void count_nonzero_rows(
        const real *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_count(v, stride, n, cols, ahead, TRUE, fresh, <int64_t *> partial[0])


cdef void nancount_line(
        const floating *v, const floating *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    (<int64_t *> partial[0])[0] = line_count(v, tail, n, NUMBER) + (0 if fresh else (<int64_t *> partial[0])[0])


cdef void nancount_rows(
        const floating *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
        Py_ssize_t start, bint fresh, void **partial) noexcept nogil:
    rows_count(v, stride, n, cols, ahead, NUMBER, fresh, <int64_t *> partial[0])


# ---- the answers of two runs of elements, made one

cdef void exists_merge(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(width):
        (<uint8_t *> a[0])[j] |= (<uint8_t *> b[0])[j]


cdef void refuted_merge(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(width):
        (<uint8_t *> a[0])[j] &= (<uint8_t *> b[0])[j]


cdef void count_merge(void **a, void **b, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(width):
        (<int64_t *> a[0])[j] += (<int64_t *> b[0])[j]


# ---- which functions make a kernel

cdef enum Kernel:
    ANY
    ALL
    COUNT_NONZERO
    ANYNAN
    ALLNAN
    NANCOUNT


cdef void bind_real(Job *job, Kernel kernel, real *_) noexcept nogil:
    cdef real pad = 0
    if kernel == ANY:
        job.line = <line_function> <void *> any_line[real]
        job.rows = <rows_function> <void *> any_rows[real]
    elif kernel == ALL:
        job.line = <line_function> <void *> all_line[real]
        job.rows = <rows_function> <void *> all_rows[real]
    elif kernel == COUNT_NONZERO:
        job.line = <line_function> <void *> count_nonzero_line[real]
        job.rows = <rows_function> <void *> count_nonzero_rows[real]
    if kernel == ALL:
        pad = 1
    memcpy(job.padding, &pad, sizeof(real))


cdef void bind_floating(Job *job, Kernel kernel, floating *_) noexcept nogil:
    cdef floating pad = NAN
    if kernel == ANYNAN:
        job.line = <line_function> <void *> anynan_line[floating]
        job.rows = <rows_function> <void *> anynan_rows[floating]
    elif kernel == ALLNAN:
        job.line = <line_function> <void *> allnan_line[floating]
        job.rows = <rows_function> <void *> allnan_rows[floating]
    elif kernel == NANCOUNT:
        job.line = <line_function> <void *> nancount_line[floating]
        job.rows = <rows_function> <void *> nancount_rows[floating]
    if kernel == ANYNAN:
        pad = 0
    memcpy(job.padding, &pad, sizeof(floating))


cdef bint bind(Job *job, Kernel kernel, char code) noexcept nogil:
    """Fill the job's functions. False where there is no kernel for this dtype."""
    job.line = NULL
    if kernel in (ANYNAN, ALLNAN, NANCOUNT):
        if code == b"d":
            bind_floating(job, kernel, <double *> NULL)
        elif code == b"f":
            bind_floating(job, kernel, <float *> NULL)
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
    elif code == b"B" or code == b"?":
        bind_real(job, kernel, <uint8_t *> NULL)
    elif code == b"H":
        bind_real(job, kernel, <uint16_t *> NULL)
    elif code == b"I":
        bind_real(job, kernel, <uint32_t *> NULL)
    elif code == b"Q":
        bind_real(job, kernel, <uint64_t *> NULL)
    job.merge = count_merge
    if kernel in (ANY, ANYNAN):
        job.decisive = 1
        job.merge = exists_merge
    elif kernel in (ALL, ALLNAN):
        job.decisive = 0
        job.merge = refuted_merge
    return job.line != NULL


cdef int run(Kernel kernel, object x, object where, object cursor, tuple outputs) except -1:
    cdef Job job
    cdef Views views
    cdef char code
    try:
        code = open_views(&views, &job, x, where, cursor, outputs)
        if not bind(&job, kernel, code):
            raise TypeError("no kernel for arrays of this dtype")
        run_job(&job, &views)
        return 0            # what follows the last row in memory may raise a flag, but nothing of which NumPy warns
    finally:
        close_views(&views)


cdef int merge(Kernel kernel, tuple outputs) except -1:
    """What chunks left in the outputs, folded into the first part."""
    cdef Job job
    bind(&job, kernel, b"d")
    merge_parts(&job, outputs)
    return 0


def any(x, where, cursor, truth):
    return run(ANY, x, where, cursor, (truth,))


def all(x, where, cursor, truth):
    return run(ALL, x, where, cursor, (truth,))


def anynan(x, where, cursor, truth):
    return run(ANYNAN, x, where, cursor, (truth,))


def allnan(x, where, cursor, truth):
    return run(ALLNAN, x, where, cursor, (truth,))


def count_nonzero(x, where, cursor, count):
    return run(COUNT_NONZERO, x, where, cursor, (count,))


def nancount(x, where, cursor, count):
    return run(NANCOUNT, x, where, cursor, (count,))


def fold_any(*outputs):
    return merge(ANY, outputs)


def fold_all(*outputs):
    return merge(ALL, outputs)


def fold_anynan(*outputs):
    return merge(ANYNAN, outputs)


def fold_allnan(*outputs):
    return merge(ALLNAN, outputs)


def fold_count_nonzero(*outputs):
    return merge(COUNT_NONZERO, outputs)


def fold_nancount(*outputs):
    return merge(NANCOUNT, outputs)


# ---- doors: small arrays, with all arguments but these at their defaults

cdef object NoValue = _NoValue
cdef object ndarray = _ndarray      # as a C variable, not looked up in the module at each call

cdef object true = True_
cdef object false = False_

# Counts of small arrays: making a scalar of a number takes 130 ns, a third of the whole call.
cdef tuple FEW = tuple([intp(i) for i in range(1024)])


cdef object small(Kernel kernel, object a, object axis, object keepdims, object where):
    cdef Job job
    cdef Small it
    cdef Py_buffer out
    cdef char code
    cdef int64_t i
    cdef bint counts = kernel in (COUNT_NONZERO, NANCOUNT)
    if type(a) is not ndarray or (keepdims is not True and keepdims is not False and keepdims is not NoValue):
        return None
    code = open_small(&it, &job, a, axis, where, False, 2 * LIMIT)
    if code == 0:
        return None
    it.partials = it.fixed
    try:
        if not bind(&job, kernel, code) or not partials_small(&it, &job, 1):
            return None
        job.size[0] = 8 if counts else 1
        run_small(&it, &job)
        shape = shape_small(&it, keepdims is True)
        if shape is None:
            if not counts:
                return true if it.partials[0] else false
            i = (<int64_t *> it.partials)[0]
            return FEW[i] if i < 1024 else intp(i)
        result = empty(shape, "i8" if counts else bool_)
        PyObject_GetBuffer(result, &out, PyBUF_FULL)
        memcpy(out.buf, it.partials, it.outputs * job.size[0])
        PyBuffer_Release(&out)
        return result.astype(intp, copy=False) if counts else result
    finally:
        close_small(&it)


def small_any(a, axis, keepdims, where=None):
    return small(ANY, a, axis, keepdims, where)


def small_all(a, axis, keepdims, where=None):
    return small(ALL, a, axis, keepdims, where)


def small_anynan(a, axis, keepdims):
    return small(ANYNAN, a, axis, keepdims, None)


def small_allnan(a, axis, keepdims):
    return small(ALLNAN, a, axis, keepdims, None)


def small_count_nonzero(a, axis, keepdims):
    return small(COUNT_NONZERO, a, axis, keepdims, None)


def small_nancount(a, axis, keepdims):
    return small(NANCOUNT, a, axis, keepdims, None)
