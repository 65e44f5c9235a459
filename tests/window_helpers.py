"""What the suites of moving windows share: definitions by NumPy, arguments, and comparisons."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import allcores as ac
from allcores._engine.registry import WINDOWS

# Those that sort each window: by definition, and in the fallback, they take a while.
SORTING = ("move_median", "move_quantile", "move_rank")


def function(name: str, namespace=ac):
    """The function, with the arguments that all have in common."""
    if name != "move_quantile":
        return getattr(namespace, name)

    def quantile(a, window, min_count=None, axis=-1, **kwargs):
        return namespace.move_quantile(a, window, 0.3, min_count, axis, **kwargs)

    return quantile


def inputs_of(name: str, a):
    """The function's inputs: `a`, and a second one like it where it takes two, which is not missing where `a` is."""
    if WINDOWS[name].inputs == 1:
        return (a,)
    other = np.random.default_rng(99).normal(size=a.shape) * 3 + 1
    return a, other.astype(a.dtype if a.dtype.kind == "f" else np.float64) + np.where(a == a, a, a.dtype.type(0))


def pairs_with_gaps(shape, seed: int = 0):
    """Pairs of which the second is missing, or either; and the same pairs without both. (`inputs_of` has others.)"""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, *shape))
    y += x
    for only in ((1,), (0, 1)):
        gaps = [(rng.random(shape) < 0.1) & (which in only) for which in range(2)]
        given = [np.where(gap, np.nan, v) for gap, v in zip(gaps, (x, y), strict=True)]
        yield only, given, [np.where(gaps[0] | gaps[1], np.nan, v) for v in (x, y)]


def arguments_of(name: str, ddof: int) -> dict[str, int]:
    return {"ddof": ddof} if "ddof" in WINDOWS[name].parameters else {}


def windows_of(a, window: int, axis: int, center: bool):
    """All windows along a new last axis, float64, NaN where they reach beyond the series."""
    a = np.moveaxis(np.asarray(a, dtype=np.float64), axis, -1)
    offset = (window - 1) // 2 if center else 0
    wide = [(0, 0)] * (a.ndim - 1) + [(window - 1 - offset, offset)]
    return sliding_window_view(np.pad(a, wide, constant_values=np.nan), window, axis=-1)


def defined(name: str, inputs, window: int, min_count=None, axis: int = -1, *, ddof: int = 0, center: bool = False):
    """The function by its definition: the results, and a scale for their errors."""
    v = [windows_of(a, window, axis, center) for a in inputs]
    ok = np.logical_and.reduce([~np.isnan(w) for w in v])
    n = ok.sum(axis=-1).astype(np.float64)
    least = (0 if name == "move_count" else window) if min_count is None else min_count
    x = np.where(ok, v[0], 0.0)
    with np.errstate(all="ignore"):
        size = np.abs(np.where(np.isfinite(x), x, 0)).max(axis=-1, initial=0)
        mean = x.sum(axis=-1) / n
        d = np.where(ok, v[0] - mean[..., None], 0.0)
        m2 = (d * d).sum(axis=-1)
        if name == "move_count":
            result, scale = n, 0
        elif name == "move_sum":
            result, scale = x.sum(axis=-1), size * n
        elif name == "move_mean":
            result, scale = mean, size
        elif name == "move_prod":
            result, scale = np.where(ok, v[0], 1.0).prod(axis=-1), 0
        elif name in ("move_min", "move_max"):
            end = np.inf if name == "move_min" else -np.inf
            result = getattr(np, name[5:])(np.where(ok, v[0], end), axis=-1)
            scale = 0
        elif name in ("move_argmin", "move_argmax"):
            end = np.inf if name == "move_argmin" else -np.inf
            best = getattr(np, name[8:])(np.where(ok, v[0], end), axis=-1, keepdims=True)
            result = (ok & (v[0] == best))[..., ::-1].argmax(axis=-1).astype(np.float64)
            scale = 0
        elif name in ("move_var", "move_std"):
            var = m2 / (n - ddof)
            result = np.sqrt(var) if name == "move_std" else var
            scale, least = (size if name == "move_std" else size**2), max(least, ddof + 1)
        elif name == "move_skew":
            result = np.sqrt(n * (n - 1)) / (n - 2) * ((d**3).sum(axis=-1) / n) / (m2 / n) ** 1.5
            result, scale, least = np.where(same(v[0], ok), np.nan, result), 1, max(least, 3)
        elif name == "move_kurt":
            result = ((n * n - 1) * ((d**4).sum(axis=-1) / n) / (m2 / n) ** 2 - 3 * (n - 1) ** 2) / ((n - 2) * (n - 3))
            result, scale, least = np.where(same(v[0], ok), np.nan, result), 1, max(least, 4)
        elif name in SORTING:
            result, scale = sorting(name, v[0], center), 0
        else:
            y = np.where(ok, v[1], 0.0)
            e = np.where(ok, v[1] - (y.sum(axis=-1) / n)[..., None], 0.0)
            product = (d * e).sum(axis=-1)
            tall = np.abs(np.where(np.isfinite(y), y, 0)).max(axis=-1, initial=0)
            if name == "move_cov":
                result, scale, least = product / (n - ddof), size * tall, max(least, ddof + 1)
            else:
                result, scale = product / (np.sqrt(m2) * np.sqrt((e * e).sum(axis=-1))), 1
                result = np.where(same(v[0], ok) | same(v[1], ok), np.nan, result)
        result = np.where(n >= least, result, np.nan)
        return np.moveaxis(result, -1, axis), np.moveaxis(np.broadcast_to(scale, result.shape), -1, axis)


