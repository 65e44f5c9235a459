"""The reference: lists of all public names, those of functions of arrays from the registry.

python docs/reference.py        # prints the page
python docs/reference.py --write
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from allcores._engine.registry import FUNCTIONS, KERNELS, REALS, Function

PAGE = Path(__file__).with_name("reference.rst")

HEAD = """\
API reference
=============

.. Written by reference.py from the registry of functions.

.. currentmodule:: allcores

Every function that computes takes ``workers=``. Inputs are what :func:`numpy.asarray` takes: arrays in any layout,
lists, pandas and xarray objects; results are arrays or NumPy scalars.
"""

# What is not a function of arrays.
OTHERS = {
    "Your own function": (
        *("map_blocks", "map_overlap", "reduction", "apply_along_axis", "blocks.BlockFailure"),
        *("submit", "background.BackgroundFuture"),
    ),
    "Processes and clusters": (
        *("futures.ProcessPoolExecutor", "share", "shared_empty", "set_executor"),
        *("futures.cluster.RayExecutor", "futures.cluster.transfer_stats"),
    ),
    "What is not in memory": ("open", "register_source", "Source", "set_memory_budget", "get_memory_budget"),
    "Settings": ("set_workers", "get_workers", "show_config"),
}
REMARKS = {
    "Processes and clusters": """\
``allcores.futures.BrokenProcessPool`` is the standard library's, raised when a worker has died.""",
    "Settings": """\
Every function that computes is in ``allcores.fallback``, too: in pure Python over NumPy, with the same bits.""",
}

KINDS = {"?": "bool", **dict.fromkeys("bhilqBHILQ", "integers"), "f": "float32", "d": "float64"}


def section(title: str, names: tuple[str, ...]) -> Iterator[str]:
    yield from ("", title, "-" * len(title), "", ".. autosummary::", "   :nosignatures:", "   :toctree: generated", "")
    yield from (f"   {name}" for name in names)
    if title in REMARKS:
        yield from ("", REMARKS[title])


def compiled(row: Function) -> str:
    """The dtypes of a function's kernel, in words; what skips NaN may have another one for what has none."""
    kernel = KERNELS[row.kernel]
    cells = REALS if getattr(kernel, "plain", "") else kernel.cells
    return ", ".join(dict.fromkeys(KINDS[char] for char in REALS if char in cells))


def table() -> Iterator[str]:
    title = "What is elsewhere, what is compiled"
    yield from ("", title, "-" * len(title), "")
    yield "Other dtypes get NumPy's answer, by NumPy. Everything runs on threads; where it says so, also on an"
    yield "executor, and on arrays that are not in memory, which are read piece by piece."
    yield from ("", ".. list-table::", "   :header-rows: 1", "")
    yield from ("   * - function", "     - as", "     - compiled for", "     - executor", "     - not in memory")
    for row in FUNCTIONS.values():
        yield f"   * - :func:`{row.name}`"
        yield f"     - {row.equivalent}".rstrip()
        yield f"     - {compiled(row)}"
        yield from (f"     - {'yes' if there else ''}".rstrip() for there in (row.executor, row.lazy))


def page() -> str:
    sections: dict[str, tuple[str, ...]] = {}
    for row in FUNCTIONS.values():
        sections[row.section] = (*sections.get(row.section, ()), row.name)
    lines = [HEAD.rstrip("\n")]
    for title, names in {**sections, **OTHERS}.items():
        lines += section(title, names)
    return "\n".join([*lines, *table()]) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
