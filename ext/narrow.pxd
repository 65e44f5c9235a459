"""Elements of given ranks among keys in a worker's scratch.

    keys      . . . . . . . . . . . . . . . . . .      a sample of some of them, sorted
    ranks                 r                            a bracket around the place of r in the sample, some deviations wide
    next              [ . . . . ]                      what lies inside is kept, about a quarter, and narrowed likewise

A pass counts what is below a bracket and at its ends, and keeps what is inside without a branch. Several ranks share
passes as long as they are near to each other. Where samples mislead twice in a row the range of keys is halved
instead; after 64 such passes nothing is left. So no input takes quadratic time.
"""
from libc.stdlib cimport realloc
from libc.string cimport memmove

from compress cimport SLACK, allcores_keep4, allcores_keep8
from keys cimport INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, key
from reals cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    SAMPLE = 64             # keys of a sample, at most
    LITTLE = 512            # below so many keys a sample has half as many
    FEW = 64                # up to so many keys are sorted, not narrowed down
    MARGIN = 8              # places in a sample between a rank and the end of its bracket: two standard deviations
    LESS = 5                # the same in half a sample
    NEAR = 6                # ranks that are so many places apart in a sample share a bracket
    GROUPS = 4              # brackets of a pass over the elements, at most
    STACK = 1024
    PIECE = 2048            # keys that stay in the first-level cache


cdef struct Arena:
    char *data
    Py_ssize_t room         # bytes


cdef struct Item:
    Py_ssize_t offset, n    # of the keys, in the arena
    Py_ssize_t first, last  # which ranks are looked for
    Py_ssize_t base         # elements that are known to come before
    int misled              # how many samples in a row have missed a rank or kept too much


cdef struct Split:
    Py_ssize_t below, at_low, inside, at_high


cdef inline int ensure(Arena *arena, Py_ssize_t size) noexcept nogil:
    cdef char *data
    if size <= arena.room:
        return 0
    data = <char *> realloc(arena.data, size)
    if data == NULL:
        return -1
    arena.data = data
    arena.room = size
    return 0


cdef inline key smallest(key *_) noexcept nogil:
    if key is int32_t:
        return INT32_MIN
    else:
        return INT64_MIN


cdef inline key largest(key *_) noexcept nogil:
    if key is int32_t:
        return INT32_MAX
    else:
        return INT64_MAX


cdef inline void sort_padded(const key *v, int n, int size, key *ordered) noexcept nogil:
    cdef key padded[FEW]
    cdef uint8_t known[FEW]
    cdef key place, last = 0
    cdef int i, j
    for i in range(size):
        padded[i] = v[i] if i < n else largest(<key *> NULL)
        known[i] = 0
    for i in range(n):
        place = 0
        for j in range(size):
            place += padded[j] < padded[i]
        ordered[place] = padded[i]
        known[place] = 1
    for i in range(n):              # where keys are equal, only the place of the first one was found
        last = ordered[i] if known[i] else last
        ordered[i] = last


cdef inline void sort_few(const key *v, Py_ssize_t n, key *ordered) noexcept nogil:
    """n <= 64 keys in order. Each one's place is the number of those below it: no branches, and it vectorises, in loops
    of constant length."""
    if n <= 16:
        sort_padded(v, <int> n, 16, ordered)
    elif n <= 32:
        sort_padded(v, <int> n, 32, ordered)
    elif n <= 48:
        sort_padded(v, <int> n, 48, ordered)
    else:
        sort_padded(v, <int> n, FEW, ordered)


cdef inline Py_ssize_t keep(const key *v, Py_ssize_t n, key low, key high, key *out) noexcept nogil:
    """Keep the keys that are greater than low and less than high; return how many these are. low and high differ."""
    if key is int32_t:
        return allcores_keep4(v, n, <uint32_t> low + 1, <uint32_t> high - <uint32_t> low - 1, out)
    else:
        return allcores_keep8(v, n, <uint64_t> low + 1, <uint64_t> high - <uint64_t> low - 1, out)


cdef inline Py_ssize_t keep_below(const key *v, Py_ssize_t n, key low, key *out) noexcept nogil:
    if key is int32_t:
        return allcores_keep4(v, n, <uint32_t> INT32_MIN, <uint32_t> low - <uint32_t> INT32_MIN, out)
    else:
        return allcores_keep8(v, n, <uint64_t> INT64_MIN, <uint64_t> low - <uint64_t> INT64_MIN, out)


cdef inline Py_ssize_t keep_above(const key *v, Py_ssize_t n, key high, key *out) noexcept nogil:
    if key is int32_t:
        return allcores_keep4(v, n, <uint32_t> high + 1, <uint32_t> INT32_MAX - <uint32_t> high, out)
    else:
        return allcores_keep8(v, n, <uint64_t> high + 1, <uint64_t> INT64_MAX - <uint64_t> high, out)


cdef inline void tally(const key *v, Py_ssize_t n, key low, key high, Split *s) noexcept nogil:
    """Count what lies below `low` and at both ends, of at most PIECE keys."""
    cdef Py_ssize_t i
    cdef key below = 0, at_low = 0, at_high = 0
    for i in range(n):
        below += v[i] < low
        at_low += v[i] == low
        at_high += v[i] == high
    s.below += below
    s.at_low += at_low
    s.at_high += at_high


