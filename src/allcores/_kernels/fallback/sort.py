"""Sorting, the order of elements, and what follows from it; the compiled twin is ext/sort.pyx."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..common import DIFFERENT, Array, ranks, truths
from ..keys import elements_of, evened, keys_of
from . import drive
from .drive import DONE, LEAVES, claim
from .window import claimed

# ---- lines that are sorted whole


def sort(a: Array, cursor: Array, out: Array) -> int:
    """The lines of `a`, in order: NaN last, equal zeros as they were."""
    for positions, begin, end, columns in claimed(a.shape, cursor):
        where = (*positions, slice(begin, end), columns)
        out[where] = np.sort(truths(a[where]), axis=1, kind="stable")
    return 0


def argsort(a: Array, cursor: Array, out: Array) -> int:
    """Where the elements of each line are in it, in order; equal ones in order of position."""
    for positions, begin, end, columns in claimed(a.shape, cursor):
        where = (*positions, slice(begin, end), columns)
        out[where] = np.argsort(truths(a[where]), axis=1, kind="stable")
    return 0


def rankdata(a: Array, method: int, missing: int, cursor: Array, out: Array) -> int:
    for positions, begin, end, columns in claimed(a.shape, cursor):
        where = (*positions, slice(begin, end), columns)
        block = truths(a[where])
        result = np.empty(block.shape)
        for i, j in np.ndindex(block.shape[0], block.shape[2]):
            line = block[i, :, j]
            result[i, :, j] = ranks(line, np.argsort(line, kind="stable"), method, missing)
        out[where] = result
    return 0


# ---- long lines


def runs_of(n: int, cursor: Array) -> Iterator[tuple[int, slice]]:
    """The runs of one line that this worker claims."""
    run = int(cursor[LEAVES])
    while (chunk := claim(cursor)) >= 0:
        yield chunk, slice(chunk * run, min((chunk + 1) * run, n))
        with drive.alone_at(cursor):
            cursor[DONE] += 1


def in_order(a: Array, down: int, positions: int, cursor: Array, kept: Array, out: Array | None) -> int:
    """Copy the one line of `a` (1, n, 1) while it ascends, or reverse it while it descends; with `positions` these,
    not elements; `out` None: look only. kept[run]: whether a run was in order."""
    line = a[0, :, 0]
    n = len(line)
    for run, here in runs_of(n, cursor):
        keys = evened(keys_of(line[here.start : here.stop + 1]), a.dtype)
        kept[run] = np.all(keys[1:] < keys[:-1]) if down else np.all(keys[1:] >= keys[:-1])
        if kept[run] and out is not None:
            to = out[::-1] if down else out
            to[here] = np.arange(here.start, here.stop) if positions else line[here]
    return 0


def tally(a: Array, least: int, cursor: Array, kept: Array, counts: Array) -> int:
    """How often each key from `least` on occurs in each run of the one line of `a` (1, n, 1); in bytes: whether it
    does. kept[run]: whether there are no others."""
    line = a[0, :, 0]
    width = counts.shape[1]
    for run, here in runs_of(len(line), cursor):
        keys = keys_of(line[here])
        above = keys - keys.dtype.type(least)  # wraps around for lesser ones
        kept[run] = np.all(above < width)
        if kept[run]:
            count = np.bincount(above.astype(np.intp), minlength=width)
            counts[run] = count > 0 if counts.itemsize == 1 else count
    return 0


def refill(ends: Array, least: int, cursor: Array, out: Array) -> int:
    """Keys from `least` on, in order. ends[i]: how many elements are not greater than the i-th of them."""
    word = keys_of(out[:0]).dtype
    for _, here in runs_of(len(out), cursor):
        above = np.searchsorted(ends, np.arange(here.start, here.stop), side="right").astype(word)
        out[here] = elements_of(above + word.type(least), out.dtype)
    return 0


def spread(
    a: Array,
    table: Array,
    split: Array,
    low: int,
    shift: int,
    cursor: Array,
    counts: Array,
    parts: Array,
    places: Array | None,
) -> int:
    """The runs of one line `a` (1, n, 1), each sorted into buckets: keys to `parts`, their positions in the run to
    `places`, if it is not None. counts (runs, buckets + 1): where in its run each bucket begins."""
    line = a[0, :, 0]
    for run, here in runs_of(len(line), cursor):
        keys = keys_of(line[here])
        even = evened(keys, a.dtype)
        if len(split):
            bucket = np.searchsorted(split, even.astype(np.uint64), side="right")
        else:
            word = keys.dtype.type
            beyond = np.where(even > word(low), even - word(low), word(0)) >> word(shift)
            bucket = table[np.minimum(beyond, word(len(table) - 1))]
        order = np.argsort(bucket, kind="stable")
        parts[here] = keys[order]
        if places is not None:
            places[here] = order
        counts[run] = np.searchsorted(bucket[order], np.arange(counts.shape[1]))
    return 0


def buckets_of(
    parts: Array, places: Array | None, counts: Array, run: int, dtype: np.dtype, cursor: Array
) -> Iterator[tuple[int, Array, Array]]:
    """The buckets that this worker claims: their elements, and where these are in the line."""
    while (bucket := claim(cursor)) >= 0:
        at = np.concatenate(
            [
                np.arange(b, e) + i * run
                for i, (b, e) in enumerate(zip(counts[:, bucket], counts[:, bucket + 1], strict=True))
            ]
        )
        where = at if places is None else places[at] + at // run * run
        yield bucket, elements_of(parts[at], dtype), where
        with drive.alone_at(cursor):
            cursor[DONE] += 1


def gather_sort(parts: Array, counts: Array, offsets: Array, run: int, cursor: Array, out: Array) -> int:
    """The buckets, sorted, one after the other. `run`: elements of the line in a run of `spread`."""
    for bucket, values, _ in buckets_of(parts, None, counts, run, out.dtype, cursor):
        out[offsets[bucket] : offsets[bucket + 1]] = np.sort(values, kind="stable")
    return 0


def gather_argsort(
    parts: Array, places: Array, counts: Array, offsets: Array, run: int, code: int, cursor: Array, out: Array
) -> int:
    """Where their elements are in the line. `code`: the letter of their dtype, as a number."""
    for bucket, values, at in buckets_of(parts, places, counts, run, np.dtype(chr(code)), cursor):
        out[offsets[bucket] : offsets[bucket + 1]] = at[np.argsort(values, kind="stable")]
    return 0


def gather_rank(
    parts: Array,
    places: Array,
    counts: Array,
    offsets: Array,
    distinct: Array | None,
    run: int,
    code: int,
    method: int,
    missing: int,
    cursor: Array,
    out: Array,
) -> int:
    """The ranks of the elements of the line. `distinct`: different elements before each bucket, or None. As int64,
    ranks begin with 0."""
    for bucket, values, at in buckets_of(parts, places, counts, run, np.dtype(chr(code)), cursor):
        different = 0 if distinct is None else int(distinct[bucket])
        order = np.argsort(values, kind="stable")
        found = ranks(values, order, method, missing, int(offsets[bucket]), different)
        out[at] = found - 1 if out.dtype.kind == "i" else found
    return 0


def groups(ordered: Array, missing: int) -> Array:
    """Where groups of equal elements begin."""
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    if missing != DIFFERENT:
        new[1:] &= (ordered == ordered)[:-1]
    return np.flatnonzero(new)


def gather_distinct(
    parts: Array,
    counts: Array,
    offsets: Array,
    run: int,
    missing: int,
    cursor: Array,
    values: Array,
    number: Array,
    times: Array | None,
) -> int:
    """Different values of each bucket, at its offset in `values`; how many, and how often each occurs, unless None."""
    for bucket, block, _ in buckets_of(parts, None, counts, run, values.dtype, cursor):
        ordered = np.sort(block, kind="stable")
        note(values, times, number, bucket, offsets, groups(ordered, missing), ordered)
    return 0


def gather_first(
    parts: Array,
    places: Array,
    counts: Array,
    offsets: Array,
    run: int,
    code: int,
    missing: int,
    cursor: Array,
    first: Array,
    number: Array,
    times: Array | None,
) -> int:
    """The positions in the line at which each different value occurs first, at the offset of its bucket in `first`."""
    for bucket, block, at in buckets_of(parts, places, counts, run, np.dtype(chr(code)), cursor):
        order = np.argsort(block, kind="stable")
        note(first, times, number, bucket, offsets, groups(block[order], missing), at[order])
    return 0


def note(
    out: Array, times: Array | None, number: Array, bucket: int, offsets: Array, new: Array, source: Array
) -> None:
    begin = int(offsets[bucket])
    out[begin : begin + len(new)] = source[new]
    number[bucket] = len(new)
    if times is not None:
        times[begin : begin + len(new)] = np.diff(np.append(new, len(source)))


def pack(source: Array, begins: Array, ends: Array, cursor: Array, out: Array) -> int:
    """Copy pieces of `source` to `out`, where each has its place."""
    while (i := claim(cursor)) >= 0:
        begin = int(ends[i - 1]) if i else 0
        out[begin : ends[i]] = source[begins[i] : begins[i] + ends[i] - begin]
        with drive.alone_at(cursor):
            cursor[DONE] += 1
    return 0


def take(source: Array, index: Array, cursor: Array, out: Array) -> int:
    """source[index], of lines (1, n, 1) that need not adjoin."""
    for _, here in runs_of(len(out), cursor):
        out[here] = source[index[here]]
    return 0


def searchsorted(a: Array, right: int, sorter: Array | None, v: Array, cursor: Array, out: Array) -> int:
    """Where each element of `v` (n) would be put into the sorted `a` (n): before equals, or after them."""
    for _, here in runs_of(len(v), cursor):
        out[here] = np.searchsorted(truths(a), truths(v[here]), side="right" if right else "left", sorter=sorter)
    return 0
