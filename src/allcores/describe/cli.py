"""The command: which reader takes a file, and one line for whatever is wrong with it."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import stat
import sys
from collections.abc import Callable

from . import arrays, report, stores, tables
from .progress import Progress
from .statistics import Description, Problem

logger = logging.getLogger("allcores")

READERS: dict[str, Callable[[str, Progress], Description]] = {
    ".npy": arrays.describe_npy,
    ".npz": arrays.describe_npz,
    ".csv": tables.describe_csv,
    ".csv.gz": tables.describe_csv,
    ".csv.zip": tables.describe_csv,
    ".parquet": tables.describe_parquet,
    ".zarr": stores.describe_zarr,
    ".h5": stores.describe_hdf5,
    ".hdf5": stores.describe_hdf5,
}

DESCRIPTION = """\
Print dtype, shape, count, NaNs, mean, std, min and max of the arrays or columns in files: .npy and .npz, with pyarrow
(pip install "allcores[io]") .csv, .csv.gz, .csv.zip and .parquet, with zarr ("allcores[zarr]") .zarr, with h5py
("allcores[hdf5]") .h5 and .hdf5. Files may be larger than memory; each is read once."""

EPILOG = """\
count is of what is not NaN; NaT and nulls (in CSV: nothing, NA, NaN, null) count as NaN. std is NumPy's: ddof=0. An
array is described as a whole, a structured one field by field. The first row of a CSV file is its header. JSON has a
list with an object for each file; NaN is null in it. The exit status is 2 if any file could not be described."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the subcommand's parser its description and arguments."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.add_argument("files", nargs="+", metavar="FILE", help="file to describe, known by its extension")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Describe the files that can be; 2 if there are others."""
    status = 0
    descriptions = []
    for file in args.files:
        try:
            description = describe_file(file)
        except Problem as problem:
            sys.stdout.flush()
            print(f"allcores: {report.printable(file)}: {problem}", file=sys.stderr)
            status = 2
            continue
        if args.json:
            descriptions.append(description)
        else:
            if descriptions:
                print()
            descriptions = [description]
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            print(report.as_text(description, width), flush=True)
    if args.json:
        print(report.as_json(descriptions))
    return status


def describe_file(path: str) -> Description:
    """The statistics of one file.

    Parameters
    ----------
    path : str
        A file with one of the extensions in `READERS`.

    Returns
    -------
    Description
        With at least one column that has statistics.

    Raises
    ------
    Problem
        If the file can't be described: the message is one line and says why.
    """
    try:
        reader = reader_of(path)
        with Progress(os.path.basename(path)) as progress:
            description = reader(path, progress)
        check(description)
    except Problem as problem:
        raise Problem(one_line(problem)) from problem
    except OSError as error:
        raise Problem(one_line(error.strerror or error)) from error
    except MemoryError as error:
        raise Problem("not enough memory to read it") from error
    except Exception as error:
        # Damaged files find their way past any list of exceptions.
        logger.debug("describing %s", path, exc_info=True)
        raise Problem(one_line(f"can't be read: {type(error).__name__}: {error}")) from error
    return description


def reader_of(path: str) -> Callable[[str, Progress], Description]:
    """The reader of a file that is there and not empty."""
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        if path.lower().rstrip("/").endswith(".zarr"):
            return stores.describe_zarr
        raise Problem("is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise Problem("not a regular file")
    for extension, reader in READERS.items():
        if path.lower().endswith(extension):
            if status.st_size == 0:
                raise Problem("empty file (0 bytes)")
            return reader
    raise Problem(f"unknown format: the name ends in none of {' '.join(READERS)}")


def check(description: Description) -> None:
    """Complain of a file with nothing to compute."""
    columns = description.columns
    if not any(column.numeric for column in columns):
        found = ", ".join(f"{column.name} is {column.dtype}" if column.name else column.dtype for column in columns)
        if any(column.dtype == "object" for column in columns):
            found += " (pickled, so never loaded)"
        raise Problem(f"no numeric column: {found or 'no columns at all'}")
    if all(0 in column.shape for column in columns):
        what = f"array of shape {columns[0].shape}" if len(columns) == 1 else "rows"
        raise Problem(f"nothing to describe: no elements in it ({what})")


def one_line(message: object) -> str:
    """At most 300 characters, without line ends."""
    text = " ".join(str(message).split())
    return report.printable(text if len(text) <= 300 else text[:297] + "...")
