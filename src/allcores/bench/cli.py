"""``python -m allcores bench``: arguments, and the order of a run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import Case, Function, Sizes
from .functions import FUNCTIONS
from .tables import FAMILIES, cases

if TYPE_CHECKING:
    from .report import Results

# ---- arguments


def one_of(name: str, choices: Iterable[str]) -> str:
    known = list(choices)
    if name not in known:
        raise argparse.ArgumentTypeError(f"invalid choice: {name!r} (choose from {', '.join(known)})")
    return name


def family(name: str) -> str:
    return one_of(name, FAMILIES)


def functions(names: str) -> tuple[str, ...]:
    return tuple(one_of(name.strip(), FUNCTIONS) for name in names.split(","))


def count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return number


def file(text: str) -> Path:
    """Found out before the run, not after it."""
    path = Path(text)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no directory {str(path.parent)!r}")
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "family", nargs="*", type=family, help=f"families of functions: {', '.join(FAMILIES)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="fewer functions, arrays and repetitions: a minute")
    parser.add_argument("--functions", type=functions, metavar="NAME,...", help="only these functions")
    parser.add_argument("--repeat", type=count, metavar="N", help="rounds (default: 15, with --quick 7)")
    parser.add_argument("--json", type=file, metavar="FILE", help="write all results to a file")
    parser.add_argument("--plot", type=file, metavar="FILE", help="draw speed-ups (.png, .svg, .pdf); needs matplotlib")
    parser.add_argument("--list", action="store_true", help="show what would be measured, and with which calls")


# ---- a run


def selected(args: argparse.Namespace, sizes: Sizes) -> Iterator[tuple[str, Case, Function]]:
    """What the arguments choose, in the order of the tables."""
    for name in args.family or FAMILIES:
        for case in cases(name, sizes):
            chosen = case.quick if args.quick else case.functions
            if args.functions and chosen:
                chosen = tuple(function for function in case.functions if function in args.functions)
            for function in chosen:
                yield name, case, FUNCTIONS[function]


def show_list(args: argparse.Namespace, sizes: Sizes) -> None:
    """Every case, and under it the calls that are compared."""
    label = ""
    for _, case, function in selected(args, sizes):
        if case.label != label:
            label = case.label
            print(f"\n{label}")
        calls = [function.allcores, function.numpy, *(peer.statement for peer in function.peers_for(case))]
        print("  " + "  |  ".join(case.fill(call) for call in calls if call))


def collect(args: argparse.Namespace, sizes: Sizes, show: Callable[[str], None]) -> Results:
    """Measure what the arguments choose; `show` is told what is being measured."""
    from . import limits, machine, measure, peers, report

    rounds = args.repeat or (7 if args.quick else 15)
    effort = measure.Effort(rounds, 1 if args.quick else 3, sizes.least)
    about = machine.describe(peers.installed())
    show("memory and cores")
    results = report.Results(about, limits.measure(about["workers"], rounds, sizes.memory, sizes.in_cache), [])
    chosen = list(selected(args, sizes))
    try:
        for number, (family, case, function) in enumerate(chosen, 1):
            show(f"{number} of {len(chosen)}: {function.name}, {case.label}")
            results.rows.append(measure.row(family, case, function, results.limits.reader, effort))
    except KeyboardInterrupt:
        if not results.rows:
            raise
        results.interrupted = True
    return results


def progress(text: str) -> None:
    """One line of the terminal, over and over; nothing where standard error is a file."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text[:79]}", end="" if text else "\r", file=sys.stderr, flush=True)


def run(args: argparse.Namespace, sizes: Sizes | None = None) -> int:
    """0; 1 where allcores disagrees with NumPy; 2 where an extra is missing; 130 after Ctrl-C, of what was measured."""
    from . import plot, report

    sizes = sizes or Sizes()
    if args.list:
        show_list(args, sizes)
        return 0
    if args.plot and not plot.available():
        print("--plot needs matplotlib: pip install allcores[bench]", file=sys.stderr)
        return 2
    results = collect(args, sizes, progress)
    progress("")
    for line in report.text(results):
        print(line)
    if args.json:
        args.json.write_text(json.dumps(report.as_json(results), indent=1) + "\n")
    if args.plot:
        plot.draw(results.rows, results.machine, args.plot)
    return 130 if results.interrupted else 1 if results.wrong else 0
