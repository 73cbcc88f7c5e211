"""`pipeline.clean`: a pure function of each page, whatever its neighbours do to the process that cleans them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipeline
from pipeline import Recipe, stem
from pipeline.child import Limits
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


def slow(rows: int = 400_000) -> bytes:
    """A page that the extractor works on for half a minute: a table of a million cells and more."""
    return html("<table>" + "<tr><td>one cell</td><td>another cell</td></tr>" * rows + "</table>")


PATIENT = Recipe(max_bytes=1 << 30, max_tags=1 << 30)
"""Lets slow pages through to the extractor."""


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


def children() -> list[int]:
    """Process ids of the children at work now."""
    root = stem.shared().pid
    return [int(pid) for pid in Path(f"/proc/{root}/task/{root}/children").read_text().split()]


@contextmanager
def harassed(harm: signal.Signals, times: int) -> Iterator[list[int]]:
    """Send `harm` to the child at work, `times` times, each time to another one that has worked for a while."""
    harmed: list[int] = []
    over = threading.Event()

    def harass() -> None:
        while len(harmed) < times and not over.wait(0.02):
            for pid in children():
                if pid not in harmed and not over.wait(0.7):
                    os.kill(pid, harm)
                    harmed.append(pid)

    stem.shared()
    thread = threading.Thread(target=harass)
    thread.start()
    try:
        yield harmed
    finally:
        over.set()
        thread.join()


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


def test_calls_from_several_threads_share_the_stem_and_not_their_rows(real: pa.Table) -> None:
    expected = pipeline.clean(real.slice(0, 12), Recipe())
    found: dict[int, pa.Table] = {}

    def run(at: int) -> None:
        found[at] = pipeline.clean(real.slice(3 * at, 3), Recipe())

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pa.concat_tables([found[at] for at in range(4)]) == expected


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


def test_a_page_that_computes_for_ever_is_given_up_and_costs_no_other_page() -> None:
    given = pages(article(1), article(2), slow(), article(3))

    started = time.monotonic()
    found = pipeline.clean(given, PATIENT, workers=2, limits=Limits(cpu_seconds=1))

    assert found["extractor"].to_pylist() == ["trafilatura", "trafilatura", "unprocessable", "trafilatura"]
    assert found["title"].to_pylist() == ["Page number 1", "Page number 2", None, "Page number 3"]
    assert found["rights_train"].to_pylist() == [True] * 4
    assert time.monotonic() - started < 60
    assert pipeline.clean(pages(article(2)), Recipe())["text"].to_pylist() == [found["text"].to_pylist()[1]]


def test_a_child_that_gives_no_sign_of_life_is_ended_and_its_pages_are_cleaned() -> None:
    given = pages(article(1), slow(20_000), article(2))
    expected = pipeline.clean(given, Recipe())

    with harassed(signal.SIGSTOP, 1) as stopped:
        found = pipeline.clean(given, Recipe(), limits=Limits(wall_seconds=3))

    assert found == expected
    assert len(stopped) == 1
    assert stopped[0] not in children()


def test_a_child_that_is_killed_twice_loses_no_page() -> None:
    given = pages(article(1), slow(25_000), article(2))
    expected = pipeline.clean(given, Recipe())

    with harassed(signal.SIGKILL, 2) as killed:
        found = pipeline.clean(given, Recipe())

    assert found == expected
    assert len(killed) == 2


def test_a_page_at_which_three_children_die_becomes_a_document_without_text() -> None:
    given = pages(article(1), slow(), article(2))

    with harassed(signal.SIGKILL, 3) as killed:
        found = pipeline.clean(given, PATIENT, limits=Limits(cpu_seconds=60))

    assert len(killed) == 3
    assert found["extractor"].to_pylist() == ["trafilatura", "unprocessable", "trafilatura"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how large a process is")
def test_a_page_that_explodes_in_memory_is_given_up() -> None:
    given = pages(article(1), slow(60_000), article(2))

    found = pipeline.clean(given, PATIENT, limits=Limits(cpu_seconds=60, memory_bytes=96 << 20))

    assert found["extractor"].to_pylist() == ["trafilatura", "unprocessable", "trafilatura"]
    assert found["text"].to_pylist()[2] == pipeline.clean(pages(article(2)), Recipe())["text"].to_pylist()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stem_and_children_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import pipeline, test_cleaning as t\nfrom pipeline import stem\n"
        "print(stem.shared().pid, flush=True)\n"
        "pipeline.clean(t.pages(t.slow(), t.slow()), t.PATIENT, workers=2, limits=t.Limits(cpu_seconds=600))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        root = int(process.stdout.readline())
        tasks = Path(f"/proc/{root}/task/{root}/children")
        deadline = time.monotonic() + 60
        while not (pids := tasks.read_text().split()) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.kill()
    family = [root, *map(int, pids)]

    deadline = time.monotonic() + 10
    while any(running(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert pids
    assert not [pid for pid in family if running(pid)]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_dead_stem_is_replaced() -> None:
    first = stem.shared()
    os.kill(first.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while first.alive and time.monotonic() < deadline:
        time.sleep(0.02)

    assert clean_one(article(1))["title"] == "Page number 1"
    assert stem.shared().pid != first.pid


def test_a_fork_of_this_process_does_not_use_its_stem() -> None:
    stem.shared()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not stem._running else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert stem.shared().alive
