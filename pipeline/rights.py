"""What a page itself says about its use, joined to what robots.txt and the headers said: the most restrictive wins.

A page can only take away: nothing that stands in a page makes an unknown right (null) a known one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lxml.html import HtmlElement

from storage.schema import USES, Use

_WORDS: Final[dict[str, tuple[Use, ...]]] = {
    "noai": ("train",),  # a convention without a specification, like the next
    "noimageai": ("train",),
    "noindex": ("input", "search"),  # search engines' documentation, like the rest
    "none": ("input", "search"),
    "noarchive": ("input", "search"),
    "nosnippet": ("input", "search"),
    "max-snippet:0": ("input", "search"),
}
"""Words of a robots meta and the uses that they deny. Headers are read by the same words in the other room."""

_AGENTS: Final[dict[str, tuple[Use, ...]]] = {
    **dict.fromkeys(
        (
            "gptbot", "claudebot", "anthropic-ai", "google-extended", "applebot-extended", "meta-externalagent",
            "facebookbot", "amazonbot", "ccbot", "bytespider", "ai2bot", "diffbot", "deepseekbot",
        ),
        ("train",),
    ),
    **dict.fromkeys(("chatgpt-user", "claude-user", "perplexity-user", "mistralai-user", "duckassistbot"), ("input",)),
    **dict.fromkeys(("oai-searchbot", "claude-searchbot", "perplexitybot"), ("search",)),
    **dict.fromkeys(("googlebot", "googlebot-news", "bingbot", "msnbot", "slurp", "duckduckbot"), ("input", "search")),
}  # fmt: skip
"""Names that pages address metas to, and what their owners say they fetch for. A meta that tells such an agent to keep
away denies its uses, whichever word it takes: "gptbot: noindex" is about training, for GPTBot does nothing else."""

_TDM_RESERVED: Final = "1"
"""TDMRep (W3C Community Group report of 2024-05-10): rights to text and data mining are reserved."""

_MAX_SIGNALS: Final = 64
_SPACES: Final = re.compile(r"\s*:\s*|\s+")


@dataclass(frozen=True, slots=True)
class Denial:
    """A use that a page objects to, and the words it did it with, as they stand there."""

    use: Use
    value: str


def denials(tree: HtmlElement) -> tuple[Denial, ...]:
    """Every use that a meta element of the page denies, in document order, at most 64."""
    found: dict[Denial, None] = {}
    for meta in tree.iter("meta"):
        name = (meta.get("name") or "").strip().lower()
        content = (meta.get("content") or "").strip()
        for use in _denied(name, content):
            found[Denial(use, f"{name}: {content}"[:500])] = None
        if len(found) >= _MAX_SIGNALS:
            break
    return tuple(found)[:_MAX_SIGNALS]


def _denied(name: str, content: str) -> Sequence[Use]:
    if name == "tdm-reservation":
        return ("train",) if content == _TDM_RESERVED else ()
    if name != "robots" and name not in _AGENTS:
        return ()
    words = [
        _SPACES.sub(lambda gap: ":" if ":" in gap[0] else " ", word.strip()) for word in content.lower().split(",")
    ]
    # "noindex noai" without a comma is common, and meant.
    denied = {use for word in words for part in (word, *word.split()) for use in _WORDS.get(part, ())}
    if not denied:
        return ()
    uses = denied if name == "robots" else denied.intersection(("train",)).union(_AGENTS[name])
    return [use for use in USES if use in uses]


def joined(captured: Mapping[str, object], page: Sequence[Denial]) -> dict[str, object]:
    """The rights columns of a document: a capture's, with what the page denies taken away and its words appended.

    Args:
        captured: rights_train, rights_input, rights_search (True, False, None: not known) and rights_evidence (JSON
            array of {source, value, use, verdict} or None).
    """
    denied = {denial.use for denial in page}
    rights: dict[str, object] = {f"rights_{use}": False if use in denied else captured[f"rights_{use}"] for use in USES}
    said = json.loads(str(captured["rights_evidence"] or "[]"))
    said += [{"source": "meta", "value": item.value, "use": item.use, "verdict": "disallow"} for item in page]
    rights["rights_evidence"] = json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else None
    return rights
