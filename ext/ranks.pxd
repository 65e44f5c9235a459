# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Order statistics of a moving window: sort a run of elements once, then slide over a bitset of ranks.

    run of a series         [ w - 1 of halo | L outputs ]       L is 1000 or more, and at least 2 w
    sorted once             every element has a rank in the run, ties by position
    the window              a bitset over ranks; a step sets one bit and clears one
    a quantile              the k-th set bit. A pointer (word, bits set before it) follows it: it moves past
                            one set bit a step or so, and a summary (one bit a word, one bit a word of those, ...)
                            leads over words without bits, so that no data make it walk far
    the rank of an element  how many bits are set before its own: counts of groups of words, summed

A radix sort takes 5 ns an element whatever the length, and a step some 10 ns. Neither depends on the window, apart from
the caches, nor on the data, except that data which span hundreds of decades take 25 ns to sort. (A list of the sorted
elements linked in both directions misses the cache at each link of long windows; two heaps take log w unpredictable
branches a step; an array kept sorted moves w / 3 elements.)
NaN has no bit. Results are elements of the window, so it does not matter where runs begin.

Integers that float64 can't tell apart are sorted as ordered keys (integers.pxd). Only the sort, and the step from sorted
values to a result, are different for them.
"""
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from bitset cimport allcores_bits, allcores_highest, allcores_lowest
from integers cimport blend_keys
from watch cimport ITERATIONS, Watch, halted
from quantile_methods cimport Method, QuantileRanks, blend, ranks_of_quantile

cdef enum:
    OUTPUTS = 2048      # outputs in a run, at least
    BINS = 2048         # bins of a pass of the radix sort
    SUMMARIES = 7       # levels of summaries, at most: more than 32-bit ranks need
    GROUP = 4           # words in a group whose bits are counted
    FAN = 32            # counts of which a sum is kept
    FEW = 8             # up to this window, SOME elements go side by side: at v2 no faster from 10 on, at v3 from 15
    SOME = 64
    DIRECT = 128        # up to this window an element is compared with all others: at v2 as fast as a bitset at 110, at v3 at 200

cdef struct Ranks:
    Py_ssize_t w            # window
    Py_ssize_t length       # outputs in a run
    Py_ssize_t halo         # elements before them: w - 1
    uint64_t *a             # for sorting
    uint64_t *b             # for sorting, then the sorted values: numbers or keys
    bint keys
    uint64_t flip           # what makes a key of an integer, and back, by XOR
    uint32_t *rank          # of each element of the run; that of NaN is `nowhere`
    uint32_t *bins
    uint32_t nowhere        # the rank of NaN: a bit past all others, in a word of its own
    uint64_t *words[SUMMARIES]
    int levels
    uint32_t *counts[SUMMARIES]     # bits set in every GROUP words; in every FAN of these; ...
    int tiers
    Py_ssize_t filled               # bytes of words and counts
    void *memory
    Watch *watch


cdef inline bint over(Ranks *r, Py_ssize_t i) noexcept nogil:
    """Whether a loop that takes some 5 to 30 ns an iteration is to stop before iteration i."""
    return i & (ITERATIONS - 1) == 0 and halted(r.watch, 4 * ITERATIONS)


cdef inline void close_ranks(Ranks *r) noexcept nogil:
    free(r.memory)
    r.memory = NULL


cdef inline int open_ranks(Ranks *r, Py_ssize_t w, Py_ssize_t longest) noexcept nogil:
    """Get scratch for windows of w in series of up to `longest` elements: 20 bytes an element of three windows. -1: none."""
    cdef Py_ssize_t length = 2 * w if w > OUTPUTS // 2 else OUTPUTS, n, words, total = 0, l
    cdef Py_ssize_t size[SUMMARIES]
    cdef Py_ssize_t groups[SUMMARIES]
    cdef char *p
    if length > longest:
        length = longest
    r.w = w
    r.keys = False
    r.flip = 0
    r.length = length
    r.halo = w - 1 if w <= longest else longest
    n = length + r.halo
    if n >> 32:             # ranks have 32 bits; scratch would be 80 GB
        return -1
    r.nowhere = <uint32_t> ((n + 63) >> 6 << 6)
    words = (n + 63 >> 6) + 1
    l = 0
    while True:
        size[l] = words
        total += words
        l += 1
        if words == 1 or l == SUMMARIES:
            break
        words = words + 63 >> 6
    r.levels = <int> l
    words = size[0] // GROUP + 1
    l = 0
    while True:
        groups[l] = (words // FAN + 1) * FAN
        total += groups[l] // 2
        l += 1
        if words <= FAN or l == SUMMARIES:
            break
        words = words // FAN + 1
    r.tiers = <int> l
    n = n + 15 >> 4 << 4
    total += GROUP
    r.memory = malloc(n * 20 + total * 8 + BINS * 6 * 4)
    if r.memory == NULL:
        return -1
    p = <char *> r.memory
    r.a = <uint64_t *> p
    r.b = r.a + n
    r.rank = <uint32_t *> (r.b + n)
    r.bins = r.rank + n
    r.words[0] = <uint64_t *> (r.bins + BINS * 6)
    for l in range(1, r.levels):
        r.words[l] = r.words[l - 1] + size[l - 1]
    r.counts[0] = <uint32_t *> (r.words[r.levels - 1] + GROUP)
    for l in range(1, r.tiers):
        r.counts[l] = r.counts[l - 1] + groups[l - 1]
    r.filled = <char *> (r.counts[r.tiers - 1] + groups[r.tiers - 1]) - <char *> r.words[0]
    return 0


# ---- sort a run

ctypedef fused ordered:
    double
    uint64_t


cdef inline uint64_t key(ordered x) noexcept nogil:
    """An unsigned integer in the order of the numbers; that of both zeros is the same."""
    cdef uint64_t bits
    if ordered is uint64_t:
        return x
    else:
        x = x + 0.0
        memcpy(&bits, &x, 8)
        return bits ^ ((<uint64_t> (<int64_t> bits >> 63)) | <uint64_t> 1 << 63)


cdef inline bint settle(double *value, uint64_t *order, uint32_t *rank, Py_ssize_t n, Py_ssize_t budget) noexcept nogil:
    """Sort by insertion what is nearly sorted. It gives up, and returns 0, after `budget` moves."""
    cdef Py_ssize_t i, j
    cdef uint64_t index
    cdef double x
    for i in range(1, n):
        x = value[i]
        if x < value[i - 1]:
            index = order[i]
            j = i
            while j > 0 and x < value[j - 1]:
                value[j] = value[j - 1]
                order[j] = order[j - 1]
                rank[<uint32_t> order[j]] = <uint32_t> j
                j -= 1
            value[j] = x
            order[j] = index
            rank[<uint32_t> index] = <uint32_t> j
            budget -= i - j
            if budget < 0:
                return False
    return True


cdef inline void starts(uint32_t *bins, Py_ssize_t n) noexcept nogil:
    cdef uint32_t total = 0, c
    cdef Py_ssize_t i
    for i in range(n):
        c = bins[i]
        bins[i] = total
        total += c


cdef inline void sort_bits(Ranks *r, const ordered *v, Py_ssize_t n, Py_ssize_t count) noexcept nogil:
    """Sort by all 64 bits, 11 at a time, in 25 ns an element: for keys, and for data of up to 600 decades, which no straight
    line spreads out."""
    cdef uint64_t *a = r.a
    cdef uint64_t *b = r.b
    cdef uint64_t *swap
    cdef uint32_t *bins
    cdef uint64_t k
    cdef Py_ssize_t i, c = 0, p
    memset(r.bins, 0, BINS * 6 * 4)
    for i in range(n):
        if over(r, i):
            return
        a[c] = <uint64_t> i
        if v[i] == v[i]:
            c += 1
            k = key(v[i])
            for p in range(6):
                r.bins[p * BINS + (k >> 11 * p & 2047)] += 1
    for p in range(6):
        bins = r.bins + p * BINS
        if bins[key(v[a[0]]) >> 11 * p & 2047] == count:
            continue
        starts(bins, BINS)
        for i in range(count):
            if over(r, i):
                return
            k = key(v[a[i]]) >> 11 * p & 2047
            b[bins[k]] = a[i]
            bins[k] += 1
        swap = a
        a = b
        b = swap
    if a != r.a:
        memcpy(r.a, a, count * 8)
    for i in range(count):
        if over(r, i):
            return
        (<ordered *> r.b)[i] = v[r.a[i]]
        r.rank[r.a[i]] = <uint32_t> i


cdef inline Py_ssize_t sort_keys(Ranks *r, const uint64_t *v, Py_ssize_t n, Py_ssize_t present) noexcept nogil:
    """Rank the first `present` of n keys; the others are missing and have no bit."""
    cdef Py_ssize_t i
    if present:
        sort_bits(r, v, present, present)
    for i in range(present, n):
        r.rank[i] = r.nowhere
    return present


cdef inline Py_ssize_t sort_stretch(Ranks *r, const double *v, Py_ssize_t n) noexcept nogil:
    """Rank n elements, and return how many are numbers. The sorted values are then in r.b.

    A straight line from the least to the greatest finite element gives each one 16 or 22 bits. Two passes sort by these,
    after which elements are nearly in order: of 6000 random normals some ten pairs are not.
    """
    cdef uint64_t *a = r.a
    cdef uint64_t *b = r.b
    cdef double *value = <double *> b
    cdef uint32_t *rank = r.rank
    cdef uint32_t *low_bins = r.bins
    cdef uint32_t *high_bins = r.bins + BINS
    cdef double low[32]
    cdef double high[32]
    cdef double x, least = INFINITY, most = -INFINITY, scale = 0, before
    cdef Py_ssize_t i, l, c = 0
    cdef uint64_t k, item
    cdef int bits = 8 if n <= 1024 else 11
    cdef uint64_t mask = (1 << bits) - 1
    cdef bint disorder = False
    if n <= 32:
        for i in range(n):
            rank[i] = r.nowhere
            if v[i] == v[i]:
                a[c] = <uint64_t> i
                value[c] = v[i]
                rank[i] = <uint32_t> c
                c += 1
        settle(value, a, rank, c, n * n)
        return c
    for l in range(32):
        low[l] = INFINITY
        high[l] = -INFINITY
    i = 0
    while i + 32 <= n:
        for l in range(32):
            x = v[i + l]
            x = x if x - x == 0 else NAN
            low[l] = x if x < low[l] else low[l]
            high[l] = x if x > high[l] else high[l]
        i += 32
    while i < n:
        x = v[i] if isfinite(v[i]) else NAN
        low[0] = x if x < low[0] else low[0]
        high[0] = x if x > high[0] else high[0]
        i += 1
    for l in range(32):
        least = low[l] if low[l] < least else least
        most = high[l] if high[l] > most else most
    if least > most:
        least = most = 0
    if most > least:
        scale = ((<int64_t> 1 << 2 * bits) - 1) / (most - least)
    for i in range(n):
        rank[i] = r.nowhere
    memset(low_bins, 0, (1 << bits) * 4)
    memset(high_bins, 0, (1 << bits) * 4)
    if not isfinite(scale) or not isfinite(most - least):
        for i in range(n):
            c += v[i] == v[i]
        if c:
            sort_bits(r, v, n, c)
        return c
    for i in range(n):
        x = v[i]
        l = x == x
        x = x if x > least else least       # NaN too
        x = x if x < most else most
        k = <uint64_t> <int64_t> ((x - least) * scale)
        a[c] = k << 32 | <uint64_t> i
        low_bins[k & mask] += <uint32_t> l
        high_bins[k >> bits] += <uint32_t> l
        c += l
    starts(low_bins, 1 << bits)
    starts(high_bins, 1 << bits)
    for i in range(c):
        if over(r, i):
            return 0
        item = a[i]
        k = item >> 32 & mask
        b[low_bins[k]] = item
        low_bins[k] += 1
    for i in range(c):
        if over(r, i):
            return 0
        item = b[i]
        k = item >> 32 + bits
        a[high_bins[k]] = item
        high_bins[k] += 1
    before = -INFINITY
    for i in range(c):
        if over(r, i):
            return 0
        x = v[<uint32_t> a[i]]
        value[i] = x
        rank[<uint32_t> a[i]] = <uint32_t> i
        disorder |= x < before
        before = x
    if disorder and not settle(value, a, rank, c, 2 * c):
        sort_bits(r, v, n, c)
    return c


cdef inline Py_ssize_t sort(
        Ranks *r, const ordered *v, Py_ssize_t start, Py_ssize_t end, Py_ssize_t present) noexcept nogil:
    if ordered is uint64_t:
        present = present if present < end else end
        return sort_keys(r, v + start, end - start, present - start if present > start else 0)
    else:
        return sort_stretch(r, v + start, end - start)


# ---- the bitset

cdef inline void clear_words(Ranks *r) noexcept nogil:
    memset(r.words[0], 0, r.filled)


cdef inline void insert(Ranks *r, uint32_t at) noexcept nogil:
    cdef int l = 0
    cdef uint64_t *word = r.words[0] + (at >> 6)
    cdef uint64_t old = word[0]
    word[0] = old | <uint64_t> 1 << (at & 63)
    while old == 0 and l + 1 < r.levels:
        l += 1
        at >>= 6
        word = r.words[l] + (at >> 6)
        old = word[0]
        word[0] = old | <uint64_t> 1 << (at & 63)


cdef inline void remove(Ranks *r, uint32_t at) noexcept nogil:
    cdef int l = 0
    cdef uint64_t *word = r.words[0] + (at >> 6)
    cdef uint64_t left = word[0] & ~(<uint64_t> 1 << (at & 63))
    word[0] = left
    while left == 0 and l + 1 < r.levels:
        l += 1
        at >>= 6
        word = r.words[l] + (at >> 6)
        left = word[0] & ~(<uint64_t> 1 << (at & 63))
        word[0] = left


cdef inline Py_ssize_t next_word(Ranks *r, Py_ssize_t at) noexcept nogil:
    """The first word after `at` that is not empty. There must be one."""
    cdef int l = 1
    cdef uint64_t rest
    while True:
        rest = r.words[l][at >> 6] >> (at & 63) >> 1
        if rest:
            at += 1 + allcores_lowest(rest)
            break
        at >>= 6
        l += 1
    while l > 1:
        l -= 1
        at = at << 6 | allcores_lowest(r.words[l][at])
    return at


cdef inline Py_ssize_t previous_word(Ranks *r, Py_ssize_t at) noexcept nogil:
    """The last word before `at` that is not empty. There must be one."""
    cdef int l = 1
    cdef uint64_t rest
    while True:
        rest = r.words[l][at >> 6] & ((<uint64_t> 1 << (at & 63)) - 1)
        if rest:
            at = at >> 6 << 6 | allcores_highest(rest)
            break
        at >>= 6
        l += 1
    while l > 1:
        l -= 1
        at = at << 6 | allcores_highest(r.words[l][at])
    return at


cdef inline int select(uint64_t word, int k) noexcept nogil:
    """The position of the k-th set bit, from 0, without a branch."""
    cdef int at = 0, below, step = 32
    cdef int beyond
    while step:
        below = allcores_bits(word & ((<uint64_t> 1 << step) - 1))
        beyond = k >= below
        k -= below & -beyond
        at += step & -beyond
        word >>= step & -beyond
        step >>= 1
    return at


cdef struct Pointer:
    Py_ssize_t word
    Py_ssize_t below        # bits set in the words before it


cdef inline void follow(Ranks *r, Pointer *p, Py_ssize_t k) noexcept nogil:
    """Move a pointer to the word with the k-th set bit."""
    cdef Py_ssize_t here
    while k < p.below:
        p.word = previous_word(r, p.word)
        p.below -= allcores_bits(r.words[0][p.word])
    here = allcores_bits(r.words[0][p.word])
    while k >= p.below + here:
        p.below += here
        p.word = next_word(r, p.word)
        here = allcores_bits(r.words[0][p.word])


cdef inline double value_at(Ranks *r, Pointer *p, QuantileRanks *want) noexcept nogil:
    cdef const double *value = <const double *> r.b
    cdef uint64_t word = r.words[0][p.word], rest
    cdef Py_ssize_t low = p.word << 6 | select(word, <int> (want.low - p.below)), high = low, next
    if want.high > want.low:
        rest = word >> (low & 63) >> 1
        if rest:
            high = low + 1 + allcores_lowest(rest)
        else:
            next = next_word(r, p.word)
            high = next << 6 | allcores_lowest(r.words[0][next])
    if r.keys:
        return blend_keys(r.b[low], r.b[high], r.flip, want)
    return blend(value[low], value[high], want.t, want.mode)


cdef inline void slide_quantiles(
        Ranks *r, Py_ssize_t halo, Py_ssize_t n, Py_ssize_t min_count, const double *q, Py_ssize_t nq,
        Method method, Pointer *pointers, QuantileRanks *wanted, double *out, Py_ssize_t q_stride) noexcept nogil:
    """Quantiles of the windows that end at the elements halo, halo + 1, ..., n - 1 of the run that was sorted."""
    cdef Py_ssize_t i, j, count = 0, known = -1
    cdef uint32_t enters, leaves
    clear_words(r)
    for j in range(nq):
        pointers[j].word = 0
        pointers[j].below = 0
    for i in range(halo):
        if over(r, i):
            return
        insert(r, r.rank[i])
        count += r.rank[i] != r.nowhere
    for i in range(halo, n):
        if over(r, i):
            return
        enters = r.rank[i]
        insert(r, enters)
        count += enters != r.nowhere
        for j in range(nq):
            pointers[j].below += <Py_ssize_t> (enters >> 6) < pointers[j].word
        if i >= r.w:
            leaves = r.rank[i - r.w]
            remove(r, leaves)
            count -= leaves != r.nowhere
            for j in range(nq):
                pointers[j].below -= <Py_ssize_t> (leaves >> 6) < pointers[j].word
        if count < min_count or count == 0:
            for j in range(nq):
                out[j * q_stride] = NAN
        else:
            if count != known:
                known = count
                for j in range(nq):
                    wanted[j] = ranks_of_quantile(count, q[j], method)
            for j in range(nq):
                follow(r, pointers + j, wanted[j].low)
                out[j * q_stride] = value_at(r, pointers + j, wanted + j)
        out += 1


cdef inline void rank_quantiles(
        Ranks *r, const ordered *v, Py_ssize_t m, Py_ssize_t present, Py_ssize_t first, Py_ssize_t min_count,
        const double *q, Py_ssize_t nq, Method method, Pointer *pointers, QuantileRanks *wanted, double *out,
        Py_ssize_t q_stride) noexcept nogil:
    """Quantiles of the windows that end at v[first], ..., v[m - 1]. Keys from v[present] on are missing."""
    cdef Py_ssize_t at = first, start, end
    while at < m:
        start = at - r.halo if at > r.halo else 0
        end = at + r.length if at + r.length < m else m
        sort(r, v, start, end, present)
        if r.watch.halt:
            return
        if nq == 1:
            slide_quantiles(r, at - start, end - start, min_count, q, 1, method, pointers, wanted, out + (at - first), q_stride)
        else:
            slide_quantiles(r, at - start, end - start, min_count, q, nq, method, pointers, wanted, out + (at - first), q_stride)
        at = end


# ---- the rank of the newest element

cdef inline double normal_rank(Py_ssize_t below, Py_ssize_t count) noexcept nogil:
    """A rank from -1 to 1, in bottleneck's order of operations. `below`: the elements less, plus those less or equal."""
    cdef double rank
    if count == 1:
        return 0
    rank = 0.5 * (<double> below - 1.0)
    rank = rank / (<double> count - 1.0)
    return 2.0 * (rank - 0.5)


