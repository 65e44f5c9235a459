# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Moving medians, quantiles and ranks: pieces of a lane are loaded with their halo, for quantiles.pxd and ranks.pxd.

Results are elements of the window, or lie between two of them, so it does not matter where pieces begin. Nor does it matter
which pieces are computed as integers because float64 can't tell their elements apart: see integers.pxd.
"""
from libc.math cimport NAN
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from integers cimport DIGITS, fetch_keys, flip_of, lane_within, within
from quantile_methods cimport MEDIAN, Method, QuantileRanks
from quantiles cimport Quantiles, close_quantiles, line_quantiles, open_quantiles, rows_quantiles
from ranks cimport (
    Pointer, Ranks, close_ranks, keys_rank, normal_rank, open_ranks, ordered, rank_quantiles, ranks_rank)
from window cimport Job, Operand, Strip, run_windows, scratch

cdef enum:
    PIECE = 16384           # outputs of a line that are computed at a time, at least
    ROWS = 512              # rows of a strip of columns
    HALVES = DIGITS - 1     # digits of integers of which differences, and halves of differences, are exact in float64


cdef struct Order:
    Py_ssize_t window, offset, min_count, n
    Py_ssize_t piece        # outputs that are computed at a time
    Py_ssize_t *q_offset    # for each q, bytes from the results of the first q to its own
    Quantiles quantiles
    Pointer *pointers
    QuantileRanks *wanted
    Ranks ranks             # of move_rank; of quantiles only where integers need them


cdef inline Py_ssize_t low_of(Order *it, Py_ssize_t begin) noexcept nogil:
    """The first element of the window of an output, within the series."""
    cdef Py_ssize_t low = begin + it.offset - (it.window - 1)
    low = low if low > 0 else 0
    return low if low < it.n else it.n


cdef inline Py_ssize_t high_of(Order *it, Py_ssize_t end) noexcept nogil:
    return end + it.offset if end + it.offset < it.n else it.n


cdef inline Py_ssize_t bring_up(Job *job, Order *it, char *lane, Py_ssize_t begin, Py_ssize_t end, double *v) noexcept nogil:
    """Load the elements of the windows of outputs begin..end to v, and NaN after the end of the series. Returns how many come
    before the end of the first window."""
    cdef Operand *x = &job.operand[0]
    cdef Py_ssize_t low = low_of(it, begin), high = high_of(it, end), i
    x.take(lane + low * x.n_stride, x.n_stride, high - low, v, 1)
    for i in range(high - low, end + it.offset - low):
        v[i] = NAN
    return begin + it.offset - low


cdef int fill_quantiles(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Order *it = <Order *> job.parameters
    cdef Quantiles *s = &it.quantiles
    cdef Py_ssize_t at, stop, l, j, first
    cdef int failed
    cdef double *v
    cdef double *result
    s.ranks.watch = it.ranks.watch = &job.watch
    if s.rows:
        return fill_rows(job, strip, begin, end)
    v = scratch(job, it.window + it.piece + s.nq * it.piece)
    if v == NULL:
        return -1
    result = v + it.window + it.piece
    for l in range(strip.lanes):
        at = begin
        while at < end:
            stop = at + it.piece if at + it.piece < end else end
            if lane_within(&job.operand[0], strip.lane[0][l], low_of(it, at), high_of(it, stop), HALVES):
                first = bring_up(job, it, strip.lane[0][l], at, stop, v)
                failed = line_quantiles(s, v, first + stop - at, first, result, it.piece)
            else:
                failed = integer_quantiles(job, it, strip.lane[0][l], at, stop, <uint64_t *> v, result, it.piece)
            if failed < 0:
                return -1
            if job.watch.halt:
                return 0
            for j in range(s.nq):
                job.out.give(result + j * it.piece, 1, stop - at,
                             strip.out[l] + it.q_offset[j] + at * job.out.n_stride, job.out.n_stride)
            at = stop
    return 0


cdef int integer_quantiles(
        Job *job, Order *it, char *lane, Py_ssize_t begin, Py_ssize_t end, uint64_t *v, double *result,
        Py_ssize_t q_stride) noexcept nogil:
    """`line_quantiles` of the windows of outputs begin..end of a lane; v is scratch."""
    cdef Operand *x = &job.operand[0]
    cdef Quantiles *s = &it.quantiles
    cdef Py_ssize_t low = low_of(it, begin), high = high_of(it, end), first = begin + it.offset - low
    if it.ranks.memory == NULL and open_integers(it, flip_of(x)) < 0:
        return -1
    fetch_keys(x, lane + low * x.n_stride, high - low, v)
    rank_quantiles(&it.ranks, <const uint64_t *> v, first + end - begin, high - low, first, s.min_count, s.q, s.nq, s.method,
                   it.pointers, it.wanted, result, q_stride)
    return 0


cdef int open_integers(Order *it, uint64_t flip) noexcept nogil:
    cdef Py_ssize_t nq = it.quantiles.nq
    it.pointers = <Pointer *> malloc(nq * (sizeof(Pointer) + sizeof(QuantileRanks)))
    if it.pointers == NULL or open_ranks(&it.ranks, it.window, it.piece + it.window) < 0:
        return -1
    it.wanted = <QuantileRanks *> (it.pointers + nq)
    it.ranks.keys = True
    it.ranks.flip = flip
    return 0


cdef int fill_rows(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute columns that adjoin, by networks down the rows."""
    cdef Order *it = <Order *> job.parameters
    cdef Quantiles *s = &it.quantiles
    cdef Operand *x = &job.operand[0]
    cdef Py_ssize_t at = begin, stop, low, p, i, j, l, lanes = strip.lanes, q_stride = ROWS * lanes
    cdef double *v = scratch(job, (it.window + ROWS + s.nq * ROWS) * lanes)
    cdef double *result = v + (it.window + ROWS) * lanes
    if v == NULL:
        return -1
    while at < end:
        stop = at + ROWS if at + ROWS < end else end
        low = low_of(it, at)
        if not within(job, strip, low, high_of(it, stop), HALVES):
            for l in range(lanes):
                if integer_quantiles(job, it, strip.lane[0][l], at, stop, <uint64_t *> v, result, ROWS) < 0:
                    return -1
                if job.watch.halt:
                    return 0
                for j in range(s.nq):
                    job.out.give(result + j * ROWS, 1, stop - at,
                                 strip.out[l] + it.q_offset[j] + at * job.out.n_stride, job.out.n_stride)
            at = stop
            continue
        for p in range(low, stop + it.offset):
            if p < it.n:
                x.take(strip.lane[0][0] + p * x.n_stride, x.inner_stride, lanes, v + (p - low) * lanes, 1)
            else:
                for i in range(lanes):
                    v[(p - low) * lanes + i] = NAN
        if rows_quantiles(s, v, lanes, stop + it.offset - low, at + it.offset - low, lanes, result, lanes, q_stride) < 0:
            return -1
        for j in range(s.nq):
            for i in range(stop - at):
                job.out.give(result + j * q_stride + i * lanes, 1, lanes,
                             strip.out[0] + it.q_offset[j] + (at + i) * job.out.n_stride, job.out.inner_stride)
        at = stop
    return 0


