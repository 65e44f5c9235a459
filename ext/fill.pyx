# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Filling the gaps of series with the last number before them, and replacing values in place.

A chunk of a series that is cut along n needs the last number before its beginning. `ends_push` notes the position of
the last number of every chunk, looking backwards from its end: a few elements where numbers are frequent, and at most
every element once. Looking backwards from each chunk's beginning would read a series of NaN once for each chunk.

Elements are moved, never computed with.
"""
from libc.float cimport FLT_MAX
from libc.math cimport fabs
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from bitset cimport allcores_bits, allcores_lowest
from buffers cimport PyBUF_FULL, PyBuffer_Release, PyObject_GetBuffer, dtype_code, hold, release
from cursor cimport (
    PATIENCE, Cursor, allcores_ahead, allcores_ahead_rows, allcores_clock, allcores_fetch_add)
from reals cimport int8_t, int16_t, int32_t, real, uint8_t, uint16_t, uint32_t, uint64_t
from views cimport Chunk, View, line_of, next_chunk, view_of
from window cimport SMALL, PyErr_Clear, columns_adjoin, get_buffer, open_small

from numpy import empty_like

cdef enum:
    EXACT = 1 << 24         # float32 has all integers up to this one
    WIDTH = 512             # columns that are filled at a time
    BLOCK = 256             # elements that are looked at before any is written
    WORD = 64               # elements whose gaps are the bits of a word
    FEW = 12                # up to so many gaps of a word are filled one by one; with as many, looking at each element is as fast
    FEW_LIMITED = 24        # the same where there is a limit
    SOON = 16               # rows between the one that is computed and the one that is prefetched


# ---- push

# Elements are chosen by masks of bits. gcc 12 makes branches of `a if b else c` on floats here, which random gaps mispredict
# (7.3 M elements, half of them NaN: 40 instead of 10 ms).

cdef extern from *:
    """
    #define ALLCORES_MAGNITUDE INT64_C(0x7fffffffffffffff)
    #define ALLCORES_INFINITE INT64_C(0x7ff0000000000000)
    /* 1 << i from a table: shifts by a variable do not vectorise below v3. */
    #define ALLCORES_EIGHT(i) 1ULL << (i), 2ULL << (i), 4ULL << (i), 8ULL << (i), 16ULL << (i), 32ULL << (i), \\
        64ULL << (i), 128ULL << (i)
    static const uint64_t allcores_bit[64] = {
        ALLCORES_EIGHT(0), ALLCORES_EIGHT(8), ALLCORES_EIGHT(16), ALLCORES_EIGHT(24), ALLCORES_EIGHT(32),
        ALLCORES_EIGHT(40), ALLCORES_EIGHT(48), ALLCORES_EIGHT(56)};
    """
    const int64_t MAGNITUDE "ALLCORES_MAGNITUDE"
    const int64_t INFINITE "ALLCORES_INFINITE"
    const int32_t MAGNITUDE_32 "0x7fffffff"
    const int32_t INFINITE_32 "0x7f800000"
    const uint64_t *BIT "allcores_bit"

ctypedef fused bits:
    int32_t
    int64_t


cdef inline bits gap_mask(bits v) noexcept nogil:
    """All ones for NaN, whatever its sign."""
    if bits is int64_t:
        return -<bits> ((v & MAGNITUDE) > INFINITE)
    else:
        return -<bits> ((v & MAGNITUDE_32) > INFINITE_32)


cdef inline uint64_t copied(const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t n, bits *_) noexcept nogil:
    """Copy n elements, 64 at most. Bit i is set where element i is missing."""
    cdef uint64_t found = 0
    cdef Py_ssize_t i
    cdef bits v
    for i in range(n):
        memcpy(&v, x + i * xs, sizeof(bits))
        found |= <uint64_t> (<int64_t> gap_mask(v)) & BIT[i]
        memcpy(out + i * os, &v, sizeof(bits))
    return found


cdef inline void fill_few(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, uint64_t found, bits *last, int64_t *run,
        int64_t limit) noexcept nogil:
    """Fill a word gap after gap."""
    cdef bits w = last[0], v, apart, far
    cdef int64_t gaps = run[0]
    cdef Py_ssize_t i, before = -1
    while found:
        i = allcores_lowest(found)
        found &= found - 1
        apart = -<bits> (i != before + 1)
        memcpy(&v, x + (i - 1 if i else 0) * xs, sizeof(bits))
        w = (v & apart) | (w & ~apart)
        gaps = (gaps & ~<int64_t> apart) + 1
        memcpy(&v, x + i * xs, sizeof(bits))
        far = -<bits> (gaps > limit)
        v = (v & far) | (w & ~far)
        memcpy(out + i * os, &v, sizeof(bits))
        before = i
    last[0] = w
    run[0] = gaps


cdef inline void fill_many(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t n, bits *last, int64_t *run, int64_t limit,
        bint limited) noexcept nogil:
    """Fill a word element after element. What does not depend on the element before is done in a loop of its own."""
    cdef bits value[WORD]
    cdef bits gap[WORD]
    cdef int64_t many[WORD]         # for each element, the gaps up to it
    cdef bits w = last[0], v, far
    cdef int64_t gaps = run[0]
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(&v, x + i * xs, sizeof(bits))
        gap[i] = gap_mask(v)
        value[i] = v & ~gap[i]
    if limited:
        for i in range(n):
            gaps = (gaps + 1) & <int64_t> gap[i]
            many[i] = gaps
            w = value[i] | (w & gap[i])
            value[i] = w
        for i in range(n):
            memcpy(&v, x + i * xs, sizeof(bits))
            far = -<bits> (many[i] > limit)
            v = (v & far) | (value[i] & ~far)
            memcpy(out + i * os, &v, sizeof(bits))
    else:
        for i in range(n):
            w = value[i] | (w & gap[i])
            memcpy(out + i * os, &w, sizeof(bits))
        gaps = 0                    # not counted; what was known is of the beginning, where no number came before
    last[0] = w
    run[0] = gaps


cdef inline void push_word(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t n, bits *last, int64_t *run, int64_t limit,
        bint limited) noexcept nogil:
    """Fill up to 64 elements."""
    cdef int few = FEW_LIMITED if limited else FEW
    cdef uint64_t found
    if n == WORD:
        found = copied(x, xs, out, os, WORD, last)
    else:
        found = copied(x, xs, out, os, n, last)
    if allcores_bits(found) > few:
        fill_many(x, xs, out, os, n, last, run, limit, limited)
        return
    if found:
        fill_few(x, xs, out, os, found, last, run, limit)
    if not found >> (n - 1):
        memcpy(last, x + (n - 1) * xs, sizeof(bits))
        run[0] = 0


cdef inline void push_elements(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t n, bits last, int64_t run, int64_t limit,
        bint limited) noexcept nogil:
    """Fill a part of a line. `last` is the last number before it, after which `run` gaps come. Elements that don't adjoin are
    gathered first."""
    cdef Py_ssize_t size = sizeof(bits), most, i
    cdef bits here[WORD]
    cdef bits there[WORD]
    while n > 0:
        most = WORD if n > WORD else n
        if xs == size and os == size:
            allcores_ahead(x, WORD * sizeof(bits))
            allcores_ahead(out, WORD * sizeof(bits))
            push_word(x, size, out, size, most, &last, &run, limit, limited)
        else:
            for i in range(most):
                memcpy(&here[i], x + i * xs, sizeof(bits))
            push_word(<const char *> here, size, <char *> there, size, most, &last, &run, limit, limited)
            for i in range(most):
                memcpy(out + i * os, &there[i], sizeof(bits))
        x += most * xs
        out += most * os
        n -= most


cdef inline void push_line(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t begin, Py_ssize_t end, int64_t seed,
        Py_ssize_t limit, bits *_) noexcept nogil:
    cdef Py_ssize_t size = sizeof(bits)
    cdef bits last
    cdef Py_ssize_t ago = limit + 1
    if seed >= 0:
        memcpy(&last, x + seed * xs, sizeof(bits))
        ago = begin - seed
    else:
        memcpy(&last, x + begin * xs, sizeof(bits))
    x += begin * xs
    out += begin * os
    if limit < end and xs == size and os == size:
        push_elements(x, size, out, size, end - begin, last, ago - 1, limit, True)
    elif xs == size and os == size:
        push_elements(x, size, out, size, end - begin, last, ago - 1, limit, False)
    else:
        push_elements(x, xs, out, os, end - begin, last, ago - 1, limit, limit < end)


cdef inline void push_row(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t width, bits *last) noexcept nogil:
    cdef Py_ssize_t j
    cdef bits v, gap
    for j in range(width):
        memcpy(&v, x + j * xs, sizeof(bits))
        gap = gap_mask(v)
        v = (v & ~gap) | (last[j] & gap)
        last[j] = v
        memcpy(out + j * os, &v, sizeof(bits))


cdef inline void push_row_at_most(
        const char *x, Py_ssize_t xs, char *out, Py_ssize_t os, Py_ssize_t width, bits *last, int64_t *until,
        int64_t i, int64_t limit) noexcept nogil:
    cdef Py_ssize_t j
    cdef bits v, w, gap, far
    for j in range(width):
        memcpy(&v, x + j * xs, sizeof(bits))
        gap = gap_mask(v)
        until[j] = ((i + limit) & ~<int64_t> gap) | (until[j] & <int64_t> gap)
        w = (v & ~gap) | (last[j] & gap)
        last[j] = w
        far = -<bits> (i > until[j])
        v = (v & far) | (w & ~far)
        memcpy(out + j * os, &v, sizeof(bits))


cdef inline void push_columns(
        const char *x, Py_ssize_t xn, Py_ssize_t xs, char *out, Py_ssize_t on, Py_ssize_t os, Py_ssize_t begin,
        Py_ssize_t end, Py_ssize_t width, const int64_t *seed, Py_ssize_t limit, bits *_) noexcept nogil:
    cdef bits last[WIDTH]
    cdef int64_t until[WIDTH]       # the position up to which a number is pushed
    cdef Py_ssize_t size = sizeof(bits), i, j
    for j in range(width):
        memcpy(&last[j], x + begin * xn + j * xs, sizeof(bits))
        until[j] = -1
        if seed != NULL and seed[j] >= 0:
            memcpy(&last[j], x + seed[j] * xn + j * xs, sizeof(bits))
            until[j] = seed[j] + limit
    for i in range(begin, end):
        if xs == size and os == size:
            allcores_ahead_rows(x + i * xn, xn, 1, width * size, SOON * xn)
            allcores_ahead_rows(out + i * on, on, 1, width * size, SOON * on)
        if limit < end and xs == size and os == size:
            push_row_at_most(x + i * xn, size, out + i * on, size, width, last, until, i, limit)
        elif limit < end:
            push_row_at_most(x + i * xn, xs, out + i * on, os, width, last, until, i, limit)
        elif xs == size and os == size:
            push_row(x + i * xn, size, out + i * on, size, width, last)
        else:
            push_row(x + i * xn, xs, out + i * on, os, width, last)


cdef inline void push_chunk(
        View *x, View *out, Chunk *chunk, Py_ssize_t parts, const int64_t *seeds, Py_ssize_t limit,
        bits *_) noexcept nogil:
    cdef Py_ssize_t position, at, width
    cdef char *a
    cdef char *b
    cdef const int64_t *seed
    for position in range(chunk.first, chunk.last):
        a = line_of(x, position)
        b = line_of(out, position)
        seed = NULL if seeds == NULL else seeds + (position * parts + chunk.part) * x.inner
        if x.inner == 1:
            push_line(
                a, x.n_stride, b, out.n_stride, chunk.begin, chunk.end, -1 if seed == NULL else seed[0], limit, _)
            continue
        at = chunk.left
        while at < chunk.right:
            width = WIDTH if at + WIDTH < chunk.right else chunk.right - at
            push_columns(
                a + at * x.inner_stride, x.n_stride, x.inner_stride, b + at * out.inner_stride, out.n_stride,
                out.inner_stride, chunk.begin, chunk.end, width, NULL if seed == NULL else seed + at, limit, _)
            at += WIDTH


def push(a, seeds, limit, cursor, out):
    """`seeds` (outer, parts, inner): the position of the last number before each chunk, or -1; None: no chunk has one."""
    cdef Py_buffer view[4]
    cdef View x, to
    cdef Chunk chunk
    cdef Cursor *shared
    cdef Py_ssize_t most = limit, parts = 1
    cdef const int64_t *seed
    cdef int64_t deadline
    hold(view, (a, seeds, cursor, out), 2)
    try:
        seed = <const int64_t *> view[1].buf
        if seed != NULL:
            parts = view[1].shape[1]
        view_of(&x, &view[0])
        view_of(&to, &view[3])
        if x.code not in (b"d", b"f") or to.code != x.code:
            raise TypeError("no kernel for arrays of this dtype")
        shared = <Cursor *> view[2].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, x.outer, x.n, x.inner, &chunk):
                if x.code == b"d":
                    push_chunk(&x, &to, &chunk, parts, seed, most, <int64_t *> NULL)
                else:
                    push_chunk(&x, &to, &chunk, parts, seed, most, <int32_t *> NULL)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 4)


cdef inline int64_t last_number(
        const char *x, Py_ssize_t stride, Py_ssize_t begin, Py_ssize_t end, bits *_) noexcept nogil:
    cdef Py_ssize_t i = end - 1
    cdef bits v
    while i >= begin:
        memcpy(&v, x + i * stride, sizeof(bits))
        if not gap_mask(v):
            return i
        i -= 1
    return -1


def ends_push(a, run, cursor, last):
    """The position of the last number in each run of n, or -1. Chunks are single runs: the grid's n counts them."""
    cdef Py_buffer view[3]
    cdef View x, to
    cdef Chunk chunk
    cdef Cursor *shared
    cdef Py_ssize_t length = run, position, part, end, column
    cdef char *line
    cdef int64_t *found
    cdef int64_t deadline
    hold(view, (a, last, cursor), 1)
    try:
        view_of(&x, &view[0])
        view_of(&to, &view[1])
        if x.code not in (b"d", b"f") or to.code != b"q":
            raise TypeError("no kernel for arrays of this dtype")
        shared = <Cursor *> view[2].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, x.outer, to.n, x.inner, &chunk):
                for position in range(chunk.first, chunk.last):
                    line = line_of(&x, position)
                    for part in range(chunk.begin, chunk.end):
                        end = (part + 1) * length if (part + 1) * length < x.n else x.n
                        found = <int64_t *> to.data + (position * to.n + part) * x.inner
                        for column in range(chunk.left, chunk.right):
                            if x.code == b"d":
                                found[column] = last_number(
                                    line + column * x.inner_stride, x.n_stride, part * length, end, <int64_t *> NULL)
                            else:
                                found[column] = last_number(
                                    line + column * x.inner_stride, x.n_stride, part * length, end, <int32_t *> NULL)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 3)


