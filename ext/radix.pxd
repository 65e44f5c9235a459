"""Ordered keys for sorting: unsigned integers in the order of the elements, and how a few of them are sorted in the caches.

    element     key, 32 bits for elements of up to 4 bytes, 64 for those of 8
    unsigned    itself
    signed      the sign bit inverted
    float       the sign bit inverted, or all bits of a negative one; NaN: the greatest integer of all

So NaN comes last, and -0.0 just before 0.0. Where both zeros are to be equal, `even` makes them so.

Keys are sorted by radix. The least one is subtracted, and the highest 16 to 22 bits of what is left are sorted by two
passes, first the lower digit, then the higher. After that keys are nearly in order, and an insertion sort finishes. Where
the counts of the digits say that they would not be, all digits are sorted. Every step is stable.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from ranks cimport allcores_highest
from reals cimport int8_t, int16_t, int32_t, real, truth, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    DIGIT = 11              # bits of a digit, at most
    BINS = 2048             # values of a digit
    LARGE_DIGIT = 12        # bits of a digit where two such digits are all bits of the keys
    TALLIES = 6 * 2048      # counters that a sort needs: six digits, or two large ones
    FEW = 32                # elements that are sorted by insertion at once

ctypedef fused word:
    uint32_t
    uint64_t


# ---- elements to keys and back

cdef inline word key_of(real v, word *_) noexcept nogil:
    cdef uint32_t narrow
    cdef uint64_t wide
    if real is float:
        memcpy(&narrow, &v, 4)
        narrow ^= (<uint32_t> 0 - (narrow >> 31)) | <uint32_t> 1 << 31
        return narrow | <word> (0 - <word> (v != v))
    elif real is double:
        memcpy(&wide, &v, 8)
        wide ^= (<uint64_t> 0 - (wide >> 63)) | <uint64_t> 1 << 63
        return <word> (wide | (<uint64_t> 0 - <uint64_t> (v != v)))
    elif real is int64_t:
        return <word> (<uint64_t> v ^ <uint64_t> 1 << 63)
    elif real is int8_t or real is int16_t or real is int32_t:
        return <word> (<uint32_t> <int32_t> v ^ <uint32_t> 1 << 31)
    else:
        return <word> v


cdef inline real of_key(word k, real *_) noexcept nogil:
    cdef uint32_t narrow
    cdef uint64_t wide
    cdef real v
    if real is float:
        narrow = <uint32_t> k
        narrow ^= ((narrow >> 31) - 1) | <uint32_t> 1 << 31
        memcpy(&v, &narrow, 4)
        return v
    elif real is double:
        wide = <uint64_t> k
        wide ^= ((wide >> 63) - 1) | <uint64_t> 1 << 63
        memcpy(&v, &wide, 8)
        return v
    elif real is int64_t:
        return <int64_t> (<uint64_t> k ^ <uint64_t> 1 << 63)
    elif real is int8_t or real is int16_t or real is int32_t:
        return <real> <int32_t> (<uint32_t> k ^ <uint32_t> 1 << 31)
    else:
        return <real> k


# Elements may be unaligned: a memcpy of constant size is one instruction all the same.

cdef inline void read_typed(const char *x, Py_ssize_t stride, Py_ssize_t n, word *to, real *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef real v
    if stride == sizeof(real):
        for i in range(n):
            memcpy(&v, x + i * <Py_ssize_t> sizeof(real), sizeof(real))
            to[i] = key_of(v, to)
    else:
        for i in range(n):
            memcpy(&v, x + i * stride, sizeof(real))
            to[i] = key_of(v, to)


cdef inline void read_bools(const char *x, Py_ssize_t stride, Py_ssize_t n, word *to) noexcept nogil:
    cdef Py_ssize_t i
    if stride == 1:
        for i in range(n):
            to[i] = truth(<uint8_t> x[i])
    else:
        for i in range(n):
            to[i] = truth(<uint8_t> x[i * stride])


cdef inline void write_typed(const word *k, Py_ssize_t n, char *out, Py_ssize_t stride, real *_) noexcept nogil:
    cdef Py_ssize_t i
    cdef real v
    if stride == sizeof(real):
        for i in range(n):
            v = of_key(k[i], _)
            memcpy(out + i * <Py_ssize_t> sizeof(real), &v, sizeof(real))
    else:
        for i in range(n):
            v = of_key(k[i], _)
            memcpy(out + i * stride, &v, sizeof(real))


cdef inline bint is_wide(char code) noexcept nogil:
    """Whether keys of this dtype have 64 bits."""
    return code == b"d" or code == b"q" or code == b"Q"


cdef inline bint is_floating(char code) noexcept nogil:
    return code == b"d" or code == b"f"


cdef inline void read_keys(char code, const char *x, Py_ssize_t stride, Py_ssize_t n, word *to) noexcept nogil:
    if word is uint64_t:
        if code == b"d":
            read_typed(x, stride, n, to, <double *> NULL)
        elif code == b"q":
            read_typed(x, stride, n, to, <int64_t *> NULL)
        else:
            read_typed(x, stride, n, to, <uint64_t *> NULL)
    else:
        if code == b"f":
            read_typed(x, stride, n, to, <float *> NULL)
        elif code == b"i":
            read_typed(x, stride, n, to, <int32_t *> NULL)
        elif code == b"I":
            read_typed(x, stride, n, to, <uint32_t *> NULL)
        elif code == b"h":
            read_typed(x, stride, n, to, <int16_t *> NULL)
        elif code == b"H":
            read_typed(x, stride, n, to, <uint16_t *> NULL)
        elif code == b"b":
            read_typed(x, stride, n, to, <int8_t *> NULL)
        elif code == b"?":
            read_bools(x, stride, n, to)
        else:
            read_typed(x, stride, n, to, <uint8_t *> NULL)


cdef inline void write_keys(char code, const word *k, Py_ssize_t n, char *out, Py_ssize_t stride) noexcept nogil:
    if word is uint64_t:
        if code == b"d":
            write_typed(k, n, out, stride, <double *> NULL)
        elif code == b"q":
            write_typed(k, n, out, stride, <int64_t *> NULL)
        else:
            write_typed(k, n, out, stride, <uint64_t *> NULL)
    else:
        if code == b"f":
            write_typed(k, n, out, stride, <float *> NULL)
        elif code == b"i":
            write_typed(k, n, out, stride, <int32_t *> NULL)
        elif code == b"I":
            write_typed(k, n, out, stride, <uint32_t *> NULL)
        elif code == b"h":
            write_typed(k, n, out, stride, <int16_t *> NULL)
        elif code == b"H":
            write_typed(k, n, out, stride, <uint16_t *> NULL)
        elif code == b"b":
            write_typed(k, n, out, stride, <int8_t *> NULL)
        else:
            write_typed(k, n, out, stride, <uint8_t *> NULL)


cdef inline word minus_zero(word *_) noexcept nogil:
    """The key of -0.0; that of 0.0 is the next one."""
    return (<word> 1 << (8 * sizeof(word) - 1)) - 1


cdef inline void even(word *k, Py_ssize_t n) noexcept nogil:
    """Make both zeros equal."""
    cdef Py_ssize_t i
    cdef word below = minus_zero(k)
    for i in range(n):
        k[i] += k[i] == below


# ---- what is looked at before anything is sorted

cdef inline void extent(const word *k, Py_ssize_t n, word *least, word *most) noexcept nogil:
    cdef Py_ssize_t i
    cdef word low = k[0], high = k[0]
    for i in range(n):
        low = k[i] if k[i] < low else low
        high = k[i] if k[i] > high else high
    least[0] = low
    most[0] = high


cdef inline int bits_of(word span) noexcept nogil:
    return allcores_highest(<uint64_t> span) + 1 if span else 0


cdef inline bint ascends(const word *k, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, n):
        if k[i] < k[i - 1]:
            return False
    return True


cdef inline bint descends(const word *k, Py_ssize_t n) noexcept nogil:
    """Whether keys descend strictly."""
    cdef Py_ssize_t i
    for i in range(1, n):
        if k[i] >= k[i - 1]:
            return False
    return True


cdef inline int digit_of(Py_ssize_t n) noexcept nogil:
    """Bits of a digit for so many elements: fewer for few elements, since counters take time, too."""
    return 7 if n <= 64 else 8 if n <= 200 else 9 if n <= 600 else 10 if n <= 1500 else DIGIT


cdef inline int two_digits(Py_ssize_t n, int bits) noexcept nogil:
    """Bits of each of two digits for keys of so many bits. Of longer keys only the highest bits are sorted."""
    cdef int digit = digit_of(n)
    if 2 * digit >= bits:
        return (bits + 1) // 2
    if digit == DIGIT and n > 4096 and 2 * LARGE_DIGIT >= bits:
        return LARGE_DIGIT
    return digit


cdef inline void starts(uint32_t *tally, Py_ssize_t n) noexcept nogil:
    """Make positions of counts."""
    cdef uint32_t total = 0, c
    cdef Py_ssize_t i
    for i in range(n):
        c = tally[i]
        tally[i] = total
        total += c


cdef inline bint settles(const uint32_t *tally, int digit, Py_ssize_t n) noexcept nogil:
    """Whether an insertion sort has little to do once two digits are sorted, of which the higher was counted: about one
    move an element or less, if keys with the same higher digit are spread evenly."""
    cdef uint64_t pairs = 0
    cdef Py_ssize_t i
    for i in range(<Py_ssize_t> 1 << digit):
        pairs += <uint64_t> tally[i] * tally[i]
    return pairs >> (digit + 2) <= <uint64_t> n


# ---- keys alone

cdef inline bint insertion(word *k, Py_ssize_t n, Py_ssize_t budget) noexcept nogil:
    """Sort by insertion. It gives up, and returns 0, after `budget` moves: such data are spread less evenly than it seemed."""
    cdef Py_ssize_t i, j
    cdef word v
    for i in range(1, n):
        v = k[i]
        if k[i - 1] <= v:
            continue
        j = i
        while j > 0 and k[j - 1] > v:
            k[j] = k[j - 1]
            j -= 1
        k[j] = v
        budget -= i - j
        if budget < 0:
            return False
    return True


cdef inline void sort_digits(word *a, word *b, Py_ssize_t n, word least, int bits, uint32_t *tallies) noexcept nogil:
    """Sort by all bits, digit by digit, without digits that all keys have in common."""
    cdef int passes = (bits + DIGIT - 1) // DIGIT, p
    cdef uint32_t *tally
    cdef word *x = a
    cdef word *y = b
    cdef word *swap
    cdef word k
    cdef Py_ssize_t i
    memset(tallies, 0, passes * BINS * sizeof(uint32_t))
    for i in range(n):
        k = a[i] - least
        for p in range(passes):
            tallies[p * BINS + (k >> DIGIT * p & (BINS - 1))] += 1
    for p in range(passes):
        tally = tallies + p * BINS
        if tally[(a[0] - least) >> DIGIT * p & (BINS - 1)] == <uint32_t> n:
            continue
        starts(tally, BINS)
        for i in range(n):
            k = (x[i] - least) >> DIGIT * p & (BINS - 1)
            y[tally[k]] = x[i]
            tally[k] += 1
        swap = x
        x = y
        y = swap
    if x != a:
        memcpy(a, x, n * sizeof(word))


cdef inline void sort_unordered(word *a, word *b, Py_ssize_t n, uint32_t *tallies) noexcept nogil:
    cdef word least, most, k, v
    cdef uint32_t *low = tallies
    cdef uint32_t *high = tallies + 2 * BINS
    cdef Py_ssize_t i
    cdef int bits, digit, shift
    cdef word mask
    extent(a, n, &least, &most)
    bits = bits_of(<word> (most - least))
    digit = digit_of(n)
    if bits <= 8 or bits <= digit:
        # All keys differ in one digit only: count them, and write them anew.
        memset(low, 0, (<Py_ssize_t> 1 << bits) * sizeof(uint32_t))
        for i in range(n):
            low[a[i] - least] += 1
        i = 0
        for k in range(<word> 1 << bits):
            v = least + k
            while low[k]:
                a[i] = v
                i += 1
                low[k] -= 1
        return
    digit = two_digits(n, bits)
    shift = bits - 2 * digit if bits > 2 * digit else 0
    mask = (<word> 1 << digit) - 1
    memset(low, 0, (<Py_ssize_t> 1 << digit) * sizeof(uint32_t))
    memset(high, 0, (<Py_ssize_t> 1 << digit) * sizeof(uint32_t))
    for i in range(n):
        k = (a[i] - least) >> shift
        low[k & mask] += 1
        high[k >> digit] += 1
    if shift and not settles(high, digit, n):
        sort_digits(a, b, n, least, bits, tallies)
        return
    starts(low, <Py_ssize_t> 1 << digit)
    starts(high, <Py_ssize_t> 1 << digit)
    for i in range(n):
        v = a[i]
        k = (v - least) >> shift & mask
        b[low[k]] = v
        low[k] += 1
    for i in range(n):
        v = b[i]
        k = (v - least) >> shift >> digit
        a[high[k]] = v
        high[k] += 1
    if shift and not insertion(a, n, 8 * n):
        sort_digits(a, b, n, least, bits, tallies)


cdef inline void sort_keys(word *a, word *b, Py_ssize_t n, uint32_t *tallies) noexcept nogil:
    """Sort a; b is scratch of the same length."""
    cdef Py_ssize_t i
    cdef word v
    if n <= FEW:
        insertion(a, n, n * n)
    elif ascends(a, n):
        return
    elif descends(a, n):
        for i in range(n >> 1):
            v = a[i]
            a[i] = a[n - 1 - i]
            a[n - 1 - i] = v
    else:
        sort_unordered(a, b, n, tallies)


cdef inline Py_ssize_t note_zeros(const word *k, Py_ssize_t n, uint8_t *signs) noexcept nogil:
    """Note in order which of the zeros are negative, so that they can be put back in order: how many zeros there are,
    or 0 where all are of one kind."""
    cdef Py_ssize_t i, zeros = 0, negative = 0
    cdef word below = minus_zero(k)
    for i in range(n):
        negative += k[i] == below
    if not negative:
        return 0
    for i in range(n):
        if <word> (k[i] - below) <= 1:
            signs[zeros] = k[i] == below
            zeros += 1
    return zeros if negative < zeros else 0


cdef inline void put_zeros(word *k, Py_ssize_t n, const uint8_t *signs, Py_ssize_t zeros) noexcept nogil:
    """Put zeros into sorted keys in the order that was noted."""
    cdef word below = minus_zero(k)
    cdef Py_ssize_t first = 0, last = n, middle, i
    while first < last:
        middle = (first + last) >> 1
        if k[middle] < below:
            first = middle + 1
        else:
            last = middle
    for i in range(zeros):
        k[first + i] = below + 1 - signs[i]


# ---- many short lines side by side

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define ALLCORES_RESTRICT __restrict
    #else
    #define ALLCORES_RESTRICT restrict
    #endif
    /* Of each pair a gets the lesser and b the greater one, as signed integers, which AVX2 compares in one instruction. */
    static inline void allcores_exchange_64(void *pa, void *pb, ptrdiff_t n) {
        int64_t *ALLCORES_RESTRICT a = (int64_t *)pa, *ALLCORES_RESTRICT b = (int64_t *)pb;
        for (ptrdiff_t i = 0; i < n; i++) {
            int64_t v = a[i], w = b[i];
            a[i] = v < w ? v : w;
            b[i] = v < w ? w : v;
        }
    }
    static inline void allcores_exchange_32(void *pa, void *pb, ptrdiff_t n) {
        int32_t *ALLCORES_RESTRICT a = (int32_t *)pa, *ALLCORES_RESTRICT b = (int32_t *)pb;
        for (ptrdiff_t i = 0; i < n; i++) {
            int32_t v = a[i], w = b[i];
            a[i] = v < w ? v : w;
            b[i] = v < w ? w : v;
        }
    }
    """
    void allcores_exchange_64(void *a, void *b, Py_ssize_t n) noexcept nogil
    void allcores_exchange_32(void *a, void *b, Py_ssize_t n) noexcept nogil


