"""Commits: what they add, what they leave out, and what happens when several race or one is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import Shard, Store, manifest, open_store
from storage.errors import BadConfig, BlobMissing, Conflict, Corrupt, NotFound
from storage.manifest import part_sizes
from storage.rows_id import rows_id
from storage.schema import EDGES
from storage.verify import verify

AT = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
_numbers = iter(range(10**6))


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = str(tmp_path / "store") if request.param == "local" else f"memory://log-{next(_numbers)}"
    return open_store(url, create=True)


def shard(store: Store, *numbers: int, covers: tuple[str, ...] = ()) -> Shard:
    """A shard of edges with one row per number."""
    rows = [{"capture_id_a": bytes([number // 256, number % 256]) * 16, "bands": 1} for number in numbers]
    return store.write_shard("edges", pa.Table.from_pylist(rows, schema=EDGES), covers=covers)


def numbers(store: Store, log: str = "corpus") -> list[int]:
    snapshot = store.snapshot(log)
    assert snapshot is not None
    found = pa.Table.from_batches(store.scan(snapshot, "edges"), EDGES)["capture_id_a"].to_pylist()
    return sorted(int.from_bytes(row[:2], "big") for row in found)


def add(store: Store, *shards: Shard, log: str = "corpus", **options: Any) -> Any:
    return store.commit(log, add={"edges": list(shards)}, at=AT, by="test", **options)


def test_a_commit_is_the_new_head_and_tells_its_history(store: Store) -> None:
    assert store.head("corpus") is None
    assert store.snapshot("corpus") is None
    assert store.logs() == []

    first = add(store, shard(store, 1), meta={"recipe": "x"})
    second = add(store, shard(store, 2))

    assert (first.number, first.parent, first.at, first.by) == (1, None, AT, "test")
    assert (second.number, second.parent) == (2, first.snapshot)
    assert store.head("corpus") == second
    assert store.history("corpus") == [second, first]
    assert store.logs() == ["corpus"]
    assert numbers(store) == [1, 2]
    old = store.snapshot("corpus", first.snapshot[:12])
    assert old is not None
    assert old.meta == {"recipe": "x"}
    assert old.tables["edges"].rows == 1


def test_a_snapshot_that_there_is_not_and_an_ambiguous_one_are_not_found(store: Store) -> None:
    add(store, shard(store, 1))
    add(store, shard(store, 2))

    with pytest.raises(NotFound, match="more digits"):
        store.snapshot("corpus", "")
    with pytest.raises(NotFound):
        store.snapshot("corpus", "zz")


def test_rows_id_of_a_table_is_that_of_its_rows_however_they_are_sharded(store: Store) -> None:
    whole = shard(store, 1, 2, 3)
    add(store, whole, log="one")
    for number in (3, 1, 2):
        add(store, shard(store, number), log="three")

    one, three = store.snapshot("one"), store.snapshot("three")
    assert one is not None
    assert three is not None
    assert one.tables["edges"].rows_id == three.tables["edges"].rows_id == rows_id(whole.lthash)


def test_the_same_content_is_the_same_snapshot_in_any_log_at_any_time(store: Store) -> None:
    shards = [shard(store, number) for number in range(12)]
    for one in shards:
        add(store, one, log="slowly", meta={"a": 1})
    later = datetime(2027, 1, 1, tzinfo=UTC)
    store.commit("at-once", replace={"edges": shards}, meta={"a": 1}, at=later, by="somebody")

    slowly, at_once = store.head("slowly"), store.head("at-once")
    assert slowly is not None
    assert at_once is not None
    assert slowly.snapshot == at_once.snapshot


def test_nothing_new_writes_nothing(store: Store) -> None:
    first = shard(store, 1, covers=("work-1",))
    add(store, first)

    assert add(store) is None
    assert add(store, first) is None
    assert store.commit("corpus", replace={"edges": [shard(store, 1)]}, meta={"new": 1}, at=AT, by="test") is None
    assert store.commit("new", at=AT, by="test") is None
    assert len(store.history("corpus")) == 1
    assert store.logs() == ["corpus"]


def test_work_that_is_covered_is_left_out_and_the_rest_added(store: Store) -> None:
    one, two = shard(store, 1, covers=("a",)), shard(store, 2, covers=("b", "c"))
    add(store, one)
    again = shard(store, 7, covers=("a",))  # the same work, done again with another result

    commit = add(store, again, two)

    assert commit is not None
    assert numbers(store) == [1, 2]
    assert store.covered("corpus", "edges") == {"a", "b", "c"}


def test_work_that_is_covered_in_part_is_a_conflict_and_nothing_is_written(store: Store) -> None:
    add(store, shard(store, 1, covers=("a", "b")))

    with pytest.raises(Conflict, match="covers 1 of 2"):
        add(store, shard(store, 2, covers=("b", "c")))
    assert numbers(store) == [1]
    assert len(store.history("corpus")) == 1


def test_the_same_work_twice_in_one_commit_counts_once(store: Store) -> None:
    add(store, shard(store, 1, covers=("a",)), shard(store, 2, covers=("a",)))

    assert numbers(store) == [1]


def test_work_without_rows_is_covered_all_the_same(store: Store) -> None:
    assert add(store, shard(store, covers=("a",))) is not None
    assert add(store, shard(store, covers=("b",))) is not None
    assert add(store, shard(store, covers=("b",))) is None

    assert store.covered("corpus", "edges") == {"a", "b"}
    assert numbers(store) == []


def test_the_same_rows_under_other_covers_are_a_conflict(store: Store) -> None:
    add(store, shard(store, 1, covers=("a",)))

    with pytest.raises(Conflict, match="under other covers"):
        add(store, shard(store, 1, covers=("b",)))


def test_replace_leaves_the_other_tables(store: Store) -> None:
    removals = store.write_shard("removals", pa.table({}).from_pylist([], schema=_schema("removals")))
    store.commit("corpus", replace={"edges": [shard(store, 1)], "removals": [removals]}, at=AT, by="test")
    store.commit("corpus", replace={"edges": [shard(store, 2)]}, at=AT, by="test")

    snapshot = store.snapshot("corpus")
    assert snapshot is not None
    assert set(snapshot.tables) == {"edges", "removals"}
    assert numbers(store) == [2]


def _schema(table: str) -> pa.Schema:
    from storage.schema import TABLES

    return TABLES[table]


def test_a_shard_that_was_never_written_can_not_be_committed(store: Store) -> None:
    absent = Shard("0" * 64, 1, 1, bytes(2048), {}, {})

    with pytest.raises(BlobMissing):
        add(store, absent)
    assert store.head("corpus") is None


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "A", ".hidden", "x" * 101, "ü"])
def test_a_log_has_a_plain_name(store: Store, name: str) -> None:
    with pytest.raises(BadConfig):
        add(store, log=name)


def test_a_broken_entry_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    add(store, shard(store, 1))
    (tmp_path / "logs" / "corpus" / f"{2:020d}.json").write_text('{"snapshot":')

    with pytest.raises(Corrupt, match="00000002"):
        open_store(str(tmp_path)).snapshot("corpus")


@given(st.integers(0, 12_345))
def test_parts_are_cut_like_decimal_digits(shards: int) -> None:
    sizes = part_sizes(shards)

    assert sum(sizes) == shards
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=0) <= 1000
    assert all(sizes.count(size) <= 9 for size in (100, 10, 1))


def test_a_commit_rewrites_only_the_parts_it_touches() -> None:
    store = open_store("memory://parts", create=True)
    one = shard(store, 1)
    state = manifest.empty_state()
    written: list[int] = []

    def write(data: bytes) -> str:
        written.append(len(json.loads(data)["shards"]))
        return store.put_blob(data, "json")

    for _ in range(2_345):
        state = manifest.extend(state, [one], lambda digest: store.read_blob(digest, "json"), write)

    assert [part.shards for part in state.parts] == part_sizes(2_345)
    assert sum(written) <= 4 * 2_345
    assert len(written) == 2_345  # one blob a commit


COMMITTER = """
import sys
from datetime import UTC, datetime
import pyarrow as pa
from storage import open_store
from storage.schema import EDGES
store = open_store(sys.argv[1])
for number in range(int(sys.argv[2]), int(sys.argv[3])):
    rows = pa.Table.from_pylist([{"capture_id_a": number.to_bytes(2, "big") * 16}], schema=EDGES)
    for _ in range(2):  # every piece of work is done twice
        shard = store.write_shard("edges", rows, covers=[f"work {number}"])
        store.commit("corpus", add={"edges": [shard]}, at=datetime.now(UTC), by=sys.argv[2])
    print(number, flush=True)
