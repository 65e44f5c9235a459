"""Order statistics of short moving windows by comparator networks: no branch, no index, as wide as the registers are.

    windows 0 .. T-1 of a tile share  w - T + 1 elements: sorted once; of them only the T ranks around the wanted one
    can still matter to a window. Then the tile is split: each half adds the T / 2 elements that all of its windows
    share, sorted, by a merge, and fewer ranks matter; down to single windows:

                 windows 0..7                        sort
             0..3            4..7                    sort 4 more, merge, drop ranks
          0..1    2..3    4..5    6..7               sort 2 more, merge, drop ranks
         0   1   2   3   4   5   6   7               merge 1 more: the wanted rank is left

Sorts and merges are Batcher's; comparators whose outputs nobody wants are dropped: 3 an element at w = 5, 25 at 51, 36
at 101, 64 at 301. A network is a list of comparators, made once a call, which work on vectors of LANES doubles: element
r of LANES tiles of a line, or LANES columns of row r.

Missing elements become -inf or inf, so that of any k missing ones in a row k * q, rounded up or down, are -inf: the
wanted rank then stays within one or two of where it is without them, and the network gives these ranks as well.
"""
from libc.stdint cimport int32_t
from libc.stdlib cimport free, malloc, realloc

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define ALLCORES_APART __restrict
    #else
    #define ALLCORES_APART restrict
    #endif
    #define ALLCORES_LANES 32

    /* One comparator, on vectors that do not overlap: without `restrict` each call would check that. */
    static inline void allcores_order(const double *ALLCORES_APART a, const double *ALLCORES_APART b,
                                      double *ALLCORES_APART low, double *ALLCORES_APART high) {
        for (int i = 0; i < ALLCORES_LANES; i++) {
            double x = a[i], y = b[i];
            low[i] = x < y ? x : y;
            high[i] = y > x ? y : x;
        }
    }
    static inline void allcores_lower(const double *ALLCORES_APART a, const double *ALLCORES_APART b,
                                      double *ALLCORES_APART low) {
        for (int i = 0; i < ALLCORES_LANES; i++) low[i] = a[i] < b[i] ? a[i] : b[i];
    }
    static inline void allcores_upper(const double *ALLCORES_APART a, const double *ALLCORES_APART b,
                                      double *ALLCORES_APART high) {
        for (int i = 0; i < ALLCORES_LANES; i++) high[i] = b[i] > a[i] ? b[i] : a[i];
    }
    """
    int LANES "ALLCORES_LANES"
    void allcores_order(const double *a, const double *b, double *low, double *high) noexcept nogil
    void allcores_lower(const double *a, const double *b, double *low) noexcept nogil
    void allcores_upper(const double *a, const double *b, double *high) noexcept nogil

cdef enum:
    NETWORK_MOST = 300      # the longest window for which a network is made
    NETWORK_TILE = 128      # windows in a tile, at most
    NETWORK_LEVELS = 8      # levels of tiles within tiles, at most

cdef struct Comparator:
    # While a network is made these are numbers of values: element r is value r, and comparator i makes the values
    # elements + 2 i and elements + 2 i + 1. Afterwards they are places in scratch, or -1 for an output that is not needed.
    int32_t a
    int32_t b
    int32_t low
    int32_t high

cdef struct Network:
    Py_ssize_t w
    Py_ssize_t tile             # windows in a tile
    Py_ssize_t base             # ranks base .. base + kept - 1 of a window are outputs
    Py_ssize_t kept
    Comparator *comparators
    Py_ssize_t used
    Py_ssize_t room
    int32_t *outputs            # [tile][kept]
    Py_ssize_t vectors          # vectors of scratch behind the elements
    bint failed


# ---- how a network is made

cdef enum:
    LEAST = -1          # values that fill up a merge: no comparator is needed to order them
    GREATEST = -2


cdef inline void compare(Network *net, int32_t *a, int32_t *b) noexcept nogil:
    """Make a the lesser of two values and b the greater one."""
    cdef Comparator *grown
    cdef int32_t swap = a[0]
    if b[0] == GREATEST or swap == LEAST:
        return
    if swap == GREATEST or b[0] == LEAST:
        a[0] = b[0]
        b[0] = swap
        return
    if net.used == net.room:
        grown = <Comparator *> realloc(net.comparators, 2 * net.room * sizeof(Comparator))
        if grown == NULL:
            net.failed = True
            return
        net.comparators = grown
        net.room *= 2
    net.comparators[net.used].a = swap
    net.comparators[net.used].b = b[0]
    a[0] = <int32_t> (net.w + net.tile - 1 + 2 * net.used)
    b[0] = a[0] + 1
    net.used += 1


cdef inline void merge(
        Network *net, const int32_t *a, Py_ssize_t m, const int32_t *b, Py_ssize_t n, int32_t *result,
        int32_t *work) noexcept nogil:
    """Batcher's odd-even merge of two sorted lists of any lengths, which meet in the middle of a power of two. It is not
    recursive, because gcc would inline it into itself for minutes."""
    cdef Py_ssize_t half = 1, i, j, d
    while half < m or half < n:
        half *= 2
    for i in range(half):
        work[i] = a[i - (half - m)] if i >= half - m else LEAST
        work[half + i] = b[i] if i < n else GREATEST
    for i in range(half):
        compare(net, work + i, work + half + i)
    d = half >> 1
    while d:
        j = d
        while j + d < 2 * half:
            for i in range(d):
                compare(net, work + j + i, work + j + i + d)
            j += 2 * d
        d >>= 1
    for i in range(m + n):
        result[i] = work[half - m + i]


cdef inline void sort(Network *net, Py_ssize_t first, Py_ssize_t n, int32_t *result, int32_t *work) noexcept nogil:
    """Sort the elements first, first + 1, ..."""
    cdef Py_ssize_t run = 1, i, rest
    for i in range(n):
        result[i] = <int32_t> (first + i)
    while run < n:
        i = 0
        while i + run < n:
            rest = n - i - run
            merge(net, result + i, run, result + i + run, rest if rest < run else run, result + i, work)
            i += 2 * run
        run *= 2


cdef struct Node:
    # Windows start .. start + tile - 1 share `size` elements, of which the ranks dropped .. dropped + n - 1 are in core.
    Py_ssize_t start
    Py_ssize_t tile
    Py_ssize_t size
    Py_ssize_t dropped
    Py_ssize_t n
    int32_t *core


cdef inline void drop_ranks(Network *net, Node *node) noexcept nogil:
    """Drop the ranks that no window of the node can need, since each adds tile - 1 elements."""
    cdef Py_ssize_t low = net.base - (node.tile - 1), high = net.base + net.kept - 1
    if low < 0:
        low = 0
    if high > node.size - 1:
        high = node.size - 1
    node.core += low - node.dropped
    node.dropped = low
    node.n = high - low + 1


cdef inline void split_tiles(Network *net, int32_t *work) noexcept nogil:
    cdef Node stack[2 * NETWORK_LEVELS]
    cdef Node node, child
    cdef Py_ssize_t half, extra, part, i, deep = 1
    stack[0].start = 0
    stack[0].tile = net.tile
    stack[0].size = net.w - net.tile + 1
    stack[0].dropped = 0
    stack[0].core = work
    work += stack[0].size
    sort(net, net.tile - 1, stack[0].size, stack[0].core, work)
    drop_ranks(net, stack)
    while deep:
        deep -= 1
        node = stack[deep]
        if node.tile == 1:
            for i in range(net.kept):
                net.outputs[node.start * net.kept + i] = node.core[net.base - node.dropped + i]
            continue
        half = node.tile >> 1
        for part in range(2):
            if part == 0:                               # add the elements before the core
                child.start = node.start
                child.tile = half
                extra = node.tile - half
                sort(net, node.start + half - 1, extra, work, work + extra)
            else:                                       # those after it
                child.start = node.start + half
                child.tile = node.tile - half
                extra = half
                sort(net, node.start + net.w, extra, work, work + extra)
            child.size = node.size + extra
            child.dropped = node.dropped
            child.core = work + extra
            merge(net, node.core, node.n, work, extra, child.core, child.core + node.n + extra)
            work = child.core + node.n + extra
            drop_ranks(net, &child)
            stack[deep] = child
            deep += 1


cdef inline Py_ssize_t place(Network *net, int32_t value, Py_ssize_t *at, Py_ssize_t per, Py_ssize_t length) noexcept nogil:
    """Where in scratch a value is. The first `per` elements have vectors of `length`; the others lie further on in these."""
    if value < net.w + net.tile - 1:
        return value % per * length + value // per
    return per * length + at[value] * LANES


cdef inline int arrange(Network *net, bint rows) noexcept nogil:
    """Drop comparators whose outputs are not needed, and give values their places in scratch."""
    cdef Py_ssize_t elements = net.w + net.tile - 1, values = elements + 2 * net.used, i, j, k, used = 0, idle = 0
    cdef Py_ssize_t per = elements if rows else net.tile
    cdef Py_ssize_t length = vector_length(net, rows)
    cdef Py_ssize_t *last = <Py_ssize_t *> malloc(3 * values * sizeof(Py_ssize_t))  # the last reader of each value; -1: none
    cdef Py_ssize_t *at = last + values
    cdef Py_ssize_t *free_planes = at + values
    cdef Comparator *c
    cdef int32_t low, ends
    if last == NULL:
        return -1
    for i in range(values):
        last[i] = -1
    for i in range(net.tile * net.kept):
        last[net.outputs[i]] = net.used         # outputs are needed to the end
    i = net.used - 1
    while i >= 0:
        c = net.comparators + i
        low = <int32_t> (elements + 2 * i)
        c.low = low if last[low] >= 0 else -1
        c.high = low + 1 if last[low + 1] >= 0 else -1
        if c.low >= 0 or c.high >= 0:
            if last[c.a] < 0:
                last[c.a] = i
            if last[c.b] < 0:
                last[c.b] = i
        i -= 1
    net.vectors = 0
    for i in range(net.used):
        c = net.comparators + i
        if c.low < 0 and c.high < 0:
            continue
        for j in range(2):
            low = c.high if j else c.low
            if low >= 0:
                if idle:
                    idle -= 1
                    at[low] = free_planes[idle]
                else:
                    at[low] = net.vectors
                    net.vectors += 1
        for j in range(2):
            ends = c.b if j else c.a
            if last[ends] == i and ends >= elements:
                free_planes[idle] = at[ends]
                idle += 1
        net.comparators[used].a = <int32_t> place(net, c.a, at, per, length)
        net.comparators[used].b = <int32_t> place(net, c.b, at, per, length)
        k = place(net, c.low, at, per, length) if c.low >= 0 else -1
        j = place(net, c.high, at, per, length) if c.high >= 0 else -1
        net.comparators[used].low = <int32_t> k
        net.comparators[used].high = <int32_t> j
        used += 1
    for i in range(net.tile * net.kept):
        net.outputs[i] = <int32_t> place(net, net.outputs[i], at, per, length)
    net.used = used
    free(last)
    return 0


cdef inline Py_ssize_t vector_length(Network *net, bint rows) noexcept nogil:
    """How long an element's vector is: LANES tiles, and those after them that begin within the last windows."""
    return LANES if rows else LANES + (net.w + net.tile - 2) // net.tile


