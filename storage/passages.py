"""Picks the part of a text that answers a query best, cut where a reader would cut.

The passage is always a verbatim slice of the text, so it can be looked up in the document it claims to come from.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from storage.terms import terms

LEAST: Final = 300
MOST: Final = 500
"""Characters of a passage; fewer than LEAST only when the text has no more."""

MAX_SCANNED: Final = 100_000
"""Characters of a text that are looked at; longer texts are answered from their beginning."""

# After a sentence's end (spaced scripts need the space, else "3.14" ends one), or at a line's end.
_SENTENCE_END: Final = re.compile(r"[.!?…؟।॥]+[\"'”’»)\]]*\s+|[。！？｡]+[」』”’）]*|\n+")


class _Piece(NamedTuple):
    start: int
    end: int
    found: frozenset[str]


def passage(text: str, weights: Mapping[str, float]) -> str:
    """The slice of `text`, 300 to 500 characters of whole sentences (or, in longer ones, whole words), whose distinct
    terms weigh most; the earliest of equals, so the beginning when no term occurs."""
    pieces = [
        _Piece(start, end, frozenset(weights.keys() & terms(text[start:end])))
        for start, end in _spans(text[:MAX_SCANNED])
    ]
    if not pieces:
        return ""
    first, last = _widened(pieces, *_heaviest(pieces, weights))
    return text[pieces[first].start : pieces[last].end].strip()


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """The sentences, those over MOST characters cut at spaces."""
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        while end - start > MOST:
            cut = text.rfind(" ", start + MOST // 2, start + MOST) + 1 or start + MOST
            yield start, cut
            start = cut
        if text[start:end].strip():
            yield start, end
        start = end


def _heaviest(pieces: list[_Piece], weights: Mapping[str, float]) -> tuple[int, int]:
    best, best_weight, weight, first = (0, 0), 0.0, 0.0, 0
    inside: Counter[str] = Counter()
    for last, piece in enumerate(pieces):
        weight += sum(weights[term] for term in piece.found if not inside[term])
        inside.update(piece.found)
        while piece.end - pieces[first].start > MOST:
            inside.subtract(pieces[first].found)
            weight -= sum(weights[term] for term in pieces[first].found if not inside[term])
            first += 1
        if weight > best_weight * (1 + 1e-9):  # sums taken in another order differ in their last digits
            best, best_weight = (first, last), weight
    return _without_idle_ends(pieces, *best)


def _without_idle_ends(pieces: list[_Piece], first: int, last: int) -> tuple[int, int]:
    while first < last and not pieces[first].found:
        first += 1
    while first < last and not pieces[last].found:
        last -= 1
    return first, last


def _widened(pieces: list[_Piece], first: int, last: int) -> tuple[int, int]:
    """Up to LEAST: what follows says more about a sentence than what stands before it."""
    while pieces[last].end - pieces[first].start < LEAST:
        if last + 1 < len(pieces) and pieces[last + 1].end - pieces[first].start <= MOST:
            last += 1
        elif first > 0 and pieces[last].end - pieces[first - 1].start <= MOST:
            first -= 1
        else:
            break
    return first, last
