"""Real near duplicates with exact labels: no removal is wrong, and how many of the alike pairs are resolved."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.dedup import removals
from pipeline.minhash import signatures
from pipeline.policy import Policy
from pipeline.tokens import tokens

RESOLVED_AT_LEAST = 0.985
"""Share of the pairs at Jaccard 0.8 or more of which at most one survives; 0.9993 when this was written."""


@dataclass(frozen=True, slots=True)
class Labelled:
    documents: pa.Table
    names: dict[bytes, str]  # capture_id -> the id of the set
    jaccard: dict[tuple[str, str], float]  # every pair at or above 0.2, rounded to four places
    plain: set[str]  # documents whose tokens are those of the labels: no script that is split by character


@pytest.fixture(scope="module")
def labelled(corpus: Path) -> Labelled:
    folder = corpus / "neardup"
    with lzma.open(folder / "docs.jsonl.xz", "rt", encoding="utf-8") as lines:
        docs = [json.loads(line) for line in lines]
    with lzma.open(folder / "pairs.tsv.xz", "rt", encoding="utf-8") as lines:
        pairs = [line.split("\t") for line in lines.read().splitlines()[1:]]
    texts = pa.array([doc["text"] for doc in docs], pa.large_string())
    captures = [hashlib.sha256(doc["id"].encode()).digest() for doc in docs]
    documents = pa.table(
        {
            "capture_id": pa.array(captures, pa.binary(32)),
            "doc_id": pa.array([hashlib.sha256(doc["text"].encode()).digest() for doc in docs], pa.binary(32)),
            "url": [f"https://neardup.test/{doc['id']}" for doc in docs],
            "fetched_at": pa.array([0] * len(docs), pa.timestamp("us", "UTC")),
            "text": texts,
            "signature": signatures(texts),
        }
    )
    names = dict(zip(captures, (doc["id"] for doc in docs), strict=True))
    plain = {doc["id"] for doc in docs if tokens(doc["text"]) == re.findall(r"\w+", doc["text"].lower())}
    return Labelled(documents, names, {(a, b): float(jaccard) for a, b, jaccard, *_ in pairs}, plain)


def removed_pairs(labelled: Labelled) -> list[tuple[str, str, float]]:
    """(removed, survivor, Jaccard as we report it)."""
    rows = removals(labelled.documents, Policy.preset("none")).to_pylist()
    return [
        (labelled.names[row["capture_id"]], labelled.names[row["survivor_capture_id"]], row["jaccard"]) for row in rows
    ]


def label(labelled: Labelled, one: str, other: str) -> float:
    return labelled.jaccard.get((min(one, other), max(one, other)), 0.0)


def test_every_removal_is_right_by_the_labels(labelled: Labelled) -> None:
    found = removed_pairs(labelled)

    wrong = [(gone, stays) for gone, stays, _ in found if label(labelled, gone, stays) < 0.8]
    gone = {gone for gone, _, _ in found}
    assert len(found) > 900
    assert wrong == []
    assert [stays for _, stays, _ in found if stays in gone] == []


def test_the_reported_jaccard_is_the_labelled_one(labelled: Labelled) -> None:
    found = [(g, s, j) for g, s, j in removed_pairs(labelled) if {g, s} <= labelled.plain]

    assert len(found) > 700
    assert [(g, s, j) for g, s, j in found if abs(label(labelled, g, s) - j) > 0.00005001] == []


def test_nearly_all_alike_pairs_are_resolved(labelled: Labelled) -> None:
    gone = {name for name, _, _ in removed_pairs(labelled)}

    alike = [pair for pair, jaccard in labelled.jaccard.items() if jaccard >= 0.8]
    resolved = sum(a in gone or b in gone for a, b in alike) / len(alike)
    print(
        f"resolved {resolved:.4f} of {len(alike)} pairs with Jaccard >= 0.8; {len(gone)} documents removed, all right"
    )
    assert resolved >= RESOLVED_AT_LEAST