# ---- the fast path of small arrays: without views, grids, cursors and teams, which take 15 us

cdef inline void small_view(View *to, Py_buffer *view, int along, bint backwards) noexcept nogil:
    """A view of one or two dimensions."""
    cdef int other = 1 - along if view.ndim == 2 else -1
    to.data = <char *> view.buf
    to.code = dtype_code(view)
    to.n = view.shape[along]
    to.n_stride = view.strides[along]
    to.outer = 1
    to.outer_ndim = 0
    to.inner = 1
    to.inner_stride = view.itemsize
    if backwards:
        to.data += (to.n - 1) * to.n_stride
        to.n_stride = -to.n_stride
    if other >= 0 and columns_adjoin(view, along):
        to.inner = view.shape[other]
        to.inner_stride = view.strides[other]
    elif other >= 0:
        to.outer = view.shape[other]
        to.outer_ndim = 1
        to.outer_shape = view.shape + other
        to.outer_strides = view.strides + other


cdef object filled(object a, object limit, object axis, bint backwards):
    """The gaps of a small array filled, as the public function returns it; None for what the engine has to look at."""
    cdef Py_buffer view[2]
    cdef View x, to
    cdef Chunk chunk
    cdef Py_ssize_t most
    cdef int held = 0, along, f
    if limit is not None and (type(limit) is not int or limit < 0):
        return None
    try:
        if not open_small(&view[0], a, axis, &along):
            return None
        held += 1
        small_view(&x, &view[0], along, backwards)
        if x.code not in (b"d", b"f"):
            return None
        out = empty_like(a)
        PyObject_GetBuffer(out, &view[1], PyBUF_FULL)
        held += 1
        small_view(&to, &view[1], along, backwards)
        most = x.n if limit is None or limit > x.n else limit
        chunk.first = 0
        chunk.last = x.outer
        chunk.begin = 0
        chunk.end = x.n
        chunk.left = 0
        chunk.right = x.inner
        chunk.part = 0
        with nogil:
            if x.code == b"d":
                push_chunk(&x, &to, &chunk, 1, NULL, most, <int64_t *> NULL)
            else:
                push_chunk(&x, &to, &chunk, 1, NULL, most, <int32_t *> NULL)
        return out
    finally:
        for f in range(held):
            PyBuffer_Release(&view[f])


