# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Moving sums, extrema and moments, by merging runs of elements.

A window is never updated by adding what enters and subtracting what leaves. Each line is cut into groups of L elements
at absolute positions (van Herk 1992, Gil and Werman 1993, there for minima with L = window):

    group      |  g - q - 1  |   g - q   | ... |    g    |
    elements   . . . [ s s s . m m m m m m ... m . p p p ] . .
                     start                           end i

    window = (suffix of the group where it starts + whole groups between) + prefix of the group where it ends

Suffixes and prefixes are scans inside a group; sums of whole groups are found by doubling over the totals of groups. That
makes three merges an element whatever the window. Nothing cancels, and elements that have left a window leave no trace. A
window of up to MOST elements is itself a group (L = window), so that there are no whole groups between.

Groups lie side by side in scratch: row p holds the elements p of all groups of a block, so that every merge is a loop
over adjoining numbers, the same for lines and for columns. A block without missing elements merges with constant
weights; others keep counts. A window without missing elements gets the same bits from both: the weights are equal.

Means are relative to the element with which a scan begins, the last of a group that is not missing for suffixes, the
first for prefixes: it belongs to every window of which the suffix or prefix is a part. What stands outside of a window
has no part in its moments.

Without missing elements sums, products, extrema and variances are scanned in registers (tiles.pxd).
"""
from libc.math cimport INFINITY, fabs, ldexp
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from buffers cimport PyBuffer_Release, any_code, is_native
from cursor cimport allcores_ahead_rows
from f64x4 cimport VECTORS
from groups cimport WIDE, give_accepted, give_groups, straight, take_groups
from integers cimport digits_of, exact_digits, fill_integers, within
from merges cimport (
    ARGMAX, ARGMIN, CORR, COUNT, COV, FIELDS, HUGE, INPUTS, KURT, MAX, MEAN, MIN, MOST, PLAIN, PROD, SCALES, SKEW, STD, SUM, TINY,
    VAR, Kind, Run, Scale, Window, add, factor, fields_of, finish, identity, is_moment, merge, row)
from tiles cimport Before, Weights, back, forth, weigh
from watch cimport halted
from window cimport HALF_MOST, Job, Operand, Strip, open_small, run_small, run_windows, scratch

from numpy import dtype, empty_like

DOUBLE = dtype("d")

cdef enum:
    GROUP = 32              # elements in a group of larger windows
    BLOCK = 4096            # elements in a batch of groups, about: some arrays of this size fit into the first-level cache
    SPAN = 4                # windows in a run of groups, where these are longer than a batch
    KEEP = 262_144          # numbers of suffixes that are kept at most, 2 MiB; the elements take as much again
    KEEP_TILES = 1_048_576  # the same where nothing is missing, 8 MiB
    TILE = 2048             # elements in a tile, about
    TILES = 8               # tiles in a run of groups, where a window is one group
    LOOKED = 256            # elements that are looked at for their scale at a time
    LOOK = 32768            # integers that are looked at, at least, before they are computed


cdef struct Block:
    Py_ssize_t step         # numbers from row to row
    double *field[FIELDS]
    double *count           # how many elements are not missing
    double *pivot[INPUTS]   # of moments: for each period a row of elements that means are relative to


# ---- bringing groups up

cdef bint any_missing(const double *v, Py_ssize_t n) noexcept nogil:
    cdef int64_t found = 0
    cdef Py_ssize_t j
    for j in range(n):
        found |= v[j] != v[j]
    return found != 0


cdef void mask_one(Py_ssize_t n, double nothing, row x, row count) noexcept nogil:
    cdef Py_ssize_t j
    cdef double v
    for j in range(n):
        v = x[j]
        count[j] = 1.0 if v == v else 0.0
        x[j] = v if v == v else nothing


cdef void mask_two(Py_ssize_t n, row x, row y, row count) noexcept nogil:
    """Make both elements of a pair missing where one is."""
    cdef Py_ssize_t j
    cdef double v, w
    cdef bint both
    for j in range(n):
        v = x[j]
        w = y[j]
        both = (v == v) & (w == w)
        count[j] = 1.0 if both else 0.0
        x[j] = v if both else 0.0
        y[j] = w if both else 0.0


cdef void multiply(Py_ssize_t n, row x, double by) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        x[j] *= by


cdef bint bring(
        Job *job, Strip *strip, Window *it, Block *block, Py_ssize_t at, Py_ssize_t group, Py_ssize_t groups,
        bint counted, bint look) noexcept nogil:
    """Load groups into columns `at`... Returns False where something is missing that is not to be counted; it looks for
    NaN if it is asked to."""
    cdef Py_ssize_t length = it.group, width = groups * strip.lanes, p, g, l
    cdef int f
    cdef double *to
    if not counted and (group < 0 or (group + groups) * length > job.n):
        return False
    for f in range(it.inputs):
        to = block.field[f] + at
        take_groups(job, strip, f, group, groups, length, to, block.step)
        for p in range(length):
            if look and not counted and job.operand[f].may_miss and any_missing(to + p * block.step, width):
                return False
            if it.scale[f] != PLAIN:
                multiply(width, to + p * block.step, factor(it.kind, it.scale[f]))
    if it.kind == ARGMIN or it.kind == ARGMAX:
        for p in range(length):
            to = block.field[1] + at + p * block.step
            for g in range(groups):
                for l in range(strip.lanes):
                    to[g * strip.lanes + l] = (group + g) * length + p
    if counted:
        for p in range(length):
            mask(it, block, p * block.step + at, width)
    return True


cdef void mask(Window *it, Block *block, Py_ssize_t at, Py_ssize_t width) noexcept nogil:
    """Count what is not missing in a row, and replace missing elements by one that changes nothing."""
    cdef Py_ssize_t j
    if it.inputs == 2:
        mask_two(width, block.field[0] + at, block.field[1] + at, block.count + at)
    else:
        mask_one(width, identity(it.kind), block.field[0] + at, block.count + at)
    if it.kind == ARGMIN or it.kind == ARGMAX:
        for j in range(width):
            block.field[1][at + j] = block.field[1][at + j] if block.count[at + j] else -1.0


cdef inline int given_of(Window *it) noexcept nogil:
    """Fields that are known of an element: its value, or values, or value and position."""
    return 2 if it.kind == ARGMIN or it.kind == ARGMAX else it.inputs


cdef inline Run row_of(Window *it, Block *block, Py_ssize_t at, bint counted, double number) noexcept nogil:
    cdef Run run
    cdef int f
    for f in range(FIELDS):
        run.field[f] = block.field[f] + at if f < it.fields else block.field[0]
    run.count = block.count + at if counted else NULL
    run.number = number
    return run


cdef inline Run elements(Window *it, Block *block, Py_ssize_t at, bint counted, double *zeros) noexcept nogil:
    """A row of elements as runs of one element each, whose sums of squares are zero."""
    cdef Run run
    cdef int f
    cdef int given = given_of(it)
    for f in range(FIELDS):
        run.field[f] = block.field[f] + at if f < given else zeros
    run.count = block.count + at if counted else NULL
    run.number = 1
    return run


cdef inline void relate(Window *it, Run *run, Block *block, Py_ssize_t at) noexcept nogil:
    """Set the pivots of a run: the elements that its means are relative to."""
    cdef int f
    for f in range(it.pivots):
        run.pivot[f] = block.pivot[f] + at


cdef inline void advance(Run *run, Py_ssize_t by, int fields) noexcept nogil:
    """Move a run to another row, which is cheaper than making a new one for each row of some 80 numbers."""
    cdef int f
    for f in range(fields):
        run.field[f] += by
    if run.count != NULL:
        run.count += by


cdef inline void copy(Window *it, Py_ssize_t n, Run *a, Run *to) noexcept nogil:
    cdef int f
    for f in range(it.fields):
        memcpy(to.field[f], a.field[f], n * sizeof(double))
    if a.count != NULL:
        memcpy(to.count, a.count, n * sizeof(double))
    to.number = a.number


cdef void begin_runs(Window *it, Py_ssize_t n, Run *element, Run *to) noexcept nogil:
    """Make elements runs of one, which are their own pivots: their means are 0, or NaN where an element is infinite."""
    cdef Py_ssize_t j
    cdef int f
    cdef double *x
    copy(it, n, element, to)
    for f in range(it.pivots):
        x = to.field[f]
        memcpy(to.pivot[f], x, n * sizeof(double))
        for j in range(n):
            x[j] -= x[j]


cdef void choose(Py_ssize_t n, row count, row a, row b, row to) noexcept nogil:
    cdef Py_ssize_t j
    cdef double v, w
    for j in range(n):
        v = a[j]
        w = b[j]
        to[j] = v if count[j] > 0 else w


cdef void pass_on(Window *it, Py_ssize_t n, Run *a, Run *b, Run *to) noexcept nogil:
    """Set the pivots of merged moments: those of a, or of b where a is empty."""
    cdef int f
    for f in range(it.pivots):
        if a.count == NULL:
            memcpy(to.pivot[f], a.pivot[f], n * sizeof(double))
        else:
            choose(n, a.count, a.pivot[f], b.pivot[f], to.pivot[f])


# ---- a run of groups, of all lanes of a strip

cdef struct Room:           # the scratch
    Py_ssize_t batch        # groups that are loaded at a time
    bint keep               # suffixes of all groups of a run are kept; otherwise they are scanned again
    Block start             # elements of the batch of groups in which windows start
    Block stop              # and where they end
    Block suffix
    Block work              # four rows: prefixes (two rows alternate), and a window as it is merged
    Block totals            # what is known of each group, one after the other
    Block fewer             # what is known of q - 1 groups in a row
    Block between           # what is known of q groups in a row
    Block power             # what is known of 1, 2, 4, ... groups in a row
    Block spare
    double *zeros
    double *full
    double *ends


cdef inline double *part(double **at, Py_ssize_t numbers) noexcept nogil:
    """Take so many numbers of the scratch, after those that were taken before."""
    cdef double *here = at[0]
    at[0] += numbers
    return here


cdef inline void reserve(
        Block *block, double **at, int fields, Py_ssize_t rows, Py_ssize_t step, int pivots, Py_ssize_t periods) noexcept nogil:
    cdef int f
    block.step = step
    for f in range(FIELDS):
        block.field[f] = part(at, rows * step if f < fields else 0)
    block.count = part(at, rows * step)
    for f in range(INPUTS):
        block.pivot[f] = part(at, periods * step if f < pivots else 0)


cdef inline Py_ssize_t spaced(Py_ssize_t width) noexcept nogil:
    """How far apart rows are: rows a power of two apart would share a few sets of the cache."""
    cdef Py_ssize_t step = (width + 7) // 8 * 8
    return step + 8 if step % 32 == 0 else step


cdef struct Tiles:
    Py_ssize_t batch        # groups in a tile
    Py_ssize_t width        # columns of a tile, rounded up to a multiple of WIDE
    bint straight           # elements are columns of doubles, which are scanned where they are
    bint straight_out
    double *x               # a tile of elements
    double *to              # a tile of results
    Py_ssize_t step
    double *suffix[2]       # where a window is one group: suffixes of the group before a tile, then of those of the tile
    double *pivot           # what their means are relative to
    Py_ssize_t apart        # how far apart rows of suffixes are
    Block kept              # where windows are longer: suffixes of all groups of a run
    Weights weights


cdef inline Py_ssize_t rounded(Py_ssize_t width) noexcept nogil:
    return (width + WIDE - 1) // WIDE * WIDE


cdef bint furnish(Job *job, Strip *strip, Window *it, Room *room, Tiles *tiles, Py_ssize_t total) noexcept nogil:
    """Lay the scratch out for runs of so many groups in which windows end. Returns False where there is no memory."""
    cdef Py_ssize_t lanes = strip.lanes, step, most, kept, own, wide = 0, j
    cdef Py_ssize_t periods = it.group // it.period
    cdef int f, given = given_of(it), pivots = it.pivots
    cdef double *at
    tiles.step = spaced(rounded(tiles.batch * lanes))
    tiles.apart = spaced(lanes + rounded(tiles.batch * lanes))
    step = spaced((room.batch + 1) * lanes)
    step = tiles.step if step < tiles.step else step
    most = spaced((total + it.between + 1) * lanes + WIDE)
    kept = most if room.keep else step
    own = 0 if room.keep or it.between == 0 or tiles.batch == 0 else most
    if it.between:
        wide = (total + it.between + 1) * lanes
    at = scratch(job, ((given + 1 + it.fields + 1) * it.group + pivots * periods) * kept + (given + 1) * it.group * step
                 + 2 * it.group * (tiles.step + tiles.apart) + tiles.apart + ((it.fields + 1) * it.group + pivots) * own
                 + 5 * (it.fields + 1 + pivots) * wide + (4 * (it.fields + 1) + 2 * pivots + 3) * step)
    if at == NULL:
        return False
    reserve(&room.start, &at, given, it.group, kept, 0, 0)
    reserve(&room.suffix, &at, it.fields, it.group, kept, pivots, periods)
    if room.keep:
        room.stop = room.start
        tiles.kept = room.suffix
    else:
        reserve(&room.stop, &at, given, it.group, step, 0, 0)
        reserve(&tiles.kept, &at, it.fields, it.group, own, pivots, 1)
    tiles.x = part(&at, it.group * tiles.step)
    tiles.to = part(&at, it.group * tiles.step)
    for f in range(2):
        tiles.suffix[f] = part(&at, it.group * tiles.apart)
    tiles.pivot = part(&at, tiles.apart)
    reserve(&room.work, &at, it.fields, 4, step, pivots, 2)
    reserve(&room.totals, &at, it.fields, 1, wide, pivots, 1)
    reserve(&room.fewer, &at, it.fields, 1, wide, pivots, 1)
    reserve(&room.between, &at, it.fields, 1, wide, pivots, 1)
    reserve(&room.power, &at, it.fields, 1, wide, pivots, 1)
    reserve(&room.spare, &at, it.fields, 1, wide, pivots, 1)
    room.zeros = part(&at, step)
    room.full = part(&at, step)
    room.ends = part(&at, step)
    for j in range(step):
        room.zeros[j] = 0
        room.full[j] = it.window
    return True


cdef void scan_suffixes(Window *it, Room *room, Py_ssize_t width, Py_ssize_t at, bint counted) noexcept nogil:
    """Scan suffixes in columns `at`...: row p merges elements p.. of each group, from the last one on."""
    cdef Py_ssize_t step = room.start.step
    cdef Run a = elements(it, &room.start, (it.group - 1) * step + at, counted, room.zeros)
    cdef Run b, to = row_of(it, &room.suffix, (it.group - 1) * step + at, counted, 1)
    cdef int given = given_of(it)
    cdef Py_ssize_t p
    cdef bint moments = is_moment(it.kind)
    for p in range(it.group):               # from the last row on
        if p % it.period == 0:
            relate(it, &to, &room.suffix, (it.group - 1 - p) // it.period * step + at)
            begin_runs(it, width, &a, &to)
        elif moments:
            add(it.kind, width, &b, &a, &to)
        else:
            merge(it.kind, width, &a, &b, &to)
        b = to
        advance(&a, -step, given)
        advance(&to, -step, it.fields)


cdef bint scan(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t group, Py_ssize_t count, Py_ssize_t at,
        bint counted) noexcept nogil:
    """Load groups and scan their suffixes, in columns `at`... Returns False where something is missing that is not counted."""
    cdef Py_ssize_t width = count * strip.lanes, p
    cdef int f
    # Sums and products of NaN are NaN, so it is enough to look at those of whole groups, which saves 0.1 ns an element.
    cdef bint look = it.kind in (COUNT, MIN, MAX, ARGMIN, ARGMAX)
    if not bring(job, strip, it, &room.start, at, group, count, counted, look):
        return False
    scan_suffixes(it, room, width, at, counted)
    if not counted and not look:
        for f in range(it.inputs):
            if job.operand[f].may_miss:
                p = 0
                while p < it.group:
                    if any_missing(room.suffix.field[f] + p * room.suffix.step + at, width):
                        return False
                    p += it.period
    return True


cdef void add_up(
        Window *it, Py_ssize_t width, Block *x, Block *y, Py_ssize_t shift, Block *to, bint counted,
        Py_ssize_t groups, Py_ssize_t more) noexcept nogil:
    """Merge runs of so many groups, each with the run of `more` groups that is `shift` further on."""
    cdef Run a = row_of(it, x, 0, counted, groups * it.group)
    cdef Run b = row_of(it, y, shift, counted, more * it.group)
    cdef Run c = row_of(it, to, 0, counted, 0)
    relate(it, &a, x, 0)
    relate(it, &b, y, shift)
    relate(it, &c, to, 0)
    merge(it.kind, width, &a, &b, &c)
    pass_on(it, width, &a, &b, &c)


cdef void copy_runs(Window *it, Py_ssize_t n, Block *x, Py_ssize_t at, Block *to, Py_ssize_t there, bint counted) noexcept nogil:
    """Copy the runs of a row 0, with their pivots."""
    cdef Run a = row_of(it, x, at, counted, 0)
    cdef Run b = row_of(it, to, there, counted, 0)
    cdef int f
    copy(it, n, &a, &b)
    for f in range(it.pivots):
        memcpy(to.pivot[f] + there, x.pivot[f] + at, n * sizeof(double))


cdef void whole_groups(Job *job, Window *it, Room *room, Py_ssize_t known, Py_ssize_t lanes, bint counted) noexcept nogil:
    """Make the totals of q - 1 and of q groups in a row, by doubling, of those of so many groups but for the first one."""
    cdef Py_ssize_t q = it.between, have = 0, power = 1
    cdef Block swap
    copy_runs(it, known * lanes, &room.totals, lanes, &room.power, 0, counted)
    while power <= q - 1:
        if (q - 1) & power:
            if have == 0:
                copy_runs(it, (known - power + 1) * lanes, &room.power, 0, &room.between, 0, counted)
            else:
                add_up(it, (known - have - power + 1) * lanes, &room.fewer, &room.power, have * lanes, &room.between,
                       counted, have, power)
            swap = room.fewer
            room.fewer = room.between
            room.between = swap
            have += power
        if halted(&job.watch, known * lanes):
            return
        power *= 2
        if power <= q - 1:
            add_up(it, (known - power + 1) * lanes, &room.power, &room.power, power // 2 * lanes, &room.spare,
                   counted, power // 2, power // 2)
            swap = room.power
            room.power = room.spare
            room.spare = swap
    add_up(it, (known - q + 1) * lanes, &room.fewer, &room.totals, (have + 1) * lanes, &room.between, counted, have, 1)


cdef void never_negative_zero(Py_ssize_t n, double *v) noexcept nogil:
    """Add 0.0 to a row of prefixes. Every window has a prefix, so that no sum is -0.0: as in NumPy, and as after `finish`."""
    cdef Py_ssize_t j
    for j in range(n):
        v[j] = v[j] + 0.0


cdef void windows(
        Window *it, Room *room, Py_ssize_t lanes, Py_ssize_t group, Py_ssize_t count, Py_ssize_t first,
        bint counted) noexcept nogil:
    """Write the values of all windows that end in a batch of groups to the rows of `stop`, whose elements are no longer needed."""
    cdef Py_ssize_t q = it.between, length = it.group, width = count * lanes, step = room.stop.step, p, g, l, left
    # The column of the first group of the batch among the suffixes, and that of its elements.
    cdef Py_ssize_t from_ = (group - first) * lanes if room.keep else 0
    cdef Py_ssize_t at = from_ + (q + 1) * lanes if room.keep else 0
    cdef int given = given_of(it)
    cdef Run element = elements(it, &room.stop, at, counted, room.zeros)
    cdef Run prefix = row_of(it, &room.work, 0, counted, 1)
    cdef Run other = row_of(it, &room.work, room.work.step, counted, 1)
    cdef Run head = row_of(it, &room.work, 2 * room.work.step, counted, 0)
    cdef Run whole = row_of(it, &room.work, 3 * room.work.step, counted, 0)
    # A window that ends at element p of a group starts `rest` elements before: in the group before, as long as p < rest.
    cdef Run suffix = row_of(it, &room.suffix, (length - it.rest) * room.suffix.step + from_, counted, length)
    cdef Run middle, swap
    # Where nothing is missing, a sum, product or extremum is the result: it is merged into its place.
    cdef bint direct = not counted and it.kind in (SUM, PROD, MIN, MAX)
    cdef bint moments = is_moment(it.kind)
    cdef int f
    if q:
        middle = row_of(it, &room.between, (group - first) * lanes, counted, q * length)
        relate(it, &middle, &room.between, (group - first) * lanes)
    relate(it, &suffix, &room.suffix, (length // it.period - 1) * room.suffix.step + from_)
    relate(it, &prefix, &room.work, 0)
    relate(it, &other, &room.work, 0)
    relate(it, &head, &room.work, room.work.step)
    for p in range(length):
        if p % it.period == 0:
            if p and not q:
                relate(it, &suffix, &room.suffix, (p // it.period - 1) * room.suffix.step + from_ + lanes)
            begin_runs(it, width, &element, &prefix)
            if it.kind == SUM:
                never_negative_zero(width, prefix.field[0])
        else:
            if moments:
                add(it.kind, width, &prefix, &element, &other)
            else:
                merge(it.kind, width, &prefix, &element, &other)
            swap = prefix
            prefix = other
            other = swap
        if p == it.rest:
            for f in range(it.fields):
                suffix.field[f] = room.suffix.field[f] + from_ + lanes
            if counted:
                suffix.count = room.suffix.count + from_ + lanes
            if q:
                relate(it, &suffix, &room.suffix, from_ + lanes)
                middle = row_of(it, &room.fewer, (group - first + 1) * lanes, counted, (q - 1) * length)
                relate(it, &middle, &room.fewer, (group - first + 1) * lanes)
        left = (p + length - it.rest) % it.period           # elements of a group before the window
        suffix.number = it.period - left
        if it.kind == ARGMIN or it.kind == ARGMAX:
            for g in range(count):
                for l in range(lanes):
                    room.ends[g * lanes + l] = (group + g) * length + p
        if direct:
            whole.field[0] = room.stop.field[0] + p * step + at
        if q:
            merge(it.kind, width, &suffix, &middle, &head)
            if counted:
                pass_on(it, width, &suffix, &middle, &head)
            else:
                head.pivot = suffix.pivot
            merge(it.kind, width, &head, &prefix, &whole)
        elif left:
            merge(it.kind, width, &suffix, &prefix, &whole)
        elif direct:
            copy(it, width, &prefix, &whole)    # at the last element of a group that is the window, the prefix is the window
        if not direct:
            finish(it, width, &whole if q or left else &prefix, room.full, room.ends, room.stop.field[0] + p * step + at)
        advance(&suffix, room.suffix.step, it.fields)
        advance(&element, step, given)


cdef bint run_of_groups(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end, bint counted) noexcept nogil:
    """Compute outputs begin..end, as far as their windows end in groups first..last. Returns False where an element is
    missing: then it is to be repeated with counts."""
    cdef Py_ssize_t lanes = strip.lanes, q = it.between, group = first - q - 1, count, at
    cdef Py_ssize_t known = last if not room.keep else last + 1
    cdef int f
    while group < known:
        count = room.batch + 1 if group + room.batch + 1 < known else known - group
        at = (group - first + q + 1) * lanes
        if not scan(job, strip, it, room, group, count, at if room.keep else 0, counted):
            return False
        if q and not room.keep:
            copy_runs(it, count * lanes, &room.suffix, 0, &room.totals, at, counted)
        if halted(&job.watch, count * it.group * lanes):
            return True
        group += count
    if q:
        if room.keep:
            for f in range(FIELDS):
                room.totals.field[f] = room.suffix.field[f]
            for f in range(INPUTS):
                room.totals.pivot[f] = room.suffix.pivot[f]
            room.totals.count = room.suffix.count
        whole_groups(job, it, room, last - first + q, lanes, counted)
    group = first
    while group <= last:
        count = room.batch if group + room.batch <= last + 1 else last + 1 - group
        at = (group - first + q + 1) * lanes if room.keep else 0
        if not room.keep:
            if not scan(job, strip, it, room, group - q - 1, count + 1, 0, counted):
                return False
            if not bring(job, strip, it, &room.stop, 0, group, count, counted, True):
                return False
        windows(it, room, lanes, group, count, first, counted)
        if it.scale[0] == PLAIN and it.scale[1] == PLAIN:
            give_groups(job, strip, group, count, it.group, it.offset, begin, end, room.stop.field[0] + at, room.stop.step)
        else:
            give_accepted(job, strip, group, count, it.group, it.offset, begin, end, room.stop.field[0] + at, room.stop.step)
        if halted(&job.watch, count * it.group * lanes):
            return True
        group += count
    return True


# ---- tiles of groups without missing elements: see tiles.pxd

cdef Py_ssize_t tiles_of(Job *job, Strip *strip, Window *it, Tiles *tiles, Py_ssize_t groups) noexcept nogil:
    """How many groups a tile has; 0 where tiles are of no use."""
    cdef Py_ssize_t lanes = strip.lanes, batch
    if it.kind == VAR or it.kind == STD:
        if it.window <= it.ddof:
            return 0
        weigh(&tiles.weights, it.period, it.rest % it.period, it.between)
    elif it.kind < SUM or it.kind > MAX:
        return 0
    if not VECTORS or groups * lanes < WIDE // 2:
        return 0
    tiles.straight = strip.adjoin and straight(&job.operand[0], strip.lane[0][0], lanes)
    batch = TILE // it.group // lanes
    if batch > WIDE:
        batch = batch // WIDE * WIDE
    batch = groups if batch > groups else batch
    batch = 1 if tiles.straight or batch < 1 else batch
    tiles.straight_out = batch == 1 and strip.adjoin and straight(job.out, strip.out[0], lanes)
    return batch


cdef const double *tile_of(
        Job *job, Strip *strip, Window *it, Tiles *tiles, Py_ssize_t group, Py_ssize_t count, Py_ssize_t *step) noexcept nogil:
    """Load the elements of some groups; say where they are, and how far apart their rows are."""
    cdef Operand *x = &job.operand[0]
    cdef char *here = strip.lane[0][0] + group * it.group * x.n_stride
    cdef Py_ssize_t p, c
    if tiles.straight:
        allcores_ahead_rows(here, x.n_stride, <int> it.group, strip.lanes * sizeof(double), it.group * x.n_stride)
        step[0] = x.n_stride // <Py_ssize_t> sizeof(double)
        return <const double *> here
    take_groups(job, strip, 0, group, count, it.group, tiles.x, tiles.step)
    for p in range(it.group):
        for c in range(count * strip.lanes, rounded(count * strip.lanes)):
            tiles.x[p * tiles.step + c] = 0
    step[0] = tiles.step
    return tiles.x


cdef bint tile_back(
        Strip *strip, Window *it, Tiles *tiles, const double *x, Py_ssize_t step, Py_ssize_t count,
        double **to, Py_ssize_t to_step, double *pivot) noexcept nogil:
    """Scan the suffixes of the groups of a tile; for moments keep their last elements. Returns False where one is missing."""
    cdef Py_ssize_t p = 0
    cdef double *at[2]
    while p < it.group:
        at[0] = to[0] + p * to_step
        at[1] = to[1] + p * to_step
        if not back(it.kind, x + p * step, step, it.period, rounded(count * strip.lanes), &tiles.weights, at, to_step):
            return False
        p += it.period
    if it.pivots:
        memcpy(pivot, x + (it.group - 1) * step, count * strip.lanes * sizeof(double))
    return True


cdef void tile_forth(
        Job *job, Strip *strip, Window *it, Tiles *tiles, const double *x, Py_ssize_t step, Py_ssize_t group,
        Py_ssize_t count, Before *before, double **suffix, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute the windows that end in the groups of a tile, and write them to the output. `suffix` is of the groups before."""
    cdef Operand *out = job.out
    cdef Py_ssize_t at = group * it.group - it.offset, to_step = tiles.step, p = 0
    cdef char *here = strip.out[0] + at * out.n_stride
    cdef double *to = tiles.to
    cdef bint there = tiles.straight_out and at >= begin and at + it.group <= end
    if there:
        to = <double *> here
        to_step = out.n_stride // <Py_ssize_t> sizeof(double)
        allcores_ahead_rows(here, out.n_stride, <int> it.group, strip.lanes * sizeof(double), it.group * out.n_stride)
    while p < it.group:
        if p:
            before.early[0] = suffix[0] + (p - it.period + 1) * before.step
            before.early[1] = suffix[1] + (p - it.period + 1) * before.step
            before.early_pivot = x + (p - 1) * step
        forth(it.kind, x + p * step, step, it.period, rounded(count * strip.lanes), &tiles.weights, before,
              <double> it.window, <double> it.ddof, to + p * to_step, to_step)
        p += it.period
    if not there:
        give_groups(job, strip, group, count, it.group, it.offset, begin, end, to, to_step)


