"""What the published filters look at, as numbers: every rule's value for a text, and no verdict.

A policy decides later which values drop a document, so another threshold never means another cleaning. All rules
share one tokenised view of the text (`pipeline.rules.view`); a ratio is 0..1, and null for a text without content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.rules import c4, fineweb, gopher
from pipeline.rules.view import View, views
from storage.schema import MEASURES

__all__ = ["measure", "measures"]

_NOTHING: Mapping[str, int | float | None] = dict.fromkeys(MEASURES.names)


def measure(text: str | None) -> dict[str, int | float | None]:
    """Every measure of one text: the columns of `storage.schema.MEASURES`, all null when the text is blank or null."""
    return _measured([text])[0]


def measures(text: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The measures of every text, one row each, in the schema MEASURES."""
    return pa.Table.from_pylist(_measured(text.to_pylist()), schema=MEASURES)


def _measured(texts: Sequence[str | None]) -> list[dict[str, int | float | None]]:
    rows = [dict(_NOTHING) for _ in texts]
    filled = [(row, text) for row, text in zip(rows, texts, strict=True) if text and not text.isspace()]
    for (row, _), view in zip(filled, views([text for _, text in filled]), strict=True):
        row.update(_of(view))
    return rows


def _of(view: View) -> dict[str, int | float | None]:
    return {
        "chars": view.chars,
        **gopher.quality(view),
        **gopher.repetition(view),
        **c4.values(view),
        **fineweb.values(view),
    }
