"""A store: blobs that never change, and logs of snapshots that say which of them are the newest truth.

Invariant, by the order of writes: a shard's blob, then the parts that list it, then the root over the parts, then the
log entry that names the root. So whatever a reader finds leads only to what is there, and a kill loses only what was
not acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from storage import blobs, manifest, place
from storage import log as logbook
from storage.backend import Backend
from storage.canonical import JSON
from storage.errors import BlobMissing, Conflict, NotFound
from storage.local import LocalBackend
from storage.log import Commit
from storage.manifest import Shard, Snapshot, TableState
from storage.rebase import Change, Holdings, applied

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Commit", "Shard", "Snapshot", "Store", "TableState", "open_store"]

ATTEMPTS: Final = 100
"""Of one commit. Each that fails means that another committer's entry landed, so there is no dead end."""


def open_store(url: str, *, create: bool = False) -> Store:
    """The store at a path, `file:///path`, `s3://bucket/prefix` or `memory://name` (tests only).

    NotAStore when there is none; with `create`, a place that is absent, empty or a store already is fine, and
    NotAStore means that something else is there.
    """
    backend, state = place.connect(url, create=create)
    return Store(backend, state)


class Store:
    """One store. Any number of threads and processes may read and commit at the same time."""

    def __init__(self, backend: Backend, state_dir: Path) -> None:
        self.backend: Final = backend  # for code of this room that looks at a store from below: verify, later gc
        self._state_dir: Final = state_dir
        self._heads: Final[dict[str, Commit]] = {}
        self._written: Final[set[str]] = set()  # shards by this object, which need not be looked for
        self._holdings: Final = Holdings(self._read_json)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    @property
    def url(self) -> str:
        """Normalised: two spellings of one place are one URL."""
        return self.backend.url

    @property
    def state_dir(self) -> Path:
        """Folder of this machine for what is not part of the store (key, unsent bundles, frontier), made if it can."""
        return place.made(self._state_dir)

    # blobs

    def put_blob(self, data: bytes, suffix: str) -> str:
        """Store bytes, durable on return; 64 hex digits of their SHA-256. `suffix`: warc.gz, parquet or json."""
        return blobs.put(self.backend, data, suffix)

    def put_file(self, path: Path, suffix: str, *, digest: str | None = None) -> str:
        """Copy a file in, without holding it in memory; Corrupt when it does not hash to `digest`."""
        return blobs.put_file(self.backend, path, suffix, digest)

    def read_blob(self, digest: str, suffix: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length`, not checked against the digest; BlobMissing."""
        return blobs.read(self.backend, digest, suffix, offset, length)

    def has_blob(self, digest: str, suffix: str) -> bool:
        return self.backend.exists(blobs.name(digest, suffix))

    def blob_location(self, digest: str, suffix: str) -> str:
        """Path of a file with the blob's bytes: its own on a local disk (whether or not it is there), else a cached
        and verified copy in `state_dir` (BlobMissing, Corrupt)."""
        if isinstance(self.backend, LocalBackend):
            return str(self.backend.path(blobs.name(digest, suffix)))
        cache = LocalBackend(self.state_dir / "cache")
        if not cache.exists(blobs.name(digest, suffix)):
            blobs.put(cache, blobs.read_verified(self.backend, digest, suffix), suffix)
        return str(cache.path(blobs.name(digest, suffix)))

    # logs

    def logs(self) -> list[str]:
        """Names of the logs that have an entry, sorted."""
        return [name for name in self.backend.list("logs") if self.head(name)]

    def head(self, log: str) -> Commit | None:
        """The newest commit of a log; None when there is none."""
        head = logbook.head(self.backend, log, self._heads.get(log))
        if head is not None:
            self._heads[log] = head
        return head

    def history(self, log: str) -> list[Commit]:
        """All commits of a log, newest first."""
        found = logbook.numbers(self.backend, log)
        return [logbook.read(self.backend, log, number) for number in reversed(found)]

    def snapshot(self, log: str, ref: str | None = None) -> Snapshot | None:
        """The newest snapshot, None when there is none; or the one whose digest starts with `ref` (NotFound)."""
        if ref is None:
            head = self.head(log)
            return self._opened(head.snapshot, log) if head else None
        found = {commit.snapshot for commit in self.history(log) if commit.snapshot.startswith(ref.lower())}
        if len(found) != 1:
            cause = f"{len(found)} snapshots of log {log} begin so" if found else f"no snapshot of log {log} begins so"
            raise NotFound("open snapshot", ref, cause, "give more digits" if found else "")
        return self._opened(found.pop(), log)

    def _opened(self, digest: str, log: str) -> Snapshot:
        return replace(manifest.read_root(digest, log, self._read_json), locate=self.blob_location)

    def covered(self, log: str, table: str) -> set[str]:
        """The union of what the table's shards cover, in the newest snapshot."""
        snapshot = self.snapshot(log)
        if snapshot is None or table not in snapshot.tables:
            return set()
        return set().union(*(part.covers for part in self._holdings.of(log, table, snapshot.tables[table])))

    def commit(
        self,
        log: str,
        *,
        add: Mapping[str, Sequence[Shard]] | None = None,
        replace: Mapping[str, Sequence[Shard]] | None = None,
        meta: Mapping[str, JSON] | None = None,
        at: datetime,
        by: str,
    ) -> Commit | None:
        """Make a new snapshot the newest of a log, durable on return; None when it would change nothing.

        `add` appends shards to what the newest snapshot holds at that moment; a shard whose `covers` are all there
        already is left out. `replace` makes tables consist of exactly these shards. Other tables of the log stay.
        `meta` becomes the snapshot's. When another committer is faster this starts again on top of what landed, at
        most ATTEMPTS times. Conflict when a shard is there in part; BlobMissing when a shard was never written.
        """
        change = Change(add or {}, replace or {})
        if both := set(change.add) & set(change.replace):
            raise ValueError(f"add to or replace a table, not both: {sorted(both)}")
        self._require(change.shards())
        for _ in range(ATTEMPTS):
            head = self.head(log)
            tables = manifest.read_root(head.snapshot, log, self._read_json).tables if head else {}
            after = applied(log, tables, change, self._holdings, self._read_json, self._write_json)
            if after is None:
                return None
            root = self._write_json(manifest.root(after, meta or {}))
            number, parent = (head.number + 1, head.snapshot) if head else (1, None)
            commit = Commit(log, number, root, parent, at, by)
            if logbook.append(self.backend, commit):
                self._heads[log] = commit
                return commit
        raise Conflict("commit", log, f"others were faster {ATTEMPTS} times", "try again with fewer committers")

    # shards

    def write_shard(self, table: str, rows: pa.Table, covers: Sequence[str] = ()) -> Shard:
        """Write rows as a canonical shard (sorted, in the declared schema), durable on return; commit names it.

        ValueError when the columns are not the table's; NotFound when there is no such table.
        """
        from storage import shards  # pyarrow takes 0.2 s to import

        canonical = shards.canonical_rows(table, rows)
        data = shards.encode(table, canonical)
        self._written.add(self.put_blob(data, "parquet"))
        return shards.describe(table, canonical, data, covers)

    def scan(self, snapshot: Snapshot, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows of a table, shard by shard, each in its order, in the declared types; BlobMissing, Corrupt.

        Nothing when the snapshot has no such table; NotFound when no snapshot could have it.
        """
        from storage import shards

        shards.schema_of(table)
        for shard in snapshot.shards(table) if table in snapshot.tables else []:
            yield from shards.scan(self.blob_location(shard.digest, "parquet"), table, columns)

    def _require(self, shards: Sequence[Shard]) -> None:
        for shard in shards:
            if shard.digest not in self._written and not self.has_blob(shard.digest, "parquet"):
                raise BlobMissing("commit", f"{shard.digest}.parquet", "this shard was never written to this store")

    def _read_json(self, digest: str) -> bytes:
        return blobs.read_verified(self.backend, digest, "json")

    def _write_json(self, data: bytes) -> str:
        return self.put_blob(data, "json")
