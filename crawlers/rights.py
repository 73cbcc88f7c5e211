"""What a page may be used for, as its robots.txt and its response headers say: a pure function, evaluated by us.

Per use (train, input, search): False when any signal objects, True when robots.txt was asked and nothing objects,
None when it could not be asked. The most restrictive signal wins and the raw values stay as evidence. What the page
itself says (meta elements) is added by cleaning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from crawlers.robots import Robots, Verdict
from storage.schema import USES, Use

TRAIN: Final[tuple[Use, ...]] = ("train",)
INPUT: Final[tuple[Use, ...]] = ("input",)
SEARCH: Final[tuple[Use, ...]] = ("search",)

AI_AGENTS: Final[dict[str, tuple[Use, ...]]] = {
    # OpenAI, "Overview of OpenAI crawlers": one agent for each use
    "GPTBot": TRAIN,
    "ChatGPT-User": INPUT,
    "OAI-SearchBot": SEARCH,
    # Anthropic's help centre; the last two are its older names
    "ClaudeBot": TRAIN,
    "Claude-User": INPUT,
    "Claude-SearchBot": SEARCH,
    "anthropic-ai": TRAIN,
    "Claude-Web": INPUT,
    # Google, "Google's common crawlers": a token without a crawler, for training and for grounding
    "Google-Extended": TRAIN + INPUT,
    "Google-CloudVertexBot": INPUT,
    # Perplexity, "Perplexity crawlers"
    "PerplexityBot": SEARCH,
    "Perplexity-User": INPUT,
    # Mistral, "Mistral AI crawlers"
    "MistralAI-User": INPUT,
    # Meta for developers, "Meta web crawlers"
    "meta-externalagent": TRAIN,
    "meta-externalfetcher": INPUT,
    "FacebookBot": TRAIN,
    # Apple, "About Applebot": a token without a crawler
    "Applebot-Extended": TRAIN,
    # Amazon, "About Amazonbot"
    "Amazonbot": TRAIN + INPUT,
    "Amzn-SearchBot": SEARCH,
    "Amzn-User": INPUT,
    # DuckDuckGo's help pages
    "DuckAssistBot": INPUT,
    # Collectors of training sets, by their own pages or, without any, as the ai.robots.txt list describes them
    "CCBot": TRAIN,
    "Bytespider": TRAIN,
    "TikTokSpider": TRAIN,
    "AI2Bot": TRAIN,
    "Ai2Bot-Dolma": TRAIN,
    "cohere-training-data-crawler": TRAIN,
    "cohere-ai": INPUT,
    "Diffbot": TRAIN,
    "DeepSeekBot": TRAIN,
    "PanguBot": TRAIN,
    "omgili": TRAIN,
    "omgilibot": TRAIN,
    "Webzio-Extended": TRAIN,
    "ImagesiftBot": TRAIN,
    "img2dataset": TRAIN,
    "ICC-Crawler": TRAIN,
    "Timpibot": TRAIN,
    "VelenPublicWebCrawler": TRAIN,
    "SBIntuitionsBot": TRAIN,
    "Kangaroo": TRAIN,  # "Kangaroo Bot": its token ends at the space
    "YouBot": SEARCH + INPUT,
    "PhindBot": INPUT,
}
"""Product tokens by which a site speaks of AI, with what their owners say they fetch for; read in November 2026."""

_CONTENT_SIGNALS: Final[dict[str, Use]] = {"ai-train": "train", "ai-input": "input", "search": "search"}
"""draft-romm-aipref-contentsignals: the three keys are our three uses."""

_HEADER_WORDS: Final[dict[str, tuple[Use, ...]]] = {
    "noai": TRAIN,  # a convention without a specification, like the next
    "noimageai": TRAIN,
    "noindex": SEARCH + INPUT,  # search engines' documentation, like the rest
    "none": SEARCH + INPUT,
    "noarchive": SEARCH + INPUT,
    "nosnippet": SEARCH + INPUT,
}
_HEADER_SCOPE: Final = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:(.*)", re.DOTALL)
_WITH_VALUE: Final = frozenset(("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"))

_AGENTS_BY_TOKEN: Final = {agent.lower(): uses for agent, uses in AI_AGENTS.items()}


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that a publisher said, about one use."""

    source: str  # "robots.txt", "content-signal", "x-robots-tag"
    value: str
    use: Use
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Rights:
    """The verdict per use, and the evidence: a JSON array of {source, value, use, verdict}, None when nobody spoke."""

    train: bool | None
    input: bool | None
    search: bool | None
    evidence: str | None


