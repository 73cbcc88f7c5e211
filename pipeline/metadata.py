"""What a page says about itself: title, author, when it was published, its licence. Stated facts only.

A date counts when the page states it as machine-readable publication date; nothing is read out of prose or URLs, and
nothing depends on today. Where a page contradicts itself, the first source in the order given here wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from html import unescape
from typing import Any, Final

from lxml.etree import XPath
from lxml.html import HtmlElement

from pipeline.normalise import normalise

TITLE_CHARS: Final = 1_000
AUTHOR_CHARS: Final = 200
"""Longer is no title, or no list of authors."""

LINKED_DATA_BYTES: Final = 512 * 1024
LINKED_DATA_NODES: Final = 10_000

_TITLES: Final = ("og:title", "twitter:title", "dc.title", "dcterms.title", "citation_title", "headline")
_AUTHORS: Final = (
    "author", "article:author", "og:article:author", "dc.creator", "dcterms.creator", "citation_author",
    "parsely-author", "sailthru.author", "byl", "twitter:data1",
)  # fmt: skip
_DATES: Final = (
    "article:published_time", "og:article:published_time", "og:published_time", "datepublished", "dc.date.issued",
    "dcterms.issued", "dcterms.created", "dc.date", "dcterms.date", "citation_publication_date", "citation_date",
    "parsely-pub-date", "sailthru.date", "article.published", "publish-date", "publish_date", "publishdate",
    "publication_date", "pubdate", "date", "cxenseparse:recs:publishtime", "rnews:datepublished",
)  # fmt: skip
_LICENCES: Final = ("dcterms.license", "dc.rights", "dcterms.rights", "license")

_PROFILE: Final = re.compile(r"https?:|www\.|^@|\.(?:com|org|net|html?)\b", re.IGNORECASE)
_BYLINE: Final = re.compile(r"^\s*(?:by|von|par|por|di|door|av)\b[\s:]*", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r"\s+[|·•—–»:-]\s+")
_SEPARATOR_AT_END: Final = re.compile(r"(?<=\S)\s+[|·•—–»:-]\s+$")
_CC: Final = re.compile(
    r"creativecommons\.org/(?:(licenses)/([a-z-]+)/(\d\.\d)|(publicdomain)/(zero|mark)/(\d\.\d))", re.IGNORECASE
)
_DAY: Final = re.compile(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})\b")

_LINKED_DATA: Final = XPath(".//script[@type='application/ld+json']")
_PUBLISHED_TIMES: Final = XPath(
    ".//time[@datetime][@pubdate or @itemprop='datePublished' or contains(concat(' ', @class, ' '), ' published ')]"
)
_PROPERTIES: Final = XPath(".//*[@itemprop='datePublished'][@content or @datetime]")
_BYLINES: Final = XPath(".//a[@rel='author'] | .//*[@itemprop='author' and not(@content)]")
_LINKS: Final = XPath(".//a[@href] | .//link[@href]")


@dataclass(frozen=True, slots=True)
class Metadata:
    """`published_at` is UTC: a day without time is its midnight, a time without zone is UTC. None: not stated."""

    title: str | None
    author: str | None
    published_at: datetime | None
    licence: str | None


def metadata(tree: HtmlElement) -> Metadata:
    """What the parsed page states about itself."""
    stated = _metas(tree)
    linked = _linked_data(tree)
    return Metadata(
        _title(tree, stated, linked),
        _author(tree, stated, linked),
        _published(tree, stated, linked),
        _licence(tree, stated, linked),
    )


Stated = dict[str, list[str]]


def _metas(tree: HtmlElement) -> Stated:
    """Contents of the meta elements by lower-case name, property or itemprop, in document order."""
    stated: Stated = {}
    for meta in tree.iter("meta"):
        content = (meta.get("content") or "").strip()
        name = meta.get("property") or meta.get("name") or meta.get("itemprop")
        if content and name:
            stated.setdefault(name.strip().lower(), []).append(content)
    return stated


def _linked_data(tree: HtmlElement) -> list[dict[str, Any]]:
    """The objects of all JSON-LD that can be parsed, those that describe an article first."""
    objects: list[dict[str, Any]] = []
    for script in _LINKED_DATA(tree):
        source = script.text or ""
        if len(source) <= LINKED_DATA_BYTES:
            try:
                objects.extend(_objects(json.loads(source, strict=False)))
            except (ValueError, RecursionError):  # broken JSON is common
                continue
    objects.sort(key=lambda item: not _is_article(item))
    return objects


def _objects(value: object) -> Iterator[dict[str, Any]]:
    """Objects at the top, in lists, under @graph or mainEntity; others (comments, authors) are not about the page."""
    waiting = [value]
    for _ in range(LINKED_DATA_NODES):
        if not waiting:
            return
        value = waiting.pop(0)
        if isinstance(value, list):
            waiting = value + waiting
        elif isinstance(value, dict):
            yield value
            waiting = [value[key] for key in ("@graph", "mainEntity") if key in value] + waiting


def _is_article(item: dict[str, Any]) -> bool:
    kinds = item.get("@type")
    return any(
        str(kind).endswith(("Article", "Posting", "Report")) for kind in (kinds if isinstance(kinds, list) else [kinds])
    )


def _title(tree: HtmlElement, stated: Stated, linked: list[dict[str, Any]]) -> str | None:
    """The page's own headline, without the site's name."""
    headings = [_line(heading.text_content()) for heading in tree.iter("h1")]
    element = next((_line(title.text_content()) for title in tree.iter("title")), "")
    candidates = [
        *(value for name in _TITLES for value in stated.get(name, ())),
        *(item["headline"] for item in linked if isinstance(item.get("headline"), str)),
        *(headings if len(headings) == 1 else ()),
        element,
        *headings,
    ]
    found = next((line for line in map(_line, candidates) if 1 < len(line) <= TITLE_CHARS), None)
    return found and _without_site(found, headings, [*map(_line, stated.get("og:site_name", ()))])


def _without_site(title: str, headings: list[str], sites: list[str]) -> str:
    """Of "Headline | Site" the first half, where a heading or og:site_name says which half is which."""
    for heading in headings:
        if heading and title.startswith(heading) and _SEPARATOR.match(title, len(heading)):
            return heading
    for site in sites:
        head = title.removesuffix(site)
        if head != title and (separator := _SEPARATOR_AT_END.search(head)):
            return head[: separator.start()]
    return title


def _author(tree: HtmlElement, stated: Stated, linked: list[dict[str, Any]]) -> str | None:
    """Names, separated by "; "; addresses of profiles are no names."""
    sources = [
        [name for item in linked for name in _names(item.get("author"))],
        *(stated.get(name, []) for name in _AUTHORS),
        [element.text_content() for element in _BYLINES(tree)],
    ]
    for source in sources:
        lines = [_BYLINE.sub("", line) for line in map(_line, source)]
        names = list(dict.fromkeys(line for line in lines if len(line) > 2 and not _PROFILE.search(line)))
        if names and len(joined := "; ".join(names)) <= AUTHOR_CHARS:
            return joined
    return None


def _names(value: object) -> Iterator[str]:
    for item in value if isinstance(value, list) else [value]:
        name = item.get("name") if isinstance(item, dict) else item
        for one in name if isinstance(name, list) else [name]:
            if isinstance(one, str):
                yield one


def _published(tree: HtmlElement, stated: Stated, linked: list[dict[str, Any]]) -> datetime | None:
    candidates = [
        *stated.get("article:published_time", ()),
        *(item["datePublished"] for item in linked if isinstance(item.get("datePublished"), str)),
        *(item.get("content") or item.get("datetime") or "" for item in _PROPERTIES(tree)),
        *(value for name in _DATES for value in stated.get(name, ())),
        *(item.get("datetime") for item in _PUBLISHED_TIMES(tree)),
    ]
    return next((moment for moment in map(_moment, candidates) if moment), None)


def _moment(value: str) -> datetime | None:
    """ISO 8601 or RFC 5322; None for anything else, above all for orders of day and month that one has to guess."""
    value = value.strip()
    moment: datetime | None = None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        if found := _DAY.match(value):
            try:
                moment = datetime.combine(date(int(found[1]), int(found[2]), int(found[3])), time())
            except ValueError:
                return None
        else:
            try:
                moment = parsedate_to_datetime(value)
            except (ValueError, TypeError, IndexError):
                return None
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return moment if 1900 <= moment.year <= 2100 else None


def _licence(tree: HtmlElement, stated: Stated, linked: list[dict[str, Any]]) -> str | None:
    """CC-BY-SA-4.0 and its like for Creative Commons, else the address that the page calls its licence.

    A link without rel=license counts when it is to Creative Commons and all such links of the page agree.
    """
    links = _LINKS(tree)
    labelled = [link.get("href") for link in links if "license" in (link.get("rel") or "").lower().split()]
    declared = [
        *labelled,
        *(item["license"] for item in linked if isinstance(item.get("license"), str)),
        *(value for name in _LICENCES for value in stated.get(name, ()) if "://" in value),
    ]
    for address in declared:
        if name := _creative_commons(address) or _absolute(address):
            return name
    linked_to = {_creative_commons(link.get("href")) for link in links} - {None}
    return linked_to.pop() if len(linked_to) == 1 else None


def _absolute(address: str) -> str | None:
    line = _line(address)
    return line if line.startswith(("http://", "https://")) and len(line) <= TITLE_CHARS else None


def _creative_commons(address: str) -> str | None:
    found = _CC.search(address)
    if not found:
        return None
    if found[1]:
        return f"CC-{found[2].upper()}-{found[3]}"
    return f"CC0-{found[6]}" if found[5].lower() == "zero" else f"CC-PDM-{found[6]}"


def _line(value: str) -> str:
    """One line of normal text, entities resolved."""
    return " ".join(normalise(unescape(value)).split())
