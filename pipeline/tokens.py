"""What a token and a shingle are: the only definition, for signatures, for verification and for every overlap.

Signatures are computed elsewhere over bytes at memory speed; they equal what this module says, and a test holds
them to it. Combining marks belong to their word: without them Hindi or vocalised Arabic would lose its vowels.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

SHINGLE: Final = 5
"""Tokens per shingle. Word 5-grams: Gutenberg books that share 36 % of 5-character grams share 0.05 % of these."""

# Scripts written without spaces between words: each character is a token.
SPLIT: Final[tuple[tuple[int, int], ...]] = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # CJK radicals
    (0x3005, 0x3007),  # iteration mark, closing mark, ideographic zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x3035),  # vertical kana repeat marks
    (0x3038, 0x303C),
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # CJK extension A
    (0x4E00, 0x9FFF),  # CJK unified ideographs
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xF900, 0xFAFF),  # CJK compatibility ideographs
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x116D0, 0x116FF),  # Myanmar extended C
    (0x1AFF0, 0x1B16F),  # Kana supplement and extensions
    (0x20000, 0x3FFFF),  # CJK extensions B and later
)


def _mark_ranges() -> list[tuple[int, int]]:
    """Ranges of combining marks (categories Mn, Mc, Me) in the interpreter's Unicode."""
    ranges: list[tuple[int, int]] = []
    # Planes 2 to 13 hold ideographs only, 15 and 16 are private; plane 14 ends its marks at E01EF.
    for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)):
        if unicodedata.category(chr(code))[0] == "M":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return ranges


MARKS: Final = tuple(_mark_ranges())


def _character_class(ranges: tuple[tuple[int, int], ...]) -> str:
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_WORD: Final = re.compile(r"\w+")
_SPLIT: Final = _character_class(SPLIT)
_MARKS: Final = _character_class(MARKS)
_SPLIT_MARKS: Final = _character_class(
    tuple(
        (max(first, start), min(last, stop))
        for first, last in MARKS
        for start, stop in SPLIT
        if max(first, start) <= min(last, stop)
    )
)
_JOINS: Final = (
    rf"(?:(?![{_SPLIT}])[\w{_MARKS}])*"  # most of a word; marks of split scripts rarely follow other letters
)
_TOKEN: Final = re.compile(
    rf"(?![{_SPLIT}])\w{_JOINS}(?:[{_SPLIT_MARKS}]+{_JOINS})*|[{_SPLIT}](?<=\w)[{_MARKS}]*",
)


def tokens(text: str) -> list[str]:
    """The tokens of `text`, in order, in lower case.

    Of `text.lower()`: a word is a word character (`\\w`: letter, digit, number or underscore) with all word
    characters and combining marks (Mn, Mc, Me) that follow it; but a word character of a script in `SPLIT` is a
    token of its own, with the combining marks that follow it. Marks that follow no word character are no token.
    """
    lowered = text.lower()
    return (_WORD if lowered.isascii() else _TOKEN).findall(lowered)


def shingles(text: str) -> frozenset[str]:
    """The set over which Jaccard and containment are exact: every 5 consecutive tokens, joined by one space.

    A text of 1 to 4 tokens has one shingle, all of its tokens; a text without tokens has none.
    """
    words = tokens(text)
    if len(words) < SHINGLE:
        return frozenset({" ".join(words)} if words else ())
    return frozenset(map(" ".join, zip(*(words[k:] for k in range(SHINGLE)), strict=False)))
