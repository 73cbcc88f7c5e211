"""Publishing: which reason a document gets, that none is lost, and that order, batches and bounds change nothing."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.dedup import loading, verify
from pipeline.dedup.publishing import publish
from pipeline.minhash import signatures
from pipeline.policy import Policy, Rule
from storage.errors import Corrupt, NotFound
from storage.schema import DOCUMENTS, EDGES, REMOVALS

RULES = (Rule("gopher_words", 50, 1000), Rule("gopher_hash_ratio", high=0.1), Rule("gopher_words", 60))


def row(name: str, text: str | None, **columns: Any) -> dict[str, Any]:
    """A document whose measures pass; `name` makes its URL and, with fetched_at, its capture_id."""
    url = columns.pop("url", f"https://{name}.test/")
    at = columns.pop("fetched_at", 0)
    return {
        "capture_id": hashlib.sha256(f"{name} {at}".encode()).digest(),
        "doc_id": None if text is None else hashlib.sha256(text.encode()).digest(),
        "url": url,
        "fetched_at": at,
        "lang": "en",
        "text": text,
        "chars": None if text is None else len(text),
        "gopher_words": 500,
        **columns,
    }


def documents(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """Rows of table documents; columns that a row does not give are null."""
    table = pa.Table.from_pylist(list(rows), DOCUMENTS)
    texts = table["text"].fill_null("").combine_chunks()
    return table.set_column(len(DOCUMENTS) - 1, "signature", signatures(texts))


def made(seed: int, *words: str) -> str:
    """200 words drawn by `seed`, then `words`: texts of different seeds have nothing in common."""
    draw = random.Random(seed)
    return " ".join([*(f"{seed}x{draw.randrange(10**9)}" for _ in range(200)), *words])


def texts_of(table: pa.Table) -> verify.Texts:
    def texts(ids: pa.Array) -> pa.Table:
        return table.filter(pc.is_in(table["capture_id"], ids.cast(pa.binary(32)))).select(["capture_id", "text"])

    return texts


def batches(table: pa.Table, count: int = 1) -> Iterator[pa.RecordBatch]:
    size = -(-table.num_rows // count) or 1
    yield from table.drop_columns(["text"]).combine_chunks().to_batches(size)


def result(scratch: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
    return {
        name: scratch.sql(f"SELECT * FROM {name} ORDER BY ALL").to_arrow_table()
        for name in ("survivors", "removals", "edges")
    }


def published(table: pa.Table, policy: Policy) -> dict[str, pa.Table]:
    with duckdb.connect() as scratch:
        publish(batches(table), policy, texts_of(table), scratch)
        return result(scratch)


def reasons(table: pa.Table, policy: Policy) -> dict[str, str]:
    """url -> reason; of several versions of a URL the removed ones."""
    found = published(table, policy)["removals"]
    return dict(zip(found["url"].to_pylist(), found["reason"].to_pylist(), strict=True))


def collection() -> pa.Table:
    """Some 260 documents in which each reason occurs, with versions, copies, drifts and mixed rights."""
    draw = random.Random(5)
    rows = []
    for k in range(60):
        rights = {f"rights_{use}": draw.choice([None, None, True, False]) for use in ("train", "input", "search")}
        rows.append(row(f"base{k}", made(k), fetched_at=k, **rights))
        copies, drifts, versions = draw.randrange(3), draw.randrange(4), draw.randrange(3)
        rows += [row(f"copy{k}-{copy}", made(k), fetched_at=draw.randrange(9)) for copy in range(copies)]
        rows += [row(f"drift{k}-{n}", made(k, *map(str, range(k, k + 8 * n)))) for n in range(drifts)]
        rows += [row(f"base{k}", made(1000 + k), fetched_at=100 + version) for version in range(versions)]
    rows += [row(f"short{k}", made(2000 + k), gopher_words=k) for k in range(10)]
    rows += [row(f"blank{k}", None) for k in range(5)]
    rows += [row(f"other{k}", made(3000 + k), lang="fr") for k in range(5)]
    denied = {"rights_train": False, "rights_input": False, "rights_search": False}
    rows += [row(f"denied{k}", made(4000 + k), **denied) for k in range(5)]
    return documents(rows)


POLICY = Policy(thresholds=RULES, languages=("en",))

# --- reasons ----------------------------------------------------------------------------------------------------


def test_each_reason_and_its_place_in_the_order() -> None:
    """Each document here also fails everything that comes after its reason."""
    denied = {"rights_train": False, "rights_input": False, "rights_search": False}
    bad = {"lang": "fr", "gopher_words": 10, "gopher_hash_ratio": 0.5, **denied}
    text = made(1)
    table = documents(
        [
            row("versions", None, fetched_at=1, url="https://superseded.test/", **bad),
            row("versions", made(2), fetched_at=2, url="https://superseded.test/"),
            row("no-text", None, **bad),
            row("language", text, **bad),
            row("words", text, **{**bad, "lang": "en"}),
            row("hashes", text, **{**bad, "lang": "en", "gopher_words": 55}),
            row("rights", text, **denied),
            row("kept", text),
            row("near", made(1, "one", "word", "more"), rights_train=None, chars=1),
            row("exact", text, fetched_at=5),
        ]
    )

    assert reasons(table, POLICY) == {
        "https://superseded.test/": "superseded",
        "https://no-text.test/": "no_text",
        "https://language.test/": "language",
        "https://words.test/": "gopher_words",
        "https://hashes.test/": "gopher_hash_ratio",
        "https://rights.test/": "rights",
        "https://near.test/": "near",
        "https://exact.test/": "exact",
    }


def test_the_newest_version_stays_and_equal_times_go_by_capture() -> None:
    url = "https://a.test/"
    versions = [row(f"v{k}", made(k), fetched_at=at, url=url) for k, at in enumerate((3, 7, 7, 5))]
    newest = min(versions[1]["capture_id"], versions[2]["capture_id"])

    found = published(documents(versions), POLICY)

    assert found["survivors"]["capture_id"].to_pylist() == [newest]
    assert set(found["removals"]["reason"].to_pylist()) == {"superseded"}
    assert set(found["removals"]["survivor_capture_id"].to_pylist()) == {newest}


@pytest.mark.parametrize(("words", "threshold"), [(49, 50.0), (50, 60.0), (59, 60.0), (1001, 1000.0)])
def test_a_failed_rule_reports_value_and_bound(words: int, threshold: float) -> None:
    [found] = published(documents([row("a", made(1), gopher_words=words)]), POLICY)["removals"].to_pylist()

    assert (found["reason"], found["value"], found["threshold"]) == ("gopher_words", words, threshold)
    assert found["survivor_capture_id"] is None


@pytest.mark.parametrize("words", [60, 1000, None])
def test_bounds_are_inclusive_and_what_is_not_known_passes(words: int | None) -> None:
    assert reasons(documents([row("a", made(1), gopher_words=words)]), POLICY) == {}


def test_fineweb_removes_a_document_on_the_bound_itself() -> None:
    on_bound = documents(
        [row("a", made(1), fineweb_punctuated_lines=0.12), row("b", made(2), fineweb_short_lines=0.67)]
    )

    assert reasons(on_bound, Policy.preset("fineweb")) == {
        "https://a.test/": "fineweb_punctuated_lines",
        "https://b.test/": "fineweb_short_lines",
    }


def test_the_first_rule_of_the_policy_that_fails_is_the_reason() -> None:
    table = documents([row("a", made(1), gopher_words=10, gopher_hash_ratio=0.5)])

    assert reasons(table, POLICY) == {"https://a.test/": "gopher_words"}
    assert reasons(table, replace(POLICY, thresholds=RULES[1:])) == {"https://a.test/": "gopher_hash_ratio"}


def test_a_rule_does_not_judge_the_languages_that_it_exempts() -> None:
    table = documents([row(lang or "none", made(1), gopher_words=10, lang=lang) for lang in ("ja", "en", None)])
    exempting = Policy(thresholds=(Rule("gopher_words", 50, exempt=("ja", "zh")),))

    assert set(reasons(table, exempting)) == {"https://en.test/", "https://none.test/"}


def test_a_document_that_one_use_may_have_stays() -> None:
    table = documents([row("a", made(1), rights_train=False, rights_input=False)])

    [kept] = published(table, POLICY)["survivors"].to_pylist()

    assert (kept["serves_train"], kept["serves_input"], kept["serves_search"]) == (False, False, True)


def test_rights_that_are_only_recorded_remove_nothing() -> None:
    denied = documents([row("a", made(1), rights_train=False, rights_input=False, rights_search=False)])

    assert reasons(denied, POLICY) == {"https://a.test/": "rights"}
    assert reasons(denied, replace(POLICY, rights="record")) == {}


def test_languages_keep_what_they_name_and_an_unknown_language_goes() -> None:
    table = documents([row("de", made(1), lang="de"), row("en", made(2), lang="en"), row("x", made(3), lang=None)])

    assert reasons(table, replace(POLICY, languages=("de", "en"))) == {"https://x.test/": "language"}
    assert reasons(table, replace(POLICY, languages=())) == {}


def test_a_removed_document_removes_no_other() -> None:
    """The longer copy fails a rule; the shorter one must not fall to it."""
    table = documents([row("long", made(1, "more"), gopher_words=1), row("short", made(1))])

    assert reasons(table, POLICY) == {"https://long.test/": "gopher_words"}


# --- the whole --------------------------------------------------------------------------------------------------


def test_every_document_ends_once_and_clusters_add_up() -> None:
    table = collection()

    found = published(table, POLICY)

    kept, gone = found["survivors"]["capture_id"].to_pylist(), found["removals"]["capture_id"].to_pylist()
    counts = Counter(found["removals"]["reason"].to_pylist())
    assert sorted(kept + gone) == sorted(table["capture_id"].to_pylist())
    assert set(counts) == {"superseded", "no_text", "language", "gopher_words", "rights", "exact", "near"}
    assert sum(found["survivors"]["cluster_size"].to_pylist()) == len(kept) + counts["exact"] + counts["near"]


def test_every_duplicate_names_a_survivor_that_stays_and_every_near_one_an_edge() -> None:
    found = published(collection(), POLICY)

    kept = set(found["survivors"]["capture_id"].to_pylist())
    duplicates = [r for r in found["removals"].to_pylist() if r["reason"] in ("exact", "near")]
    assert {r["survivor_capture_id"] for r in duplicates} <= kept
    edges = {(e["capture_id_a"], e["capture_id_b"]): e for e in found["edges"].to_pylist()}
    assert len(edges) == found["edges"].num_rows
    assert all(a < b for a, b in edges)
    assert all(e["jaccard"] >= 0.8 for e in edges.values())
    near = [r for r in duplicates if r["reason"] == "near"]
    alike = {(e["jaccard"], e["containment"], e["bands"]) for e in edges.values()}
    assert {(r["jaccard"], r["containment"], r["shared_bands"]) for r in near} <= alike


def test_the_tables_have_the_declared_columns() -> None:
    found = published(collection(), POLICY)

    assert found["removals"].column_names == REMOVALS.names
    assert found["edges"].column_names == EDGES.names
    assert found["removals"].cast(REMOVALS).num_rows
    assert found["edges"].cast(EDGES).num_rows
    assert found["survivors"].column_names == [
        "capture_id", "cluster_size", "serves_train", "serves_input", "serves_search",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_ten_shuffled_batches_give_the_tables_of_one(seed: int) -> None:
    table = collection()
    order = random.Random(seed).sample(range(table.num_rows), table.num_rows)
    shuffled = table.take(pa.array(order))

    with duckdb.connect(config={"threads": 1 + seed % 2}) as scratch:
        publish(batches(shuffled, 10), POLICY, texts_of(shuffled), scratch)
        found = result(scratch)

    assert found == published(table, POLICY)


def test_bounds_on_memory_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Blocks of one pair, a cache of one text, inserts of seven rows, a scratch database on disk."""
    table = collection()
    expected = published(table, POLICY)
    monkeypatch.setattr(verify, "_CHARS", 1)
    monkeypatch.setattr(verify, "_KEPT", 200)
    monkeypatch.setattr(loading, "_ROWS", 7)

    with duckdb.connect(str(tmp_path / "scratch"), config={"memory_limit": "100MB"}) as scratch:
        publish(batches(table, 50), POLICY, texts_of(table), scratch)
        found = result(scratch)

    assert found == expected


