"""Full-text search over a snapshot's corpus: BM25 by tantivy over our own terms (storage/terms.py).

An index belongs to one snapshot and one version of the terms, is built once, aside, and renamed into place: what can
be opened is complete. It is a cache beside the store, not part of it; any of it can be deleted at any time. Query
text is never parsed as a query language.
"""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import tantivy

from storage import terms as _terms
from storage.errors import BadConfig, NotFound
from storage.passages import passage
from storage.schema import USES, Use
from storage.store import Snapshot, Store

Unknown = Literal["deny", "allow"]
Progress = Callable[[int, int], None]
"""Called with (documents done, documents in all)."""

FORMAT: Final = 1
"""Of the fields below; part of the folder's name, like the version of the terms."""

HEAP: Final = 64 << 20
"""Bytes that the writer fills before it flushes a segment: what bounds a build's memory."""

KEPT: Final = 2
"""Indexes of one log that stay when a newer one is built: the newest, and the one that a search may have open."""

MAX_QUERY_TERMS: Final = 256
"""Distinct terms; a whole page pasted as a query is cut here."""

MAX_K: Final = 1000


@dataclass(frozen=True, slots=True)
class Hit:
    """A document found. `capture_id` and `snapshot` are hex; `score` is BM25, comparable within one answer only."""

    rank: int  # from 1
    score: float
    url: str
    title: str | None
    passage: str
    fetched_at: datetime
    capture_id: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits, best first, and what was searched. Without a letter or digit in the query, `terms` is empty and so
    are the hits."""

    query: str
    terms: tuple[str, ...]
    use: Use
    corpus: str
    snapshot: str
    documents: int
    hits: tuple[Hit, ...]


class Index:
    """The opened index of one snapshot; safe to search from several threads."""

    def __init__(self, snapshot: Snapshot, folder: Path) -> None:
        self.snapshot = snapshot
        self.folder = folder
        index = tantivy.Index.open(str(folder))
        index.register_tokenizer("spaces", _spaces())
        self._schema = index.schema
        self._searcher = index.searcher()
        self.documents: int = self._searcher.num_docs

    def search(self, query: str, *, k: int = 10, use: Use = "input", unknown: Unknown | None = None) -> Answer:
        """The `k` documents (1 to 1000) that match `query` best and may serve `use`, ties by capture_id.

        A document may serve a use when it is its cluster's survivor for it and its rights allow it. Rights that are
        not known (null) pass for input and search and are denied for train, unless `unknown` says otherwise.
        """
        if not 1 <= k <= MAX_K or use not in USES or unknown not in {None, "deny", "allow"}:
            cause = f"k {k}, use {use!r}, unknown {unknown!r}"
            raise BadConfig("search", self.snapshot.log, cause, f"k is 1 to {MAX_K}, use one of {', '.join(USES)}")
        wanted = tuple(dict.fromkeys(_terms.terms(query)))[:MAX_QUERY_TERMS]
        found = self._searcher.search(self._query(wanted, use, unknown), k, count=False).hits if wanted else []
        rows = [(score, self._stored(address)) for score, address in found]
        rows.sort(key=lambda scored: (-scored[0], scored[1]["capture_id"]))
        weights = {term: self._weight(term) for term in wanted}
        hits = (self._hit(rank, score, row, weights) for rank, (score, row) in enumerate(rows, 1))
        return Answer(query, wanted, use, self.snapshot.log, self.snapshot.digest, self.documents, tuple(hits))

    def _query(self, wanted: tuple[str, ...], use: Use, unknown: Unknown | None) -> Any:
        some = tantivy.Occur.Should
        clauses = [(some, tantivy.Query.term_query(self._schema, "terms", term, "freq")) for term in wanted]
        strict = (unknown or ("deny" if use == "train" else "allow")) == "deny"
        for refused in (use, f"{use}?") if strict else (use,):
            if self._searcher.doc_freq("refused", refused):  # a clause less is a faster union
                query = tantivy.Query.term_query(self._schema, "refused", refused, "basic")
                clauses.append((tantivy.Occur.MustNot, query))
        return tantivy.Query.boolean_query(clauses)

    def _weight(self, term: str) -> float:
        having = self._searcher.doc_freq("terms", term)
        return math.log(1 + (self.documents - having + 0.5) / (having + 0.5))

    def _stored(self, address: Any) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(self._searcher.doc(address)["row"][0])
        return row

    def _hit(self, rank: int, score: float, row: dict[str, Any], weights: dict[str, float]) -> Hit:
        return Hit(
            rank=rank,
            score=score,
            url=row["url"],
            title=row["title"],
            passage=passage(row["text"], weights),
            fetched_at=datetime.fromisoformat(row["fetched_at"]),
            capture_id=row["capture_id"],
            snapshot=self.snapshot.digest,
        )


def search(
    store: Store,
    query: str,
    *,
    k: int = 10,
    use: Use = "input",
    corpus: str = "corpus",
    unknown: Unknown | None = None,
    progress: Progress | None = None,
) -> Answer:
    """`Index.search` on the newest snapshot of the log `corpus`, whose index is built first when there is none.

    NotFound when nothing has been published under that name.
    """
    snapshot = store.snapshot(corpus)
    if snapshot is None:
        raise NotFound("search", corpus, "nothing has been published under that name", "run `thresher publish` first")
    return build(store, snapshot, progress=progress).search(query, k=k, use=use, unknown=unknown)


def build(store: Store, snapshot: Snapshot, *, progress: Progress | None = None) -> Index:
    """The index of `snapshot`'s corpus, opened; made first when it is not there yet (or can not be read).

    One builder per store at a time, the next waits for it. Memory: 64 MiB and a batch of rows. On disk about as much
    as the text, which is kept for the passages. NotFound when the snapshot has no corpus.
    """
    if "corpus" not in snapshot.tables:
        raise NotFound("index", snapshot.log, "this snapshot has no corpus", "run `thresher publish` first")
    home = store.state_dir / "index"
    folder = home / f"{snapshot.digest[:16]}-{FORMAT}.{_terms.VERSION}"
    if (ready := _opened(snapshot, folder)) is not None:
        return ready
    home.mkdir(parents=True, exist_ok=True)
    with _only_builder(home):
        if (ready := _opened(snapshot, folder)) is not None:
            return ready
        for left in (*home.glob(".building-*"), folder):  # by a builder that died, and a damaged index
            shutil.rmtree(left, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=".building-", dir=home))
        try:
            _fill(made, store, snapshot, progress or (lambda _done, _of: None))
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        _retire(home, snapshot.log)
    return Index(snapshot, folder)


def _fill(folder: Path, store: Store, snapshot: Snapshot, progress: Progress) -> None:
    index = tantivy.Index(_schema(), path=str(folder))
    index.register_tokenizer("spaces", _spaces())
    writer = index.writer(HEAP, 1)  # one thread: the same corpus gives the same order of equals
    done, total = 0, snapshot.tables["corpus"].rows
    flags = [f"{kind}_{use}" for use in USES for kind in ("serves", "rights")]
    for batch in store.scan(snapshot, "corpus", ["capture_id", "url", "title", "text", "fetched_at", *flags]):
        for row in batch.to_pylist():
            writer.add_document(_document(row))
        done += len(batch)
        progress(done, total)
    writer.commit()
    writer.wait_merging_threads()
    (folder / "about.json").write_text(json.dumps({"log": snapshot.log, "snapshot": snapshot.digest}))


def _schema() -> tantivy.Schema:
    fields = tantivy.SchemaBuilder()
    fields.add_text_field("terms", tokenizer_name="spaces", index_option="freq")
    fields.add_text_field("refused", tokenizer_name="spaces", index_option="basic")
    fields.add_bytes_field("row", stored=True)
    return fields.build()


def _spaces() -> tantivy.TextAnalyzer:
    return tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()


def _document(row: dict[str, Any]) -> tantivy.Document:
    shown = {"url": row["url"], "title": row["title"], "text": row["text"] or ""}
    shown |= {"capture_id": row["capture_id"].hex(), "fetched_at": row["fetched_at"].isoformat()}
    document = tantivy.Document()
    document.add_text("terms", " ".join(_terms.terms(f"{row['title'] or ''}\n{row['text'] or ''}")))
    document.add_text("refused", " ".join(_refused(row)))
    document.add_bytes("row", json.dumps(shown, ensure_ascii=False).encode())
    return document


def _refused(row: dict[str, Any]) -> Iterator[str]:
    """`use` for one that the document may not serve, `use?` for one where nobody said."""
    for use in USES:
        serves, rights = row[f"serves_{use}"], row[f"rights_{use}"]
        if not serves or rights is False:
            yield use
        elif rights is None:
            yield f"{use}?"


def _opened(snapshot: Snapshot, folder: Path) -> Index | None:
    if not folder.is_dir():
        return None
    try:
        return Index(snapshot, folder)
    except ValueError:  # tantivy's for files that are missing or damaged
        return None


@contextmanager
def _only_builder(home: Path) -> Iterator[None]:
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, or the process dies
        yield


def _retire(home: Path, log: str) -> None:
    """Keep the newest indexes of `log`. Who has an older one open keeps its files until closing it."""
    abouts = [about for about in home.glob("*/about.json") if json.loads(about.read_bytes())["log"] == log]
    for about in sorted(abouts, key=lambda file: file.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(about.parent, ignore_errors=True)
