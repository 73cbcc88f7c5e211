"""Extraction: main text, what a page states about itself, and pages that are none."""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.extract import Extraction, extract
from pipeline.recipe import Recipe

FLOOR = 0.957
"""4-gram F1 on the corpus's 109 pages of article-extraction-benchmark, as its evaluate.py computes it: 0.9570."""

PROSE = (
    "The lighthouse keeper climbed the stairs every evening, and every morning he climbed down again. "
    "Nobody had asked him to count the steps, but he counted them all the same, for company. "
)
PAGE = f"""<!doctype html><html lang="en"><head><title>The keeper | Coast Weekly</title>
<meta property="og:site_name" content="Coast Weekly"></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/news">News</a></li></ul></nav>
<article><h1>The keeper</h1><p>{PROSE * 2}</p><p>{PROSE}</p><table><tr><td>Steps</td><td>199</td></tr></table></article>
<footer><p>Copyright and cookies and so on</p></footer></body></html>"""

LINKED = """<script type="application/ld+json">{"@graph": [{"@type": "Article",
"author": [{"name": "A. Keeper"}, {"name": "B. Writer"}]}]}</script>"""
COMMENTED = """<script type="application/ld+json">{"@type": "Article",
"comment": {"datePublished": "2021-03-04"}}</script>"""
TWO_LICENCES = """<a href="https://creativecommons.org/licenses/by/3.0/">a</a>
<a href="https://creativecommons.org/licenses/by-nc/3.0/">b</a>"""


def of(page: str, **more: str) -> Extraction:
    return extract(page.encode(), "http://coast.test/keeper", Recipe(), **more)


def with_head(head: str) -> Extraction:
    return of(PAGE.replace("</head>", head + "</head>"))


def with_end(html: str) -> Extraction:
    return of(PAGE.replace("</article>", html + "</article>"))


def test_the_main_text_is_kept_and_the_rest_is_not() -> None:
    found = of(PAGE)

    assert found.text is not None
    assert found.text.count("lighthouse keeper") == 3
    assert "199" in found.text
    assert "cookies" not in found.text
    assert "Home" not in found.text
    assert found.extractor == "trafilatura"
    assert found.confidence is not None
    assert found.confidence > 0.8


def test_the_same_page_gives_the_same_result_whatever_came_before() -> None:
    other = PAGE.replace("lighthouse", "windmill").replace("keeper", "miller")
    first = of(PAGE)
    for _ in range(3):
        of(other)
        of(PAGE)  # trafilatura's deduplication would drop a text seen three times

    assert of(PAGE) == first


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("", "The keeper"),
        ('<meta property="og:title" content="The keeper of the coast">', "The keeper of the coast"),
        ('<meta property="og:title" content="A tale — Coast Weekly">', "A tale"),
        ('<meta name="twitter:title" content="Caf&amp;eacute; keeper">', "Café keeper"),
        ('<script type="application/ld+json">{"@type": "NewsArticle", "headline": "Linked"}</script>', "Linked"),
    ],
)
def test_the_title_is_the_headline_without_the_sites_name(head: str, title: str) -> None:
    assert with_head(head).title == title


@pytest.mark.parametrize(
    ("head", "author"),
    [
        ("", None),
        ('<meta name="author" content="By A. Keeper">', "A. Keeper"),
        ('<meta property="article:author" content="https://social.test/keeper">', None),
        (LINKED, "A. Keeper; B. Writer"),
        ('<script type="application/ld+json">{broken</script><meta name="DC.Creator" content="C. Clerk">', "C. Clerk"),
    ],
)
def test_authors_are_names_that_the_page_states(head: str, author: str | None) -> None:
    assert with_head(head).author == author


@pytest.mark.parametrize(
    ("head", "moment"),
    [
        ("", None),
        ('<meta property="article:published_time" content="2021-03-04T05:06:07+02:00">', (2021, 3, 4, 3, 6, 7)),
        ('<meta property="article:published_time" content="2021-03-04T05:06:07Z">', (2021, 3, 4, 5, 6, 7)),
        ('<meta name="date" content="2021-03-04">', (2021, 3, 4)),
        ('<meta name="dc.date" content="20210304">', (2021, 3, 4)),
        ('<meta name="pubdate" content="Thu, 04 Mar 2021 05:06:07 +0000">', (2021, 3, 4, 5, 6, 7)),
        ('<meta name="date" content="03/04/2021">', None),
        ('<meta name="date" content="4 March 2021">', None),
        ('<meta name="date" content="2021-13-45">', None),
        ('<meta name="date" content="0001-01-01T00:00:00+14:00">', None),
        ('<meta property="article:modified_time" content="2021-03-04">', None),
        (
            '<script type="application/ld+json">{"@type": "BlogPosting", "datePublished": "2021-03-04"}</script>',
            (2021, 3, 4),
        ),
        (COMMENTED, None),
    ],
)
def test_a_date_of_publication_is_stated_or_unknown(head: str, moment: tuple[int, ...] | None) -> None:
    expected = datetime(*moment, tzinfo=UTC) if moment else None  # type: ignore[arg-type, misc]

    assert with_head(head).published_at == expected


