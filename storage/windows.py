"""Reads row groups for the training reader: which of their rows may serve a use, and those rows in any order.

Which rows are usable is asked once, when the reader opens, and kept as one bit a row; after that only the columns that
the caller wants are read. Memory: what `load` returned and the caller still holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import BlobMissing, Corrupt
from storage.permutation import Indices
from storage.schema import CORPUS, Use

Unknown = Literal["deny", "allow"]

MAX_OPEN: Final = 64
"""Shards whose footers are kept parsed, about 1 MB each: a window draws row groups from everywhere."""


class Group(NamedTuple):
    """A row group that has usable rows."""

    shard: int
    number: int
    rows: int  # usable ones
    mask: bytes | None  # which, one bit a row; None when all are


class Rows(NamedTuple):
    """A row group in memory, and the positions of its usable rows."""

    table: pa.Table
    usable: Indices


class RowGroups:
    """The row groups of some corpus shards, with a view to one use."""

    def __init__(self, paths: Sequence[str], use: Use, unknown: Unknown) -> None:
        """BlobMissing, Corrupt. `unknown` says what null rights count as."""
        self._paths = paths
        self._serves, self._rights, self._unknown = f"serves_{use}", f"rights_{use}", unknown
        self._footer = lru_cache(MAX_OPEN)(self._read_footer)
        self.usable: Final = [group for shard in range(len(paths)) for group in self._of(shard)]

    def load(self, group: Group, columns: pa.Schema) -> Rows:
        """The group's rows with these columns, in their types; page checksums are compared. BlobMissing, Corrupt."""
        table = self._read(group, columns)
        if group.mask is None:
            return Rows(table, np.arange(len(table)))
        mask = np.unpackbits(np.frombuffer(group.mask, dtype=np.uint8), count=len(table))
        return Rows(table, np.flatnonzero(mask))

    def _of(self, shard: int) -> Iterator[Group]:
        footer = self._footer(shard)
        for number in range(footer.num_row_groups):
            whole = Group(shard, number, footer.row_group(number).num_rows, None)
            if self._all_true(footer.row_group(number)):
                yield whole
            else:
                mask = self._mask(
                    self._read(whole, pa.schema([CORPUS.field(self._serves), CORPUS.field(self._rights)]))
                )
                if mask.any():
                    yield whole._replace(rows=int(mask.sum()), mask=np.packbits(mask).tobytes())

    def _all_true(self, group: pq.RowGroupMetaData) -> bool:
        """Whether the statistics alone say that every row is usable."""
        wanted = {self._serves, self._rights}
        for column in map(group.column, range(group.num_columns)):
            if column.path_in_schema in wanted:
                known = column.statistics
                if known is None or not known.has_min_max or known.null_count != 0 or known.min is not True:
                    return False
                wanted.discard(column.path_in_schema)
        return not wanted

    def _mask(self, rows: pa.Table) -> np.ndarray:
        rights = pc.fill_null(rows[self._rights], self._unknown == "allow")
        return pc.and_(pc.fill_null(rows[self._serves], False), rights).to_numpy()  # type: ignore[no-any-return]

    def _read_footer(self, shard: int) -> pq.FileMetaData:
        with _named(self._paths[shard]):
            return pq.read_metadata(self._paths[shard])

    def _read(self, group: Group, columns: pa.Schema) -> pa.Table:
        """A whole row group; a column that is younger than the shard is null."""
        path, footer = self._paths[group.shard], self._footer(group.shard)
        with _named(path), pq.ParquetFile(path, metadata=footer, page_checksum_verification=True) as file:
            there = [name for name in columns.names if name in file.schema_arrow.names]
            rows = file.read_row_group(group.number, columns=there, use_threads=False)
        size = footer.row_group(group.number).num_rows
        arrays = [rows[f.name].cast(f.type) if f.name in there else pa.nulls(size, f.type) for f in columns]
        return pa.table(arrays, schema=columns)


def gathered(window: Sequence[Rows], places: Indices) -> pa.Table:
    """The usable rows of a window, counted through its groups, at `places` and in that order.

    Group by group and then put in order: three small copies of a batch, where making the window one table would copy
    all of it (measured: half the reader's time), and taking from many chunks at once is slower still.
    """
    ends = np.cumsum([len(rows.usable) for rows in window])
    groups = np.searchsorted(ends, places, side="right")
    by_group = np.argsort(groups, kind="stable")
    pieces = []
    for number in np.unique(groups):
        rows = window[number]
        local = places[groups == number] - (ends[number] - len(rows.usable))
        pieces.append(rows.table.take(rows.usable[local]))
    ordered = np.empty_like(by_group)
    ordered[by_group] = np.arange(len(places))
    return pa.concat_tables(pieces).combine_chunks().take(ordered)


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing("read", Path(path).name, "the shard is gone", "run `thresher verify`") from error
    except (OSError, pa.ArrowException) as error:
        raise Corrupt("read", Path(path).name, str(error), "run `thresher verify`") from error