def small_push(a, n, axis):
    return filled(a, n, axis, False)


def small_ffill(a, limit, axis):
    return filled(a, limit, axis, False)


def small_bfill(a, limit, axis):
    return filled(a, limit, axis, True)


# ---- replace

cdef inline bint is_old(real v, real old, bint missing) noexcept nogil:
    return v != v if missing else v == old


cdef inline void replace_elements(
        char *x, Py_ssize_t stride, Py_ssize_t n, real old, real new, bint missing) noexcept nogil:
    """Replace values. Nothing else is written, so that pages without such a value stay clean."""
    cdef Py_ssize_t at = 0, i, most
    cdef real v
    cdef int found
    while at < n:
        most = BLOCK if at + BLOCK < n else n - at
        found = 0
        for i in range(most):
            memcpy(&v, x + i * stride, sizeof(real))
            found |= is_old(v, old, missing)
        if found:
            for i in range(most):
                memcpy(&v, x + i * stride, sizeof(real))
                v = new if is_old(v, old, missing) else v
                memcpy(x + i * stride, &v, sizeof(real))
        x += most * stride
        at += BLOCK


cdef inline void replace_chunk(View *x, Chunk *chunk, real old, real new, bint missing) noexcept nogil:
    cdef Py_ssize_t position, size = sizeof(real)
    cdef char *line
    for position in range(chunk.first, chunk.last):
        line = line_of(x, position) + chunk.begin * x.n_stride
        if x.n_stride != size:
            replace_elements(line, x.n_stride, chunk.end - chunk.begin, old, new, missing)
        elif missing:
            replace_elements(line, size, chunk.end - chunk.begin, old, new, True)
        else:
            replace_elements(line, size, chunk.end - chunk.begin, old, new, False)


