"""What an HTTP answer means for us: the closed outcome of an exchange that got a response.

Pure, and used on both sides: the node uses it to decide whether to read a body, the coordinator derives it again from
the record, so that a node's own word about a response is never needed. Failures without a response are the node's to
name, out of FAILURES.
"""

from __future__ import annotations

import re
from typing import Final

from storage.schema import Kind, Outcome

FAILURES: Final[frozenset[Outcome]] = frozenset(("timeout", "dns", "tls", "refused", "blocked_address", "bad_response"))
"""Outcomes of an exchange without a response: what a metadata record may say."""

REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))

PAGE_TYPES: Final = frozenset(("text/html", "application/xhtml+xml", "text/plain"))
"""Media types worth cleaning."""

HTML_TYPES: Final = frozenset(("text/html", "application/xhtml+xml"))

_PARAMETER: Final = re.compile(r""";\s*charset\s*=\s*("[^"]*"|'[^']*'|[^;\s]*)""", re.IGNORECASE)


def media_type(content_type: str | None) -> tuple[str | None, str | None]:
    """Essence and charset of a Content-Type header, lower case; None for what is missing or empty."""
    if content_type is None:
        return None, None
    found = _PARAMETER.search(content_type)
    charset = found[1].strip("\"' ").lower() if found else ""
    return content_type.partition(";")[0].strip().lower() or None, charset or None


def classify(status: int, mime: str | None, location: str | None, kind: Kind) -> Outcome:
    """The outcome of a response.

    `mime` is the essence of Content-Type; a page without one is taken, for its bytes will tell. Only pages are chosen
    by type: robots.txt, sitemaps and feeds are served under every type there is.
    """
    if status == 304:
        return "not_modified"
    if status in REDIRECTS and location:
        return "redirect"
    if not 200 <= status <= 599:
        return "bad_response"
    if status >= 300:
        return "http_error"
    return "ok" if kind != "page" or mime is None or mime in PAGE_TYPES else "unwanted_type"


def worth_cleaning(outcome: Outcome, mime: str | None, kind: Kind, payload_bytes: int) -> bool:
    """Whether a payload is a page in the sense of the store: it gets a page_id and will become a document."""
    return kind == "page" and outcome == "ok" and payload_bytes > 0 and (mime is None or mime in PAGE_TYPES)
