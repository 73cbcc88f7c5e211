"""SQL over a store: what it shows, what it refuses, what stops it, and how the rows are written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import sql
from storage.errors import BadConfig, BlobMissing, Corrupt, NotFound, QueryLimit, QueryRefused
from storage.schema import TABLES
from storage.store import Store, open_store

AT = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def rows(table: str, count: int, **values: list[Any]) -> pa.Table:
    """`count` rows of a table, null where `values` has no column."""
    schema = TABLES[table]
    return pa.table([pa.array(values.get(field.name, [None] * count), field.type) for field in schema], schema=schema)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def captures(*urls: str) -> pa.Table:
    return rows(
        "captures",
        len(urls),
        capture_id=[digest(url) for url in urls],
        url=list(urls),
        site=["example.org"] * len(urls),
        fetched_at=[AT] * len(urls),
        outcome=["ok"] * len(urls),
        status=[200] * len(urls),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three captures in two shards; nothing cleaned or published yet."""
    store = open_store(str(tmp_path / "store"), create=True)
    for urls in (("http://a.test/", "http://b.test/"), ("http://c.test/",)):
        shard = store.write_shard("captures", captures(*urls), covers=urls)
        store.commit("captures", add={"captures": [shard]}, at=AT, by="test")
    return store


def fingerprint(folder: Path) -> dict[str, tuple[str, int]]:
    """The hash and the time of change of every file below a folder."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def shard_paths(store: Store) -> list[str]:
    snapshot = store.snapshot("captures")
    return sql.files(store, snapshot, "captures")


# What it shows


def test_a_view_shows_the_rows_of_all_shards(store: Store) -> None:
    result = sql.query(store, "SELECT url, id_hex(capture_id) AS id FROM captures ORDER BY url")

    assert result.to_pylist() == [
        {"url": url, "id": digest(url).hex()} for url in ("http://a.test/", "http://b.test/", "http://c.test/")
    ]


def test_every_table_has_its_declared_columns_even_before_it_exists(store: Store) -> None:
    for table, schema in TABLES.items():
        empty = sql.query(store, f"SELECT * FROM {table} LIMIT 0")

        assert empty.schema.names == schema.names
        assert empty.schema.field(0).type in (pa.binary(), pa.string())
    assert sql.query(store, "SELECT count(*) AS n FROM corpus").to_pylist() == [{"n": 0}]


def test_an_empty_store_can_be_asked(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "empty"), create=True)

    assert sql.query(store, "SELECT url FROM captures").to_pylist() == []


def test_times_are_utc_wherever_the_machine_stands(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        result = sql.query(store, "SELECT fetched_at, fetched_at::VARCHAR AS text FROM captures LIMIT 1")
    finally:
        monkeypatch.undo()
        time.tzset()

    assert result.to_pylist() == [{"fetched_at": AT, "text": "2026-11-22 10:30:00+00"}]


def test_documents_are_those_of_the_recipe_committed_last(store: Store) -> None:
    for hour, recipe in ((1, "b" * 12), (3, "a" * 12), (2, "c" * 12)):
        table = rows("documents", 1, capture_id=[digest(recipe)], url=[recipe], text=["x"])
        shard = store.write_shard("documents", table, covers=[recipe])
        store.commit(f"documents-{recipe}", add={"documents": [shard]}, at=AT.replace(hour=hour), by="test")

    assert sql.query(store, "SELECT url FROM documents").to_pylist() == [{"url": "a" * 12}]


def test_a_corpus_of_another_name_is_shown_when_asked_for(store: Store) -> None:
    shard = store.write_shard("corpus", rows("corpus", 1, capture_id=[digest("x")], url=["http://x.test/"]))
    store.commit("strict", replace={"corpus": [shard]}, at=AT, by="test")

    assert sql.query(store, "SELECT url FROM corpus", corpus="strict").num_rows == 1
    assert sql.query(store, "SELECT url FROM corpus").num_rows == 0
    with pytest.raises(NotFound, match="strict"):
        sql.query(store, "SELECT 1", corpus="stricter")


def test_a_shard_from_before_a_column_shows_null_in_it(store: Store, tmp_path: Path) -> None:
    older = captures("http://old.test/").drop_columns(["elapsed_ms", "referrer"])
    path = tmp_path / "older.parquet"
    pq.write_table(older, path, store_schema=False)
    blob = store.put_file(path, "parquet")
    written = store.write_shard("captures", captures("http://old.test/"), covers=["old"])
    located = Path(store.blob_location(written.digest, "parquet"))
    located.chmod(0o644)
    located.write_bytes(Path(store.blob_location(blob, "parquet")).read_bytes())
    store.commit("captures", add={"captures": [written]}, at=AT, by="test")

    result = sql.query(store, "SELECT count(*) AS rows, count(referrer) AS known FROM captures")

    assert result.to_pylist() == [{"rows": 4, "known": 0}]


def test_what_lies_in_the_store_but_in_no_snapshot_is_not_seen(store: Store) -> None:
    store.write_shard("captures", captures("http://unfinished.test/"))

    assert sql.query(store, "SELECT count(*) AS n FROM captures").to_pylist() == [{"n": 3}]


def test_hundreds_of_shards_open_within_a_second(store: Store) -> None:
    shards = [store.write_shard("captures", captures(f"http://{i}.test/"), covers=[str(i)]) for i in range(300)]
    store.commit("captures", add={"captures": shards}, at=AT, by="test")
    sql.connect(store).close()

    started = time.monotonic()
    sql.connect(store).close()

    assert time.monotonic() - started < 1.0
    assert sql.query(store, "SELECT count(*) AS n FROM captures").to_pylist() == [{"n": 303}]


def test_several_queries_run_at_once(store: Store) -> None:
    found: list[int] = []

    def ask() -> None:
        found.append(sql.query(store, "SELECT * FROM captures, range(5000)", threads=1).num_rows)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [15_000] * 4


# What it refuses

ESCAPES = [
    "COPY captures TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
    "COPY (SELECT 1) TO '{outside}/new.csv'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
    "WITH x AS (COPY (SELECT 1) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)) SELECT 1",
    "WITH x AS (COPY (SELECT 1) TO '{outside}/new.csv') FROM x",
    "SELECT 1 WHERE EXISTS (WITH x AS (COPY (SELECT 1) TO '{shard}' (USE_TMP_FILE false)) SELECT 1)",
    "SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO '{shard}' (USE_TMP_FILE false)) SELECT 1)",
    "FROM query('WITH x AS (COPY (SELECT 1) TO ''{shard}'' (USE_TMP_FILE false)) SELECT 1')",
    "PREPARE p AS COPY (SELECT 1) TO '{shard}'",
    "EXECUTE p",
    "SELECT * FROM (EXECUTE p)",
    "SELECT 1; COPY (SELECT 1) TO '{shard}' (FORMAT parquet, USE_TMP_FILE false)",
    "SELECT 1; SELECT 2",
    "",
    ";",
    "-- nothing",
    "SELECT FROM WHERE",
    "SELECT $1",
    "SELECT * FROM read_text('{outside}/secret.txt')",
    "SELECT * FROM read_blob('{shard}')",
    "SELECT * FROM read_csv('{outside}/secret.txt')",
    "SELECT * FROM read_parquet('{shard}')",
    "SELECT * FROM '{shard}'",
    "SELECT * FROM '{outside}/secret.txt'",
    "DESCRIBE '{outside}/secret.txt'",
    "SELECT * FROM glob('{outside}/*')",
    "SELECT * FROM sniff_csv('{outside}/secret.txt')",
    "SELECT * FROM parquet_metadata('{shard}')",
    "SELECT * FROM read_duckdb('{outside}/x.duckdb')",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret_of_the_caller",
    "ATTACH '{outside}/x.duckdb' AS x",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET lock_configuration = false",
    "SET enable_external_access = true",
    "RESET allowed_paths",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW captures AS SELECT 1",
    "INSERT INTO captures SELECT * FROM captures",
    "WITH x AS (INSERT INTO captures SELECT * FROM captures RETURNING url) SELECT * FROM x",
    "WITH x AS (DELETE FROM captures RETURNING url) SELECT * FROM x",
    "DROP VIEW captures",
    "EXPORT DATABASE '{outside}/export'",
    "IMPORT DATABASE '{outside}'",
    "CHECKPOINT",
    "VACUUM",
    "SELECT * FROM enable_profiling(save_location := '{outside}/profile.json')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM create_external_resource('x')",
    "SELECT write_log('x')",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "1," * 60_000 + "1",
]


@pytest.mark.parametrize("attempt", ESCAPES, ids=lambda attempt: attempt[:60])
def test_what_is_not_one_harmless_select_is_refused_and_changes_nothing(
    store: Store, tmp_path: Path, attempt: str
) -> None:
    secret_of_the_caller = pa.table({"secret": ["k"]})  # an unknown table must not be looked for here
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    before = fingerprint(tmp_path)

    with pytest.raises(QueryRefused) as refusal:
        sql.query(store, attempt.format(shard=shard_paths(store)[0], outside=outside))

    assert "secret" not in str(refusal.value).replace("secret.txt", "").replace("secret_of_the_caller", "")
    assert refusal.value.hint
    assert fingerprint(tmp_path) == before
    assert secret_of_the_caller.num_rows == 1


@pytest.mark.parametrize("function", ["read_text", "read_blob", "read_csv", "glob", "read_json", "read_parquet"])
def test_even_unguarded_the_connection_reads_nothing_outside(store: Store, tmp_path: Path, function: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")

    with sql.connect(store) as con, pytest.raises(duckdb.PermissionException):
        con.execute(f"SELECT * FROM {function}('{secret}')")


def test_even_unguarded_the_connection_stays_locked(store: Store) -> None:
    with sql.connect(store) as con:
        for change in ("lock_configuration = false", "enable_external_access = true", "allowed_paths = ['/']"):
            with pytest.raises(duckdb.InvalidInputException):
                con.execute(f"SET {change}")


@pytest.mark.parametrize(
    "harmless",
    [
        "FROM captures",
        "VALUES (1), (2)",
        "DESCRIBE captures",
        "SUMMARIZE captures",
        "SHOW TABLES",
        "TABLE captures",
        "select 1 -- with a comment",
        "SELECT 1;",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
        "WITH Mine AS (SELECT url FROM main.captures) SELECT * FROM mine JOIN captures USING (url)",
        "SELECT url FROM captures UNION ALL SELECT url FROM documents EXCEPT SELECT url FROM corpus",
        "SELECT status, count(*) OVER (PARTITION BY outcome) FROM captures QUALIFY row_number() OVER () < 3",
        "SELECT * FROM (PIVOT captures ON status IN (200) USING count(*))",
        "SELECT unnest([1, 2]), list_transform([1], lambda x: x + 1), {'a': 1}.a, current_date",
        "SELECT json_extract('{\"a\": 1}', '$.a'), regexp_matches(url, 'a') FROM captures",
        "SELECT * FROM range(3), generate_series(1, 2)",
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'corpus'",
        "SELECT view_name FROM duckdb_views()",
    ],
)
def test_a_select_of_any_shape_is_answered(store: Store, harmless: str) -> None:
    assert sql.query(store, harmless).num_columns > 0


def test_a_mistake_is_explained(store: Store) -> None:
    with pytest.raises(QueryRefused, match='"ur" not found'):
        sql.query(store, "SELECT ur FROM captures")
    with pytest.raises(QueryRefused, match=r"there is no table pages \(one SELECT over captures,"):
        sql.query(store, "SELECT * FROM pages")


# What stops it


def test_a_query_that_takes_too_long_is_stopped(store: Store) -> None:
    started = time.monotonic()

    with pytest.raises(QueryLimit, match="too long"):
        sql.query(store, "SELECT count(*) FROM range(100000000000)", timeout=0.3)

    assert time.monotonic() - started < 5


def test_a_stream_that_is_read_too_slowly_is_stopped(store: Store) -> None:
    with sql.stream(store, "SELECT * FROM range(1000000)", timeout=0.2) as batches:
        batches.read_next_batch()
        time.sleep(0.3)
        with pytest.raises(QueryLimit, match="too long"):
            for _ in batches:
                pass


def test_a_query_of_too_much_memory_is_stopped(store: Store) -> None:
    with pytest.raises(QueryLimit, match="memory"):
        sql.query(store, "SELECT list(repeat('x', 1000) || i) FROM range(1000000) t(i)", memory_limit="64MB")


def test_a_result_of_too_many_rows_or_bytes_is_stopped(store: Store) -> None:
    assert sql.query(store, "SELECT * FROM range(10)", max_rows=10).num_rows == 10
    with pytest.raises(QueryLimit, match="more than 9 rows"):
        sql.query(store, "SELECT * FROM range(10)", max_rows=9)
    with pytest.raises(QueryLimit, match="larger than 1000 bytes"):
        sql.query(store, "SELECT * FROM range(1000)", max_bytes=1000)


def test_a_large_sort_spills_and_leaves_no_file_behind(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spill = tmp_path / "spill"
    spill.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spill))
    sort = """SELECT max(n) AS n FROM (
                  SELECT row_number() OVER (ORDER BY s, i DESC) AS n
                  FROM (SELECT i, repeat('x', 200) || hash(i) AS s FROM range(300000) t(i)))"""

    assert sql.query(store, sort, memory_limit="40MB", threads=1).to_pylist() == [{"n": 300_000}]
    assert list(spill.iterdir()) == []
    monkeypatch.setattr(sql, "MAX_SPILL", "1MB")
    with pytest.raises(QueryLimit, match="offload"):
        sql.query(store, sort, memory_limit="40MB", threads=1)
    assert list(spill.iterdir()) == []


def test_a_missing_shard_is_named(store: Store) -> None:
    gone = Path(shard_paths(store)[0])
    gone.unlink()

    with pytest.raises(BlobMissing, match=gone.stem[:12]):
        sql.query(store, "SELECT * FROM captures")


def test_a_broken_shard_is_named(store: Store) -> None:
    broken = Path(shard_paths(store)[0])
    broken.chmod(0o644)
    broken.write_bytes(b"PAR1 no more")

    with pytest.raises((Corrupt, BlobMissing), match=broken.stem[:12]):
        sql.query(store, "SELECT * FROM captures")


# How the rows are written

ODD = """
SELECT i AS n, 'ä' || chr(27) || '[2J"' || i AS s, sha256(i::VARCHAR)::BLOB AS b,
       TIMESTAMPTZ '2026-01-02 03:04:05.5+00' AS t,
       sum(i) OVER () AS big, 0.5::DECIMAL(4, 2) AS d, 'nan'::DOUBLE AS nan, NULL AS nothing, [1, i] AS l,
       {'k': 'v'::BLOB} AS st, DATE '2026-01-02' AS day, INTERVAL 1 DAY AS ago, true AS yes, '' AS empty,
       TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS ns, 1 AS n
