"""The training reader: one order for all ranks, every usable row once, and resuming that changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import dataset
from storage.dataset import Reader
from storage.errors import BadConfig, BlobMissing, Corrupt, NotFound
from storage.permutation import shuffled
from storage.schema import CORPUS
from storage.store import Store, open_store

AT = datetime(2026, 11, 22, tzinfo=UTC)
RIGHTS = (True, True, True, False, None)
"""Of row i for training: RIGHTS[i % 5]; every seventh row serves others only."""


def corpus_rows(numbers: Sequence[int]) -> pa.Table:
    values: dict[str, list[Any]] = {
        "capture_id": [hashlib.sha256(str(i).encode()).digest() for i in numbers],
        "url": [f"http://a.test/{i:06}" for i in numbers],
        "site": ["a.test"] * len(numbers),
        "fetched_at": [AT] * len(numbers),
        "text": [f"text {i}" for i in numbers],
        "serves_train": [i % 7 != 6 for i in numbers],
        "rights_train": [RIGHTS[i % 5] for i in numbers],
        "serves_search": [True] * len(numbers),
        "rights_search": [True] * len(numbers),
    }
    columns = [pa.array(values.get(field.name, [None] * len(numbers)), field.type) for field in CORPUS]
    return pa.table(columns, schema=CORPUS)


def published(store: Store, parts: Iterable[Sequence[int]]) -> None:
    shards = [store.write_shard("corpus", corpus_rows(part)) for part in parts]
    store.commit("corpus", replace={"corpus": shards}, at=AT, by="test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """400 rows in 11 shards; no window of 3 row groups is as long as another."""
    store = open_store(str(tmp_path_factory.mktemp("feed") / "store"), create=True)
    cuts = [0, 40, 41, 90, 120, 160, 161, 220, 270, 300, 390, 400]
    published(store, [range(a, b) for a, b in pairwise(cuts)])
    return store


def reader(store: Store, **options: Any) -> Reader:
    return Reader(store, **{"use": "train", "seed": 3, "batch_rows": 16, "window": 3, **options})


def texts(batches: Iterable[pa.RecordBatch]) -> list[list[str]]:
    return [batch["text"].to_pylist() for batch in batches]


USABLE = {f"text {i}" for i in range(400) if RIGHTS[i % 5] and i % 7 != 6}
BATCHES = -(-len(USABLE) // 16)


def test_an_epoch_is_every_usable_row_once_in_full_batches(store: Store) -> None:
    epoch = texts(reader(store))

    assert sorted(chain(*epoch)) == sorted(USABLE)
    assert [len(batch) for batch in epoch[:-1]] == [16] * (len(epoch) - 1)
    assert reader(store).rows == len(USABLE)
    assert reader(store).batches == len(epoch) == BATCHES


def test_rows_come_shuffled_across_shards(store: Store) -> None:
    epoch = [int(text.split()[1]) for text in chain(*texts(reader(store)))]

    assert epoch != sorted(epoch)
    assert abs(np.corrcoef(np.arange(len(epoch)), epoch)[0, 1]) < 0.5
    neighbours = sum(abs(a - b) == 1 for a, b in pairwise(epoch))
    assert neighbours < len(epoch) / 10


def test_the_same_arguments_give_the_same_order_and_another_seed_another(store: Store) -> None:
    assert texts(reader(store)) == texts(reader(store))
    assert texts(reader(store)) != texts(reader(store, seed=4))


def test_each_epoch_has_its_own_order(store: Store) -> None:
    three = reader(store)
    epochs = [texts(three) for _ in range(3)]

    assert [sorted(chain(*epoch)) for epoch in epochs] == [sorted(USABLE)] * 3
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("world", [1, 2, 3, 4, 7, BATCHES, BATCHES + 5])
def test_the_global_order_does_not_depend_on_the_world(store: Store, world: int) -> None:
    alone = texts(reader(store))
    shares = [texts(reader(store, rank=rank, world=world)) for rank in range(world)]

    for index, batch in enumerate(alone):
        assert shares[index % world][index // world] == batch
    assert sum(map(len, shares)) == len(alone)


def test_resuming_anywhere_continues_with_the_next_batch(store: Store) -> None:
    two = reader(store)
    run = texts(two) + texts(two)

    for taken in range(len(run)):
        stopped = reader(store)
        seen = []
        while len(seen) < taken:
            seen += texts(islice(stopped, taken - len(seen)))
        state = json.loads(json.dumps(stopped.state()))
        resumed = reader(store, state=state)

        assert seen + texts(resumed) + (texts(resumed) if taken < BATCHES else []) == run


@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 3), (3, 1), (4, 2), (3, 3), (5, 4)])
@pytest.mark.parametrize("rounds", [0, 1, 2, 3])
def test_resuming_at_another_world_size_misses_and_repeats_nothing(
    store: Store, before: int, after: int, rounds: int
) -> None:
    alone = texts(reader(store, batch_rows=8))
    states = []
    for rank in range(before):
        one = reader(store, batch_rows=8, rank=rank, world=before)
        assert len(list(islice(one, rounds))) == rounds
        states.append(one.state())

    shares = [texts(reader(store, batch_rows=8, rank=rank, world=after, state=states[-1])) for rank in range(after)]

    assert all(state == states[0] for state in states)
    for index in range(rounds * before, len(alone)):
        assert shares[index % after].pop(0) == alone[index]
    assert shares == [[]] * after


def test_the_last_batch_of_an_epoch_leads_to_the_next_epoch(store: Store) -> None:
    whole = reader(store)
    for _ in whole:
        last = whole.state()

    assert (last["epoch"], last["position"]) == (1, 0)
    assert whole.state() == last


@pytest.mark.parametrize(
    "change",
    [{"seed": 4}, {"use": "search"}, {"batch_rows": 17}, {"window": 4}, {"unknown": "allow"}],
    ids=lambda change: next(iter(change)),
)
def test_a_state_of_another_order_is_refused_and_says_what_differs(store: Store, change: dict[str, Any]) -> None:
    state = reader(store).state()

    with pytest.raises(BadConfig, match=next(iter(change))) as refusal:
        reader(store, state=state, **change)

    assert refusal.value.hint


def test_a_state_of_another_snapshot_is_refused(store: Store, tmp_path: Path) -> None:
    other = open_store(str(tmp_path / "other"), create=True)
    published(other, [range(10)])

    with pytest.raises(BadConfig, match="snapshot"):
        reader(other, state=reader(store).state())


@pytest.mark.parametrize(
    "broken",
    [{}, {"fingerprint": "0" * 64}, {"position": -1}, {"position": BATCHES + 1}, {"epoch": None}, {"position": "3"}],
    ids=str,
)
def test_a_state_that_was_tampered_with_is_refused(store: Store, broken: dict[str, Any]) -> None:
    state = {**reader(store).state(), **broken} if broken else {}

    with pytest.raises(BadConfig):
        reader(store, state=state)


def test_unknown_rights_are_denied_unless_the_caller_says_otherwise(store: Store) -> None:
    allowed = set(chain(*texts(reader(store, unknown="allow"))))

    assert allowed == {f"text {i}" for i in range(400) if RIGHTS[i % 5] is not False and i % 7 != 6}
    assert len(set(chain(*texts(reader(store, use="search"))))) == 400
    assert reader(store, use="input").rows == 0


def test_columns_come_in_the_order_asked_and_in_the_declared_types(store: Store) -> None:
    batch = next(iter(reader(store, columns=("fetched_at", "text", "rights_train", "capture_id"))))

    assert batch.schema == pa.schema(
        [CORPUS.field(name) for name in ("fetched_at", "text", "rights_train", "capture_id")]
    )
    assert batch["rights_train"].to_pylist() == [True] * 16
    for text, capture_id in zip(batch["text"].to_pylist(), batch["capture_id"].to_pylist(), strict=True):
        assert capture_id == hashlib.sha256(text.split()[1].encode()).digest()


def test_choosing_columns_does_not_change_the_order(store: Store) -> None:
    assert texts(reader(store, columns=("url", "text"))) == texts(reader(store))


def test_a_shard_of_several_row_groups_is_read_whole(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    published(store, [range(9000)])
    footer = pq.read_metadata(store.blob_location(reader(store).snapshot.shards("corpus")[0].digest, "parquet"))

    epoch = texts(reader(store, batch_rows=1000, window=2))

    assert footer.num_row_groups > 2
    assert sorted(chain(*epoch)) == sorted(f"text {i}" for i in range(9000) if RIGHTS[i % 5] and i % 7 != 6)


def test_no_more_than_two_windows_are_held(store: Store) -> None:
    one = reader(store)
    held = [sum(len(window.groups) for window in one._windows.values()) for _ in one]

    assert max(held) == 6
    assert not one._windows


def test_an_older_snapshot_is_read_by_its_digest(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    published(store, [range(10)])
    first = store.snapshot("corpus")
    assert first is not None
    published(store, [range(100)])

    for snapshot in (first, first.digest[:12]):
        assert reader(store, snapshot=snapshot, use="search").rows == 10
    assert Reader(first, use="search").rows == 10
    assert reader(store, use="search").rows == 100


def test_a_corpus_without_usable_rows_gives_no_batch(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    published(store, [[6, 13]])

    assert list(reader(store)) == []


def test_without_a_corpus_the_reader_says_what_to_do(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)

    with pytest.raises(NotFound, match="thresher publish"):
        reader(store)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": 2, "world": 2},
        {"rank": -1},
        {"world": 0},
        {"batch_rows": 0},
        {"window": 0},
        {"use": "sell"},
        {"unknown": "perhaps"},
        {"columns": ("txet",)},
        {"columns": ()},
        {"columns": ("text", "text")},
    ],
    ids=str,
)
def test_impossible_arguments_are_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadConfig):
        reader(store, **wrong)


def test_a_missing_or_broken_shard_is_named(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    published(store, [range(50), range(50, 100)])
    whole = reader(store)
    shard = Path(store.blob_location(whole.snapshot.shards("corpus")[0].digest, "parquet"))
    column = pq.read_metadata(shard).row_group(0).column(CORPUS.names.index("text"))
    data = bytearray(shard.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 5] ^= 1
    shard.chmod(0o644)

    shard.write_bytes(data)
    with pytest.raises(Corrupt, match=shard.stem[:12]):
        list(reader(store))
    shard.unlink()
    with pytest.raises(BlobMissing, match=shard.stem[:12]):
        reader(store)


@given(st.integers(0, 5000), st.binary(max_size=8))
def test_a_shuffle_hits_every_place_once(n: int, key: bytes) -> None:
    assert sorted(shuffled(n, key)) == list(range(n))


def test_every_order_of_three_is_as_likely() -> None:
    seen = Counter(tuple(shuffled(3, str(i).encode()).tolist()) for i in range(6000))

    assert len(seen) == 6
    assert all(850 < times < 1150 for times in seen.values())  # five standard deviations


def test_the_order_is_a_contract() -> None:
    """A run under way would be reordered by other numbers: change dataset.FORMAT with them."""
    assert dataset.FORMAT == "thresher-reader-1"
    assert shuffled(12, b"golden").tolist() == [2, 1, 11, 4, 0, 7, 3, 6, 5, 8, 9, 10]
