"""Large results: pages that nobody can look at any more go while they are copied, and no others."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from allcores.futures import ProcessPoolExecutor, pickling, release, store
from allcores.futures.segments import Segment

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="segments are memfds on Linux alone")

COUNT = 1 << 18


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(release, "LARGE", 1 << 20)
    monkeypatch.setattr(release, "PIECE", (1 << 18) + 8)  # not whole pages


def pickled(box):
    found = pickling.dumps(box.pop(), 0)
    return found, *store.lay_out(found.sources)


def contents(segment, span):
    return np.frombuffer(os.pread(segment.fd, span[1] - span[0], span[0]))


def test_what_nobody_has_is_freed(small):
    box = [[np.arange(COUNT, dtype=float), np.ones(3)]]
    found, spans, size = pickled(box)
    segment = release.move_pages(found.sources, spans, size)
    np.testing.assert_array_equal(contents(segment, spans[0]), np.arange(COUNT))
    np.testing.assert_array_equal(contents(segment, spans[1]), 1)
    rest = np.frombuffer(found.sources[0])
    assert np.count_nonzero(rest) < COUNT / 20  # pages that two pieces share
    np.testing.assert_array_equal(np.frombuffer(found.sources[1]), 1)


def views():
    a = np.arange(COUNT, dtype=float)
    return [
        (a, a),
        (a, a[:5]),
        (np.arange(COUNT + 1, dtype=float)[:-1], None),
        (a, memoryview(a)),
        (np.frombuffer(bytearray(8 * COUNT)), None),
    ]


@pytest.mark.parametrize("which", range(len(views())))
def test_what_somebody_has_stays(small, which):
    array, kept = views()[which]
    want = array.copy()
    box = [array]
    del array
    found, spans, size = pickled(box)
    assert release.move_pages(found.sources, spans, size) is None
    np.testing.assert_array_equal(np.frombuffer(found.sources[0]), want)
    del kept


def test_arrays_that_are_gathered_are_not_handed_over(small):
    box = [(np.arange(COUNT, dtype=float), np.ones((1000, 1000))[::2])]
    found, spans, size = pickled(box)
    assert release.move_pages(found.sources, spans, size) is None
    np.testing.assert_array_equal(np.frombuffer(found.sources[0]), np.arange(COUNT))


def test_no_memory_on_the_way(small, monkeypatch):
    """What was freed is read back."""
    reserve, calls = Segment.reserve, []

    def fails(self, offset, count):
        calls.append(offset)
        if len(calls) == 5:
            raise OSError("no space")
        reserve(self, offset, count)

    monkeypatch.setattr(Segment, "reserve", fails)
    box = [np.arange(COUNT, dtype=float)]
    found, spans, size = pickled(box)
    with pytest.raises(OSError, match="no space"):
        release.move_pages(found.sources, spans, size)
    assert len(calls) == 5
    np.testing.assert_array_equal(np.frombuffer(found.sources[0]), np.arange(COUNT))


# ---- in a pool

LARGE = 9 << 20  # 72 MiB
kept = []


def make():
    return {"a": np.arange(LARGE, dtype=float)}


def make_and_keep():
    kept.append(np.arange(LARGE, dtype=float))
    return kept[0]


def look():
    return bool((kept[0] == np.arange(LARGE)).all())


def anonymous():
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024


def test_results_arrive():
    with ProcessPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(make).result()["a"], np.arange(LARGE))
        first = pool.submit(anonymous).result()
        np.testing.assert_array_equal(pool.submit(make_and_keep).result(), np.arange(LARGE))
        assert pool.submit(look).result()
        assert pool.submit(anonymous).result() - first > 60
        np.testing.assert_array_equal(pool.submit(make).result()["a"], np.arange(LARGE))
