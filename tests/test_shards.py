"""Shards: the same rows are the same bytes, and they come back as they were declared."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Store, open_store, shards
from storage.errors import BlobMissing, Corrupt, NotFound, ThresherError
from storage.schema import BLOOM_COLUMNS, SORT_KEYS, TABLES

START = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


def value(kind: pa.DataType, name: str, number: int) -> Any:
    """A value that depends on the column and the row only; every fifth is null."""
    seed = hashlib.sha256(f"{name} {number}".encode()).digest()
    if seed[0] % 5 == 0 and name != "capture_id":
        return None
    if pa.types.is_boolean(kind):
        return seed[1] % 2 == 0
    if pa.types.is_timestamp(kind):
        return START + timedelta(microseconds=int.from_bytes(seed[:5], "big"))
    if pa.types.is_integer(kind):
        return int.from_bytes(seed[:2], "big") - 2**15
    if pa.types.is_floating(kind):
        return int.from_bytes(seed[:3], "big") / 1000
    if pa.types.is_fixed_size_binary(kind):
        return (seed * 14)[: kind.byte_width]
    return f"{name} {seed[1] % 7} ü漢" if seed[2] % 2 else seed.hex()


def made(table: str, count: int) -> pa.Table:
    schema = TABLES[table]
    return pa.table(
        {
            field.name: pa.array([value(field.type, field.name, n) for n in range(count)], field.type)
            for field in schema
        },
        schema=schema,
    )


@pytest.mark.skipif(pa.__version__ != "26.0.1", reason="the bytes are a contract on the pinned pyarrow only")
@pytest.mark.parametrize(
    ("table", "digest"),
    [
        ("captures", "0c0665afbf709f296b8f7faa82064ccd67ef3a4a2459d09bf1aa674c00e58031"),
        ("decisions", "27cee30fba4efff80436af6b833a1489af0a060971c6fe6a63d423d5d42f2b36"),
        ("documents", "bef1017f373b237c511a9287477bded68c79eb151772bcac061df491ccd4c83a"),
        ("corpus", "745c1918b038dcad9f30eedf491f080d5914db2a3b87bd8e8f911f011fc81b25"),
        ("removals", "02b0b385278b42f10e71e58d32065130a95f31c0853a299ca9ca9a829b794003"),
        ("edges", "f80608ec351814e8f6242117a6c035d13bf325fc854195a9015d7cc512af8a1f"),
    ],
)
def test_the_bytes_of_a_shard_are_a_contract(store: Store, table: str, digest: str) -> None:
    """When this fails, the writer has changed: that is another version of the format, not another number here."""
    assert store.write_shard(table, made(table, 300)).digest == digest


@pytest.mark.parametrize("table", list(TABLES))
def test_order_chunks_and_text_types_of_the_input_do_not_change_the_bytes(store: Store, table: str) -> None:
    rows = made(table, 500)
    order = random.Random(7).sample(range(500), 500)
    other = rows.take(pa.array(order))
    other = pa.concat_tables([other.slice(start, 77) for start in range(0, 500, 77)])
    other = other.select(list(reversed(other.schema.names)))
    other = other.cast(
        pa.schema(
            [field.with_type(pa.string()) if field.type == pa.large_string() else field for field in other.schema]
        )
    )

    assert store.write_shard(table, other) == store.write_shard(table, rows)


@pytest.mark.parametrize("table", list(TABLES))
def test_rows_come_back_sorted_in_the_declared_schema(store: Store, table: str) -> None:
    rows = made(table, 200)
    shard = store.write_shard(table, rows)

    batches = list(shards.scan(store.blob_location(shard.digest, "parquet"), table))

    assert all(batch.schema == TABLES[table] for batch in batches)
    found = pa.Table.from_batches(batches)
    keys = [
        tuple((value is None, value) for value in row.values()) for row in found.select(SORT_KEYS[table]).to_pylist()
    ]
    assert keys == sorted(keys, key=lambda key: [(null, "" if null else _bytes(value)) for null, value in key])
    assert _multiset(found) == _multiset(rows)


def _bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _multiset(rows: pa.Table) -> list[str]:
    return sorted(map(repr, rows.to_pylist()))


TEXTS = st.lists(st.none() | st.text(max_size=20), max_size=30)


@given(TEXTS)
@settings(max_examples=40, deadline=None)
def test_any_text_survives(texts: list[str | None]) -> None:
    store = open_store("memory://any-text", create=True)
    rows = pa.Table.from_pylist([{"url": text} for text in texts], schema=TABLES["decisions"])

    shard = store.write_shard("decisions", rows)

    assert shard.rows == len(texts)
    read = [
        url
        for batch in shards.scan(store.blob_location(shard.digest, "parquet"), "decisions", ["url"])
        for url in batch["url"].to_pylist()
    ]
    assert read == sorted(texts, key=lambda text: (text is None, (text or "").encode()))


def test_the_entry_tells_first_and_last_row_as_json(store: Store) -> None:
    rows = made("captures", 100)
    shard = store.write_shard("captures", rows, covers=["b", "a", "b"])
    read = pq.read_table(store.blob_location(shard.digest, "parquet"))

    assert shard.covers == ("a", "b")
    assert (shard.rows, shard.bytes) == (100, Path(store.blob_location(shard.digest, "parquet")).stat().st_size)
    assert list(shard.first) == list(SORT_KEYS["captures"])
    assert shard.first["capture_id"] == read["capture_id"][0].as_py().hex()
    assert shard.last["site"] == read["site"][-1].as_py()
    assert shard.first["fetched_at"] is None or shard.first["fetched_at"].endswith("Z")


def test_a_shard_without_rows_is_a_shard(store: Store) -> None:
    shard = store.write_shard("edges", made("edges", 0))

    assert (shard.rows, shard.first, shard.last) == (0, {}, {})
    assert list(shards.scan(store.blob_location(shard.digest, "parquet"), "edges")) == []


@pytest.mark.parametrize("rows", [pa.table({"url": ["x"]}), pa.table({"unknown": [1]}), pa.table({})])
def test_rows_of_another_table_are_refused(store: Store, rows: pa.Table) -> None:
    with pytest.raises(ValueError, match="missing"):
        store.write_shard("edges", rows)


def test_a_value_that_does_not_fit_the_declared_type_is_refused(store: Store) -> None:
    rows = made("edges", 1)
    rows = rows.set_column(rows.schema.names.index("bands"), "bands", pa.array([2**20]))

    with pytest.raises(ValueError, match="1048576"):
        store.write_shard("edges", rows)


def test_a_table_that_there_is_not_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="captures, decisions"):
        store.write_shard("pages", pa.table({}))


def test_text_of_two_gibibytes_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MAX_TEXT_BYTES", 1000)

    with pytest.raises(ThresherError, match="several shards"):
        store.write_shard("edges", made("edges", 100))


def test_columns_are_read_in_the_order_asked_and_younger_ones_are_null(store: Store, tmp_path: Path) -> None:
    old = made("edges", 3).drop_columns(["containment"])
    path = tmp_path / "old.parquet"
    pq.write_table(old.append_column("from_the_future", pa.array([1, 2, 3])), path)

    (batch,) = shards.scan(path, "edges", ["bands", "containment", "capture_id_a"])

    assert batch.schema.names == ["bands", "containment", "capture_id_a"]
    assert batch.schema.types == [TABLES["edges"].field(name).type for name in batch.schema.names]
    assert batch["containment"].null_count == 3
    with pytest.raises(NotFound, match="capture_id_a"):
        list(shards.scan(path, "edges", ["from_the_future"]))


def test_a_damaged_page_and_a_missing_file_are_told_apart(store: Store, tmp_path: Path) -> None:
    shard = store.write_shard("removals", made("removals", 2000))
    path = Path(store.blob_location(shard.digest, "parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(Corrupt):
        list(shards.scan(path, "removals"))
    with pytest.raises(BlobMissing):
        list(shards.scan(tmp_path / "absent.parquet", "removals"))


def test_duckdb_reads_a_shard_and_skips_row_groups_by_its_bloom_filters(store: Store) -> None:
    rows = made("captures", 3 * shards.ROW_GROUP_ROWS)
    shard = store.write_shard("captures", rows)
    path = store.blob_location(shard.digest, "parquet")
    wanted = rows["capture_id"][5].as_py()

    with duckdb.connect() as con:
        found = con.execute(
            "SELECT count(*) FROM read_parquet($path) WHERE capture_id = $id", {"path": path, "id": wanted}
        ).fetchone()
        skipped = con.execute(
            "SELECT count(*) FROM parquet_bloom_probe($path, 'capture_id', $id) WHERE bloom_filter_excludes",
            {"path": path, "id": wanted},
        ).fetchone()

    assert found == (1,)
    assert skipped == (2,)
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups == 3
    assert metadata.row_group(0).num_rows == shards.ROW_GROUP_ROWS
    assert all(name in TABLES["captures"].names for name in BLOOM_COLUMNS["captures"])
