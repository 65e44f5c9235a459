"""What the tests of the benchmarks share: tiny arrays, little effort, and the command's arguments."""

from __future__ import annotations

import argparse

from allcores.bench import cli, limits, measure
from allcores.bench.cases import Sizes

TINY = Sizes(
    long=(4096,),
    table=(40, 50),
    short_rows=(60, 7),
    narrow=(300, 3),
    cached=(500,),
    series=(700,),
    columns=(120, 103),
    memory=1 << 18,
    in_cache=2,
    least=1e-6,
)
EFFORT = measure.Effort(rounds=2, slow_rounds=1, least=1e-6)
READER = limits.Reader(limits.loops()[0], 1)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench")
    cli.add_arguments(parser)
    return parser.parse_args(arguments)
