# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Lines divided around elements of given ranks: what is less, what is equal, what lies between two of them, and so on.

    divide     lines that fit into the caches, in which the pivots are searched first
    scatter    a chunk of one long line, around known pivots, to places that were counted before
    gather     the positions of few elements of one long line

Each class keeps its elements in their order, so that there is one result, whoever computes it. Results are elements or
their positions, and only the first ones where the result is shorter than the line. With `backwards` numbers are in
descending order; NaN comes last in any case.
"""
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from buffers cimport dtype_code, hold, release
from compress cimport SLACK, allcores_pick4, allcores_pick8, allcores_where4, allcores_where8
from cursor cimport PATIENCE, Cursor, allcores_ahead, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim
from keys cimport key, load_function, loader
from lines cimport AHEAD, ROWS, Lines, describe, line_offset, walk
from narrow cimport PIECE, Arena, ensure, largest, narrow, smallest
from reals cimport int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t

ctypedef fused key_or_less:
    int8_t
    int16_t
    int32_t
    int64_t

cdef enum:
    BLOCK = 32              # keys that are looked at together


cdef struct Target:
    # Where the results of one line go, how many fit there, and the elements of that line.
    char *out
    Py_ssize_t stride, n
    const char *x
    Py_ssize_t x_stride, itemsize
    bint positions          # results are positions, not elements
    bint backwards


cdef struct Division:
    Target target
    char *data              # of out
    Py_ssize_t *outer_strides
    Py_ssize_t stride, inner_stride
    Arena staged            # copies of a strip's elements and results, where these don't adjoin in memory
    const Py_ssize_t *ranks
    Py_ssize_t m
    int64_t *pivots         # the keys of the m pivots
    int64_t *next           # where the next element of each of the 2 m + 1 classes goes


cdef inline void give(Target *to, Py_ssize_t first, const int32_t *order, Py_ssize_t count, Py_ssize_t at) noexcept nogil:
    """Copy the elements at order[0], order[1], ..., counted from `first`, to out[at], out[at + 1], ..."""
    cdef Py_ssize_t i
    cdef int64_t position
    cdef char *out = to.out + at * to.stride
    cdef const char *x = to.x + first * to.x_stride
    if at + count > to.n:
        count = to.n - at
    if to.positions:
        for i in range(count):
            position = first + order[i]
            memcpy(out + i * to.stride, &position, 8)
    elif to.itemsize == 8:
        for i in range(count):
            memcpy(out + i * to.stride, x + order[i] * to.x_stride, 8)
    elif to.itemsize == 4:
        for i in range(count):
            memcpy(out + i * to.stride, x + order[i] * to.x_stride, 4)
    elif to.itemsize == 2:
        for i in range(count):
            memcpy(out + i * to.stride, x + order[i] * to.x_stride, 2)
    else:
        for i in range(count):
            out[i * to.stride] = x[order[i] * to.x_stride]


cdef inline Py_ssize_t members(const key *v, Py_ssize_t n, key low, key high, int32_t *order) noexcept nogil:
    """Which of the keys are from low to high."""
    if key is int32_t:
        return allcores_where4(v, n, <uint32_t> low, <uint32_t> high - <uint32_t> low, order)
    else:
        return allcores_where8(v, n, <uint64_t> low, <uint64_t> high - <uint64_t> low, order)


cdef inline void deliver(
        Target *to, const key *v, Py_ssize_t first, Py_ssize_t n, key low, key high, int64_t *next) noexcept nogil:
    """Copy the elements whose keys are from low to high to out[next], ..."""
    cdef int32_t order[PIECE + SLACK]
    cdef key picked[PIECE + SLACK]
    cdef Py_ssize_t count, most
    cdef const char *x = to.x + first * to.x_stride
    if to.positions or to.itemsize != sizeof(key) or to.x_stride != sizeof(key) or to.stride != sizeof(key):
        count = members(v, n, low, high, order)
        give(to, first, order, count, next[0])
    else:
        # This takes 14 ms for 7.3 M float64 on one core; copying them by their positions takes 18.
        if key is int32_t:
            count = allcores_pick4(v, x, n, <uint32_t> low, <uint32_t> high - <uint32_t> low, picked)
        else:
            count = allcores_pick8(v, x, n, <uint64_t> low, <uint64_t> high - <uint64_t> low, picked)
        most = count if next[0] + count <= to.n else to.n - next[0]
        memcpy(to.out + next[0] * to.stride, picked, most * sizeof(key))
    next[0] += count


cdef inline void distribute(
        Target *to, const key *v, Py_ssize_t first, Py_ssize_t n, const key *pivots, Py_ssize_t m, int64_t *next) noexcept nogil:
    """Copy at most PIECE elements, from position `first` on, to where their classes continue."""
    cdef int32_t place[PIECE]
    cdef int32_t position
    cdef Py_ssize_t c, i, left = n
    cdef key low, high
    if m > 2:
        # The class of a key is twice the number of pivots below it, and one more where it equals a pivot.
        for i in range(n):
            place[i] = 0
        for c in range(m):
            for i in range(n):
                place[i] += (v[i] > pivots[c]) + (v[i] >= pivots[c])
        for i in range(n):
            position = <int32_t> i
            give(to, first, &position, 1, next[place[i]])
            next[place[i]] += 1
        return
    for i in range(2 * m + 1):
        # Elements that equal a pivot come last: mostly there are none left to look for.
        c = 2 * i if i <= m else 2 * (i - m) - 1
        if left == 0:
            return
        if next[c] >= to.n:
            continue
        if c & 1:
            low = pivots[c // 2]
            high = low
        else:
            low = smallest(<key *> NULL)
            high = largest(<key *> NULL)
            if (c > 0 and pivots[c // 2 - 1] == high) or (c < 2 * m and pivots[c // 2] == low):
                continue            # no key lies beyond this pivot
            if c > 0:
                low = pivots[c // 2 - 1] + 1
            if c < 2 * m:
                high = pivots[c // 2] - 1
            if low > high:
                continue
        left += next[c]
        deliver(to, v, first, n, low, high, &next[c])
        left -= next[c]


cdef inline void reverse_order(key *v, Py_ssize_t n, bint may_miss) noexcept nogil:
    """Make the larger key the smaller one, for descending order; NaN stays the largest."""
    cdef Py_ssize_t i
    cdef key missing = largest(<key *> NULL)
    if may_miss:
        for i in range(n):
            v[i] = missing if v[i] == missing else ~v[i]
    else:
        for i in range(n):
            v[i] = ~v[i]


cdef inline int one_line(Lines *job, key *_) noexcept nogil:
    """Divide one line, whose keys come first in the arena."""
    cdef Division *own = <Division *> job.own
    cdef Target *to = &own.target
    cdef Py_ssize_t c, i, at = 0, n = job.n, m = 0, take
    cdef key *pivots = <key *> own.pivots
    cdef key *v
    cdef key less, same
    if ensure(&job.arena, 2 * n * <Py_ssize_t> sizeof(key)) < 0:
        return -1
    v = <key *> job.arena.data
    if to.backwards:
        reverse_order(v, n, job.may_miss)
    memcpy(<key *> job.arena.data + n, v, n * sizeof(key))
    if narrow(&job.arena, n, n, own.ranks, own.m, pivots) < 0:
        return -1
    v = <key *> job.arena.data
    for c in range(own.m):          # equal pivots become one
        if c == 0 or pivots[c] != pivots[m - 1]:
            pivots[m] = pivots[c]
            m += 1
    own.next[0] = 0
    for c in range(m):
        own.next[2 * c + 1] = 0
        own.next[2 * c + 2] = 0
        at = 0
        while at < n:
            take = PIECE if at + PIECE < n else n - at
            less = 0
            same = 0
            for i in range(take):
                less += v[at + i] < pivots[c]
                same += v[at + i] == pivots[c]
            own.next[2 * c + 1] += less
            own.next[2 * c + 2] += less + same
            at += take
    at = 0
    while at < n:
        take = PIECE if at + PIECE < n else n - at
        distribute(to, v + at, at, take, pivots, m, own.next)
        at += take
    return 0


cdef inline void copy_typed(
        const char *x, Py_ssize_t stride, Py_ssize_t n, char *to, Py_ssize_t step, key_or_less *_) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(to + i * step, x + i * stride, sizeof(key_or_less))


cdef inline void copy(
        const char *x, Py_ssize_t stride, Py_ssize_t n, char *to, Py_ssize_t step, Py_ssize_t itemsize) noexcept nogil:
    """Copy n elements, `stride` bytes apart, to places `step` bytes apart."""
    if itemsize == 8:
        copy_typed(x, stride, n, to, step, <int64_t *> NULL)
    elif itemsize == 4:
        copy_typed(x, stride, n, to, step, <int32_t *> NULL)
    elif itemsize == 2:
        copy_typed(x, stride, n, to, step, <int16_t *> NULL)
    else:
        copy_typed(x, stride, n, to, step, <int8_t *> NULL)


cdef inline int strip(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first, key *_) noexcept nogil:
    """Divide the lines of a strip. Columns are transposed before and after in blocks of rows, so that whole cache lines are
    read and written: 26 instead of 36 ms for 7.3 M float64."""
    cdef Division *own = <Division *> job.own
    cdef Target *to = &own.target
    cdef Py_ssize_t size = job.itemsize, pitch = (job.n + 8) * size, i, l, rows, position
    cdef bint adjoin = job.inner > 1
    cdef bint staged = adjoin or own.stride != to.stride
    cdef char *elements
    cdef char *results
    cdef char *out = NULL
    if ensure(&job.arena, job.n * <Py_ssize_t> sizeof(key)) < 0:
        return -1
    if ensure(&own.staged, lines * (pitch + to.n * to.stride)) < 0:
        return -1
    elements = own.staged.data
    results = elements + lines * pitch
    i = 0
    while adjoin and i < job.n:
        rows = ROWS if i + ROWS < job.n else job.n - i
        allcores_ahead_rows(
            line[0] + i * job.n_stride, job.n_stride, <int> rows, lines * job.inner_stride, AHEAD * job.n_stride)
        for l in range(lines):
            copy(line[0] + i * job.n_stride + l * job.inner_stride, job.n_stride, rows, elements + l * pitch + i * size,
                 size, size)
        i += ROWS
    for l in range(lines):
        to.x = elements + l * pitch
        if not adjoin and job.n_stride == size:
            to.x = line[l]
        elif not adjoin:
            copy(line[l], job.n_stride, job.n, elements + l * pitch, size, size)
        job.load(to.x, size, job.n, job.arena.data, 1)
        position = first + (0 if adjoin else l)
        out = own.data + line_offset(job.outer_ndim, job.outer_shape, own.outer_strides, position // job.inner)
        out += position % job.inner * own.inner_stride
        to.out = results + l * to.n * to.stride if staged else out
        if one_line(job, <key *> NULL) < 0:
            return -1
        if staged and not adjoin:
            copy(to.out, to.stride, to.n, out, own.stride, to.stride)
    i = 0
    while adjoin and i < to.n:
        rows = ROWS if i + ROWS < to.n else to.n - i
        for l in range(lines):
            copy(results + (l * to.n + i) * to.stride, to.stride, rows, out + i * own.stride + l * own.inner_stride,
                 own.stride, to.stride)
        i += ROWS
    return 0


cdef int strip4(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first) noexcept nogil:
    return strip(job, line, lines, first, <int32_t *> NULL)


cdef int strip8(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first) noexcept nogil:
    return strip(job, line, lines, first, <int64_t *> NULL)


def divide(x, ranks, positions, backwards, cursor, out):
    """Lines of x, divided around the elements of `ranks`, which are in order, to the lines of out."""
    cdef Lines job
    cdef Division own
    cdef Py_buffer view[4]
    cdef int failed, d
    job.arena.data = NULL
    job.arena.room = 0
    job.own = &own
    hold(view, (x, ranks, cursor, out), 2)
    try:
        describe(&job, &view[0])
        job.strip = strip8 if job.itemsize == 8 else strip4
        d = view[3].ndim - 2
        own.ranks = <const Py_ssize_t *> view[1].buf
        own.m = view[1].shape[0]
        own.data = <char *> view[3].buf
        own.outer_strides = view[3].strides
        own.inner_stride = view[3].strides[d + 1]
        own.stride = view[3].strides[d]
        own.staged.data = NULL
        own.staged.room = 0
        own.target.stride = view[3].itemsize
        own.target.n = view[3].shape[d]
        own.target.x_stride = job.itemsize
        own.target.itemsize = job.itemsize
        own.target.positions = positions
        own.target.backwards = backwards
        with nogil:
            own.pivots = <int64_t *> malloc((3 * own.m + 1) * sizeof(int64_t))
            failed = -1
            if own.pivots != NULL:
                own.next = own.pivots + own.m
                failed = walk(&job, <Cursor *> view[2].buf)
            free(own.pivots)
            free(own.staged.data)
            free(job.arena.data)
        if failed < 0:
            raise MemoryError("no memory for the lines of a chunk")
        return 0
    finally:
        release(view, 4)


# ---- one long line

cdef void scatter_chunks(
        Target *to, load_function load, bint may_miss, Py_ssize_t n, const int64_t *pivots, Py_ssize_t m, int64_t *next,
        Cursor *cursor, key *own) noexcept nogil:
    """`next`: for each chunk and class where its elements go. `own`: room for m keys."""
    cdef key piece[PIECE]
    cdef Py_ssize_t run = cursor.leaves, chunk, at, last, take, c
    cdef int64_t deadline = allcores_clock() + PATIENCE
    for c in range(m):
        own[c] = <key> pivots[c]
    while True:
        chunk = claim(cursor, deadline)
        if chunk < 0:
            return
        at = chunk * run
        last = at + run if at + run < n else n
        while at < last:
            take = PIECE if at + PIECE < last else last - at
            if to.x_stride == to.itemsize:
                allcores_ahead(to.x + at * to.x_stride, <int> (take * to.itemsize))
            load(to.x + at * to.x_stride, to.x_stride, take, piece, 1)
            if to.backwards:
                reverse_order(piece, take, may_miss)
            distribute(to, piece, at, take, own, m, next + chunk * (2 * m + 1))
            at += take
        allcores_fetch_add(&cursor.done, 1)


def scatter(x, pivots, next, positions, backwards, cursor, out):
    """x and out of one dimension. `pivots` are keys, all different and in order (backwards: keys of the reverse order).

    next[chunk, class]: where the first element of a class in a chunk goes. It is moved on.
    """
    cdef Target to
    cdef Py_buffer view[5]
    cdef char code
    cdef Py_ssize_t n, m
    cdef bint may_miss
    cdef int64_t *own
    cdef load_function load
    hold(view, (x, pivots, next, cursor, out), 2)
    try:
        code = dtype_code(&view[0])
        load = loader(code)
        if load == NULL:
            raise TypeError("no kernel for arrays of this dtype")
        may_miss = code == b"d" or code == b"f"
        n = view[0].shape[0]
        m = view[1].shape[0]
        to.x = <const char *> view[0].buf
        to.x_stride = view[0].strides[0]
        to.itemsize = view[0].itemsize
        to.positions = positions
        to.backwards = backwards
        to.out = <char *> view[4].buf
        to.stride = view[4].strides[0]
        to.n = view[4].shape[0]
        with nogil:
            own = <int64_t *> malloc(m * sizeof(int64_t))
            if own != NULL and to.itemsize == 8:
                scatter_chunks(&to, load, may_miss, n, <const int64_t *> view[1].buf, m, <int64_t *> view[2].buf,
                               <Cursor *> view[3].buf, own)
            elif own != NULL:
                scatter_chunks(&to, load, may_miss, n, <const int64_t *> view[1].buf, m, <int64_t *> view[2].buf,
                               <Cursor *> view[3].buf, <int32_t *> own)
            free(own)
        if own == NULL:
            raise MemoryError("no memory for pivots")
        return 0
    finally:
        release(view, 5)


# ---- few elements of one long line

cdef inline Py_ssize_t positions_of(
        const key *v, Py_ssize_t n, key low, key high, int64_t first, int64_t *out, int64_t room) noexcept nogil:
    """Write down the positions of keys from low to high, counted from `first`, `room` of them at most; return how many."""
    cdef Py_ssize_t at = 0, i, count = 0
    cdef key any
    while at < n:
        any = 0
        for i in range(BLOCK):          # few blocks have such a key; the last block is filled up with other keys
            any |= (v[at + i] >= low) & (v[at + i] <= high)
        if any:
            for i in range(at, at + BLOCK):
                if low <= v[i] <= high:
                    if count < room:
                        out[count] = first + i
                    count += 1
        at += BLOCK
    return count


cdef void gather_chunks(
        const char *x, Py_ssize_t stride, Py_ssize_t itemsize, Py_ssize_t n, load_function load, key low, key high,
        Cursor *cursor, int64_t *counts, int64_t *kept, int64_t most) noexcept nogil:
    cdef key piece[PIECE]
    cdef Py_ssize_t run = cursor.leaves, chunk, at, last, take, i
    cdef int64_t count
    cdef int64_t deadline = allcores_clock() + PATIENCE
    while True:
        chunk = claim(cursor, deadline)
        if chunk < 0:
            return
        at = chunk * run
        last = at + run if at + run < n else n
        count = 0
        while at < last:
            take = PIECE if at + PIECE < last else last - at
            if stride == itemsize:
                allcores_ahead(x + at * stride, <int> (take * itemsize))
            load(x + at * stride, stride, take, piece, 1)
            for i in range(take, (take + BLOCK - 1) // BLOCK * BLOCK):
                piece[i] = high + 1 if high < largest(<key *> NULL) else low - 1
            count += positions_of(piece, take, low, high, at, kept + chunk * most + (count if count < most else most),
                                  most - count if count < most else 0)
            at += take
        counts[chunk] = count
        allcores_fetch_add(&cursor.done, 1)


def gather(x, low, high, cursor, counts, kept):
    """kept[chunk]: where in x, of one dimension, elements with keys from low to high are. counts: how many they are,
    even if not all of them fit."""
    cdef Py_buffer view[4]
    cdef char code
    cdef load_function load
    cdef int64_t begin = low, end = high
    hold(view, (x, cursor, counts, kept), 1)
    try:
        code = dtype_code(&view[0])
        load = loader(code)
        if load == NULL:
            raise TypeError("no kernel for arrays of this dtype")
        with nogil:
            if view[0].itemsize == 8:
                gather_chunks(<const char *> view[0].buf, view[0].strides[0], view[0].itemsize, view[0].shape[0], load,
                              begin, end, <Cursor *> view[1].buf, <int64_t *> view[2].buf, <int64_t *> view[3].buf,
                              view[3].shape[1])
            else:
                gather_chunks(<const char *> view[0].buf, view[0].strides[0], view[0].itemsize, view[0].shape[0], load,
                              <int32_t> begin, <int32_t> end, <Cursor *> view[1].buf, <int64_t *> view[2].buf,
                              <int64_t *> view[3].buf, view[3].shape[1])
        return 0
    finally:
        release(view, 4)
