"""Search terms: what a query and a document must agree on, in every script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.terms import MAX_WORD, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bees find flowers", ["bees", "find", "flowers", "flowe~"]),
        ("state-of-the-art foo_bar don't", ["state", "of", "the", "art", "foo", "bar", "don", "t"]),
        ("20251231 3.14", ["20251231", "3", "14"]),
        ("\uff26\uff35\uff2c\uff2c \ufb01ne", ["full", "fine"]),
        ("水素と", ["水素", "素と", "水", "素", "と"]),
        ("水", ["水"]),
        ("日本・東京", ["日本", "日", "本", "東京", "東", "京"]),
        ("iPhone手机", ["iphone", "iphon~", "手机", "手", "机"]),
        ("서울에서", ["서울", "울에", "에서", "서", "울", "에", "서"]),
        ("ที่นี่", ["ที่นี่", "ที่", "นี่"]),
        ("हिन्दी में", ["हिन्दी", "में", "हिन्द~"]),
        ("والكتاب الكتب", ["كتاب", "كتب"]),
        ("٣٤٥ ३४", ["345", "34"]),
        ("", []),
        (" \n!? 👍 --- ★", []),
    ],
)
def test_a_text_gives_these_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("ECOLE", "école"),
        ("strasse", "Straße"),
        ("cuando", "¿Cuándo?"),
        ("ИСТОЧНИК", "исто́чник"),
        ("еж", "ёж"),
        ("احمد", "أَحْمَد"),
        ("כלב", "כֶּלֶב"),
        ("ガ", "ｶﾞ"),
        ("İstanbul", "istanbul"),
        ("naïve", unicodedata.normalize("NFD", "naïve")),
    ],
)
def test_spelling_variants_meet(asked: str, written: str) -> None:
    assert terms(asked) == terms(written) != []


@pytest.mark.parametrize(("one", "other"), [("мой", "мои"), ("か", "が"), ("कि", "की"), ("কই", "কি"), ("ја", "я")])
def test_letters_that_only_look_alike_stay_apart(one: str, other: str) -> None:
    assert set(terms(one)).isdisjoint(terms(other))


def test_inflected_forms_share_their_stem() -> None:
    assert set(terms("университета")) & set(terms("университетом")) == {"униве~"}


def test_a_one_character_query_meets_a_longer_run() -> None:
    assert set(terms("水")) <= set(terms("天然水的来源"))


def test_a_word_of_a_megabyte_gives_two_short_terms() -> None:
    assert terms("x" * 1_000_000) == ["x" * MAX_WORD, "xxxxx~"]


@given(st.text())
def test_canonically_equal_texts_have_equal_terms(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    composed = unicodedata.normalize("NFC", text)

    assert terms(decomposed) == terms(composed)


@given(st.text())
def test_terms_are_short_and_hold_nothing_that_separates(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= 2 * MAX_WORD
        assert term == "".join(term.split())


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_takes_the_same_way_as_any_other(text: str) -> None:
    """ASCII has a short cut; a word in another script must not change what it gives."""
    both = terms(f"{text} é")

    assert sorted(both) == sorted([*terms(text), "e"])
