# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Sorting and what follows from it: the order of elements, ranks, distinct values.

Lines that fit into the caches are sorted one by one, as ordered keys: see radix.pxd. Columns are loaded and written back
some at a time. Short lines are sorted 16 side by side, all by the same comparisons. A long line is cut twice:

    in_order      a cheap look first: a line that ascends or descends is copied, and nothing else is done
    spread        runs of the line, each sorted into buckets, which are ranges of keys       claimed: runs
                  line     | run 0         | run 1         | ...
                  parts    | 0 0 1 2 2 2 3 | 0 1 1 1 2 3 3 | ...
    gather_*      the pieces of one bucket, in order, sorted in the caches                   claimed: buckets

Both read each element once and write it once, and no worker writes to more places at a time than its caches have room for.
Integers from a narrow range are counted instead. Every step is stable, and equal keys are always in the same bucket.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cpython.buffer cimport PyBuffer_IsContiguous

from buffers cimport dtype_code, hold, release
from cursor cimport PATIENCE, Cursor, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim
from radix cimport (
    TALLIES, even, exchange_rows, is_floating, is_wide, minus_zero, note_zeros, order_keys, put_zeros, read_keys,
    sort_keys, word, write_keys)
from reals cimport uint8_t, uint16_t, uint32_t, uint64_t
from views cimport Chunk, View, line_of, next_chunk, view_of

cdef enum:
    BLOCK = 2048            # keys that are searched at a time
    AHEAD = 16              # searches side by side: one waits for memory while others go on
    WIDTH = 16              # short lines that are sorted side by side
    SIDE_BYTES = 49_152     # bytes of these lines, at most, so that they nearly fit into the first-level cache
    STRIP = 65_536          # keys of columns that are loaded together, about
    COLUMNS = 16            # columns that are loaded together, at most
    ROWS = 16               # rows of these that are transposed at a time: whole cache lines of each column
    PIECE = 32              # elements that may go to one bucket together
    SMALL = 65_536          # bytes that are copied sooner than another thread could be asked to
    LARGE = 131_072         # elements of a bucket that may be one value


# ---- the scratch in which a worker sorts

cdef struct Scratch:
    void *memory
    Py_ssize_t room         # keys in each of its arrays
    char *key
    char *spare             # an array as long as key
    uint64_t *item          # NULL unless positions are asked for
    uint64_t *other
    uint8_t *sign
    uint32_t *tallies


cdef inline bint lay(Scratch *scratch, Py_ssize_t n, Py_ssize_t size, bint items) noexcept nogil:
    """Make room for n keys of `size` bytes. It is kept from line to line, and enlarged where it is too small. 0: no memory."""
    cdef char *p
    if n <= scratch.room:
        return True
    free(scratch.memory)
    n = n + 63 >> 6 << 6
    scratch.memory = malloc(n * (2 * size + 1 + (16 if items else 0)) + TALLIES * sizeof(uint32_t))
    scratch.room = 0
    if scratch.memory == NULL:
        return False
    p = <char *> scratch.memory
    scratch.key = p
    scratch.spare = p + n * size
    p += 2 * n * size
    scratch.item = scratch.other = NULL
    if items:
        scratch.item = <uint64_t *> p
        scratch.other = scratch.item + n
        p += 16 * n
    scratch.tallies = <uint32_t *> p
    scratch.sign = <uint8_t *> (scratch.tallies + TALLIES)
    scratch.room = n
    return True


# ---- what is done with the keys of a line, or of a bucket

cdef enum Method:           # the order is that of METHODS in the fallback
    AVERAGE
    MIN
    MAX
    DENSE
    ORDINAL


cdef enum Missing:          # what NaN is for ranks and distinct values
    DIFFERENT               # each NaN is another value
    NOTHING                 # NaN has no rank
    EQUAL


cdef struct Ranking:
    Method method
    Missing missing
    bint integers           # int64 from 0, not float64 from 1
    double before           # how many elements of the line are in buckets before
    double distinct         # how many different values these have


cdef inline void sort_on(Scratch *scratch, char code, Py_ssize_t n, word *key) noexcept nogil:
    """Sort the keys in scratch; zeros of both signs keep their order."""
    cdef Py_ssize_t zeros = 0
    if is_floating(code):
        zeros = note_zeros(key, n, scratch.sign)
    sort_keys(key, <word *> scratch.spare, n, scratch.tallies)
    if zeros:
        put_zeros(key, n, scratch.sign, zeros)


cdef inline void order_on(Scratch *scratch, char code, Py_ssize_t n, word *key) noexcept nogil:
    if is_floating(code):
        even(key, n)
    order_keys(key, scratch.item, scratch.other, n, scratch.tallies)


cdef inline Py_ssize_t after_equals(
        const word *key, const uint64_t *item, Py_ssize_t i, Py_ssize_t n, bint apart) noexcept nogil:
    """The first of the ordered keys i + 1, ... that differs from key i. `apart`: NaN differs from NaN."""
    cdef word v = key[<uint32_t> item[i]]
    i += 1
    if apart and v == ~<word> 0:
        return i
    while i < n and key[<uint32_t> item[i]] == v:
        i += 1
    return i


