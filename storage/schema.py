"""The law of the tables: what a row of each table is, column by column.

Columns are added at the end, never changed or removed. `null` means "not known", never zero or "".
Times are microseconds in UTC, ids are 32 raw bytes, text is `large_string`.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import pyarrow as pa

ID: Final = pa.binary(32)
TEXT: Final = pa.large_string()
TIME: Final = pa.timestamp("us", tz="UTC")
SIGNATURE: Final = pa.binary(448)
"""112 little-endian uint32 of MinHash, 14 bands of 8 rows."""

Outcome = Literal[
    "ok",
    "not_modified",
    "redirect",
    "http_error",
    "timeout",
    "dns",
    "tls",
    "refused",
    "unwanted_type",
    "blocked_address",
    "bad_response",
]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)

Kind = Literal["page", "robots", "sitemap", "feed"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Use = Literal["train", "input", "search"]
USES: Final[tuple[Use, ...]] = get_args(Use)
"""What a row may be used for: training a model, standing in a prompt, being found by search."""


def _fields(**columns: pa.DataType) -> list[pa.Field]:
    return [pa.field(name, kind) for name, kind in columns.items()]


_RIGHTS = _fields(
    rights_train=pa.bool_(),
    rights_input=pa.bool_(),
    rights_search=pa.bool_(),
    rights_evidence=TEXT,  # JSON array of {source, value, use, verdict}, as seen
)

CAPTURES: Final = pa.schema(
    [
        *_fields(
            capture_id=ID,  # SHA-256(bundle digest, offset as 8 bytes big-endian)
            crawl=TEXT,
            url=TEXT,
            origin=TEXT,
            host=TEXT,
            site=TEXT,
            kind=TEXT,  # KINDS
            fetched_at=TIME,
            outcome=TEXT,  # OUTCOMES
            status=pa.int16(),
            mime=TEXT,  # essence of Content-Type, lower case
            charset=TEXT,  # parameter of Content-Type, lower case
            redirect_to=TEXT,
            page_id=ID,  # SHA-256 of the decoded payload; null when there is none worth cleaning
            bundle=ID,
            offset=pa.int64(),  # bytes, of the response (or metadata) record in the bundle
            length=pa.int64(),  # bytes, of that record as compressed
            truncated=TEXT,  # "length", "time" or null
            etag=TEXT,
            last_modified=TEXT,
            node=ID,  # null for imported captures, like lease and receipt
            lease=TEXT,
            receipt=ID,
            ip=TEXT,
            robots_verdict=TEXT,  # "allow", "disallow"; null when there was no robots.txt to ask
            robots_digest=ID,
        ),
        *_RIGHTS,
        *_fields(elapsed_ms=pa.int32(), depth=pa.int16(), referrer=TEXT),
    ]
)

DECISIONS: Final = pa.schema(
    _fields(url=TEXT, crawl=TEXT, reason=TEXT, evidence=TEXT, decided_at=TIME),
)
DECISION_REASONS: Final = ("robots", "budget", "trap", "scope", "hops")

PAGES: Final = pa.schema(
    [
        *_fields(
            capture_id=ID,
            page_id=ID,
            url=TEXT,
            host=TEXT,
            site=TEXT,
            fetched_at=TIME,
            mime=TEXT,
            charset=TEXT,
            truncated=TEXT,
            payload=pa.large_binary(),
        ),
        *_RIGHTS,
    ]
)
"""What cleaning reads; not stored: it is a capture row joined with its payload from the bundle."""

# One column per rule. Definitions and sources: pipeline/rules/. A ratio is 0..1; null when the text is empty.
MEASURES: Final = pa.schema(
    _fields(
        chars=pa.int32(),
        gopher_words=pa.int32(),
        gopher_mean_word_length=pa.float64(),
        gopher_hash_ratio=pa.float64(),
        gopher_ellipsis_ratio=pa.float64(),
        gopher_bullet_lines=pa.float64(),
        gopher_ellipsis_lines=pa.float64(),
        gopher_alpha_words=pa.float64(),
        gopher_stop_words=pa.int32(),
        gopher_dup_lines=pa.float64(),
        gopher_dup_paragraphs=pa.float64(),
        gopher_dup_line_chars=pa.float64(),
        gopher_dup_paragraph_chars=pa.float64(),
        gopher_top_2gram=pa.float64(),
        gopher_top_3gram=pa.float64(),
        gopher_top_4gram=pa.float64(),
        gopher_dup_5gram=pa.float64(),
        gopher_dup_6gram=pa.float64(),
        gopher_dup_7gram=pa.float64(),
        gopher_dup_8gram=pa.float64(),
        gopher_dup_9gram=pa.float64(),
        gopher_dup_10gram=pa.float64(),
        c4_sentences=pa.int32(),
        c4_lorem_ipsum=pa.int32(),
        c4_curly_brackets=pa.int32(),
        c4_bad_lines=pa.float64(),  # share of lines that C4 would drop, its terminal-punctuation rule left out
        fineweb_punctuated_lines=pa.float64(),
        fineweb_short_lines=pa.float64(),
        fineweb_dup_line_chars=pa.float64(),
        fineweb_newline_ratio=pa.float64(),
    )
)

_DOCUMENT_HEAD = _fields(
    capture_id=ID,
    page_id=ID,
    doc_id=ID,  # SHA-256 of `text` as stored, null when there is no text
    url=TEXT,
    host=TEXT,
    site=TEXT,
    fetched_at=TIME,
    title=TEXT,
    author=TEXT,
    published_at=TIME,
    lang=TEXT,  # ISO 639-1 or -3 as the detector gives it; "zxx" for no language, "und" for undecided
    lang_score=pa.float64(),
    script=TEXT,  # ISO 15924 of the most frequent script, "Zyyy" when there are no letters
    text=TEXT,
)
_DOCUMENT_TAIL = [
    *MEASURES,
    *_fields(pii_emails=pa.int32(), pii_ips=pa.int32()),
    *_RIGHTS,  # most restrictive of capture and page
    *_fields(licence=TEXT, extractor=TEXT, confidence=pa.float64()),
]

DOCUMENTS: Final = pa.schema([*_DOCUMENT_HEAD, *_DOCUMENT_TAIL, *_fields(signature=SIGNATURE)])

CORPUS: Final = pa.schema(
    [
        *_DOCUMENT_HEAD,
        *_DOCUMENT_TAIL,
        *_fields(
            cluster_size=pa.int32(),  # this document and those removed in its favour
            node=ID,
            bundle=ID,
            # Copies may have different rights, so a cluster can have a survivor for each use: this row is the one to
            # read for that use. A reader for training takes serves_train and looks at rights_train.
            serves_train=pa.bool_(),
            serves_input=pa.bool_(),
            serves_search=pa.bool_(),
        ),
    ]
)

REMOVALS: Final = pa.schema(
    _fields(
        capture_id=ID,
        doc_id=ID,
        url=TEXT,
        reason=TEXT,  # superseded, no_text, language, a column of MEASURES, rights, exact, near, contained
        value=pa.float64(),  # of the measure; null for other reasons, like threshold
        threshold=pa.float64(),
        survivor_capture_id=ID,  # for superseded and duplicates
        shared_bands=pa.int16(),
        jaccard=pa.float64(),
        containment=pa.float64(),
    )
)

EDGES: Final = pa.schema(
    _fields(capture_id_a=ID, capture_id_b=ID, jaccard=pa.float64(), containment=pa.float64(), bands=pa.int16())
)
"""Every pair that was compared and found near on the text itself; a < b bytewise."""

TABLES: Final[dict[str, pa.Schema]] = {
    "captures": CAPTURES,
    "decisions": DECISIONS,
    "documents": DOCUMENTS,
    "corpus": CORPUS,
    "removals": REMOVALS,
    "edges": EDGES,
}

SORT_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "captures": ("site", "url", "fetched_at", "capture_id"),
    "decisions": ("crawl", "url", "reason", "decided_at"),
    "documents": ("site", "url", "fetched_at", "capture_id"),
    "corpus": ("site", "url", "fetched_at", "capture_id"),
    "removals": ("url", "capture_id"),
    "edges": ("capture_id_a", "capture_id_b"),
}
"""Ascending, nulls last, strings by their UTF-8 bytes. Unique in every table but decisions."""

BLOOM_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "captures": ("capture_id", "page_id"),
    "decisions": (),
    "documents": ("capture_id", "doc_id"),
    "corpus": ("capture_id", "doc_id"),
    "removals": ("capture_id",),
    "edges": ("capture_id_a", "capture_id_b"),
}
