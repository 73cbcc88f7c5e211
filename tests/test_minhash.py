"""Signatures: the same numbers, to the bit, as datasketch makes of the same shingles."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import signatures
from pipeline.tokens import shingles

ROOT = Path(__file__).parents[1]
LETTERS = "aZé ßİ.,_1²\n漢かทุมြខុ한हिनْم😀\u0301\U00020000\u200d"


def murmur(data: bytes) -> int:
    """MurmurHash3_x86_32 with seed 0, after Austin Appleby's public description."""
    state = 0
    whole = len(data) // 4 * 4

    def scrambled(word: int) -> int:
        word = word * 0xCC9E2D51 & 0xFFFFFFFF
        word = (word << 15 | word >> 17) & 0xFFFFFFFF
        return word * 0x1B873593 & 0xFFFFFFFF

    for at in range(0, whole, 4):
        state ^= scrambled(int.from_bytes(data[at : at + 4], "little"))
        state = (state << 13 | state >> 19) & 0xFFFFFFFF
        state = (state * 5 + 0xE6546B64) & 0xFFFFFFFF
    state ^= scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16


def by_datasketch(text: str) -> bytes:
    sketch = MinHash(num_perm=112, seed=1, hashfunc=murmur, scheme="affine32")
    sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    return bytes(sketch.hashvalues.astype("<u4").tobytes())


def jaccard(a: str, b: str) -> float:
    left, right = shingles(a), shingles(b)
    return len(left & right) / len(left | right)


def test_the_reference_hash_has_its_published_values() -> None:
    assert [murmur(word) for word in (b"", b"a", b"hello", b"hello, world")] == [0, 0x3C2569B2, 0x248BFA47, 0x149BBB7F]


@pytest.mark.parametrize(
    "text",
    [
        "one",
        "one two three four",
        "one two three four five",
        "The quick brown fox jumps over the lazy dog. " * 20,
        "漢字かな交じり文は文字ごとに数える。",
        "मैं हिन्दी में लिखता हूँ और पढ़ता भी हूँ",
        "مَرْحَبًا بِكُمْ فِي هٰذَا النَّصِّ القَصِيرِ جِدًّا",
        "ΟΔΥΣΣΕΥΣ İSTANBUL ǅ ẞ ﬁ",
        "นี่คือข้อความภาษาไทย และ English mixed ၁၂၃ မြန်မာ",
    ],
)
def test_a_signature_equals_datasketchs(text: str) -> None:
    assert signatures(pa.array([text]))[0].as_py() == by_datasketch(text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.text(), st.text(LETTERS, max_size=80)), max_size=6))
def test_signatures_equal_datasketchs_on_any_texts(texts: list[str]) -> None:
    found = signatures(pa.array(texts, pa.large_string())).to_pylist()

    assert found == [by_datasketch(text) for text in texts]


def test_a_text_without_tokens_has_all_bits_set_and_null_stays_null() -> None:
    found = signatures(pa.array(["…", None, "", "a"], pa.large_string()))

    assert found.type == pa.binary(448)
    assert found.to_pylist()[:3] == [b"\xff" * 448, None, b"\xff" * 448]
    assert found.to_pylist()[3] == by_datasketch("a")


def test_slices_and_chunks_of_a_column_are_signed_like_its_texts() -> None:
    texts = [f"this is text number {n} of a column of many" for n in range(20)]
    whole = signatures(pa.array(texts)).to_pylist()

    assert signatures(pa.array(texts).slice(3, 5)).to_pylist() == whole[3:8]
    assert signatures(pa.chunked_array([texts[:7], [], texts[7:]])).to_pylist() == whole
    assert signatures(pa.array([], pa.string())).to_pylist() == []


def test_equal_rows_estimate_the_exact_jaccard() -> None:
    random = np.random.default_rng(20261123)
    errors = []
    for _ in range(300):
        words = [str(number) for number in random.integers(0, 1 << 60, 600)]
        cut = int(random.integers(0, 600))
        other = words[:cut] + [str(number) for number in random.integers(0, 1 << 60, 600 - cut)]
        a, b = " ".join(words), " ".join(other)
        first, second = np.frombuffer(b"".join(signatures(pa.array([a, b])).to_pylist()), "<u4").reshape(2, 112)
        errors.append(float((first == second).mean()) - jaccard(a, b))

    assert abs(np.mean(errors)) < 0.01  # its own deviation is 0.0022
    assert np.std(errors) < 0.05  # sqrt(J (1 - J) / 112) is 0.047 at most


def test_real_texts_have_datasketchs_signatures(corpus: Path) -> None:
    with lzma.open(corpus / "neardup" / "docs.jsonl.xz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines][::40]

    assert signatures(pa.array(texts, pa.large_string())).to_pylist() == [by_datasketch(text) for text in texts]


def test_signing_is_many_times_faster_than_datasketch(corpus: Path) -> None:
    with lzma.open(corpus / "neardup" / "docs.jsonl.xz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    column = pa.array(texts, pa.large_string())
    signatures(column[:1])

    started = time.process_time()
    signatures(column)
    ours = (time.process_time() - started) / len(texts)
    fresh = MinHash(num_perm=112, seed=1)
    started = time.process_time()
    for text in texts[::20]:
        sketch = MinHash(num_perm=112, seed=1, permutations=fresh.permutations, scheme="affine32")
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    peer = (time.process_time() - started) / len(texts[::20])

    assert peer / ours > 8  # 18 when measured alone


def test_without_a_place_for_compiled_code_it_is_compiled_again() -> None:
    code = (
        "import pyarrow as pa; from pipeline import signatures\n"
        "print(signatures(pa.array(['a b c d e f']))[0].as_py().hex())"
    )
    # Numba then finds no cache: that locator serves notebooks only.
    homeless = {**os.environ, "NUMBA_CACHE_LOCATOR_CLASSES": "IPythonCacheLocator"}

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=homeless, capture_output=True, text=True, check=True
    )

    assert bytes.fromhex(done.stdout) == by_datasketch("a b c d e f")
