"""Which language and which script a text is in: py3langid on a short sample, Unicode's character names.

The model's numbers are summed here, in float64 and in a fixed order: the library's own float32 product comes out of
BLAS, whose last bits depend on the processor, and a row must be the same on every machine.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

SAMPLE: Final = 200
"""Characters that the language is read from; the whole of 5 kB would cost 1.2 ms of Python per document."""

PIECES: Final = 4
"""A long text is sampled in so many places, so that one quotation or menu does not decide."""

SCRIPT_SAMPLE: Final = 1000
"""Characters, evenly spread over the text, that the script is counted in."""

UNDECIDED: Final = 0.2
"""Scores below this are "und": 0.6 % of the shared sentences of 75 languages, and 77 % of those would be wrong."""

ROUNDING: Final = 4

# First word of a letter's Unicode name -> ISO 15924. Names are stable: Unicode never changes one.
_SCRIPTS: Final[dict[str, str]] = {
    "ADLAM": "Adlm", "AHOM": "Ahom", "ARABIC": "Arab", "ARMENIAN": "Armn", "AVESTAN": "Avst", "BALINESE": "Bali",
    "BAMUM": "Bamu", "BATAK": "Batk", "BENGALI": "Beng", "BOPOMOFO": "Bopo", "BUGINESE": "Bugi", "BUHID": "Buhd",
    "CANADIAN": "Cans", "CHAKMA": "Cakm", "CHAM": "Cham", "CHEROKEE": "Cher", "CJK": "Hani", "COPTIC": "Copt",
    "CUNEIFORM": "Xsux", "CYRILLIC": "Cyrl", "DESERET": "Dsrt", "DEVANAGARI": "Deva", "EGYPTIAN": "Egyp",
    "ETHIOPIC": "Ethi", "GEORGIAN": "Geor", "GLAGOLITIC": "Glag", "GOTHIC": "Goth", "GRANTHA": "Gran", "GREEK": "Grek",
    "GUJARATI": "Gujr", "GURMUKHI": "Guru", "HANGUL": "Hang", "HANIFI": "Rohg", "HANUNOO": "Hano", "HEBREW": "Hebr",
    "HIRAGANA": "Hira", "JAVANESE": "Java", "KANNADA": "Knda", "KATAKANA": "Kana", "KHMER": "Khmr", "LAO": "Laoo",
    "LATIN": "Latn", "LEPCHA": "Lepc", "LIMBU": "Limb", "LISU": "Lisu", "MALAYALAM": "Mlym", "MANDAIC": "Mand",
    "MEETEI": "Mtei", "MONGOLIAN": "Mong", "MYANMAR": "Mymr", "NEWA": "Newa", "NKO": "Nkoo", "OGHAM": "Ogam",
    "OL": "Olck", "ORIYA": "Orya", "OSAGE": "Osge", "PHOENICIAN": "Phnx", "RUNIC": "Runr", "SAMARITAN": "Samr",
    "SAURASHTRA": "Saur", "SINHALA": "Sinh", "SUNDANESE": "Sund", "SYRIAC": "Syrc", "TAGALOG": "Tglg", "TAMIL": "Taml",
    "TELUGU": "Telu", "THAANA": "Thaa", "THAI": "Thai", "TIBETAN": "Tibt", "TIFINAGH": "Tfng", "VAI": "Vaii",
    "YI": "Yiii",
}  # fmt: skip
_WIDTHS: Final = frozenset({"FULLWIDTH", "HALFWIDTH"})
_SHARED: Final = frozenset({"MODIFIER", "COMBINING", "MATHEMATICAL"})  # letters of no script in particular


class Language(NamedTuple):
    """`code`: ISO 639 as the model gives it, "zxx" for no language, "und" for undecided; `score`: 0..1."""

    code: str
    score: float


def language(text: str) -> Language:
    """The language of `text`, read from at most 200 characters of it; "zxx" when they hold no letters."""
    sample = _sample(text)
    if not any(map(str.isalpha, sample)):
        return Language("zxx", 1.0)
    model = _model()
    # As the model was trained: capitals only count as lower case, composed characters, UTF-8.
    data = unicodedata.normalize("NFC", sample.lower() if sample.isupper() else sample).encode()
    counts = visit_counts(model.moves, model.rows, model.features, data)
    if not counts:
        return Language("und", 0.0)
    visited = sorted(counts)
    # math.log1p: numpy's has variants by processor.
    weights = np.array([math.log1p(counts[feature]) for feature in visited])
    scores = np.add.reduce(model.table[visited].astype(np.float64) * weights[:, None], axis=0) + model.priors
    # Temperature sqrt(bytes): how the library calibrates its confidence over lengths.
    chances = np.exp((scores - scores.max()) / math.sqrt(len(data)))
    for first, second in model.twins:
        chances[first] += chances[second]
        chances[second] = 0.0
    best = int(chances.argmax())
    score = round(float(chances[best] / chances.sum()), ROUNDING)
    return Language(model.names[best] if score >= UNDECIDED else "und", score)


def script(text: str) -> str:
    """ISO 15924 code of the script that most letters are in; "Zyyy" when there are none, "Zzzz" for rare scripts."""
    counts = Counter(text[:: max(1, len(text) // SCRIPT_SAMPLE)])
    totals: Counter[str] = Counter()
    for character in sorted(counts):
        if code := _script_of(character):
            totals[code] += counts[character]
    return max(totals, key=lambda code: (totals[code], code), default="Zyyy")


@lru_cache(maxsize=1 << 16)
def _script_of(character: str) -> str:
    """The script of a letter, "" for anything else."""
    if unicodedata.category(character)[0] != "L":
        return ""
    words = unicodedata.name(character, "UNNAMED").split(maxsplit=2)
    first = words[1] if words[0] in _WIDTHS else words[0]
    return "" if first in _SHARED else _SCRIPTS.get(first, "Zzzz")


def _sample(text: str) -> str:
    """At most SAMPLE characters: all of a short text, else pieces from evenly spread places, cut at spaces."""
    if len(text) <= SAMPLE:
        return text
    size = SAMPLE // PIECES - 1
    places = (len(text) * (2 * k + 1) // (2 * PIECES) for k in range(PIECES))
    return " ".join(_piece(text, place, size) for place in places)


def _piece(text: str, place: int, size: int) -> str:
    start = text.find(" ", place, place + size // 2) + 1 or place
    piece = text[start : start + size]
    return piece[: end if (end := piece.rfind(" ")) > size // 2 else size]


class _Model(NamedTuple):
    moves: object
    rows: list[int]
    features: object
    table: npt.NDArray[np.float16]
    priors: npt.NDArray[np.float64]
    names: list[str]
    twins: list[tuple[int, int]]  # columns of one language in two scripts


@cache
def _model() -> _Model:
    raw = LanguageIdentifier.from_model_file(MODEL_FILE)
    rows = [row << 8 for row in raw.tk_row]
    priors = np.asarray(raw.nb_pc, np.float64)
    names = list(raw.nb_classes)
    twins = [(names.index(name), column) for column, name in enumerate(names) if names.index(name) != column]
    return _Model(raw.tk_nextmove, rows, raw.tk_output, raw.nb_ptc, priors, names, twins)