cdef inline Py_ssize_t bits_before(Ranks *r, uint32_t at) noexcept nogil:
    """How many set bits come before one. The sums have a fixed length: loops of which the data decide the end cost 15 ns more."""
    cdef Py_ssize_t total = 0, i, word = at >> 6, group = word // GROUP
    cdef uint64_t last = (<uint64_t> 1 << (at & 63)) - 1
    cdef const uint64_t *words = r.words[0] + group * GROUP
    cdef const uint32_t *counts
    cdef uint32_t sum = 0
    cdef int t, l, upto
    word -= group * GROUP
    for i in range(GROUP):
        total += allcores_bits(words[i] & (<uint64_t> 0 - (i < word) | last & <uint64_t> 0 - (i == word)))
    for t in range(r.tiers):
        upto = <int> (group & (FAN - 1))
        group >>= 5
        counts = r.counts[t] + group * FAN
        for l in range(FAN):
            sum += counts[l] if l < upto else 0
    return total + sum


cdef inline void count_bit(Ranks *r, uint32_t at, uint32_t change) noexcept nogil:
    """Set a bit (change 1) or clear it (change -1); it must have been the other way."""
    cdef Py_ssize_t group = at >> 8
    cdef int t
    r.words[0][at >> 6] ^= <uint64_t> 1 << (at & 63)
    for t in range(r.tiers):
        r.counts[t][group] += change
        group >>= 5


