"""What makes a document from a page: options, and the versions of everything that can change a row's values.

Two machines whose recipes have one id produce the same rows from the same pages. Change RECIPE_VERSION whenever the
code of this room can give another value for any column; library versions are read from what is installed.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Final

import rfc8785

from storage.errors import BadConfig

RECIPE_VERSION: Final = 1

# Extraction (trafilatura with what it hands pages to), detection of unlabelled charsets, mojibake repair, language
# model, and the permutations of MinHash, which datasketch defines and numpy draws.
LIBRARIES: Final = (
    "charset-normalizer",
    "courlan",
    "datasketch",
    "ftfy",
    "justext",
    "lxml",
    "numpy",
    "py3langid",
    "trafilatura",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options of cleaning; hashable and comparable. Bounds are on bytes, tags and characters, never on time.

    Attributes:
        fast: extract without comparing trafilatura's result to readability's and jusText's. On the shared pages:
            107 instead of 70 pages/s and F1 0.961 instead of 0.957 on AEB, but 0.801 instead of 0.833 on WCXB.
        comments: keep readers' comments. They cost 0.007 F1 on AEB and 0.008 on WCXB, where forum posts stay anyway.
        max_bytes: payloads longer than this are not parsed (extractor "too_large").
        max_tags: pages with more "<" than this are not extracted (extractor "too_large"). The largest of 1,646 real
            pages has 55,930; 384,010 took 4 s.
        max_chars: extracted texts longer than this are not kept (extractor "too_large"): a colspan or two can make
            megabytes of separators from a small page.

    Raises:
        BadConfig: a bound is not positive.
    """

    fast: bool = False
    comments: bool = False
    max_bytes: int = 16 * 1024 * 1024
    max_tags: int = 300_000
    max_chars: int = 4 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_tags", "max_chars"):
            if getattr(self, name) <= 0:
                raise BadConfig("read", f"recipe {name}", f"{getattr(self, name)} is not positive", "leave it out")

    @property
    def id(self) -> str:
        """12 hex digits of SHA-256 over the canonical JSON of options, versions and RECIPE_VERSION."""
        return hashlib.sha256(rfc8785.dumps({**asdict(self), "versions": versions()})).hexdigest()[:12]


def versions() -> dict[str, str]:
    """What besides the options decides a row: our own version, libraries, and Unicode as the interpreter knows it."""
    return {
        "recipe": str(RECIPE_VERSION),
        "unicode": unicodedata.unidata_version,
        **{name: version(name) for name in LIBRARIES},
    }
