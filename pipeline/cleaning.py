"""`clean`: pages to documents, in children that hostile pages may hang, crash or exhaust."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import pyarrow as pa

from pipeline.child import Limits
from pipeline.documents import abandoned
from pipeline.recipe import Recipe
from pipeline.workers import Workers
from storage.errors import NotFound
from storage.schema import DOCUMENTS, PAGES

RUN_PAGES: Final = 16
RUN_BYTES: Final = 4 * 1024 * 1024
"""Pages that a child gets at once: enough that sending them costs nothing, few enough that workers end together."""


def clean(pages: pa.Table, recipe: Recipe, *, workers: int = 1, limits: Limits | None = None) -> pa.Table:
    """The documents of `pages`: one row per page, in the same order, in the schema DOCUMENTS.

    A row depends on its page and the recipe alone: on any number of workers, among any other pages, the same row. A
    page that three children did not survive (a crash, or beyond `limits`) is a document without text, extractor
    "unprocessable".

    Args:
        pages: columns of PAGES, in any order; others are ignored.
        workers: children at work at the same time, at least 1.
        limits: what one page may take.

    Raises:
        NotFound: a column of PAGES is missing.
        ThresherError: no child can be started.
    """
    missing = [name for name in PAGES.names if name not in pages.column_names]
    if missing:
        raise NotFound(
            "clean", f"column {missing[0]}", "the table of pages does not have it", "see storage.schema.PAGES"
        )
    pages = pages.select(PAGES.names).cast(PAGES)
    runs = _runs(pages)
    # Not more children than runs: each costs a fork.
    with Workers(pages, recipe, max(1, min(workers, len(runs))), limits or Limits()) as at_work:
        done = dict(at_work.clean(runs))
        done |= {page: abandoned(pages.slice(page, 1)) for page in at_work.abandoned}
    return pa.concat_tables([DOCUMENTS.empty_table(), *(done[first] for first in sorted(done))]).combine_chunks()


def _runs(pages: pa.Table) -> list[Sequence[int]]:
    """Consecutive pages, cut where a run would have more than RUN_PAGES pages or RUN_BYTES bytes."""
    cuts, size = [0], 0
    for at, payload in enumerate(pages["payload"]):
        length = len(payload.as_buffer() or b"")
        if at > cuts[-1] and (at - cuts[-1] == RUN_PAGES or size + length > RUN_BYTES):
            cuts.append(at)
            size = 0
        size += length
    return [range(first, last) for first, last in pairwise([*cuts, pages.num_rows]) if last > first]
