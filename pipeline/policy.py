"""What turns documents into a corpus: every threshold and choice of a publish, in one frozen value with an id.

A document carries measures and no verdict, so a new policy is a new publish and nothing is extracted again.
Invariant: equal ids mean the same verdicts on the same documents. Change POLICY_VERSION when the code that applies
a policy can decide differently. Sources: Gopher = arXiv 2112.11446, sections A1.1 and table A1; C4 = JMLR 21 (140),
section 2.2; FineWeb = arXiv 2406.17557, section 3.6 and appendix E; FineWeb2 = its README and configs.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Final, Literal, get_args

import rfc8785

from storage.errors import BadConfig
from storage.schema import MEASURES

POLICY_VERSION: Final = 1

SurvivorKey = Literal["longest", "newest", "oldest"]
RightsMode = Literal["respect", "record"]

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")


def _tuple(name: str, values: object) -> None:
    if not isinstance(values, tuple):
        raise BadConfig("read", name, "it is not a tuple", "one value is written (value,)")


def _languages(name: str, codes: tuple[str, ...]) -> None:
    _tuple(name, codes)
    for code in codes:
        if not _LANGUAGE.fullmatch(code):
            hint = "two or three small letters, as in the column lang"
            raise BadConfig("read", name, f"{code!r} is no language code", hint)


@dataclass(frozen=True, slots=True)
class Rule:
    """Keep a document when `low <= measure <= high`; None leaves that side open, a null measure is always kept.

    Attributes:
        measure: a column of `storage.schema.MEASURES`.
        exempt: codes of `documents.lang` that the rule does not judge.

    Raises:
        BadConfig: there is no such measure or code, or no value could fail, or none could pass.
    """

    measure: str
    low: float | None = None
    high: float | None = None
    exempt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.measure not in MEASURES.names:
            raise BadConfig("read", f"rule {self.measure}", "there is no such measure", _closest(self.measure))
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not bounds or not all(map(math.isfinite, bounds)) or bounds != sorted(bounds):
            cause = f"low {self.low} and high {self.high} are no bounds"
            raise BadConfig("read", f"rule {self.measure}", cause, "give low, high or both; finite, low <= high")
        _languages(f"rule {self.measure}", self.exempt)


def _closest(measure: str) -> str:
    near = difflib.get_close_matches(measure, MEASURES.names, n=3, cutoff=0.4)
    return f"did you mean {' or '.join(near)}?" if near else f"measures are {', '.join(MEASURES.names)}"


def _above(bound: float) -> float:
    """The lowest number that passes where the source removes `<= bound`."""
    return math.nextafter(bound, math.inf)


def _below(bound: float) -> float:
    """The highest number that passes where the source removes `>= bound`."""
    return math.nextafter(bound, -math.inf)


_GOPHER_QUALITY: Final = (
    Rule("gopher_words", 50, 100_000),  # Gopher A1.1
    Rule("gopher_mean_word_length", 3, 10),  # Gopher A1.1; Dolma v1.5 takes the median instead
    Rule("gopher_hash_ratio", high=0.1),  # Gopher A1.1: symbols to words
    Rule("gopher_ellipsis_ratio", high=0.1),  # Gopher A1.1
    Rule("gopher_bullet_lines", high=0.9),  # Gopher A1.1
    Rule("gopher_ellipsis_lines", high=0.3),  # Gopher A1.1
    Rule("gopher_alpha_words", low=0.8),  # Gopher A1.1; datatrove calls this minimum max_non_alpha_words_ratio
    Rule("gopher_stop_words", low=2),  # Gopher A1.1: of eight English words
)

_GOPHER_NGRAMS: Final = (
    Rule("gopher_top_2gram", high=0.20),  # Gopher table A1, like all below
    Rule("gopher_top_3gram", high=0.18),
    Rule("gopher_top_4gram", high=0.16),
    Rule("gopher_dup_5gram", high=0.15),
    Rule("gopher_dup_6gram", high=0.14),
    Rule("gopher_dup_7gram", high=0.13),
    Rule("gopher_dup_8gram", high=0.12),
    Rule("gopher_dup_9gram", high=0.11),
    Rule("gopher_dup_10gram", high=0.10),
)

_GOPHER_REPETITION: Final = (
    Rule("gopher_dup_lines", high=0.30),  # Gopher table A1
    Rule("gopher_dup_paragraphs", high=0.30),  # Gopher table A1
    Rule("gopher_dup_line_chars", high=0.20),  # Gopher table A1; Dolma v1.5 takes 0.30
    Rule("gopher_dup_paragraph_chars", high=0.20),  # Gopher table A1
    *_GOPHER_NGRAMS,
)

# C4 drops lines, not documents, for the share that `c4_bad_lines` measures: there is no published bound for it.
_C4: Final = (
    Rule("c4_lorem_ipsum", high=0),  # C4: any page where the phrase appeared
    Rule("c4_curly_brackets", high=0),  # C4: any page with a curly bracket; 2.8 % of FineWeb's tokens
    Rule("c4_sentences", low=5),  # C4: fewer than 5 sentences
)

# The duplicate-line threshold is published twice: 0.1 in the paper's text (12.47 % removed), 0.01 in its appendix E.4
# and in datatrove. FineWeb2 went back to 0.1 ("changed char_dup_ratio from 0.01 to 0.1"): so do we.
_FINEWEB: Final = (
    Rule("fineweb_punctuated_lines", low=_above(0.12)),  # FineWeb 3.6: removed <= 0.12
    Rule("fineweb_dup_line_chars", high=_below(0.1)),  # FineWeb 3.6: removed >= 0.1
    Rule("fineweb_short_lines", high=_below(0.67)),  # FineWeb 3.6: removed >= 0.67 of lines up to 30 characters
    Rule("fineweb_newline_ratio", high=0.3),  # datatrove's fineweb_quality_filter: removed > 0.3
)

_UNSPACED: Final = ("ja", "km", "lo", "my", "th", "zh")
"""Languages whose words are counted by character: five of these are two words. Gopher's bounds on repeated n-grams
would remove 62 % of the shared mini-web's Japanese pages and 5 % of its English ones."""

