"""Tokens and shingles: what texts are compared by."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tokens import SHINGLE, SPLIT, shingles, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World_1!", ["hello", "world_1"]),
        ("don't e-mail x²", ["don", "t", "e", "mail", "x²"]),
        ("Straße ΌΣΟΣ", ["straße", "όσος"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("漢字かなABC漢", ["漢", "字", "か", "な", "abc", "漢"]),
        ("ภาษาไทย", ["ภ", "า", "ษ", "า", "ไ", "ท", "ย"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ភាសា", ["ភា", "សា"]),
        ("ລາວ", ["ລ", "າ", "ວ"]),
        ("か゚な", ["か゚", "な"]),
        ("❤️ ok ́ x", ["ok", "x"]),
        ("一、二", ["一", "二"]),
        ("", []),
        ("— … —", []),
    ],
)
def test_a_token_is_a_word_or_a_character_of_an_unspaced_script(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@given(st.text(st.characters(max_codepoint=0x2FF)))
def test_in_latin_text_tokens_are_words(text: str) -> None:
    assert tokens(text) == re.findall(r"\w+", text.lower())


@given(st.text())
def test_tokens_hold_every_word_character_once_and_in_order(text: str) -> None:
    found = "".join(tokens(text))

    assert [c for c in found if unicodedata.category(c)[0] != "M"] == re.findall(r"\w", text.lower())


@given(st.text(st.characters(min_codepoint=0xE00, max_codepoint=0xEFF)))
def test_no_token_of_an_unspaced_script_has_two_letters(text: str) -> None:
    assert all(len(re.findall(r"\w", token)) == 1 for token in tokens(text))


def test_the_unspaced_scripts_are_ordered_ranges_without_overlap() -> None:
    flat = [code for pair in SPLIT for code in pair]

    assert flat == sorted(flat)
    assert len(set(flat)) == len(flat)


def test_shingles_are_five_tokens_joined_by_one_space() -> None:
    assert shingles("A b, c d;  e F") == {"a b c d e", "b c d e f"}


def test_a_short_text_has_one_shingle_and_an_empty_one_none() -> None:
    assert shingles("Two words") == {"two words"}
    assert shingles("a b c d") == {"a b c d"}
    assert shingles("a b c d e") == {"a b c d e"}
    assert shingles("…") == frozenset()


@given(st.lists(st.sampled_from("abc"), min_size=SHINGLE, max_size=30))
def test_shingles_are_all_windows_of_the_tokens(words: list[str]) -> None:
    assert shingles(" ".join(words)) == {" ".join(words[k : k + SHINGLE]) for k in range(len(words) - SHINGLE + 1)}
