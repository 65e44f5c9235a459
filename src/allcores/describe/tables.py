"""Tables of .csv, .csv.gz, .csv.zip and .parquet files, parsed by pyarrow, a block of rows at a time.

A CSV file is cut into blocks at line ends, and each block is parsed as a file of its own. pyarrow's streaming reader
fixes the dtypes after its first block, and fails where an integer column turns out to hold 1.5 or text later. Here each
block has its dtypes, and a column gets the one that takes them all.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import islice
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .blocks import BLOCK, PIECE, ahead
from .progress import Progress
from .statistics import Column, Description, Problem, Statistics

TEXT = 8 << 20  # Bytes of CSV to a block: larger ones take more memory and no less time.
LONGEST_LINE = 256 << 20
HEADER = 1 << 16  # Bytes in which to look for the delimiter.
DELIMITERS = ",;\t|"
SOME_ROWS = 20  # to be looked at for the delimiter
ROWS = 1 << 12, 1 << 20  # Of Parquet, to a block: at least and at most.
ROWS_OF_TEXT = 1 << 14


class Kind(NamedTuple):
    """What a column holds: its name for the reader, and the NumPy dtype if there are statistics of it."""

    name: str
    dtype: np.dtype[Any] | None = None
    utc: bool = False


FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}  # by Arrow's names

NULL = Kind("null")
STRING = Kind("string")


def import_pyarrow() -> Any:
    """pyarrow, which is an extra: nothing else needs it."""
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError as error:
        raise Problem('reading it needs pyarrow: pip install "allcores[io]"') from error
    # It would catch Ctrl-C in each call, which is short here, and now and then lose one between two calls.
    pyarrow.enable_signal_handlers(False)
    return pyarrow


def kind_of(pa: Any, type_: Any) -> Kind:
    """What a column of an Arrow type holds."""
    types = pa.types
    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_null(type_):
        return NULL
    if types.is_boolean(type_) or types.is_integer(type_) or types.is_floating(type_):
        dtype = np.dtype(FLOATS.get(str(type_), str(type_)))
        return Kind(str(dtype), dtype)
    if types.is_decimal(type_):
        return Kind(str(type_), np.dtype(np.float64))
    unit = "D" if types.is_date32(type_) else "ms" if types.is_date64(type_) else getattr(type_, "unit", "")
    if types.is_date(type_) or types.is_timestamp(type_):
        dtype = np.dtype(f"datetime64[{unit}]")
        return Kind(str(dtype), dtype, utc=getattr(type_, "tz", None) is not None)
    if types.is_duration(type_):
        dtype = np.dtype(f"timedelta64[{unit}]")
        return Kind(str(dtype), dtype)
    if types.is_string(type_) or types.is_large_string(type_):
        return STRING
    return Kind(str(type_))


def join(a: Kind, b: Kind) -> Kind:
    """What a column holds of which one block holds `a` and another `b`."""
    if a == b or b == NULL:
        return a
    if a == NULL:
        return b
    if a.dtype is None or b.dtype is None or a.utc != b.utc:
        return STRING
    if {a.dtype.kind, b.dtype.kind} not in ({"i", "f"}, {"M"}):
        return STRING
    dtype = np.promote_types(a.dtype, b.dtype)
    return Kind(str(dtype), dtype, a.utc)


class Tally:
    """A column that grows block by block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = NULL
        self.rows = 0
        self.nulls = 0
        self.statistics = Statistics()

    def add(self, pa: Any, values: Any) -> None:
        """Take in a pyarrow ChunkedArray."""
        kind = kind_of(pa, values.type)
        self.rows += len(values)
        self.nulls += values.null_count
        self.kind = join(self.kind, kind)
        if self.kind.dtype is not None and kind.dtype is not None:
            self.statistics.add(numbers(pa, values, kind.dtype))

    def report(self) -> Column:
        shape = (self.rows,)
        if self.kind.dtype is None:
            return Column(self.name, self.kind.name, shape, count=self.rows - self.nulls, nans=self.nulls)
        column = self.statistics.report(self.kind.dtype, name=self.name, shape=shape)
        column.dtype, column.utc = self.kind.name, self.kind.utc
        column.nans = self.statistics.nans + self.nulls
        return column


