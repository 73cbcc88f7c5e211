"""Feeds a training run from a snapshot's corpus: one global shuffled order, any number of ranks, exact resume.

The order is arithmetic over (snapshot, use, seed, unknown, window, epoch): a keyed permutation of all row groups, cut
into windows of a few, and one of the rows inside each window. Nothing is buffered that a state would have to hold,
so a position is one integer. Every rank decodes every window that holds rows of its own: ranks share nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from storage.errors import BadConfig, NotFound
from storage.permutation import Indices, shuffled
from storage.schema import CORPUS, USES, Use
from storage.store import Snapshot, Store
from storage.windows import Group, RowGroups, Rows, Unknown, gathered

FORMAT: Final = "thresher-reader-1"
"""Part of every state: another order is another format, and a state of the old one is refused."""


class _Epoch(NamedTuple):
    """How one epoch is laid out."""

    number: int
    windows: list[list[Group]]
    starts: Indices  # global row number at which each window begins, and where the last ends


class _Window(NamedTuple):
    """A window that is being read, or is there."""

    groups: list[Future[Rows]]
    order: Indices  # of its usable rows


class Reader:
    """Arrow batches of the rows that may serve `use`, this rank's share of one order that all ranks agree on.

    Global batch i, of `batch_rows` rows (the last of an epoch may be shorter), goes to rank i % world: `world` and
    `rank` decide who gets a batch, never what is in it. A row is in when serves_<use> is true and rights_<use> is
    true; rights that are not known (null) count as denied unless `unknown` is "allow".

    Iterating runs from the current position to the end of the epoch; iterating again gives the next epoch, in another
    order. When world does not divide the number of batches, the last round of an epoch reaches only the first ranks.
    Memory: two windows, of `window` row groups (4,096 rows each) of the chosen columns, one in use and one being read.

    `source` is a snapshot, or a store: then `snapshot` is one of it, a digest's beginning, or None for the
    newest of the log `corpus`. `state` is what `state()` of
    any rank returned: the run goes on with exactly the batch that would have come next, at any world size.
    NotFound when there is no such snapshot or no corpus in it; BadConfig for impossible arguments or a state of
    another order; BlobMissing and Corrupt, from iterating too.
    """

    def __init__(
        self,
        source: Snapshot | Store,
        snapshot: Snapshot | str | None = None,
        *,
        use: Use,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_rows: int = 1024,
        columns: Sequence[str] = ("text",),
        unknown: Unknown = "deny",
        window: int = 8,
        corpus: str = "corpus",
        state: Mapping[str, object] | None = None,
    ) -> None:
        _check(use=use, rank=rank, world=world, batch_rows=batch_rows, columns=columns, unknown=unknown, window=window)
        self.snapshot: Final = _resolved(source, snapshot, corpus)
        self._rank, self._world = rank, world
        self._batch_rows, self._window_groups = batch_rows, window
        self._columns = pa.schema([CORPUS.field(name) for name in columns])
        self._order: Final = {
            "format": FORMAT,
            "snapshot": self.snapshot.digest,
            "use": use,
            "seed": seed,
            "unknown": unknown,
            "window": window,
        }
        self._key = _digest(self._order)
        locate = self.snapshot.locate
        assert locate is not None, "a store opened it"
        paths = [locate(shard.digest, "parquet") for shard in self.snapshot.shards("corpus")]
        self._groups = RowGroups(paths, use, unknown)
        self.rows: Final = sum(group.rows for group in self._groups.usable)
        self.batches: Final = -(-self.rows // batch_rows)
        self._epoch, self._position = self._restored(state) if state is not None else (0, 0)
        self._threads = ThreadPoolExecutor(min(window, os.cpu_count() or 1), thread_name_prefix="thresher-reader")
        self._windows: dict[int, _Window] = {}

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        start = self._position
        epoch = self._laid_out(self._epoch)
        self._windows = {}
        for index in range(start + (self._rank - start) % self._world, self.batches, self._world):
            batch = self._batch(epoch, index)
            # All ranks together will have had the batches before this: the same number on every rank.
            self._move(epoch.number, start + ((index - start) // self._world + 1) * self._world)
            yield batch
        self._windows = {}
        self._move(epoch.number, self.batches)

    def state(self) -> dict[str, object]:
        """Where the run stands once every rank has taken as many batches as this one: JSON, a few hundred bytes."""
        return {
            "fingerprint": _digest(self._fingerprinted()).hex(),
            "of": self._fingerprinted(),
            "epoch": self._epoch,
            "position": self._position,
        }

    def _move(self, epoch: int, position: int) -> None:
        done = position >= self.batches
        self._epoch, self._position = (epoch + 1, 0) if done else (epoch, position)

    def _fingerprinted(self) -> dict[str, object]:
        return {**self._order, "batch_rows": self._batch_rows}

    def _restored(self, state: Mapping[str, object]) -> tuple[int, int]:
        ours, of = self._fingerprinted(), state.get("of")
        theirs = of if isinstance(of, Mapping) else {}
        if state.get("fingerprint") != _digest(ours).hex():
            differ = [
                f"{name} {theirs.get(name)!r} is now {ours[name]!r}" for name in ours if theirs.get(name) != ours[name]
            ]
            cause = f"the state is of another order: {', '.join(differ) or 'its fingerprint does not fit'}"
            raise BadConfig("resume", self.snapshot.digest[:16], cause, "use the arguments the state was made with")
        epoch, position = state.get("epoch"), state.get("position")
        if not (isinstance(epoch, int) and isinstance(position, int) and epoch >= 0 and 0 <= position <= self.batches):
            cause = f"epoch {epoch!r}, position {position!r} of {self.batches} batches"
            raise BadConfig("resume", self.snapshot.digest[:16], cause, "start again without a state")
        return epoch, position

    def _laid_out(self, epoch: int) -> _Epoch:
        groups, size = self._groups.usable, self._window_groups
        order = [groups[i] for i in shuffled(len(groups), self._subkey(epoch, "groups"))]
        windows = [order[i : i + size] for i in range(0, len(order), size)]
        starts = np.cumsum([0, *(sum(group.rows for group in window) for window in windows)])
        return _Epoch(epoch, windows, starts)

    def _batch(self, epoch: _Epoch, index: int) -> pa.RecordBatch:
        row, end = index * self._batch_rows, min((index + 1) * self._batch_rows, self.rows)
        pieces: list[pa.Table] = []
        while row < end:
            number = int(np.searchsorted(epoch.starts, row, side="right")) - 1
            first, stop = int(epoch.starts[number]), min(end, int(epoch.starts[number + 1]))
            window = self._window(epoch, number, (index + self._world) * self._batch_rows)
            rows = [group.result() for group in window.groups]
            pieces.append(gathered(rows, window.order[row - first : stop - first]))
            row = stop
        return pa.concat_tables(pieces).combine_chunks().to_batches()[0]

    def _window(self, epoch: _Epoch, number: int, next_row: int) -> _Window:
        """The window, while the one after it that this rank will need is being read; all others are let go."""
        following = max(number + 1, int(np.searchsorted(epoch.starts, next_row, side="right")) - 1)
        held, self._windows = self._windows, {}
        for each in (number, following):
            if each < len(epoch.windows):
                self._windows[each] = held.get(each) or self._begun(epoch, each)
        return self._windows[number]

    def _begun(self, epoch: _Epoch, number: int) -> _Window:
        groups = [self._threads.submit(self._groups.load, group, self._columns) for group in epoch.windows[number]]
        rows = sum(group.rows for group in epoch.windows[number])
        return _Window(groups, shuffled(rows, self._subkey(epoch.number, f"rows {number}")))

    def _subkey(self, epoch: int, purpose: str) -> bytes:
        return self._key + f" epoch {epoch} {purpose}".encode()


def _check(
    *, use: str, rank: int, world: int, batch_rows: int, columns: Sequence[str], unknown: str, window: int
) -> None:
    strange = [name for name in columns if name not in CORPUS.names]
    objections = {
        f"use {use!r}": use not in USES,
        f"rank {rank} of world {world}": not 0 <= rank < world,
        f"batch_rows {batch_rows}": batch_rows < 1,
        f"columns {strange or list(columns)}": bool(strange) or not columns or len(set(columns)) != len(columns),
        f"unknown {unknown!r}": unknown not in {"deny", "allow"},
        f"window {window}": window < 1,
    }
    hint = f"uses: {', '.join(USES)}; columns: those of the corpus table, once each"
    for cause, wrong in objections.items():
        if wrong:
            raise BadConfig("read", "corpus", cause, hint)


def _resolved(source: Snapshot | Store, snapshot: Snapshot | str | None, corpus: str) -> Snapshot:
    if isinstance(source, Snapshot):
        found: Snapshot | None = source
    else:
        found = snapshot if isinstance(snapshot, Snapshot) else source.snapshot(corpus, snapshot)
    if found is None or "corpus" not in found.tables:
        raise NotFound("read", corpus, "nothing has been published under that name", "run `thresher publish` first")
    return found


def _digest(values: Mapping[str, object]) -> bytes:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).digest()
