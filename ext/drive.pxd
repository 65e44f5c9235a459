"""The loop around every reduction kernel: claim a chunk, bring its elements up leaf by leaf, fold the leaves, store.

    x, a view (outer..., n, inner)             output, one array a field: (parts, outer, inner)

    inner == 1: lines(), along n               inner > 1: rows(), down n and across the columns of a tile

         leaf 0   leaf 1   leaf 2                   row 0..31   -> leaf 0 .
        [4096 el][4096 el][rest  ]                  row 32..63  -> leaf 1  } fold, column by column
            .       /        |                      row 64..    -> leaf 2 /
              fold           |
                 .          /
                    fold   -> partial -> output

A partial is what a kernel knows of a run of elements: up to four fields, each with its own type (nanmean: total and
count). Leaves sit at absolute positions and fold in neighbour pairs, a binary tree that depends on n alone: a chunk
is a power of two of leaves, hence a whole subtree, and no chunk size or number of workers changes a bit.

Everything here moves bytes. What depends on the dtype is in three functions that a kernel supplies.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from buffers cimport swap
from cursor cimport PATIENCE, Cursor, allcores_ahead_rows, allcores_clock, allcores_fetch_add, claim

cdef enum:
    LANES = 32          # a line is read in rows of so many elements; the lane of an element is its position mod 32
    LINE_LEAF = 4096    # elements in a leaf of a line
    ROWS_LEAF = 32      # rows in a leaf of columns
    STRIP = 512         # bytes of a row that are taken at a time: a strip of a leaf stays in the first-level cache
    SCRATCH = 2048      # doubles: ROWS_LEAF rows of STRIP bytes
    FAR = 1_048_576     # bytes from which columns are prefetched; prefetching what is in the second-level cache took 25% longer
    AHEAD = 16384       # bytes between a strided element and the one that is prefetched with it
    FIELDS = 4
    LEVELS = 48         # depth of the tree of leaves: no memory holds an array for which it would be deeper

# A line function takes n adjoining elements at v, which begin at position `start` of their line. Where n is no multiple
# of LANES, the last row is at `tail` once more, where LANES elements can be read; what follows the n % LANES elements that
# count may be anything. With `fresh` the partial is new; otherwise it holds what came before, and the leaf is added to it.
ctypedef void (*line_function)(
    const void *v, const void *tail, Py_ssize_t n, Py_ssize_t start, bint fresh, void **partial) noexcept nogil
# A rows function takes n rows, `stride` bytes apart, of `cols` adjoining elements each, at most STRIP bytes. What will be
# read next is `ahead` bytes further on and is prefetched, unless `ahead` is 0.
ctypedef void (*rows_function)(
    const void *v, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t cols, Py_ssize_t ahead,
    Py_ssize_t start, bint fresh, void **partial) noexcept nogil
# A fold function makes of each of `width` adjoining partials a that of a's elements followed by b's.
ctypedef void (*fold_function)(void **a, void **b, Py_ssize_t width) noexcept nogil
# A load function gathers n elements, converts them to `width` bytes each at `to`, and deals with the mask itself.
ctypedef void (*load_function)(
    const char *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride, Py_ssize_t n, void *to) noexcept nogil


cdef struct Job:
    char *data                      # x: start, and strides in bytes
    char *limit                     # one past x's last byte
    char *mask                      # `where`, of x's shape, or NULL
    Py_ssize_t itemsize
    Py_ssize_t width                # bytes of an element as line and rows see it: itemsize, or what a load makes of it
    bint swapped                    # x is in the other byte order
    bint aligned                    # elements can be taken where they are
    int outer_ndim
    Py_ssize_t *outer_shape
    Py_ssize_t *outer_strides
    Py_ssize_t *mask_outer_strides
    Py_ssize_t outer, n, inner      # lengths
    Py_ssize_t n_stride, inner_stride, mask_n_stride, mask_inner_stride
    char padding[8]                 # an element that changes no result, which stands for what `where` leaves out
    line_function line
    rows_function rows
    load_function load              # NULL: elements are taken as they are
    fold_function fold              # of leaves, in a tree; NULL: they are added to one running partial, in order
    fold_function merge             # of chunks, in a tree
    int decisive                    # of `any` and `all`: the answer that no further element can change; else -1
    int fields
    Py_ssize_t size[FIELDS]         # bytes of a field
    char *output[FIELDS]


cdef inline void outer_offsets(Job *job, Py_ssize_t position, Py_ssize_t *x, Py_ssize_t *mask) noexcept nogil:
    """Byte offsets of one outer position in x and in the mask."""
    cdef int d = job.outer_ndim - 1
    cdef Py_ssize_t i
    x[0] = 0
    mask[0] = 0
    while d >= 0:
        i = position
        if d > 0:                       # a division costs as much as a short line
            i = position % job.outer_shape[d]
            position //= job.outer_shape[d]
        x[0] += i * job.outer_strides[d]
        if job.mask != NULL:
            mask[0] += i * job.mask_outer_strides[d]
        d -= 1


cdef inline void copy(const char *x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t size, char *to) noexcept nogil:
    """Lay n elements side by side. A memcpy of constant size is one instruction, which may be unaligned; a typed load not."""
    cdef Py_ssize_t i
    if size == 8 and stride == 16:              # every second element: this loop vectorises, in half the time
        for i in range(n):
            memcpy(to + 8 * i, x + 16 * i, 8)
    elif size == 4 and stride == 8:
        for i in range(n):
            memcpy(to + 4 * i, x + 8 * i, 4)
    elif size == 8:
        for i in range(n):
            memcpy(to + 8 * i, x + i * stride, 8)
    elif size == 4:
        for i in range(n):
            memcpy(to + 4 * i, x + i * stride, 4)
    elif size == 2:
        for i in range(n):
            memcpy(to + 2 * i, x + i * stride, 2)
    else:
        for i in range(n):
            to[i] = x[i * stride]


cdef inline void swap_all(char *to, Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    if size == 8:
        for i in range(n):
            swap(to + 8 * i, 8)
    elif size == 4:
        for i in range(n):
            swap(to + 4 * i, 4)
    elif size == 2:
        for i in range(n):
            swap(to + 2 * i, 2)


cdef inline void copy_swapped(
        const char *x, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t size, char *to) noexcept nogil:
    """`copy` for elements in the other byte order. Where they adjoin, copying and swapping are one pass, which takes
    three quarters of the time of two."""
    cdef Py_ssize_t i
    if size == 8 and stride == 8:
        for i in range(n):
            memcpy(to + 8 * i, x + 8 * i, 8)
            swap(to + 8 * i, 8)
    elif size == 4 and stride == 4:
        for i in range(n):
            memcpy(to + 4 * i, x + 4 * i, 4)
            swap(to + 4 * i, 4)
    else:
        copy(x, stride, n, size, to)
        swap_all(to, n, size)


cdef inline void load_swapped(
        Job *job, const char *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride,
        Py_ssize_t n, double *to) noexcept nogil:
    """`job.load` for elements in the other byte order, some of which are swapped into scratch at a time."""
    cdef char some[8 * LANES]
    cdef Py_ssize_t at = 0, m
    while at < n:
        m = LANES if at + LANES < n else n - at
        copy_swapped(x + at * stride, stride, m, job.itemsize, some)
        job.load(some, job.itemsize, mask + at * mask_stride, mask_stride, m, to + at)
        at += m


cdef inline void gather(
        Job *job, const char *x, Py_ssize_t stride, const char *mask, Py_ssize_t mask_stride,
        Py_ssize_t n, Py_ssize_t ahead, char *to) noexcept nogil:
    """Lay n elements side by side at `to`; what the mask leaves out becomes padding."""
    cdef Py_ssize_t i, m, size = job.itemsize
    cdef Py_ssize_t low = 0 if stride > 0 else 15 * stride
    cdef Py_ssize_t span = 16 * (stride if stride > 0 else -stride)
    if job.load != NULL:
        if job.swapped:
            load_swapped(job, x, stride, mask, mask_stride, n, <double *> to)
        else:
            job.load(x, stride, mask, mask_stride, n, to)
        return
    if job.swapped and stride == size:
        copy_swapped(x, stride, n, size, to)
    elif stride == size:
        memcpy(to, x, n * size)
    elif ahead == 0:
        copy(x, stride, n, size, to)
    else:
        for i in range(0, n, 16):
            m = 16 if i + 16 <= n else n - i
            if span <= 1024:
                allcores_ahead_rows(x + i * stride + low, 0, 1, span, ahead)
            else:
                allcores_ahead_rows(x + i * stride, stride, 16, 1, ahead)
            copy(x + i * stride, stride, m, size, to + i * size)
    if job.swapped and stride != size:
        swap_all(to, n, size)
    if mask != NULL:
        if size == 8:
            for i in range(n):
                memcpy(to + 8 * i, to + 8 * i if mask[i * mask_stride] else job.padding, 8)
        elif size == 4:
            for i in range(n):
                memcpy(to + 4 * i, to + 4 * i if mask[i * mask_stride] else job.padding, 4)
        elif size == 2:
            for i in range(n):
                memcpy(to + 2 * i, to + 2 * i if mask[i * mask_stride] else job.padding, 2)
        else:
            for i in range(n):
                to[i] = to[i] if mask[i * mask_stride] else job.padding[0]


cdef inline int fold_up(Job *job, void *(*stack)[FIELDS], int depth, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """Call this after leaf number `count` was pushed: it folds neighbours of equal size, as a binary counter carries."""
    while count & 1 == 0:
        job.fold(stack[depth - 2], stack[depth - 1], width)
        depth -= 1
        count >>= 1
    return depth


cdef inline void fold_rest(Job *job, void *(*stack)[FIELDS], int depth, Py_ssize_t width) noexcept nogil:
    """Call this after the last leaf: it folds what is left on the stack, from the smallest subtree to the largest."""
    while depth > 1:
        job.fold(stack[depth - 2], stack[depth - 1], width)
        depth -= 1


cdef inline void store(Job *job, void **partial, Py_ssize_t index, Py_ssize_t width) noexcept nogil:
    cdef int f
    for f in range(job.fields):
        if width == 1 and job.size[f] == 8:
            memcpy(job.output[f] + index * 8, partial[f], 8)
        else:
            memcpy(job.output[f] + index * job.size[f], partial[f], width * job.size[f])


cdef inline void lines(
        Job *job, Py_ssize_t part, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Outer positions first..last, elements begin..end of each, into one partial each."""
    cdef double scratch[LINE_LEAF + LANES]
    cdef double last_row[LANES]
    cdef double partials[LEVELS * FIELDS]
    cdef void *stack[LEVELS][FIELDS]
    cdef int depth, d, f, levels = 2
    cdef Py_ssize_t position, at, n, rest, count, x_offset, mask_offset
    cdef const char *x
    cdef const char *mask = NULL
    cdef const void *v
    cdef const void *tail = last_row
    cdef bint direct = job.aligned and job.n_stride == job.itemsize and job.mask == NULL and job.load == NULL
    cdef bint far = job.outer * job.n * job.n_stride > FAR or job.outer * job.n * job.n_stride < -FAR
    cdef Py_ssize_t ahead = AHEAD if job.n_stride < AHEAD // 64 else 64 * job.n_stride
    if job.n_stride < 0:
        ahead = -AHEAD if job.n_stride > -AHEAD // 64 else 64 * job.n_stride
    if not far:
        ahead = 0
    if not direct:
        # A kernel also reads what follows the last elements in their row, without using it: zeros, not whatever was there.
        n = (end - begin) % LINE_LEAF
        memset(<char *> scratch + (n - n % LANES) * job.width, 0, LANES * job.width)
    while <Py_ssize_t> LINE_LEAF << (levels - 2) < end - begin:
        levels += 1
    for d in range(levels):
        for f in range(job.fields):
            stack[d][f] = &partials[d * FIELDS + f]
    for position in range(first, last):
        outer_offsets(job, position, &x_offset, &mask_offset)
        depth = 0
        count = 0
        at = begin
        while at < end:
            n = end - at if end - at < LINE_LEAF else LINE_LEAF
            rest = n % LANES
            x = job.data + x_offset + at * job.n_stride
            if job.mask != NULL:
                mask = job.mask + mask_offset + at * job.mask_n_stride
            if direct:
                v = x
                if rest:
                    tail = x + (n - rest) * job.itemsize
                    if <const char *> tail + LANES * job.itemsize > job.limit:
                        memset(last_row, 0, sizeof(last_row))
                        memcpy(last_row, tail, rest * job.itemsize)
                        tail = last_row
            else:
                gather(job, x, job.n_stride, mask, job.mask_n_stride, n, ahead, <char *> scratch)
                v = scratch
                tail = <char *> scratch + (n - rest) * job.width
            if job.fold == NULL:
                job.line(v, tail, n, at, count == 0, stack[0])
                depth = 1
            else:
                job.line(v, tail, n, at, True, stack[depth])
                depth = fold_up(job, stack, depth + 1, count + 1, 1)
            count += 1
            at += n
        if job.fold != NULL:
            fold_rest(job, stack, depth, 1)
        store(job, stack[0], part * job.outer + position, 1)


