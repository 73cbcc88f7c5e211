"""robots.txt: Google's own tests, cases of ours that need no corpus, and thousands of real files."""

from __future__ import annotations

import gzip
import json
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.robots import MAX_BYTES, parse

H = "http://h.test"


def verdict(text: str, path: str, agent: str = "thresher/0.1 (+http://x.test/)") -> str:
    return parse(text.encode()).verdict(H + path, agent)


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("", "/a", "allow"),
        ("User-agent: *\nDisallow: /\n", "/a", "disallow"),
        ("User-agent: *\nDisallow: /\n", "/robots.txt", "allow"),
        ("User-agent: *\nDisallow:\n", "/a", "allow"),
        ("user-agent:*\ndisallow:/a", "/a", "disallow"),
        ("User-agent: *\rDisallow: /a\r", "/a", "disallow"),
        ("User-agent: *\r\nDisallow: /a # why\r\n", "/a/b", "disallow"),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b\n", "/a/b/c", "allow"),
        ("User-agent: *\nAllow: /a\nDisallow: /a\n", "/a", "allow"),
        ("User-agent: *\nDisallow: /*.pdf$\n", "/x/y.pdf", "disallow"),
        ("User-agent: *\nDisallow: /*.pdf$\n", "/x/y.pdf?z", "allow"),
        ("User-agent: *\nDisallow: /a*b*c\n", "/a1b2b3c4", "disallow"),
        ("User-agent: *\nDisallow: /a*b*c\n", "/a1c2b", "allow"),
        ("User-agent: *\nDisallow: /a*aa$\n", "/aaa", "disallow"),
        ("User-agent: *\nDisallow: /a*aa$\n", "/aa", "allow"),
        ("User-agent: *\nDisallow: *\n", "/", "disallow"),
        ("User-agent: *\nDisallow: /%7euser\n", "/~user/", "disallow"),
        ("User-agent: *\nDisallow: /~user\n", "/%7Euser/", "disallow"),
        ("User-agent: *\nDisallow: /a%2fb\n", "/a/b", "allow"),
        ("User-agent: *\nDisallow: /a%2fb\n", "/a%2Fb", "disallow"),
        ("User-agent: *\nDisallow: /ä\n", "/%C3%A4", "disallow"),
        ("User-agent: *\nDisallow: /a{b}\n", "/a%7Bb%7D", "disallow"),
        ("User-agent: *\nDisallow: /a b\n", "/a%20b", "disallow"),
        ("User-agent: *\nDisallow: /x%24y\n", "/x$y", "disallow"),
        ("User-agent: *\nDisallow: /?s=\n", "/?s=1", "disallow"),
        ("User-agent: *\nAllow: /d/index.html\nDisallow: /d/\n", "/d/", "allow"),
        ("User-agent: *\nDissallow: /a\n", "/a", "disallow"),
        ("Disallow: /\nUser-agent: *\nAllow: /b\n", "/a", "allow"),
        ("User-agent: *\nDisallow: /a\nThis is no directive at all\nDisallow: /b\n", "/b", "disallow"),
        ("<html><body>User-agent: *\nDisallow: /\n</body></html>", "/a", "allow"),
    ],
)
def test_a_rule_decides(text: str, path: str, expected: str) -> None:
    assert verdict(text, path) == expected


GROUPS = """
User-agent: *
Disallow: /all

User-agent: thresher
User-agent: other
Sitemap: http://h.test/sitemap.xml
Disallow: /ours

User-agent: AI2Bot
Disallow: /

User-agent: Thresher/2.0
Disallow: /more
"""


@pytest.mark.parametrize(
    ("agent", "denied"),
    [
        ("thresher", {"/ours", "/more"}),
        ("THRESHER/0.1 (+http://x.test/)", {"/ours", "/more"}),
        ("other", {"/ours"}),
        ("AI2Bot", {"/all", "/ours", "/more", "/b"}),
        ("stranger", {"/all"}),
        ("", {"/all"}),
    ],
)
def test_the_groups_of_an_agent_are_merged_and_replace_those_of_everybody(agent: str, denied: set[str]) -> None:
    robots = parse(GROUPS.encode())

    assert {
        path for path in ("/all", "/ours", "/more", "/b") if robots.verdict(H + path, agent) == "disallow"
    } == denied


