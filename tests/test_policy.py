"""Policies: what is published about each preset, what makes two policies the same, and what is refused."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace

import pytest

from pipeline.policy import Policy, Rule
from storage.errors import BadConfig

PRESETS = ("default", "gopher", "c4", "fineweb", "none")


def bounds(preset: str) -> dict[str, tuple[float | None, float | None]]:
    return {rule.measure: (rule.low, rule.high) for rule in Policy.preset(preset).thresholds}


def test_a_policy_without_arguments_is_the_default_preset() -> None:
    plain = Policy()

    assert plain == Policy.preset("default")
    assert plain == Policy(near=0.8, containment=None, survivor=("longest",), languages=(), rights="respect")


def test_gopher_has_the_papers_numbers() -> None:
    gopher = bounds("gopher")

    quality = {name: gopher[f"gopher_{name}"] for name in ("words", "mean_word_length", "alpha_words", "stop_words")}
    assert quality == {
        "words": (50, 100_000),
        "mean_word_length": (3, 10),
        "alpha_words": (0.8, None),
        "stop_words": (2, None),
    }
    assert [gopher[f"gopher_top_{n}gram"][1] for n in (2, 3, 4)] == [0.20, 0.18, 0.16]
    assert [gopher[f"gopher_dup_{n}gram"][1] for n in range(5, 11)] == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert [gopher[f"gopher_dup_{what}"][1] for what in ("lines", "paragraphs", "line_chars")] == [0.3, 0.3, 0.2]


def test_fineweb_removes_what_stands_exactly_on_its_three_strict_bounds() -> None:
    """The paper removes a punctuated share <= 0.12, duplicated characters >= 0.1, short lines >= 0.67."""
    fineweb = bounds("fineweb")

    low = fineweb["fineweb_punctuated_lines"][0]
    assert low is not None
    assert 0.12 < low < 0.12 + 1e-15
    for measure, bound in (("fineweb_dup_line_chars", 0.1), ("fineweb_short_lines", 0.67)):
        high = fineweb[measure][1]
        assert high is not None
        assert bound - 1e-15 < high < bound
    assert fineweb["fineweb_newline_ratio"] == (None, 0.3)


def test_fineweb_is_gopher_and_c4_and_its_own() -> None:
    assert bounds("gopher").items() <= bounds("fineweb").items()
    assert bounds("c4").items() <= bounds("fineweb").items()
    assert len(bounds("fineweb")) == len(bounds("gopher")) + len(bounds("c4")) + 4


def test_the_default_judges_no_language_by_english() -> None:
    english = {"gopher_stop_words", "gopher_mean_word_length", "c4_sentences", "fineweb_punctuated_lines"}

    assert english.isdisjoint(bounds("default"))


def test_the_default_does_not_count_repeated_characters_as_repeated_words() -> None:
    exempt = {rule.measure: rule.exempt for rule in Policy().thresholds}

    assert {"ja", "th", "zh"} <= set(exempt["gopher_dup_5gram"])
    assert exempt["gopher_words"] == ()
    assert all(rule.exempt == () for rule in Policy.preset("gopher").thresholds)  # as published


def test_none_has_no_rules_but_still_deduplicates() -> None:
    assert Policy.preset("none").thresholds == ()
    assert Policy.preset("none").near == 0.8


def test_the_id_is_12_hex_and_follows_the_options() -> None:
    ids = [Policy.preset(name).id for name in PRESETS]
    ids += [Policy(near=0.9).id, Policy(containment=0.9).id, Policy(languages=("de",)).id, Policy(rights="record").id]
    ids += [Policy(survivor=("newest",)).id, Policy(survivor=("newest", "longest")).id]

    assert len(set(ids)) == len(ids)
    assert all(len(i) == 12 and int(i, 16) >= 0 for i in ids)


def test_the_id_does_not_depend_on_how_a_number_is_written() -> None:
    whole, point = Policy((Rule("chars", 1, 2),), near=1), Policy((Rule("chars", 1.0, 2.0),), near=1.0)

    assert whole.id == point.id


def test_the_id_of_a_policy_is_the_same_in_every_process() -> None:
    assert Policy.preset("none").id == "48669bd84f83"


def test_a_policy_can_be_a_key_and_not_be_changed() -> None:
    assert {Policy(): 1}[Policy.preset("default")] == 1
    with pytest.raises(FrozenInstanceError):
        Policy().near = 0.5  # type: ignore[misc]
    assert replace(Policy(), near=0.9).thresholds == Policy().thresholds


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: Policy.preset("finweb"), "did you mean fineweb?"),
        (lambda: Rule("gopher_word", 1), "did you mean gopher_words"),
        (lambda: Rule("zzzz", 1), "measures are chars"),
        (lambda: Rule("chars"), "give low, high or both"),
        (lambda: Rule("chars", 2, 1), "low <= high"),
        (lambda: Rule("chars", math.nan), "finite"),
        (lambda: Rule("chars", 1, exempt="ja"), "(value,)"),  # type: ignore[arg-type]
        (lambda: Policy(near=0.0), "above 0, up to 1"),
        (lambda: Policy(containment=1.5), "above 0, up to 1"),
        (lambda: Policy(survivor=("longst",)), "did you mean longest?"),  # type: ignore[arg-type]
        (lambda: Policy(survivor="longest"), "(value,)"),  # type: ignore[arg-type]
        (lambda: Policy(languages=("English",)), "two or three small letters"),
        (lambda: Policy(rights="ignore"), "respect, record"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_can_not_be_used_is_refused_with_a_hint(wrong: object, hint: str) -> None:
    assert callable(wrong)
    with pytest.raises(BadConfig) as error:
        wrong()

    assert hint in error.value.hint
