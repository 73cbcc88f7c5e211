"""Measures of the published filters: hand-computed cases, and the verdicts that other implementations test for."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rules import measure, measures
from pipeline.rules.view import views
from pipeline.tokens import MARKS, SPLIT
from storage.schema import MEASURES

FRODO = (
    "I wish it need not have happened in my time,' said Frodo. 'So do I,' said Gandalf, 'and so do all who live to "
    "see such times. But that is not for them to decide. All we have to decide is what to do with the time that is "
    "given us.'"
)
GOOD = (
    "This is a well-written paragraph that ends with proper punctuation.\n"
    "The content here is substantial and has meaningful information.\n"
    "Quality filtering ensures that only the best documents pass through.\n"
    "Each line here is long enough and ends with a terminal punctuation mark.\n"
    "This document should pass all the quality checks applied by the filter."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("This is a test.", {"chars": 15, "gopher_words": 4, "gopher_mean_word_length": 3.0, "gopher_stop_words": 0}),
        ("The and that be", {"gopher_stop_words": 3}),  # "The" is not "the"
        ("the.and.that", {"gopher_words": 1, "gopher_stop_words": 0}),
        ("T h i s \n    \n\n\n    isoneword !!!", {"gopher_words": 5}),  # "!!!" has no letter
        ("# a # b", {"gopher_hash_ratio": 0.5, "gopher_alpha_words": 0.5}),
        ("### x", {"gopher_hash_ratio": 1.0}),  # 3 of 2 words
        ("well... then… fine", {"gopher_ellipsis_ratio": 2 / 3}),
        ("- one\n• two\nthree\n* four", {"gopher_bullet_lines": 0.5}),
        ("go on...\nstop\nand… \nend.", {"gopher_ellipsis_lines": 0.5}),
        ("漢字仮名。", {"gopher_words": 4, "gopher_mean_word_length": 1.0, "gopher_alpha_words": 0.8}),
        ("ภาษา ไทย", {"gopher_words": 7}),
        ("हिन्दी भाषा", {"gopher_words": 2, "gopher_alpha_words": 1.0}),
        ("a\nb\na\na", {"gopher_dup_lines": 0.5, "gopher_dup_line_chars": 2 / 7}),
        ("aa\n\nbb\n\naa", {"gopher_dup_paragraphs": 1 / 3, "gopher_dup_paragraph_chars": 2 / 10}),
        ("a b c", {"gopher_top_2gram": 3 / 5, "gopher_top_3gram": 1.0, "gopher_top_4gram": 0.0}),
        ("x y x y z", {"gopher_top_2gram": 6 / 9, "gopher_top_3gram": 5 / 9}),
        ("a b c d e a b c d e", {"gopher_dup_5gram": 5 / 19, "gopher_dup_6gram": 0.0, "gopher_dup_10gram": 0.0}),
        ("w w w w w w w w w w w", {"gopher_dup_5gram": 10 / 21, "gopher_dup_6gram": 6 / 21, "gopher_top_2gram": 1.0}),
        ("One. Two three! Four?", {"c4_sentences": 3, "c4_bad_lines": 0.0}),
        ("Version 3.14 came out. It is new", {"c4_sentences": 1}),
        ("一句话。又一句！还有吗？", {"c4_sentences": 3}),
        ("too short\nthis line is kept.", {"c4_bad_lines": 0.5, "c4_sentences": 1}),
        ("Lorem ipsum dolor sit amet", {"c4_lorem_ipsum": 1}),
        ("if (x) { y } {", {"c4_curly_brackets": 2}),
        ("Please enable JavaScript now.\nthis one is fine.", {"c4_bad_lines": 0.5}),
        ("We use cookies to track you.\nSee our Privacy Policy today.", {"c4_bad_lines": 1.0, "c4_sentences": 0}),
        ("a " + "x" * 1001 + " b", {"c4_bad_lines": 1.0}),
        ("ends well.\nends not", {"fineweb_punctuated_lines": 0.5}),
        ("结束了。\nशब्द।\nكلمة؟\nno", {"fineweb_punctuated_lines": 0.75}),
        ("short\n" + "x" * 30 + "\n" + "x" * 31, {"fineweb_short_lines": 2 / 3}),
        ("ab\nab\ncd", {"fineweb_dup_line_chars": 2 / 6, "fineweb_newline_ratio": 2 / 3}),
    ],
)
def test_measures_by_hand(text: str, expected: dict[str, float]) -> None:
    found = measure(text)

    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "name", "low", "high"),
    [
        # datatrove tests/pipeline/filters/test_filters.py, Gopher repetition: each is removed for this measure
        ("I am your father.\n" * 4, "gopher_dup_lines", 0.30, 1),
        ("I am your father.\n\n" * 4, "gopher_dup_paragraphs", 0.30, 1),
        (
            f"I am groot.\n\nYou are a wizard.\n\nI am your father.\n\n{'x' * 30}.\n\n{'x' * 30}.\n\n",
            "gopher_dup_paragraph_chars",
            0.20,
            1,
        ),
        (
            f"I am groot.\nYou are a wizard.\nI am your father.\n{'x' * 40}.\n{'x' * 40}.\n",
            "gopher_dup_line_chars",
            0.20,
            1,
        ),
        ("I am Frank, I am Frank, I am Frank", "gopher_top_2gram", 0.20, 1),
        ("I am Frank, you are Jhon. I am Frank. I am Frank you are Jhon", "gopher_top_3gram", 0.18, 1),
        ("I am a solo traveller " * 4 + FRODO, "gopher_dup_5gram", 0.15, 1),
        # Gopher quality
        ("I am too small...", "gopher_words", 0, 9),
        ("I am " * 20, "gopher_mean_word_length", 0, 2.99),
        ("interconnection " * 20, "gopher_mean_word_length", 10.01, 99),
        ("# comment " * 20, "gopher_hash_ratio", 0.11, 1),
        ("... comment " * 20, "gopher_ellipsis_ratio", 0.11, 1),
        ("the ./!*?<><> apple <?////> orange  ++ interconnection !<>??? have" * 20, "gopher_alpha_words", 0, 0.79),
        # C4
        ("This is a sentence with lorem ipsum dolor sit amet.\n" + GOOD, "c4_lorem_ipsum", 1, 9),
        ("This is some code with a { bracket.\n" + GOOD, "c4_curly_brackets", 1, 9),
        ("Just one sentence.", "c4_sentences", 0, 4),
        ("This site uses cookies for tracking.\nAnother valid line here today.", "c4_bad_lines", 0.5, 0.5),
        # FineWeb
        ("No punctuation here\nAnother line without any\nStill nothing", "fineweb_punctuated_lines", 0, 0.12),
        ("hi.\nbye.\nok.\nno.\nyes.", "fineweb_short_lines", 0.67, 1),
        ("\n".join(["a"] * 50), "fineweb_newline_ratio", 0.31, 1),
    ],
)
def test_what_other_implementations_remove_measures_as_they_say(text: str, name: str, low: float, high: float) -> None:
    value = measure(text)[name]

    assert value is not None
    assert low <= value <= high


@pytest.mark.parametrize("text", [FRODO, GOOD])
def test_what_other_implementations_keep_measures_inside_their_bounds(text: str) -> None:
    found = measure(text)

    assert 3 <= found["gopher_mean_word_length"] <= 10
    assert found["gopher_alpha_words"] >= 0.8
    assert found["gopher_stop_words"] >= 2
    assert found["gopher_hash_ratio"] == found["gopher_ellipsis_ratio"] == 0
    assert found["gopher_top_2gram"] <= 0.20
    assert found["fineweb_punctuated_lines"] > 0.12
    assert found["fineweb_short_lines"] < 0.67
    assert found["fineweb_dup_line_chars"] < 0.01
    assert found["fineweb_newline_ratio"] <= 0.3


@pytest.mark.parametrize("text", [None, "", "  \n\t ", "\u3000"])
def test_a_blank_text_has_no_measures(text: str | None) -> None:
    assert measure(text) == dict.fromkeys(MEASURES.names)


def test_a_column_is_measured_like_its_texts() -> None:
    texts = [FRODO, None, GOOD, "", "漢字"]

    found = measures(pa.array(texts, pa.large_string()))

    assert found.schema == MEASURES
    assert found.to_pylist() == [measure(text) for text in texts]


def words(text: str) -> list[str]:
    """The words of the view, written as one pattern."""
    marks = "".join(f"{chr(first)}-{chr(last)}" for first, last in MARKS)
    unspaced = "[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in SPLIT) + r"](?<=[^\W_])"
    return re.findall(rf"{unspaced}[{marks}]*|(?:(?!{unspaced})\S)+", text)


def top(found: list[str], n: int) -> int:
    counts = Counter(" ".join(found[k : k + n]) for k in range(len(found) - n + 1))
    return max((len(gram) * times for gram, times in counts.most_common(1)), default=0)


def duplicated(found: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    total = at = 0
    while at <= len(found) - n:
        gram = tuple(found[at : at + n])
        if gram in seen:
            total += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return total


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(st.sampled_from("ab#.-…\n\u3000 漢字กา\u0e34नि\u0301é_1😀"), min_size=1, max_size=60),
            st.lists(st.sampled_from(["x", "yy", "zzz"]), min_size=1, max_size=60).map(" ".join),
        ).filter(lambda text: not text.isspace()),
        min_size=1,
        max_size=4,
    )
)
def test_the_compiled_counts_are_those_of_plain_python(texts: list[str]) -> None:
    for text, view in zip(texts, views(texts), strict=True):
        found = words(text)
        plain = [word for word in found if any(map(str.isalnum, word))]
        assert view.words == len(found)
        assert (view.plain_words, view.plain_chars) == (len(plain), sum(map(len, plain)))
        assert view.alpha_words == sum(any(map(str.isalpha, word)) for word in found)
        assert view.top == tuple(top(found, n) for n in (2, 3, 4))
        assert view.duplicated == tuple(duplicated(found, n) for n in range(5, 11))


@settings(deadline=None)
@given(st.text())
def test_every_ratio_lies_between_zero_and_one(text: str) -> None:
    found = measure(text)
    ratios = [name for name in MEASURES.names if pa.types.is_floating(MEASURES.field(name).type)]

    for name in ratios:
        if name != "gopher_mean_word_length" and found[name] is not None:
            assert 0 <= found[name] <= 1 or name == "fineweb_newline_ratio", name