def numbers(pa: Any, values: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values that are not null, which keeps integers what they are.

    Out of Arrow's buffers, because its `to_numpy` imports pandas where that is installed: 0.3 s.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    stored = dtype
    if dtype.kind == "b":
        values, stored = values.cast(pa.uint8()), np.dtype(np.uint8)  # from bits to bytes
    elif pa.types.is_date32(values.type):
        stored = np.dtype(np.int32)
    values = values.drop_null()
    if not len(values):
        return np.empty(0, dtype)
    values = pa.concat_arrays(values.chunks)
    first = values.offset * stored.itemsize
    array = np.frombuffer(values.buffers()[1], np.uint8)[first : first + len(values) * stored.itemsize]
    return array.view(stored).astype(dtype, copy=False)


# ---- CSV


def describe_csv(path: str, progress: Progress) -> Description:
    pa = import_pyarrow()
    with open(path, "rb") as file:
        try:
            tallies = tally_text(pa, path, file, progress)
        except pa.ArrowInvalid as error:
            raise Problem(str(error)) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            raise Problem(f"can't be unpacked: {str(error) or 'it ends too early'}") from error
    if not tallies:
        raise Problem("empty: white space and nothing else")
    if not tallies[0].rows:
        raise Problem("no rows below the header")
    return Description(path, "csv", [tally.report() for tally in tallies], tallies[0].rows)


def tally_text(pa: Any, path: str, file: IO[bytes], progress: Progress) -> list[Tally]:
    """The columns of the CSV text in an open file."""
    size = os.path.getsize(path)
    tallies: list[Tally] = []
    delimiter = ","
    with ExitStack() as stack:
        for block in ahead(blocks_of_lines(open_text(path, file, stack))):
            if block.isspace():
                continue
            if tallies:
                table = parse(pa, block, delimiter, [str(i) for i in range(len(tallies))])
            else:
                delimiter = delimiter_of(block)
                table, names = parse_first(pa, block, delimiter)
                tallies = [Tally(name) for name in names]
            for tally, values in zip(tallies, table.columns, strict=True):
                tally.add(pa, values)
            progress.update(file.tell(), size)
    return tallies


def open_text(path: str, file: IO[bytes], stack: ExitStack) -> Any:
    """The stream of CSV text in an open file, by the file's name."""
    if path.lower().endswith(".gz"):
        return stack.enter_context(gzip.open(file, "rb"))
    if not path.lower().endswith(".zip"):
        return file
    archive = stack.enter_context(zipfile.ZipFile(file))
    # Archives made on macOS hold a second entry for each file.
    members = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    members = [name for name in members if name.lower().endswith(".csv")]
    if not members:
        raise Problem("no .csv file in the archive")
    if len(members) > 1:
        raise Problem(f"{len(members)} .csv files in the archive, one is expected: {', '.join(members)}")
    return stack.enter_context(archive.open(members[0]))


def blocks_of_lines(stream: Any) -> Iterator[bytes]:
    """The text in blocks of whole rows."""
    rest = b""
    while text := stream.read(TEXT):
        rest += text
        end = end_of_rows(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
        elif len(rest) > LONGEST_LINE:
            raise Problem(f"not a CSV file: no end of a line in {len(rest) >> 20} MiB")
    if rest:
        yield rest + b"\n"


def end_of_rows(text: bytes) -> int:
    """Where the last row ends: at a newline that is not inside quotes, so an even number of quotes precede it."""
    newline = b"\n" if b"\n" in text else b"\r"
    last = end = text.rfind(newline) + 1
    odd = text.count(b'"', 0, end) % 2
    # A lone quote in a field that is not quoted makes all that follows look odd: give up after a while.
    while odd and last - end < PIECE:
        previous = text.rfind(newline, 0, end - 1) + 1
        if not previous:
            break
        odd ^= text.count(b'"', previous, end) % 2
        end = previous
    return last if odd else end


def delimiter_of(text: bytes) -> str:
    """The delimiter that gives the first rows as many fields as the header, and the most of these; a comma in doubt."""
    start = text.lstrip(b"\r\n")[:HEADER]
    if b"\0" in start.lstrip().splitlines()[0]:
        raise Problem("not CSV text in UTF-8: it has zero bytes")

    def fit(delimiter: str) -> tuple[bool, int]:
        widths = widths_of(start.decode("latin-1"), delimiter)
        return len(set(widths)) == 1 < widths[0], widths[0]

    return max(DELIMITERS, key=fit)


def widths_of(text: str, delimiter: str) -> list[int]:
    """The numbers of fields of the header and of some rows below it."""
    widths: list[int] = []
    with suppress(csv.Error):
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        widths += [len(row) for row in islice(rows, SOME_ROWS) if any(map(str.strip, row))]
    if len(widths) > 1 and len(text) == HEADER:
        widths.pop()  # of which the end may be missing
    return widths or [1]


def parse(pa: Any, block: bytes, delimiter: str, names: list[str] | None, encoding: str = "utf8") -> Any:
    """A pyarrow Table of a block; where no names are given, they are its first row."""
    # In memory of Arrow's: its threads may let go of the block last, and at exit they can't have the GIL for that.
    buffer = pa.allocate_buffer(len(block))
    np.frombuffer(buffer, np.uint8)[:] = np.frombuffer(block, np.uint8)

    def read(size: int) -> Any:
        return pa.csv.read_csv(
            pa.BufferReader(buffer),
            pa.csv.ReadOptions(column_names=names, block_size=size, encoding=encoding),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(strings_can_be_null=True, check_utf8=False),
        )

    try:
        return read(PIECE)
    except pa.ArrowInvalid:
        # pyarrow wants each row within one of the blocks that it makes: one row may be longer.
        return read(len(block) + 1)


def parse_first(pa: Any, block: bytes, delimiter: str) -> tuple[Any, list[str]]:
    """The Table of the first block, and the names of its columns."""
    table = parse(pa, block, delimiter, None)
    try:
        return table, table.column_names
    except UnicodeDecodeError:
        table = parse(pa, block, delimiter, None, encoding="latin-1")
        return table, table.column_names


# ---- Parquet


def describe_parquet(path: str, progress: Progress) -> Description:
    pa = import_pyarrow()
    open(path, "rb").close()  # if it can't be opened, Python says so in fewer words
    try:
        # Buffered and not read ahead: of a row group that is larger than memory only pages are in memory.
        with pa.parquet.ParquetFile(path, buffer_size=PIECE, pre_buffer=False) as file:
            return describe_open_parquet(pa, path, file, progress)
    except (pa.ArrowException, OSError) as error:
        raise Problem(f"not a readable Parquet file: {error}") from error


def describe_open_parquet(pa: Any, path: str, file: Any, progress: Progress) -> Description:
    schema, rows = file.schema_arrow, file.metadata.num_rows
    tallies = [Tally(field.name) for field in schema]
    for tally, field in zip(tallies, schema, strict=True):
        tally.kind = kind_of(pa, field.type)
    known = known_nulls(pa, file)
    for name, nulls in known.items():
        tally = tallies[schema.get_field_index(name)]
        tally.rows, tally.nulls = rows, nulls
    unread = [tally for tally in tallies if tally.name not in known]
    names = [tally.name for tally in unread] if known else None
    if any(tally.kind.dtype is not None for tally in tallies):
        done = 0
        for batch in file.iter_batches(rows_at_once(unread), columns=names):
            table = pa.Table.from_batches([batch])
            columns = [table.column(name) for name in names] if names else table.columns
            for tally, values in zip(unread, columns, strict=True):
                tally.add(pa, values)
            done += len(batch)
            progress.update(done, rows)
    return Description(path, "parquet", [tally.report() for tally in tallies], rows)


def rows_at_once(tallies: list[Tally]) -> int:
    """Rows to a block: as many as fill it with numbers; few where there is text, which may be long."""
    rows = min(max(BLOCK // (8 * len(tallies)), ROWS[0]), ROWS[1])
    return rows if all(tally.kind.dtype for tally in tallies) else min(rows, ROWS_OF_TEXT)


def known_nulls(pa: Any, file: Any) -> dict[str, int]:
    """The number of nulls of each column of text and the like, by the file's own statistics: these need not be read."""
    schema, metadata = file.schema_arrow, file.metadata
    if len(set(schema.names)) < len(schema.names):
        return {}
    texts = {field.name for field in schema if kind_of(pa, field.type).dtype is None}
    known = {}
    for i in range(metadata.num_columns):
        name = metadata.schema.column(i).path
        if name in texts:
            chunks = [metadata.row_group(group).column(i).statistics for group in range(metadata.num_row_groups)]
            if all(chunk is not None and chunk.has_null_count for chunk in chunks):
                known[name] = sum(chunk.null_count for chunk in chunks)
    return known