cdef inline void slide_rank(
        Ranks *r, const ordered *value, Py_ssize_t numbers, Py_ssize_t halo, Py_ssize_t n, Py_ssize_t min_count,
        double *out) noexcept nogil:
    """`value` holds the sorted numbers of the run, which are in r.b."""
    cdef Py_ssize_t i, j, count = 0, below
    cdef uint64_t *tie = r.a            # for each rank, the first rank of equal elements, and the last one << 32
    cdef uint32_t enters, leaves
    for i in range(numbers):
        tie[i] = tie[i - 1] if i and value[i] == value[i - 1] else <uint64_t> i
    i = numbers - 1
    while i >= 0:
        tie[i] |= tie[i + 1] >> 32 << 32 if i + 1 < numbers and value[i] == value[i + 1] else <uint64_t> i << 32
        i -= 1
    if r.watch.halt:
        return
    clear_words(r)
    for i in range(n):
        if over(r, i):
            return
        enters = r.rank[i]
        if i >= r.w:
            leaves = r.rank[i - r.w]
            if leaves != r.nowhere:
                count_bit(r, leaves, -1)
                count -= 1
        if enters == r.nowhere:
            if i >= halo:
                out[i - halo] = NAN
            continue
        count_bit(r, enters, 1)
        count += 1
        if i >= halo:
            if count < min_count:
                out[i - halo] = NAN
                continue
            below = bits_before(r, <uint32_t> tie[enters])
            j = tie[enters] >> 32
            below += bits_before(r, <uint32_t> (j + 1)) if j > <uint32_t> tie[enters] else below + 1
            out[i - halo] = normal_rank(below, count)


