"""Exponentially weighted counts, sums, means and moments; the compiled twin is ext/scan.pyx, which explains them.

Lanes are arrays (lines, leaves, columns): whole series, or leaves of `leaf` elements. A state is a list of such arrays,
of which the last two are the weight and, in the first pass, the decay of a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from .drive import Array
from .window import claimed

State = list[Array]

TINY = float(np.finfo(np.float64).tiny)
SPLIT = float((1 << 27) + 1)  # halves the digits of a double
SUMS = 32  # partial sums of a leaf, of every 32nd element


# ---- a row of elements joins the states of its lanes


def join_mean(mean: Array, x: Array, u: Array) -> Array:
    """What is known no longer counts where u is 1: mean + (x - mean) would leave its rounding errors."""
    return np.where(u == 1, x, mean + (x - mean) * u)


def step_count(given: list[Array], here: Array, decay: Array, state: State) -> None:
    state[0] = decay * state[0] + here


def step_sum(given: list[Array], here: Array, decay: Array, state: State) -> None:
    state[0] = decay * state[0] + np.where(here, given[0], 0.0)
    state[1] = np.where(here, 1.0, state[1])


def step_mean(given: list[Array], here: Array, decay: Array, state: State) -> None:
    state[0] = decay * state[0] + np.where(here, given[0], 0.0)
    state[1] = decay * state[1] + here


def step_var(given: list[Array], here: Array, decay: Array, state: State) -> None:
    count, mean, v, r = state[:4]
    x = given[0]
    w = decay * count
    u = 1 / (w + 1)
    k = w * u
    d = x - mean
    state[0] = w + here
    state[1] = np.where(here, join_mean(mean, x, u), mean)
    state[2] = np.where(here, k * (v + d * d * u), v)
    state[3] = np.where(here, k * (k * r + 2 * u), r)


def step_cov(given: list[Array], here: Array, decay: Array, state: State) -> None:
    count, xm, ym, c, r = state[:5]
    x, y = given
    w = decay * count
    u = 1 / (w + 1)
    k = w * u
    state[0] = w + here
    state[1] = np.where(here, join_mean(xm, x, u), xm)
    state[2] = np.where(here, join_mean(ym, y, u), ym)
    state[3] = np.where(here, k * (c + (x - xm) * (y - ym) * u), c)
    state[4] = np.where(here, k * (k * r + 2 * u), r)


def step_corr(given: list[Array], here: Array, decay: Array, state: State) -> None:
    count, xm, ym, c, p, q = state[:6]
    x, y = given
    w = decay * count
    u = 1 / (w + 1)
    k = w * u
    dx, dy = x - xm, y - ym
    state[0] = w + here
    state[1] = np.where(here, join_mean(xm, x, u), xm)
    state[2] = np.where(here, join_mean(ym, y, u), ym)
    state[3] = np.where(here, k * (c + dx * dy * u), c)
    state[4] = np.where(here, k * (p + dx * dx * u), p)
    state[5] = np.where(here, k * (q + dy * dy * u), q)


# ---- one leaf after another: a, which then decays, before b


def add_up(a: State, b: State, decay: Array) -> State:
    return [decay * x + y for x, y in zip(a, b, strict=True)]


def add_seen(a: State, b: State, decay: Array) -> State:
    return [decay * a[0] + b[0], np.maximum(a[1], b[1])]


def shares(a: State, b: State, decay: Array) -> tuple[Array, Array, Array]:
    """Weights together, and the shares of b and a. Where there is no weight any more, what is relative to it stays."""
    w = decay * a[0]
    n = w + b[0]
    whole = np.where(n > 0, n, 1.0)
    return n, b[0] / whole, np.where(n > 0, w / whole, 1.0)


def merge_var(a: State, b: State, decay: Array) -> State:
    n, u, k = shares(a, b, decay)
    d = b[1] - a[1]
    return [
        n,
        join_mean(a[1], b[1], u),
        (k * a[2] + u * b[2]) + d * d * (k * u),
        (k * k * a[3] + u * u * b[3]) + 2 * (k * u),
    ]


def merge_pairs(a: State, b: State, decay: Array) -> State:
    n, u, k = shares(a, b, decay)
    d, e = b[1] - a[1], b[2] - a[2]
    known = [
        n,
        join_mean(a[1], b[1], u),
        join_mean(a[2], b[2], u),
        (k * a[3] + u * b[3]) + d * e * (k * u),
    ]
    if len(a) == 5:
        return [*known, (k * k * a[4] + u * u * b[4]) + 2 * (k * u)]
    return [*known, (k * a[4] + u * b[4]) + d * d * (k * u), (k * a[5] + u * b[5]) + e * e * (k * u)]


# ---- results


def finish_var(state: State) -> Array:
    return np.where(state[3] > 0, state[2] / state[3] + (state[1] - state[1]), np.nan)


def finish_cov(state: State) -> Array:
    spoilt = (state[1] - state[1]) + (state[2] - state[2])
    return np.where(state[4] > 0, state[3] / state[4] + spoilt, np.nan)


def finish_corr(state: State) -> Array:
    spoilt = (state[1] - state[1]) + (state[2] - state[2])
    value = state[3] / (np.sqrt(state[4]) * np.sqrt(state[5])) + spoilt
    return np.where((state[4] > 0) & (state[5] > 0), np.clip(value, -1.0, 1.0), np.nan)


@dataclass(frozen=True)
class Operation:
    """What is known of a series up to an element, and how it becomes a value."""

    fields: int
    step: Callable[[list[Array], Array, Array, State], None]
    merge: Callable[[State, State, Array], State]
    finish: Callable[[State], Array]


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
        operation.step(given, here, decay, state)
        state[-2] = decay * state[-2] + np.where(here, weights, 0.0)
        state[-1] = np.where((decay > 0) & (state[-1] > 0), np.maximum(decay * state[-1], TINY), 0.0)
        yield row, state


def product_error(a: float, b: float, product: float) -> float:
    """What rounding took from a product (Dekker, 1971)."""
    c, d = SPLIT * a, SPLIT * b
    a_high, b_high = c - (c - a), d - (d - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def powers_of(alpha: float) -> list[float]:
    """The first four of 1 - alpha, each rounded once. They don't underflow to 0: an infinity times 0 would be NaN."""
    powers = [1 - alpha]
    rests = [(1 - powers[0]) - alpha]
    for k in range(1, 4):
        a = k // 2
        b = k - a - 1
        product = powers[a] * powers[b]
        error = product_error(powers[a], powers[b], product) + (powers[a] * rests[b] + rests[a] * powers[b])
        powers.append(product + error)
        rests.append(error - (powers[k] - product))
    return [max(power, TINY) if powers[0] > 0 else 0.0 for power in powers]


