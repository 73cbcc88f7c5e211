"""From documents to a corpus: the policy applied, and corpus, removals and edges committed as one snapshot.

Nothing is extracted again: a new policy over the same documents is only a new publish.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

import pipeline
from flows.clean import log_of
from flows.progress import Meter
from pipeline.policy import Policy
from pipeline.recipe import Recipe
from storage import Shard, Snapshot, Store, sql
from storage.errors import NotFound
from storage.schema import DOCUMENTS, SORT_KEYS, TABLES

SHARD_BYTES: Final = 128 << 20
"""Of Arrow data in a shard of the corpus; zstd makes about a third of it on disk."""

SCRATCH_MEMORY: Final = "600MB"


@dataclass(frozen=True, slots=True)
class Published:
    """Rows of the newest snapshot of a corpus, and whether this call wrote it."""

    log: str
    snapshot: str
    rows_id: str
    corpus: int
    removals: int
    edges: int
    written: bool


def publish(store: Store, recipe: Recipe, policy: Policy, *, name: str = "corpus", quiet: bool = False) -> Published:
    """Apply `policy` to all documents of `recipe`; raises NotFound when nothing was cleaned yet."""
    documents = store.snapshot(log_of(recipe))
    if documents is None:
        raise NotFound("publish", log_of(recipe), "no documents of this recipe", "run `thresher clean` first")
    with (
        Meter("publish", "documents", quiet=quiet) as meter,
        tempfile.TemporaryDirectory(prefix="publish-", dir=store.state_dir) as folder,
        sql.scratch(Path(folder), memory_limit=SCRATCH_MEMORY) as scratch,
    ):
        total = documents.tables["documents"].rows
        meter.update(0, total, "reading")
        pipeline.publish(_counted(_narrow(store, documents), meter, total), policy, _texts(store, documents), scratch)
        meter.update(total, total, "writing")
        _corpus_view(store, documents, scratch)
        tables = {table: list(_write(store, scratch, table)) for table in ("corpus", "removals", "edges")}
        meta = {
            "recipe": recipe.id,
            "policy": policy.id,
            "policy_values": asdict(policy),
            "documents": documents.digest,
        }
        commit = store.commit(name, replace=tables, meta=meta, at=datetime.now(UTC), by="publish")
        result = _published(store, name, written=commit is not None)
        meter.finish(f"{result.corpus:,} of {total:,} documents kept" + ("" if commit else "; nothing has changed"))
    return result


def _published(store: Store, name: str, *, written: bool) -> Published:
    snapshot = store.snapshot(name)
    assert snapshot is not None
    rows = {table: state.rows for table, state in snapshot.tables.items()}
    return Published(
        name,
        snapshot.digest,
        snapshot.tables["corpus"].rows_id,
        rows["corpus"],
        rows["removals"],
        rows["edges"],
        written,
    )


def _narrow(store: Store, documents: Snapshot) -> Iterator[pa.RecordBatch]:
    """Everything but the text: what decisions are made of."""
    return store.scan(documents, "documents", [column for column in DOCUMENTS.names if column != "text"])


def _counted(batches: Iterable[pa.RecordBatch], meter: Meter, total: int) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        done += batch.num_rows
        meter.update(done, total, "reading")
        yield batch


def _texts(store: Store, documents: Snapshot) -> Any:
    """The callable by which verification asks for texts: capture ids in, table(capture_id, text) out."""
    files = sql.files(store, documents, "documents")

    def texts(capture_ids: pa.Array) -> pa.Table:
        with sql.scratch(None, memory_limit=SCRATCH_MEMORY) as con:
            con.register("wanted", pa.table({"capture_id": pa.array(capture_ids)}))
            query = "SELECT capture_id, text FROM read_parquet($files) SEMI JOIN wanted USING (capture_id)"
            return con.sql(query, params={"files": files}).to_arrow_table()

    return texts


def _corpus_view(store: Store, documents: Snapshot, scratch: Any) -> None:
    """Join the survivors with their documents and with who fetched them."""
    captures = store.snapshot("captures")
    assert captures is not None, "documents are made of captures"
    scratch.execute("CREATE VIEW documents_now AS " + sql.select(store, documents, "documents"))
    scratch.execute("CREATE VIEW captures_now AS " + sql.select(store, captures, "captures"))
    columns = ", ".join(f'"{name}"' for name in TABLES["corpus"].names)
    scratch.execute(
        f"""CREATE VIEW corpus AS SELECT {columns} FROM documents_now
        JOIN survivors USING (capture_id)
        JOIN (SELECT capture_id, node, bundle FROM captures_now) USING (capture_id)"""
    )


def _write(store: Store, scratch: Any, table: str) -> Iterator[Shard]:
    """Stream a sorted relation into shards of about SHARD_BYTES."""
    order = ", ".join(f'"{key}"' for key in SORT_KEYS[table])
    columns = ", ".join(f'"{name}"' for name in TABLES[table].names)
    reader = scratch.sql(f'SELECT {columns} FROM "{table}" ORDER BY {order}').to_arrow_reader(8192)
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        waiting.append(batch)
        size += batch.nbytes
        if size >= SHARD_BYTES:
            yield store.write_shard(table, pa.Table.from_batches(waiting).cast(TABLES[table]))
            waiting, size = [], 0
    if waiting:
        yield store.write_shard(table, pa.Table.from_batches(waiting).cast(TABLES[table]))