cdef inline Split split(const key *v, Py_ssize_t n, key low, key high, key *out) noexcept nogil:
    """Count the keys below `low`, at both ends and between them, and keep those between."""
    cdef Split s
    cdef Py_ssize_t at = 0, m
    s.below = 0
    s.at_low = 0
    s.inside = 0
    s.at_high = 0
    while at < n:
        m = PIECE if at + PIECE < n else n - at
        tally(v + at, m, low, high, &s)
        if low < high:
            s.inside += keep(v + at, m, low, high, out + s.inside)
        at += m
    if low == high:
        s.at_high = 0
    return s


cdef inline key middle(const key *v, Py_ssize_t n) noexcept nogil:
    """Halfway between the smallest and the largest key."""
    cdef key low = v[0], high = v[0]
    cdef Py_ssize_t i
    for i in range(n):
        low = v[i] if v[i] < low else low
        high = v[i] if v[i] > high else high
    return (low & high) + ((low ^ high) >> 1)


cdef inline Py_ssize_t place_in_sample(Py_ssize_t rank, Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    return <Py_ssize_t> ((rank + 0.5) * (<double> size / <double> n))


cdef inline int narrow(
        Arena *arena, Py_ssize_t begin, Py_ssize_t n, const Py_ssize_t *ranks, Py_ssize_t m, key *values) noexcept nogil:
    """Write to values[j] the key of rank ranks[j], from 0, among the n keys from `begin` in the arena.

    Ranks are in order. The keys, and what comes after them in the arena, are overwritten. Returns -1 where there is no
    memory.
    """
    cdef Item stack[STACK]
    cdef Item it
    cdef Item *child
    cdef key sample[SAMPLE]
    cdef key ordered[SAMPLE]
    cdef key low, high
    cdef key *v
    cdef Split s
    cdef int depth = 1, low_depth, groups, i
    cdef Py_ssize_t top, g, h, p, at, right, left, known, size, margin
    stack[0].offset = begin
    stack[0].n = n
    stack[0].first = 0
    stack[0].last = m
    stack[0].base = 0
    stack[0].misled = 0
    while depth:
        depth -= 1
        it = stack[depth]
        if it.n <= FEW:
            sort_few(<key *> arena.data + it.offset, it.n, ordered)
            for g in range(it.first, it.last):
                values[g] = ordered[ranks[g] - it.base]
            continue
        v = <key *> arena.data + it.offset
        size = SAMPLE if it.n >= LITTLE else SAMPLE // 2
        margin = MARGIN if it.n >= LITTLE else LESS
        if it.misled < 2:
            for i in range(size):
                # Each is at another place within its run of keys, so that data with a period do not mislead the sample.
                sample[i] = v[(it.n * i + it.n * ((i * 41 + 19) & 63) // 64) // size]
            sort_few(sample, size, ordered)
        low_depth = depth
        groups = 0
        top = it.offset + it.n
        g = it.first
        while g < it.last:
            groups += 1
            h = g + 1
            if it.misled >= 2:
                h = it.last
                low = middle(v, it.n)
                high = low
            else:
                p = place_in_sample(ranks[g] - it.base, it.n, size)
                while h < it.last and (
                        groups == GROUPS or place_in_sample(ranks[h] - it.base, it.n, size) - p <= NEAR):
                    h += 1
                right = place_in_sample(ranks[h - 1] - it.base, it.n, size) + margin
                low = ordered[p - margin] if p >= margin else smallest(<key *> NULL)
                high = ordered[right] if right < size else largest(<key *> NULL)
            if ensure(arena, (top + it.n + SLACK) * <Py_ssize_t> sizeof(key)) < 0:
                return -1
            v = <key *> arena.data + it.offset
            s = split(v, it.n, low, high, <key *> arena.data + top)
            # Ranks below the bracket, at its lower end, inside, at its upper end, above it.
            left = g
            while g < h and ranks[g] - it.base < s.below:
                g += 1
            at = g
            known = s.below + s.at_low
            while g < h and ranks[g] - it.base < known:
                values[g] = low
                g += 1
            p = g
            while g < h and ranks[g] - it.base < known + s.inside:
                g += 1
            if p < g:
                child = &stack[depth]
                depth += 1
                child.offset = top
                child.n = s.inside
                child.first = p
                child.last = g
                child.base = it.base + known
                child.misled = it.misled + 1 if 4 * s.inside > 3 * it.n else 0
                top += s.inside
            known += s.inside + s.at_high
            while g < h and ranks[g] - it.base < known:
                values[g] = high
                g += 1
            if (left < at or g < h) and ensure(arena, (top + 2 * it.n + SLACK) * <Py_ssize_t> sizeof(key)) < 0:
                return -1
            v = <key *> arena.data + it.offset
            if left < at:
                child = &stack[depth]
                depth += 1
                child.offset = top
                child.n = keep_below(v, it.n, low, <key *> arena.data + top)
                child.first = left
                child.last = at
                child.base = it.base
                child.misled = 0 if it.misled >= 2 else it.misled + 1
                top += child.n
            if g < h:
                child = &stack[depth]
                depth += 1
                child.offset = top
                child.n = keep_above(v, it.n, high, <key *> arena.data + top)
                child.first = g
                child.last = h
                child.base = it.base + known
                child.misled = 0 if it.misled >= 2 else it.misled + 1
                top += child.n
            g = h
        # The keys that were kept take the place of those among which they were found.
        memmove(arena.data + it.offset * <Py_ssize_t> sizeof(key), arena.data + (it.offset + it.n) * <Py_ssize_t> sizeof(key),
                (top - it.offset - it.n) * <Py_ssize_t> sizeof(key))
        for i in range(low_depth, depth):
            stack[i].offset -= it.n
    return 0