def evaluate(robots: Robots | None, settled: bool, url: str, agent: str, x_robots_tag: Sequence[str] = ()) -> Rights:
    """The rights of the page at `url`.

    `robots` is None when there is no file; `settled` says whether that is known (False: it could not be asked).
    `agent` is ours, `x_robots_tag` the raw values of that header.
    """
    signals = list(_of_header(x_robots_tag, agent))
    if robots is not None:
        signals = [*_of_groups(robots, url), *_of_content_signals(robots, agent), *signals]
    denied = {signal.use for signal in signals if signal.verdict == "disallow"}
    train, inputs, search = (False if use in denied else (True if settled else None) for use in USES)
    return Rights(train, inputs, search, _evidence(signals))


def _of_groups(robots: Robots, url: str) -> Iterator[Signal]:
    """One signal per use and verdict, naming all agents, so that long lists of agents stay short rows."""
    if robots.named.isdisjoint(_AGENTS_BY_TOKEN):
        return
    named: dict[tuple[Use, Verdict], list[str]] = {}
    for agent, uses in AI_AGENTS.items():
        if robots.names(agent):
            verdict = robots.verdict(url, agent)
            for use in uses:
                named.setdefault((use, verdict), []).append(agent)
    for (use, verdict), agents in named.items():
        yield Signal("robots.txt", ", ".join(agents), use, verdict)


def _of_content_signals(robots: Robots, agent: str) -> Iterator[Signal]:
    for value in robots.signals(agent):
        for item in value.lower().split(","):
            key, _, answer = item.partition("=")
            use = _CONTENT_SIGNALS.get(key.strip())
            if use and answer.strip() in ("yes", "no"):  # anything else is unstated
                yield Signal("content-signal", value, use, "allow" if answer.strip() == "yes" else "disallow")


def _of_header(values: Sequence[str], agent: str) -> Iterator[Signal]:
    for value in values:
        uses, words = _addressed(value, agent)
        for word in words:
            for use in _HEADER_WORDS.get(word, ()):
                if use in uses:
                    yield Signal("x-robots-tag", value, use, "disallow")


def _addressed(value: str, agent: str) -> tuple[tuple[Use, ...], list[str]]:
    """The uses that an X-Robots-Tag speaks about (none when it is for somebody else), and its words in order."""
    scope = _HEADER_SCOPE.match(value)
    uses: tuple[Use, ...] = USES
    if scope and scope[1].lower() not in _WITH_VALUE:
        token = scope[1].lower()
        ours = token == agent.partition("/")[0].strip().lower()
        uses = USES if ours else _AGENTS_BY_TOKEN.get(token, ())
        value = scope[2]
    return uses, [word.strip().lower() for word in value.split(",")]


def forbids_following(values: Sequence[str], agent: str) -> bool:
    """Whether X-Robots-Tag asks everybody, or us, not to follow the page's links."""
    for value in values:
        uses, words = _addressed(value, agent)
        if uses == USES and ("nofollow" in words or "none" in words):
            return True
    return False


def _evidence(signals: Sequence[Signal]) -> str | None:
    said = [{"source": s.source, "value": s.value, "use": s.use, "verdict": s.verdict} for s in dict.fromkeys(signals)]
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) if said else None
