"""Integers in the order of elements, NaN the greatest: `to_keys` makes both zeros equal, `keys_of` tells them apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from .common import Array, truths


def key_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of keys: int32 for elements of up to four bytes, else int64."""
    return np.dtype(np.int64 if dtype.itemsize == 8 else np.int32)


def to_keys(v: Array) -> Array:
    keys = key_dtype(v.dtype)
    info = np.iinfo(keys)
    if v.dtype.kind == "f":
        bits = (v + v.dtype.type(0)).view(keys)
        bits = bits ^ ((bits >> (8 * keys.itemsize - 1)) & info.max)
        return np.where(v == v, bits, info.max).astype(keys, copy=False)
    if v.dtype.kind == "u" and v.dtype.itemsize == keys.itemsize:
        return v.view(keys) ^ info.min
    return truths(v).astype(keys)


def from_keys(keys: Array, dtype: np.dtype[Any]) -> Array:
    """The elements that have these keys; the largest key is that of NaN."""
    info = np.iinfo(keys.dtype)
    if dtype.kind == "f":
        return np.asarray((keys ^ ((keys >> (8 * dtype.itemsize - 1)) & info.max)).view(dtype))
    if dtype.kind == "u" and dtype.itemsize == keys.dtype.itemsize:
        return np.asarray((keys ^ info.min).view(dtype))
    values: Array = keys.astype(dtype)
    return values


def reversed_order(keys: Array, dtype: np.dtype[Any], backwards: int) -> Array:
    """Keys for descending order, if `backwards`: but NaN comes last in any case."""
    if not backwards:
        return keys
    top = np.iinfo(keys.dtype).max
    return np.where((keys == top) & (dtype.kind == "f"), top, ~keys).astype(keys.dtype, copy=False)


def keys_of(a: Array) -> Array:
    """Unsigned integers in the order of the elements: NaN is the greatest, -0.0 comes just before 0.0."""
    word = np.dtype(np.uint64 if a.dtype.itemsize == 8 else np.uint32)
    if a.dtype.kind == "f":
        bits = a.view(word)
        top = word.type(1) << word.type(8 * word.itemsize - 1)
        keys: Array = np.where(bits & top, ~bits, bits | top)
        keys[a != a] = ~word.type(0)
        return keys
    if a.dtype.kind == "i":
        wide = a.astype(np.int64 if word.itemsize == 8 else np.int32)
        top = word.type(1) << word.type(8 * word.itemsize - 1)
        ordered: Array = wide.view(word) ^ top
        return ordered
    return truths(a).astype(word)


def elements_of(keys: Array, dtype: np.dtype) -> Array:
    """The elements that have these keys: the reverse of `keys_of`."""
    top = keys.dtype.type(1) << keys.dtype.type(8 * keys.dtype.itemsize - 1)
    if dtype.kind == "f":
        return np.where(keys & top, keys ^ top, ~keys).view(dtype)
    if dtype.kind == "i":
        wide: Array = (keys ^ top).view(np.int64 if keys.dtype.itemsize == 8 else np.int32)
        return wide.astype(dtype)
    return keys.astype(dtype)


def evened(keys: Array, dtype: np.dtype) -> Array:
    """The keys, with that of -0.0 made equal to that of 0.0."""
    if dtype.kind != "f":
        return keys
    zero = keys.dtype.type(1) << keys.dtype.type(8 * keys.dtype.itemsize - 1)
    return np.where(keys == zero - 1, zero, keys)
