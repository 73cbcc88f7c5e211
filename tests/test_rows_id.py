"""rows_id says that two tables hold the same rows, and nothing else changes it. Vectors: test_store_format.py."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import rows_id

SCHEMA = pa.schema(
    {
        "id": pa.binary(4),
        "n": pa.int16(),
        "big": pa.int64(),
        "flag": pa.bool_(),
        "score": pa.float64(),
        "text": pa.large_string(),
        "raw": pa.large_binary(),
        "at": pa.timestamp("us", tz="UTC"),
    }
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.binary(min_size=4, max_size=4),
            "n": st.none() | st.integers(-(2**15), 2**15 - 1),
            "big": st.none() | st.integers(-(2**63), 2**63 - 1),
            "flag": st.none() | st.booleans(),
            "score": st.none() | st.floats(),
            "text": st.none() | st.text(max_size=8),
            "raw": st.none() | st.binary(max_size=8),
            "at": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        }
    ),
    max_size=12,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(ROWS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_order_batches_column_order_and_text_width_do_not_matter(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    cut = random.randint(0, len(rows))
    other = pa.concat_tables([table(shuffled[:cut]), table(shuffled[cut:])])
    other = other.select(random.sample(other.column_names, other.num_columns))
    other = other.set_column(other.column_names.index("text"), "text", other["text"].cast(pa.string()))

    assert rows_id.lthash(other) == rows_id.lthash(table(rows))


@given(ROWS, ROWS)
@settings(max_examples=60, deadline=None)
def test_states_add_up_and_can_be_taken_away(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> None:
    whole = rows_id.lthash(table(a + b))

    assert rows_id.add(rows_id.lthash(table(a)), rows_id.lthash(table(b))) == whole
    assert rows_id.subtract(whole, rows_id.lthash(table(b))) == rows_id.lthash(table(a))


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_a_column_of_nulls_changes_nothing(rows: list[dict[str, Any]]) -> None:
    rowed = table(rows)
    for kind in (pa.null(), pa.float64(), pa.large_string(), pa.binary(32), pa.bool_()):
        assert rows_id.lthash(rowed.append_column("new", pa.nulls(len(rows), kind))) == rows_id.lthash(rowed)


def test_a_slice_hashes_as_its_own_rows() -> None:
    rows = [{"n": number, "text": f"text {number}", "flag": number % 3 == 0} for number in range(50)]

    assert rows_id.lthash(table(rows).slice(7, 30)) == rows_id.lthash(table(rows[7:37]))


def one(**values: Any) -> bytes:
    return rows_id.lthash(table([values]))


def test_different_rows_differ() -> None:
    different = [
        one(),
        one(n=0),
        one(big=0),
        one(n=1),
        one(n=-1),
        one(flag=False),
        one(flag=True),
        one(text=""),
        one(text="a"),
        one(text="a\0"),
        one(raw=b"a"),
        one(id=b"aaaa"),
        one(score=0.0),
        one(score=float("inf")),
        one(score=float("-inf")),
        one(score=5e-324),
        one(at=datetime(1970, 1, 1, tzinfo=UTC)),
    ]

    assert len(set(different)) == len(different)


def test_a_row_twice_is_not_the_row_once_nor_none() -> None:
    once = one(text="a")

    assert len({once, rows_id.add(once, once), rows_id.ZERO}) == 3


def test_values_that_are_equal_hash_equal() -> None:
    assert one(score=0.0) == one(score=-0.0)
    odd = pa.table({"score": pa.array([0xFFF8000000000001], pa.uint64()).view(pa.float64())})
    assert rows_id.lthash(odd) == one(score=float("nan"))
    milliseconds = pa.table({"at": pa.array([1_000], pa.timestamp("ms", tz="UTC"))})
    assert rows_id.lthash(milliseconds) == one(at=datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))


def test_a_type_that_the_format_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        rows_id.lthash(pa.table({"a": [[1]]}))


def test_a_state_has_its_size() -> None:
    with pytest.raises(ValueError, match="2048"):
        rows_id.add(b"", rows_id.ZERO)
