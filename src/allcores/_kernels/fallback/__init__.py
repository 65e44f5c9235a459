"""Every kernel in Python over NumPy: the readable definition, and the same bits as the compiled ones."""

from .extrema import argmax, argmin, max, min, nanargmax, nanargmin, nanmax, nanmin, ptp
from .reduce import nanmean, nanprod, nansum, nanvar, prod, ss, sum, var
from .truth import all, allnan, any, anynan, count_nonzero, nancount

__all__ = [
    "all",
    "allnan",
    "any",
    "anynan",
    "argmax",
    "argmin",
    "count_nonzero",
    "max",
    "min",
    "nanargmax",
    "nanargmin",
    "nancount",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nansum",
    "nanvar",
    "prod",
    "ptp",
    "ss",
    "sum",
    "var",
]