cdef inline void whole_ranks(
        const double *v, Py_ssize_t n, Py_ssize_t w, Py_ssize_t min_count, double *out) noexcept nogil:
    """The ranks of n elements, at most SOME, in windows that begin w - 1 elements before them, side by side. Counts are
    doubles, which are exact here: conversions from integers don't vectorise at v3."""
    cdef double below[SOME]
    cdef double count[SOME]
    cdef const double *other
    cdef double rank, least = <double> min_count
    cdef Py_ssize_t i, j
    for i in range(n):
        below[i] = 0
        count[i] = 0
    for j in range(w):
        other = v - j
        for i in range(n):
            below[i] += (1.0 if other[i] < v[i] else 0.0) + (1.0 if other[i] <= v[i] else 0.0)
            count[i] += 1.0 if other[i] == other[i] else 0.0
    for i in range(n):
        rank = 0.5 * (below[i] - 1.0)
        rank = rank / (count[i] - 1.0)
        rank = 2.0 * (rank - 0.5)
        rank = 0.0 if count[i] == 1.0 else rank
        rank = rank if count[i] >= least else NAN
        out[i] = rank if v[i] == v[i] else NAN


cdef inline void direct_rank(
        const double *v, Py_ssize_t m, Py_ssize_t first, Py_ssize_t w, Py_ssize_t min_count, double *out) noexcept nogil:
    """Compare an element with every element of its window, in one loop that vectorises."""
    cdef Py_ssize_t i, j, start, count = 0
    cdef int64_t below
    cdef double x
    for i in range(first - w + 1 if first >= w else 0, first):
        count += v[i] == v[i]
    for i in range(first, m):
        x = v[i]
        start = i - w + 1
        if start > 0:
            count -= v[start - 1] == v[start - 1] and start - 1 >= (first - w + 1 if first >= w else 0)
        else:
            start = 0
        count += x == x
        below = 0
        for j in range(start, i + 1):
            below += (v[j] < x) + <int64_t> (v[j] <= x)
        out[i - first] = normal_rank(below, count) if x == x and count >= min_count else NAN


