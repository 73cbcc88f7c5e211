"""Anybody's WARC becomes captures: as it is where it can be, repacked where it must, and never twice."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crawlers.importer import import_warc
from crawlers.loopback.samples import write_warc
from storage import Store, bundles, open_store
from storage.errors import BadBundle

NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


def rows(store: Store) -> list[dict[str, Any]]:
    snapshot = store.snapshot("captures")
    return [] if snapshot is None else [row for batch in store.scan(snapshot, "captures") for row in batch.to_pylist()]


def test_a_file_that_is_gzip_per_record_becomes_the_bundle_as_it_is(store: Store, tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz")

    result = import_warc(store, path, now=NOW)

    assert store.read_blob(result.bundle, "warc.gz") == path.read_bytes()
    assert (result.captures, result.pages, result.notes) == (22, 22, [])
    for row in rows(store):
        assert (row["crawl"], row["node"], row["lease"], row["receipt"]) == ("import", None, None, None)
        assert row["rights_train"] is None
        assert bundles.payload(store, row["bundle"], row["offset"], row["length"]).startswith(b"<!doctype html>")


def test_importing_again_under_another_name_adds_nothing(store: Store, tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz")
    import_warc(store, path, now=NOW)
    head = store.head("captures")

    result = import_warc(store, path.rename(tmp_path / "b.warc.gz"), now=NOW)

    assert result.captures == 0
    assert store.head("captures") == head


@pytest.mark.parametrize("form", ["plain", "one gzip stream"])
def test_any_other_form_is_repacked_to_the_same_pages(store: Store, tmp_path: Path, form: str) -> None:
    packed = write_warc(tmp_path / "a.warc.gz")
    plain = gzip.decompress(packed.read_bytes())
    other = tmp_path / "other.warc"
    other.write_bytes(plain if form == "plain" else gzip.compress(plain))

    result = import_warc(store, other, now=NOW)

    assert "it was not gzip per record and was repacked" in result.notes
    reference = open_store(str(tmp_path / "reference"), create=True)
    import_warc(reference, packed, now=NOW)
    pages = [sorted((row["url"], row["page_id"]) for row in rows(one)) for one in (store, reference)]
    assert pages[0] == pages[1]


def test_a_file_cut_in_the_middle_gives_what_is_whole_and_says_so(store: Store, tmp_path: Path) -> None:
    path = write_warc(tmp_path / "a.warc.gz")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    result = import_warc(store, path, now=NOW)

    assert 5 < result.captures < 22
    assert any("breaks off" in note for note in result.notes)


@pytest.mark.parametrize("body", [b"", b"hello", gzip.compress(b"hello"), bytes(1000)])
def test_a_file_that_is_no_warc_is_refused(store: Store, tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "x.warc.gz"
    path.write_bytes(body)

    with pytest.raises(BadBundle):
        import_warc(store, path, now=NOW)

    assert store.logs() == []


def test_arc_is_refused_with_a_hint(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "x.arc"
    path.write_bytes(b"filedesc://x.arc 0.0.0.0 20260101000000 text/plain 76\n1 0 Alexa\nURL IP-address\n")

    with pytest.raises(BadBundle) as caught:
        import_warc(store, path, now=NOW)

    assert "warcio recompress" in caught.value.hint


def test_every_sample_of_others_is_imported_or_refused_with_a_reason(corpus: Path, store: Store) -> None:
    imported: dict[str, int] = {}
    refused: list[str] = []
    for path in sorted((corpus / "warc").glob("*/*")):
        try:
            imported[path.name] = import_warc(store, path, now=NOW).captures
        except BadBundle as error:
            refused.append(f"{path.name}: {error.cause}")

    assert all(".arc" in line and "this is ARC" in line for line in refused)
    assert imported["iana.warc.gz"] == 48
    assert len(rows(store)) == sum(imported.values())
