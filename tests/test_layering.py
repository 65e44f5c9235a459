"""Imports point down only, every list agrees with every other, and importing does nothing else."""

from __future__ import annotations

import ast
import doctest
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    COMPILED,
    COMPUTING,
    FUNCTIONS,
    MOVES,
    SCANNED,
    SELECTED,
    SORTED,
    everyday,
    oracle,
    plain_call,
    python,
)

import allcores as ac
from allcores import (
    _kernels,
    background,
    blocks,
    config,
    fallback,
    quantiles,
    reductions,
    scans,
    selection,
    sorting,
    windows,
)
from allcores._engine import registry, settings
from allcores._engine.registry import REDUCTIONS, SCANS, SELECTIONS, SORTS, WINDOWS
from allcores._kernels import fallback as fallback_kernels
from allcores.futures import process, shared

PACKAGE = Path(ac.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def module_of(path: Path) -> str:
    parts = ("allcores", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [module_of(path) for path in FILES]


def imports(path: Path) -> set[str]:
    """The full names of what a file imports, wherever in it."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{name}.{alias.name}"
                found.add(full if full in MODULES else name if node.module else full)
    return found


FLOORS = ("allcores._kernels", "allcores._engine", "allcores._families")


def floor(name: str) -> int:
    """3: public modules, 2: families, 1: the engine, 0: kernels."""
    return next((number for number, package in enumerate(FLOORS) if name.startswith(package)), len(FLOORS))


@pytest.mark.parametrize("path", FILES, ids=MODULES)
def test_imports_point_down(path):
    here = module_of(path)
    for name in imports(path):
        # The package itself is only asked for its version, by tasks and configuration, inside functions.
        if name == "allcores.__version__" or not name.startswith("allcores"):
            continue
        assert floor(name) <= floor(here), f"{here} imports {name}"


def test_the_test_sees_imports():
    family = PACKAGE / "_families" / "reduction_passes.py"
    assert "allcores._kernels.common" in imports(family)
    assert "allcores._engine.execute" in imports(family)
    assert "allcores._families.reductions" in imports(PACKAGE / "reductions.py")


def test_kernels_import_nothing_of_ours():
    for path in (PACKAGE / "_kernels").rglob("*.py"):
        ours = {name for name in imports(path) if name.startswith("allcores")}
        assert all(name.startswith("allcores._kernels") for name in ours), (path, ours)


FUTURES = {path.stem: path for path in (PACKAGE / "futures").glob("*.py")}

# Who imports whom in futures/, from the bottom up: nothing that is not here.
FUTURES_IMPORTS = {
    "segments": {"named"},
    "named": set(),
    "portable": {"calls", "channel", "worker"},  # the latter for its types only
    "shared": {"segments"},
    "mapped": set(),
    "reducers": {"mapped", "shared"},
    "globals": set(),
    "pickling": {"globals", "reducers", "shared"},
    "channel": set(),
    "calls": {"channel", "worker"},  # the latter for its types only
    "store": {"pickling", "segments", "shared"},
    "blas": set(),
    "exceptions": {"pickling"},
    "cluster": {"exceptions", "pickling", "shared"},
    "release": {"pickling", "segments"},
    "signals": set(),
    "worker": {
        *("blas", "channel", "exceptions", "globals", "pickling", "release", "segments", "shared", "signals", "store")
    },
    "preload": {"signals", "worker"},
    "traffic": {"channel", "globals", "pickling", "segments", "shared", "store", "worker"},
    "manager": {"exceptions", "store", "traffic", "worker"},
    "process": {"calls", "channel", "manager", "pickling", "portable", "segments", "signals", "traffic", "worker"},
    "__init__": {"process", "shared"},
}


def test_floors_of_futures():
    """Segments and shared arrays know no pools; pools know settings of the engine, and how it imports."""
    assert set(FUTURES) == set(FUTURES_IMPORTS)
    for name, path in FUTURES.items():
        ours = {full for full in imports(path) if full.startswith("allcores.")}
        below = {full.removeprefix("allcores.futures.") for full in ours if full.startswith("allcores.futures.")}
        assert below <= FUTURES_IMPORTS[name], f"futures.{name} imports {below - FUTURES_IMPORTS[name]}"
        engine = {full for full in ours if not full.startswith("allcores.futures")}
        known = {"settings"} if name in ("cluster", "process", "worker") else set()
        known |= {"imports"} if name in ("shared", "__init__") else set()
        known |= {"threads"} if name == "manager" else set()  # what it does with callbacks
        assert engine <= {f"allcores._engine.{module}" for module in known}, (name, engine)


def test_blocks_know_no_pools():
    """Of futures/ they know what is shared, and who takes tasks to any executor."""
    for path in (PACKAGE / "blocks").glob("*.py"):
        ours = {name for name in imports(path) if name.startswith("allcores.futures")}
        assert ours <= {"allcores.futures.shared", "allcores.futures.cluster"}, (path, ours)


def test_only_the_fallback_knows_the_fallback():
    """What it shares with the engine and the families is in modules of its own."""
    for folder in ("_engine", "_families"):
        for path in (PACKAGE / folder).glob("*.py"):
            assert not any(name.startswith("allcores._kernels.fallback") for name in imports(path)), path


def test_the_engine_knows_no_family():
    """No list of kernels, and no kernel's or function's name, but in the registry."""
    lists = {"FUNCTIONS", "KERNELS", "REDUCTIONS", "WINDOWS", "SCANS", "SELECTIONS", "SORTS"}
    every = {*registry.KERNELS, *registry.FUNCTIONS}
    names = {name for name in every if "_" in name or "nan" in name}  # the others are words for other things, too
    for path in (PACKAGE / "_engine").glob("*.py"):
        if path.name != "registry.py":
            nodes = list(ast.walk(ast.parse(path.read_text())))
            found = {node.id for node in nodes if isinstance(node, ast.Name)} & lists
            found |= {node.value for node in nodes if isinstance(node, ast.Constant)} & names
            assert not found, (path, found)


def test_the_engine_knows_no_pools():
    for path in (PACKAGE / "_engine").glob("*.py"):
        assert not any("futures" in name for name in imports(path) if name.startswith("allcores"))


@pytest.mark.parametrize("name", ["grid", "block_grid"])
def test_the_grid_knows_no_arrays(name):
    assert not any(full.split(".")[0] == "numpy" for full in imports(PACKAGE / "_engine" / f"{name}.py"))


def test_kernels_are_called_in_one_place():
    """Besides the doors, which are kernels and more."""
    callers = {path.name for path in (PACKAGE / "_engine").glob("*.py") if "getattr(_kernels.load(" in path.read_text()}
    assert callers <= {"execute.py", "doors.py"}


def test_dependencies():
    """NumPy is the only one; the rest is asked for where it is used."""
    optional = {"bottleneck", "numbagg", "polars", "matplotlib", "pyarrow", "pandas", "xarray", "cloudpickle", "tqdm"}
    optional |= {"zarr", "h5py", "dask", "distributed", "loky", "mpi4py", "ray", "threadpoolctl"}
    for path in FILES:
        if path.name == "threadpool.py":  # which is a part of that
            continue
        for node in ast.parse(path.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if "bench" not in path.parts:
                assert not optional & {name.split(".")[0] for name in names}, path


# ---- lists


def test_public_names():
    assert set(COMPUTING) <= set(ac.__all__)
    assert set(fallback.__all__) == set(COMPUTING)
    assert len(set(ac.__all__)) == len(ac.__all__)
    for name in ac.__all__:
        assert hasattr(ac, name)
    assert not hasattr(fallback, "nonsense")
    assert set(COMPUTING) <= set(dir(fallback))


@pytest.mark.parametrize("name", COMPUTING)
def test_rows_of_functions(name):
    """Where it is, what computes it, what it takes, and what it is elsewhere."""
    row = registry.FUNCTIONS[name]
    function = getattr(ac, name)
    assert row.name == name
    assert function.__module__ == f"allcores.{row.module}"
    assert row.kernel in registry.KERNELS
    parameters = inspect.signature(function).parameters
    assert ("executor" in parameters) == row.executor
    needed = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
    assert needed[-len(row.needs) :] == [key for key, _ in row.needs] or not row.needs
    plain_call(name, np.arange(9.0) % 4)
    for package in row.elsewhere:
        assert hasattr(pytest.importorskip(package), name), package


def test_every_kernel_has_a_name_of_its_own():
    assert len(registry.KERNELS) == sum(map(len, (REDUCTIONS, WINDOWS, SCANS, SELECTIONS, SORTS)))


@pytest.mark.parametrize(
    "module", [quantiles, reductions, scans, selection, sorting, windows], ids=lambda module: module.__name__
)
def test_public_functions_of(module):
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert getattr(ac, name) is getattr(module, name)
        assert inspect.signature(getattr(fallback, name)) == inspect.signature(getattr(ac, name))
    defined = {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert defined == set(module.__all__)


# Of series that are cut into chunks: what each chunk ends with, and what comes before it.
FOLDS = {f"fold_{name}" for name, row in SCANS.items() if row.fields}
FIRST_PASSES = {f"ends_{name}" for name, row in SCANS.items() if row.fields} | {"ends_push"}


def test_every_kernel_has_its_function():
    assert set(REDUCTIONS) <= set(FUNCTIONS)
    assert set(WINDOWS) <= set(MOVES)
    assert set(SCANS) <= set(SCANNED)


def test_the_fallback_has_every_kernel():
    names = {name for name, value in vars(fallback_kernels).items() if inspect.isfunction(value)}
    assert names == {*registry.KERNELS, *FIRST_PASSES, *FOLDS}


@pytest.mark.parametrize("level", COMPILED)
def test_every_level_has_every_kernel(level):
    names = set(vars(_kernels.load(level)))
    plain = {name for name in names if not name.startswith(("small_", "fold_", "ends_"))}
    assert plain == set(registry.KERNELS)
    assert {name.removeprefix("fold_") for name in names if name.startswith("fold_")} == {
        *REDUCTIONS,
        *(name.removeprefix("fold_") for name in FOLDS),
    }
    assert {name for name in names if name.startswith("ends_")} == FIRST_PASSES


@pytest.mark.parametrize("level", COMPILED)
def test_every_level_has_the_same_doors(level):
    """Doors are for public functions."""
    doors = {name.removeprefix("small_") for name in vars(_kernels.load(level)) if name.startswith("small_")}
    assert doors <= set(COMPUTING)
    assert doors == {
        name.removeprefix("small_") for name in vars(_kernels.load(COMPILED[0])) if name.startswith("small_")
    }


@pytest.mark.parametrize("name", REDUCTIONS)
def test_rows(name):
    row = REDUCTIONS[name]
    assert row.name == name
    assert row.ns > 0
    assert row.promise
    assert len(set(row.cells)) == len(row.cells)
    for char in row.cells:
        fields = row.partial(np.dtype(char))
        assert len(fields) == len(row.fields) <= 4


@pytest.mark.parametrize("name", WINDOWS)
def test_rows_of_windows(name):
    """What a kernel is called with: its inputs, window, offset, min_count, its own parameters, cursor and out."""
    row = WINDOWS[name]
    assert row.name == name
    assert row.ns > 0
    assert row.promise
    arguments = list(inspect.signature(getattr(fallback_kernels, name)).parameters)
    inputs = ["a", "b"][: row.inputs]
    assert arguments == [*inputs, "window", "offset", "min_count", *row.parameters, "cursor", "out"]


@pytest.mark.parametrize("name", MOVES)
def test_signatures_of_windows(name):
    """bottleneck's order of arguments; ours are keyword-only."""
    parameters = inspect.signature(getattr(ac, name)).parameters
    keywords = {key: value.default for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY}
    assert {"out": None, "workers": None, "center": False}.items() <= keywords.items()
    positional = [key for key in parameters if key not in keywords]
    bottleneck = pytest.importorskip("bottleneck")
    if hasattr(bottleneck, name):
        documented = getattr(bottleneck, name).__doc__.splitlines()[0]
        assert documented.startswith(f"{name}(")
        theirs = [part.split("=")[0].strip() for part in documented[len(name) + 1 : -1].split(",")]
        assert positional == theirs


@pytest.mark.parametrize("name", SCANS)
def test_rows_of_scans(name):
    row = SCANS[name]
    assert row.name == name
    assert row.ns > 0
    assert row.promise
    arguments = list(inspect.signature(getattr(fallback_kernels, name)).parameters)
    if row.fields:
        assert arguments == [*"ab"[: row.inputs], "alpha", "states", "leaf", "min_weight", "decays", "cursor", "out"]
    else:
        assert arguments[-2:] == ["cursor", "a" if name == "replace" else "out"]


@pytest.mark.parametrize("name", SCANNED)
def test_signatures_of_scans(name):
    """bottleneck's and numbagg's order of arguments; ours are keyword-only."""
    parameters = inspect.signature(getattr(ac, name)).parameters
    keywords = [key for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY]
    assert keywords == (["workers"] if name == "replace" else ["out", "workers"])
    positional = [key for key in parameters if key not in keywords]
    if name == "replace":
        assert positional == ["a", "old", "new"]
    elif name in SCANS and SCANS[name].fields:
        assert positional == [*"ab"[: SCANS[name].inputs], "alpha", "min_weight", "axis"]
    else:
        assert positional == ["a", "n" if name == "push" else "limit", "axis"]


@pytest.mark.parametrize("name", [*SELECTIONS, *SORTS])
def test_rows_of_orders(name):
    row = {**SELECTIONS, **SORTS}[name]
    assert row.name == name
    assert row.ns > 0
    assert row.promise
    assert "cursor" in inspect.signature(getattr(fallback_kernels, name)).parameters


@pytest.mark.parametrize("name", SORTED)
def test_signatures_of_sorting(name):
    """NumPy's arguments, but for those that only newer versions have; ours are keyword-only."""
    ours = inspect.signature(getattr(ac, name)).parameters
    assert ours["workers"].kind is inspect.Parameter.KEYWORD_ONLY
    added = {"workers"} | ({"out"} if name == "sort" else set())
    positional = [key for key, value in ours.items() if value.kind is not value.KEYWORD_ONLY]
    if "rankdata" in name:
        assert positional == ["a", "axis"]
        return
    try:
        theirs = inspect.signature(getattr(np, name)).parameters
    except ValueError:  # written in C, in older versions of NumPy
        return
    if not {"args", "kwargs"} & set(theirs):
        newer = {"sorted", "descending"} - set(theirs)
        assert [key for key in ours if key not in added | newer] == list(theirs)


@pytest.mark.parametrize("name", [*FUNCTIONS, *SELECTED])
def test_signatures(name):
    """NumPy's order of arguments and its keyword-only ones; ours are keyword-only."""
    ours = inspect.signature(getattr(ac, name)).parameters
    assert ours["workers"].kind is inspect.Parameter.KEYWORD_ONLY
    assert ours["workers"].default is None
    if not hasattr(np, name):
        assert list(ours)[:2] == (["a", "k"] if name == "topk" else ["a", "axis"])
        return
    theirs = inspect.signature(oracle(name)).parameters
    assert [key for key in ours if key not in ("workers", "executor")] == list(theirs)
    for key, parameter in theirs.items():
        assert ours[key].kind is parameter.kind, key


# ---- documentation


BLOCKS = tuple(name for name in blocks.__all__ if name.islower())
OTHERS = ("set_workers", "get_workers", "show_config", "share", "shared_empty", "submit")


@pytest.mark.parametrize("name", [*COMPUTING, *BLOCKS, *OTHERS])
def test_docstrings(name):
    text = inspect.getdoc(getattr(ac, name))
    assert text
    sections = [
        line for line, rule in zip(text.splitlines(), text.splitlines()[1:], strict=False) if set(rule) == {"-"}
    ]
    for section in ("Parameters", "Returns", "Examples"):
        if section == "Parameters" and name == "get_workers":
            continue
        if section == "Returns" and name == "set_workers":
            continue
        assert section in sections, f"{name} has no section {section}"
    assert text.splitlines()[0].endswith(".")
    documented = text.split("Parameters\n----------\n")[-1].split("\n\n")[0] if "Parameters" in sections else ""
    for key in inspect.signature(getattr(ac, name)).parameters:
        names = [part.strip("*") for line in documented.splitlines() for part in line.split(" : ")[0].split(", ")]
        assert key in names, f"{name}: {key}"


@pytest.mark.parametrize(
    "module",
    [
        *(quantiles, reductions, scans, selection, sorting, windows, settings, config, shared, process, blocks),
        background,
    ],
    ids=lambda module: module.__name__,
)
def test_doctests(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


# ---- importing

QUIET = """
    import sys, threading, warnings
    warnings.simplefilter("error")
    import numpy as np
    before = (np.geterr(), np.get_printoptions(), threading.active_count(), sys.getswitchinterval())
    import importlib
    for name in {modules!r}:
        importlib.import_module(name)
    after = (np.geterr(), np.get_printoptions(), threading.active_count(), sys.getswitchinterval())
    assert before == after, (before, after)
    from allcores._engine import team
    assert not team.threads.started
    for name in {forbidden!r}:
        assert name not in sys.modules, name
"""

OPTIONAL = [
    "pandas",
    "matplotlib",
    "xarray",
    "bottleneck",
    "numbagg",
    "numba",
    "polars",
    "pyarrow",
    "scipy",
    "cloudpickle",
    "tqdm",
]
WITH_OPTIONAL = ["threadpoolctl", "allcores.threadpool"]


def test_importing_has_no_side_effects():
    forbidden = [*OPTIONAL, *WITH_OPTIONAL, "allcores.bench", "allcores.describe", "asyncio", "unittest"]
    forbidden += ["multiprocessing", "concurrent.futures.process", "allcores.futures.process", "mmap"]
    forbidden += ["allcores.blocks.calls", "numpy.ma"]
    result = python(QUIET.format(modules=["allcores"], forbidden=forbidden))
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    "name",
    everyday(
        [name for name in MODULES if not name.endswith("__main__")],
        ("allcores.blocks", "allcores.futures", "allcores.sources", "allcores.windows"),
    ),
)
def test_importing_submodules_has_no_side_effects(name):
    if name == "allcores.threadpool":
        pytest.importorskip("threadpoolctl")
    result = python(QUIET.format(modules=[name], forbidden=OPTIONAL))
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 0)


def test_every_module_is_here():
    """Compiled ones too can be imported by their names."""
    for entry in pkgutil.walk_packages(ac.__path__, "allcores."):
        if not entry.ispkg:
            assert entry.name in MODULES or entry.name.startswith("allcores._kernels.")
