"""The measures of C4's clean-up (JMLR 21 (140), section 2.2), its terminal-punctuation rule left out.

That rule alone removes 30 % of tokens, and FineWeb left it out too (arXiv 2406.17557, section 3.5). C4 drops lines
first and counts sentences in what is left; so does this.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.rules.view import View
from pipeline.tokens import tokens

MIN_WORDS: Final = 3
"""C4 2.2: "only retained lines that contained at least 3 words" (5 in the paper's first version)."""

MAX_WORD: Final = 1000
"""Characters; from C4's code, not in the paper."""

POLICIES: Final = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
"""From C4's code, not in the paper."""

# A sentence ends at terminal punctuation before white space or the line's end, closing quotes and brackets between;
# full-width punctuation needs no space after it. C4 uses NLTK's English model.
_SENTENCE: Final = re.compile(r"[.!?…؟۔।॥]+[\"'”’»)\]]*(?=\s|$)|[。！？｡]+[”’」』）]*")


def values(view: View) -> dict[str, int | float | None]:
    """Values of C4's rules.

    c4_sentences: sentences in the lines that C4 would keep; a line has at least one.
    c4_lorem_ipsum, c4_curly_brackets: occurrences of "lorem ipsum" in any case, and of "{".
    c4_bad_lines: share of lines, blank ones aside, that C4 would drop: fewer than 3 words, a word of more than 1,000
    characters, "javascript", or a phrase of POLICIES.
    """
    lowered = view.text.lower()
    # Most texts have no line to look at closely.
    suspicious = "javascript" in lowered or any(phrase in lowered for phrase in POLICIES)
    lines = [line for line in view.lines if line and not line.isspace()]
    kept = [line for line in lines if not _dropped(line, suspicious)]
    return {
        "c4_sentences": sum(max(1, len(_SENTENCE.findall(line))) for line in kept),
        "c4_lorem_ipsum": lowered.count("lorem ipsum"),
        "c4_curly_brackets": view.text.count("{"),
        "c4_bad_lines": 1 - len(kept) / len(lines),
    }


def _dropped(line: str, suspicious: bool) -> bool:
    words = line.split()
    # A line without spaces may be Chinese: its tokens are its words.
    if len(words) < MIN_WORDS and (line.isascii() or len(tokens(line)) < MIN_WORDS):
        return True
    if len(line) > MAX_WORD and any(len(word) > MAX_WORD for word in words) and line.isascii():
        return True
    if not suspicious:
        return False
    lowered = line.lower()
    return "javascript" in lowered or any(phrase in lowered for phrase in POLICIES)
