"""Calls with windows of millions of elements end when they are asked to, in the midst of a chunk."""

from __future__ import annotations

import concurrent.futures
import signal
import time

import numpy as np
import pytest

import allcores as ac

LONG = {
    "move_rank": "noise stamps",
    "move_median": "noise stamps",
    "move_kurt": "noise gaps",
    "move_corr": "noise",
    "move_sum": "gaps stamps",
    "move_argmin": "gaps stamps",
}


def long_call(name, kind):
    """A call of one chunk that takes longer than 20 ms on any machine, and where its result goes."""
    n = 3_000_000 if name in ("move_rank", "move_median") else 20_000_000
    noise = np.random.default_rng(0).normal(size=n)
    a = {"noise": noise, "gaps": np.where(noise > 0, noise, np.nan), "stamps": 2**60 + (noise * 1e6).astype("i8")}[kind]
    out = np.full(n, -7.0)
    function = getattr(ac, name)
    return (lambda: function(*(a, noise)[: 1 + (name == "move_corr")], n, 1, out=out, workers=1)), out


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer that signals")
@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in LONG.items() for kind in kinds.split()])
def test_a_signal_ends_a_call_within_a_long_window(name, kind):
    call, out = long_call(name, kind)

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGVTALRM, handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)  # of computing, whatever else the machine does
            call()
            time.sleep(60)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert out[-1] == -7, "the call went on to its end"


@pytest.mark.parametrize(("name", "kind"), [("move_rank", "noise"), ("move_kurt", "gaps")])
def test_cancel_ends_a_call_within_a_long_window(name, kind):
    call, out = long_call(name, kind)
    future = ac.submit(call)
    time.sleep(0.01)
    assert future.cancel()
    concurrent.futures.wait([future], timeout=60)
    assert future.cancelled()
    assert out[-1] == -7
