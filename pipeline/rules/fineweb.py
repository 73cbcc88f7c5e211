"""The measures of FineWeb's own filters (arXiv 2406.17557, section 3.6; datatrove's fineweb_quality_filter).

The thresholds are a policy's: the paper's text has 0.1 for characters in duplicate lines, its appendix and code 0.01.
"""

from __future__ import annotations

from typing import Final

from pipeline.rules.gopher import duplicates
from pipeline.rules.view import View

SHORT: Final = 30
"""Characters up to which a line is short."""

# What may end a sentence: FineWeb's . ' " ! ? and their like in other scripts, as FineWeb2 did.
PUNCTUATION: Final = (
    ".", "'", '"', "!", "?", "…", "”", "’", "»", "›", "。", "！", "？", "．", "｡", "」", "』", "؟", "۔", "।", "॥", "։",
    "።", "፧", "។", "៕", "။", "།", "᠃", "‽", "⁇",
)  # fmt: skip


def values(view: View) -> dict[str, int | float | None]:
    """Values of FineWeb's rules.

    fineweb_punctuated_lines, fineweb_short_lines: share of lines that end in PUNCTUATION, that have at most 30
    characters; empty lines count as lines.
    fineweb_dup_line_chars: characters in lines that occurred before, of all characters but newlines.
    fineweb_newline_ratio: newlines per word; lists have many.
    """
    lines, newlines = view.lines, len(view.lines) - 1
    _, repeated = duplicates(line for line in lines if line.strip())
    return {
        "fineweb_punctuated_lines": sum(line.endswith(PUNCTUATION) for line in lines) / len(lines),
        "fineweb_short_lines": sum(len(line) <= SHORT for line in lines) / len(lines),
        "fineweb_dup_line_chars": repeated / (view.chars - newlines),
        "fineweb_newline_ratio": newlines / view.words,
    }
