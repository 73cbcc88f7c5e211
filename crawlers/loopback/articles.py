"""Articles of the made web: prose composed from sentences, the same on every machine and in every run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Final

from crawlers.loopback import prose_ar, prose_de, prose_en, prose_zh

PROSE: Final[dict[str, ModuleType]] = {"en": prose_en, "de": prose_de, "zh": prose_zh, "ar": prose_ar}

PARAGRAPHS: Final = 5


@dataclass(frozen=True, slots=True)
class Article:
    """A title and its paragraphs, in the language `lang`."""

    lang: str
    title: str
    paragraphs: tuple[str, ...]


def articles(lang: str, each: int) -> list[Article]:
    """`each` articles of every topic of a language; two of them share few sentences, and none a paragraph."""
    topics: Mapping[str, Sequence[str]] = PROSE[lang].TOPICS
    return [_article(lang, topic, number) for number in range(each) for topic in topics]


def _article(lang: str, topic: str, number: int) -> Article:
    prose, draw = PROSE[lang], Random(f"{lang}/{topic}/{number}")
    own = draw.sample(prose.TOPICS[topic], len(prose.TOPICS[topic]) // 2)
    others = [_filled(pattern, prose.FILL, topic, draw) for pattern in draw.sample(prose.ANY, 11)]
    sentences = own + others
    draw.shuffle(sentences)
    glue = "" if lang == "zh" else " "
    parts = [sentences[start::PARAGRAPHS] for start in range(PARAGRAPHS)]
    titles: Sequence[str] = prose.TITLES
    return Article(lang, titles[number % len(titles)].format(topic=topic), tuple(glue.join(part) for part in parts))


def _filled(pattern: str, fill: Mapping[str, Sequence[str]], topic: str, draw: Random) -> str:
    def choose(gap: re.Match[str]) -> str:
        return topic if gap[1] == "topic" else draw.choice(fill[gap[1]])

    text = re.sub(r"\{(\w+)\}", choose, pattern)
    return text[:1].upper() + text[1:]


def sentences(count: int, seed: str) -> list[str]:
    """English sentences on any topic, for forum posts and product texts."""
    draw = Random(seed)
    topics = list(prose_en.TOPICS)
    return [_filled(draw.choice(prose_en.ANY), prose_en.FILL, draw.choice(topics), draw) for _ in range(count)]


def changed(article: Article, words: int) -> Article:
    """The same English article with that many words exchanged: a near duplicate."""
    draw = Random(f"changed/{article.title}/{words}")
    paragraphs = list(article.paragraphs)
    for number in range(words):
        at = number % len(paragraphs)
        tokens = paragraphs[at].split(" ")
        spot = draw.randrange(2, len(tokens) - 2)
        tokens[spot] = ("indeed", "perhaps", "oddly", "quietly", "meanwhile", "gladly")[number % 6]
        paragraphs[at] = " ".join(tokens)
    return Article(article.lang, article.title, tuple(paragraphs))
