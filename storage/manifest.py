"""What a snapshot is made of: a small root over content-addressed parts, each a list of shard entries.

A table's entries keep the order in which they were added, cut into parts of 1,000, then 100, then 10, then 1. So the
cut is a function of the sequence alone, a commit rewrites only the last small parts, and in the long run an entry is
written four times. Invariant: nothing here says when, by whom or after what a snapshot was made.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from storage import canonical
from storage.canonical import JSON
from storage.errors import Corrupt, NotFound

PART_SIZES: Final = (1000, 100, 10, 1)

SNAPSHOT_FORMAT: Final = "thresher-snapshot-1"
PART_FORMAT: Final = "thresher-part-1"

LtHash = bytes
"""2,048 bytes, see `storage.rows_id`. A name of its own because `bytes` is a field below."""

EMPTY_LTHASH: Final = bytes(2048)


@dataclass(frozen=True, slots=True)
class Shard:
    """A Parquet file of one table's rows: its entry in a part.

    `bytes` is the size of the file, `lthash` the 2,048 bytes of `storage.rows_id`, `first` and `last` the sort key of
    the first and the last row as JSON values (ids in hex, times as text; empty without rows), `covers` the sorted
    names of the work that the rows are the whole result of.
    """

    digest: str
    rows: int
    bytes: int
    lthash: LtHash = field(repr=False)
    first: dict[str, JSON]
    last: dict[str, JSON]
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A blob that lists `shards` entries."""

    digest: str
    shards: int


@dataclass(frozen=True, slots=True)
class TableState:
    """A table as a root tells it: sums over its shards, and the parts that list them, in order."""

    rows: int
    bytes: int
    rows_id: str
    lthash: LtHash = field(repr=False)
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The tables of a log at one moment. `digest` is the hash of the root, 64 hex digits."""

    digest: str
    log: str
    tables: dict[str, TableState]
    meta: dict[str, JSON]
    read: Callable[[str], bytes] = field(repr=False, compare=False)  # verified bytes of a JSON blob
    locate: Callable[[str, str], str] | None = field(default=None, repr=False, compare=False)  # Store.blob_location

    def shards(self, table: str) -> list[Shard]:
        """All entries of a table in the order in which they were added; NotFound, BlobMissing, Corrupt."""
        if table not in self.tables:
            raise NotFound("read", f"table {table}", f"not in snapshot {self.digest[:12]} of log {self.log}")
        return [shard for part in self.tables[table].parts for shard in read_part(part.digest, self.read)]


def part_sizes(shards: int) -> list[int]:
    """How a sequence of so many entries is cut: 2,345 -> 1000, 1000, 100, 100, 100, 10, 10, 10, 10, 1, 1, 1, 1, 1."""
    sizes: list[int] = []
    for size in PART_SIZES:
        sizes += [size] * (shards // size)
        shards %= size
    return sizes


def extend(
    state: TableState, added: Sequence[Shard], read: Callable[[str], bytes], write: Callable[[bytes], str]
) -> TableState:
    """The state with more shards at its end. `write` stores a JSON blob durably and gives its digest."""
    from storage import rows_id  # numpy: only who commits needs it

    sizes = part_sizes(sum(part.shards for part in state.parts) + len(added))
    kept = 0
    while kept < len(state.parts) and state.parts[kept].shards == sizes[kept]:
        kept += 1
    loose = [shard for part in state.parts[kept:] for shard in read_part(part.digest, read)]
    loose += added
    lthash = state.lthash
    for shard in added:
        lthash = rows_id.add(lthash, shard.lthash)
    return TableState(
        rows=state.rows + sum(shard.rows for shard in added),
        bytes=state.bytes + sum(shard.bytes for shard in added),
        rows_id=rows_id.rows_id(lthash),
        lthash=lthash,
        parts=(*state.parts[:kept], *_write_parts(loose, sizes[kept:], write)),
    )


def empty_state() -> TableState:
    """A table without shards."""
    from storage import rows_id

    return TableState(0, 0, rows_id.rows_id(EMPTY_LTHASH), EMPTY_LTHASH, ())


def _write_parts(shards: Iterable[Shard], sizes: Iterable[int], write: Callable[[bytes], str]) -> Iterator[Part]:
    waiting = iter(shards)
    for size in sizes:
        entries = [_entry(next(waiting)) for _ in range(size)]
        yield Part(write(canonical.dumps({"format": PART_FORMAT, "shards": entries})), size)


def _entry(shard: Shard) -> JSON:
    return {
        "digest": shard.digest,
        "rows": shard.rows,
        "bytes": shard.bytes,
        "lthash": base64.b64encode(shard.lthash).decode(),
        "first": shard.first,
        "last": shard.last,
        "covers": list(shard.covers),
    }


def read_part(digest: str, read: Callable[[str], bytes]) -> list[Shard]:
    """The entries of a part; Corrupt when it is none."""
    value = _json(read(digest), digest, PART_FORMAT)
    try:
        return [
            Shard(
                digest=entry["digest"],
                rows=entry["rows"],
                bytes=entry["bytes"],
                lthash=base64.b64decode(entry["lthash"], validate=True),
                first=entry["first"],
                last=entry["last"],
                covers=tuple(entry["covers"]),
            )
            for entry in value["shards"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt("read", f"part {digest}", f"not as the format says: {error!r}") from error


def root(tables: Mapping[str, TableState], meta: Mapping[str, JSON]) -> bytes:
    """The canonical bytes of a snapshot's root."""
    return canonical.dumps(
        {
            "format": SNAPSHOT_FORMAT,
            "meta": dict(meta),
            "tables": {
                name: {
                    "rows": state.rows,
                    "bytes": state.bytes,
                    "rows_id": state.rows_id,
                    "lthash": base64.b64encode(state.lthash).decode(),
                    "parts": [{"digest": part.digest, "shards": part.shards} for part in state.parts],
                }
                for name, state in tables.items()
            },
        }
    )


def read_root(digest: str, log: str, read: Callable[[str], bytes]) -> Snapshot:
    """The snapshot of that digest; Corrupt when the blob is none."""
    value = _json(read(digest), digest, SNAPSHOT_FORMAT)
    try:
        tables = {
            name: TableState(
                rows=table["rows"],
                bytes=table["bytes"],
                rows_id=table["rows_id"],
                lthash=base64.b64decode(table["lthash"], validate=True),
                parts=tuple(Part(part["digest"], part["shards"]) for part in table["parts"]),
            )
            for name, table in value["tables"].items()
        }
        return Snapshot(digest, log, tables, dict(value["meta"]), read)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Corrupt("read", f"snapshot {digest}", f"not as the format says: {error!r}") from error


def _json(data: bytes, digest: str, form: str) -> dict[str, Any]:
    """The object in a blob whose hash was compared already."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise Corrupt("read", f"blob {digest}", f"not JSON: {error}") from error
    if not isinstance(value, dict) or value.get("format") != form:
        raise Corrupt("read", f"blob {digest}", f"not of the format {form}")
    return value