FROM range(3) t(i) ORDER BY i
"""


def written(store: Store, statement: str, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    with sql.stream(store, statement) as batches:
        sql.write(batches, form, out, **options)
    return out.getvalue()


def test_json_is_an_array_of_objects(store: Store) -> None:
    data = written(store, ODD, "json")
    first = json.loads(data)[0]

    assert len(json.loads(data)) == 3
    assert first == {
        "n": 0, "s": 'ä\x1b[2J"0', "b": b"5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9".hex(),
        "t": "2026-01-02T03:04:05.500000Z", "big": 3, "d": 0.5, "nan": None, "nothing": None, "l": [1, 0],
        "st": {"k": b"v".hex()}, "day": "2026-01-02", "ago": first["ago"], "yes": True, "empty": "",
        "ns": "2026-01-01T00:00:00.123456", "n_2": 1,
    }  # fmt: skip
    assert "ä" in data.decode()
    assert b"\x1b" not in data


def test_csv_tells_null_from_empty(store: Store) -> None:
    data = written(store, "SELECT '' AS a, NULL AS b, 'x,\"y' AS c, 1.5 AS d, sha256('') ::BLOB AS e", "csv").decode()

    assert data.splitlines()[0] == '"a","b","c","d","e"'
    assert data.splitlines()[1].startswith('"",,"x,""y",')
    assert list(csv.DictReader(io.StringIO(written(store, ODD, "csv").decode())))[2]["l"] == "[1, 2]"


def test_parquet_reads_back_the_same(store: Store) -> None:
    statement = "SELECT * FROM captures ORDER BY url"

    table = pq.read_table(io.BytesIO(written(store, statement, "parquet")))

    assert table.to_pylist() == sql.query(store, statement).to_pylist()


def test_parquet_says_which_type_it_can_not_hold(store: Store) -> None:
    with pytest.raises(QueryRefused, match="VARCHAR"):
        written(store, "SELECT INTERVAL 1 DAY AS i", "parquet")


def test_a_table_fits_the_terminal_and_aligns_wide_characters(store: Store) -> None:
    statement = (
        "SELECT 7 AS n, '新しい' AS word, repeat('long ', 100) AS text UNION ALL SELECT 1234, 'x', NULL ORDER BY 1"
    )

    shown = written(store, statement, "table", width=40).decode().splitlines()

    assert shown == [
        "n     word    text",
        "----  ------  --------------------------",
        "   7  新しい  long long long long long …",
        "1234  x",
        "(2 rows)",
    ]


def test_many_columns_are_shown_one_below_the_other(store: Store) -> None:
    shown = written(store, "SELECT * FROM captures LIMIT 1", "table", width=60).decode().splitlines()

    assert len(shown) == len(TABLES["captures"]) + 2
    assert any(line.split() == ["url", "http://a.test/"] for line in shown)


def test_a_page_can_not_write_to_the_terminal(store: Store) -> None:
    shown = written(store, "SELECT chr(27) || '[31mred' || chr(155) || chr(8238) || chr(10) || 'next' AS s", "table")

    assert not any(mark in shown.decode() for mark in ("\x1b", "\x9b", "\u202e"))
    assert shown.count(b"\n") == 4


def test_a_table_says_when_there_is_more(store: Store) -> None:
    assert written(store, "SELECT * FROM range(5)", "table", rows=3).endswith(b"(3 rows shown, there are more)\n")
    assert written(store, "SELECT * FROM range(3)", "table", rows=3).endswith(b"(3 rows)\n")
    assert written(store, "SELECT 1 AS a", "table").endswith(b"(1 row)\n")


@pytest.mark.parametrize(
    ("form", "expected"),
    [("json", b"[]\n"), ("csv", b'"a","b"\n'), ("table", b"a  b\n-  -\n(0 rows)\n")],
)
def test_no_rows_are_written_as_such(store: Store, form: str, expected: bytes) -> None:
    assert written(store, "SELECT 1 AS a, 'x' AS b WHERE false", form) == expected


def test_no_rows_keep_their_columns_in_parquet(store: Store) -> None:
    data = written(store, "SELECT 1 AS a, 'x' AS b WHERE false", "parquet")

    assert pq.read_table(io.BytesIO(data)).schema.names == ["a", "b"]


def test_an_unknown_format_is_refused(store: Store) -> None:
    with pytest.raises(BadConfig, match="table, json, csv, parquet"):
        sql.write(pa.table({"a": [1]}), "xml", io.BytesIO())


def test_scratch_keeps_its_tables_on_disk(tmp_path: Path) -> None:
    with sql.scratch(tmp_path, memory_limit="100MB") as con:
        con.execute("CREATE TABLE t AS SELECT range AS i FROM range(1000)")
        con.execute("CHECKPOINT")

    assert [path.name for path in tmp_path.iterdir()] == ["scratch.duckdb"]


def test_a_store_that_has_no_files_is_read_through_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    store = open_store("memory://for-sql", create=True)
    shard = store.write_shard("captures", captures("http://a.test/"), covers=["a"])
    store.commit("captures", add={"captures": [shard]}, at=AT, by="test")

    assert sql.query(store, "SELECT url FROM captures").to_pylist() == [{"url": "http://a.test/"}]