cdef inline void exchange_rows(word *rows, Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """Sort n rows of keys, column by column, with Batcher's merge exchange: the same comparisons whatever the keys, so
    that columns go side by side. Comparisons that follow each other are of adjoining rows, in one loop."""
    cdef word top = <word> 1 << (8 * sizeof(word) - 1)
    cdef Py_ssize_t p = 1, q, r, d, i, m, first = 1
    for i in range(n * width):
        rows[i] ^= top
    while first < n:
        first <<= 1
    p = first >> 1
    while p > 0:
        q = first >> 1
        r = 0
        d = p
        while True:
            i = r
            while i < n - d:
                # Rows i, i + 1, ... have bit p as in r, p of them.
                m = p if i + p < n - d else n - d - i
                if word is uint64_t:
                    allcores_exchange_64(rows + i * width, rows + (i + d) * width, m * width)
                else:
                    allcores_exchange_32(rows + i * width, rows + (i + d) * width, m * width)
                i += 2 * p
            if q == p:
                break
            d = q - p
            q >>= 1
            r = p
        p >>= 1
    for i in range(n * width):
        rows[i] ^= top


# ---- the order of keys: items of 32 bits of a key, above 32 bits of its position

cdef inline bint settle_items(uint64_t *item, Py_ssize_t n, Py_ssize_t budget) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef uint64_t v
    for i in range(1, n):
        v = item[i]
        if item[i - 1] <= v:
            continue
        j = i
        while j > 0 and item[j - 1] > v:
            item[j] = item[j - 1]
            j -= 1
        item[j] = v
        budget -= i - j
        if budget < 0:
            return False
    return True


cdef inline bint settle_keys(const word *key, uint64_t *item, Py_ssize_t n, Py_ssize_t budget) noexcept nogil:
    """Sort items that are in order but for the bits of keys for which they have no room."""
    cdef Py_ssize_t i, j
    cdef uint64_t it
    cdef word v
    for i in range(1, n):
        it = item[i]
        if item[i - 1] >> 32 != it >> 32:
            continue
        v = key[<uint32_t> it]
        j = i
        while j > 0 and key[<uint32_t> item[j - 1]] > v:
            item[j] = item[j - 1]
            j -= 1
        if j < i:
            # Equal bits must stay side by side for the test above.
            item[j] = it
            budget -= i - j
            if budget < 0:
                return False
    return True


cdef inline void pass_items(
        uint64_t *x, uint64_t *y, Py_ssize_t n, int shift, uint64_t mask, uint32_t *tally) noexcept nogil:
    cdef Py_ssize_t i
    cdef uint64_t k, v
    for i in range(n):
        v = x[i]
        k = v >> shift & mask
        y[tally[k]] = v
        tally[k] += 1


cdef inline void order_digits(
        const word *key, uint64_t *a, uint64_t *b, Py_ssize_t n, word least, int bits, uint32_t *tallies) noexcept nogil:
    """Order by all bits, which are looked up in the keys: items are positions alone."""
    cdef int passes = (bits + DIGIT - 1) // DIGIT, p
    cdef uint32_t *tally
    cdef uint64_t *x = a
    cdef uint64_t *y = b
    cdef uint64_t *swap
    cdef word k
    cdef Py_ssize_t i
    memset(tallies, 0, passes * BINS * sizeof(uint32_t))
    for i in range(n):
        a[i] = <uint64_t> i
        k = key[i] - least
        for p in range(passes):
            tallies[p * BINS + (k >> DIGIT * p & (BINS - 1))] += 1
    for p in range(passes):
        tally = tallies + p * BINS
        if tally[(key[0] - least) >> DIGIT * p & (BINS - 1)] == <uint32_t> n:
            continue
        starts(tally, BINS)
        for i in range(n):
            k = (key[x[i]] - least) >> DIGIT * p & (BINS - 1)
            y[tally[k]] = x[i]
            tally[k] += 1
        swap = x
        x = y
        y = swap
    if x != a:
        memcpy(a, x, n * sizeof(uint64_t))


cdef inline void order_unordered(
        const word *key, uint64_t *a, uint64_t *b, Py_ssize_t n, uint32_t *tallies) noexcept nogil:
    cdef word least, most
    cdef uint32_t *low = tallies
    cdef uint32_t *high = tallies + 2 * BINS
    cdef uint64_t k, mask
    cdef Py_ssize_t i
    cdef int bits, digit = digit_of(n), lost, shift
    extent(key, n, &least, &most)
    bits = bits_of(<word> (most - least))
    lost = bits - 32 if bits > 32 else 0
    for i in range(n):
        a[i] = <uint64_t> ((key[i] - least) >> lost) << 32 | <uint64_t> i
    if bits <= 8 or bits <= digit:
        memset(low, 0, (<Py_ssize_t> 1 << bits) * sizeof(uint32_t))
        for i in range(n):
            low[a[i] >> 32] += 1
        starts(low, <Py_ssize_t> 1 << bits)
        pass_items(a, b, n, 32, ~<uint64_t> 0, low)
        memcpy(a, b, n * sizeof(uint64_t))
        return
    digit = two_digits(n, bits - lost)
    shift = bits - lost - 2 * digit if bits - lost > 2 * digit else 0
    mask = (<uint64_t> 1 << digit) - 1
    memset(low, 0, (<Py_ssize_t> 1 << digit) * sizeof(uint32_t))
    memset(high, 0, (<Py_ssize_t> 1 << digit) * sizeof(uint32_t))
    for i in range(n):
        k = a[i] >> (32 + shift)
        low[k & mask] += 1
        high[k >> digit] += 1
    if shift and not settles(high, digit, n):
        order_digits(key, a, b, n, least, bits, tallies)
        return
    starts(low, <Py_ssize_t> 1 << digit)
    starts(high, <Py_ssize_t> 1 << digit)
    pass_items(a, b, n, 32 + shift, mask, low)
    pass_items(b, a, n, 32 + shift + digit, ~<uint64_t> 0, high)
    if shift and not settle_items(a, n, 8 * n) or lost and not settle_keys(key, a, n, 8 * n):
        order_digits(key, a, b, n, least, bits, tallies)


cdef inline void order_keys(
        const word *key, uint64_t *a, uint64_t *b, Py_ssize_t n, uint32_t *tallies) noexcept nogil:
    """Leave in the lower halves of a the positions of the keys in their order, equal ones in order of position."""
    cdef Py_ssize_t i, j
    cdef word v
    if n <= FEW:
        for i in range(n):
            v = key[i]
            j = i
            while j > 0 and key[a[j - 1]] > v:
                a[j] = a[j - 1]
                j -= 1
            a[j] = <uint64_t> i
    elif ascends(key, n):
        for i in range(n):
            a[i] = <uint64_t> i
    elif descends(key, n):
        for i in range(n):
            a[i] = <uint64_t> (n - 1 - i)
    else:
        order_unordered(key, a, b, n, tallies)
