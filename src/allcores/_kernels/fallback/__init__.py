"""Every kernel in Python over NumPy: the readable definition, and the same bits as the compiled ones."""

from .by_numpy import count_classes, sort_classes, sort_lines, to_classes
from .extrema import argmax, argmin, max, min, nanargmax, nanargmin, nanmax, nanmin, ptp
from .fill import ends_push, push, replace
from .reduce import nanmean, nanprod, nansum, nanvar, prod, ss, sum, var
from .scan import (
    ends_move_exp_nancorr,
    ends_move_exp_nancount,
    ends_move_exp_nancov,
    ends_move_exp_nanmean,
    ends_move_exp_nanstd,
    ends_move_exp_nansum,
    ends_move_exp_nanvar,
    fold_move_exp_nancorr,
    fold_move_exp_nancount,
    fold_move_exp_nancov,
    fold_move_exp_nanmean,
    fold_move_exp_nanstd,
    fold_move_exp_nansum,
    fold_move_exp_nanvar,
    move_exp_nancorr,
    move_exp_nancount,
    move_exp_nancov,
    move_exp_nanmean,
    move_exp_nanstd,
    move_exp_nansum,
    move_exp_nanvar,
)
from .select import divide, gather, pick, scatter, selection_pass
from .sort import (
    argsort,
    gather_argsort,
    gather_distinct,
    gather_first,
    gather_rank,
    gather_sort,
    in_order,
    pack,
    rankdata,
    refill,
    searchsorted,
    sort,
    spread,
    take,
    tally,
)
from .truth import all, allnan, any, anynan, count_nonzero, nancount
from .window import (
    move_argmax,
    move_argmin,
    move_corr,
    move_count,
    move_cov,
    move_kurt,
    move_max,
    move_mean,
    move_min,
    move_prod,
    move_skew,
    move_std,
    move_sum,
    move_var,
)
from .window_order import move_median, move_quantile, move_rank