def test_what_a_file_says_beside_rules() -> None:
    robots = parse(
        b"Content-Signal: search=yes\nUser-agent: a\nCrawl-delay: 2\nUser-agent: b\nCrawl-delay: 5\nDisallow: /x\n"
        b"Content-Signal: ai-train=no\nUser-agent: *\nCrawl-delay: soon\nSitemap: /s.xml\nSitemap: http://h.test/t.xml\n"
    )

    assert robots.sitemaps == ("/s.xml", "http://h.test/t.xml")
    assert [robots.crawl_delay(agent) for agent in ("a", "b", "c")] == [5.0, 5.0, None]
    assert robots.signals("b") == ("search=yes", "ai-train=no")
    assert robots.signals("c") == ("search=yes",)
    assert robots.names("B/1.0")
    assert not robots.names("c")


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1e999", "x", ""])
def test_a_delay_that_makes_no_sense_is_none(value: str) -> None:
    assert parse(f"User-agent: *\nCrawl-delay: {value}\n".encode()).crawl_delay("a") is None


def test_the_deciding_rule_is_told() -> None:
    robots = parse(b"User-agent: *\nDisallow: /a\nAllow: /a/b\n")

    assert robots.explain(H + "/a/c", "x") == ("disallow", "Disallow: /a")
    assert robots.explain(H + "/a/b", "x") == ("allow", "Allow: /a/b")
    assert robots.explain(H + "/z", "x") == ("allow", None)


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_the_first_line(mark: str) -> None:
    text = "\ufeffUser-agent: *\nDisallow: /a\n" if mark != "utf-8-sig" else "User-agent: *\nDisallow: /a\n"

    assert parse(text.encode(mark)).verdict(H + "/a", "x") == "disallow"


def test_what_is_past_the_bound_is_not_read() -> None:
    rule = b"\nUser-agent: *\nDisallow: /a\n"
    filling = b"#" * (MAX_BYTES - len(rule))

    assert parse(filling + rule).verdict(H + "/a", "x") == "disallow"
    assert parse(b"#" * MAX_BYTES + rule).verdict(H + "/a", "x") == "allow"


def test_many_asterisks_take_no_time() -> None:
    robots = parse(b"User-agent: *\nDisallow: /" + b"*a" * 5000 + b"b\n")
    started = time.process_time()

    assert robots.verdict(H + "/" + "a" * 2000, "x") == "allow"
    assert time.process_time() - started < 0.5


@given(st.binary(max_size=2000), st.text(max_size=50), st.text(max_size=30))
def test_no_bytes_break_the_parser(body: bytes, url: str, agent: str) -> None:
    robots = parse(b"User-agent: *\nDisallow: /" + body)

    assert robots.verdict(url, agent) in ("allow", "disallow")
    robots.crawl_delay(agent)
    robots.signals(agent)


def test_googles_142_cases(corpus: Path) -> None:
    lines = (corpus / "robots" / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case for case in map(json.loads, lines) if case["suite"] == "google"]
    wrong = [
        case
        for case in cases
        if (parse(case["robots"].encode()).verdict(case["url"], case["agent"]) == "allow") != case["allowed"]
    ]

    assert len(cases) == 142
    assert wrong == []


def test_real_files_parse_and_agree_with_another_parser_nearly_always(corpus: Path) -> None:
    """Where they differ, it is by byte-order marks and by groups that hold only a Crawl-delay."""
    with tarfile.open(corpus / "robots" / "real.tar.xz") as archive:
        files = {m.name: file.read() for m in archive if (file := archive.extractfile(m)) is not None}
    parsed = {name: parse(body) for name, body in files.items()}
    with gzip.open(corpus / "robots" / "real-oracle.jsonl.gz", "rt", encoding="utf-8") as lines:
        asked = [json.loads(line) for line in lines]
    same = sum(
        (parsed[host].verdict(f"http://{host}{path}", agent) == "allow") == allowed
        for host, agent, path, allowed in asked
    )

    assert len(parsed) > 2500
    assert same / len(asked) > 0.99


def test_odd_files_parse(corpus: Path) -> None:
    for path in (corpus / "robots" / "odd-files").iterdir():
        assert parse(path.read_bytes()).verdict(H + "/", "thresher") in ("allow", "disallow")
