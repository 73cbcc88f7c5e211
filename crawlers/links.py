"""The links of one page: what a crawl may follow, as canonical URLs in the order of the page.

Pure, but it parses hostile bytes: the coordinator runs it only in a child that can be killed (`crawlers/child.py`).
A link that its author asks not to follow (rel, meta robots) is none.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from selectolax.lexbor import LexborHTMLParser

from crawlers.urls import origin, resolve
from pipeline.decode import decode

MAX_LINKS: Final = 10_000
"""Links of one page that are taken; real index pages have some thousands."""

_RESOLVED_KEPT: Final = 32_768
_QUERY_SAFE: Final = "".join(chr(c) for c in range(33, 127))


def extract(payload: bytes, url: str, charset: str | None, agent: str) -> tuple[str, ...]:
    """The URLs that the HTML page at `url` links to, each once, the page itself and unusable ones left out.

    `charset` is that of the Content-Type; `agent` is ours, for a meta element that names it.
    """
    text, encoding = decode(payload, charset)
    tree = LexborHTMLParser(text)
    if _forbidden(tree, agent):
        return ()
    base = _base(tree, url)
    found: dict[str, None] = {}
    seen: set[str] = set()
    for element in tree.css("a[href], area[href]"):
        attributes = element.attrs
        href = (attributes.get("href") or "").strip()
        if not href or href[0] == "#" or href in seen:
            continue
        if "nofollow" in (attributes.get("rel") or "").lower().split():
            continue
        seen.add(href)
        target = _target(base, href, encoding)
        if target is not None and target != url:
            found[target] = None
            if len(found) == MAX_LINKS:
                break
    return tuple(found)


def _forbidden(tree: LexborHTMLParser, agent: str) -> bool:
    names = ("robots", agent.partition("/")[0].strip().lower())
    for element in tree.css("meta[name][content]"):
        if (element.attrs.get("name") or "").strip().lower() in names:
            words = {word.strip() for word in (element.attrs.get("content") or "").lower().split(",")}
            if not words.isdisjoint(("nofollow", "none")):
                return True
    return False


def _base(tree: LexborHTMLParser, url: str) -> str:
    element = tree.css_first("base[href]")
    href = element.attrs.get("href") if element is not None else None
    return (resolve(url, href) or url) if href else url


def _target(base: str, href: str, encoding: str) -> str | None:
    if not href.isascii() and encoding != "utf-8" and "?" in href:
        href = _query_encoded(href, encoding)
    if href[0] == "/":
        return _resolved(base if href.startswith("//") else origin(base) + "/", href)
    if href[0].isalnum() or href[0] == ".":  # does not depend on the last segment of the base
        return _resolved(base.partition("?")[0].rpartition("/")[0] + "/", href)
    return resolve(base, href)


@lru_cache(maxsize=_RESOLVED_KEPT)
def _resolved(base: str, href: str) -> str | None:
    """`resolve`, remembered: the pages of a site repeat its navigation."""
    return resolve(base, href)


def _query_encoded(href: str, encoding: str) -> str:
    """The reference with its query in the page's own encoding, as a browser would send it."""
    head, mark, query = href.partition("?")
    return head + mark + quote(query, safe=_QUERY_SAFE, encoding=encoding, errors="xmlcharrefreplace")
