"""The closed outcome of a response, and what of it is a page."""

from __future__ import annotations

import pytest

from crawlers.outcomes import FAILURES, classify, media_type, worth_cleaning
from storage.schema import OUTCOMES, Kind, Outcome


@pytest.mark.parametrize(
    ("status", "mime", "location", "kind", "expected"),
    [
        (200, "text/html", None, "page", "ok"),
        (200, "application/xhtml+xml", None, "page", "ok"),
        (200, "text/plain", None, "page", "ok"),
        (200, None, None, "page", "ok"),
        (206, "text/html", None, "page", "ok"),
        (204, None, None, "page", "ok"),
        (200, "application/pdf", None, "page", "unwanted_type"),
        (200, "image/png", None, "page", "unwanted_type"),
        (200, "image/png", None, "robots", "ok"),
        (200, "application/octet-stream", None, "sitemap", "ok"),
        (200, "application/rss+xml", None, "feed", "ok"),
        (301, "text/html", "/b", "page", "redirect"),
        (308, None, "/b", "robots", "redirect"),
        (302, "text/html", None, "page", "http_error"),
        (302, "text/html", "", "page", "http_error"),
        (300, "text/html", "/b", "page", "http_error"),
        (304, None, None, "page", "not_modified"),
        (402, "text/html", None, "page", "http_error"),
        (404, "text/html", None, "page", "http_error"),
        (503, None, None, "robots", "http_error"),
        (101, None, None, "page", "bad_response"),
        (999, "text/html", None, "page", "bad_response"),
        (0, None, None, "page", "bad_response"),
    ],
)
def test_the_outcome_of_a_response(
    status: int, mime: str | None, location: str | None, kind: Kind, expected: Outcome
) -> None:
    assert classify(status, mime, location, kind) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("text/html", ("text/html", None)),
        ("Text/HTML; Charset=UTF-8", ("text/html", "utf-8")),
        ('text/html;charset="Shift_JIS"; x=y', ("text/html", "shift_jis")),
        ("text/html; boundary=1;charset = big5", ("text/html", "big5")),
        ("text/html; charset=", ("text/html", None)),
        ("; charset=utf-8", (None, "utf-8")),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_a_content_type_is_taken_apart(header: str | None, expected: tuple[str | None, str | None]) -> None:
    assert media_type(header) == expected


def test_a_page_is_what_can_be_cleaned() -> None:
    assert worth_cleaning("ok", "text/html", "page", 1)
    assert worth_cleaning("ok", None, "page", 1)
    assert not worth_cleaning("ok", "text/html", "page", 0)
    assert not worth_cleaning("ok", "text/plain", "robots", 1)
    assert not worth_cleaning("http_error", "text/html", "page", 1)
    assert not worth_cleaning("ok", "application/rss+xml", "page", 1)


def test_every_outcome_is_either_told_by_the_node_or_derived_from_a_response() -> None:
    derived = {"ok", "not_modified", "redirect", "http_error", "unwanted_type", "bad_response"}

    assert derived | FAILURES == set(OUTCOMES)