cdef inline int rows(
        Job *job, Py_ssize_t part, Py_ssize_t first, Py_ssize_t last, Py_ssize_t begin, Py_ssize_t end,
        Py_ssize_t left, Py_ssize_t right) noexcept nogil:
    """Outer positions first..last, rows begin..end, columns left..right. -1 where there is no memory."""
    cdef double scratch[SCRATCH]
    cdef Py_ssize_t cols = right - left
    cdef Py_ssize_t strip = STRIP // job.width
    cdef Py_ssize_t position, at, n, i, l, w, count, stride, ahead, x_offset, mask_offset
    cdef int depth, d, f, levels = 2
    cdef void *stack[LEVELS][FIELDS]
    cdef void *partial[FIELDS]
    cdef char *partials
    cdef const char *x
    cdef const char *mask = NULL
    cdef const void *v
    cdef bint direct = job.aligned and job.inner_stride == job.itemsize and job.mask == NULL and job.load == NULL
    cdef bint far = job.outer * job.n * job.inner * job.itemsize > FAR
    if job.fold != NULL:
        while <Py_ssize_t> ROWS_LEAF << (levels - 2) < end - begin:
            levels += 1
    partials = <char *> malloc(levels * job.fields * cols * 8)
    if partials == NULL:
        return -1
    for d in range(levels):
        for f in range(job.fields):
            stack[d][f] = partials + (d * job.fields + f) * cols * 8
    for position in range(first, last):
        outer_offsets(job, position, &x_offset, &mask_offset)
        depth = 0
        count = 0
        at = begin
        while at < end:
            n = end - at if end - at < ROWS_LEAF else ROWS_LEAF
            l = 0
            while l < cols:
                w = strip if l + strip < cols else cols - l
                x = job.data + x_offset + at * job.n_stride + (left + l) * job.inner_stride
                # The next strip; after the last one of a leaf, the first of the next leaf.
                ahead = w * job.inner_stride if l + w < cols else ROWS_LEAF * job.n_stride - l * job.inner_stride
                stride = job.n_stride
                v = x
                if not far:
                    ahead = 0
                if not direct:
                    for i in range(n):
                        if job.mask != NULL:
                            mask = (job.mask + mask_offset + (at + i) * job.mask_n_stride
                                    + (left + l) * job.mask_inner_stride)
                        gather(job, x + i * job.n_stride, job.inner_stride, mask, job.mask_inner_stride, w, ahead,
                               <char *> scratch + i * STRIP)
                    stride = STRIP
                    v = scratch
                if not direct:
                    ahead = 0
                for f in range(job.fields):
                    partial[f] = <char *> stack[depth if job.fold != NULL else 0][f] + l * job.size[f]
                job.rows(v, stride, n, w, ahead, at, job.fold != NULL or count == 0, partial)
                l += strip
            count += 1
            depth = 1 if job.fold == NULL else fold_up(job, stack, depth + 1, count, cols)
            at += n
        if job.fold != NULL:
            fold_rest(job, stack, depth, cols)
        store(job, stack[0], (part * job.outer + position) * job.inner + left, cols)
    free(partials)
    return 0


