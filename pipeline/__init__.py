"""Pages to documents to a corpus: pure functions over Arrow tables, without network or store.

Importing this package imports nothing heavy: extraction, compilation and DuckDB are loaded by the call that needs
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import duckdb
    import pyarrow as pa

    from pipeline.child import Limits
    from pipeline.policy import Policy as Policy
    from pipeline.recipe import Recipe as Recipe

__all__ = ["Policy", "Recipe", "clean", "publish", "signatures"]


def __getattr__(name: str) -> Any:
    if name == "Recipe":
        from pipeline.recipe import Recipe

        return Recipe
    if name == "Policy":
        from pipeline.policy import Policy

        return Policy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def clean(pages: pa.Table, recipe: Recipe, *, workers: int = 1, limits: Limits | None = None) -> pa.Table:
    """Documents of pages, one row per page in the same order; see `pipeline.cleaning.clean`."""
    from pipeline import cleaning

    return cleaning.clean(pages, recipe, workers=workers, limits=limits)


def signatures(text: pa.Array) -> pa.FixedSizeBinaryArray:
    """448 bytes of MinHash for every text, null for null; see `pipeline.minhash.signatures`."""
    from pipeline import minhash

    return minhash.signatures(text)


def publish(
    documents: Iterable[pa.RecordBatch],
    policy: Policy,
    texts: Callable[[pa.Array], pa.Table],
    scratch: duckdb.DuckDBPyConnection,
) -> None:
    """Decide about every document, into three tables of `scratch`; see `pipeline.dedup.publishing.publish`."""
    from pipeline.dedup import publishing

    publishing.publish(documents, policy, texts, scratch)
