"""From captures to documents: what no `documents` snapshot of this recipe covers yet, batch by batch.

The unit of work is a slice of a bundle: at most SLICE cleanable captures in the order of their offsets. Captures of a
bundle never change, so a slice means the same rows to every process for ever, and its name in `covers` is enough to
resume after a crash and to keep two cleaners from writing a row twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

import pipeline
from flows.progress import Meter
from pipeline.recipe import Recipe
from storage import bundles, sql
from storage.schema import DOCUMENTS
from storage.store import Store

SLICE: Final = 512
"""Captures in a slice, at most. Part of the store format: it names what a shard covers."""

BATCH_PAGES: Final = 2048
BATCH_BYTES: Final = 16 << 20
"""A batch, and so a shard and a commit, is closed by whichever comes first: pages, or compressed bytes of pages."""

CHUNK_ROWS: Final = 16
CHUNK_BYTES: Final = 16 << 20
"""Payloads are read this many at a time and cleaned when this many bytes are together, to bound memory."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The k-th SLICE cleanable captures of a bundle (64 hex)."""

    bundle: str
    k: int
    pages: int
    bytes: int

    @property
    def key(self) -> str:
        return f"{self.bundle}/{self.k}"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one call of `clean` did."""

    log: str
    pages: int
    documents: int
    batches: int


def log_of(recipe: Recipe) -> str:
    """The log that the documents of a recipe go to."""
    return f"documents-{recipe.id}"


def plan(store: Store, recipe: Recipe) -> list[list[Slice]]:
    """Batches of the slices that this recipe has not cleaned, in the order of bundle and offset."""
    with sql.connect(store) as con:
        found = con.execute(
            """
            SELECT lower(hex(bundle)), position // $slice AS k, count(*), sum(length)
            FROM (SELECT bundle, length, row_number() OVER (PARTITION BY bundle ORDER BY "offset") - 1 AS position
                  FROM captures WHERE page_id IS NOT NULL)
            GROUP BY ALL ORDER BY ALL
            """,
            {"slice": SLICE},
        ).fetchall()
    covered = store.covered(log_of(recipe), "documents")
    slices = [Slice(bundle, int(k), int(pages), int(size)) for bundle, k, pages, size in found]
    return list(_batches([piece for piece in slices if piece.key not in covered]))


def _batches(slices: Sequence[Slice]) -> Iterator[list[Slice]]:
    batch: list[Slice] = []
    pages = size = 0
    for piece in slices:
        if batch and (pages + piece.pages > BATCH_PAGES or size + piece.bytes > BATCH_BYTES):
            yield batch
            batch, pages, size = [], 0, 0
        batch.append(piece)
        pages += piece.pages
        size += piece.bytes
    if batch:
        yield batch


def clean_batch(
    store: Store,
    batch: Sequence[Slice],
    recipe: Recipe,
    *,
    workers: int,
    at: datetime,
    tell: Callable[[int], None] | None = None,
) -> int:
    """Clean the pages of one batch and commit their documents; returns the number of documents with text.

    `tell` is called with the number of pages whenever some more of them are clean.
    """
    parts: list[pa.Table] = [DOCUMENTS.empty_table()]
    for pages in _pages(store, batch):
        parts.append(pipeline.clean(pages, recipe, workers=workers))
        if tell is not None:
            tell(pages.num_rows)
    documents = pa.concat_tables(parts)
    shard = store.write_shard("documents", documents, covers=[piece.key for piece in batch])
    store.commit(log_of(recipe), add={"documents": [shard]}, meta={"recipe": recipe.id}, at=at, by="clean")
    return int(documents.num_rows - documents["text"].null_count)


def _pages(store: Store, batch: Sequence[Slice]) -> Iterator[pa.Table]:
    """Tables of the schema PAGES, each bounded by CHUNK_BYTES and by what CHUNK_ROWS payloads add to it."""
    captures = _captures(store, batch)
    waiting: list[pa.Table] = []
    size = 0
    for start in range(0, captures.num_rows, CHUNK_ROWS):
        pages = bundles.pages(store, captures.slice(start, CHUNK_ROWS))
        waiting.append(pages)
        size += pages["payload"].nbytes
        if size >= CHUNK_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _captures(store: Store, batch: Sequence[Slice]) -> pa.Table:
    query = """
        SELECT * EXCLUDE (position) FROM (
            SELECT *, row_number() OVER (PARTITION BY bundle ORDER BY "offset") - 1 AS position
            FROM captures WHERE page_id IS NOT NULL AND list_contains($bundles, bundle))
        WHERE list_contains($keys, lower(hex(bundle)) || '/' || (position // $slice))
        ORDER BY bundle, "offset"
        """
    parameters = {
        "bundles": [bytes.fromhex(bundle) for bundle in {piece.bundle for piece in batch}],
        "keys": [piece.key for piece in batch],
        "slice": SLICE,
    }
    with sql.connect(store) as con:
        return con.sql(query, params=parameters).to_arrow_table()


def clean(store: Store, recipe: Recipe, *, workers: int, quiet: bool = False) -> Cleaned:
    """Clean everything that is not cleaned yet. Safe to stop at any moment and to run twice."""
    with Meter("clean", "pages", quiet=quiet) as meter:
        batches = plan(store, recipe)
        total = sum(piece.pages for batch in batches for piece in batch)
        done = documents = 0

        def tell(pages: int) -> None:
            nonlocal done
            done += pages
            meter.update(done, total)

        for batch in batches:
            documents += clean_batch(store, batch, recipe, workers=workers, at=datetime.now(UTC), tell=tell)
        meter.finish(f"{done:,} pages, {documents:,} documents with text" if batches else "nothing to do")
    return Cleaned(log_of(recipe), done, documents, len(batches))