cdef inline int drive(Job *job, Cursor *cursor) noexcept nogil:
    """Claim chunks until there are none, or until it is time to look at signals. -1 where there is no memory."""
    cdef Py_ssize_t leaf = LINE_LEAF if job.inner == 1 else ROWS_LEAF
    cdef Py_ssize_t run = cursor.leaves * leaf
    cdef Py_ssize_t parts = (job.n + run - 1) // run
    cdef Py_ssize_t tiles = (job.inner + cursor.tile - 1) // cursor.tile
    cdef Py_ssize_t part, tile, first, last, end, right
    cdef int64_t deadline = allcores_clock() + PATIENCE
    cdef int64_t chunk = claim(cursor, deadline)
    while chunk >= 0:
        tile = chunk % tiles
        part = chunk // tiles % parts
        first = chunk // tiles // parts * cursor.lines
        last = first + cursor.lines if first + cursor.lines < job.outer else job.outer
        end = (part + 1) * run if (part + 1) * run < job.n else job.n
        right = (tile + 1) * cursor.tile if (tile + 1) * cursor.tile < job.inner else job.inner
        if job.inner == 1:
            lines(job, part, first, last, part * run, end)
        elif rows(job, part, first, last, part * run, end, tile * cursor.tile, right) < 0:
            return -1
        allcores_fetch_add(&cursor.done, 1)
        if job.decisive >= 0 and job.outer == 1 and job.inner == 1 and job.output[0][part] == job.decisive:
            allcores_fetch_add(&cursor.next, cursor.end)        # no worker claims another chunk
        chunk = claim(cursor, deadline)
    return 0
