"""`pipeline.clean`: a pure function of each page, whatever its neighbours do to the process that cleans them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipeline
from pipeline import Recipe
from pipeline.documents import documents
from storage.errors import NotFound
from storage.schema import DOCUMENTS, MEASURES, PAGES

ROOT = Path(__file__).parents[1]
SENTENCES = (
    "The lighthouse keeper climbed the stairs every evening.",
    "Nobody had asked him to count the steps, but he counted them.",
    "Ships passed in the distance, and some of them greeted the light.",
    "When the fog came in, he rang the bell until his arms were tired.",
)


def html(body: str, head: str = "") -> bytes:
    return f"<!doctype html><html><head><title>A page</title>{head}</head><body>{body}</body></html>".encode()


def article(number: int) -> bytes:
    prose = "".join(f"<p>{number}. {' '.join(SENTENCES[k:] + SENTENCES[:k])}</p>" for k in range(4))
    return html(f"<article><h1>Page number {number}</h1>{prose}</article>")


def pages(*payloads: bytes, **columns: Any) -> pa.Table:
    rows = [
        {
            "capture_id": hashlib.sha256(b"%d" % at).digest(),
            "page_id": hashlib.sha256(payload).digest(),
            "url": f"http://coast.test/{at}",
            "host": "coast.test",
            "site": "coast.test",
            "fetched_at": datetime(2026, 11, 23, tzinfo=UTC),
            "mime": "text/html",
            "rights_train": True,
            "rights_input": True,
            "payload": payload,
            **columns,
        }
        for at, payload in enumerate(payloads)
    ]
    return pa.Table.from_pylist(rows, schema=PAGES)


def clean_one(payload: bytes, **columns: Any) -> dict[str, Any]:
    return dict(pipeline.clean(pages(payload, **columns), Recipe()).to_pylist()[0])


def test_importing_the_room_imports_nothing_heavy() -> None:
    code = (
        "import sys, pipeline\n"
        "heavy = {'trafilatura', 'numba', 'pyarrow', 'duckdb', 'py3langid', 'datasketch', 'numpy'}\n"
        "assert not heavy & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_page_becomes_a_document() -> None:
    head = '<meta name="author" content="A. Keeper"><meta name="date" content="2026-01-02">'
    prose = " ".join(SENTENCES * 2)
    body = f"<article><h1>The keeper</h1><p>{prose} Write to keeper@coast.net from 8.8.8.8.</p></article>"

    found = clean_one(html(body, head), charset="utf-8")

    assert found["text"].endswith("Write to email@example.com from 192.0.2.1.")
    assert found["doc_id"] == hashlib.sha256(found["text"].encode()).digest()
    assert (found["title"], found["author"], found["published_at"]) == (
        "The keeper",
        "A. Keeper",
        datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert (found["lang"], found["script"], found["extractor"]) == ("en", "Latn", "trafilatura")
    assert (found["pii_emails"], found["pii_ips"]) == (1, 1)
    assert (found["rights_train"], found["rights_search"], found["rights_evidence"]) == (True, None, None)
    assert found["chars"] == len(found["text"])
    assert found["gopher_words"] > 80
    assert found["lang_score"] > 0.9
    assert 0 < found["confidence"] <= 1
    assert len(found["signature"]) == 448
    assert found["url"] == "http://coast.test/0"


def test_a_page_that_objects_loses_rights_and_keeps_its_text() -> None:
    body = f"<p>{' '.join(SENTENCES)}</p>"

    found = clean_one(html(body, '<meta name="robots" content="noai">'))

    assert (found["rights_train"], found["rights_input"], found["rights_search"]) == (False, True, None)
    assert json.loads(found["rights_evidence"])[0] == {
        "source": "meta", "value": "robots: noai", "use": "train", "verdict": "disallow",
    }  # fmt: skip
    assert found["text"]


@pytest.mark.parametrize(
    ("payload", "extractor"),
    [
        (b"", "plain"),
        (b" \n ", "plain"),
        (html(""), "trafilatura"),
        (bytes(range(256)) * 50, "not_text"),
        (b"%PDF-1.4 ...", "not_text"),
        (b"<" * 400_000, "too_large"),
    ],
)
def test_a_page_without_text_is_a_document_of_nulls(payload: bytes, extractor: str) -> None:
    found = clean_one(payload)

    known = {name for name, value in found.items() if value is not None}
    assert known - {"title"} == {
        "capture_id", "page_id", "url", "host", "site", "fetched_at", "rights_train", "rights_input", "extractor",
    }  # fmt: skip
    assert found["extractor"] == extractor
    assert all(found[name] is None for name in MEASURES.names)


def test_the_table_has_one_row_per_page_in_the_same_order_and_the_declared_schema() -> None:
    given = pages(*(article(n) if n % 7 else b"" for n in range(50)))

    found = pipeline.clean(given, Recipe(), workers=2)

    assert found.schema == DOCUMENTS
    assert found["capture_id"].to_pylist() == given["capture_id"].to_pylist()
    assert [row is None for row in found["text"].to_pylist()] == [n % 7 == 0 for n in range(50)]
    assert found["title"].to_pylist()[1::7] == [f"Page number {n}" for n in range(1, 50, 7)]


def test_no_pages_are_no_documents() -> None:
    assert pipeline.clean(PAGES.empty_table(), Recipe()) == DOCUMENTS.empty_table()


def test_columns_may_come_in_any_order_and_a_missing_one_is_named() -> None:
    given = pages(article(1))
    shuffled = given.select(sorted(given.column_names)).append_column("more", pa.array([1]))

    assert pipeline.clean(shuffled, Recipe()) == pipeline.clean(given, Recipe())
    with pytest.raises(NotFound, match="charset"):
        pipeline.clean(given.drop_columns("charset"), Recipe())


@pytest.fixture(scope="module")
def real(corpus: Path) -> pa.Table:
    """Real pages and made ones, none the same."""
    import tarfile

    with tarfile.open(corpus / "extraction" / "aeb" / "html.tar.xz") as archive:
        found = [archive.extractfile(member).read() for member in list(archive)[:25]]  # type: ignore[union-attr]
    return pages(*found, *(article(n) for n in range(10, 20)))


def test_a_row_depends_on_its_page_alone(real: pa.Table) -> None:
    forwards = pipeline.clean(real, Recipe())
    backwards = pipeline.clean(real.take(list(reversed(range(real.num_rows)))), Recipe())
    apart = [pipeline.clean(real.slice(at, 1), Recipe()) for at in range(0, real.num_rows, 7)]
    twice = pipeline.clean(pa.concat_tables([real.slice(0, 5)] * 4), Recipe())

    assert backwards.take(list(reversed(range(real.num_rows)))) == forwards
    assert pa.concat_tables(apart) == forwards.take(list(range(0, real.num_rows, 7)))
    assert twice == pa.concat_tables([forwards.slice(0, 5)] * 4)
    assert set(forwards["extractor"].to_pylist()) == {"trafilatura"}


def test_workers_change_nothing(real: pa.Table) -> None:
    alone = pipeline.clean(real, Recipe(), workers=1)

    assert pipeline.clean(real, Recipe(), workers=2) == alone
    assert pipeline.clean(real, Recipe(), workers=5) == alone
    assert documents(real, Recipe()) == alone.combine_chunks()  # and the child changes nothing


HOSTILE = {
    "colspan of 2^53": html("<table><tr><td colspan=9007199254740992>x</td></tr></table><p>" + SENTENCES[0] + "</p>"),
    "many wide cells": html("<table>" + "<tr><td colspan=1000 rowspan=65534>x</td></tr>" * 300 + "</table>"),
    "elements in elements": html("<div>" * 100_000 + "deep" + "</div>" * 100_000),
    "unclosed lists": html("<ul><li>x" * 50_000),
    "unclosed tables": html("<table><tr><td>x" * 20_000),
    "unclosed formatting": html("<b><i><font>text <p>more " * 2_000),
    "long attribute": html(f"<p class='{'a' * 2_000_000}'>text</p>"),
    "many attributes": html(f"<p {' '.join(f'a{n}=1' for n in range(50_000))}>text</p>"),
    "long word": html(f"<p>{'x' * 3_000_000}</p>"),
    "entities": html("<p>" + "&lt;&#0;&#xD800;&#x110000;&nbsp;&bogus;" * 5_000 + "</p>"),
    "nulls inside": html("<p>a\0b\0c " + SENTENCES[1] + "</p>"),
    "binary served as HTML": os.urandom(200_000),
    "markup of markup": b"<<<>>><!<!--<![CDATA[<?php " * 5_000,
    "broken JSON-LD": html('<script type="application/ld+json">' + "[" * 200_000 + "</script><p>text</p>"),
    "half a character": article(1)[:-20] + "漢".encode()[:2],
    "wrong charset": article(2).replace(b"<title>", b"<meta charset=utf-16><title>"),
    "latin-1 that says UTF-8": article(3).replace(b"keeper", "Wärter".encode("latin-1")),
    "UTF-16": article(4).decode().encode("utf-16"),
    "UTF-32": article(5).decode().encode("utf-32"),
    "too many bytes": b"<p>" + b"x " * (9 << 20),
}


def test_hostile_pages_are_rows_and_harm_no_other_page() -> None:
    around = [article(n) for n in range(len(HOSTILE) + 1)]
    mixed = [payload for pair in zip(around, HOSTILE.values(), strict=False) for payload in pair] + around[-1:]

    found = pipeline.clean(pages(*mixed), Recipe(), workers=2)

    assert found.num_rows == len(mixed)
    alone = pipeline.clean(pages(*around), Recipe())
    for name in ("text", "doc_id", "signature", "title", "gopher_words"):
        assert found[name].to_pylist()[::2] == alone[name].to_pylist()
    hostile = dict(zip(HOSTILE, found.to_pylist()[1::2], strict=True))
    assert "unprocessable" not in {row["extractor"] for row in hostile.values()}
    assert SENTENCES[0] in hostile["colspan of 2^53"]["text"]
    assert "Wärter" in hostile["latin-1 that says UTF-8"]["text"]
    assert "keeper" in hostile["wrong charset"]["text"]
    assert "keeper" in hostile["UTF-16"]["text"]
    assert hostile["binary served as HTML"]["extractor"] == "not_text"
    assert hostile["too many bytes"]["extractor"] == "too_large"
