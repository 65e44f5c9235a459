"""Moving medians and quantiles: sorting networks for short windows, ranks for long ones.

    open_quantiles      once a call and worker: scratch and networks, O(window)
    line_quantiles      a line of elements, or a piece of one with its halo
    rows_quantiles      quantiles down the columns of rows, by networks only
    close_quantiles

Windows of up to 300 take networks (networks.pxd): 1 ns an element at w = 3, 6 at 51, 14 at 300. Longer ones take ranks
(ranks.pxd): 17 ns, whatever the window. It takes up to 0.4 ms to make a network, so few elements get a smaller one.
"""
from libc.math cimport NAN
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from networks cimport NETWORK_MOST, NETWORK_TILE, LANES, Network, close_network, open_network, vector_length, run_network
from quantile_methods cimport LERP, MEAN, TAKE, Method, QuantileRanks, blend, ranks_of_quantile
from ranks cimport Pointer, Ranks, close_ranks, open_ranks, rank_quantiles

cdef struct Quantiles:
    Py_ssize_t w
    Py_ssize_t min_count
    Py_ssize_t nq
    const double *q
    Method method
    bint rows               # networks for rows_quantiles, not line_quantiles
    Py_ssize_t tile         # windows in a tile of the networks; 0: ranks, and lines only
    Py_ssize_t elements     # numbers of a block of elements, in vectors
    Network *full           # a network for each q, of windows without missing elements
    Network *gaps           # the same with missing elements; made when the first one is found
    double *scratch         # elements and vectors
    Py_ssize_t vectors
    double *line            # the elements of a block
    double *result          # the quantiles of a block
    int32_t *numbers        # how many of the first i elements are numbers
    int32_t *lows           # how many of the first i elements have become -inf
    QuantileRanks *wanted   # for networks [nq][w + 1], by the count of numbers; for ranks [nq]
    Pointer *pointers
    Ranks ranks


cdef inline void close_quantiles(Quantiles *s) noexcept nogil:
    cdef Py_ssize_t j
    if s.full != NULL:
        for j in range(2 * s.nq):
            close_network(s.full + j)
    free(s.full)
    free(s.scratch)
    free(s.line)
    free(s.wanted)
    free(s.pointers)
    close_ranks(&s.ranks)
    memset(s, 0, sizeof(Quantiles))


cdef inline Py_ssize_t choose_tile(Py_ssize_t w, Py_ssize_t longest, Py_ssize_t total, bint rows) noexcept nogil:
    """The windows in a tile, or 0 for ranks. The greatest power of two below w is best; doubling the tile saves w / (4 tile)
    ns an element, and making it takes 15 w tile ns. A block of a line, LANES tiles, should not be longer than the line."""
    cdef Py_ssize_t tile = 1
    while (2 * tile < w and tile < NETWORK_TILE and 32 * tile * tile <= total
           and 2 * tile * (1 if rows else LANES) <= longest):
        tile *= 2
    return tile if w <= NETWORK_MOST and w <= 4 * tile else 0


cdef inline uint64_t share(double q) noexcept nogil:
    """How many of 2 ** 32 missing elements become -inf: a whole number, so that rounding does not add up."""
    return <uint64_t> (q * 4294967296.0)


cdef inline int gap_network(Quantiles *s, Py_ssize_t j) noexcept nogil:
    """Make the network of quantile j for any number of missing elements in the window."""
    cdef Py_ssize_t low = s.w, high = 0, missing, lows
    cdef uint64_t part
    cdef QuantileRanks *want
    for missing in range(s.w):
        part = <uint64_t> missing * share(s.q[j])
        want = s.wanted + j * (s.w + 1) + s.w - missing
        lows = <Py_ssize_t> (part >> 32)
        if want.low + lows < low:
            low = want.low + lows
        lows += <uint64_t> (lows << 32) != part
        if want.high + lows > high:
            high = want.high + lows
    return open_network(s.gaps + j, s.w, s.tile, low, high, s.rows)


cdef inline int grow_scratch(Quantiles *s, Py_ssize_t vectors) noexcept nogil:
    """Make room for so many vectors beside the elements; the content of the scratch is lost."""
    if vectors <= s.vectors:
        return 0
    free(s.scratch)
    s.vectors = vectors
    s.scratch = <double *> malloc((s.elements + vectors * LANES) * sizeof(double))
    return -1 if s.scratch == NULL else 0


