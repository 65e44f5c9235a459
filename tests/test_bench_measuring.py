"""The benchmarks: what they say is what was measured. No test asserts a speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bench_helpers import EFFORT, READER, TINY

import allcores as ac
from allcores.bench import cases, limits, measure, peers, tables, timing
from allcores.bench.cases import Case, Function, Peer, Sizes
from allcores.bench.functions import FUNCTIONS

pytestmark = pytest.mark.usefixtures("no_peers")


# ---- timing


class FakeClock:
    """Time that passes only when a contender works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def contender(self, name: str, *costs: float) -> timing.Contender:
        """Calls cost `costs`, the last of them for ever."""
        left = list(costs)

        def work() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return timing.Contender(name, "work()", {"work": work}, clock=self)


def test_everybody_runs_once_a_round_in_changing_order() -> None:
    clock = FakeClock()
    contenders = [clock.contender(name, 1.0) for name in "abc"]
    timing.interleave(contenders, 4, least=0.5)
    rounds = ["".join(clock.calls[3 + 3 * i : 6 + 3 * i]) for i in range(4)]
    assert "".join(clock.calls[:3]) == "abc"  # calibration
    assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
    assert {order[0] for order in rounds} == {"a", "b", "c"}
    assert len({order.replace("a", "") for order in rounds}) == 2  # not always b before c


def test_samples_are_seconds_a_call() -> None:
    clock = FakeClock()
    contenders = [clock.contender("slow", 2.0), clock.contender("fast", 0.25)]
    samples = timing.interleave(contenders, 3, least=1.0)
    assert samples == {"slow": [2.0] * 3, "fast": [0.25] * 3}
    assert [contender.loops for contender in contenders] == [1, 4]


@pytest.mark.parametrize("cost", [1e-7, 3e-5, 1e-3, 0.9])
def test_a_sample_takes_at_least_as_long_as_asked(cost: float) -> None:
    clock = FakeClock()
    contender = clock.contender("x", cost)
    contender.calibrate(2e-3)
    begin = clock()
    assert contender.sample() == pytest.approx(cost)
    assert clock() - begin >= 2e-3 * (1 - 1e-9)
    assert clock() - begin <= max(2e-3 + cost, cost) * (1 + 1e-9)


def test_ratios_are_medians_of_rounds() -> None:
    # The machine slows down after two rounds: the ratio of medians would be 1.
    assert timing.ratio([2.0, 2.0, 20.0], [1.0, 2.0, 2.0]) == 2.0
    assert timing.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert timing.spread([1.0, 2.0, 3.0]) == (1.5, 2.5)
    assert timing.spread([7.0]) == (7.0, 7.0)


def test_the_context_is_not_timed() -> None:
    clock = FakeClock()

    class Context:
        def __enter__(self) -> None:
            clock.now += 100

        def __exit__(self, *exception: object) -> None:
            clock.now += 100

    contender = clock.contender("x", 1.0)
    contender.context = Context
    assert contender.sample() == 1.0


# ---- the limits


@pytest.fixture(params=["compiled", "numpy"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numpy":
        monkeypatch.setattr(limits, "compiled", lambda: None)
    elif limits.compiled() is None:
        pytest.skip("the C loop is not built")
    return str(request.param)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1000, (1 << 17) - 1, 1 << 17, (1 << 18) + 33])
def test_the_read_loops_equal_numpys_sum(loop: str, size: int, workers: int) -> None:
    words = np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64)
    for name in limits.loops():
        reader = limits.Reader(name, workers)
        assert reader(words) == int(np.sum(words))
        assert reader(words, 3) == 3 * int(np.sum(words)) % 2**64
        limits.check(reader, words)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool"])