# What of the above holds in any language and after main-text extraction, as FineWeb2 chose: no English stop words and
# no word lengths (its 1,929 files set those by language), no C4 ("hurt multilingual") but for its placeholder text,
# no short lines ("off"), no paragraph filters ("trafilatura pretty much removes paragraphs").
_DEFAULT: Final = (
    Rule("gopher_words", 50, 100_000),  # Gopher A1.1
    Rule("gopher_hash_ratio", high=0.1),  # Gopher A1.1
    Rule("gopher_ellipsis_ratio", high=0.1),  # Gopher A1.1
    Rule("gopher_bullet_lines", high=0.9),  # Gopher A1.1
    Rule("gopher_ellipsis_lines", high=0.3),  # Gopher A1.1
    Rule("gopher_dup_lines", high=0.30),  # Gopher table A1
    *(replace(rule, exempt=_UNSPACED) for rule in _GOPHER_NGRAMS),
    Rule("c4_lorem_ipsum", high=0),  # C4
    Rule("fineweb_dup_line_chars", high=_below(0.1)),  # FineWeb2; includes what Gopher's 0.20 would find
    Rule("fineweb_newline_ratio", high=0.3),  # FineWeb
)

_PRESETS: Final[dict[str, tuple[Rule, ...]]] = {
    "default": _DEFAULT,
    "gopher": (*_GOPHER_REPETITION, *_GOPHER_QUALITY),
    "c4": _C4,
    # FineWeb's order: repetition, quality, C4 without its terminal-punctuation rule, its own. Its language filter
    # (fastText, English >= 0.65) is a choice of corpus: give `languages`.
    "fineweb": (*_GOPHER_REPETITION, *_GOPHER_QUALITY, *_C4, *_FINEWEB),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds and choices of a publish; hashable, comparable, and the same everywhere when `id` is the same.

    Attributes:
        thresholds: rules over measures, tried in this order; the first that fails is the reason.
        near: exact Jaccard of shingle sets from which a document is a near duplicate, 0 < near <= 1. 0.8 is where
            14 bands x 8 rows find 92 % of the pairs, FineWeb's layout.
        containment: share of the smaller shingle set from which the smaller document counts as contained in the
            other; None compares nothing but Jaccard.
        survivor: which of duplicates is kept, first key first; ties go on to fetched_at, url, capture_id.
        languages: codes of `documents.lang` to keep; empty keeps all.
        rights: "respect" never lets a document stand for a use that its publisher denied, and removes what is denied
            for all; "record" keeps everything and only prefers what is allowed.

    Raises:
        BadConfig: a value is not one of these.
    """

    thresholds: tuple[Rule, ...] = _DEFAULT
    near: float = 0.8
    containment: float | None = None
    survivor: tuple[SurvivorKey, ...] = ("longest",)
    languages: tuple[str, ...] = ()
    rights: RightsMode = "respect"
    version: int = field(default=POLICY_VERSION, init=False)

    def __post_init__(self) -> None:
        for name in ("near", "containment"):
            share = getattr(self, name)
            if share is not None and not 0 < share <= 1:
                raise BadConfig("read", f"policy {name}", f"{share} is not a share", "give a number above 0, up to 1")
        for name in ("thresholds", "survivor"):
            _tuple(f"policy {name}", getattr(self, name))
        for key in self.survivor:
            _one_of("survivor", key, get_args(SurvivorKey))
        _one_of("rights", self.rights, get_args(RightsMode))
        _languages("policy languages", self.languages)

    @classmethod
    def preset(cls, name: str) -> Policy:
        """The policy with the published rules of that name: default, gopher, c4, fineweb or none.

        Raises:
            BadConfig: there is no such preset.
        """
        _one_of("preset", name, tuple(_PRESETS))
        return cls(thresholds=_PRESETS[name])

    @property
    def id(self) -> str:
        """12 hex digits of SHA-256 over the canonical JSON (RFC 8785) of all options."""
        return hashlib.sha256(rfc8785.dumps(asdict(self))).hexdigest()[:12]


def _one_of(option: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it can be {', '.join(known)}"
        raise BadConfig("read", f"policy {option}", f"there is no {name!r}", hint)
