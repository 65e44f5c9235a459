"""Every public function of arrays, on one and on all workers: one class a family, named as its module.

Names, contents and statements come from the registry by way of `allcores.bench`, so that a new function is measured
from its first commit on. An array that a function has no axis for is skipped.
"""

from __future__ import annotations

import allcores as ac
from allcores.bench.cases import Case, Sizes, operands
from allcores.bench.functions import FUNCTIONS
from allcores.bench.tables import FAMILIES, names_of

SIZES = Sizes()
PLACES = {
    "long": (SIZES.long, None),
    "axis 0": (SIZES.table, 0),
    "axis 1": (SIZES.table, 1),
    "cached": (SIZES.cached, None),
    "small": (SIZES.thousand, None),
}
WORKERS = {"one worker": 1, "all workers": None}


class _Family:
    """What asv times: `setup` is called for each combination of the parameters."""

    param_names = ("function", "array", "workers")

    def setup(self, name: str, array: str, workers: str) -> None:
        shape, axis = PLACES[array]
        function = FUNCTIONS[name]
        if axis is not None and not function.along:
            raise NotImplementedError
        case = Case("", "float64", shape, axis, ())
        given, _ = operands(case, function)
        self.call = eval(f"lambda: {case.fill(function.allcores)}", {"ac": ac, **given})
        self.context = ac.set_workers(WORKERS[workers])
        self.context.__enter__()
        self.call()

    def teardown(self, *parameters: str) -> None:
        self.context.__exit__(None, None, None)

    def time_call(self, *parameters: str) -> None:
        self.call()


def family(module: str) -> type[_Family]:
    functions = names_of(module)
    return type(module.capitalize(), (_Family,), {"functions": functions, "params": (functions, [*PLACES], [*WORKERS])})


globals().update({found.__name__: found for found in map(family, FAMILIES)})
