"""Sorted runs, merged two and two; the compiled twin is ext/merge.pyx."""

from __future__ import annotations

import numpy as np

from .drive import Array
from .sort import runs_of


def sort_runs(a: Array, cursor: Array, out: Array) -> int:
    """The runs of a line, each in order but for zeros of both signs."""
    for _, here in runs_of(len(a), cursor):
        out[here] = np.sort(a[here])
    return 0


def merge_runs(source: Array, pairs: Array, cursor: Array, out: Array) -> int:
    """pairs (n, 5): where two sorted runs of `source` begin and end, and where they begin in `out`, merged. No NaN."""
    for _, here in runs_of(len(out), cursor):
        for a, a_end, b, b_end, to in pairs:
            merged = np.sort(np.concatenate([source[a:a_end], source[b:b_end]]))
            begin, end = max(here.start, to), min(here.stop, to + len(merged))
            out[begin:end] = merged[begin - to : end - to]
    return 0
