"""The measures of Gopher's quality and repetition filters (arXiv 2112.11446, appendix A.1.1 and table A1).

Formulas follow the paper; where it is silent, datatrove's gopher_quality_filter and gopher_repetition_filter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pipeline.rules.view import View

STOP_WORDS: Final = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
"""Gopher A.1.1: at least two of these English words, as they are (lower case, alone between white space)."""

BULLETS: Final = ("•", "-")
"""datatrove takes both; the paper says "bullet point"."""

ELLIPSES: Final = ("...", "…")

_LINES: Final = re.compile(r"\n+")
_PARAGRAPHS: Final = re.compile(r"\n{2,}")


def quality(view: View) -> dict[str, int | float | None]:
    """Values of the quality filter.

    gopher_words: words with a letter or digit (datatrove leaves words of punctuation alone out).
    gopher_mean_word_length: their mean number of characters; Dolma takes the median.
    gopher_hash_ratio, gopher_ellipsis_ratio: "#", and "..." or "…", per word of any kind.
    gopher_bullet_lines, gopher_ellipsis_lines: share of lines that begin with a bullet, that end with an ellipsis.
    gopher_alpha_words: share of words of any kind with a letter.
    gopher_stop_words: how many different of the eight STOP_WORDS occur.
    """
    text, lines = view.text, view.lines
    return {
        "gopher_words": view.plain_words,
        "gopher_mean_word_length": view.plain_chars / view.plain_words if view.plain_words else None,
        "gopher_hash_ratio": _share(text.count("#"), view.words),
        "gopher_ellipsis_ratio": _share(sum(map(text.count, ELLIPSES)), view.words),
        "gopher_bullet_lines": sum(line.lstrip().startswith(BULLETS) for line in lines) / len(lines),
        "gopher_ellipsis_lines": sum(line.rstrip().endswith(ELLIPSES) for line in lines) / len(lines),
        "gopher_alpha_words": view.alpha_words / view.words,
        "gopher_stop_words": len(STOP_WORDS.intersection(text.split())),
    }


def repetition(view: View) -> dict[str, int | float | None]:
    """Values of the repetition filter; shares of characters are of all characters of the text.

    Lines are what stands between newlines, paragraphs between empty lines; each occurrence after the first counts.
    gopher_top_Ngram: the most frequent N-gram's characters times its occurrences. gopher_dup_Ngram: characters of
    words in N-grams that occurred before, counted once.
    """
    text = view.text.strip()
    lines, line_chars = duplicates(lines_of := _LINES.split(text))
    paragraphs, paragraph_chars = duplicates(paragraphs_of := _PARAGRAPHS.split(text))
    return {
        "gopher_dup_lines": lines / len(lines_of),
        "gopher_dup_paragraphs": paragraphs / len(paragraphs_of),
        "gopher_dup_line_chars": line_chars / view.chars,
        "gopher_dup_paragraph_chars": paragraph_chars / view.chars,
        **{f"gopher_top_{n}gram": _share(chars, view.chars) for n, chars in enumerate(view.top, 2)},
        **{f"gopher_dup_{n}gram": _share(chars, view.chars) for n, chars in enumerate(view.duplicated, 5)},
    }


def duplicates(items: Iterable[str]) -> tuple[int, int]:
    """How many items occurred before, and their characters."""
    seen: set[str] = set()
    number = chars = 0
    for item in items:
        if item in seen:
            number += 1
            chars += len(item)
        else:
            seen.add(item)
    return number, chars


def _share(part: int, whole: int) -> float:
    """part / whole, at most 1: occurrences may overlap, and "#" may outnumber words."""
    return min(1.0, part / whole)
