"""Pages to documents, here and now: what a child does with the pages it is given.

Invariant: a row depends on its page and the recipe only; neither on the other pages nor on their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from pipeline.extract import Extraction, extract, unprocessable
from pipeline.language import language, script
from pipeline.minhash import signatures
from pipeline.pii import redact
from pipeline.recipe import Recipe
from pipeline.rights import joined
from pipeline.rules import measures
from storage.schema import DOCUMENTS, MEASURES

_KEPT: Final = ("capture_id", "page_id", "url", "host", "site", "fetched_at")

Row = dict[str, Any]


def documents(pages: pa.Table, recipe: Recipe, begin: Callable[[], None] = lambda: None) -> pa.Table:
    """The documents of `pages` (PAGES), one row each, in the same order (DOCUMENTS).

    Args:
        begin: called before every page.

    Raises:
        MemoryError: a page needs more than there is. Nothing else that a parser raises comes out: that page's row is
            "unprocessable".
    """
    rows: list[Row] = []
    for page in pages.to_pylist():
        begin()
        rows.append(document(page, _extracted(page, recipe)))
    return table(rows)


def abandoned(pages: pa.Table) -> pa.Table:
    """The documents of pages that can not be processed: no text, extractor "unprocessable"."""
    return table([document(page, unprocessable()) for page in pages.drop_columns("payload").to_pylist()])


def document(page: Row, found: Extraction) -> Row:
    """A row of DOCUMENTS without measures and signature."""
    redacted = redact(found.text or "")  # leaves the normal form normal: a test says so
    text = redacted.text or None
    tongue = language(text) if text else None
    return {
        **{name: page[name] for name in _KEPT},
        "doc_id": hashlib.sha256(text.encode()).digest() if text else None,
        "title": found.title,
        "author": found.author,
        "published_at": found.published_at,
        "lang": tongue.code if tongue else None,
        "lang_score": tongue.score if tongue else None,
        "script": script(text) if text else None,
        "text": text,
        "pii_emails": redacted.emails if text else None,
        "pii_ips": redacted.ips if text else None,
        **joined(page, found.denials),
        "licence": found.licence,
        "extractor": found.extractor,
        "confidence": found.confidence,
    }


def table(rows: list[Row]) -> pa.Table:
    """Rows with their measures and signatures, in the schema DOCUMENTS."""
    texts = pa.array([row["text"] for row in rows], DOCUMENTS.field("text").type)
    measured = measures(texts)
    columns = {"text": texts, "signature": signatures(texts)}
    columns |= {name: measured[name] for name in MEASURES.names}
    columns |= {
        field.name: pa.array([row[field.name] for row in rows], field.type)
        for field in DOCUMENTS
        if field.name not in columns
    }
    return pa.table([columns[name] for name in DOCUMENTS.names], schema=DOCUMENTS)


def _extracted(page: Row, recipe: Recipe) -> Extraction:
    try:
        return extract(page["payload"], page["url"], recipe, mime=page["mime"], charset=page["charset"])
    except MemoryError:
        raise  # says nothing about the page: what was cleaned before it may have taken the memory
    except Exception:  # noqa: BLE001 - parsers raise anything on hostile bytes, and one bad page costs one row
        return unprocessable()
