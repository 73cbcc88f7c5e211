"""From the bytes of a page to its main text and what it says about itself: a pure function of bytes, URL and recipe.

trafilatura does the extraction, with `deduplicate=False`: its own deduplication lets earlier pages decide. Verdicts
depend on bytes, tags and lengths, never on time. Hostile pages can still exhaust time or memory here: whoever runs
this on pages from the web runs it in a child (pipeline.workers).
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from lxml.etree import XPath
from lxml.html import HtmlElement
from trafilatura import bare_extraction, load_html
from trafilatura.settings import Document

from pipeline.decode import decode
from pipeline.metadata import Metadata, metadata
from pipeline.normalise import normalise
from pipeline.recipe import Recipe
from pipeline.rights import Denial, denials
from pipeline.rules.fineweb import PUNCTUATION

Extractor = Literal["trafilatura", "plain", "not_text", "too_large", "unprocessable"]
"""Who made the text: "plain" is text that needed no extraction. The last three have none: bytes that are not text, a
page or a text over a bound of the recipe, a page that its child did not survive three times."""

LONG_LINE: Final = 80
"""Characters from which a line is prose rather than a menu item, for the confidence."""

_SNIFF: Final = 4096
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_BINARY_SHARE: Final = 0.01
"""WHATWG's MIME sniffing calls one such byte binary; real pages have stray ones, images and archives have 10 %."""

_MAGIC: Final = (b"%PDF-", b"PK\x03\x04", b"\x1f\x8b", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"\x7fELF")
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")  # UTF-16: every other byte of ASCII is zero

MAX_ATTRIBUTES: Final = 4096
"""Of one tag. 50,000 take 8 s to parse; the most of 1,180 real pages is 136."""

_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_SPANNING: Final = XPath(".//*[@colspan or @rowspan]")
_VISIBLE: Final = XPath(
    ".//body//text()[not(parent::script or parent::style or parent::noscript or parent::template)]", smart_strings=False
)

logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # a page without text is a row here, not a warning


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in a page.

    Attributes:
        text: main text, normalised; None when there is none.
        published_at: UTC, as stated by the page; None when it is not.
        licence: "CC-BY-4.0" and the like, or the address of what the page calls its licence.
        denials: uses that the page itself objects to.
        confidence: 0..1, the mean of three shares: of the page's visible characters that are in the text, of the text's
            characters in lines of 80 or more, and in lines that end a sentence. On 509 labelled pages (AEB, WCXB) the
            mean F1 is 0.70 where it is 0.2 to 0.4, 0.77 to 0.6, 0.84 to 0.8, 0.94 above. None without text.
    """

    text: str | None
    title: str | None
    author: str | None
    published_at: datetime | None
    licence: str | None
    denials: tuple[Denial, ...]
    extractor: Extractor
    confidence: float | None


_UNSTATED: Final = Metadata(None, None, None, None)


def extract(
    html: bytes, url: str | None, recipe: Recipe, *, mime: str | None = None, charset: str | None = None
) -> Extraction:
    """Extract one page.

    Args:
        html: payload, transfer and content coding removed; a prefix of a page is fine.
        url: where it came from.
        mime: essence of its Content-Type; "text/plain" is not parsed as HTML.
        charset: parameter of its Content-Type.

    Raises:
        Exception: whatever a parser raises on a hostile page (MemoryError, RecursionError, lxml errors).
    """
    if len(html) > recipe.max_bytes:
        return _without_text("too_large")
    if _is_binary(html):
        return _without_text("not_text")
    source = decode(html, charset).text
    if mime == "text/plain" or "<" not in source:
        return _made(source, recipe, "plain")
    if source.count("<") > recipe.max_tags or _has_endless_tag(source):
        return _without_text("too_large")
    tree = load_html(source)
    if tree is None:
        return _without_text("trafilatura")
    _bound_spans(tree, recipe.max_tags)
    about, denied = metadata(tree), denials(tree)
    found = bare_extraction(tree, url=url, fast=recipe.fast, include_comments=recipe.comments, deduplicate=False)
    parts = [found.text, found.comments] if isinstance(found, Document) else []
    return _made("\n".join(filter(None, parts)), recipe, "trafilatura", about, denied, tree)


def unprocessable() -> Extraction:
    """What stands for a page that no child survived."""
    return _without_text("unprocessable")


def _made(
    raw: str,
    recipe: Recipe,
    extractor: Extractor,
    about: Metadata = _UNSTATED,
    denied: tuple[Denial, ...] = (),
    tree: HtmlElement | None = None,
) -> Extraction:
    text = normalise(raw) if len(raw) <= recipe.max_chars else ""
    if len(raw) > recipe.max_chars:
        extractor = "too_large"
    confidence = _confidence(text, tree) if text else None
    return Extraction(
        text or None, about.title, about.author, about.published_at, about.licence, denied, extractor, confidence
    )


def _without_text(extractor: Extractor) -> Extraction:
    return Extraction(None, None, None, None, None, (), extractor, None)


def _is_binary(data: bytes) -> bool:
    """Whether the bytes are no text in any encoding that pages have."""
    if data.startswith(_MAGIC):
        return True
    head = data[:_SNIFF]
    return not head.startswith(_WIDE_MARKS) and len(_BINARY.findall(head)) > _BINARY_SHARE * len(head)


def _has_endless_tag(source: str) -> bool:
    """Whether a tag has more attributes than the parser, which compares each with all others, can bear."""
    tags = (piece.partition(">")[0] for piece in source.split("<") if len(piece) > 2 * MAX_ATTRIBUTES)
    return any(len(_QUOTED.sub("", tag).split()) > MAX_ATTRIBUTES for tag in tags if len(tag) > 2 * MAX_ATTRIBUTES)


def _bound_spans(tree: HtmlElement, most: int) -> None:
    """Take all spans from the cells of a page whose tables would unfold to more than `most` cells."""
    cells = _SPANNING(tree)
    if sum(_span(cell, "colspan") * _span(cell, "rowspan") for cell in cells) > most:
        for cell in cells:
            cell.attrib.pop("colspan", None)
            cell.attrib.pop("rowspan", None)


def _span(cell: HtmlElement, name: str) -> int:
    value = (cell.get(name) or "1").strip()
    return int(value[:6]) if value.isdecimal() else 1


def _confidence(text: str, tree: HtmlElement | None) -> float:
    lines = text.split("\n")
    total = sum(map(len, lines))
    long = sum(len(line) for line in lines if len(line) >= LONG_LINE)
    ended = sum(len(line) for line in lines if line.endswith(PUNCTUATION))
    visible = total if tree is None else sum(len(piece.strip()) for piece in _VISIBLE(tree))
    share = min(1.0, total / visible) if visible else 1.0
    return round((share + long / total + ended / total) / 3, 4)
