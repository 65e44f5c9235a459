"""``python -m allcores``: describe files, measure speed."""

from __future__ import annotations

import argparse
import errno
import os
import sys

from . import __version__


def make_parser(argv: list[str]) -> argparse.ArgumentParser:
    """The parser for these arguments: of the subcommands only the one that is asked for is imported."""
    parser = argparse.ArgumentParser(
        prog="python -m allcores", description="NumPy's CPU-bound calls on all the cores of a machine."
    )
    parser.add_argument("--version", action="version", version=f"allcores {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    describe = commands.add_parser("describe", help="statistics of the arrays and columns in files")
    bench = commands.add_parser("bench", help="compare with NumPy's speed on this machine")
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    if wanted == "describe":
        from .describe import cli as describe_cli

        describe_cli.add_arguments(describe)
        describe.set_defaults(run=describe_cli.run)
    elif wanted == "bench":
        from .bench import cli as bench_cli

        bench_cli.add_arguments(bench)
        bench.set_defaults(run=bench_cli.run)
    return parser


def run(argv: list[str]) -> int:
    parser = make_parser(argv)
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    return int(args.run(args))


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the result is the exit status."""
    try:
        try:
            return run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # Python flushes standard output once more at exit, and must not fail at that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return 141  # the shell's status for SIGPIPE: whoever read the output has enough
        print(f"allcores: {error.filename or 'standard output'}: {error.strerror}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    # Names of files and columns may have characters that a terminal has not.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
