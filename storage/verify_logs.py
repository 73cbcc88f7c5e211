"""The first half of `verify`: from the log entries down to the names of all blobs, every sum added up again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from storage import canonical, manifest
from storage import log as logbook
from storage.errors import ThresherError
from storage.findings import Findings
from storage.log import Commit
from storage.manifest import Part, Shard, Snapshot, TableState
from storage.rows_id import ZERO, add, rows_id
from storage.store import Store

_COMMIT_AGAIN: Final = "readers should use another snapshot of the log; commit the table again with `replace`"


@dataclass(frozen=True, slots=True)
class References:
    """Shards that any snapshot of any log lists, with table and entry; the logs whose newest snapshot is a corpus."""

    shards: dict[str, tuple[str, Shard]] = field(default_factory=dict)
    corpora: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sum:
    """Of the entries of one part."""

    shards: int
    rows: int
    lthash: bytes
    bytes: int


def read_logs(store: Store, findings: Findings) -> References:
    """Read every log entry, root and part; note what is wrong; return what they lead to."""
    references = References()
    sums: dict[tuple[str, str], _Sum | None] = {}
    roots: set[str] = set()
    for log in store.backend.list("logs"):
        findings.logs += 1
        for commit in _entries(store, log, findings):
            if commit.snapshot in roots:
                continue
            roots.add(commit.snapshot)
            snapshot = _root(store, commit, findings)
            if snapshot is not None:
                for table, state in snapshot.tables.items():
                    _check_table(store, snapshot, table, state, sums, references, findings)
        newest = _newest(store, log)
        if newest is not None and "corpus" in newest.tables:
            references.corpora.append(log)
    return references


def _entries(store: Store, log: str, findings: Findings) -> list[Commit]:
    commits: list[Commit] = []
    try:
        numbers = logbook.numbers(store.backend, log)
    except ThresherError as error:
        findings.problem(f"logs/{log}", error.cause, "move it out of the store: no commit made it")
        return commits
    for before, number in zip([None, *numbers], numbers, strict=False):
        name = logbook.entry_name(log, number)
        if before is not None and number != before + 1:
            findings.problem(name, f"the entries between {before} and {number} are missing")
        try:
            commit = logbook.read(store.backend, log, number)
        except ThresherError as error:
            findings.problem(name, error.cause)
            continue
        if commits and commits[-1].number == number - 1 and commit.parent != commits[-1].snapshot:
            findings.problem(name, "its parent is not the snapshot of the entry before it")
        commits.append(commit)
    return commits


def _root(store: Store, commit: Commit, findings: Findings) -> Snapshot | None:
    findings.snapshots += 1
    try:
        return manifest.read_root(commit.snapshot, commit.log, lambda digest: _blob(store, digest, findings))
    except ThresherError as error:
        findings.problem(f"snapshot {commit.snapshot} (entry {commit.number} of log {commit.log})", error.cause)
        return None


def _newest(store: Store, log: str) -> Snapshot | None:
    try:
        return store.snapshot(log)
    except ThresherError:
        return None  # noted when its entry or root was read


def _blob(store: Store, digest: str, findings: Findings) -> bytes:
    """A JSON blob, hashed and in canonical form; raises for any other."""
    findings.blobs += 1
    data = store.read_blob(digest, "json")
    findings.bytes += len(data)
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise ThresherError("read", digest, f"is damaged: its {len(data)} bytes hash to {found}")
    canonical.loads(data, digest)
    return data


def _check_table(
    store: Store,
    snapshot: Snapshot,
    table: str,
    state: TableState,
    sums: dict[tuple[str, str], _Sum | None],
    references: References,
    findings: Findings,
) -> None:
    total = _Sum(0, 0, ZERO, 0)
    for part in state.parts:
        key = (table, part.digest)
        if key not in sums:
            sums[key] = _part(store, table, part, references, findings)
        found = sums[key]
        if found is None:
            return
        if found.shards != part.shards:
            wrong = f"part {part.digest} lists {found.shards} shards, the root says {part.shards}"
            findings.problem(f"table {table} of snapshot {snapshot.digest}", wrong, _COMMIT_AGAIN)
        total = _Sum(0, total.rows + found.rows, add(total.lthash, found.lthash), total.bytes + found.bytes)
    said = _Sum(0, state.rows, state.lthash, state.bytes)
    if total != said or rows_id(state.lthash) != state.rows_id:
        wrong = f"rows, bytes, lthash or rows_id of the root are not the sum of its parts ({total.rows} rows)"
        findings.problem(f"table {table} of snapshot {snapshot.digest}", wrong, _COMMIT_AGAIN)


def _part(store: Store, table: str, part: Part, references: References, findings: Findings) -> _Sum | None:
    try:
        shards = manifest.read_part(part.digest, lambda digest: _blob(store, digest, findings))
    except ThresherError as error:
        findings.problem(f"part {part.digest} of {table}", error.cause)
        return None
    state = ZERO
    for shard in shards:
        references.shards.setdefault(shard.digest, (table, shard))
        state = add(state, shard.lthash)
    return _Sum(len(shards), sum(shard.rows for shard in shards), state, sum(shard.bytes for shard in shards))