cdef bint short_tiles(
        Job *job, Strip *strip, Window *it, Room *room, Tiles *tiles, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`run_of_groups` without counts, of windows that are one group: suffixes are kept for one tile, and the group before it."""
    cdef Py_ssize_t lanes = strip.lanes, group = first, count, step, p
    cdef Py_ssize_t behind = (it.group - it.period + 1) * tiles.apart       # where the window of element 0 starts
    cdef const double *x = tile_of(job, strip, it, tiles, first - 1, 1, &step)
    cdef double *suffix[2]
    cdef Before before
    cdef int f
    before.step = tiles.apart
    before.rest = it.period - 1
    for f in range(2):
        before.late[f] = before.between[f] = before.fewer[f] = NULL
        suffix[f] = tiles.suffix[f] + lanes
    before.late_pivot = before.between_pivot = before.fewer_pivot = NULL
    if not tile_back(strip, it, tiles, x, step, 1, tiles.suffix, tiles.apart, tiles.pivot):
        return False
    while group <= last:
        count = tiles.batch if group + tiles.batch <= last + 1 else last + 1 - group
        x = tile_of(job, strip, it, tiles, group, count, &step)
        if not tile_back(strip, it, tiles, x, step, count, suffix, tiles.apart, tiles.pivot + lanes):
            return False
        for f in range(2):
            before.early[f] = tiles.suffix[f] + behind
        before.early_pivot = tiles.pivot
        tile_forth(job, strip, it, tiles, x, step, group, count, &before, suffix, begin, end)
        for f in range(it.fields):
            for p in range(it.group - it.period, it.group):
                memcpy(tiles.suffix[f] + p * tiles.apart, suffix[f] + p * tiles.apart + (count - 1) * lanes,
                       lanes * sizeof(double))
        memcpy(tiles.pivot, tiles.pivot + count * lanes, lanes * sizeof(double))
        if halted(&job.watch, count * it.group * lanes):
            return True
        group += count
    return True


cdef bint long_tiles(
        Job *job, Strip *strip, Window *it, Room *room, Tiles *tiles, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`run_of_groups` without counts, of windows of several groups: suffixes of all groups are kept."""
    cdef Py_ssize_t lanes = strip.lanes, q = it.between, group = first - q - 1, count, step, at, f
    cdef const double *x
    cdef double *to[2]
    cdef Before before
    before.step = tiles.kept.step
    before.rest = it.rest
    while group <= last:
        count = tiles.batch if group + tiles.batch <= last + 1 else last + 1 - group
        x = tile_of(job, strip, it, tiles, group, count, &step)
        for f in range(2):
            to[f] = tiles.kept.field[f] + (group - first + q + 1) * lanes
        if not tile_back(strip, it, tiles, x, step, count, to, tiles.kept.step,
                         tiles.kept.pivot[0] + (group - first + q + 1) * lanes):
            return False
        if halted(&job.watch, count * it.group * lanes):
            return True
        group += count
    for f in range(FIELDS):
        room.totals.field[f] = tiles.kept.field[f]
    room.totals.pivot[0] = tiles.kept.pivot[0]
    whole_groups(job, it, room, last - first + q, lanes, False)
    group = first
    while group <= last:
        count = tiles.batch if group + tiles.batch <= last + 1 else last + 1 - group
        x = tile_of(job, strip, it, tiles, group, count, &step)
        at = (group - first) * lanes
        for f in range(2):
            before.early[f] = tiles.kept.field[f] + (it.group - it.rest) * before.step + at
            before.late[f] = tiles.kept.field[f] + at + lanes
            before.between[f] = room.between.field[f] + at
            before.fewer[f] = room.fewer.field[f] + at + lanes
        before.early_pivot = tiles.kept.pivot[0] + at
        before.late_pivot = tiles.kept.pivot[0] + at + lanes
        before.between_pivot = room.between.pivot[0] + at
        before.fewer_pivot = room.fewer.pivot[0] + at + lanes
        tile_forth(job, strip, it, tiles, x, step, group, count, &before, NULL, begin, end)
        if halted(&job.watch, count * it.group * lanes):
            return True
        group += count
    return True


cdef bint uncounted(
        Job *job, Strip *strip, Window *it, Room *room, Tiles *tiles, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if tiles.batch == 0:
        return run_of_groups(job, strip, it, room, first, last, begin, end, False)
    if it.between:
        return long_tiles(job, strip, it, room, tiles, first, last, begin, end)
    return short_tiles(job, strip, it, room, tiles, first, last, begin, end)


cdef int scales_held(
        Job *job, Strip *strip, Window *it, int f, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Which scales the elements of an input may need. A sum of squares alone does not tell: it is also zero where elements are
    constant, and NaN where one is infinite."""
    cdef Operand *x = &job.operand[f]
    cdef Py_ssize_t begin = (first - it.between - 1) * it.group, end = (last + 1) * it.group, n, l, j
    cdef double room[LOOKED]
    cdef bint tiny = False, huge = False
    cdef double v
    begin = begin if begin > 0 else 0
    end = end if end < job.n else job.n
    while begin < end:
        n = LOOKED if begin + LOOKED < end else end - begin
        for l in range(strip.lanes):
            x.take(strip.lane[f][l] + begin * x.n_stride, x.n_stride, n, room, 1)
            for j in range(n):
                v = fabs(room[j])
                tiny |= (v > 0) & (v < ldexp(1, -420))
                huge |= (v > ldexp(1, 420)) & (v < INFINITY)
        begin += n
    return (1 << <int> TINY if tiny else 0) | (1 << <int> HUGE if huge else 0)


cdef void at_other_scales(
        Job *job, Strip *strip, Window *it, Room *room, Py_ssize_t first, Py_ssize_t last,
        Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """`run_of_groups` once more for the windows that are beyond the bounds of scale 1, once for each scale that was met."""
    cdef int held[INPUTS]
    cdef int scale, f
    for f in range(INPUTS):
        held[f] = scales_held(job, strip, it, f, first, last) if it.kind == CORR else 1 << <int> TINY | 1 << <int> HUGE
        held[f] |= 1 << <int> PLAIN
    for scale in range(1, SCALES * SCALES):
        if it.met >> scale & 1 and held[0] >> scale % SCALES & 1 and held[1] >> scale // SCALES & 1:
            it.scale[0] = <Scale> (scale % SCALES)
            it.scale[1] = <Scale> (scale // SCALES)
            run_of_groups(job, strip, it, room, first, last, begin, end, True)
    it.scale[0] = it.scale[1] = PLAIN
    it.met = 0


cdef int fill(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef Window *it = <Window *> job.parameters
    cdef Room room
    cdef Tiles tiles
    cdef Py_ssize_t lanes = strip.lanes, q = it.between
    cdef Py_ssize_t first = (begin + it.offset) // it.group         # the first group in which a window ends
    cdef Py_ssize_t last = (end - 1 + it.offset) // it.group
    cdef Py_ssize_t most = last - first + 1, stop
    cdef Py_ssize_t inside = job.n // it.group                      # whole groups of the series
    cdef int failed = 0, pause = 0
    cdef bint counted
    room.batch = BLOCK // it.group // lanes
    room.batch = 1 if room.batch < 1 else room.batch
    room.batch = most if room.batch > most else room.batch
    tiles.batch = tiles_of(job, strip, it, &tiles, most)
    # Runs are some windows long, or most of the work would be at their beginnings.
    stop = SPAN * q if q else TILES * tiles.batch
    stop = room.batch if stop < room.batch else stop
    most = most if most < stop else stop
    stop = (most + q + 1) * it.group * lanes * it.fields
    room.keep = q == 0 or stop <= KEEP
    if q and stop > KEEP_TILES:
        tiles.batch = 0
    if not furnish(job, strip, it, &room, &tiles, most):
        return -1
    while first <= last:
        stop = first + most - 1 if first + most - 1 < last else last
        # Only windows that reach beyond the series are counted for that.
        if first <= q:
            stop = q if q < stop else stop
        elif first < inside and stop >= inside:
            stop = inside - 1
        # Where much is missing, most runs are counted at once, without a first attempt: 2.0 instead of 2.2 ns for sums.
        counted = pause > 0 or first < q + 1 or (stop + 1) * it.group > job.n
        pause -= pause > 0
        if not counted:
            counted = not uncounted(job, strip, it, &room, &tiles, first, stop, begin, end)
            failed = (2 * failed + 1 if failed < 8 else failed) if counted else 0
            pause = failed
        if counted:
            run_of_groups(job, strip, it, &room, first, stop, begin, end, True)
        if job.watch.halt:
            return 0
        if it.met >> 1:
            at_other_scales(job, strip, it, &room, first, stop, begin, end)
        first = stop + 1
    return 0


cdef int fill_exact(Job *job, Strip *strip, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Compute outputs begin..end, in integers where float64 can't tell them apart. Some outputs at a time are looked at and
    then computed, so that their elements are still in the second-level cache."""
    cdef Window *it = <Window *> job.parameters
    cdef int digits = exact_digits(it), failed
    cdef Py_ssize_t step = LOOK // strip.lanes, low, high, stop
    if digits_of(job.operand[0].code) <= digits:            # no integer of this dtype has so many digits
        return fill(job, strip, begin, end)
    step = step if step > 32 * it.window else 32 * it.window
    while begin < end:
        stop = begin + step if begin + step < end else end
        low = begin + it.offset - (it.window - 1)
        high = stop + it.offset
        low = low if low > 0 else 0
        high = high if high < job.n else job.n
        if within(job, strip, low, high, digits):
            failed = fill(job, strip, begin, stop)
        else:
            failed = fill_integers(job, strip, it, begin, stop)
        if failed < 0:
            return -1
        if job.watch.halt:
            return 0
        begin = stop
    return 0


# ---- kernels; `offset` is how far the last element of a window is from the output's position

cdef void open_window(
        Window *it, Kind kind, int inputs, Py_ssize_t window, Py_ssize_t offset, Py_ssize_t min_count,
        Py_ssize_t ddof) noexcept nogil:
    it.kind = kind
    it.window = window
    it.offset = offset
    it.min_count = min_count
    it.ddof = ddof
    # Short groups are loaded together: a window of 5 elements takes 1.5 instead of 2 ns.
    it.period = window if window <= MOST else GROUP
    it.group = it.period * (GROUP // it.period if it.period < GROUP else 1)
    it.between = (window - 1) // it.group if window > MOST else 0
    it.rest = (window - 1) % it.group
    it.inputs = inputs
    it.fields = fields_of(kind)
    it.pivots = inputs if is_moment(kind) else 0
    it.scale[0] = it.scale[1] = PLAIN
    it.met = 0


cdef int run(
        Kind kind, tuple inputs, Py_ssize_t window, Py_ssize_t offset, Py_ssize_t min_count, Py_ssize_t ddof,
        object cursor, object out) except -1:
    cdef Window it
    open_window(&it, kind, <int> len(inputs), window, offset, min_count, ddof)
    return run_windows(fill_exact, &it, inputs, cursor, out)


cdef object small(Kind kind, object a, object window, object min_count, object axis, bint center, Py_ssize_t ddof):
    """The windows of a small array, as the public function returns them; None for what the engine has to look at."""
    cdef Window it
    cdef Py_buffer view
    cdef Py_ssize_t w, least
    cdef int along
    cdef bint floats
    if type(window) is not int or (min_count is not None and type(min_count) is not int):
        return None
    if not open_small(&view, a, axis, &along):
        return None
    try:
        w = window if 1 <= window <= view.shape[along] else 0
        least = (0 if kind == COUNT else w) if min_count is None else min_count if 1 <= min_count <= w else -1
        floats = any_code(&view) in (b"d", b"e", b"f")
        if w == 0 or least < 0 or (floats and not is_native(&view)):
            return None
        if any_code(&view) == b"e" and kind in (COUNT, ARGMIN, ARGMAX) and w > HALF_MOST:
            return None                     # float16 can't hold every count and position
        open_window(&it, kind, 1, w, (w - 1) // 2 if center else 0, least, ddof)
        out = empty_like(a) if floats else empty_like(a, DOUBLE)
        return out if run_small(fill_exact, &it, &view, along, out) else None
    finally:
        PyBuffer_Release(&view)


def move_count(a, window, offset, min_count, cursor, out):
    return run(COUNT, (a,), window, offset, min_count, 0, cursor, out)


def move_sum(a, window, offset, min_count, cursor, out):
    return run(SUM, (a,), window, offset, min_count, 0, cursor, out)


def move_mean(a, window, offset, min_count, cursor, out):
    return run(MEAN, (a,), window, offset, min_count, 0, cursor, out)


def move_prod(a, window, offset, min_count, cursor, out):
    return run(PROD, (a,), window, offset, min_count, 0, cursor, out)


def move_min(a, window, offset, min_count, cursor, out):
    return run(MIN, (a,), window, offset, min_count, 0, cursor, out)


def move_max(a, window, offset, min_count, cursor, out):
    return run(MAX, (a,), window, offset, min_count, 0, cursor, out)


def move_argmin(a, window, offset, min_count, cursor, out):
    return run(ARGMIN, (a,), window, offset, min_count, 0, cursor, out)


def move_argmax(a, window, offset, min_count, cursor, out):
    return run(ARGMAX, (a,), window, offset, min_count, 0, cursor, out)


def move_var(a, window, offset, min_count, ddof, cursor, out):
    return run(VAR, (a,), window, offset, min_count, ddof, cursor, out)


def move_std(a, window, offset, min_count, ddof, cursor, out):
    return run(STD, (a,), window, offset, min_count, ddof, cursor, out)


def move_skew(a, window, offset, min_count, cursor, out):
    return run(SKEW, (a,), window, offset, min_count, 0, cursor, out)


def move_kurt(a, window, offset, min_count, cursor, out):
    return run(KURT, (a,), window, offset, min_count, 0, cursor, out)


def move_cov(a, b, window, offset, min_count, ddof, cursor, out):
    return run(COV, (a, b), window, offset, min_count, ddof, cursor, out)


def move_corr(a, b, window, offset, min_count, cursor, out):
    return run(CORR, (a, b), window, offset, min_count, 0, cursor, out)


# ---- doors

def small_move_count(a, window, min_count, axis, center):
    return small(COUNT, a, window, min_count, axis, center, 0)


def small_move_sum(a, window, min_count, axis, center):
    return small(SUM, a, window, min_count, axis, center, 0)


def small_move_mean(a, window, min_count, axis, center):
    return small(MEAN, a, window, min_count, axis, center, 0)


def small_move_prod(a, window, min_count, axis, center):
    return small(PROD, a, window, min_count, axis, center, 0)


def small_move_min(a, window, min_count, axis, center):
    return small(MIN, a, window, min_count, axis, center, 0)


def small_move_max(a, window, min_count, axis, center):
    return small(MAX, a, window, min_count, axis, center, 0)


def small_move_argmin(a, window, min_count, axis, center):
    return small(ARGMIN, a, window, min_count, axis, center, 0)


def small_move_argmax(a, window, min_count, axis, center):
    return small(ARGMAX, a, window, min_count, axis, center, 0)


def small_move_skew(a, window, min_count, axis, center):
    return small(SKEW, a, window, min_count, axis, center, 0)


def small_move_kurt(a, window, min_count, axis, center):
    return small(KURT, a, window, min_count, axis, center, 0)


def small_move_var(a, window, min_count, axis, center, ddof):
    return small(VAR, a, window, min_count, axis, center, ddof)


def small_move_std(a, window, min_count, axis, center, ddof):
    return small(STD, a, window, min_count, axis, center, ddof)