cdef inline void give_ranks(
        const Scratch *scratch, char code, Py_ssize_t n, const word *key, const int64_t *at, const Ranking *how, char *out,
        Py_ssize_t stride) noexcept nogil:
    """Write the ranks of ordered keys. Key i is that of element at[i], or of element i where `at` is NULL."""
    cdef const uint64_t *item = scratch.item
    cdef Py_ssize_t i = 0, j, k, position
    cdef bint apart = is_floating(code) and how.missing == DIFFERENT
    cdef double rank = 0, distinct = how.distinct
    cdef int64_t whole
    while i < n:
        j = after_equals(key, item, i, n, apart)
        distinct += 1
        if how.missing == NOTHING and is_floating(code) and key[<uint32_t> item[i]] == ~<word> 0:
            rank = NAN
        elif how.method == AVERAGE:
            rank = how.before + 0.5 * <double> (i + j + 1)
        elif how.method == MIN:
            rank = how.before + <double> (i + 1)
        elif how.method == MAX:
            rank = how.before + <double> j
        elif how.method == DENSE:
            rank = distinct
        for k in range(i, j):
            position = <uint32_t> item[k]
            if at != NULL:
                position = at[position]
            if how.method == ORDINAL and rank == rank:
                rank = how.before + <double> (k + 1)
            if how.integers:
                whole = <int64_t> rank - 1
                memcpy(out + position * stride, &whole, 8)
            else:
                memcpy(out + position * stride, &rank, 8)
        i = j
        if rank != rank:
            rank = 0


# ---- lines that are sorted whole

cdef enum Task:
    SORT
    ARGSORT
    RANK


cdef inline bint do_line(
        Scratch *scratch, Task task, const View *x, const char *line, const View *to, char *out, const Ranking *how,
        word *_) noexcept nogil:
    """Do the task for one line. Returns 0 where there is no memory."""
    cdef Py_ssize_t i
    cdef int64_t at
    cdef word *key
    if not lay(scratch, x.n, sizeof(word), task != SORT):
        return False
    key = <word *> scratch.key
    read_keys(x.code, line, x.n_stride, x.n, key)
    if task == SORT:
        sort_on(scratch, x.code, x.n, key)
        write_keys(x.code, key, x.n, out, to.n_stride)
        return True
    order_on(scratch, x.code, x.n, key)
    if task == RANK:
        give_ranks(scratch, x.code, x.n, key, NULL, how, out, to.n_stride)
        return True
    for i in range(x.n):
        at = <int64_t> <uint32_t> scratch.item[i]
        memcpy(out + i * to.n_stride, &at, 8)
    return True


cdef inline Py_ssize_t side_by_side(char code) noexcept nogil:
    """Up to how many elements a line is sorted side by side with others."""
    return SIDE_BYTES // (8 if is_wide(code) else 4) // WIDTH


cdef inline void transpose(const word *from_, Py_ssize_t rows, Py_ssize_t columns, word *to) noexcept nogil:
    """Transpose rows to columns."""
    cdef Py_ssize_t i, j
    for i in range(rows):
        for j in range(columns):
            to[j * rows + i] = from_[i * columns + j]


cdef inline bint sort_side(
        Scratch *scratch, const View *x, char **line, Py_ssize_t width, const View *to, char **out, bint adjoin,
        word *_) noexcept nogil:
    """Sort `width` lines at once. A line with -0.0 has to be sorted by itself: then nothing is done, and 0 is returned."""
    cdef word *rows = <word *> scratch.key
    cdef word *lines = <word *> scratch.spare
    cdef Py_ssize_t i, l, size = x.inner_stride
    cdef word below = minus_zero(_), found = 0
    if adjoin:
        for i in range(x.n):
            read_keys(x.code, line[0] + i * x.n_stride, size, width, rows + i * width)
    else:
        for l in range(width):
            read_keys(x.code, line[l], x.n_stride, x.n, lines + l * x.n)
        if width == WIDTH:
            transpose(lines, WIDTH, x.n, rows)
        else:
            transpose(lines, width, x.n, rows)
    if is_floating(x.code):
        for i in range(x.n * width):
            found |= rows[i] == below
        if found:
            return False
    exchange_rows(rows, x.n, width)
    if adjoin:
        for i in range(x.n):
            write_keys(x.code, rows + i * width, width, out[0] + i * to.n_stride, to.inner_stride)
    else:
        if width == WIDTH:
            transpose(rows, x.n, WIDTH, lines)
        else:
            transpose(rows, x.n, width, lines)
        for l in range(width):
            write_keys(x.code, lines + l * x.n, x.n, out[l], to.n_stride)
    return True


cdef inline bint sort_short(Scratch *scratch, const View *x, const View *to, const Chunk *chunk, word *_) noexcept nogil:
    """Sort the lines of a chunk, WIDTH at a time. Returns 0 where there is no memory."""
    cdef char *line[WIDTH]
    cdef char *out[WIDTH]
    cdef Py_ssize_t position = chunk.first, column = chunk.left, width, l
    cdef bint adjoin = x.inner > 1
    if not lay(scratch, x.n * WIDTH, sizeof(word), False):
        return False
    while position < chunk.last:
        width = chunk.right - column if adjoin else chunk.last - position
        width = width if width < WIDTH else WIDTH
        for l in range(width):
            line[l] = line_of(x, position if adjoin else position + l) + (column + l if adjoin else 0) * x.inner_stride
            out[l] = line_of(to, position if adjoin else position + l) + (column + l if adjoin else 0) * to.inner_stride
        if not sort_side(scratch, x, line, width, to, out, adjoin, _):
            for l in range(width):
                do_line(scratch, SORT, x, line[l], to, out[l], NULL, _)
        if not adjoin:
            position += width
            continue
        column += width
        if column == chunk.right:
            column = chunk.left
            position += 1
    return True


