"""One form of a text: NFC, mojibake repaired, nothing invisible but what a script or an emoji needs.

Invariants: idempotent; in Indic, Thai, Arabic, Hangul and all other text no visible character is lost, and the
joiners that change how Indic and Arabic letters look stay where they can. Invisible characters are not only noise:
hidden text for language models travels in tags and variation selectors.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import ftfy
from ftfy.badness import is_bad
from ftfy.chardata import CHARMAP_ENCODINGS

ROUNDS: Final = 8
"""Repair may uncover another layer of mojibake: again until nothing changes, at most so often."""

_BREAK: Final = re.compile("\r\n|[\r\v\f\x1c-\x1e\u2028\u2029]")

_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(f"{chr(p << 16 | 0xFFFE)}{chr(p << 16 | 0xFFFF)}" for p in range(17))
# Controls but tab and newline; soft hyphen; bidi marks, embeddings and isolates; word joiner and invisible operators;
# byte-order mark; interlinear annotation and object replacement.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f\xad\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc"
    f"{_NONCHARACTERS}]+"
)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # from character references; UTF-8 can not hold them
_ASCII_INVISIBLE: Final = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f]+")

# Tag characters spell the flags of England, Scotland and Wales after a black flag; anywhere else they hide text.
_FLAG: Final = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f"
_TAGS: Final = re.compile(f"(?P<kept>{_FLAG})|[\U000e0000-\U000e007f]+")

# One variation selector after something visible says how it looks; more of them, or one after a space, hide bytes.
_SELECTOR: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
_SELECTORS: Final = re.compile(f"(?<=[^\\s{_SELECTOR}])(?P<kept>[{_SELECTOR}])[{_SELECTOR}]*|[{_SELECTOR}]+")

# What a zero-width (non-)joiner may follow: Arabic and its relatives, the scripts of India and South-East Asia,
# Tibetan, Mongolian.
_JOINING: Final = (
    "\u0600-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00010eff\U00011000-\U00011fff\U0001e900-\U0001e95f"
)
# Emoji and what may end one: skin tones, variation selector 16, the end of a flag.
_PICTURE: Final = "\xa9\xae\u203c-\u3299\ufe0f\U0001f000-\U0001faff\U000e007f"
# Scripts without spaces, where a zero-width space says where a line may break, that is, where a word ends.
_UNSPACED: Final = "\u0e00-\u109f\u1780-\u17ff\u1900-\u1aaf\ua980-\uaa7f"
_JOINERS: Final = re.compile(
    f"(?P<kept>(?<=[{_JOINING}])[\u200c\u200d]|(?<=[{_PICTURE}])\u200d(?=[{_PICTURE}])"
    f"|(?<=[{_UNSPACED}])\u200b(?=[{_UNSPACED}])|(?<=[\u1800-\u18af])\u180e)"
    "|[\u180e\u200b-\u200d]"
)
# Where the patterns above have something to look for: 4 times as fast as looking.
_ODD: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\ufff9-\ufffc\ufffe\uffff\U00010000-\U0010ffff]"
)

_WIDE: Final = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # blanks that are neither space nor tab
_TRAILING: Final = re.compile(f"[ \t{_WIDE}]+$", re.MULTILINE)
_INDENT: Final = re.compile(f"^[ \t]*[{_WIDE}][ \t{_WIDE}]*", re.MULTILINE)
_INNER: Final = re.compile(f"(?<=[^\\s])(?:[\t{_WIDE}][ \t{_WIDE}]*|[ \t{_WIDE}]{{2,}})")
_GAP: Final = re.compile("\n{3,}")


def _misread(first: int, last: int) -> str:
    """A character class: bytes of UTF-8 as every encoding that ftfy undoes reads them."""
    pieces = (bytes(range(first, last + 1)).decode(encoding, "ignore") for encoding in CHARMAP_ENCODINGS)
    return re.escape("".join(sorted(set("".join(pieces)) - {"\ufffd"})))


# Mojibake of UTF-8 has a lead byte and a continuation byte side by side. 79 million characters/s; ftfy's own pattern
# does 7, and in 20,000 real texts this one has missed nothing that could be repaired.
_PROBE: Final = re.compile(f"[\x80-\x9f]|[{_misread(0xC2, 0xF4)}][{_misread(0x80, 0xBF)}]|[\xc2\xc3] ")


def normalise(text: str) -> str:
    """The normal form of `text`; "" when nothing visible is left.

    Lines end with a newline; blanks inside a line become one space, at its end none; indentation by spaces and tabs
    stays (code), by others goes; at most one empty line in a row. Unpaired surrogates become U+FFFD.
    """
    for _ in range(ROUNDS):
        text, before = _once(text), text
        if text == before:
            break
    return text


def _once(text: str) -> str:
    text = _BREAK.sub("\n", text)
    if text.isascii():
        return _spaced(_ASCII_INVISIBLE.sub("", text))
    return _spaced(_visible(_repaired(_SURROGATE.sub("\ufffd", text))))


def _repaired(text: str) -> str:
    """`text` with its mojibake undone, line by line, where ftfy's pattern of unlikely sequences finds any."""
    if not _PROBE.search(text):
        return text
    lines = text.split("\n")
    return "\n".join(ftfy.fix_encoding(line) if _PROBE.search(line) and is_bad(line) else line for line in lines)


def _visible(text: str) -> str:
    """`text` in NFC without what can not be seen."""
    if _ODD.search(text):
        text = _INVISIBLE.sub("", _BREAK.sub("\n", text))  # repair can bring new ones
        for odd in (_TAGS, _SELECTORS, _JOINERS):
            text = odd.sub(_kept, text)
    return unicodedata.normalize("NFC", text)


def _kept(found: re.Match[str]) -> str:
    return found["kept"] or ""


def _spaced(text: str) -> str:
    text = _INNER.sub(" ", _INDENT.sub("", _TRAILING.sub("", text)))
    return _GAP.sub("\n\n", text).strip()