cdef inline int open_quantiles(
        Quantiles *s, Py_ssize_t w, Py_ssize_t min_count, const double *q, Py_ssize_t nq, Method method, Py_ssize_t longest,
        Py_ssize_t total, bint rows) noexcept nogil:
    """Prepare for lines of up to `longest` elements, some `total` in all, or for rows, which can be used if s.tile is not 0.
    Returns -1 where there is no memory.

    q: numbers from 0 to 1, which are not copied (with MEDIAN: a single 0.5). min_count, from 0 to w: a window with fewer
    numbers gives NaN, and so does one without any.
    """
    cdef Py_ssize_t j, n, vectors = 1
    memset(s, 0, sizeof(Quantiles))
    s.w = w
    s.min_count = min_count if min_count else 1
    s.nq = nq
    s.q = q
    s.method = method
    s.rows = rows
    s.tile = choose_tile(w, longest, total, rows)
    if s.tile == 0:
        s.wanted = <QuantileRanks *> malloc(nq * sizeof(QuantileRanks))
        s.pointers = <Pointer *> malloc(nq * sizeof(Pointer))
        if s.wanted == NULL or s.pointers == NULL or open_ranks(&s.ranks, w, longest):
            close_quantiles(s)
            return -1
        return 0
    s.wanted = <QuantileRanks *> malloc(nq * (w + 1) * sizeof(QuantileRanks))
    s.full = <Network *> calloc(2 * nq, sizeof(Network))
    if s.wanted == NULL or s.full == NULL:
        close_quantiles(s)
        return -1
    s.gaps = s.full + nq
    for j in range(nq):
        for n in range(1, w + 1):
            s.wanted[j * (w + 1) + n] = ranks_of_quantile(n, q[j], method)
        if open_network(s.full + j, w, s.tile, s.wanted[j * (w + 1) + w].low, s.wanted[j * (w + 1) + w].high, rows):
            close_quantiles(s)
            return -1
        if s.full[j].vectors > vectors:
            vectors = s.full[j].vectors
    n = (w + s.tile - 1) * LANES if rows else s.tile * vector_length(s.full, False)
    s.elements = n
    s.line = <double *> malloc((n + s.tile * LANES) * sizeof(double) + 2 * (n + LANES) * sizeof(int32_t))
    if s.line == NULL or grow_scratch(s, vectors):
        close_quantiles(s)
        return -1
    s.result = s.line + n
    s.numbers = <int32_t *> (s.result + s.tile * LANES)
    s.lows = s.numbers + n + LANES
    return 0


