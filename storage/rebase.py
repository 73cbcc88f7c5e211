"""What a commit makes of the tables that it finds: decided anew each time that another committer was faster.

`covers` names the work whose whole result a shard is. So work that was done twice, by two processes or before and
after a crash, is recognised here and enters a table once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from storage import manifest
from storage.errors import Conflict
from storage.manifest import Shard, TableState

Read = Callable[[str], bytes]
Write = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit was asked to do: shards to append, and tables to become exactly these shards."""

    add: Mapping[str, Sequence[Shard]]
    replace: Mapping[str, Sequence[Shard]]

    def shards(self) -> list[Shard]:
        return [shard for part in (self.add, self.replace) for shards in part.values() for shard in shards]


@dataclass(frozen=True, slots=True)
class _Held:
    """What one part holds, as far as a later commit asks."""

    covers: frozenset[str]
    digests: frozenset[str]


class Holdings:
    """What the newest snapshots cover, kept between commits so that each part is read once per process."""

    def __init__(self, read: Read) -> None:
        self._read: Final = read
        self._held: Final[dict[tuple[str, str], dict[str, _Held]]] = {}
        self._lock: Final = threading.Lock()

    def of(self, log: str, table: str, state: TableState) -> list[_Held]:
        """What each part of a table holds; forgets parts that are no longer in it."""
        with self._lock:
            before = self._held.get((log, table), {})
        now = {part.digest: before.get(part.digest) or self._load(part.digest) for part in state.parts}
        with self._lock:
            self._held[log, table] = now
        return list(now.values())

    def _load(self, digest: str) -> _Held:
        shards = manifest.read_part(digest, self._read)
        covers = frozenset(cover for shard in shards for cover in shard.covers)
        return _Held(covers, frozenset(shard.digest for shard in shards))


def applied(
    log: str, tables: Mapping[str, TableState], change: Change, holdings: Holdings, read: Read, write: Write
) -> dict[str, TableState] | None:
    """The tables after the change; None when no table's rows change and nothing new is covered. Conflict."""
    after = dict(tables)
    covering = False
    for table, shards in change.add.items():
        held = holdings.of(log, table, tables[table]) if table in tables else []
        fresh = _fresh(log, table, shards, held)
        covering |= any(shard.covers for shard in fresh)
        if fresh:
            after[table] = manifest.extend(tables.get(table) or manifest.empty_state(), fresh, read, write)
    for table, shards in change.replace.items():
        after[table] = manifest.extend(manifest.empty_state(), shards, read, write)
    same = {table: state.rows_id for table, state in tables.items()} == {
        table: state.rows_id for table, state in after.items()
    }
    return None if same and not covering else after


def _fresh(log: str, table: str, shards: Sequence[Shard], held: Sequence[_Held]) -> list[Shard]:
    """The shards that are not in the table yet; Conflict when one is there in part."""
    fresh: list[Shard] = []
    covers: set[str] = set()
    digests: set[str] = set()
    for shard in shards:
        known = [cover for cover in shard.covers if cover in covers or any(cover in part.covers for part in held)]
        there = shard.digest in digests or any(shard.digest in part.digests for part in held)
        if len(known) == len(shard.covers) and (shard.covers or there):
            continue
        name = f"{table} of log {log}"
        hint = "read what is covered and make the shard again from the rest"
        if known:
            cause = f"shard {shard.digest[:12]} covers {len(known)} of {len(shard.covers)} that are covered already"
            raise Conflict("commit", name, f"{cause}, like {known[0]}", hint)
        if there and shard.rows:
            raise Conflict("commit", name, f"the rows of shard {shard.digest[:12]} are there, under other covers", hint)
        fresh.append(shard)
        covers.update(shard.covers)
        digests.add(shard.digest)
    return fresh