cdef inline void few_ranks(
        const double *v, Py_ssize_t m, Py_ssize_t first, Py_ssize_t w, Py_ssize_t min_count, double *out) noexcept nogil:
    """Compare elements with those of short windows, SOME windows side by side, which takes half of the time at w = 5."""
    cdef Py_ssize_t at = first if first > w - 1 else w - 1 if w - 1 < m else m
    direct_rank(v, at, first, w, min_count, out)        # windows that begin before the series
    while at + SOME <= m:
        whole_ranks(v + at, SOME, w, min_count, out + (at - first))
        at += SOME
    if at < m:
        whole_ranks(v + at, m - at, w, min_count, out + (at - first))


cdef inline void ranks_rank(
        Ranks *r, const double *v, Py_ssize_t m, Py_ssize_t first, Py_ssize_t min_count, double *out) noexcept nogil:
    """The rank of each of v[first], ..., v[m - 1] in the window that ends there."""
    cdef Py_ssize_t at = first, start, end
    if r.w <= FEW:
        few_ranks(v, m, first, r.w, min_count, out)
        return
    if r.w <= DIRECT:
        direct_rank(v, m, first, r.w, min_count, out)
        return
    while at < m:
        start = at - r.halo if at > r.halo else 0
        end = at + r.length if at + r.length < m else m
        slide_rank(r, <const double *> r.b, sort_stretch(r, v + start, end - start), at - start, end - start, min_count,
                   out + (at - first))
        at = end


cdef inline void keys_rank(
        Ranks *r, const uint64_t *v, Py_ssize_t m, Py_ssize_t first, Py_ssize_t min_count, double *out) noexcept nogil:
    """The rank of each key in the window that ends there."""
    cdef Py_ssize_t at = first, start, end
    while at < m:
        start = at - r.halo if at > r.halo else 0
        end = at + r.length if at + r.length < m else m
        slide_rank(r, r.b, sort_keys(r, v + start, end - start, end - start), at - start, end - start, min_count,
                   out + (at - first))
        at = end