cdef inline void read_columns(const View *x, const char *line, Py_ssize_t width, word *key) noexcept nogil:
    """Load columns that adjoin, one after the other, a block of rows at a time."""
    cdef Py_ssize_t i = 0, rows, l
    while i < x.n:
        rows = ROWS if i + ROWS < x.n else x.n - i
        allcores_ahead_rows(
            line + i * x.n_stride, x.n_stride, <int> rows, width * x.inner_stride, 2 * ROWS * x.n_stride)
        for l in range(width):
            read_keys(x.code, line + i * x.n_stride + l * x.inner_stride, x.n_stride, rows, key + l * x.n + i)
        i += ROWS


cdef inline void write_columns(const View *to, char *line, Py_ssize_t width, const word *key) noexcept nogil:
    cdef Py_ssize_t i = 0, rows, l
    while i < to.n:
        rows = ROWS if i + ROWS < to.n else to.n - i
        allcores_ahead_rows(
            line + i * to.n_stride, to.n_stride, <int> rows, width * to.inner_stride, 2 * ROWS * to.n_stride)
        for l in range(width):
            write_keys(to.code, key + l * to.n + i, rows, line + i * to.n_stride + l * to.inner_stride, to.n_stride)
        i += ROWS


cdef inline bint sort_columns(Scratch *scratch, const View *x, const View *to, const Chunk *chunk, word *_) noexcept nogil:
    """Sort the columns of a chunk, a cache line or two of them at a time. Returns 0 where there is no memory."""
    cdef Py_ssize_t most = STRIP // x.n // 8 * 8, position, column, width, l
    cdef word *key
    most = 8 if most < 8 else COLUMNS if most > COLUMNS else most
    most = x.inner if x.inner < most else most
    if not lay(scratch, x.n * most, sizeof(word), False):
        return False
    key = <word *> scratch.key
    for position in range(chunk.first, chunk.last):
        column = chunk.left
        while column < chunk.right:
            width = most if column + most < chunk.right else chunk.right - column
            read_columns(x, line_of(x, position) + column * x.inner_stride, width, key)
            for l in range(width):
                sort_on(scratch, x.code, x.n, key + l * x.n)
            write_columns(to, line_of(to, position) + column * to.inner_stride, width, key)
            column += width
    return True


cdef int do_lines(Task task, x, const Ranking *how, cursor, out) except -1:
    """Do the task for each line of `x`, to that of `out`, which may be the same memory."""
    cdef Py_buffer view[3]
    cdef View a, to
    cdef Chunk chunk
    cdef Cursor *shared
    cdef Scratch scratch
    cdef Py_ssize_t position, column
    cdef char *line
    cdef char *result
    cdef bint fine = True
    cdef int64_t deadline
    scratch.memory = NULL
    scratch.room = 0
    hold(view, (x, out, cursor), 1)
    try:
        view_of(&a, &view[0])
        view_of(&to, &view[1])
        if task == SORT and to.code != a.code or task == ARGSORT and to.code != b"q" or task == RANK and to.code != b"d":
            raise TypeError("no kernel for results of this dtype")
        shared = <Cursor *> view[2].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while fine and next_chunk(shared, deadline, a.outer, a.n, a.inner, &chunk):
                if task == SORT and a.inner > 1 and a.n > side_by_side(a.code):
                    if is_wide(a.code):
                        fine = sort_columns(&scratch, &a, &to, &chunk, <uint64_t *> NULL)
                    else:
                        fine = sort_columns(&scratch, &a, &to, &chunk, <uint32_t *> NULL)
                    allcores_fetch_add(&shared.done, 1)
                    continue
                if task == SORT and 1 < a.n <= side_by_side(a.code):
                    if is_wide(a.code):
                        fine = sort_short(&scratch, &a, &to, &chunk, <uint64_t *> NULL)
                    else:
                        fine = sort_short(&scratch, &a, &to, &chunk, <uint32_t *> NULL)
                    allcores_fetch_add(&shared.done, 1)
                    continue
                for position in range(chunk.first, chunk.last):
                    line = line_of(&a, position)
                    result = line_of(&to, position)
                    for column in range(chunk.left, chunk.right):
                        if is_wide(a.code):
                            fine = do_line(&scratch, task, &a, line + column * a.inner_stride, &to,
                                           result + column * to.inner_stride, how, <uint64_t *> NULL)
                        else:
                            fine = do_line(&scratch, task, &a, line + column * a.inner_stride, &to,
                                           result + column * to.inner_stride, how, <uint32_t *> NULL)
                        if not fine:
                            break
                allcores_fetch_add(&shared.done, 1)
            free(scratch.memory)
        if not fine:
            raise MemoryError
    finally:
        release(view, 3)
    return 0


def sort(a, cursor, out):
    """The lines of `a`, in order: NaN last, equal zeros as they were."""
    do_lines(SORT, a, NULL, cursor, out)
    return 0


def argsort(a, cursor, out):
    """Where the elements of each line are in it, in order; equal ones in order of position."""
    do_lines(ARGSORT, a, NULL, cursor, out)
    return 0


def rankdata(a, method, missing, cursor, out):
    cdef Ranking how
    how.method = <Method> <int> method
    how.missing = <Missing> <int> missing
    how.integers = False
    how.before = how.distinct = 0
    do_lines(RANK, a, &how, cursor, out)
    return 0