cdef int fill_ranks(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Order *it = <Order *> job.parameters
    cdef Operand *x = &job.operand[0]
    cdef Py_ssize_t at, stop, l, first, inside, low, high
    cdef double *v = scratch(job, it.window + 2 * it.piece)
    cdef double *result = v + it.window + it.piece
    cdef uint64_t *keys
    it.ranks.watch = &job.watch
    if v == NULL:
        return -1
    for l in range(strip.lanes):
        at = begin
        while at < end:
            stop = at + it.piece if at + it.piece < end else end
            low = low_of(it, at)
            high = high_of(it, stop)
            first = at + it.offset - low
            inside = it.n - it.offset - at          # windows that end within the series
            inside = 0 if inside < 0 else stop - at if inside > stop - at else inside
            if lane_within(x, strip.lane[0][l], low, high, DIGITS):
                x.take(strip.lane[0][l] + low * x.n_stride, x.n_stride, high - low, v, 1)
                if inside:
                    ranks_rank(&it.ranks, v, first + inside, first, it.min_count, result)
                rank_last(it, v, low, high, at + inside, stop, result + inside)
            else:
                keys = <uint64_t *> v
                fetch_keys(x, strip.lane[0][l] + low * x.n_stride, high - low, keys)
                if inside:
                    keys_rank(&it.ranks, keys, first + inside, first, it.min_count, result)
                rank_last(it, keys, low, high, at + inside, stop, result + inside)
            if job.watch.halt:
                return 0
            job.out.give(result, 1, stop - at, strip.out[l] + at * job.out.n_stride, job.out.n_stride)
            at = stop
    return 0


cdef void rank_last(
        Order *it, const ordered *v, Py_ssize_t low, Py_ssize_t high, Py_ssize_t begin, Py_ssize_t end,
        double *result) noexcept nogil:
    """Ranks in windows that reach beyond the series: that of its last element, as elements leave at the other end. v[0] is
    element `low`, and `high` is the end of the series."""
    cdef Py_ssize_t leaving = low_of(it, begin), i
    cdef Py_ssize_t below = 0, same = 0, above = 0
    cdef ordered newest
    if begin == end:
        return
    newest = v[high - 1 - low]
    for i in range(leaving - low, high - low):
        below += v[i] < newest
        same += v[i] == newest
        above += v[i] > newest
    for i in range(begin, end):
        while leaving < i + it.offset - (it.window - 1):
            below -= v[leaving - low] < newest
            same -= v[leaving - low] == newest
            above -= v[leaving - low] > newest
            leaving += 1
        if newest != newest or below + same + above < it.min_count:
            result[i - begin] = NAN
        else:
            result[i - begin] = normal_rank(2 * below + same, below + same + above)


cdef int start(Order *it, object a, Py_ssize_t window, Py_ssize_t offset, Py_ssize_t min_count) except -1:
    it.window = window
    it.offset = offset
    it.min_count = min_count
    it.n = a.shape[a.ndim - 2]
    it.pointers = NULL
    it.ranks.memory = NULL
    # Ranks sort runs of at least twice the window; pieces that are whole runs sort nothing more often than needed.
    it.piece = PIECE if 2 * window <= PIECE else 2 * window
    it.piece = it.piece if it.piece < it.n else it.n
    return 0


cdef object address(object array):
    return array.__array_interface__["data"][0]


cdef int quantiles(
        object a, Py_ssize_t window, Py_ssize_t offset, Py_ssize_t min_count, tuple q, Method method, object cursor, tuple out
) except -1:
    cdef Order it
    cdef Py_ssize_t j, nq = len(q), longest, total = a.size
    cdef bint rows = a.shape[a.ndim - 1] > 1
    cdef int failed
    cdef double *points = <double *> malloc(nq * (sizeof(double) + sizeof(Py_ssize_t)))
    if points == NULL:
        raise MemoryError("no memory for q")
    try:
        it.q_offset = <Py_ssize_t *> (points + nq)
        for j in range(nq):
            points[j] = q[j]
            it.q_offset[j] = address(out[j]) - address(out[0])
        start(&it, a, window, offset, min_count)
        longest = it.piece + window
        failed = open_quantiles(&it.quantiles, window, min_count, points, nq, method, longest, total, rows)
        if not failed and rows and it.quantiles.tile == 0:          # windows too long for networks: column by column
            close_quantiles(&it.quantiles)
            failed = open_quantiles(&it.quantiles, window, min_count, points, nq, method, longest, total, False)
        if failed:
            raise MemoryError("no memory for the windows of a chunk")
        try:
            return run_windows(fill_quantiles, &it, (a,), cursor, out[0])
        finally:
            close_quantiles(&it.quantiles)
            close_ranks(&it.ranks)
            free(it.pointers)
    finally:
        free(points)


def move_median(a, window, offset, min_count, cursor, out):
    return quantiles(a, window, offset, min_count, (0.5,), MEDIAN, cursor, (out,))


def move_quantile(a, window, offset, min_count, q, method, cursor, *out):
    return quantiles(a, window, offset, min_count, q, method, cursor, out)


def move_rank(a, window, offset, min_count, cursor, out):
    cdef Order it
    start(&it, a, window, offset, min_count)
    if open_ranks(&it.ranks, it.window, it.piece + it.window) < 0:
        raise MemoryError("no memory for the windows of a chunk")
    try:
        return run_windows(fill_ranks, &it, (a,), cursor, out)
    finally:
        close_ranks(&it.ranks)
