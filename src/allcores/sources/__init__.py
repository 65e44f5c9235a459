"""Arrays that are not in memory: files of .npy, zarr and HDF5, and what you register.

    ac.nanmean(ac.open("data.npy"), axis=0)          parts are read by the workers, few are in memory at a time
    ac.nanmean(zarr.open_array("data.zarr"))         zarr arrays and HDF5 datasets as they are

zarr and h5py are imported where they are needed (extras ``zarr`` and ``hdf5``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._engine import sources
from .._engine.imports import importing
from .._engine.inputs import elements
from .._engine.sources import InMemory, Rechunked, Source
from . import files

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Source", "open", "register_source"]

Kind = TypeVar("Kind")


def open(source: Any, name: str | None = None, *, chunks: Sequence[int] | None = None) -> Source:
    """Open an array that is not to be loaded into memory.

    Parameters
    ----------
    source : str, path or array
        A file of .npy, .h5 or .hdf5, or a directory of .zarr; or an object that is one already: a zarr array, an HDF5
        dataset, an array in memory (for `chunks`), whatever is registered.
    name : str, optional
        Which array of a group, as a path within it. Not needed where there is only one.
    chunks : sequence of int, optional
        The shape of the parts that are reduced one by one; by default what is stored together. The order of operations
        follows them: arrays of the same values give the same bits where `chunks` are the same, wherever they are
        stored.

    Returns
    -------
    Source
        It has a ``shape``, a ``dtype`` and ``chunks``. Reductions and `map_blocks` and its kin read their parts when
        they are needed; ``source[10:20]`` reads a part at once, and `numpy.asarray` all of it, if that is within the
        memory budget.

    Raises
    ------
    ValueError
        If the format is not known, `name` does not name an array, or `chunks` do not fit the shape.
    TypeError
        If `source` is a masked array, or a kind of ndarray that gives its elements a meaning, such as a unit.
    OSError
        If the file can't be read, or is too short. A part that can't be read is named in the message.

    See Also
    --------
    allcores.set_memory_budget : How much is in memory at a time.
    allcores.register_source : Other kinds of storage.

    Notes
    -----
    A .npy file, and a contiguous HDF5 dataset in a file that is open for reading only, gives the bits that the same
    array in memory gives: it is read in pieces of 4 MiB that are aligned to the order of operations. Arrays stored in
    chunks are reduced chunk by chunk (several small ones together), and the partial results are folded in a fixed
    tree. That is the order of an array in memory where chunks have a power of two of leaves along the reduced axis: of
    4096 elements along the last axis, of 32 rows along others.

    Memory: of each worker one piece and what reading it takes, for instance the decompressed chunks.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> path = getfixture("tmp_path") / "x.npy"
    >>> np.save(path, np.arange(1_000_000.0))
    >>> x = ac.open(path)
    >>> x.shape, ac.mean(x), x[10:13]
    ((1000000,), np.float64(499999.5), array([10., 11., 12.]))
    """
    found = sources.as_source(source)
    if found is None:
        if isinstance(source, np.ndarray):
            if isinstance(source, np.ma.MaskedArray):
                raise TypeError("source is a masked array, whose mask would be lost: give its filled()")
            found = InMemory(elements("source", source), None)
        elif isinstance(source, (str, os.PathLike)):
            found = open_path(os.fsdecode(source), name)
        else:
            raise TypeError(f"source must be a path or an array, not {type(source).__name__}")
    elif name is not None:
        raise ValueError("name is for arrays of a file")
    return found if chunks is None else rechunked(found, chunks)


def rechunked(source: Source, chunks: Sequence[int]) -> Source:
    sizes = tuple(int(chunk) for chunk in chunks)
    if len(sizes) != source.ndim or any(size < 1 for size in sizes):
        raise ValueError(f"chunks must have a positive length for each of {source.ndim} axes, got {tuple(chunks)}")
    return Rechunked(source, sizes)


def open_path(path: str, name: str | None) -> Source:
    """Paths are absolute from here on: a source may be read when the current directory is another one."""
    extension = os.path.splitext(path.rstrip("/\\"))[1].lower()
    path = os.path.abspath(path)
    if extension == ".npy":
        if name is not None:
            raise ValueError("name is for arrays of a group: a .npy file has one array")
        return files.open_npy(path)
    if extension == ".zarr":
        with importing:
            from . import zarrs

        return zarrs.open_path(path, name)
    if extension in (".h5", ".hdf5"):
        with importing:
            from . import hdf5

        return hdf5.open_path(path, name)
    raise ValueError(f"{path}: the format is known by the extension: .npy, .zarr, .h5 or .hdf5")


def register_source(kind: type[Kind], adapter: Callable[[Kind], Source]) -> None:
    """Say how objects of a type are read part by part.

    Parameters
    ----------
    kind : type
        Instances of it, and of its subclasses, are lazy sources from then on. Not ndarray.
    adapter : callable
        Called with such an object, it returns a `Source`: a subclass that sets ``name``, ``shape``, ``dtype`` (in
        native byte order, unless it has fields) and ``chunks`` (or None), and defines ``read(region)``;
        ``write(region, values)`` too if it can be an `out`. Several threads read at a time.

    Raises
    ------
    TypeError
        If `kind` is no type, or a kind of ndarray: NumPy's meaning of those stays.

    Notes
    -----
    There is no duck typing on purpose: what looks like an array may have a mask, units or labels, which would be lost.

    Examples
    --------
    >>> import numpy as np
    >>> import allcores as ac
    >>> class Squares:
    ...     def __init__(self, n):
    ...         self.n = n
    >>> class SquaresSource(ac.Source):
    ...     def __init__(self, squares):
    ...         self.name, self.shape, self.dtype = "squares", (squares.n,), np.dtype(float)
    ...         self.chunks = (4096,)
    ...     def read(self, region):
    ...         return np.arange(region[0].start, region[0].stop, dtype=float) ** 2
    >>> ac.register_source(Squares, SquaresSource)
    >>> ac.sum(Squares(1_000_000))
    np.float64(3.333328333335e+17)
    """
    if not isinstance(kind, type):
        raise TypeError(f"kind must be a type, got {kind!r}")
    if issubclass(kind, np.ndarray):
        raise TypeError(f"kind must not be a subclass of ndarray, which {kind.__name__} is")
    if not callable(adapter):
        raise TypeError(f"adapter must be callable, got {adapter!r}")
    sources.register(kind, adapter)


def _of_zarr(array: Any) -> Source:
    with importing:
        from . import zarrs

    return zarrs.Zarr(array)


def _of_hdf5(dataset: Any) -> Source:
    with importing:
        from . import hdf5

    return hdf5.of_dataset(dataset)


def _of_nothing(empty: Any) -> Source:
    return InMemory(np.empty(0, empty.dtype), None)


sources.know("zarr", "Array", _of_zarr)
sources.know("h5py", "Dataset", _of_hdf5)
sources.know("h5py", "Empty", _of_nothing)
