"""The one tokenised view that all rules share: lines, words, and how much of a text its repeated n-grams are.

A word here is what the filters' papers mean: a run of characters between white space, punctuation included; in
scripts written without spaces each character is one. (Shingles have other tokens: pipeline.tokens.)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.rules.ngrams import ALNUM, ALPHA, COLUMNS, DUPLICATES, MARK, SINGLE, SPACE, TOPS, count
from pipeline.tokens import MARKS, SPLIT

_ALPHABETIC: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class View:
    """A text that is not blank, and what every rule needs of it.

    Attributes:
        chars: characters of the text.
        lines: the text split at newlines, empty ones included.
        words: all words; at least 1.
        plain_words: words with at least one letter or digit.
        plain_chars: characters of those.
        alpha_words: words with at least one letter.
        top: for n = 2, 3, 4: characters of the most frequent n-gram, spaces between its words included, times its
            occurrences; of equally frequent ones the first. 0 when there are fewer than n words.
        duplicated: for n = 5 .. 10: characters of words in n-grams that occurred before, none counted twice.
    """

    text: str
    chars: int
    lines: list[str]
    words: int
    plain_words: int
    plain_chars: int
    alpha_words: int
    top: tuple[int, ...]
    duplicated: tuple[int, ...]


def views(texts: Sequence[str]) -> list[View]:
    """The view of every text; none may be blank."""
    items = [text.encode() for text in texts]
    ends = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(item) for item in items], out=ends[1:])
    table = np.zeros((len(items), COLUMNS), np.int64)
    count(np.frombuffer(b"".join(items), np.uint8), ends, _classes(), table)
    return [_view(text, row) for text, row in zip(texts, table.tolist(), strict=True)]


def _view(text: str, row: list[int]) -> View:
    words, plain, plain_chars, alpha, *rest = row
    top, duplicated = tuple(rest[: len(TOPS)]), tuple(rest[len(TOPS) : len(TOPS) + len(DUPLICATES)])
    return View(text, len(text), text.split("\n"), words, plain, plain_chars, alpha, top, duplicated)


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """What every code point is to a word: a set of the flags of `pipeline.rules.ngrams`."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    assigned = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x40000))))  # no letter above plane 3
    for pattern, flag in ((re.compile(r"\s+"), SPACE), (re.compile(r"[^\W_]+"), ALNUM), (_ALPHABETIC, ALPHA)):
        for found in pattern.finditer(assigned):
            table[ord(assigned[found.start()]) : ord(assigned[found.end() - 1]) + 1] |= flag
    for first, last in SPLIT:
        split = table[first : last + 1]
        split[(split & ALNUM) != 0] |= SINGLE
    for first, last in MARKS:
        table[first : last + 1] |= MARK
    return table
