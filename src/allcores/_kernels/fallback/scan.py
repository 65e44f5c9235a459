"""Exponentially weighted counts, sums, means and moments; the compiled twin is ext/scan.pyx, which explains them.

Lanes are arrays (lines, leaves, columns): whole series, or leaves of `leaf` elements. A state is a list of such arrays,
of which the last five are the weight, the decay of a leaf in the first pass, and three exponents: FAR is that of the
count and of what decays with it, NEAR that of moments where one element has nearly all the weight, LOST that of the
decay. Compiled code looks at exponents only now and then; powers of two change no digit, so here every row does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from ..common import Array
from .window import claimed

State = list[Array]

TINY = float(np.finfo(np.float64).tiny)
LOW = 2.0**-8  # counts below this are multiplied by a power of two
LEAST = 2.0**-128
WEIGHT, DECAY, FAR, NEAR, LOST = -5, -4, -3, -2, -1
MORE = 5
SPLIT = float((1 << 27) + 1)  # splits the digits of a double into halves
SUMS = 32  # partial sums of a leaf, of every 32nd element


# ---- exponents


def lowered(value: Array, exponent: Array) -> Array:
    """value / 2**exponent."""
    return np.asarray(np.ldexp(value, -np.minimum(exponent, 5000.0).astype(np.int32)))


def split(value: Array | float) -> tuple[Array, Array]:
    """Split a value into digits between a half and two and an even exponent, whose root is a power of two as well."""
    digits, exponent = np.frexp(value)
    odd = exponent % 2
    return np.asarray(np.where(odd, 2 * digits, digits)), np.asarray(exponent - odd)


def settle(operation: Operation, state: State) -> None:
    """The same state with other exponents: its count and its decay are near one where they were low."""
    digits, exponent = split(state[DECAY])
    low = (state[DECAY] > 0) & (state[DECAY] < LOW)
    state[DECAY] = np.where(low, digits, state[DECAY])
    state[LOST] = np.where(low, state[LOST] - exponent, state[LOST])
    f = operation.count
    if f is None:
        return
    low = (state[f] > 0) & (state[f] < LOW)
    if low.any():
        digits, exponent = split(state[f])
        state[FAR] = np.where(low, state[FAR] - exponent, state[FAR])
        state[f] = np.where(low, digits, state[f])
        if operation is MEAN:
            state[0] = np.where(low, np.ldexp(state[0], -exponent), state[0])


def forget(operation: Operation, state: State, forgets: Array) -> None:
    """Forget everything before, but for the fact that there was an element: a sum is 0 then, not NaN."""
    if forgets.any():
        fields = [0] if operation is SUM else range(operation.fields)
        for f in [*fields, FAR, NEAR]:
            state[f] = np.where(forgets, 0.0, state[f])


# ---- a row of elements joins the states of its lanes


def join_mean(mean: Array, x: Array, u: Array) -> Array:
    """The mean after x has joined. Where u is 1 it is x itself, unless the mean was infinite: mean + (x - mean) would
    be rounded."""
    d = x - mean
    return np.asarray(np.where(u == 1, x + (d - d), mean + d * u))


def step_count(given: list[Array], here: Array, decay: Array, state: State) -> None:
    state[0] = decay * state[0] + here


def step_sum(given: list[Array], here: Array, decay: Array, state: State) -> None:
    state[0] = decay * state[0] + np.where(here, given[0], 0.0)
    state[1] = np.where(here, 1.0, state[1])


def step_mean(given: list[Array], here: Array, decay: Array, state: State) -> None:
    far = np.where(here, state[FAR], 0.0)
    state[0] = lowered(decay * state[0], far) + np.where(here, given[0], 0.0)
    state[1] = lowered(decay * state[1], far) + here
    state[FAR] = np.where(here, 0.0, state[FAR])


def share(here: Array, decay: Array, state: State) -> tuple[Array, Array, Array]:
    """A row of elements joins: these have the share u, what was known has k / 2**FAR. Afterwards the count is that
    after the row."""
    w = decay * state[0]
    whole = lowered(w, state[FAR])
    u = 1 / (whole + 1)
    k = w * u
    low = lowered(k, state[FAR])
    state[0] = np.where(here, whole + 1, w)
    return u, k, low


def step_var(given: list[Array], here: Array, decay: Array, state: State) -> None:
    _, mean, v, r = state[:4]
    near = state[NEAR]
    x = given[0]
    u, k, low = share(here, decay, state)
    d = x - mean
    state[1] = np.where(here, join_mean(mean, x, u), mean)
    state[2] = np.where(here, k * (lowered(v, near) + d * d * u), v)
    state[3] = np.where(here, k * (low * lowered(r, near) + 2 * u), r)
    nearer(here, state)


def nearer(here: Array, state: State) -> None:
    """Give moments the exponent of k, by which they have become smaller."""
    state[NEAR] = np.where(here, state[FAR], state[NEAR])
    state[FAR] = np.where(here, 0.0, state[FAR])


def step_cov(given: list[Array], here: Array, decay: Array, state: State) -> None:
    _, xm, ym, c, r = state[:5]
    near = state[NEAR]
    x, y = given
    u, k, low = share(here, decay, state)
    state[1] = np.where(here, join_mean(xm, x, u), xm)
    state[2] = np.where(here, join_mean(ym, y, u), ym)
    state[3] = np.where(here, k * (lowered(c, near) + (x - xm) * (y - ym) * u), c)
    state[4] = np.where(here, k * (low * lowered(r, near) + 2 * u), r)
    nearer(here, state)


def step_corr(given: list[Array], here: Array, decay: Array, state: State) -> None:
    _, xm, ym, c, p, q = state[:6]
    near = state[NEAR]
    x, y = given
    u, k, _ = share(here, decay, state)
    dx, dy = x - xm, y - ym
    state[1] = np.where(here, join_mean(xm, x, u), xm)
    state[2] = np.where(here, join_mean(ym, y, u), ym)
    state[3] = np.where(here, k * (lowered(c, near) + dx * dy * u), c)
    state[4] = np.where(here, k * (lowered(p, near) + dx * dx * u), p)
    state[5] = np.where(here, k * (lowered(q, near) + dy * dy * u), q)
    nearer(here, state)


# ---- one leaf after another: a, which then decays, before b


def add_up(a: State, b: State) -> list[Array]:
    return [lowered(b[DECAY] * a[0], b[LOST]) + b[0]]


def add_seen(a: State, b: State) -> list[Array]:
    return [*add_up(a, b), np.maximum(a[1], b[1])]


def scales(a: State, b: State) -> tuple[Array, Array, Array]:
    """The exponent of the common count, how far that of a is below it, and how far that of b is."""
    far = a[FAR] + b[LOST]
    top = np.minimum(far, b[FAR])
    return top, far - top, b[FAR] - top


def merge_mean(a: State, b: State) -> list[Array]:
    a[FAR], far, near = scales(a, b)
    return [lowered(b[DECAY] * x, far) + lowered(y, near) for x, y in zip(a[:2], b[:2], strict=True)]


def merge_moments(a: State, b: State) -> list[Array]:
    """v and r are sums of three terms each: the largest of r gives the scale."""
    count_exponent, far, near = scales(a, b)
    w = b[DECAY] * a[0]
    n = lowered(w, far) + lowered(b[0], near)
    u, k = b[0] / n, w / n
    moments, pairs = len(a) - MORE, len(a) - MORE > 4
    bias = None if moments == 6 else moments - 1  # the field of r
    known = [n] + [join_mean(a[f], b[f], lowered(u, near)) for f in range(1, 3 if pairs else 2)]
    between, top = far + near, far + near
    of_a, of_b = far + a[NEAR], near + b[NEAR]
    if bias is None:
        top = np.where((a[4] > 0) | (a[5] > 0), np.minimum(top, of_a), top)
        top = np.where((b[4] > 0) | (b[5] > 0), np.minimum(top, of_b), top)
    else:
        top = np.where(a[bias] > 0, np.minimum(top, of_a + far), top)
        top = np.where(b[bias] > 0, np.minimum(top, of_b + near), top)
    a[FAR], a[NEAR] = count_exponent, top

    def moment(f: int, d: Array, e: Array) -> Array:
        return (lowered(k * a[f], of_a - top) + lowered(u * b[f], of_b - top)) + lowered(d * e * (k * u), between - top)

    d = b[1] - a[1]
    if pairs:
        e = b[2] - a[2]
        known.append(moment(3, d, e))
        known += [moment(4, d, d), moment(5, e, e)] if bias is None else []
    else:
        known.append(moment(2, d, d))
    if bias is not None:
        of_both = lowered(k * k * a[bias], of_a + far - top) + lowered(u * u * b[bias], of_b + near - top)
        known.append(of_both + lowered(2 * (k * u), between - top))
    return known


def merge(operation: Operation, a: State, b: State) -> State:
    forget(operation, a, b[DECAY] == 0)
    weight = lowered(b[DECAY] * a[WEIGHT], b[LOST]) + b[WEIGHT]
    f = operation.count
    if f is None:
        return [*operation.merge(a, b), weight, *a[DECAY:]]
    before = list(a)
    fields = [*operation.merge(a, b), weight, *a[DECAY:]]
    # Where b is empty, a only decays; where a is empty, the result is b.
    alone = [*before[: operation.fields], weight, *before[DECAY:]]
    alone[f] = b[DECAY] * before[f]
    if operation is MEAN:
        alone[0] = b[DECAY] * before[0] + 0.0
    alone[FAR] = before[FAR] + b[LOST]
    fields = [np.where(b[f] == 0, *pair) for pair in zip(alone, fields, strict=True)]
    only = [*b[: operation.fields], weight, before[DECAY], b[FAR], b[NEAR], before[LOST]]
    state = [np.where(before[f] == 0, *pair) for pair in zip(only, fields, strict=True)]
    settle(operation, state)
    return state


# ---- results


def finish_var(state: State) -> Array:
    return np.where(state[3] > 0, state[2] / state[3] + (state[1] - state[1]), np.nan)


def finish_cov(state: State) -> Array:
    spoilt = (state[1] - state[1]) + (state[2] - state[2])
    return np.where(state[4] > 0, state[3] / state[4] + spoilt, np.nan)


def finish_corr(state: State) -> Array:
    spoilt = (state[1] - state[1]) + (state[2] - state[2])
    value = state[3] / (np.sqrt(state[4]) * np.sqrt(state[5])) + spoilt
    exact = np.logical_and.reduce([(v >= 2.0**-1000) & (v <= 2.0**1020) for v in state[4:6]])
    return np.where(exact, np.clip(value, -1.0, 1.0), np.nan)


@dataclass(frozen=True)
class Operation:
    """A kernel: what is known of a series up to an element, and how that becomes a value."""

    fields: int
    step: Callable[[list[Array], Array, Array, State], None]
    merge: Callable[[State, State], list[Array]]
    finish: Callable[[State], Array]
    count: int | None = None  # the field that must not underflow; counts and sums may decay to 0


def row_of(x: Array, row: int, begin: int, end: int, leaf: int, leaves: int, rest: float) -> Array:
    """Elements `row` of each leaf; `rest` where the last leaf ends before."""
    values = np.full((x.shape[0], leaves, x.shape[2]), rest)
    found = x[:, begin + row : end : leaf]
    values[:, : found.shape[1]] = found
    return values


def walk(
    operation: Operation, inputs: tuple[Array, ...], alpha: Array, begin: int, end: int, leaf: int, state: State
) -> Iterator[tuple[int, State]]:
    """Yield the state after each row of the leaves of elements begin..end; arrays are (lines, n, columns)."""
    leaves = -(-(end - begin) // leaf)
    for row in range(min(leaf, end - begin)):
        given = [row_of(x, row, begin, end, leaf, leaves, np.nan) for x in inputs]
        weights = row_of(alpha, row, begin, end, leaf, leaves, 0.0)
        here = np.logical_and.reduce([values == values for values in given])
        decay = 1 - weights
        forget(operation, state, decay == 0)
        operation.step(given, here, decay, state)
        state[WEIGHT] = decay * state[WEIGHT] + np.where(here, weights, 0.0)
        state[DECAY] = decay * state[DECAY]
        settle(operation, state)
        yield row, state


def product_error(a: float, b: float, product: float) -> float:
    """The rounding error of a product (Dekker, 1971)."""
    c, d = SPLIT * a, SPLIT * b
    a_high, b_high = c - (c - a), d - (d - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def powers_of(alpha: float) -> list[float]:
    """The first four powers of 1 - alpha, which is not 0, each rounded once."""
    powers = [1 - alpha]
    rests = [(1 - powers[0]) - alpha]
    for k in range(1, 4):
        a = k // 2
        b = k - a - 1
        product = powers[a] * powers[b]
        error = product_error(powers[a], powers[b], product) + (powers[a] * rests[b] + rests[a] * powers[b])
        powers.append(product + error)
        rests.append(error - (powers[k] - product))
    return powers


def sums_of_four(rows: list[Array], powers: list[float], before: Array) -> list[Array]:
    """Decaying sums up to each of four rows: first of neighbours, then of pairs, then with the sum before."""
    zero = np.zeros_like(before)
    d, d2, _, _ = powers
    pairs = [row + d * other for row, other in zip(rows, [zero, *rows], strict=False)]
    sums = [pair + d2 * other for pair, other in zip(pairs, [zero, zero, *pairs], strict=False)]
    return [total + power * before for total, power in zip(sums, powers, strict=True)]


def walk_decays(
    operation: Operation, x: Array, alpha: float, begin: int, end: int, leaf: int, state: State
) -> Iterator[tuple[int, State]]:
    """Yield the state after each row for counts, sums and means of one alpha, four rows at a time, without weights."""
    leaves = -(-(end - begin) // leaf)
    powers, length, decay = powers_of(alpha), min(leaf, end - begin), 1 - alpha
    for first in range(0, length, 4):
        rows = [row_of(x, row, begin, end, leaf, leaves, np.nan) for row in range(first, first + 4)]
        here = [(row == row).astype(np.float64) for row in rows]
        present = [np.where(row == row, row, 0.0) for row in rows]
        seen = list(accumulate(here, np.maximum))
        asleep = (
            []
            if operation is not MEAN or not state[FAR].any()
            else [sums_of_four([np.zeros_like(row) for row in rows], powers, known) for known in state[:2]]
        )
        if asleep:
            far = np.where(seen[3] > 0, state[FAR], 0.0)
            state[:2] = [lowered(known, far) for known in state[:2]]
            state[FAR] = state[FAR] - far
        fields = [sums_of_four(here if operation is COUNT else present, powers, state[0])]
        if operation is MEAN:
            fields.append(sums_of_four(here, powers, state[1]))
        elif operation is SUM:
            fields.append(list(accumulate([state[1], *here], np.maximum))[1:])
        for row in range(first, min(first + 4, length)):
            i = row - first
            state[: len(fields)] = [field[i] for field in fields]
            for f, before in enumerate(asleep):
                # Up to the first element among the four, a mean stays what it was.
                state[f] = np.where(seen[i] > 0, state[f], before[i])
            state[DECAY] = decay * state[DECAY]
            yield row, state
        state[: len(fields)] = [field[3] for field in fields]
        settle(operation, state)


def of_chunk(x: Array, positions: tuple[Any, ...], columns: slice) -> Array:
    return np.asarray(x[(*positions, slice(None), columns)])


def scan(
    operation: Operation,
    inputs: tuple[Array, ...],
    states: Array | None,
    leaf: int,
    least: float,
    decays: int,
    cursor: Array,
    out: Array,
) -> int:
    *inputs_, alpha = inputs
    n = out.shape[-2]
    for positions, begin, end, columns in claimed(out.shape, cursor):
        given = tuple(of_chunk(x, positions, columns) for x in inputs_)
        leaves = -(-(end - begin) // leaf)
        shape = (given[0].shape[0], leaves, given[0].shape[2])
        state = [np.zeros(shape) for _ in range(operation.fields + MORE)]
        if states is not None:
            first = begin // leaf
            lines = np.ravel_multi_index(positions, out.shape[:-2])
            state = [known[lines, first : first + leaves, columns] for known in states]
        values = np.empty((shape[0], end - begin, shape[2]))
        with np.errstate(all="ignore"):
            if decays:
                steps = walk_decays(operation, given[0], float(alpha.flat[0]), begin, end, leaf, state)
            else:
                steps = walk(operation, given, of_chunk(alpha, positions, columns), begin, end, leaf, state)
            for row, known in steps:
                value = operation.finish(known)
                if least > 0:
                    value = np.where(known[WEIGHT] >= least, value, np.nan)
                rows = slice(row, end - begin, leaf)
                values[:, rows] = value[:, : values[:, rows].shape[1]]
            if states is not None:
                for field, after in zip(states, state, strict=True):
                    field[lines, first : first + leaves, columns] = after
            out[(*positions, slice(begin, min(end, n)), columns)] = values
    return 0


def sums_of_products(operation: Operation, x: Array, alpha: float, leaf: int) -> State:
    """The states at the ends of whole leaves of lines, where alpha is one number and weights are not asked for."""
    d = 1 - alpha
    factors, exact, exponents = np.empty(leaf), np.empty(leaf), np.empty(leaf)
    here, product, exponent = 1.0, 1.0, 0
    for i in reversed(range(leaf)):
        factors[i], exact[i], exponents[i] = here, product, exponent
        here = here * d if here * d >= TINY else 0.0
        product = product * d
        if product < LEAST:
            product, exponent = product / LEAST, exponent + 128
    rows = x[:, : x.shape[1] // leaf * leaf].astype(np.float64).reshape(len(x), -1, leaf // SUMS, SUMS)
    present = rows == rows

    def sums(factors: Array, low: Array | None) -> list[Array]:
        values = [np.where(present, rows, 0.0) * factors, present * factors]
        values = values if low is None else [lowered(value, low) for value in values]
        return [add_lanes(np.where(present, value, 0.0)) for value in values]

    with np.errstate(all="ignore"):
        total, count = sums(factors.reshape(leaf // SUMS, SUMS), None)
        far = np.zeros_like(count)
        again = (total != total) | (count < LOW)
        if again.any():
            # By factors that have exponents, relative to that of the last element.
            last = leaf - 1 - present.reshape(*present.shape[:2], leaf)[..., ::-1].argmax(-1)
            of_last = exponents[last]
            low = np.maximum(exponents.reshape(leaf // SUMS, SUMS) - of_last[..., None, None], 0.0)
            totals, counts = sums(exact.reshape(leaf // SUMS, SUMS), low)
            digits, shift = split(counts)
            settles = again & (counts > 0)
            far = np.where(settles, of_last - shift, 0.0)
            total = np.where(settles, np.ldexp(totals, -shift), np.where(again, totals, total))
            count = np.where(settles, digits, np.where(again, counts, count))
    digits_, shift_ = split(product) if product < LOW else (product, 0)
    decay, lost = np.full_like(count, digits_), np.full_like(count, exponent - shift_)
    zero = np.zeros_like(count)
    if operation is COUNT:
        return [lowered(count, far), zero, decay, zero, zero, lost]
    if operation is SUM:
        return [lowered(total, far), (count > 0).astype(np.float64), zero, decay, zero, zero, lost]
    return [total, count, zero, decay, far, zero, lost]


def add_lanes(rows: Array) -> Array:
    """Add rows of 32 lanes (axis 2) in order, then their lanes in halves."""
    total = np.zeros_like(rows[:, :, 0])
    for row in range(rows.shape[2]):
        total = total + rows[:, :, row]
    while total.shape[-1] > 1:
        half = total.shape[-1] // 2
        total = total[..., :half] + total[..., half:]
    return total[..., 0]


def ends(
    operation: Operation, inputs: tuple[Array, ...], leaf: int, decays: int, cursor: Array, states: tuple[Array, ...]
) -> int:
    *inputs_, alpha = inputs
    shape, n = inputs_[0].shape, inputs_[0].shape[-2]
    for positions, begin, end, columns in claimed((*shape[:-2], states[0].shape[-2], shape[-1]), cursor):
        given = tuple(of_chunk(x, positions, columns) for x in inputs_)
        lines = np.ravel_multi_index(positions, shape[:-2])
        if decays and shape[-1] == 1:
            known = sums_of_products(operation, given[0][:, begin * leaf : end * leaf, 0], float(alpha.flat[0]), leaf)
            for field, value in zip(states, known, strict=True):
                field[lines, begin:end, 0] = 0
                field[lines, begin : begin + value.shape[-1], 0] = value
            continue
        size = (given[0].shape[0], end - begin, given[0].shape[2])
        state = [np.zeros(size) for _ in range(operation.fields + MORE)]
        state[DECAY] = np.ones(size)
        with np.errstate(all="ignore"):
            stop = min(end * leaf, n)
            if decays:
                steps = walk_decays(operation, given[0], float(alpha.flat[0]), begin * leaf, stop, leaf, state)
            else:
                steps = walk(operation, given, of_chunk(alpha, positions, columns), begin * leaf, stop, leaf, state)
            for _ in steps:
                pass
        for field, value in zip(states, state, strict=True):
            field[lines, begin:end, columns] = value
    return 0


def fold(operation: Operation, states: tuple[Array, ...]) -> int:
    """The states at the ends of leaves (axis 1) become those before them."""
    known = [np.zeros_like(field[:, 0]) for field in states]
    with np.errstate(all="ignore"):
        for leaf in range(states[0].shape[1]):
            here = [field[:, leaf].copy() for field in states]
            for field, value in zip(states, known, strict=True):
                field[:, leaf] = value
            known = merge(operation, known, here)
    return 0


COUNT = Operation(1, step_count, add_up, lambda state: state[0])
SUM = Operation(2, step_sum, add_seen, lambda state: np.where(state[1] > 0, state[0], np.nan))
MEAN = Operation(2, step_mean, merge_mean, lambda state: np.asarray(state[0] / state[1]), 1)
VAR = Operation(4, step_var, merge_moments, finish_var, 0)
STD = Operation(4, step_var, merge_moments, lambda state: np.sqrt(finish_var(state)), 0)
COV = Operation(5, step_cov, merge_moments, finish_cov, 0)
CORR = Operation(6, step_corr, merge_moments, finish_corr, 0)


def move_exp_nancount(
    a: Array, alpha: Array, states: Array | None, leaf: int, min_weight: float, decays: int, cursor: Array, out: Array
) -> int:
    return scan(COUNT, (a, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nancount(
    a: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(COUNT, (a, alpha), leaf, decays, cursor, states)


def fold_move_exp_nancount(*states: Array) -> int:
    return fold(COUNT, states)


def move_exp_nansum(
    a: Array, alpha: Array, states: Array | None, leaf: int, min_weight: float, decays: int, cursor: Array, out: Array
) -> int:
    return scan(SUM, (a, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nansum(
    a: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(SUM, (a, alpha), leaf, decays, cursor, states)


def fold_move_exp_nansum(*states: Array) -> int:
    return fold(SUM, states)


def move_exp_nanmean(
    a: Array, alpha: Array, states: Array | None, leaf: int, min_weight: float, decays: int, cursor: Array, out: Array
) -> int:
    return scan(MEAN, (a, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nanmean(
    a: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(MEAN, (a, alpha), leaf, decays, cursor, states)


def fold_move_exp_nanmean(*states: Array) -> int:
    return fold(MEAN, states)


def move_exp_nanvar(
    a: Array, alpha: Array, states: Array | None, leaf: int, min_weight: float, decays: int, cursor: Array, out: Array
) -> int:
    return scan(VAR, (a, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nanvar(
    a: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(VAR, (a, alpha), leaf, decays, cursor, states)


def fold_move_exp_nanvar(*states: Array) -> int:
    return fold(VAR, states)


def move_exp_nanstd(
    a: Array, alpha: Array, states: Array | None, leaf: int, min_weight: float, decays: int, cursor: Array, out: Array
) -> int:
    return scan(STD, (a, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nanstd(
    a: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(STD, (a, alpha), leaf, decays, cursor, states)


def fold_move_exp_nanstd(*states: Array) -> int:
    return fold(STD, states)


def move_exp_nancov(
    a: Array,
    b: Array,
    alpha: Array,
    states: Array | None,
    leaf: int,
    min_weight: float,
    decays: int,
    cursor: Array,
    out: Array,
) -> int:
    return scan(COV, (a, b, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nancov(
    a: Array, b: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(COV, (a, b, alpha), leaf, decays, cursor, states)


def fold_move_exp_nancov(*states: Array) -> int:
    return fold(COV, states)


def move_exp_nancorr(
    a: Array,
    b: Array,
    alpha: Array,
    states: Array | None,
    leaf: int,
    min_weight: float,
    decays: int,
    cursor: Array,
    out: Array,
) -> int:
    return scan(CORR, (a, b, alpha), states, leaf, min_weight, decays, cursor, out)


def ends_move_exp_nancorr(
    a: Array, b: Array, alpha: Array, leaf: int, min_weight: float, decays: int, cursor: Array, *states: Array
) -> int:
    return ends(CORR, (a, b, alpha), leaf, decays, cursor, states)


def fold_move_exp_nancorr(*states: Array) -> int:
    return fold(CORR, states)
