"""Accuracy: root mean square error over 200 seeds at most 1.05 times NumPy's, against `math.fsum`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import everyday

import allcores as ac

SEEDS = 200
MARGIN = 1.05


def well(rng, n):
    return rng.normal(size=n)


def positive(rng, n):
    return rng.random(n)


def ill(rng, n):
    """Magnitudes from 1e-8 to 1e8, of both signs."""
    return rng.normal(size=n) * 10.0 ** rng.integers(-8, 9, n)


def cancelling(rng, n):
    """Almost everything cancels."""
    half = ill(rng, n // 2)
    return rng.permutation(np.concatenate([half, -half, rng.normal(size=n - 2 * (n // 2))])) + rng.normal(size=n) * 1e-8


KINDS = (well, positive, ill, cancelling)


def rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


# A line among others, or in the middle of the columns of one array.
ARRANGEMENTS = {
    "rows": lambda x: (x, 1),
    "columns": lambda x: (np.ascontiguousarray(x.T), 0),
    "reversed": lambda x: (x[:, ::-1].copy()[:, ::-1], 1),
    "F": lambda x: (np.asfortranarray(x), 1),
}


def ratios(names, make, n, dtype, arrangement, *, seeds=SEEDS, lines=1):
    """Of each function: how its root mean square error compares with NumPy's.

    One line a seed would tell the ratio to 7%; with several it is known to about one.
    """
    found = {name: ([], []) for name in names}
    for seed in range(seeds):
        x = make(np.random.default_rng(seed), lines * n).astype(dtype).reshape(lines, n)
        exact = np.array([math.fsum(line) for line in x])
        a, axis = ARRANGEMENTS[arrangement](x)
        for name in names:
            want = exact / n if "mean" in name else exact
            for module, out in zip((ac, np), found[name], strict=True):
                out.append(getattr(module, name)(a, axis=axis) - want)
    return {name: rms(ours) / rms(numpys) for name, (ours, numpys) in found.items()}


# NumPy's chains have 16 links at 128 * 2**k elements, and 8 just above.
@pytest.mark.parametrize(
    ("n", "lines"),
    [
        (100, 100),
        (300, 80),
        (1000, 40),
        (1040, 40),
        (1300, 40),
        (3000, 20),
        (4096, 20),
        (4160, 20),
        (8200, 10),
        (70000, 3),
    ],
)
@pytest.mark.extended
@pytest.mark.parametrize("make", KINDS)
def test_sums(make, n, lines):
    for name, ratio in ratios(("sum", "nansum"), make, n, "d", "rows", lines=lines).items():
        assert ratio <= MARGIN, f"{name}: {ratio:.3f} times NumPy's error"


@pytest.mark.parametrize("make", everyday(KINDS, [ill]))
def test_long_sums(make):
    for name, ratio in ratios(("sum", "nansum"), make, 100_000, "d", "rows", seeds=50, lines=3).items():
        assert ratio <= MARGIN * 1.05, f"{name}: {ratio:.3f} times NumPy's error"  # known to 5%


@pytest.mark.extended
@pytest.mark.parametrize("dtype", ["d", "f"])
@pytest.mark.parametrize("arrangement", everyday(ARRANGEMENTS, ("rows", "columns")))
@pytest.mark.parametrize("make", everyday(KINDS, [ill]))
def test_sums_and_means(make, arrangement, dtype):
    names = ("sum", "mean", "nansum", "nanmean")
    for name, ratio in ratios(names, make, 1000, dtype, arrangement, lines=50).items():
        assert ratio <= MARGIN, f"{name}: {ratio:.3f} times NumPy's error"


def test_sums_of_single_precision_are_rounded_once():
    """float32 accumulates in float64."""
    for seed in range(SEEDS):
        x = np.random.default_rng(seed).random(10_000).astype("f")
        assert ac.sum(x) == np.float32(math.fsum(x))
        assert ac.mean(x) == np.float32(math.fsum(x) / x.size)


def variance(x, centre):
    """Of elements so close to `centre` that subtracting it is exact."""
    d = x.astype(np.float64) - centre
    mean = math.fsum(d) / d.size
    return math.fsum((d - mean) ** 2) / d.size


@pytest.mark.parametrize("name", everyday(["var", "nanvar"], ["nanvar"]))
@pytest.mark.parametrize("arrangement", everyday(["rows", "columns"], ["columns"]))
@pytest.mark.parametrize(
    ("dtype", "centre", "bound"), [("d", 1e8, 4e-16), ("d", 0.0, 4e-16), ("f", 1e3, 5e-8), ("f", 0.0, 5e-8)]
)
@pytest.mark.parametrize(("n", "seeds"), [(100, SEEDS), (1000, SEEDS), (10_000, 40)])
def test_variances(n, seeds, dtype, centre, bound, arrangement, name):
    """Relative error, also where the mean is a hundred million standard deviations.

    NumPy's two passes are as good as rounding allows; where both are, twice its error is less than one rounding.
    """
    found = ([], [])
    for seed in range(seeds):
        x = (np.random.default_rng(seed).normal(size=(4, n)) + centre).astype(dtype)
        exact = np.array([variance(line, centre) for line in x])
        a, axis = ARRANGEMENTS[arrangement](x)
        for module, out in zip((ac, np), found, strict=True):
            out.append((getattr(module, name)(a, axis=axis) - exact) / exact)
    ours, numpys = map(rms, found)
    assert ours <= bound
    assert ours <= max(MARGIN * numpys, bound / 2), f"{ours / numpys:.3f} times NumPy's error"


@pytest.mark.parametrize("name", ["var", "nanvar", "std", "nanstd"])
def test_constants_do_not_vary(name, backend):
    for value in (0.1, -1 / 3, 1e8 + 0.1, 1e150, 1e-300, 123456789.123):
        for dtype in "df":
            with np.errstate(over="ignore", under="ignore"):
                constant = np.dtype(dtype).type(value)
            if not np.isfinite(constant):
                continue
            limit = 4 * float(np.finfo(np.float64).eps) * abs(float(constant))
            limit = limit**2 if "var" in name else limit
            for a, axis in (
                (np.full(9999, constant), None),
                (np.full((77, 5), constant), 0),
                (np.full((5, 77), constant), 1),
            ):
                result = np.asarray(getattr(ac, name)(a, axis=axis))
                assert (result >= 0).all()
                assert (result <= limit).all()


@pytest.mark.parametrize("name", ["var", "nanvar"])
def test_variances_are_never_negative(name, backend):
    for seed in range(100):
        rng = np.random.default_rng(seed)
        a = rng.choice([1.0, 1 + 2**-52, 1e16, 1e16 + 2, -1e-300], size=(50, 3)) * 10.0 ** rng.integers(-200, 100)
        for axis in (None, 0, 1):
            with np.errstate(under="ignore"):
                assert (np.asarray(getattr(ac, name)(a, axis=axis)) >= 0).all()


def test_products_of_single_precision(backend):
    for seed in range(20):
        x = np.exp(np.random.default_rng(seed).normal(size=2000) / 50).astype("f")
        exact = math.exp(math.fsum(map(math.log, x.astype(float))))
        assert abs(float(ac.prod(x)) / exact - 1) < 2e-7
