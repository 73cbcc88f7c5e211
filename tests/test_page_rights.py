"""What a page says about its own use, and how it joins what robots.txt and headers said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml.html import document_fromstring

from pipeline.rights import denials, joined

UNKNOWN: dict[str, Any] = dict.fromkeys(("rights_train", "rights_input", "rights_search", "rights_evidence"))
ALLOWED: dict[str, Any] = UNKNOWN | dict.fromkeys(("rights_train", "rights_input", "rights_search"), True)


def denied(head: str) -> set[str]:
    page = document_fromstring(f"<html><head>{head}</head><body><p>text</p></body></html>")
    return {denial.use for denial in denials(page)}


@pytest.mark.parametrize(
    ("head", "uses"),
    [
        ('<meta name="robots" content="index, follow">', set()),
        ('<meta name="robots" content="nofollow, notranslate, max-image-preview:large">', set()),
        ('<meta name="robots" content="noai">', {"train"}),
        ('<meta name="ROBOTS" content="NoAI, NoImageAI">', {"train"}),
        ('<meta name="robots" content="noindex">', {"input", "search"}),
        ('<meta name="robots" content="none">', {"input", "search"}),
        ('<meta name="robots" content="follow,noarchive">', {"input", "search"}),
        ('<meta name="robots" content="nosnippet">', {"input", "search"}),
        ('<meta name="robots" content="max-snippet: 0">', {"input", "search"}),
        ('<meta name="robots" content="max-snippet:20">', set()),
        ('<meta name="robots" content="noindex noai">', {"train", "input", "search"}),
        ('<meta name="googlebot" content="noindex">', {"input", "search"}),
        ('<meta name="googlebot" content="noai">', {"train", "input", "search"}),
        ('<meta name="GPTBot" content="noindex">', {"train"}),
        ('<meta name="CCBot" content="nofollow">', set()),
        ('<meta name="ChatGPT-User" content="none">', {"input"}),
        ('<meta name="tdm-reservation" content="1">', {"train"}),
        ('<meta name="tdm-reservation" content="0">', set()),
        ('<meta name="description" content="noindex, noai">', set()),
        ('<meta property="robots" content="">', set()),
        ('<meta name="robots">', set()),
        ('<meta name="robots" content="all"><meta name="robots" content="noai">', {"train"}),
    ],
)
def test_the_words_of_metas_deny_uses(head: str, uses: set[str]) -> None:
    assert denied(head) == uses


def test_a_meta_in_the_body_counts() -> None:
    page = document_fromstring('<p>text</p><meta name="robots" content="noai"><p>more</p>')

    assert {denial.use for denial in denials(page)} == {"train"}


def test_a_page_of_many_metas_gives_bounded_evidence() -> None:
    head = "".join(f'<meta name="robots" content="noindex, x{n}{"y" * 900}">' for n in range(500))
    found = denials(document_fromstring(f"<html><head>{head}</head></html>"))

    assert len(found) == 64
    assert all(len(denial.value) <= 500 for denial in found)


def page_denials(head: str) -> Any:
    return denials(document_fromstring(f"<html><head>{head}</head><body></body></html>"))


def test_without_an_objection_rights_stay_as_they_were() -> None:
    assert joined(ALLOWED, ()) == ALLOWED
    assert joined(UNKNOWN, ()) == UNKNOWN
    assert joined({**ALLOWED, "rights_train": False}, ())["rights_train"] is False


def test_an_objection_of_the_page_wins_and_only_over_its_uses() -> None:
    found = joined(ALLOWED, page_denials('<meta name="robots" content="noai">'))

    assert (found["rights_train"], found["rights_input"], found["rights_search"]) == (False, True, True)


def test_a_page_makes_no_unknown_right_known_but_by_denying_it() -> None:
    found = joined(UNKNOWN, page_denials('<meta name="robots" content="noindex">'))

    assert (found["rights_train"], found["rights_input"], found["rights_search"]) == (None, False, False)


def test_evidence_is_appended_as_it_stood() -> None:
    before = json.dumps([{"source": "robots.txt", "value": "GPTBot", "use": "train", "verdict": "disallow"}])
    captured = {**ALLOWED, "rights_train": False, "rights_evidence": before}

    found = joined(captured, page_denials('<meta name="Robots" content="NoIndex, é">'))

    assert json.loads(str(found["rights_evidence"])) == [
        {"source": "robots.txt", "value": "GPTBot", "use": "train", "verdict": "disallow"},
        {"source": "meta", "value": "robots: NoIndex, é", "use": "input", "verdict": "disallow"},
        {"source": "meta", "value": "robots: NoIndex, é", "use": "search", "verdict": "disallow"},
    ]