cdef int replace_all(View *x, Cursor *cursor, object old, object new, real *_) except -1:
    cdef bint missing = old != old
    cdef real before = 0 if missing else <real> old
    cdef real after = <real> new
    cdef Chunk chunk
    cdef int64_t deadline
    with nogil:
        deadline = allcores_clock() + PATIENCE
        while next_chunk(cursor, deadline, x.outer, x.n, x.inner, &chunk):
            replace_chunk(x, &chunk, before, after, missing)
            allcores_fetch_add(&cursor.done, 1)
    return 0


cdef int replace_in(View *x, Cursor *cursor, object old, object new) except -1:
    if x.code == b"d":
        return replace_all(x, cursor, old, new, <double *> NULL)
    if x.code == b"f":
        return replace_all(x, cursor, old, new, <float *> NULL)
    if x.code == b"b":
        return replace_all(x, cursor, old, new, <int8_t *> NULL)
    if x.code == b"h":
        return replace_all(x, cursor, old, new, <int16_t *> NULL)
    if x.code == b"i":
        return replace_all(x, cursor, old, new, <int32_t *> NULL)
    if x.code == b"q":
        return replace_all(x, cursor, old, new, <int64_t *> NULL)
    if x.code == b"B" or x.code == b"?":
        return replace_all(x, cursor, old, new, <uint8_t *> NULL)
    if x.code == b"H":
        return replace_all(x, cursor, old, new, <uint16_t *> NULL)
    if x.code == b"I":
        return replace_all(x, cursor, old, new, <uint32_t *> NULL)
    if x.code == b"Q":
        return replace_all(x, cursor, old, new, <uint64_t *> NULL)
    raise TypeError("no kernel for arrays of this dtype")


