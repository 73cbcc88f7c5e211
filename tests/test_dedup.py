"""What deduplication promises, against a plain oracle that compares all pairs, and on planted cases."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dedup import bands, candidates, overlap, removals
from pipeline.dedup import scratch as work
from pipeline.dedup.loading import load
from pipeline.dedup.order import rank
from pipeline.dedup.publishing import publish
from pipeline.dedup.selection import admit
from pipeline.minhash import signatures
from pipeline.policy import Policy
from pipeline.tokens import shingles
from storage.errors import Corrupt, NotFound
from storage.schema import REMOVALS, SIGNATURE, USES

SAME = np.arange(112, dtype="<u4").tobytes()
"""A signature for documents that are all to be candidates of each other."""

NO_RULES = Policy.preset("none")


@dataclass(frozen=True, slots=True)
class Doc:
    """A document of a test; rights in the order of USES."""

    text: str
    url: str = "https://a.test/"
    at: int = 0
    rights: tuple[bool | None, bool | None, bool | None] = (None, None, None)

    @property
    def capture_id(self) -> bytes:
        return hashlib.sha256(repr((self.url, self.at)).encode()).digest()

    @property
    def doc_id(self) -> bytes:
        return hashlib.sha256(self.text.encode()).digest()


def table(docs: Sequence[Doc], signature: bytes | None = None, *, with_rights: bool = True) -> pa.Table:
    texts = pa.array([doc.text for doc in docs], pa.large_string())
    signed = signatures(texts) if signature is None else pa.array([signature] * len(docs), SIGNATURE)
    columns = {
        "capture_id": pa.array([doc.capture_id for doc in docs], pa.binary(32)),
        "doc_id": pa.array([doc.doc_id for doc in docs], pa.binary(32)),
        "url": pa.array([doc.url for doc in docs], pa.large_string()),
        "fetched_at": pa.array([doc.at for doc in docs], pa.timestamp("us", "UTC")),
        "text": texts,
        "signature": signed,
    }
    if with_rights:
        for place, use in enumerate(USES):
            columns[f"rights_{use}"] = pa.array([doc.rights[place] for doc in docs], pa.bool_())
    return pa.table(columns)


def published(documents: pa.Table, policy: Policy) -> dict[str, list[dict[str, Any]]]:
    """The three tables of `publish`, as sorted rows."""
    described = documents.drop_columns(["text"]).append_column("chars", pc.utf8_length(documents["text"]))

    def texts(ids: pa.Array) -> pa.Table:
        return documents.filter(pc.is_in(documents["capture_id"], ids.cast(pa.binary(32))))

    with duckdb.connect() as scratch:
        publish(described.to_batches(), policy, texts, scratch)
        return {
            name: scratch.sql(f"SELECT * FROM {name} ORDER BY ALL").to_arrow_table().to_pylist()
            for name in ("survivors", "removals", "edges")
        }


def words(*numbers: int) -> str:
    return " ".join(f"w{number}" for number in numbers)


def fates(docs: Sequence[Doc], policy: Policy = NO_RULES) -> dict[str, tuple[str, str]]:
    """url -> (reason, url of the survivor), of what `removals` removes, with real signatures."""
    urls = {doc.capture_id: doc.url for doc in docs}
    return {
        row["url"]: (row["reason"], urls[row["survivor_capture_id"]])
        for row in removals(table(docs), policy).to_pylist()
    }


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


# --- exact copies and the survivor order -----------------------------------------------------------------------


def test_of_exact_copies_the_first_fetched_stays_then_the_lesser_url_then_the_lesser_capture() -> None:
    text = words(*range(30))
    docs = [Doc(text, "https://c.test/", 5), Doc(text, "https://a.test/", 9), Doc(text, "https://b.test/", 5)]

    found = fates(docs)

    assert found == {"https://c.test/": ("exact", "https://b.test/"), "https://a.test/": ("exact", "https://b.test/")}


def test_an_exact_copy_is_alike_by_identity() -> None:
    docs = [Doc("!!!", "https://a.test/"), Doc("!!!", "https://b.test/")]

    [row] = removals(table(docs), NO_RULES).to_pylist()

    assert (row["reason"], row["jaccard"], row["containment"], row["shared_bands"]) == ("exact", 1.0, 1.0, 14)


@pytest.mark.parametrize(
    ("keys", "stays"),
    [(("longest",), "https://long.test/"), (("newest",), "https://new.test/"), (("oldest",), "https://old.test/")],
)
def test_the_survivor_is_the_policys_choice(keys: Any, stays: str) -> None:
    text = words(*range(60))
    docs = [
        Doc(text + " tail", "https://long.test/", 2),
        Doc(text, "https://new.test/", 3),
        Doc(text + " x", "https://old.test/", 1),
    ]

    found = fates(docs, replace(NO_RULES, survivor=keys))

    assert {doc.url for doc in docs} - found.keys() == {stays}
    assert set(found.values()) == {("near", stays)}


# --- near duplicates ----------------------------------------------------------------------------------------------


def test_a_near_duplicate_names_its_survivor_and_the_exact_numbers() -> None:
    long, short = words(*range(100)), words(*range(95))
    docs = [Doc(long, "https://long.test/"), Doc(short, "https://short.test/")]

    [row] = removals(table(docs), NO_RULES).to_pylist()

    assert row["capture_id"] == docs[1].capture_id
    assert row["survivor_capture_id"] == docs[0].capture_id
    assert row["jaccard"] == jaccard(long, short) == 91 / 96
    assert row["containment"] == 1.0
    assert 1 <= row["shared_bands"] <= 14
    assert (row["value"], row["threshold"]) == (None, None)


def test_the_threshold_is_inclusive() -> None:
    docs = [Doc(words(*range(24)), "https://a.test/"), Doc(words(*range(20)), "https://b.test/")]
    assert jaccard(docs[0].text, docs[1].text) == 0.8

    assert removals(table(docs, SAME), NO_RULES).num_rows == 1
    assert removals(table(docs, SAME), replace(NO_RULES, near=0.8001)).num_rows == 0


def test_a_document_that_is_only_connected_through_others_stays() -> None:
    """A ~ B ~ C, but A and C are not alike: B falls to A, and C has nobody left to fall to."""
    a, b, c = words(*range(104)), words(*range(11, 110)), words(*range(22, 118))
    assert jaccard(a, b) >= 0.8
    assert jaccard(b, c) >= 0.8
    assert jaccard(a, c) < 0.8
    docs = [Doc(a, "https://a.test/"), Doc(b, "https://b.test/"), Doc(c, "https://c.test/")]

    [row] = removals(table(docs, SAME), NO_RULES).to_pylist()

    assert (row["url"], row["survivor_capture_id"]) == ("https://b.test/", docs[0].capture_id)
    assert len(published(table(docs, SAME), NO_RULES)["edges"]) == 2


def test_of_two_survivors_the_more_alike_is_named() -> None:
    middle = words(*range(20, 120))
    left, right = words(*range(8, 120)), words(*range(20, 136))
    docs = [Doc(left, "https://l.test/"), Doc(right, "https://r.test/"), Doc(middle, "https://m.test/")]
    assert jaccard(left, right) < 0.8 <= jaccard(left, middle)
    assert jaccard(left, middle) > jaccard(right, middle) >= 0.8  # though the right one is longer

    [row] = removals(table(docs, SAME), NO_RULES).to_pylist()

    assert (row["url"], row["survivor_capture_id"]) == ("https://m.test/", docs[0].capture_id)


def test_copies_of_a_document_that_falls_go_to_a_survivor_that_stays() -> None:
    long, short = words(*range(100)), words(*range(95))
    docs = [Doc(long, "https://long.test/"), Doc(short, "https://one.test/"), Doc(short, "https://two.test/")]

    found = fates(docs)

    assert found == dict.fromkeys(("https://one.test/", "https://two.test/"), ("near", "https://long.test/"))


def test_texts_that_differ_only_in_case_and_punctuation_are_near() -> None:
    docs = [Doc("Hello, world!", "https://a.test/"), Doc("hello world", "https://b.test/")]

    assert fates(docs) == {"https://b.test/": ("near", "https://a.test/")}


def test_documents_without_shingles_are_like_no_other() -> None:
    docs = [Doc("!!!", "https://a.test/"), Doc("???", "https://b.test/"), Doc("…", "https://c.test/")]

    assert fates(docs) == {}


def test_signatures_propose_but_the_text_decides() -> None:
    docs = [Doc(words(*range(50)), "https://a.test/"), Doc(words(*range(100, 150)), "https://b.test/")]

    assert removals(table(docs, SAME), NO_RULES).num_rows == 0


def test_chinese_is_compared_by_character() -> None:
    text = "敏捷的棕色狐狸跳过了懒狗然后又跑回森林里去找它的朋友们一起玩耍直到太阳下山为止才慢慢地走回家"
    docs = [Doc(text, "https://a.test/"), Doc(text + "了", "https://b.test/")]

    assert fates(docs) == {"https://a.test/": ("near", "https://b.test/")}


def test_containment_removes_the_smaller_only_when_asked() -> None:
    whole, part = words(*range(200)), words(*range(80))
    docs = [Doc(whole, "https://whole.test/", 2), Doc(part, "https://part.test/", 1)]

    assert removals(table(docs, SAME), NO_RULES).num_rows == 0
    [row] = removals(table(docs, SAME), replace(NO_RULES, containment=0.9)).to_pylist()
    assert (row["url"], row["reason"], row["containment"]) == ("https://part.test/", "contained", 1.0)
    assert row["jaccard"] < 0.8


def test_the_larger_never_falls_as_contained_in_the_smaller() -> None:
    docs = [Doc(words(*range(200)), "https://whole.test/", 2), Doc(words(*range(80)), "https://part.test/", 1)]

    kept_first = replace(NO_RULES, containment=0.9, survivor=("oldest",))

    assert removals(table(docs, SAME), kept_first).num_rows == 0


# --- rights -----------------------------------------------------------------------------------------------------


def test_copies_with_different_rights_each_serve_their_use() -> None:
    text = words(*range(30))
    docs = [
        Doc(text, "https://trains.test/", 1, (True, None, False)),
        Doc(text, "https://found.test/", 2, (False, None, True)),
    ]

    rows = {row["capture_id"]: row for row in published(table(docs), NO_RULES)["survivors"]}

    served = [[rows[doc.capture_id][f"serves_{use}"] for use in USES] for doc in docs]
    assert served == [[True, True, False], [False, False, True]]
    assert [row["cluster_size"] for row in rows.values()] == [1, 1]


def test_what_is_allowed_stays_before_what_is_longer() -> None:
    docs = [
        Doc(words(*range(95)), "https://allowed.test/", 1, (True, True, True)),
        Doc(words(*range(100)), "https://unknown.test/", 1),
    ]

    assert fates(docs) == {"https://unknown.test/": ("near", "https://allowed.test/")}


def test_a_denied_document_removes_nobody_for_that_use() -> None:
    long = Doc(words(*range(100)), "https://long.test/", 1, (False, None, None))
    short = Doc(words(*range(95)), "https://short.test/", 1)

    rows = {row["capture_id"]: row for row in published(table([long, short]), NO_RULES)["survivors"]}

    assert [rows[long.capture_id][f"serves_{use}"] for use in USES] == [False, True, True]
    assert [rows[short.capture_id][f"serves_{use}"] for use in USES] == [True, False, False]


def test_when_rights_are_only_recorded_denied_documents_count_like_others() -> None:
    docs = [
        Doc(words(*range(100)), "https://denied.test/", 1, (False, False, False)),
        Doc(words(*range(95)), "https://unknown.test/", 1),
    ]

    assert fates(docs) == {}
    assert fates(docs, replace(NO_RULES, rights="record")) == {
        "https://denied.test/": ("near", "https://unknown.test/")
    }


def test_without_rights_columns_nothing_is_denied() -> None:
    text = words(*range(30))
    docs = [Doc(text, "https://a.test/"), Doc(text, "https://b.test/")]

    bare = removals(table(docs, with_rights=False), NO_RULES)

    assert bare.equals(removals(table(docs), NO_RULES))
    assert bare.schema.equals(REMOVALS)


# --- the whole against an oracle that compares all pairs --------------------------------------------------------


def oracle(docs: Sequence[Doc], policy: Policy) -> dict[str, set[tuple[Any, ...]]]:
    """The published semantics in the plainest form: no bands, no SQL, no batches."""
    serves: dict[bytes, set[str]] = {}
    gone: dict[bytes, tuple[str, bytes]] = {}
    pairs: set[tuple[bytes, bytes]] = set()
    for place, use in enumerate(USES):
        eligible = [doc for doc in docs if policy.rights == "record" or doc.rights[place] is not False]
        eligible.sort(key=lambda doc: _position(doc, doc.rights[place], policy))
        first: dict[str, Doc] = {}
        for doc in eligible:
            first.setdefault(doc.text, doc)
        heir: dict[str, Doc] = {}  # text that fell -> survivor
        staying: list[Doc] = []
        for doc in first.values():
            near = [(jaccard(doc.text, other.text), -k) for k, other in enumerate(staying)]
            score, minus = max(near, default=(0.0, 0))
            if score >= policy.near:
                heir[doc.text] = staying[-minus]
            else:
                staying.append(doc)
        for doc in eligible:
            if doc.text in heir:
                gone.setdefault(doc.capture_id, ("near", heir[doc.text].capture_id))
            elif first[doc.text] is not doc:
                gone.setdefault(doc.capture_id, ("exact", first[doc.text].capture_id))
            else:
                serves.setdefault(doc.capture_id, set()).add(use)
        pairs |= {
            (min(a.capture_id, b.capture_id), max(a.capture_id, b.capture_id))
            for a in first.values()
            for b in first.values()
            if a is not b and shingles(a.text) and jaccard(a.text, b.text) >= policy.near
        }
    removed = {(capture, *fate) for capture, fate in gone.items() if capture not in serves}
    sizes = {capture: 1 + sum(heir == capture for _, _, heir in removed) for capture in serves}
    return {
        "survivors": {(c, sizes[c], *(use in uses for use in USES)) for c, uses in serves.items()},
        "removals": removed,
        "edges": pairs,
    }


def _position(doc: Doc, allowed: bool | None, policy: Policy) -> tuple[Any, ...]:
    keys = {"longest": -len(doc.text), "newest": -doc.at, "oldest": doc.at}
    grade = {True: 0, None: 1, False: 2}[allowed]
    return (grade, *(keys[key] for key in policy.survivor), doc.at, doc.url.encode(), doc.capture_id)


TEXTS = st.lists(st.integers(0, 3), min_size=4, max_size=9).map(lambda numbers: words(*numbers))
RIGHTS = st.sampled_from([True, None, False])
DOCS = st.lists(
    st.builds(
        Doc,
        TEXTS,
        st.sampled_from([f"https://{x}.test/" for x in "abcdefgh"]),
        st.integers(0, 3),
        st.tuples(RIGHTS, RIGHTS, RIGHTS),
    ),
    max_size=12,
    unique_by=lambda doc: doc.capture_id,
)
POLICIES = st.builds(
    Policy,
    thresholds=st.just(()),
    near=st.sampled_from([0.3, 0.5, 0.8, 1.0]),
    survivor=st.sampled_from([("longest",), ("newest",), ("oldest", "longest"), ()]),
    rights=st.sampled_from(["respect", "record"]),
)


@settings(max_examples=40, deadline=None)
@given(docs=DOCS, policy=POLICIES, seed=st.integers(0, 99))
def test_deduplication_equals_the_oracle_in_any_order(docs: list[Doc], policy: Policy, seed: int) -> None:
    # `publish` keeps the newest version per URL first; here every document has its own.
    docs = [replace(doc, url=f"{doc.url}{k}") for k, doc in enumerate(docs)]
    allowed = [doc for doc in docs if policy.rights == "record" or doc.rights != (False, False, False)]
    shuffled = random.Random(seed).sample(docs, len(docs))

    found = published(table(shuffled, SAME), policy)

    expected = oracle(allowed, policy)
    duplicates = [row for row in found["removals"] if row["reason"] != "rights"]
    assert {tuple(row.values()) for row in found["survivors"]} == expected["survivors"]
    assert {(r["capture_id"], r["reason"], r["survivor_capture_id"]) for r in duplicates} == expected["removals"]
    assert [(row["capture_id_a"], row["capture_id_b"]) for row in found["edges"]] == sorted(expected["edges"])
    reference = removals(table(docs, SAME), policy).to_pylist()
    assert sorted(reference, key=str) == sorted(duplicates, key=str)


# --- bands, hashes, giant buckets -------------------------------------------------------------------------------


def test_a_band_key_depends_on_the_order_of_its_rows_and_on_its_number() -> None:
    rows = np.tile(np.arange(8, dtype="<u4"), 14).reshape(1, 112)
    swapped = rows.copy()
    swapped[0, [0, 1]] = swapped[0, [1, 0]]  # the same sum

    keys, other = bands.band_keys(rows)[0], bands.band_keys(swapped)[0]

    assert len(set(keys.tolist())) == 14
    assert keys[0] != other[0]
    assert keys[1:].tolist() == other[1:].tolist()


def test_unrelated_signatures_share_no_key() -> None:
    rows = np.random.default_rng(1).integers(0, 2**32, (20_000, 112), dtype=np.uint32)

    keys = bands.band_keys(rows)

    assert len(np.unique(keys)) == keys.size


def test_compared_signatures_give_the_share_of_rows_and_the_number_of_bands() -> None:
    one = np.arange(112, dtype=np.uint32).reshape(1, 112)
    other = one.copy()
    other[0, 8:12] += 1  # half of the second band

    estimate, shared = bands.compare(one, other)

    assert (estimate[0], shared[0]) == (108 / 112, 13)


@given(st.text(alphabet="ab c.é字กा\n", max_size=40), st.text(alphabet="ab c.é字กा\n", max_size=40))
def test_hashes_of_shingles_count_like_the_shingles(one: str, other: str) -> None:
    sets = [overlap.shingle_hashes(one), overlap.shingle_hashes(other)]

    counts = overlap.common(sets, np.array([0, 1, 0, 1]), np.array([1, 0, 0, 1]))

    a, b = shingles(one), shingles(other)
    assert counts.tolist() == [len(a & b), len(a & b), len(a), len(b)]


def test_a_giant_bucket_costs_linearly_and_removes_nobody() -> None:
    """2,000 different chats under one template: every signature shares its first band with all others."""
    count = 2_000
    template = words(*range(40))
    docs = [Doc(f"{template} {words(*range(k * 40 + 100, k * 40 + 140))}", f"https://{k}.test/") for k in range(count)]
    documents = table(docs)
    signed = np.frombuffer(b"".join(documents["signature"].to_pylist()), "<u4").reshape(count, 112).copy()
    signed[:, :8] = 7
    forced = pa.array([row.tobytes() for row in signed], SIGNATURE)
    documents = documents.set_column(documents.column_names.index("signature"), "signature", forced)
    policy = replace(NO_RULES, containment=1.0)  # nothing is ruled out by its signature: all pairs are read

    found = proposed(documents, policy)

    assert count * candidates.HEADS * 0.9 < found <= count * candidates.HEADS * 1.1
    assert removals(documents, policy).num_rows == 0


def test_a_giant_bucket_of_near_duplicates_leaves_one() -> None:
    common = words(*range(200))
    docs = [Doc(f"{common} id{k}", f"https://{k}.test/") for k in range(1_000)]

    assert removals(table(docs), NO_RULES).num_rows == 999


def proposed(documents: pa.Table, policy: Policy) -> int:
    with duckdb.connect() as scratch:
        work.start(scratch)
        load(scratch, documents.drop_columns(["text"]).to_batches(), policy)
        admit(scratch, "true")
        candidates.propose(scratch, policy, rank(scratch, policy))
        [(found,)] = scratch.execute("SELECT count(*) FROM work.candidates").fetchall()
    return int(found)


# --- bad input --------------------------------------------------------------------------------------------------


def test_rows_without_text_take_no_part() -> None:
    text = words(*range(30))
    documents = table([Doc(text, "https://a.test/"), Doc(text, "https://b.test/"), Doc(text, "https://c.test/")])
    blank = documents.set_column(
        documents.column_names.index("text"), "text", pa.array([text, None, text], pa.large_string())
    )

    assert removals(blank, NO_RULES)["url"].to_pylist() == ["https://c.test/"]


def test_an_empty_table_has_no_duplicates() -> None:
    found = removals(table([]), NO_RULES)

    assert found.num_rows == 0
    assert found.schema.equals(REMOVALS)


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda t: pa.concat_tables([t, t]), Corrupt, "occurs twice"),
        (lambda t: t.drop_columns(["signature"]), NotFound, "no column signature"),
        (lambda t: t.drop_columns(["text"]), NotFound, "no column text"),
    ],
)
def test_a_table_that_can_not_be_compared_is_refused(
    spoil: Callable[[pa.Table], pa.Table], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        removals(spoil(table([Doc("a b c", "https://a.test/")])), NO_RULES)