def test_dates_in_elements_count_when_they_are_marked_as_publication() -> None:
    assert with_end('<time datetime="2021-03-04">then</time>').published_at is None
    assert with_end('<time class="entry-date published" datetime="2021-03-04">').published_at == datetime(
        2021, 3, 4, tzinfo=UTC
    )
    assert with_end('<span itemprop="datePublished" content="2021-03-04"></span>').published_at == datetime(
        2021, 3, 4, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("html", "licence"),
    [
        ("<p>All rights reserved.</p>", None),
        ('<a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.de">CC</a>', "CC-BY-SA-4.0"),
        ('<a rel="nofollow license" href="//creativecommons.org/publicdomain/zero/1.0/">CC0</a>', "CC0-1.0"),
        ('<a rel="license" href="https://coast.test/terms">terms</a>', "https://coast.test/terms"),
        ('<a href="http://creativecommons.org/licenses/by/3.0/">CC</a>', "CC-BY-3.0"),
        (TWO_LICENCES, None),
        ('<a rel="license" href="#terms">terms</a>', None),
    ],
)
def test_a_licence_is_declared_or_the_only_creative_commons_link(html: str, licence: str | None) -> None:
    assert with_end(html).licence == licence


def test_a_page_that_objects_says_so_in_its_extraction() -> None:
    found = with_head('<meta name="robots" content="noai, noindex">')

    assert [denial.use for denial in found.denials] == ["train", "input", "search"]
    assert found.text is not None


def test_plain_text_is_cleaned_without_parsing() -> None:
    found = extract(b"a < b and <b>c</b>\r\n\r\n\r\n\r\ndone\xc2\xad.", None, Recipe(), mime="text/plain")

    assert (found.text, found.extractor) == ("a < b and <b>c</b>\n\ndone.", "plain")
    assert extract(b"no markup at all", None, Recipe(), mime="text/html").extractor == "plain"


def test_the_charset_of_http_is_used() -> None:
    page = PAGE.replace("lighthouse keeper", "смотритель маяка").encode("cp1251")

    assert "смотритель маяка" in str(extract(page, None, Recipe(), charset="windows-1251").text)


def test_a_page_cut_off_in_the_middle_is_cleaned_as_far_as_it_goes() -> None:
    cut = PAGE.encode()[: PAGE.index("counted them all") + 5]

    found = extract(cut, None, Recipe())

    assert "lighthouse keeper" in str(found.text)


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n1 0 obj\n",
        b"PK\x03\x04\x14\x00\x06\x00",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"GIF89a\x01\x00",
        b"\x1f\x8b\x08\x00\x00\x00",
        bytes(range(256)) * 20,
        b"\x00" * 5000,
    ],
)
def test_bytes_that_are_no_text_are_not_parsed(data: bytes) -> None:
    found = extract(data, None, Recipe(), mime="text/html")

    assert (found.text, found.extractor, found.confidence) == (None, "not_text", None)


@pytest.mark.parametrize(
    "data", [b"", b"   \n", b"<html></html>", b"<html><body></body></html>", b"<", b"<!-- -->", b"<p>"]
)
def test_an_empty_page_has_no_text(data: bytes) -> None:
    assert extract(data, None, Recipe()).text is None


def test_bounds_are_on_bytes_tags_and_characters() -> None:
    page = PAGE.encode()

    assert extract(page, None, Recipe(max_bytes=len(page))).extractor == "trafilatura"
    assert extract(page, None, Recipe(max_bytes=len(page) - 1)).extractor == "too_large"
    assert extract(page, None, Recipe(max_tags=page.count(b"<"))).extractor == "trafilatura"
    assert extract(page, None, Recipe(max_tags=page.count(b"<") - 1)).extractor == "too_large"
    small = extract(page, None, Recipe(max_chars=100))
    assert (small.extractor, small.text) == ("too_large", None)


def test_recipes_with_one_id_are_equal_and_options_change_it() -> None:
    assert Recipe().id == Recipe().id == Recipe(fast=False).id
    assert len({Recipe().id, Recipe(fast=True).id, Recipe(comments=True).id, Recipe(max_tags=9).id}) == 4
    assert re.fullmatch(r"[0-9a-f]{12}", Recipe().id)


def shingled(text: str | None) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text or "")
    return Counter(tuple(words[k : k + 4]) for k in range(max(1, len(words) - 3))) if words else Counter()


def test_articles_are_found_as_well_as_the_extractor_can(corpus: Path) -> None:
    folder = corpus / "extraction" / "aeb"
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))["pages"]
    with tarfile.open(folder / "html.tar.xz") as archive:
        pages = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    precisions, recalls = [], []
    for record in truth.values():
        found = extract(pages[record["file"]], record["url"], Recipe())
        wanted, got = shingled(record["text"]), shingled(found.text)
        hits = sum((wanted & got).values())
        precisions.append(hits / max(1, sum(got.values())))
        recalls.append(hits / max(1, sum(wanted.values())))

    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)

    f1 = 2 * precision * recall / (precision + recall)
    print(f"\nAEB 4-gram F1 {f1:.4f}, precision {precision:.4f}, recall {recall:.4f}, {len(truth)} pages")
    assert round(f1, 4) >= FLOOR
