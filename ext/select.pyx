# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Order statistics: elements of given ranks, of many lines that fit into the caches or of one that does not.

    pick             whole lines: a strip of them is loaded into scratch as keys, and searched there
    selection_pass   one long line, in chunks: what lies around brackets is counted, what lies inside is kept

Ranks and brackets come from _families/selection.py: a kernel knows neither quantiles nor their methods.
"""
from libc.float cimport DBL_MIN, FLT_MIN
from libc.math cimport NAN, fabs
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from buffers cimport PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer, dtype_code, hold, release
from compress cimport SLACK
from cursor cimport PATIENCE, Cursor, allcores_ahead, allcores_clock, allcores_fetch_add, claim
from keys cimport key, load_function, loader, store_d, store_f
from lines cimport SHORT, Lines, bring_up_columns, describe, walk
from narrow cimport FEW, PIECE, Arena, Split, ensure, largest, narrow, split
from quantile_methods cimport MEAN, MEDIAN, TAKE, Method, Mode, QuantileRanks, blend, ranks_of_quantile
from sorting_network cimport WIDTH, sort_rows
from reals cimport int32_t, int64_t, uint32_t

cdef enum:
    APART = 4               # up to so many brackets a key is compared with each; with more, the bracket is searched


cdef struct Wanted:
    # Which ranks are wanted of each line, and where the results go.
    const Py_ssize_t *ranks
    Py_ssize_t m            # ranks of a line
    int row                 # which row of ranks a line takes: 0 the first one, 1 that of its count of numbers, 2 its own
    int64_t *counts         # how many elements of each line are not NaN
    char *values            # (m, lines)
    Py_ssize_t *ordered     # the ranks of one line in order, then the place of each among the results
    int64_t *found          # the keys of these ranks


cdef inline const Py_ssize_t *ranks_of(Lines *job, Py_ssize_t line, Py_ssize_t count) noexcept nogil:
    """The ranks wanted of a line; NULL where its result is missing."""
    cdef Wanted *own = <Wanted *> job.own
    if count == 0 or (own.row == 0 and count < job.n):
        return NULL
    return own.ranks + (0 if own.row == 0 else count if own.row == 1 else line) * own.m


cdef inline void give(Lines *job, Py_ssize_t j, Py_ssize_t line, key k) noexcept nogil:
    cdef Wanted *own = <Wanted *> job.own
    job.store(&k, own.values + (j * job.outer * job.inner + line) * job.itemsize)


cdef inline void give_missing(Lines *job, Py_ssize_t line, key *_) noexcept nogil:
    cdef Wanted *own = <Wanted *> job.own
    cdef Py_ssize_t j
    for j in range(own.m):
        give(job, j, line, largest(<key *> NULL))


cdef inline Py_ssize_t numbers(const key *v, Py_ssize_t n) noexcept nogil:
    """How many keys are not that of NaN."""
    cdef Py_ssize_t at = 0, m, i, count = 0
    cdef key here, missing = largest(<key *> NULL)
    while at < n:
        m = PIECE if at + PIECE < n else n - at
        here = 0
        for i in range(m):
            here += v[at + i] != missing
        count += here
        at += m
    return count


cdef inline int search(Lines *job, Py_ssize_t begin, Py_ssize_t line, key *_) noexcept nogil:
    """Search a line whose keys are in the arena, from `begin`; what comes after them there is free to use."""
    cdef Wanted *own = <Wanted *> job.own
    cdef Py_ssize_t count = job.n, j, i, rank
    cdef const Py_ssize_t *ranks
    cdef Py_ssize_t *ordered = own.ordered
    cdef Py_ssize_t *order = own.ordered + own.m
    if job.may_miss:
        count = numbers(<key *> job.arena.data + begin, job.n)
    own.counts[line] = count
    ranks = ranks_of(job, line, count)
    if ranks == NULL:
        give_missing(job, line, <key *> NULL)
        return 0
    for j in range(own.m):          # an insertion sort: ranks mostly are in order already
        rank = ranks[j]
        i = j
        while i > 0 and ordered[i - 1] > rank:
            ordered[i] = ordered[i - 1]
            order[i] = order[i - 1]
            i -= 1
        ordered[i] = rank
        order[i] = j
    if narrow(&job.arena, begin, job.n, ordered, own.m, <key *> own.found) < 0:
        return -1
    for j in range(own.m):
        give(job, order[j], line, (<key *> own.found)[j])
    return 0


cdef inline int short_lines(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first, key *_) noexcept nogil:
    """Up to WIDTH lines, sorted side by side. `first` is the number of the first line."""
    cdef Wanted *own = <Wanted *> job.own
    cdef key *v
    cdef key count[WIDTH]
    cdef key missing = largest(<key *> NULL)
    cdef Py_ssize_t i, l, j
    cdef const Py_ssize_t *ranks
    cdef bint adjoin = job.inner > 1
    if ensure(&job.arena, job.n * WIDTH * <Py_ssize_t> sizeof(key)) < 0:
        return -1
    v = <key *> job.arena.data
    if adjoin:
        for i in range(job.n):
            job.load(line[0] + i * job.n_stride, job.inner_stride, lines, v + i * WIDTH, 1)
    else:
        for l in range(lines):
            job.load(line[l], job.n_stride, job.n, v + l, WIDTH)
    if lines < WIDTH:
        for i in range(job.n):
            for l in range(lines, WIDTH):
                v[i * WIDTH + l] = 0
    for l in range(WIDTH):
        count[l] = <key> job.n
    if job.may_miss:
        for i in range(job.n):
            for l in range(WIDTH):
                count[l] -= v[i * WIDTH + l] == missing
    sort_rows(v, job.n)
    for l in range(lines):
        own.counts[first + l] = count[l]
        ranks = ranks_of(job, first + l, count[l])
        if ranks == NULL:
            give_missing(job, first + l, <key *> NULL)
            continue
        for j in range(own.m):
            give(job, j, first + l, v[ranks[j] * WIDTH + l])
    return 0


cdef inline int long_columns(Lines *job, char *line, Py_ssize_t lines, Py_ssize_t first, key *_) noexcept nogil:
    cdef Py_ssize_t l, pitch = job.n + 8
    if ensure(&job.arena, lines * pitch * <Py_ssize_t> sizeof(key)) < 0:
        return -1
    bring_up_columns(job, line, lines, job.arena.data, pitch * <Py_ssize_t> sizeof(key))
    for l in range(lines - 1, -1, -1):
        if search(job, l * pitch, first + l, <key *> NULL) < 0:
            return -1
    return 0


cdef inline int strip(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first, key *_) noexcept nogil:
    """Search the lines of a strip: columns that adjoin, or lines of their own."""
    cdef Py_ssize_t l
    if job.n <= SHORT:
        return short_lines(job, line, lines, first, <key *> NULL)
    if job.inner > 1:
        return long_columns(job, line[0], lines, first, <key *> NULL)
    for l in range(lines):
        if ensure(&job.arena, (job.n + 1) * <Py_ssize_t> sizeof(key)) < 0:
            return -1
        job.load(line[l], job.n_stride, job.n, job.arena.data, 1)
        if search(job, 0, first + l, <key *> NULL) < 0:
            return -1
    return 0


cdef int strip4(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first) noexcept nogil:
    return strip(job, line, lines, first, <int32_t *> NULL)


cdef int strip8(Lines *job, char **line, Py_ssize_t lines, Py_ssize_t first) noexcept nogil:
    return strip(job, line, lines, first, <int64_t *> NULL)


def pick(x, ranks, row, cursor, values, counts):
    """values[j, line]: the element of rank ranks[.., j] of each line; NaN where there is none. counts: its numbers.

    Ranks are from 0. `row` says which ones: the first row of `ranks`, which is for lines without NaN (0), that of the
    count of numbers (1), or that of the line (2).
    """
    cdef Lines job
    cdef Wanted own
    cdef Py_buffer view[5]
    cdef int failed
    job.arena.data = NULL
    job.arena.room = 0
    job.own = &own
    own.row = row
    hold(view, (x, ranks, cursor, values, counts), 2)
    try:
        describe(&job, &view[0])
        job.strip = strip8 if job.itemsize == 8 else strip4
        own.ranks = <const Py_ssize_t *> view[1].buf
        own.m = view[1].shape[1]
        own.values = <char *> view[3].buf
        own.counts = <int64_t *> view[4].buf
        with nogil:
            own.ordered = <Py_ssize_t *> malloc(2 * own.m * sizeof(Py_ssize_t))
            own.found = <int64_t *> malloc(own.m * sizeof(int64_t))
            failed = -1
            if own.ordered != NULL and own.found != NULL:
                failed = walk(&job, <Cursor *> view[2].buf)
            free(own.ordered)
            free(own.found)
            free(job.arena.data)
        if failed < 0:
            raise MemoryError("no memory for the lines of a chunk")
        return 0
    finally:
        release(view, 5)


# ---- one long line

cdef struct Selection:
    char *data
    Py_ssize_t n, stride, itemsize
    load_function load
    bint may_miss
    const int64_t *brackets         # low, high; low, high; ... in order, apart from each other
    int groups
    const int64_t *begin            # for each chunk, where in `kept` it may write
    const int64_t *room             # for each chunk, how many keys it may write
    int64_t *counts                 # (chunks, 1 + 4 groups): numbers; below, at low, inside, at high of each bracket
    char *kept


cdef inline Py_ssize_t classify(
        const key *v, Py_ssize_t n, const key *edges, Py_ssize_t half, int64_t *tally, key *inside) noexcept nogil:
    """Count in tally[2 e] the keys that have e edges below them, in tally[2 e + 1] those that equal edge e. Keep those
    inside a bracket, which have an odd number of edges below them. There are 2 half - 1 edges, in order."""
    cdef Py_ssize_t i, j = 0, e, step
    cdef key k
    cdef bint equal
    for i in range(n):
        k = v[i]
        e = 0
        step = half
        while step > 0:
            e += step if edges[e + step - 1] < k else 0
            step >>= 1
        equal = edges[e] == k
        tally[2 * e + equal] += 1
        inside[j] = k
        j += (e & 1) & (not equal)
    return j


cdef inline int pass_classes(Selection *job, Py_ssize_t chunk, Py_ssize_t first, Py_ssize_t last, key *_) noexcept nogil:
    """`pass_chunk` for many brackets, among whose ends each key is searched. Returns -1 where there is no memory."""
    cdef key piece[PIECE]
    cdef key inside[PIECE + SLACK]
    cdef key *kept = <key *> job.kept + job.begin[chunk]
    cdef int64_t *counts = job.counts + chunk * (1 + 4 * job.groups)
    cdef int64_t room = job.room[chunk], most, below = 0
    cdef Py_ssize_t at = first, m, half = 1, i, count
    cdef int64_t *tally
    cdef key *edges
    cdef int g
    while 2 * half - 1 < 2 * job.groups:
        half *= 2
    tally = <int64_t *> calloc(4 * half, sizeof(int64_t))
    edges = <key *> malloc(2 * half * sizeof(key))
    if tally == NULL or edges == NULL:
        free(tally)
        free(edges)
        return -1
    for i in range(2 * half):       # unused edges are the largest key, which no key is above
        edges[i] = <key> job.brackets[i] if i < 2 * job.groups else largest(<key *> NULL)
    counts[0] = 0
    while at < last:
        m = PIECE if at + PIECE < last else last - at
        if job.stride == job.itemsize:
            allcores_ahead(job.data + at * job.stride, <int> (m * job.itemsize))
        job.load(job.data + at * job.stride, job.stride, m, piece, 1)
        counts[0] += numbers(piece, m) if job.may_miss else m
        count = classify(piece, m, edges, half, tally, inside)
        most = count if count < room else room
        memcpy(kept, inside, most * sizeof(key))
        kept += most
        room -= most
        at += m
    for g in range(job.groups):
        below += tally[4 * g]
        counts[1 + 4 * g] = below
        counts[2 + 4 * g] = tally[4 * g + 1]
        counts[3 + 4 * g] = tally[4 * g + 2]
        counts[4 + 4 * g] = tally[4 * g + 3]
        below += tally[4 * g + 1] + tally[4 * g + 2] + tally[4 * g + 3]
    free(tally)
    free(edges)
    return 0


cdef inline void pass_chunk(Selection *job, Py_ssize_t chunk, Py_ssize_t first, Py_ssize_t last, key *_) noexcept nogil:
    cdef key piece[PIECE]
    cdef key inside[PIECE + SLACK]
    cdef key *kept = <key *> job.kept + job.begin[chunk]
    cdef int64_t *counts = job.counts + chunk * (1 + 4 * job.groups)
    cdef int64_t room = job.room[chunk], most
    cdef Py_ssize_t at = first, m
    cdef Split s
    cdef int g
    for g in range(1 + 4 * job.groups):
        counts[g] = 0
    while at < last:
        m = PIECE if at + PIECE < last else last - at
        if job.stride == job.itemsize:
            allcores_ahead(job.data + at * job.stride, <int> (m * job.itemsize))
        job.load(job.data + at * job.stride, job.stride, m, piece, 1)
        counts[0] += numbers(piece, m) if job.may_miss else m
        for g in range(job.groups):
            s = split(piece, m, <key> job.brackets[2 * g], <key> job.brackets[2 * g + 1], inside)
            counts[1 + 4 * g] += s.below
            counts[2 + 4 * g] += s.at_low
            counts[3 + 4 * g] += s.inside
            counts[4 + 4 * g] += s.at_high
            most = s.inside if s.inside < room else room
            memcpy(kept, inside, most * sizeof(key))
            kept += most
            room -= most
        at += m


cdef int pass_chunks(Selection *job, Cursor *cursor, key *_) noexcept nogil:
    cdef Py_ssize_t run = cursor.leaves, chunk, last
    cdef int64_t deadline = allcores_clock() + PATIENCE
    while True:
        chunk = claim(cursor, deadline)
        if chunk < 0:
            return 0
        last = (chunk + 1) * run if (chunk + 1) * run < job.n else job.n
        if job.groups <= APART:
            pass_chunk(job, chunk, chunk * run, last, <key *> NULL)
        elif pass_classes(job, chunk, chunk * run, last, <key *> NULL) < 0:
            return -1
        allcores_fetch_add(&cursor.done, 1)


def selection_pass(x, brackets, begin, room, cursor, counts, kept):
    """Count the elements of x, of one dimension, around brackets of keys; keep what is inside, up to `room` a chunk."""
    cdef Selection job
    cdef Py_buffer view[7]
    cdef int failed
    cdef char code
    hold(view, (x, brackets, begin, room, cursor, counts, kept), 4)
    try:
        code = dtype_code(&view[0])
        job.load = loader(code)
        if job.load == NULL:
            raise TypeError("no kernel for arrays of this dtype")
        job.may_miss = code == b"d" or code == b"f"
        job.data = <char *> view[0].buf
        job.n = view[0].shape[0]
        job.stride = view[0].strides[0]
        job.itemsize = view[0].itemsize
        job.brackets = <const int64_t *> view[1].buf
        job.groups = <int> view[1].shape[0]
        job.begin = <const int64_t *> view[2].buf
        job.room = <const int64_t *> view[3].buf
        job.counts = <int64_t *> view[5].buf
        job.kept = <char *> view[6].buf
        with nogil:
            if job.itemsize == 8:
                failed = pass_chunks(&job, <Cursor *> view[4].buf, <int64_t *> NULL)
            else:
                failed = pass_chunks(&job, <Cursor *> view[4].buf, <int32_t *> NULL)
        if failed < 0:
            raise MemoryError("no memory for brackets")
        return 0
    finally:
        release(view, 7)


# ---- the door for small arrays

cdef inline double quantile_of(
        Arena *arena, const Py_buffer *a, load_function load, bint may_miss, double q, Method method, bint skip, char code,
        key *_) noexcept nogil:
    """The quantile of a line. NaN also where the fast path does not take it, because there may be something to warn of."""
    cdef Py_ssize_t n = a.shape[0], count = n
    cdef Py_ssize_t[2] ranks
    cdef key[2] found
    cdef double[2] value
    cdef float[2] single
    cdef QuantileRanks want
    cdef int j
    if ensure(arena, (2 * n + FEW) * <Py_ssize_t> sizeof(key)) < 0:
        return NAN
    load(<const char *> a.buf, a.strides[0], n, arena.data, 1)
    if may_miss:
        count = numbers(<key *> arena.data, n)
    if count == 0 or (count < n and not skip):
        return NAN
    want = ranks_of_quantile(count, q, method)
    ranks[0] = want.low
    ranks[1] = want.high
    if narrow(arena, 0, n, ranks, 2, found) < 0:
        return NAN
    if code == b"f":
        store_f(&found[0], <char *> &single[0])
        store_f(&found[1], <char *> &single[1])
        if want.mode == TAKE:
            return single[0] + 0.0
        single[0] = single[0] + single[1]
        single[1] = single[0] / 2
        return single[1] + 0.0 if fabs(single[1]) >= FLT_MIN or single[1] * 2 == single[0] else NAN
    for j in range(2):
        if code == b"d":
            store_d(&found[j], <char *> &value[j])
        elif code == b"I":
            value[j] = <uint32_t> found[j] ^ <uint32_t> 0x80000000
        else:
            value[j] = <double> found[j]
    return NAN if underflows(value[0], value[1], want.t, want.mode) else blend(value[0], value[1], want.t, want.mode)


cdef inline bint underflows(double a, double b, double t, Mode mode) noexcept nogil:
    """Whether a step of NumPy's on the way from two elements to their quantile may underflow."""
    cdef double span = b - a
    if mode == TAKE:
        return False
    if mode == MEAN:
        return fabs(a + b) < 2 * DBL_MIN and (a + b) / 2 * 2 != a + b
    return span != 0 and ((t > 0 and fabs(span * t) < DBL_MIN) or (0.5 <= t < 1 and fabs(span * (1 - t)) < DBL_MIN))


def small_quantile(a, double q, int method, bint skip):
    """A quantile of all elements of a small array of one dimension; None for what is not taken.

    float64 and integers of up to 32 bits; of float32 the median. Infinite and missing results are not taken either: there
    may be something to warn of.
    """
    cdef Py_buffer view
    cdef Arena arena
    cdef load_function load
    cdef double value = NAN
    cdef char code
    try:
        PyObject_GetBuffer(a, &view, PyBUF_FULL_RO)
    except Exception:
        return None
    code = dtype_code(&view)
    load = loader(code)
    if (view.ndim != 1 or view.shape[0] == 0 or load == NULL or code == b"q" or code == b"Q" or code == b"?"
            or (code == b"f" and method != MEDIAN)):
        PyBuffer_Release(&view)
        return None
    arena.data = NULL
    arena.room = 0
    with nogil:
        if code == b"d":
            value = quantile_of(&arena, &view, load, True, q, <Method> method, skip, code, <int64_t *> NULL)
        else:
            value = quantile_of(&arena, &view, load, code == b"f", q, <Method> method, skip, code, <int32_t *> NULL)
        free(arena.data)
    PyBuffer_Release(&view)
    return value if value - value == 0 else None