# ---- the fast path of small arrays: without views, a grid, a cursor and a team, which take ten times as long

cdef object small(Task task, a, out):
    """Lines along the last axis of contiguous arrays; None for what is not that, or not small."""
    cdef Py_buffer view[2]
    cdef Scratch scratch
    cdef View x, to
    cdef Py_ssize_t at, size
    cdef bint fine = True
    scratch.memory = NULL
    scratch.room = 0
    hold(view, (a, out), 1)
    try:
        x.code = dtype_code(&view[0])
        if (x.code == 0 or view[0].ndim == 0 or view[0].len == 0 or view[0].len > SMALL
                or not PyBuffer_IsContiguous(&view[0], b"C") or not PyBuffer_IsContiguous(&view[1], b"C")):
            return None
        x.n = view[0].shape[view[0].ndim - 1]
        x.n_stride = view[0].itemsize
        to.n_stride = size = view[1].itemsize
        for at in range(0, view[0].len // view[0].itemsize, x.n):
            if is_wide(x.code):
                fine = do_line(&scratch, task, &x, <char *> view[0].buf + at * x.n_stride, &to,
                               <char *> view[1].buf + at * size, NULL, <uint64_t *> NULL)
            else:
                fine = do_line(&scratch, task, &x, <char *> view[0].buf + at * x.n_stride, &to,
                               <char *> view[1].buf + at * size, NULL, <uint32_t *> NULL)
            if not fine:
                raise MemoryError
        free(scratch.memory)
        return out
    finally:
        release(view, 2)


def small_sort(a, out):
    return small(SORT, a, out)


def small_argsort(a, out):
    return small(ARGSORT, a, out)


# ---- long lines: is there anything to do?

cdef inline bint go_on(char code, const char *x, Py_ssize_t stride, Py_ssize_t n, bint down, word *block) noexcept nogil:
    """Whether elements ascend; or descend, strictly."""
    cdef Py_ssize_t i
    cdef word broken = 0
    read_keys(code, x, stride, n, block)
    if is_floating(code):
        even(block, n)
    if down:
        for i in range(1, n):
            broken |= block[i] >= block[i - 1]
    else:
        for i in range(1, n):
            broken |= block[i] < block[i - 1]
    return not broken


cdef inline bint copy_in_order(
        const View *x, Chunk *chunk, bint down, char *out, Py_ssize_t stride, bint positions, word *block) noexcept nogil:
    """Copy the elements, or their positions, as long as they are in order; where `out` is NULL only look."""
    cdef Py_ssize_t at = chunk.begin, n, i, size = -stride if down else stride
    cdef char *to
    cdef int64_t position
    while at < chunk.end:
        n = BLOCK if at + BLOCK < chunk.end else chunk.end - at
        # The first key of the next block or chunk is looked at as well, so that every two neighbours are compared.
        if not go_on(x.code, x.data + at * x.n_stride, x.n_stride, n + (at + n < x.n), down, block):
            return False
        if out != NULL:
            to = out + (x.n - 1 - at if down else at) * stride
            if positions:
                for i in range(n):
                    position = at + i
                    memcpy(to + i * size, &position, 8)
            else:
                read_keys(x.code, x.data + at * x.n_stride, x.n_stride, n, block)
                write_keys(x.code, block, n, to, size)
        at += n
    return True


def in_order(a, down, positions, cursor, kept, out):
    """Copy the one line of `a` (1, n, 1) while it ascends, or reverse it while it descends; with `positions` these,
    not elements; `out` None: look only. kept[run]: whether a run was in order."""
    cdef Py_buffer view[4]
    cdef uint64_t block[BLOCK + 1]
    cdef View x
    cdef Chunk chunk
    cdef Cursor *shared
    cdef uint8_t *good
    cdef char *to
    cdef Py_ssize_t stride = 0
    cdef bint reversed_ = down, indexes = positions, fine
    cdef int64_t deadline
    hold(view, (a, kept, cursor, out), 1)
    try:
        view_of(&x, &view[0])
        good = <uint8_t *> view[1].buf
        shared = <Cursor *> view[2].buf
        to = <char *> view[3].buf
        if to != NULL:
            stride = view[3].strides[0]
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, x.n, 1, &chunk):
                if is_wide(x.code):
                    fine = copy_in_order(&x, &chunk, reversed_, to, stride, indexes, block)
                else:
                    fine = copy_in_order(&x, &chunk, reversed_, to, stride, indexes, <uint32_t *> block)
                good[chunk.part] = fine
                allcores_fetch_add(&shared.done, 1)
                if not fine:
                    allcores_fetch_add(&shared.next, shared.end)    # no worker claims another chunk
        return 0
    finally:
        release(view, 4)


# ---- long lines of integers from a narrow range: counted

ctypedef fused counter:
    int64_t
    uint8_t                 # a mark that the value occurs


cdef inline bint count_run(
        const View *x, const Chunk *chunk, word least, word width, counter *count, word *block) noexcept nogil:
    """Count keys, or mark them. Returns 0 where one is not in the range."""
    cdef Py_ssize_t at = chunk.begin, n, i
    cdef word k
    memset(count, 0, <Py_ssize_t> width * sizeof(counter))
    while at < chunk.end:
        n = BLOCK if at + BLOCK < chunk.end else chunk.end - at
        read_keys(x.code, x.data + at * x.n_stride, x.n_stride, n, block)
        for i in range(n):
            k = block[i] - least
            if k >= width:
                return False
            if counter is uint8_t:
                count[k] = 1
            else:
                count[k] += 1
        at += n
    return True


