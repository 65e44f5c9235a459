"""Every public function of arrays, on one and on all workers: one class a family, named as its module.

Names come from the modules, contents and statements from the tables of `allcores.bench` where these have them, so that
a new function is measured from its first commit on. An array that a function has no axis for is skipped.
"""

from __future__ import annotations

import inspect
from types import ModuleType

import allcores as ac
from allcores import quantiles, reductions, scans, selection, sorting, windows
from allcores.bench import reductions as table_of_reductions
from allcores.bench import windows as table_of_windows
from allcores.bench.cases import Case, Function, Sizes, arrays

SIZES = Sizes()
PLACES = {
    "long": (SIZES.long, None),
    "axis 0": (SIZES.table, 0),
    "axis 1": (SIZES.table, 1),
    "cached": (SIZES.cached, None),
    "small": (SIZES.thousand, None),
}
WORKERS = {"one worker": 1, "all workers": None}

TABLED = {**table_of_reductions.FUNCTIONS, **table_of_windows.FUNCTIONS}

# Values of the arguments that a function wants, in its words.
VALUES = {"window": 50, "alpha": 0.1, "k": 100, "kth": 100, "old": 0.0, "new": 1.0, "b": "x", "v": "x"}
VALUES_OF = {"percentile": {"q": 30}, "nanpercentile": {"q": 30}, "quantile": {"q": 0.3}, "nanquantile": {"q": 0.3}}
VALUES_OF |= {"move_quantile": {"q": 0.9}, "searchsorted": {"a": "sorted_x"}, "lexsort": {"keys": "(x, x)"}}
VALUES_OF |= {"replace": {"a": "x.copy()"}}
FLATTENED = ("unique",)  # along an axis that is another question, which NumPy answers


def function(module: ModuleType, name: str) -> Function:
    if name in TABLED:
        return TABLED[name]
    parameters = inspect.signature(getattr(module, name)).parameters
    wanted = [key for key, parameter in parameters.items() if parameter.default is parameter.empty]
    values = {wanted[0]: "x", **VALUES, **VALUES_OF.get(name, {})}
    arguments = ", ".join(str(values[key]) for key in wanted)
    axis = "{axis}" if "axis" in parameters and name not in FLATTENED else ""
    content = "gaps" if "nan" in name or module in (windows, scans) else "values"
    return Function(name, content, ours=f"ac.{name}({arguments}{axis})")


class _Family:
    """What asv times: `setup` is called for each combination of the parameters."""

    param_names = ("function", "array", "workers")

    def setup(self, name: str, array: str, workers: str) -> None:
        shape, axis = PLACES[array]
        measured = self.functions[name]
        if axis is not None and "{axis}" not in measured.allcores:
            raise NotImplementedError
        x, _ = arrays("C", "float64", shape, measured.content)
        statement = Case("", "float64", shape, axis, ()).fill(measured.allcores)
        names = {"ac": ac, "x": x, "sorted_x": ac.sort(x) if "sorted_x" in statement else None}
        self.call = eval(f"lambda: {statement}", names)
        self.context = ac.set_workers(WORKERS[workers])
        self.context.__enter__()
        self.call()

    def teardown(self, *parameters: str) -> None:
        self.context.__exit__(None, None, None)

    def time_call(self, *parameters: str) -> None:
        self.call()


def family(module: ModuleType) -> type[_Family]:
    functions = {name: function(module, name) for name in module.__all__}
    name = module.__name__.rpartition(".")[2].capitalize()
    return type(name, (_Family,), {"functions": functions, "params": (list(functions), list(PLACES), list(WORKERS))})


Reductions, Windows, Scans, Quantiles, Selection, Sorting = map(
    family, (reductions, windows, scans, quantiles, selection, sorting)
)
