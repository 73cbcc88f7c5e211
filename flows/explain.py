"""The whole story of one page, from every room: frontier, captures, documents, corpus or removals.

Nothing disappears without a reason, and this is where the reason of one page is read.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from crawlers.frontier import Frontier
from crawlers.urls import canonical
from flows.crawl import FRONTIER
from storage import Store, sql
from storage.errors import NotFound
from storage.schema import MEASURES

ID: Final = re.compile(r"[0-9a-f]{8,64}")

Story = dict[str, Any]
"""url, frontier (list), captures, decisions, documents, corpus, removals, edges (lists of rows), fate."""


def explain(store: Store, what: str, *, corpus: str = "corpus") -> Story:
    """Everything known of a URL, or of the row with this id (at least 8 hex digits).

    Raises NotFound when no room knows it, InvalidUrl when it is neither.
    """
    with sql.connect(store, corpus=corpus) as con:

        def rows(query: str, parameter: Any) -> list[dict[str, Any]]:
            return [_clean(row) for row in con.sql(query, params=[parameter]).to_arrow_table().to_pylist()]

        urls = _urls(rows, what)
        story: Story = {"asked": what, "urls": urls}
        story["captures"] = rows("SELECT * FROM captures WHERE list_contains(?, url) ORDER BY fetched_at", urls)
        story["decisions"] = rows("SELECT * FROM decisions WHERE list_contains(?, url)", urls)
        story["documents"] = rows(
            "SELECT * EXCLUDE (signature, text), left(text, 200) AS text_begins, length(text) AS text_length "
            "FROM documents WHERE list_contains(?, url) ORDER BY fetched_at",
            urls,
        )
        ids = [bytes.fromhex(row["capture_id"]) for row in story["captures"]]
        story["corpus"] = rows(
            "SELECT capture_id, cluster_size, serves_train, serves_input, serves_search "
            "FROM corpus WHERE list_contains(?, capture_id)",
            ids,
        )
        story["removals"] = rows(
            "SELECT r.*, s.url AS survivor_url FROM removals r "
            "LEFT JOIN captures s ON s.capture_id = r.survivor_capture_id WHERE list_contains(?, r.capture_id)",
            ids,
        )
        story["stands_for"] = rows(
            "SELECT url, reason, jaccard FROM removals WHERE list_contains(?, survivor_capture_id) ORDER BY url", ids
        )
    story["frontier"] = _frontier(store, urls)
    if not any(story[part] for part in ("frontier", "captures", "decisions", "documents")):
        raise NotFound("explain", what, "no room of this store knows it", "is it the URL as it was linked?")
    story["fate"] = _fate(story)
    return story


def _urls(rows: Any, what: str) -> list[str]:
    if not ID.fullmatch(what):
        return [canonical(what)]
    found = rows(
        "SELECT DISTINCT url FROM captures c LEFT JOIN (SELECT capture_id, doc_id FROM documents) USING (capture_id) "
        "WHERE starts_with(lower(hex(capture_id)), $1) OR starts_with(lower(hex(page_id)), $1) "
        "OR starts_with(lower(hex(doc_id)), $1) ORDER BY url",
        what,
    )
    if not found:
        raise NotFound("explain", what, "no capture, page or document has this id")
    return [row["url"] for row in found]


def _frontier(store: Store, urls: list[str]) -> list[Story]:
    path = store.state_dir / FRONTIER
    if not path.exists():
        return []
    with Frontier.open(path, read_only=True) as frontier:
        return [_clean(told) for url in urls for told in frontier.story(url)]


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _fate(story: Story) -> str:
    """One sentence: where the page is now, and why."""
    if story["corpus"]:
        others = story["corpus"][0]["cluster_size"] - 1
        return "in the corpus" + (f", standing for {others} removed duplicates" if others else "")
    if story["removals"]:
        row = story["removals"][-1]
        return f"removed: {_why(row)}"
    if story["documents"]:
        return "cleaned, not published yet: run `thresher publish`"
    if any(row["page_id"] for row in story["captures"]):
        return "captured, not cleaned yet: run `thresher clean`"
    if story["captures"]:
        return f"fetched, nothing to clean: {story['captures'][-1]['outcome']}"
    if story["decisions"]:
        return f"not fetched: {story['decisions'][-1]['reason']}, {story['decisions'][-1]['evidence']}"
    return "known to the frontier: " + ", ".join(str(row.get("state")) for row in story["frontier"])


def _why(row: dict[str, Any]) -> str:
    if row["value"] is not None:
        return f"{row['reason']} is {row['value']:g}, the policy's bound is {row['threshold']:g}"
    if row["survivor_capture_id"]:
        near = f" (Jaccard {row['jaccard']:.3f} on the text)" if row["jaccard"] is not None else ""
        return f"{row['reason']}, in favour of {row['survivor_url']}{near}"
    return str(row["reason"])


def render(story: Story) -> str:
    """The story as text, in the order in which things happened."""
    lines = [f"{url}" for url in story["urls"]] + [f"  now: {story['fate']}"]
    for row in story["frontier"]:
        lines += ["", "frontier", *_pairs(row)]
    for row in story["decisions"]:
        lines += ["", "decision", *_pairs(row)]
    for row in story["captures"]:
        lines += ["", f"capture {row['capture_id'][:12]}", *_pairs(row, skip=("capture_id", "url"))]
    for row in story["documents"]:
        measures = {name: row.pop(name) for name in list(row) if name in MEASURES.names}
        lines += ["", f"document {(row['doc_id'] or 'without text')[:12]}", *_pairs(row, skip=("doc_id", "url"))]
        shown = ", ".join(f"{name} {value:.4g}" for name, value in measures.items() if value is not None)
        lines += [f"  {'measures':<18}{shown}"]
    for row in story["removals"]:
        lines += ["", f"removal {row['capture_id'][:12]}", f"  {_why(row)}"]
    for row in story["corpus"]:
        lines += ["", f"corpus {row['capture_id'][:12]}", *_pairs(row, skip=("capture_id",))]
    for row in story["stands_for"]:
        lines += [f"  stands for {row['url']} ({row['reason']})"]
    return "\n".join(lines)


def _pairs(row: dict[str, Any], skip: tuple[str, ...] = ()) -> list[str]:
    shown = {name: value for name, value in row.items() if value is not None and name not in skip}
    return [
        f"  {name:<18}{json.dumps(value, ensure_ascii=False, default=str).strip(chr(34))}"
        for name, value in shown.items()
    ]
