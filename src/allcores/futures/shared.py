"""Arrays that all processes share: `share` and `shared_empty`.

    share(x)                                        a worker, anywhere
    --------                                        ------------------
    Segment (memfd)  <---- /proc/<pid>/fd/<n> ----  Handle, offset, shape, strides
       |                                               |
    mapping                                         mapping, the same pages, and a descriptor of its own
       |                                               |
    owner: ndarray of bytes, known to `_owners`     owner, known there too
       |                                               |
    the array, its views                            the array, its views

The arrays are plain ndarrays. What is known of a segment hangs on the one array of bytes that all views keep alive:
when the last of them dies, so does the owner, and its weak reference closes the segment. A pickler asks `find` whether
an array lies in shared memory, and sends a handle instead of the data. `find` looks at the address, since not every
view leads to what it is a view of: those that ctypes and DLPack make do not.

Every process that has mapped a segment keeps it open and hands it on in its own name, whoever has made it and whether
that process is still there. What a worker returns goes by its descriptor: the worker may end before it is looked at.

This module knows no pools.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._engine.imports import importing

if TYPE_CHECKING:
    from .segments import AnyHandle, AnySegment

Array = NDArray[Any]
Scalar = TypeVar("Scalar", bound=np.generic)


class Unreachable(PermissionError):
    """An array in shared memory that this process can't map."""


class Shared(NamedTuple):
    """An owner, where it lies, and its segment."""

    reference: weakref.ref[Array]
    begin: int
    end: int
    segment: AnySegment

    @property
    def handle(self) -> AnyHandle:
        """What another process maps the segment by, for as long as this one has it."""
        if not self.segment.is_open:
            raise Unreachable(
                "a shared array can't be handed on: its file descriptor was closed, as daemons do with all they have"
            )
        return self.segment.handle


# By the address at which the owner begins; the weak reference's callback removes it, before the memory is unmapped.
# And owners by the token of their segment.
_owners: dict[int, Shared] = {}
_by_token: weakref.WeakValueDictionary[bytes, Array] = weakref.WeakValueDictionary()
_lock = threading.RLock()


def _new_lock() -> None:
    """In a forked child, where the lock may have been copied while it was held."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _own(segment: AnySegment) -> Array:
    """The array of bytes at the root of all views of a segment."""
    owner = np.frombuffer(segment.mapping, np.uint8)
    begin, owners = address(owner), _owners  # at exit, when the last arrays die, this module's names may be gone

    def forget(_: object) -> None:
        known = owners.pop(begin, None)
        if known is not None:
            known.segment.close()

    _owners[begin] = Shared(weakref.ref(owner, forget), begin, begin + owner.nbytes, segment)
    _by_token[segment.token] = owner
    return owner


class Found(NamedTuple):
    """Where an array lies in shared memory."""

    owner: Array  # lives as long as this does
    known: Shared
    offset: int


def is_private(array: Array) -> bool:
    """Whether an array lies in memory that NumPy has allocated, as most do."""
    root: Any = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    return bool(root.flags.owndata)


def find(array: Array) -> Found | None:
    """Where an array lies; None where that is not shared memory."""
    if is_private(array):
        return None
    at = address(array if type(array) is np.ndarray else np.ndarray.view(array, np.ndarray))
    last = at + (array.nbytes > 0)  # an array without elements may lie at the end
    for known in list(_owners.values()):
        if known.begin <= at and last <= known.end:
            owner = known.reference()
            if owner is not None:
                return Found(owner, known, at - known.begin)
    return None


def attach(handle: AnyHandle, segment: AnySegment | None = None) -> Array:
    """The owner of a segment in this process; mapped here unless it already is. `segment`: it has come along."""
    with importing:
        from .segments import Refused, open_segment

    with _lock:
        owner = _by_token.get(handle.token)
        if owner is not None:
            return owner
        try:
            return _own(segment or open_segment(handle))
        except (Refused, OSError) as error:
            # A copy would lose what is written to it.
            raise Unreachable(f"a shared array can't be mapped here: {error}") from None


def view(
    handle: AnyHandle,
    offset: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    writable: bool,
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
    owner = _own(create(HEADER + size))
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
