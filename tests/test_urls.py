"""Canonical URLs: the WHATWG web-platform tests, our own table, and properties that must hold for every text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.urls import MAX_BYTES, canonical, host, origin, path, resolve, site
from storage.errors import InvalidUrl

CANONICAL = {
    "http://EXAMPLE.org": "http://example.org/",
    "https://example.org:443/a": "https://example.org/a",
    "http://example.org:443/a": "http://example.org:443/a",
    "http://user:pw@example.org/a#b": "http://example.org/a",
    "http://a@b@example.org/@x": "http://example.org/@x",
    "http://example.org/a/../b/./c": "http://example.org/b/c",
    "http://example.org/?b=2&a=1#": "http://example.org/?b=2&a=1",
    "http://example.org/?": "http://example.org/?",
    "http://example.org/é?ü": "http://example.org/%C3%A9?%C3%BC",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://192.0x00A80001/": "http://192.168.0.1/",
    "http://0x7f.1/": "http://127.0.0.1/",
    "http://[0:0::1]:80/": "http://[::1]/",
    " \thttp://example.org/a\n": "http://example.org/a",
    "http:\\\\example.org\\a": "http://example.org/a",
    "http://example.org/%7Ea%2f": "http://example.org/%7Ea%2f",
    "http://www.example.org/index.html": "http://www.example.org/index.html",
}
REFUSED = [
    *("", "example.org", "/a", "//example.org/", "http://", "http://[::1", "http://a b/", "http://a%00b/"),
    *("http://1.2.3.256/", "http://example.org:99999/", "ftp://example.org/", "javascript:alert(1)"),
    *("mailto:a@example.org", "data:text/html,x", "file:///etc/passwd"),
    *("http://example.org/" + "a" * MAX_BYTES, "http://example.org/" + "é" * 400),
]


@pytest.mark.parametrize(("given_url", "expected"), CANONICAL.items())
def test_the_canonical_form(given_url: str, expected: str) -> None:
    assert canonical(given_url) == expected


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_fetched_is_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        canonical(url)


def test_the_longest_url_is_taken_and_the_next_longer_is_not() -> None:
    prefix = "http://example.org/"
    longest = prefix + "a" * (MAX_BYTES - len(prefix))

    assert canonical(longest) == longest
    assert resolve(prefix, longest + "a") is None


@pytest.mark.parametrize(
    ("href", "expected"),
    [
        ("b", "http://example.org/d/b"),
        ("?x", "http://example.org/d/a?x"),
        ("#x", "http://example.org/d/a"),
        ("", "http://example.org/d/a"),
        ("//other.org", "http://other.org/"),
        ("https:b", "https://b/"),
        ("mailto:a@b.c", None),
        ("http://", None),
    ],
)
def test_a_reference_is_resolved_against_its_page(href: str, expected: str | None) -> None:
    assert resolve("http://example.org/d/a", href) == expected


def test_origin_host_and_path_of_a_canonical_url() -> None:
    url = canonical("https://www.Example.org:8443/a?b=/c")

    assert origin(url) == "https://www.example.org:8443"
    assert host(url) == "www.example.org:8443"
    assert path(url) == "/a?b=/c"
    assert host(canonical("http://[::1]:8080/")) == "[::1]:8080"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://www.example.co.uk/", "example.co.uk"),
        ("http://a.b.example.com:8080/", "example.com"),
        ("http://someone.github.io/", "someone.github.io"),
        ("http://www.xn--85x722f.xn--55qx5d.cn/", "xn--85x722f.xn--55qx5d.cn"),
        ("http://docs.project.test/", "docs.project.test"),
        ("http://docs.project.test:8080/", "docs.project.test:8080"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://[::1]/", "[::1]"),
        ("http://localhost/", "localhost"),
    ],
)
def test_the_site_is_the_registered_domain_or_else_the_host(url: str, expected: str) -> None:
    assert site(url) == expected


@given(st.text() | st.text().map("http://h.test/".__add__) | st.text().map("http://".__add__))
def test_canonical_is_idempotent_and_clean(text: str) -> None:
    try:
        once = canonical(text)
    except InvalidUrl:
        return

    assert canonical(once) == once
    assert once.isascii()
    assert "#" not in once
    assert "@" not in host(once)
    assert origin(once) + path(once) == once
    assert path(once).startswith("/")


@given(st.text(), st.text(alphabet="/?.:#@a%", max_size=12))
def test_no_text_breaks_resolving(href: str, tail: str) -> None:
    for reference in (href, tail):
        found = resolve("http://h.test/a/b?c", reference)

        assert found is None or canonical(found) == found


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert canonical("http://h.test/\ud800") == "http://h.test/%EF%BF%BD"


def _platform_cases(corpus: Path) -> list[dict[str, Any]]:
    cases = json.loads((corpus / "urls" / "wpt-urltestdata.json").read_text(encoding="utf-8"))
    return [case for case in cases if isinstance(case, dict)]


def _parsed(case: dict[str, Any]) -> str | None:
    base = case.get("base")
    if base in (None, "about:blank"):
        try:
            return canonical(case["input"])
        except InvalidUrl:
            return None
    return resolve(base, case["input"])


def test_every_http_url_of_the_platform_tests_has_the_expected_form(corpus: Path) -> None:
    """Compared without fragment and userinfo, which a canonical URL does not have."""
    cases = [case for case in _platform_cases(corpus) if case.get("href", "").startswith(("http:", "https:"))]
    expected = []
    for case in cases:
        authority = f"{case['protocol']}//{case['host']}"
        expected.append(authority + case["pathname"] + ("?" if _bare_query(case) else case["search"]))

    assert len(cases) >= 244
    assert [_parsed(case) for case in cases] == expected


def _bare_query(case: dict[str, Any]) -> bool:
    """`?` with nothing after it is part of the href, though `search` is empty."""
    return not case["search"] and case["href"].partition("#")[0].endswith("?")


def test_no_url_that_must_fail_is_accepted(corpus: Path) -> None:
    cases = [case for case in _platform_cases(corpus) if case.get("failure")]
    accepted = [case["input"] for case in cases if _parsed(case) is not None]

    assert len(cases) >= 198
    assert accepted == []