cdef inline bint tally_run(
        const View *x, const Chunk *chunk, word least, word width, char *row, bint marks, word *block) noexcept nogil:
    if marks:
        return count_run(x, chunk, least, width, <uint8_t *> row, block)
    return count_run(x, chunk, least, width, <int64_t *> row, block)


def tally(a, least, cursor, kept, counts):
    """How often each key from `least` on occurs in each run of the one line of `a` (1, n, 1); in bytes: whether it does.
    kept[run]: whether there are no others."""
    cdef Py_buffer view[4]
    cdef uint64_t block[BLOCK]
    cdef View x
    cdef Chunk chunk
    cdef Cursor *shared
    cdef char *row
    cdef uint64_t low = least
    cdef Py_ssize_t width
    cdef bint fine, marks
    cdef int64_t deadline
    hold(view, (a, kept, counts, cursor), 1)
    try:
        view_of(&x, &view[0])
        width = view[2].shape[1]
        marks = view[2].itemsize == 1
        shared = <Cursor *> view[3].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, x.n, 1, &chunk):
                row = <char *> view[2].buf + chunk.part * view[2].strides[0]
                if is_wide(x.code):
                    fine = tally_run(&x, &chunk, low, <uint64_t> width, row, marks, block)
                else:
                    fine = tally_run(&x, &chunk, <uint32_t> low, <uint32_t> width, row, marks, <uint32_t *> block)
                (<uint8_t *> view[1].buf)[chunk.part] = fine
                allcores_fetch_add(&shared.done, 1)
                if not fine:
                    allcores_fetch_add(&shared.next, shared.end)    # no worker claims another chunk
        return 0
    finally:
        release(view, 4)


cdef inline void fill_run(
        char code, const int64_t *end, Py_ssize_t number, word least, const Chunk *chunk, char *out, Py_ssize_t stride,
        word *block) noexcept nogil:
    cdef Py_ssize_t at = chunk.begin, n, i, upto, first = 0, last = number, middle
    while first < last:
        middle = (first + last) >> 1
        if end[middle] <= at:
            first = middle + 1
        else:
            last = middle
    while at < chunk.end:
        n = BLOCK if at + BLOCK < chunk.end else chunk.end - at
        i = 0
        while i < n:
            while end[first] <= at + i:
                first += 1
            upto = end[first] - at if end[first] - at < n else n
            for i in range(i, upto):
                block[i] = least + <word> first
            i = upto
        write_keys(code, block, n, out + at * stride, stride)
        at += n


def refill(ends, least, cursor, out):
    """Write keys from `least` on, in order. ends[i]: how many elements are not greater than the i-th of them."""
    cdef Py_buffer view[3]
    cdef uint64_t block[BLOCK]
    cdef Chunk chunk
    cdef Cursor *shared
    cdef const int64_t *end
    cdef uint64_t low = least
    cdef Py_ssize_t number, length
    cdef int64_t deadline
    cdef char code
    hold(view, (ends, out, cursor), 1)
    try:
        shared = <Cursor *> view[2].buf
        end = <const int64_t *> view[0].buf
        number = view[0].shape[0]
        code = dtype_code(&view[1])
        length = view[1].shape[0]
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, length, 1, &chunk):
                if is_wide(code):
                    fill_run(code, end, number, low, &chunk, <char *> view[1].buf, view[1].strides[0], block)
                else:
                    fill_run(code, end, number, <uint32_t> low, &chunk, <char *> view[1].buf, view[1].strides[0],
                             <uint32_t *> block)
                allcores_fetch_add(&shared.done, 1)
        return 0
    finally:
        release(view, 3)


# ---- long lines: into buckets

cdef struct Splits:
    uint64_t low            # the key with which the table begins
    int shift               # bits of a key that are not looked up
    const uint16_t *table   # the bucket of each range of keys; the last entry is for all keys beyond
    Py_ssize_t top          # its last index
    const uint64_t *split   # in place of a table that does not separate the keys: the first keys of all buckets but the first
    Py_ssize_t count        # how many these are: a power of two, less one


cdef inline void classify(const Splits *splits, const word *key, Py_ssize_t n, uint16_t *bucket) noexcept nogil:
    cdef word low = <word> splits.low, top = <word> splits.top, d, k
    cdef Py_ssize_t i, l, step, width
    cdef Py_ssize_t ats[AHEAD]
    if splits.count == 0:
        for i in range(n):
            k = key[i]
            d = (k - low if k > low else 0) >> splits.shift
            bucket[i] = splits.table[d if d < top else top]
        return
    i = 0
    while i < n:
        # These searches go side by side: each comparison waits only for those of its own search.
        width = AHEAD if i + AHEAD < n else n - i
        for l in range(AHEAD):
            ats[l] = 0
        step = (splits.count + 1) >> 1
        while step:
            for l in range(width):
                ats[l] += step & -<Py_ssize_t> (splits.split[ats[l] + step - 1] <= key[i + l])
            step >>= 1
        for l in range(width):
            bucket[i + l] = <uint16_t> ats[l]
        i += AHEAD


cdef inline bint one_bucket(const uint16_t *bucket, Py_ssize_t n) noexcept nogil:
    """Whether PIECE elements go to one bucket, as most do where a line ascends for a while."""
    cdef Py_ssize_t i
    cdef uint16_t differ = 0
    if n != PIECE:
        return False
    for i in range(PIECE):
        differ |= bucket[i] ^ bucket[0]
    return differ == 0