def sums_of_four(rows: list[Array], powers: list[float], before: Array) -> list[Array]:
    """Decaying sums up to each of four rows: of neighbours, of pairs, then with what was before."""
    zero = np.zeros_like(before)
    d, d2, _, _ = powers
    pairs = [row + d * other for row, other in zip(rows, [zero, *rows], strict=False)]
    fours = [pair + d2 * other for pair, other in zip(pairs, [zero, zero, *pairs], strict=False)]
    return [four + power * before for four, power in zip(fours, powers, strict=True)]


def walk_decays(
    operation: Operation, x: Array, alpha: float, begin: int, end: int, leaf: int, state: State
) -> Iterator[tuple[int, State]]:
    """The same for counts, sums and means of one alpha, four rows at a time; weights are not asked for."""
    leaves = -(-(end - begin) // leaf)
    powers, length, decay = powers_of(alpha), min(leaf, end - begin), 1 - alpha
    for first in range(0, length, 4):
        rows = [row_of(x, row, begin, end, leaf, leaves, np.nan) for row in range(first, first + 4)]
        here = [(row == row).astype(np.float64) for row in rows]
        present = [np.where(row == row, row, 0.0) for row in rows]
        fields = [sums_of_four(here if operation is COUNT else present, powers, state[0])]
        if operation is MEAN:
            fields.append(sums_of_four(here, powers, state[1]))
        elif operation is SUM:
            fields.append(list(accumulate([state[1], *here], np.maximum))[1:])
        for row in range(first, min(first + 4, length)):
            state[: len(fields)] = [field[row - first] for field in fields]
            state[-1] = np.where((decay > 0) & (state[-1] > 0), np.maximum(decay * state[-1], TINY), 0.0)
            yield row, state
        state[: len(fields)] = [field[3] for field in fields]


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
        state = [np.zeros(shape) for _ in range(operation.fields)] + [np.zeros(shape), np.ones(shape)]
        if states is not None:
            first = begin // leaf
            lines = np.ravel_multi_index(positions, out.shape[:-2])
            for f, known in enumerate(states[: operation.fields + 1]):
                state[f] = known[lines, first : first + leaves, columns]
        values = np.empty((shape[0], end - begin, shape[2]))
        with np.errstate(all="ignore"):
            if decays:
                steps = walk_decays(operation, given[0], float(alpha.flat[0]), begin, end, leaf, state)
            else:
                steps = walk(operation, given, of_chunk(alpha, positions, columns), begin, end, leaf, state)
            for row, known in steps:
                value = operation.finish(known)
                if least > 0:
                    value = np.where(known[-2] >= least, value, np.nan)
                rows = slice(row, end - begin, leaf)
                values[:, rows] = value[:, : values[:, rows].shape[1]]
            out[(*positions, slice(begin, min(end, n)), columns)] = values
    return 0


def sums_of_products(operation: Operation, x: Array, alpha: float, leaf: int) -> State:
    """The states at the ends of whole leaves of lines, where alpha is one number and weights are not asked for."""
    d = 1 - alpha
    factors, product = np.empty(leaf), 1.0
    for i in reversed(range(leaf)):
        factors[i] = product
        product = max(product * d, TINY) if d > 0 else 0.0
    rows = x[:, : x.shape[1] // leaf * leaf].astype(np.float64).reshape(len(x), -1, leaf // SUMS, SUMS)
    weights = factors.reshape(leaf // SUMS, SUMS)
    here = rows == rows
    with np.errstate(all="ignore"):
        total = add_lanes(np.where(here, rows * weights, 0.0))
    count = add_lanes(np.where(here, weights, 0.0))
    decay, weight = np.full_like(count, product), np.zeros_like(count)
    if operation is COUNT:
        return [count, weight, decay]
    return [total, count if operation is MEAN else (count > 0).astype(np.float64), weight, decay]


def add_lanes(rows: Array) -> Array:
    """Rows of 32 (axis 2) in order, then their lanes in halves."""
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
        state = [np.zeros(size) for _ in range(operation.fields + 1)] + [np.ones(size)]
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
            decay = here[-1]
            known = [
                *operation.merge(known[:-2], here[:-2], decay),
                decay * known[-2] + here[-2],
                known[-1],
            ]
    return 0


COUNT = Operation(1, step_count, add_up, lambda state: state[0])
SUM = Operation(2, step_sum, add_seen, lambda state: np.where(state[1] > 0, state[0], np.nan))
MEAN = Operation(2, step_mean, add_up, lambda state: np.asarray(state[0] / state[1]))
VAR = Operation(4, step_var, merge_var, finish_var)
STD = Operation(4, step_var, merge_var, lambda state: np.sqrt(finish_var(state)))
COV = Operation(5, step_cov, merge_pairs, finish_cov)
CORR = Operation(6, step_corr, merge_pairs, finish_corr)


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