cdef inline bint load_block(Quantiles *s, const double *v, Py_ssize_t m, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    """Load v[start], ... into s.line, with NaN before the line and 0 behind it. Returns whether there is a NaN."""
    cdef Py_ssize_t i, begin = -start if start < 0 else 0, end = n if start + n < m else m - start
    cdef int found = begin > 0
    for i in range(begin):
        s.line[i] = NAN
    memcpy(s.line + begin, v + start + begin, (end - begin) * sizeof(double))
    for i in range(end, n):
        s.line[i] = 0
    for i in range(begin, end):
        found |= s.line[i] != s.line[i]
    return found


cdef inline void spread(Quantiles *s, Py_ssize_t length) noexcept nogil:
    """Copy element j of tile t to lane t of vector j."""
    cdef Py_ssize_t j, t
    cdef const double *line = s.line
    for t in range(length):
        for j in range(s.tile):
            s.scratch[j * length + t] = line[j]
        line += s.tile


cdef inline double filled(double x, int missing, int low) noexcept nogil:
    """x, or the infinity in its place, chosen by bits: a branch costs 3 ns an element where every second one is missing."""
    cdef uint64_t bits, mask = <uint64_t> 0 - <uint64_t> missing
    memcpy(&bits, &x, 8)
    bits = bits & ~mask | mask & (<uint64_t> 0x7ff << 52) | <uint64_t> low << 63
    memcpy(&x, &bits, 8)
    return x


cdef inline void spread_gaps(Quantiles *s, Py_ssize_t length, double q) noexcept nogil:
    """Copy elements to vectors as above, with infinities for missing ones."""
    cdef Py_ssize_t j, t, i = 0
    cdef uint64_t sum = 0, part = share(q)
    cdef int32_t numbers = 0, lows = 0
    cdef double x
    cdef int low, missing
    for t in range(length):
        for j in range(s.tile):
            x = s.line[i]
            missing = x != x
            sum += part & (<uint64_t> 0 - <uint64_t> missing)
            low = <int> (sum >> 32)
            sum = <uint32_t> sum
            s.scratch[j * length + t] = filled(x, missing, low)
            s.numbers[i] = numbers
            s.lows[i] = lows
            numbers += 1 - missing
            lows += low
            i += 1
    s.numbers[i] = numbers
    s.lows[i] = lows


cdef inline void gather(Quantiles *s, const Network *net, const QuantileRanks *want, double *out) noexcept nogil:
    cdef Py_ssize_t _k, t
    cdef const double *a
    cdef const double *b
    cdef const int32_t *outputs = net.outputs
    for _k in range(s.tile):
        a = s.scratch + outputs[want.low - net.base]
        b = s.scratch + outputs[want.high - net.base]
        outputs += net.kept
        if want.mode == TAKE:
            for t in range(LANES):
                out[t * s.tile] = a[t] + 0.0
        elif want.mode == MEAN:
            for t in range(LANES):
                out[t * s.tile] = blend(a[t], b[t], 0.5, MEAN)
        else:
            for t in range(LANES):
                out[t * s.tile] = blend(a[t], b[t], want.t, LERP)
        out += 1


cdef inline void gather_gaps(Quantiles *s, const Network *net, const QuantileRanks *wanted, double *out) noexcept nogil:
    cdef Py_ssize_t _k, t, i = 0, lows, numbers
    cdef const QuantileRanks *want
    cdef const int32_t *outputs
    for t in range(LANES):
        outputs = net.outputs
        for _k in range(s.tile):
            numbers = s.numbers[i + s.w] - s.numbers[i]
            if numbers < s.min_count:
                out[i] = NAN
            else:
                want = wanted + numbers
                lows = s.lows[i + s.w] - s.lows[i] - net.base
                out[i] = blend(s.scratch[outputs[want.low + lows] + t], s.scratch[outputs[want.high + lows] + t],
                               want.t, want.mode)
            outputs += net.kept
            i += 1


cdef inline int network_quantiles(
        Quantiles *s, const double *v, Py_ssize_t m, Py_ssize_t first, double *out, Py_ssize_t q_stride) noexcept nogil:
    cdef Py_ssize_t at = first, j, size = s.tile * LANES, length = vector_length(s.full, False), here
    cdef bint gaps
    cdef double *result
    cdef const QuantileRanks *wanted
    while at < m:
        gaps = load_block(s, v, m, at - s.w + 1, s.tile * length)
        here = size if at + size < m else m - at
        if not gaps:
            spread(s, length)
        for j in range(s.nq):
            result = out + j * q_stride + (at - first) if here == size else s.result
            wanted = s.wanted + j * (s.w + 1)
            if gaps:
                if s.gaps[j].comparators == NULL and (gap_network(s, j) or grow_scratch(s, s.gaps[j].vectors)):
                    return -1
                spread_gaps(s, length, s.q[j])
                run_network(s.gaps + j, s.scratch)
                gather_gaps(s, s.gaps + j, wanted, result)
            else:
                run_network(s.full + j, s.scratch)
                gather(s, s.full + j, wanted + s.w, result)
            if here < size:
                memcpy(out + j * q_stride + (at - first), result, here * sizeof(double))
        at += size
    return 0


cdef inline int line_quantiles(
        Quantiles *s, const double *v, Py_ssize_t m, Py_ssize_t first, double *out, Py_ssize_t q_stride) noexcept nogil:
    """Quantiles of the windows that end at v[first], ..., v[m - 1]: out[j * q_stride + i] is quantile j of window first + i.

    Where first >= w - 1, the elements before that are not read, and a line may be cut into pieces; elsewhere the line
    begins at v. Returns -1 where there is no memory; `out` is then unspecified.
    """
    cdef Py_ssize_t i, j, begin = s.min_count - 1
    if begin > m:
        begin = m
    if begin > first:                       # these windows have fewer than min_count elements
        for j in range(s.nq):
            for i in range(begin - first):
                out[j * q_stride + i] = NAN
        out += begin - first
        first = begin
    if s.tile:
        return network_quantiles(s, v, m, first, out, q_stride)
    rank_quantiles(&s.ranks, v, m, m, first, s.min_count, s.q, s.nq, s.method, s.pointers, s.wanted, out, q_stride)
    return 0


# ---- rows

cdef inline bint load_rows(
        Quantiles *s, const double *v, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t start, Py_ssize_t cols) noexcept nogil:
    """Load rows of up to LANES columns, with 0 beside them. Returns whether there is a NaN."""
    cdef Py_ssize_t i, t
    cdef double *vector = s.line
    cdef const double *row
    cdef int found = start < 0
    for i in range(start, start + s.w + s.tile - 1):
        if 0 <= i < m and cols == LANES:
            row = v + i * stride
            for t in range(LANES):
                vector[t] = row[t]
                found |= row[t] != row[t]
        else:
            for t in range(LANES):
                vector[t] = NAN if i < 0 else 0
            if 0 <= i < m:
                row = v + i * stride
                for t in range(cols):
                    vector[t] = row[t]
                    found |= row[t] != row[t]
        vector += LANES
    return found


cdef inline void fill_gaps(Quantiles *s, double q) noexcept nogil:
    cdef Py_ssize_t _i, t
    cdef uint64_t sum[32]               # LANES numbers
    cdef uint64_t part = share(q)
    cdef int32_t *numbers = s.numbers
    cdef int32_t *lows = s.lows
    cdef const double *line = s.line
    cdef double *vector = s.scratch
    cdef double x
    cdef int low, missing
    for t in range(LANES):
        sum[t] = 0
        numbers[t] = 0
        lows[t] = 0
    for _i in range(s.w + s.tile - 1):
        for t in range(LANES):
            x = line[t]
            missing = x != x
            sum[t] += part & (<uint64_t> 0 - <uint64_t> missing)
            low = <int> (sum[t] >> 32)
            sum[t] = <uint32_t> sum[t]
            vector[t] = filled(x, missing, low)
            numbers[LANES + t] = numbers[t] + 1 - missing
            lows[LANES + t] = lows[t] + low
        line += LANES
        vector += LANES
        numbers += LANES
        lows += LANES


cdef inline void rows_out(
        Quantiles *s, const Network *net, const QuantileRanks *want, Py_ssize_t rows, Py_ssize_t cols, double *out,
        Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t k, t
    cdef const double *a
    cdef const double *b
    for k in range(rows):
        a = s.scratch + net.outputs[k * net.kept + want.low - net.base]
        b = s.scratch + net.outputs[k * net.kept + want.high - net.base]
        if want.mode == TAKE:
            for t in range(cols):
                out[t] = a[t] + 0.0
        elif want.mode == MEAN:
            for t in range(cols):
                out[t] = blend(a[t], b[t], 0.5, MEAN)
        else:
            for t in range(cols):
                out[t] = blend(a[t], b[t], want.t, LERP)
        out += stride


cdef inline void rows_out_gaps(
        Quantiles *s, const Network *net, const QuantileRanks *wanted, Py_ssize_t rows, Py_ssize_t cols, double *out,
        Py_ssize_t stride) noexcept nogil:
    cdef Py_ssize_t k, t, lows, numbers
    cdef const QuantileRanks *want
    cdef const int32_t *outputs = net.outputs
    for k in range(rows):
        for t in range(cols):
            numbers = s.numbers[(k + s.w) * LANES + t] - s.numbers[k * LANES + t]
            if numbers < s.min_count:
                out[t] = NAN
            else:
                want = wanted + numbers
                lows = s.lows[(k + s.w) * LANES + t] - s.lows[k * LANES + t] - net.base
                out[t] = blend(s.scratch[outputs[want.low + lows] + t], s.scratch[outputs[want.high + lows] + t],
                               want.t, want.mode)
        outputs += net.kept
        out += stride


cdef inline int rows_quantiles(
        Quantiles *s, const double *v, Py_ssize_t stride, Py_ssize_t m, Py_ssize_t first, Py_ssize_t cols, double *out,
        Py_ssize_t out_stride, Py_ssize_t q_stride) noexcept nogil:
    """`line_quantiles` of every column of m rows, which are `stride` doubles apart and have `cols` columns each.

    Row i of quantile j is at out + j * q_stride + i * out_stride. Returns -1 where there is no memory.
    """
    cdef Py_ssize_t at, j, k, here, col, width, begin = s.min_count - 1
    cdef double *result
    cdef bint gaps
    if begin > m:
        begin = m
    if begin > first:
        for j in range(s.nq):
            for at in range(begin - first):
                for col in range(cols):
                    out[j * q_stride + at * out_stride + col] = NAN
        out += (begin - first) * out_stride
        first = begin
    col = 0
    while col < cols:
        width = LANES if col + LANES < cols else cols - col
        at = first
        while at < m:
            here = s.tile if at + s.tile < m else m - at
            gaps = load_rows(s, v + col, stride, m, at - s.w + 1, width)
            if not gaps:
                memcpy(s.scratch, s.line, s.elements * sizeof(double))
            for j in range(s.nq):
                result = out + j * q_stride + (at - first) * out_stride + col
                k = j * (s.w + 1)
                if gaps:
                    if s.gaps[j].comparators == NULL and (gap_network(s, j) or grow_scratch(s, s.gaps[j].vectors)):
                        return -1
                    fill_gaps(s, s.q[j])
                    run_network(s.gaps + j, s.scratch)
                    rows_out_gaps(s, s.gaps + j, s.wanted + k, here, width, result, out_stride)
                else:
                    run_network(s.full + j, s.scratch)
                    rows_out(s, s.full + j, s.wanted + k + s.w, here, width, result, out_stride)
            at += here
        col += width
    return 0