cdef inline void spread_run(
        const View *x, const Chunk *chunk, const Splits *splits, Py_ssize_t buckets, uint16_t *bucket, uint32_t *next,
        int32_t *counts, word *parts, uint16_t *places, word *block) noexcept nogil:
    """Sort one run by bucket; note positions if there is room for them."""
    cdef Py_ssize_t at = chunk.begin, n, i, j, m, first
    cdef uint32_t to
    cdef int32_t total = 0
    cdef const uint16_t *here
    memset(next, 0, buckets * sizeof(uint32_t))
    while at < chunk.end:
        n = BLOCK if at + BLOCK < chunk.end else chunk.end - at
        read_keys(x.code, x.data + at * x.n_stride, x.n_stride, n, block)
        if is_floating(x.code):
            even(block, n)
        first = at - chunk.begin
        classify(splits, block, n, bucket + first)
        j = 0
        while j < n:
            m = PIECE if j + PIECE < n else n - j
            here = bucket + first + j
            if one_bucket(here, m):
                next[here[0]] += PIECE
            else:
                for i in range(m):
                    next[here[i]] += 1
            j += PIECE
        at += n
    for i in range(buckets):
        counts[i] = total
        total += <int32_t> next[i]
        next[i] = <uint32_t> counts[i]
    counts[buckets] = total
    parts += chunk.begin
    at = chunk.begin
    while at < chunk.end:
        n = BLOCK if at + BLOCK < chunk.end else chunk.end - at
        read_keys(x.code, x.data + at * x.n_stride, x.n_stride, n, block)
        first = at - chunk.begin
        j = 0
        while j < n:
            m = PIECE if j + PIECE < n else n - j
            here = bucket + first + j
            if one_bucket(here, m):
                to = next[here[0]]
                next[here[0]] += PIECE
                memcpy(parts + to, block + j, PIECE * sizeof(word))
                if places != NULL:
                    for i in range(PIECE):
                        places[chunk.begin + to + i] = <uint16_t> (first + j + i)
            elif places == NULL:
                for i in range(m):
                    to = next[here[i]]
                    next[here[i]] = to + 1
                    parts[to] = block[j + i]
            else:
                for i in range(m):
                    to = next[here[i]]
                    next[here[i]] = to + 1
                    parts[to] = block[j + i]
                    places[chunk.begin + to] = <uint16_t> (first + j + i)
            j += PIECE
        at += n


def spread(a, table, split, low, shift, cursor, counts, parts, places):
    """The runs of one line `a` (1, n, 1), each sorted into buckets: keys to `parts`, their positions in the run to
    `places`, if it is not None. counts (runs, buckets + 1): where in its run each bucket begins."""
    cdef Py_buffer view[7]
    cdef uint64_t block[BLOCK]
    cdef View x
    cdef Chunk chunk
    cdef Splits splits
    cdef Cursor *shared
    cdef Py_ssize_t buckets
    cdef uint16_t *bucket
    cdef uint32_t *next = NULL
    cdef int32_t *starts
    cdef uint16_t *noted
    cdef int64_t deadline
    hold(view, (a, table, split, cursor, counts, parts, places), 3)
    try:
        view_of(&x, &view[0])
        splits.low = low
        splits.shift = shift
        splits.table = <const uint16_t *> view[1].buf
        splits.top = view[1].shape[0] - 1
        splits.split = <const uint64_t *> view[2].buf
        splits.count = view[2].shape[0]
        shared = <Cursor *> view[3].buf
        buckets = view[4].shape[1] - 1
        starts = <int32_t *> view[4].buf
        noted = <uint16_t *> view[6].buf
        bucket = <uint16_t *> malloc(shared.leaves * sizeof(uint16_t) + buckets * sizeof(uint32_t) + 8)
        if bucket == NULL:
            raise MemoryError
        with nogil:
            next = <uint32_t *> (bucket + (shared.leaves + 1 >> 1 << 1))
            deadline = allcores_clock() + PATIENCE
            while next_chunk(shared, deadline, 1, x.n, 1, &chunk):
                if is_wide(x.code):
                    spread_run(&x, &chunk, &splits, buckets, bucket, next, starts + chunk.part * (buckets + 1),
                               <uint64_t *> view[5].buf, noted, block)
                else:
                    spread_run(&x, &chunk, &splits, buckets, bucket, next, starts + chunk.part * (buckets + 1),
                               <uint32_t *> view[5].buf, noted, <uint32_t *> block)
                allcores_fetch_add(&shared.done, 1)
            free(bucket)
        return 0
    finally:
        release(view, 7)


# ---- long lines: buckets in order

cdef struct Buckets:           # what `spread` leaves of a line
    char code
    Py_ssize_t run, runs, count      # elements of a run, number of runs, number of buckets
    const int32_t *counts
    const int64_t *offset   # of each bucket in the sorted line
    void *parts
    const uint16_t *places


cdef inline const int32_t *piece(const Buckets *buckets, Py_ssize_t run, Py_ssize_t bucket) noexcept nogil:
    """Where in its run the piece of a bucket begins, and then where it ends."""
    return buckets.counts + run * (buckets.count + 1) + bucket


cdef inline void collect_keys(const Buckets *buckets, Py_ssize_t bucket, word *key) noexcept nogil:
    cdef const word *parts = <const word *> buckets.parts
    cdef const int32_t *ends
    cdef Py_ssize_t run
    for run in range(buckets.runs):
        ends = piece(buckets, run, bucket)
        memcpy(key, parts + run * buckets.run + ends[0], (ends[1] - ends[0]) * sizeof(word))
        key += ends[1] - ends[0]


