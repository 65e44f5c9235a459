"""Every function under the caller's `np.errstate`: raises and warns as NumPy's; where NumPy has none, not at all."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from helpers import EXACT, FUNCTIONS, everyday, oracle
from test_pinned_bits import CALLS

import allcores as ac

KINDS = ("divide", "over", "under", "invalid")
QUANTILES = {"quantile": (0.3,), "nanquantile": (0.3,), "percentile": (30,), "nanpercentile": (30,)}
MEDIANS = ("median", "nanmedian")
NAMES = (*(name for name in FUNCTIONS if hasattr(np, name)), *MEDIANS, *QUANTILES)
STATES = {
    **{kind: dict.fromkeys(KINDS, kind) for kind in ("raise", "warn", "call", "ignore")},
    **{f"{kind} alone": {**dict.fromkeys(KINDS, "ignore"), kind: "raise"} for kind in KINDS},
}


def elements(char: str) -> dict[str, np.ndarray]:
    """Six of each kind. Sums, products and squares overflow or underflow in whatever order they are computed."""
    info = np.finfo(char)
    least = float(info.smallest_subnormal)
    values = {
        "plain": [1, 2, 3, 4, 5, 6],
        "zeros": [0, -0.0, 0, 0, -0.0, 0],
        "nan": [np.nan, 1, np.nan, 2, 3, 4],
        "nothing but nan": [np.nan] * 6,
        "inf": [np.inf, np.inf, 1, 2, 3, 4],
        "inf and 0": [np.inf, 0, 1, 2, 3, 4],
        "inf - inf": [np.inf, -np.inf, 1, 2, 3, 4],
        "greatest": [info.max, info.max, 1, 2, info.max, info.max],
        "least": [least, 0, 3 * least, info.tiny, 1.5 * float(info.tiny), least],
        "tiny": [float(info.tiny) * i for i in range(1, 7)],
        "square root of tiny": [float(info.tiny) ** 0.5 * i / 4 for i in range(1, 7)],
    }
    return {kind: np.array(six, char) for kind, six in values.items()}


def told(function, a, state, *args, **kwargs):
    """What a call raises, or the kinds of what it warns of; with "call" what it calls."""
    called: list[str] = []
    state = {"call": lambda kind, flag: called.append(kind), **state}
    with warnings.catch_warnings(record=True) as record, np.errstate(**state):
        warnings.simplefilter("always")
        try:
            function(a, *args, **kwargs)
        except Exception as error:
            return type(error).__name__
    return {str(entry.message).split(" encountered")[0].strip(".") for entry in record} | set(called)


def told_by_numpy(name, a, state, *args, **kwargs):
    """float32 is computed in float64 by us and rounded: the result's overflow and underflow are told, not its way's."""
    if a.dtype != np.float32 or name in EXACT or name in MEDIANS or name in QUANTILES:
        return told(oracle(name), a, state, *args, **kwargs)
    return told(lambda x: np.asarray(oracle(name)(x.astype("d"), **kwargs)).astype("f"), a, state)


def shapes(six: np.ndarray):
    yield six, None
    yield np.repeat(six[:, None], 9, axis=1), 0
    yield np.repeat(six[None], 3, axis=0), 1
    yield np.tile(six, 700), None


@pytest.mark.slow_fallback
@pytest.mark.parametrize("char", everyday("edf", "df"))
@pytest.mark.parametrize("name", NAMES)
def test_as_numpy(name, char, way):
    function = getattr(ac, name)
    for kind, six in elements(char).items():
        if char == "e" and kind != "plain" and name in ("nanmedian", "nanquantile", "nanpercentile"):
            continue  # NumPy's way there depends on the length of a lane
        for a, axis in shapes(six):
            for label, state in STATES.items():
                if "alone" in label and a.ndim == 1:
                    continue
                args = QUANTILES.get(name, ())
                got, want = told(function, a, state, *args, axis=axis), told_by_numpy(name, a, state, *args, axis=axis)
                assert got == want, (name, kind, a.shape, label)


@pytest.mark.parametrize("name", ["sum", "mean", "nansum", "nanmean", "ss"])
def test_several_kinds_in_one_call(name, way):
    """Side by side, so that one operation raises all of them."""
    both = np.stack([elements("d")[kind] for kind in ("greatest", "inf - inf", "plain")], axis=1)
    want = {"overflow"} if name == "ss" else {"overflow", "invalid value"}
    for a in (both, both[:, ::-1]):
        assert {kind.partition(" in ")[0] for kind in told(getattr(ac, name), a, STATES["warn"], axis=0)} == want


@pytest.mark.parametrize("name", NAMES)
def test_by_a_team(name, backend, team):
    function, args = getattr(ac, name), QUANTILES.get(name, ())
    for kind, six in elements("d").items():
        for a, axis in shapes(six):
            for label in ("raise", "warn"):
                got = told(function, a, STATES[label], *args, axis=axis)
                want = told(oracle(name), a, STATES[label], *args, axis=axis)
                assert got == want, (name, kind, a.shape, label)


@pytest.mark.slow_fallback
@pytest.mark.parametrize("name", [name for name in CALLS if not hasattr(np, name) and name != "ss"])
def test_our_own_arithmetic_is_quiet(name, backend):
    long = 4 if backend == "fallback" else 300
    for char in "dfe":
        for six in elements(char).values():
            for a in (np.repeat(np.tile(six, 2)[:, None], 7, axis=1), np.tile(six, long)):
                with np.errstate(all="raise"), warnings.catch_warnings():
                    warnings.simplefilter("error")
                    list(CALLS[name](a.copy(), a[::-1].copy()))


@pytest.mark.parametrize("initial", [0.0, 1e-200, 1e300, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["sum", "prod", "nansum", "nanprod"])
def test_initial(name, initial, way):
    """It overflows or underflows with the result, too."""
    for values in ([1.0, 2.0], [1.7e308], [1e-200, 1.0], [np.inf], [0.0]):
        for label, state in STATES.items():
            a = np.array(values)
            got = told(getattr(ac, name), a, state, initial=initial)
            assert got == told(getattr(np, name), a, state, initial=initial), (name, values, initial, label)


@pytest.mark.parametrize("name", list(QUANTILES))
def test_any_quantile(name, backend):
    """Weights of elements are rounded to a's dtype, which is nobody's underflow."""
    for char in "efd":
        for n in (2, 26):
            a = np.arange(n).astype(char)
            for q in range(4, 101, 8):
                q = q if "percentile" in name else q / 100
                for state in (STATES["raise"], STATES["under alone"]):
                    assert told(getattr(ac, name), a, state, q) == told(getattr(np, name), a, state, q), (char, n, q)


@pytest.mark.thread_unsafe(reason="counts warnings")
@pytest.mark.parametrize("char", ["e", "f", ">f4", ">f2", "d", "F"])
def test_values_to_replace_are_rounded(char, way):
    """To a's dtype: to an infinity, or to zero."""
    for masked in (False, True):
        for old, new in ((1e300, 0.0), (1.0, 1e300), (1e-300, 5.0), (1.0, 1e-300)):
            a = np.array([0, 1, 2, 1], char)
            with np.errstate(all="ignore"):
                want = np.where(a == old, np.array(new).astype(char), a)
            a = np.ma.array(a, mask=[0, 0, 0, 1]) if masked else a
            for state in (STATES["raise"], STATES["warn"], {}):
                x = a.copy()
                assert told(ac.replace, x, state, old, new) == set(), (masked, old, new)
                np.testing.assert_array_equal(np.asarray(x)[:3], want[:3])