def test_any_contiguous_array_is_read_as_words(loop: str, dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 2, (33, 7)).astype(dtype)
    x.setflags(write=False)
    words = limits.as_words(x)
    assert words.tobytes() == x.tobytes()[: x.nbytes // 8 * 8]
    assert limits.Reader(limits.loops()[-1], 2)(words) == int(np.sum(words))


def test_the_c_loop_refuses_what_it_cannot_read() -> None:
    module = limits.compiled()
    if module is None:
        pytest.skip("the C loop is not built")
    x, cursor = np.ones(100), np.zeros(8, dtype=np.int64)
    with pytest.raises((ValueError, BufferError)):
        module.read(x[::2], cursor, False)
    with pytest.raises(ValueError, match="too short"):
        module.read(x, cursor[:3], False)
    cursor.setflags(write=False)
    with pytest.raises((ValueError, BufferError)):
        module.read(x, cursor, False)
    with pytest.raises(TypeError):
        module.read([1.0], np.zeros(8, dtype=np.int64), False)


def test_a_loop_that_skips_something_is_no_limit() -> None:
    def lazy(words: Any) -> int:
        return int(np.sum(words[1:]))

    with pytest.raises(RuntimeError, match=r"np\.sum"):
        limits.check(lazy, np.ones(10, dtype=np.uint64))  # type: ignore[arg-type]


def test_limits(loop: str) -> None:
    found = limits.measure(2, 2, nbytes=1 << 18, times=2)
    assert set(found.bandwidth) == set(limits.loops())
    assert all(set(speeds) == {1, 2} for speeds in found.bandwidth.values())
    assert found.best == max(speed for speeds in found.bandwidth.values() for speed in speeds.values())
    assert found.speed_up > 0


# ---- cases and agreement


def test_the_tables_have_every_function() -> None:
    assert set(FUNCTIONS) == set(ac.fallback.__all__)
    for family in tables.FAMILIES:
        measured = set()
        for case in tables.cases(family, Sizes()):
            measured |= set(case.functions)
            assert set(case.quick) <= set(case.functions)
        assert measured == set(tables.names_of(family))


def test_arrays_have_the_shape_and_layout_of_the_case() -> None:
    for case in tables.cases("reductions", TINY):
        for name in case.functions:
            given, (base,) = cases.operands(case, FUNCTIONS[name])
            x = given["x"]
            assert x.shape == case.shape
            assert x.dtype == case.dtype
            assert base.flags.c_contiguous
            assert np.shares_memory(x, base)
            assert x.flags.c_contiguous == (case.layout == "C")


@pytest.mark.parametrize("content", sorted(cases.CONTENTS))
def test_contents(content: str) -> None:
    x, _ = cases.arrays("C", "float64", (5000,), content)
    assert np.isnan(x).any() == (content in ("gaps", "factors_with_gaps", "missing"))
    if content.startswith("factors"):
        assert 0.5 < np.nanprod(x) < 2
    if content == "sparse":
        assert 0 < np.count_nonzero(x) < x.size


def test_errors() -> None:
    nan, inf = float("nan"), float("inf")
    assert measure.error(1.0, 1.0) == 0
    assert measure.error(1.1, np.float64(1.0)) == pytest.approx(0.1)
    assert measure.error([1.0, nan], np.array([1.0, nan])) == 0
    assert measure.error([nan, nan], np.array([1.0, nan])) == inf
    assert measure.error([1.0], np.float64(1.0)) == inf
    assert measure.error(None, np.float64(1.0)) == inf
    assert measure.error(3, np.int64(3)) == 0
    assert measure.error(3, np.int64(4)) == inf
    assert measure.error((1.0, 2), (1.0, 2)) == 0
    assert measure.error((1.0, 3), (1.0, 2)) == inf
    assert measure.error([1.0, 2], (1.0, 2)) == inf
    assert measure.error(inf, np.float64(inf)) == 0
    assert measure.error(1e-300, np.float64(0.0)) == inf


def peer_case(statement: str, dtype: str = "float64", **names: Any) -> tuple[Case, Function]:
    function = Function("nansum", "gaps", "ac.nansum(x)", "np.nansum(x)", (Peer("other", statement),))
    return Case("memory", dtype, (1000,), None, ("nansum",)), function


@pytest.fixture
def _other(no_peers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy under another name."""
    monkeypatch.setattr(peers, "PEERS", {"other": "o"})
    monkeypatch.setattr(peers, "load", lambda name: np)


@pytest.mark.usefixtures("_other")
@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("o.nansum(x)", None),
        ("o.sum(x)", "another result"),
        ("1.01 * o.nansum(x)", "relative error 1e-02"),
        ("o.nansummm(x)", "AttributeError"),
    ],
)
def test_who_disagrees_is_not_timed(statement: str, problem: str | None) -> None:
    row = measure.row("reductions", *peer_case(statement), READER, EFFORT)
    assert ("other" in row.samples) == (problem is None)
    if problem is not None:
        assert problem in row.refused["other"]
        assert row.best == measure.NUMPY
    assert measure.ALL in row.samples
    assert measure.FALLBACK in row.samples


@pytest.mark.usefixtures("_other")
def test_float32_may_err_as_much_as_numpy() -> None:
    case, function = peer_case("(1 + 5e-7) * o.nansum(x, dtype='f8')", "float32")
    assert not measure.row("reductions", case, function, READER, EFFORT).refused
    case, function = peer_case("(1 + 5e-5) * o.nansum(x, dtype='f8')", "float32")
    assert set(measure.row("reductions", case, function, READER, EFFORT).refused) == {"other"}


def test_one_worker_is_one_worker() -> None:
    case = Case("memory", "float64", (1000,), None, ("nansum",))
    given, _ = cases.operands(case, FUNCTIONS["nansum"])
    by_name = {found.name: found for found in measure.contenders(case, FUNCTIONS["nansum"], given)}
    with by_name[measure.ONE].context():
        assert ac.get_workers() == 1
    with ac.set_workers(3), by_name[measure.ALL].context():
        assert ac.get_workers() == 3


@pytest.mark.usefixtures("_other")
def test_where_numpy_has_nothing_the_fallback_is_the_reference() -> None:
    function = Function("push", "gaps", "ac.push(x)", peers=(Peer("other", "o.nan_to_num(x)"),))
    row = measure.row("scans", Case("memory", "float64", (1000,), None, ("push",)), function, READER, EFFORT)
    assert set(row.refused) == {"other"}
    assert row.best == ""
    assert row.over(row.best) is None
    assert set(row.samples) == {measure.ONE, measure.ALL, measure.FALLBACK}


def test_what_is_not_one_and_the_same_is_not_compared() -> None:
    """The elements beside the one that a partition is about may lie in any order."""
    case = Case("memory", "float64", (1000,), None, ("partition",))
    for name in ("partition", "argpartition"):
        assert not measure.row("selection", case, FUNCTIONS[name], READER, EFFORT).refused
    wrong = Function("partition", "values", "ac.partition(x, kth=100)", "np.sort(x)", compared="r")
    assert measure.ALL in measure.row("selection", case, wrong, READER, EFFORT).refused