"""


def committer(store: Store, start: int, end: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", COMMITTER, store.url, str(start), str(end)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_racing_committers_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), create=True)
    # The second half of each overlaps with the next one's first: the same work in two processes.
    racing = [committer(store, start, start + 20) for start in (0, 10, 20)]
    for process in racing:
        process.communicate(timeout=120)
        assert process.returncode == 0

    assert numbers(store) == list(range(40))
    assert store.covered("corpus", "edges") == {f"work {number}" for number in range(40)}
    history = store.history("corpus")
    assert [commit.number for commit in history] == list(range(40, 0, -1))
    assert all(new.parent == old.snapshot for new, old in pairwise(history))
    assert verify(store).problems == []


def test_threads_of_one_process_may_commit_by_one_store(store: Store) -> None:
    shards = [shard(store, number, covers=(f"work {number % 20}",)) for number in range(40)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: add(store, one), shards))

    assert len(numbers(store)) == 20
    assert store.covered("corpus", "edges") == {f"work {number}" for number in range(20)}
    assert len(store.history("corpus")) == 20


@pytest.mark.parametrize("after", [3, 7])
def test_a_committer_that_is_killed_loses_nothing_it_said(tmp_path: Path, after: int) -> None:
    store = open_store(str(tmp_path), create=True)
    with committer(store, 0, 1000) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(after)]
        process.kill()
        said += [int(line) for line in process.stdout if line.endswith("\n")]

    kept = numbers(store)
    assert set(said) <= set(kept)
    assert len(kept) == len(set(kept))
    assert verify(store).problems == []
    with committer(store, 0, len(kept) + 2) as process:
        process.communicate(timeout=120)
    assert numbers(store) == list(range(len(kept) + 2))
