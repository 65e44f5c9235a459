"""The whole comparison of `python -m allcores bench`, as JSON, as Markdown tables and as a picture.

python benchmarks/compare.py --json results.json --markdown results.md
"""

from __future__ import annotations

import argparse
import json
import sys

from allcores.bench import cli, plot, report
from allcores.bench.cases import Sizes


def main() -> int:
    parser = argparse.ArgumentParser(description="NumPy and its fast implementations against allcores.")
    cli.add_arguments(parser)
    parser.add_argument("--markdown", type=cli.file, metavar="FILE", help="write the tables to a file, not to stdout")
    args = parser.parse_args()
    # Progress goes to stderr, so that stdout can be redirected into a document.
    results = cli.collect(args, Sizes(), cli.progress)
    document = "\n".join(["```", *report.header(results), "```", *report.markdown(results.rows, results.machine)])
    if args.markdown:
        args.markdown.write_text(document + "\n", encoding="utf-8")
    else:
        print(document)
    if args.plot:
        plot.draw(results.rows, results.machine, args.plot)
    if args.json:
        args.json.write_text(json.dumps(report.as_json(results), indent=1) + "\n")
    return 1 if results.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