def sorting(name: str, v, center: bool):
    """Median, 0.3-quantile, or the rank of the newest element, of windows along the last axis."""
    if name != "move_rank":
        # As np.nanmedian and np.nanquantile, with which test_window_order.py compares, but for all windows at once.
        ordered = np.sort(v, axis=-1)
        last = np.maximum(np.count_nonzero(~np.isnan(v), axis=-1) - 1, 0)
        q = 0.5 if name == "move_median" else 0.3
        low = np.floor(last * q).astype(np.intp)
        high = np.minimum(low + (last * q > low if name == "move_median" else 1), last)
        a, b = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (low, high))
        if name == "move_median":
            return np.where(low == high, a, (a + b) / 2)
        t = last * q - low
        return np.where(t >= 0.5, b - (b - a) * (1 - t), a + (b - a) * t)
    n, window = v.shape[-2:]
    offset = (window - 1) // 2 if center else 0
    beyond = np.maximum(np.arange(n) + offset - (n - 1), 0)
    newest = np.take_along_axis(v, np.broadcast_to((window - 1 - beyond)[:, None], (*v.shape[:-1], 1)), axis=-1)
    count = np.count_nonzero(~np.isnan(v), axis=-1)
    below, equal = np.count_nonzero(v < newest, axis=-1), np.count_nonzero(v == newest, axis=-1)
    rank = 2.0 * (0.5 * (2 * below + equal - 1.0) / np.maximum(count - 1.0, 1) - 0.5)
    return np.where(np.isnan(newest[..., 0]), np.nan, np.where(count == 1, 0.0, rank))


def same(v, ok):
    """Whether all elements of a window are equal, and finite."""
    low = np.where(ok, v, np.inf).min(axis=-1)
    return (low == np.where(ok, v, -np.inf).max(axis=-1)) & np.isfinite(low)


def check_move(name: str, inputs, window: int, min_count=None, axis: int = -1, *, message: object = "", **kwargs):
    """Our function against its definition."""
    got = function(name)(*inputs, window, min_count, axis, **kwargs)
    want, scale = defined(name, inputs, window, min_count, axis, **kwargs)
    where = (name, [(a.dtype.char, a.shape, a.strides) for a in inputs], window, min_count, axis, kwargs, message)
    small = all(a.dtype == np.float32 for a in inputs)
    assert got.dtype == (np.float32 if small else np.float64), where
    assert got.shape == want.shape, where
    with np.errstate(all="ignore"):
        finite = np.isfinite(want)
        special = np.where(finite, 0, want)
        np.testing.assert_array_equal(np.where(finite, 0, got), special, err_msg=repr(where))
        bound = (1e-6 if small else 1e-11) * (np.abs(want) + scale)
        if name in ("move_skew", "move_kurt", "move_corr", "move_std"):
            bound = bound * 100  # quotients and roots of what is small
        bad = finite & ~(np.abs(got - want) <= bound)
    assert not bad.any(), (where, got[bad][:5], want[bad][:5])