cdef inline void close_network(Network *net) noexcept nogil:
    free(net.comparators)
    free(net.outputs)
    net.comparators = NULL
    net.outputs = NULL


cdef inline int open_network(
        Network *net, Py_ssize_t w, Py_ssize_t tile, Py_ssize_t low, Py_ssize_t high, bint rows) noexcept nogil:
    """Make the network for the ranks low .. high of windows of w."""
    # Lists: 2 tile a level, twice for the merged ones, kept for each node; the longest merge takes less than 4 w more.
    cdef int32_t *work = <int32_t *> malloc((8 * w + (4 * NETWORK_LEVELS + 4 * (high - low + 1)) * tile + 256) * 4)
    net.w = w
    net.tile = tile
    net.base = low
    net.kept = high - low + 1
    net.used = 0
    net.room = 256
    net.failed = False
    net.comparators = <Comparator *> malloc(net.room * sizeof(Comparator))
    net.outputs = <int32_t *> malloc(tile * net.kept * 4)
    if work != NULL and net.comparators != NULL and net.outputs != NULL:
        split_tiles(net, work)
        if not net.failed and arrange(net, rows) == 0:
            free(work)
            return 0
    free(work)
    close_network(net)
    return -1


cdef inline void run_network(const Network *net, double *scratch) noexcept nogil:
    cdef Py_ssize_t i
    cdef const Comparator *c
    for i in range(net.used):
        c = net.comparators + i
        if c.high < 0:
            allcores_lower(scratch + c.a, scratch + c.b, scratch + c.low)
        elif c.low < 0:
            allcores_upper(scratch + c.a, scratch + c.b, scratch + c.high)
        else:
            allcores_order(scratch + c.a, scratch + c.b, scratch + c.low, scratch + c.high)