cdef inline void collect_places(const Buckets *buckets, Py_ssize_t bucket, int64_t *at) noexcept nogil:
    cdef const uint16_t *places
    cdef const int32_t *ends
    cdef Py_ssize_t run, i
    for run in range(buckets.runs):
        ends = piece(buckets, run, bucket)
        places = buckets.places + run * buckets.run
        for i in range(ends[0], ends[1]):
            at[0] = run * buckets.run + places[i]
            at += 1


cdef inline bint all_equal(const Buckets *buckets, Py_ssize_t bucket, bint exactly, word *found) noexcept nogil:
    """Whether all keys of a bucket are equal. Zeros of both signs are, unless `exactly`."""
    cdef const word *parts = <const word *> buckets.parts
    cdef const int32_t *ends
    cdef Py_ssize_t run, i
    cdef word v = 0, low = minus_zero(found), k, differ = 0
    cdef bint known = False, floats = is_floating(buckets.code) and not exactly
    for run in range(buckets.runs):
        ends = piece(buckets, run, bucket)
        if ends[0] == ends[1]:
            continue
        parts = <const word *> buckets.parts + run * buckets.run
        if not known:
            v = parts[ends[0]]
            v += floats and v == low
            known = True
        for i in range(ends[0], ends[1]):
            k = parts[i]
            differ |= (k + (floats and k == low)) ^ v
        if differ:
            return False
    found[0] = v
    return True


cdef inline void give_sorted(
        Scratch *scratch, const Buckets *buckets, Py_ssize_t n, word *key, char *out, Py_ssize_t stride) noexcept nogil:
    sort_on(scratch, buckets.code, n, key)
    write_keys(buckets.code, key, n, out, stride)


cdef inline Py_ssize_t give_distinct(
        Scratch *scratch, const Buckets *buckets, Py_ssize_t n, word *key, bint apart, char *values, Py_ssize_t itemsize,
        int64_t *times) noexcept nogil:
    """The first of each group of equal keys, and how many there are."""
    cdef Py_ssize_t i = 0, j, m = 0
    cdef bint floats = is_floating(buckets.code)
    cdef word below = minus_zero(key), v
    sort_on(scratch, buckets.code, n, key)
    while i < n:
        v = key[i] + (floats and key[i] == below)
        j = i + 1
        if not (apart and floats and v == ~<word> 0):
            while j < n and key[j] + (floats and key[j] == below) == v:
                j += 1
        key[m] = key[i]
        if times != NULL:
            times[m] = j - i
        m += 1
        i = j
    write_keys(buckets.code, key, m, values, itemsize)
    return m


cdef inline Py_ssize_t give_first(
        Scratch *scratch, const Buckets *buckets, Py_ssize_t n, const word *key, const int64_t *at, bint apart, int64_t *first,
        int64_t *times) noexcept nogil:
    """Where the first of each group of equal keys is, and how many there are."""
    cdef Py_ssize_t i = 0, j, m = 0
    while i < n:
        j = after_equals(key, scratch.item, i, n, apart and is_floating(buckets.code))
        first[m] = at[<uint32_t> scratch.item[i]]
        if times != NULL:
            times[m] = j - i
        m += 1
        i = j
    return m


cdef enum Want:             # what is wanted of a bucket
    VALUES
    POSITIONS
    RANKS
    DISTINCT
    FIRST


cdef struct Results:
    Want want
    char *out               # sorted values, positions or ranks; distinct values or first positions
    Py_ssize_t stride
    Ranking how             # RANKS: which ones. DISTINCT and FIRST: what NaN is
    const int64_t *distinct     # RANKS: different elements before each bucket, or NULL
    int64_t *times          # DISTINCT and FIRST: how often each occurs, or NULL
    int64_t *number         # DISTINCT and FIRST: how many values a bucket has


cdef inline bint do_bucket(Scratch *scratch, const Buckets *buckets, Py_ssize_t bucket, Results *to, word *_) noexcept nogil:
    """Sort one bucket. Returns 0 where there is no memory."""
    cdef Py_ssize_t begin = buckets.offset[bucket], n = buckets.offset[bucket + 1] - begin, i
    cdef word *key
    cdef int64_t *at
    cdef int64_t position
    cdef int64_t *times = to.times + begin if to.times != NULL else NULL
    cdef char *out = to.out + begin * to.stride
    cdef word v
    cdef Ranking how
    if n == 0:
        if to.number != NULL:
            to.number[bucket] = 0
        return True
    if to.want == VALUES and n > LARGE and all_equal(buckets, bucket, True, &v):
        # Where a bucket is one value, however large it is, no scratch is needed.
        for i in range(n):
            write_keys(buckets.code, &v, 1, out + i * to.stride, to.stride)
        return True
    if not lay(scratch, n, sizeof(word), to.want != VALUES and to.want != DISTINCT):
        return False
    key = <word *> scratch.key
    collect_keys(buckets, bucket, key)
    if to.want == VALUES:
        give_sorted(scratch, buckets, n, key, out, to.stride)
        return True
    if to.want == DISTINCT:
        to.number[bucket] = give_distinct(scratch, buckets, n, key, to.how.missing == DIFFERENT, out, to.stride, times)
        return True
    order_on(scratch, buckets.code, n, key)
    at = <int64_t *> scratch.other
    collect_places(buckets, bucket, at)
    if to.want == POSITIONS:
        for i in range(n):
            position = at[<uint32_t> scratch.item[i]]
            memcpy(out + i * to.stride, &position, 8)
    elif to.want == FIRST:
        to.number[bucket] = give_first(
            scratch, buckets, n, key, at, to.how.missing == DIFFERENT, <int64_t *> out, times)
    else:
        how = to.how
        how.before = <double> begin
        how.distinct = <double> to.distinct[bucket] if to.distinct != NULL else 0
        give_ranks(scratch, buckets.code, n, key, at, &how, to.out, to.stride)
    return True