def replace(old, new, cursor, a):
    """Replace values in `a`, a view (outer..., n, 1)."""
    cdef Py_buffer view[2]
    cdef View x
    hold(view, (a, cursor), 0)
    try:
        view_of(&x, &view[0])
        return replace_in(&x, <Cursor *> view[1].buf, old, new)
    finally:
        release(view, 2)


cdef inline bint suits(char code, object value) except -1:
    """Whether an element of this dtype may get the value as it is: a number that it has, or that is rounded to one."""
    if code != b"d" and code != b"f":
        return type(value) is int
    if type(value) is int:
        return -EXACT <= value <= EXACT
    return isinstance(value, float) and (code == b"d" or value != value or value - value != 0 or fabs(value) <= FLT_MAX)


def small_replace(a, old, new):
    """`a`, in which a small array's elements are replaced; None for what the engine has to look at."""
    cdef Py_buffer view
    cdef View x
    cdef Cursor cursor
    if get_buffer(a, &view, PyBUF_FULL) < 0:
        PyErr_Clear()
        return None
    try:
        if not 1 <= view.ndim <= 2 or view.len == 0 or view.len > SMALL * view.itemsize:
            return None
        small_view(&x, &view, view.ndim - 1, False)
        if x.code == 0 or x.code == b"?" or x.inner > 1 or not suits(x.code, old) or not suits(x.code, new):
            return None
        cursor.next = 0
        cursor.end = 1
        cursor.stop = 0
        cursor.done = 0
        cursor.lines = x.outer
        cursor.leaves = x.n
        cursor.tile = 1
        replace_in(&x, &cursor, old, new)
        return a
    except OverflowError:
        return None             # no such integer
    finally:
        PyBuffer_Release(&view)
