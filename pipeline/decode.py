"""From the bytes of a page to its characters, as a browser would read them, and better where the page lies.

Order: byte-order mark; UTF-8 when the bytes are UTF-8 (a page that says otherwise is wrong: the chance that another
encoding looks like it is nil); the charset of HTTP; the charset of a meta element; detection; windows-1252.
"""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

from charset_normalizer import from_bytes

PRESCAN: Final = 1024
"""Bytes in which a browser looks for a meta charset (HTML, "prescan a byte stream to determine its encoding")."""

DETECT: Final = 16 * 1024
"""Bytes that detection reads."""

BROKEN: Final = 0.1
"""A declared encoding is not believed when more than this share of the non-ASCII characters can not be read."""

# What detection chooses from: encodings that the web used. With all of them it takes French for Baltic.
_CANDIDATES: Final = [
    "cp1252", "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp874", "cp932", "euc_jp",
    "gb18030", "big5hkscs", "cp949",
]  # fmt: skip

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

# Python's codec -> labels of the WHATWG Encoding Standard that Python reads differently, or does not know.
_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "cp1252": (
        "windows-1252", "x-cp1252", "iso-8859-1", "iso8859-1", "iso88591", "iso_8859-1", "latin1", "latin-1", "l1",
        "ascii", "us-ascii", "ansi_x3.4-1968", "cp819", "x-user-defined",
    ),
    "cp1254": ("windows-1254", "x-cp1254", "iso-8859-9", "iso8859-9", "iso88599", "latin5", "l5"),
    "cp874": ("windows-874", "dos-874", "iso-8859-11", "iso8859-11", "tis-620"),
    "gb18030": ("gb18030", "gbk", "gb2312", "gb_2312-80", "x-gbk", "chinese", "csgb2312"),
    "big5hkscs": ("big5", "big5-hkscs", "cn-big5", "x-x-big5"),
    "cp932": ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j", "csshiftjis"),
    "cp949": ("euc-kr", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "ksc_5601", "korean", "windows-949"),
    "euc_jp": ("euc-jp", "x-euc-jp"),
    "iso2022_jp": ("iso-2022-jp",),
    "koi8_u": ("koi8-u", "koi8-ru"),
    "koi8_r": ("koi8-r", "koi8", "koi8_r", "koi"),
    "mac_roman": ("macintosh", "mac", "x-mac-roman"),
    "mac_cyrillic": ("x-mac-cyrillic", "x-mac-ukrainian"),
    "iso8859_8": ("iso-8859-8", "iso-8859-8-i", "iso-8859-8-e", "logical", "visual", "hebrew"),
    "cp866": ("ibm866", "866", "cp866"),
    "utf-8": ("utf-8", "utf8", "unicode-1-1-utf-8"),
    "utf-16-le": ("utf-16", "utf-16le", "unicode", "ucs-2"),
    "utf-16-be": ("utf-16be",),
    **{f"cp125{n}": (f"windows-125{n}", f"cp125{n}", f"x-cp125{n}") for n in (0, 1, 3, 5, 6, 7, 8)},
    **{f"iso8859_{n}": (f"iso-8859-{n}", f"iso8859-{n}", f"iso_8859-{n}") for n in (*range(2, 8), 10, *range(13, 17))},
}  # fmt: skip
_CODECS: Final = {label: codec for codec, labels in _LABELS.items() for label in labels}

_META: Final = re.compile(rb"<meta[^>]{0,512}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_XML: Final = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


class Decoded(NamedTuple):
    """`encoding` is a name of Python's codec registry."""

    text: str
    encoding: str


def decode(data: bytes, charset: str | None = None) -> Decoded:
    """The characters of a page; never fails: what can not be read becomes U+FFFD.

    Args:
        charset: of the HTTP Content-Type; unknown labels are ignored.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return Decoded(data[len(mark) :].decode(encoding, "replace"), encoding)
    declared = _codec(charset)
    if declared in ("utf-16-le", "utf-16-be"):  # only HTTP can say so: a meta element would not be found
        return Decoded(data.decode(declared, "replace"), declared)
    escaped = b"\x1b" in data and data.isascii()  # may be ISO-2022-JP, whose bytes look like UTF-8
    if not escaped and (text := _utf8(data)) is not None:
        return Decoded(text, "utf-8")
    for stated in dict.fromkeys((declared, _meta(data))):
        if stated is not None and (text := _believed(data, stated)) is not None:
            return Decoded(text, stated)
    likely = _detected(data) or "cp1252"
    return Decoded(data.decode(likely, "replace"), likely)


def _codec(label: str | None) -> str | None:
    return _CODECS.get(label.strip().strip("\"'").lower()) if label else None


def _utf8(data: bytes) -> str | None:
    """`data` as UTF-8, a character cut off at the end forgiven; None when it is not UTF-8."""
    try:
        return codecs.utf_8_decode(data, "strict", False)[0]
    except UnicodeDecodeError:
        return None


def _meta(data: bytes) -> str | None:
    head = data[:PRESCAN]
    found = _META.search(head) or _XML.search(head)
    encoding = _codec(found[1].decode("ascii")) if found else None
    return "utf-8" if encoding in ("utf-16-le", "utf-16-be") else encoding  # as the standard says


def _believed(data: bytes, encoding: str) -> str | None:
    """`data` read as `encoding`, unless too much of it can not be."""
    text = data.decode(encoding, "replace")
    broken = text.count("\ufffd")
    if broken and broken > BROKEN * sum(1 for character in text if character > "\x7f"):
        return None
    return text


def _detected(data: bytes) -> str | None:
    """The candidate that the first 16 KiB look most like."""
    best = from_bytes(data[:DETECT], cp_isolation=_CANDIDATES).best()
    return None if best is None else best.encoding
