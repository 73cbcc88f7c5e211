"""`verify` finds every kind of damage, names it and says what to do; and finds nothing in a sound store."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage import Store, open_store
from storage.canonical import dumps
from storage.ids import digest
from storage.receipts import LeaseUse
from storage.verify import verify
from tests.signed_store import AT, fill, publish, table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


def path_of(store: Store, digest_hex: str, suffix: str) -> Path:
    return Path(store.blob_location(digest_hex, suffix))


def newest(store: Store, log: str) -> Any:
    snapshot = store.snapshot(log)
    assert snapshot is not None
    return snapshot


def test_a_sound_store_has_no_problems_and_every_row_leads_to_a_receipt_or_an_import(store: Store) -> None:
    fill(store)
    told: list[tuple[int, int | None, str]] = []

    report = verify(store, progress=lambda *now: told.append(now))

    assert report.problems == []
    assert (report.corpus_rows, report.signed, report.unsigned) == (6, 3, 3)
    assert (report.logs, report.snapshots, report.receipts) == (3, 4, 1)
    assert report.rows == 6 + 6 + 6
    assert told


def test_an_empty_store_is_sound(store: Store) -> None:
    assert verify(store).problems == []


def test_memory_is_checked_like_a_disk() -> None:
    store = open_store("memory://verify", create=True)
    fill(store)

    assert verify(store).problems == []


def blobs_of(store: Store, rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """One blob of each kind."""
    corpus, captures = newest(store, "corpus"), newest(store, "captures")
    return {
        "root": (corpus.digest, "json"),
        "part": (corpus.tables["corpus"].parts[0].digest, "json"),
        "shard": (corpus.shards("corpus")[0].digest, "parquet"),
        "older shard": (captures.shards("captures")[0].digest, "parquet"),
        "bundle": (rows[0]["bundle"].hex(), "warc.gz"),
        "receipt": (rows[0]["receipt"].hex(), "json"),
    }


@pytest.mark.parametrize("kind", ["root", "part", "shard", "older shard", "bundle", "receipt"])
@pytest.mark.parametrize("harm", ["missing", "flipped", "cut"])
def test_damage_to_any_blob_is_named(store: Store, kind: str, harm: str) -> None:
    rows = fill(store)
    name, suffix = blobs_of(store, rows)[kind]
    path = path_of(store, name, suffix)
    data = bytearray(path.read_bytes())
    path.unlink()
    if harm == "flipped":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:-1])

    problems = verify(store).problems

    assert any(
        name in problem
        and ("missing" if harm == "missing" else "damaged") in problem.replace("there is no such", "missing")
        for problem in problems
    ), problems
    assert all(";" in problem for problem in problems)


def test_a_broken_log_entry_a_gap_and_a_wrong_parent_are_named(store: Store) -> None:
    for number in range(5):
        shard = store.write_shard("edges", table("edges", [{"capture_id_a": bytes([number]) * 32}]))
        store.commit("corpus", add={"edges": [shard]}, at=AT, by="test")
    folder = Path(store.state_dir).parent / "logs" / "corpus"
    names = [f"{number:020d}.json" for number in range(1, 6)]
    (folder / names[1]).unlink()
    (folder / names[2]).write_text("{}")
    entry = json.loads((folder / names[4]).read_text())
    (folder / names[4]).write_bytes(dumps(entry | {"parent": "0" * 64}))

    problems = verify(store).problems

    assert any(names[2] in problem and "missing" in problem for problem in problems)
    assert any(names[2] in problem and "not as the format says" in problem for problem in problems)
    assert any(names[4] in problem and "parent" in problem for problem in problems)


def test_a_root_whose_sums_are_wrong_is_named(store: Store) -> None:
    fill(store)
    head = store.head("corpus")
    assert head is not None
    root = json.loads(store.read_blob(head.snapshot, "json"))
    root["tables"]["corpus"]["rows"] += 1
    forged = store.put_blob(dumps(root), "json")
    (Path(store.state_dir).parent / f"logs/corpus/{2:020d}.json").write_bytes(
        dumps({"snapshot": forged, "parent": head.snapshot, "at": "2026-11-23T04:05:06.000007Z", "by": "forger"})
    )

    problems = verify(store).problems

    assert [problem for problem in problems if forged in problem and "not the sum" in problem]


@pytest.mark.parametrize(
    ("field", "value", "wrong"),
    [("lthash", bytes(2048), "lthash"), ("rows", 7, "7")],
)
def test_a_shard_entry_that_does_not_fit_its_file_is_named(store: Store, field: str, value: Any, wrong: str) -> None:
    shard = store.write_shard("edges", table("edges", [{"capture_id_a": bytes(32)}]))
    store.commit("corpus", add={"edges": [replace(shard, **{field: value})]}, at=AT, by="test")

    problems = verify(store).problems

    assert [problem for problem in problems if shard.digest in problem and wrong in problem]


def test_a_receipt_with_a_wrong_signature_is_named(store: Store) -> None:
    rows = fill(store)
    envelope = json.loads(store.read_blob(rows[0]["receipt"].hex(), "json"))
    envelope["signature"] = "00" * 64
    forged = bytes.fromhex(store.put_blob(dumps(envelope), "json"))
    again = [row | {"receipt": forged} if row["receipt"] else row for row in rows]
    shard = store.write_shard("captures", table("captures", again))
    store.commit("captures", replace={"captures": [shard]}, at=AT, by="test")

    report = verify(store)

    assert [problem for problem in report.problems if forged.hex() in problem and "signature" in problem]
    assert report.signed == 0


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"bundle": bytes(32)}, "another bundle"),
        ({"size": 1}, "says 1 bytes"),
        ({"leases": (LeaseUse("another", 1, True),)}, "does not name lease"),
        ({"payloads": (bytes(32),)}, "does not list its page"),
    ],
)
def test_a_signed_receipt_that_does_not_vouch_for_the_row_is_named(
    store: Store, changes: dict[str, Any], wrong: str
) -> None:
    fill(store, **changes)

    assert [problem for problem in verify(store).problems if wrong in problem]


Rows = list[dict[str, Any]]


def _with(index: int, **changes: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [row | changes if number == index else row for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda rows: rows[1:], "has no capture"),
        (_with(0, page_id=bytes(32)), "differs from its capture"),
        (_with(0, node=bytes(32)), "differs from its capture"),
        (_with(0, offset=1), "its id is not the hash"),
        (_with(0, length=10), "can not be read"),
        (_with(0, receipt=None), "names a node or a lease, but no receipt"),
        (lambda rows: [rows[0], *rows], "has 2 captures"),
    ],
)
def test_a_corpus_row_that_does_not_lead_to_its_record_is_named(
    store: Store, change: Callable[[Rows], Rows], wrong: str
) -> None:
    rows = fill(store)
    shard = store.write_shard("captures", table("captures", change(rows)))
    store.commit("captures", replace={"captures": [shard]}, at=AT, by="test")

    problems = verify(store).problems

    assert [problem for problem in problems if wrong in problem], problems


def test_a_record_that_holds_another_page_is_named(store: Store) -> None:
    rows = fill(store)
    first, second = rows[0], rows[1]
    swapped = [row | {"page_id": second["page_id"]} if row is first else row for row in rows]
    shard = store.write_shard("captures", table("captures", swapped))
    store.commit("captures", replace={"captures": [shard]}, at=AT, by="test")
    publish(store, swapped)

    assert [problem for problem in verify(store).problems if "is not its page" in problem]


def test_a_corpus_row_without_its_document_and_a_wrong_doc_id_are_named(store: Store) -> None:
    rows = fill(store)
    documents = newest(store, "documents-0123456789ab")
    corpus = [row | {"text": "other", "doc_id": digest(b"text")} for row in rows]
    shard = store.write_shard("corpus", table("corpus", corpus))
    store.commit("corpus", replace={"corpus": [shard]}, meta={"documents": documents.digest}, at=AT, by="test")

    assert [problem for problem in verify(store).problems if "differs from its document" in problem]

    empty = store.write_shard("documents", table("documents", []))
    store.commit("documents-0123456789ab", replace={"documents": [empty]}, at=AT, by="test")
    now = newest(store, "documents-0123456789ab")
    store.commit("corpus", replace={"corpus": []}, at=AT, by="test")
    store.commit("corpus", replace={"corpus": [shard]}, meta={"documents": now.digest}, at=AT, by="test")

    assert [problem for problem in verify(store).problems if "has no document" in problem]


def test_a_text_that_was_changed_after_its_doc_id_is_named(store: Store) -> None:
    rows = fill(store)
    documents = newest(store, "documents-0123456789ab")
    corpus = [row | {"text": "other", "doc_id": bytes(32)} for row in rows]
    shards = {
        "documents": [store.write_shard("documents", table("documents", corpus))],
        "corpus": [store.write_shard("corpus", table("corpus", corpus))],
    }
    store.commit("documents-0123456789ab", replace={"documents": shards["documents"]}, at=AT, by="test")
    now = newest(store, "documents-0123456789ab")
    assert now.digest != documents.digest
    store.commit("corpus", replace={"corpus": shards["corpus"]}, meta={"documents": now.digest}, at=AT, by="test")

    assert [problem for problem in verify(store).problems if "not the SHA-256 of its text" in problem]


def test_many_problems_are_counted_beyond_the_first_thousand(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.findings.MAX_PROBLEMS", 2)
    rows = fill(store)
    path_of(store, rows[0]["bundle"].hex(), "warc.gz").unlink()

    problems = verify(store).problems

    assert len(problems) == 3
    assert "more" in problems[-1]