def test_texts_are_asked_for_candidates_only_and_once() -> None:
    table = collection()
    asked: list[bytes] = []

    def texts(ids: pa.Array) -> pa.Table:
        asked.extend(ids.to_pylist())
        return texts_of(table)(ids)

    with duckdb.connect() as scratch:
        publish(batches(table), POLICY, texts, scratch)

    assert len(asked) == len(set(asked)) < table.num_rows / 2


def test_publishing_again_replaces_the_tables_and_leaves_nothing_else() -> None:
    first, second = collection(), documents([row("a", made(1))])

    with duckdb.connect() as scratch:
        publish(batches(first), POLICY, texts_of(first), scratch)
        publish(batches(second), POLICY, texts_of(second), scratch)

        tables = {name for (name,) in scratch.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        assert tables == {"survivors", "removals", "edges"}
        assert [result(scratch)[name].num_rows for name in ("survivors", "removals", "edges")] == [1, 0, 0]


def test_no_documents_give_three_empty_tables() -> None:
    assert [table.num_rows for table in published(documents([]), POLICY).values()] == [0, 0, 0]


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda t: (pa.concat_tables([t, t]), texts_of(t)), Corrupt, "occurs twice"),
        (lambda t: (t, lambda ids: texts_of(t)(ids).slice(1)), NotFound, "its text is not there"),
        (lambda t: (t.drop_columns(["url"]), texts_of(t)), NotFound, "no column url"),
    ],
)
def test_input_that_would_decide_wrongly_is_refused(
    spoil: Callable[[pa.Table], tuple[pa.Table, verify.Texts]], error: type[Exception], says: str
) -> None:
    table, texts = spoil(documents([row("a", made(1)), row("b", made(1, "more"))]))

    with duckdb.connect() as scratch, pytest.raises(error, match=says):
        publish(batches(table), POLICY, texts, scratch)
