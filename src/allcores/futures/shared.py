"""Arrays that all processes share: `share` and `shared_empty`.

    share(x)                                        a worker, anywhere
    --------                                        ------------------
    Segment (memfd)  <---- /proc/<pid>/fd/<n> ----  Handle, offset, shape, strides
       |                                               |
    mapping                                         mapping, the same pages
       |                                               |
    owner: ndarray of bytes, known to `_owners`     owner, known there too
       |                                               |
    the array, its views                            the array, its views

The arrays are plain ndarrays. What is known of a segment hangs on the one array of bytes at the root of all views: when
the last of them dies, so does the owner, and its weak reference closes the segment. A pickler asks `find` whether an
array is a view of shared memory, and sends the handle instead of the data.

This module knows no pools.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]
Scalar = TypeVar("Scalar", bound=np.generic)


class Unreachable(PermissionError):
    """An array in shared memory that this process can't map."""


class Shared(NamedTuple):
    """An owner as others know it. `segment` is None where the memory belongs to another process."""

    reference: weakref.ref[Array]
    address: int
    handle: Any
    segment: Any


# By the id of the owner, which the weak reference's callback removes; and owners by the token of their segment.
_owners: dict[int, Shared] = {}
_by_token: weakref.WeakValueDictionary[bytes, Array] = weakref.WeakValueDictionary()
_lock = threading.RLock()
# A fork waits for imports under way, as in allcores._engine.later, which this floor does not know.
importing = threading.RLock()


def _new_lock() -> None:
    """In a forked child, where the lock may have been copied while it was held."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
    os.register_at_fork(before=importing.acquire, after_in_parent=importing.release, after_in_child=importing.release)


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _own(mapping: Any, handle: Any, segment: Any) -> Array:
    """The array of bytes at the root of all views of a mapping."""
    owner = np.frombuffer(mapping, np.uint8)
    key, owners = id(owner), _owners  # at exit, when the last arrays die, this module's names may be gone

    def forget(_: object) -> None:
        known = owners.pop(key, None)
        if known is not None and known.segment is not None:
            known.segment.close()

    _owners[key] = Shared(weakref.ref(owner, forget), address(owner), handle, segment)
    _by_token[handle.token] = owner
    return owner


def find(array: Array) -> tuple[Array, Shared] | None:
    """The owner of an array in shared memory, and what is known of it."""
    base: Any = array
    while base is not None:
        if isinstance(base, memoryview):
            base = base.obj
            continue
        if not isinstance(base, np.ndarray):
            return None
        known = _owners.get(id(base))
        if known is not None and known.reference() is base:
            return base, known
        base = base.base
    return None


def attach(handle: Any) -> Array:
    """The owner of a segment in this process; mapped here unless it already is."""
    with importing:
        from .segments import Refused, map_handle

    with _lock:
        owner = _by_token.get(handle.token)
        if owner is None:
            try:
                mapping = map_handle(handle, private=False)
            except Refused as error:
                # A copy would lose what is written to it.
                raise Unreachable(f"a shared array can't be mapped here: {error}") from None
            owner = _own(mapping, handle, None)
        return owner


def view(
    handle: Any, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...], writable: bool
) -> Array:
    """A view of a shared segment: what unpickling calls in another process."""
    result: Array = np.ndarray(shape, dtype, memoryview(attach(handle)), offset, strides)  # type: ignore[arg-type]
    if not writable:
        result.flags.writeable = False
    return result


def shared_empty(shape: int | tuple[int, ...], dtype: DTypeLike = float, order: str = "C") -> Array:
    """New array in memory that all processes share, filled with zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the array.
    dtype : dtype_like, default: float
        Any dtype without Python objects.
    order : {"C", "F"}, default: "C"
        Memory order, as in `numpy.empty`.

    Returns
    -------
    ndarray
        A plain array. The workers of every `allcores.futures.ProcessPoolExecutor` that it is sent to see the same
        memory and may write to it; so it is with views of it.

    Raises
    ------
    TypeError
        If `dtype` holds Python objects.
    OSError
        If there is no memory for it.

    See Also
    --------
    share : The same from an existing array.

    Notes
    -----
    The memory is freed with the last array that refers to it, in whatever process. A worker's write and another
    process's read are not ordered by anything but the end of a task.

    Examples
    --------
    >>> import allcores as ac
    >>> out = ac.shared_empty((2, 3))
    >>> out
    array([[0., 0., 0.],
           [0., 0., 0.]])
    """
    with importing:
        from .segments import HEADER, create

    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"arrays of {dtype} hold Python objects, which processes can't share")
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', got {order!r}")
    # NumPy checks the shape, without allocating anything.
    shape = np.broadcast_to(np.empty((), np.uint8), shape).shape
    size = dtype.itemsize
    for length in shape:
        size *= length
    segment = create(HEADER + size)
    owner = _own(segment.mapping, segment.handle, segment)
    return np.ndarray(shape, dtype, memoryview(owner), HEADER, order=order)  # type: ignore[arg-type]


@overload
def share(a: NDArray[Scalar]) -> NDArray[Scalar]: ...
@overload
def share(a: ArrayLike) -> Array: ...
def share(a: ArrayLike) -> Array:
    """Copy an array to memory that all processes share.

    Parameters
    ----------
    a : array_like
        Array of any dtype without Python objects. One that is in shared memory already is returned as it is.

    Returns
    -------
    ndarray
        A plain array with the same values, dtype, shape, and order of axes in memory. It is sent to the workers of
        every `allcores.futures.ProcessPoolExecutor` by handle, and so are its views: no data are copied, and all may
        write.

    Raises
    ------
    TypeError
        If the array holds Python objects, or is masked: share its ``data`` and its ``mask``.
    OSError
        If there is no memory for it.

    See Also
    --------
    shared_empty : The same without a copy.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> x = ac.share(np.arange(4.0))
    >>> x
    array([0., 1., 2., 3.])
    """
    ma = sys.modules.get("numpy.ma.core")  # there if `a` is of it; naming np.ma would import it
    if ma is not None and isinstance(a, getattr(ma, "MaskedArray", ())):
        raise TypeError("a masked array is two arrays: share its data and its mask")
    array = np.asarray(a)
    if find(array) is not None:
        return array
    # Axes in the order in which they lie in memory, and back again.
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    shared = shared_empty(tuple(array.shape[axis] for axis in axes), array.dtype).transpose(np.argsort(axes))
    shared[...] = array
    return shared