@pytest.mark.parametrize("name", list(QUANTILES))
def test_weights(name, backend):
    for n in (4, 3000, 70_000):
        for q in (0, np.float32(0.3), [0.1, 0.5]):
            for label, state in [*STATES.items()][: 6 - n // 20_000]:
                more = {"weights": np.ones(n), "method": "inverted_cdf"}
                for a in (np.arange(float(n)), np.where(np.arange(n) % 7, np.arange(float(n)), 5e-324)):
                    got = told(getattr(ac, name), a, state, q, **more)
                    assert got == told(getattr(np, name), a, state, q, **more), (name, n, q, label)


def test_log_and_print(way, capsys):
    class Log:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def write(self, line: str) -> None:
            self.lines.append(line)

    for values in ([1.7e308] * 2, [np.inf, -np.inf], [5e-324, 0]):
        for function, expected in ((ac.sum, np.sum), (ac.mean, np.mean), (ac.median, np.median)):
            logs = Log(), Log()
            for log, f in zip(logs, (function, expected), strict=True):
                with np.errstate(all="log", call=log):
                    f(np.array(values))
                with np.errstate(all="print"):
                    f(np.array(values))
            first, second = ({line.split(" encountered")[0] for line in log.lines} for log in logs)
            assert first == second, values
    capsys.readouterr()