cdef int do_buckets(Results *to, char code, parts, places, counts, offsets, run, cursor) except -1:
    cdef Py_buffer view[5]
    cdef Buckets buckets
    cdef Scratch scratch
    cdef Cursor *shared
    cdef int64_t bucket, deadline
    cdef bint fine = True
    scratch.memory = NULL
    scratch.room = 0
    hold(view, (parts, places, counts, offsets, cursor), 4)
    try:
        buckets.code = code
        buckets.run = run
        buckets.runs = view[2].shape[0]
        buckets.count = view[2].shape[1] - 1
        buckets.counts = <const int32_t *> view[2].buf
        buckets.offset = <const int64_t *> view[3].buf
        buckets.parts = view[0].buf
        buckets.places = <const uint16_t *> view[1].buf
        shared = <Cursor *> view[4].buf
        with nogil:
            deadline = allcores_clock() + PATIENCE
            while fine:
                bucket = claim(shared, deadline)
                if bucket < 0:
                    break
                if is_wide(code):
                    fine = do_bucket(&scratch, &buckets, bucket, to, <uint64_t *> NULL)
                else:
                    fine = do_bucket(&scratch, &buckets, bucket, to, <uint32_t *> NULL)
                allcores_fetch_add(&shared.done, 1)
            free(scratch.memory)
        if not fine:
            raise MemoryError
    finally:
        release(view, 5)
    return 0


def gather_sort(parts, counts, offsets, run, cursor, out):
    """The buckets, sorted, one after the other. `run`: elements of the line in a run of `spread`."""
    cdef Py_buffer view[1]
    cdef Results to
    memset(&to, 0, sizeof(Results))
    hold(view, (out,), 0)
    try:
        to.want = VALUES
        to.out = <char *> view[0].buf
        to.stride = view[0].strides[0]
        do_buckets(&to, dtype_code(&view[0]), parts, None, counts, offsets, run, cursor)
        return 0
    finally:
        release(view, 1)


def gather_argsort(parts, places, counts, offsets, run, code, cursor, out):
    """Where their elements are in the line. `code`: the letter of their dtype, as a number."""
    cdef Py_buffer view[1]
    cdef Results to
    memset(&to, 0, sizeof(Results))
    hold(view, (out,), 0)
    try:
        to.want = POSITIONS
        to.out = <char *> view[0].buf
        to.stride = view[0].strides[0]
        do_buckets(&to, <char> <int> code, parts, places, counts, offsets, run, cursor)
        return 0
    finally:
        release(view, 1)


def gather_rank(parts, places, counts, offsets, distinct, run, code, method, missing, cursor, out):
    """The ranks of the elements of the line. `distinct`: different elements before each bucket, or None. As int64,
    ranks begin with 0."""
    cdef Py_buffer view[2]
    cdef Results to
    memset(&to, 0, sizeof(Results))
    hold(view, (distinct, out), 1)
    try:
        to.want = RANKS
        to.out = <char *> view[1].buf
        to.stride = view[1].strides[0]
        to.distinct = <const int64_t *> view[0].buf
        to.how.method = <Method> <int> method
        to.how.missing = <Missing> <int> missing
        to.how.integers = dtype_code(&view[1]) == b"q"
        do_buckets(&to, <char> <int> code, parts, places, counts, offsets, run, cursor)
        return 0
    finally:
        release(view, 2)


def gather_distinct(parts, counts, offsets, run, missing, cursor, values, number, times):
    """Different values of each bucket, at its offset in `values`; how many, and how often each occurs, unless None."""
    cdef Py_buffer view[3]
    cdef Results to
    memset(&to, 0, sizeof(Results))
    hold(view, (values, number, times), 0)
    try:
        to.want = DISTINCT
        to.out = <char *> view[0].buf
        to.stride = view[0].itemsize
        to.number = <int64_t *> view[1].buf
        to.times = <int64_t *> view[2].buf
        to.how.missing = <Missing> <int> missing
        do_buckets(&to, dtype_code(&view[0]), parts, None, counts, offsets, run, cursor)
        return 0
    finally:
        release(view, 3)


def gather_first(parts, places, counts, offsets, run, code, missing, cursor, first, number, times):
    """The positions in the line at which each different value occurs first, at the offset of its bucket in `first`."""
    cdef Py_buffer view[3]
    cdef Results to
    memset(&to, 0, sizeof(Results))
    hold(view, (first, number, times), 0)
    try:
        to.want = FIRST
        to.out = <char *> view[0].buf
        to.stride = 8
        to.number = <int64_t *> view[1].buf
        to.times = <int64_t *> view[2].buf
        to.how.missing = <Missing> <int> missing
        do_buckets(&to, <char> <int> code, parts, places, counts, offsets, run, cursor)
        return 0
    finally:
        release(view, 3)
