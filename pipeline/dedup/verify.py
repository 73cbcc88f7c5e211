"""The text decides: exact Jaccard and containment of every candidate pair.

Invariant: a pair in `work.near` was compared on the texts of both documents. Texts come in bounded blocks, and of
them only the hashes of their shingles are kept, within a bound.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.dedup import scratch as work
from pipeline.dedup.bands import Words64
from pipeline.dedup.overlap import Numbers, common, shingle_hashes
from pipeline.policy import Policy
from storage.errors import NotFound

Texts = Callable[[pa.Array], pa.Table]
"""capture_ids (binary) -> a table (capture_id, text) with a row for each of them, in any order."""

Kept = OrderedDict[int, Words64]
"""doc number -> shingle hashes, the most recently needed last."""

NEAR: Final = pa.schema(
    [
        ("a", pa.int64()),
        ("b", pa.int64()),
        ("jaccard", pa.float64()),
        ("containment", pa.float64()),
        ("bands", pa.int16()),
        ("size_a", pa.int64()),
        ("size_b", pa.int64()),
    ]
)

_CHARS: Final = 32_000_000
"""Characters of text per call of `texts`: up to 128 MB."""

_SHORT: Final = 1_000
"""Characters that a text counts for at least, so that a call asks for at most some 32,000 documents."""

_KEPT: Final = 12_000_000
"""Shingle hashes that are kept for later pairs: 96 MB."""

_ROWS: Final = 50_000
"""Pairs per batch."""


def verify(scratch: duckdb.DuckDBPyConnection, policy: Policy, texts: Texts) -> None:
    """Leave `work.near`: the pairs of `work.candidates` that are near by the text, with columns NEAR.

    a and b are doc numbers, sizes are shingles. Containment is that of the smaller set in the larger.

    Raises:
        NotFound: `texts` has no text for a document that it was asked for.
    """
    work.create(scratch, "work.near", NEAR)
    kept: Kept = OrderedDict()
    for batch in _pairs(scratch):
        for block in _blocks(batch, kept):
            _load(block, kept, texts)
            work.append(scratch, "work.near", _compared(block, kept, policy))
            _forget(kept)


def _pairs(scratch: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    """Candidate pairs with the captures and lengths of their texts.

    Pairs of one neighbourhood stand together, so that hardly any text is read twice.
    """
    query = """
        WITH homes AS (
            SELECT doc, min(home) AS home FROM (
                SELECT a AS doc, a AS home FROM work.candidates UNION ALL SELECT b, a FROM work.candidates)
            GROUP BY doc)
        SELECT a, b, bands, one.capture_id AS capture_a, other.capture_id AS capture_b,
               coalesce(one.chars, 0) AS chars_a, coalesce(other.chars, 0) AS chars_b
        FROM work.candidates
        JOIN homes AS home_a ON home_a.doc = a JOIN homes AS home_b ON home_b.doc = b
        JOIN work.documents AS one ON one.row = a JOIN work.documents AS other ON other.row = b
        ORDER BY least(home_a.home, home_b.home), b, a"""
    return work.read(scratch, query, _ROWS)


def _docs(block: pa.RecordBatch) -> Numbers:
    """The documents of each pair, pair after pair: a, b, a, b ..."""
    return np.stack([block["a"].to_numpy(), block["b"].to_numpy()], axis=1).reshape(-1)


def _blocks(batch: pa.RecordBatch, kept: Kept) -> Iterator[pa.RecordBatch]:
    """The batch in runs of pairs whose texts not in `kept` have about `_CHARS` characters."""
    docs, first = np.unique(_docs(batch), return_index=True)
    chars = np.stack([batch["chars_a"].to_numpy(), batch["chars_b"].to_numpy()], axis=1).reshape(-1)
    new = first[[doc not in kept for doc in docs.tolist()]]
    cost = np.zeros(len(chars), np.int64)
    cost[new] = np.maximum(chars[new], _SHORT)
    block = cost.cumsum()[1::2] // _CHARS
    for start, stop in pairwise([*np.flatnonzero(np.diff(block, prepend=-1)), len(block)]):
        yield batch.slice(start, stop - start)


def _load(block: pa.RecordBatch, kept: Kept, texts: Texts) -> None:
    """Hash the texts that `block` needs and `kept` lacks; what the block needs becomes the most recent."""
    captures = dict(zip(block["a"].to_pylist(), block["capture_a"].to_pylist(), strict=True))
    captures.update(zip(block["b"].to_pylist(), block["capture_b"].to_pylist(), strict=True))
    for doc in captures.keys() & kept.keys():
        kept.move_to_end(doc)
    wanted = {captures[doc]: doc for doc in sorted(captures.keys() - kept.keys())}
    if not wanted:
        return
    found = texts(pa.array(list(wanted), pa.binary()))
    for capture, text in zip(_values(found["capture_id"]), _values(found["text"]), strict=True):
        if capture in wanted and text is not None:
            kept[wanted.pop(capture)] = shingle_hashes(text)
    if wanted:
        missing = next(iter(wanted)).hex()
        raise NotFound("compare", f"capture {missing}", "its text is not there", "clean the captures again")


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """One value at a time: a text is a Python string only while it is hashed."""
    return (value.as_py() for chunk in column.chunks for value in chunk)


def _compared(block: pa.RecordBatch, kept: Kept, policy: Policy) -> pa.Table:
    """Rows of `work.near` for those pairs of `block` that are near or contained."""
    docs, places = np.unique(_docs(block), return_inverse=True)
    sets = [kept[doc] for doc in docs.tolist()]
    one, other = places[0::2], places[1::2]
    sizes = np.array([len(elements) for elements in sets], np.int64)
    shared = common(sets, one, other)
    jaccard = shared / np.maximum(sizes[one] + sizes[other] - shared, 1)
    containment = shared / np.maximum(np.minimum(sizes[one], sizes[other]), 1)
    wanted = math.inf if policy.containment is None else policy.containment
    columns = [block["a"], block["b"], jaccard, containment, block["bands"], sizes[one], sizes[other]]
    table = pa.table(dict(zip(NEAR.names, columns, strict=True)), schema=NEAR)
    return table.filter(pa.array((jaccard >= policy.near) | (containment >= wanted)))


def _forget(kept: Kept) -> None:
    """Drop what was not needed for longest until at most `_KEPT` hashes are held."""
    held = sum(map(len, kept.values()))
    while held > _KEPT:
        held -= len(kept.popitem(last=False)[1])
