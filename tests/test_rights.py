"""Rights per use: what robots.txt and headers say, the most restrictive wins, and the evidence tells why."""

from __future__ import annotations

import json

import pytest

from crawlers.rights import AI_AGENTS, evaluate, forbids_following
from crawlers.robots import parse

URL = "http://h.test/a"
AGENT = "thresher/0.1 (+http://x.test/)"


def rights(robots: str | None, *tags: str, settled: bool = True) -> tuple[bool | None, bool | None, bool | None]:
    said = evaluate(None if robots is None else parse(robots.encode()), settled, URL, AGENT, tags)
    return said.train, said.input, said.search


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        (None, (True, True, True)),
        ("User-agent: *\nDisallow: /b\n", (True, True, True)),
        ("User-agent: GPTBot\nDisallow: /\n", (False, True, True)),
        ("User-agent: gptbot\nUser-agent: CCBot\nDisallow: /a\n", (False, True, True)),
        ("User-agent: GPTBot\nDisallow: /b\n", (True, True, True)),
        ("User-agent: GPTBot\nDisallow: /\nUser-agent: CCBot\nAllow: /\n", (False, True, True)),
        ("User-agent: Google-Extended\nDisallow: /\n", (False, False, True)),
        ("User-agent: ChatGPT-User\nDisallow: /\n", (True, False, True)),
        ("User-agent: PerplexityBot\nDisallow: /\n", (True, True, False)),
        ("User-agent: AI2Bot\nDisallow: /\n", (False, True, True)),
        ("User-agent: Googlebot\nDisallow: /\n", (True, True, True)),
        ("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n", (False, True, True)),
        ("User-agent: *\nContent-Signal: search=no,ai-input=no,ai-train=yes\n", (True, False, False)),
        ("User-agent: other\nContent-Signal: ai-train=no\n", (True, True, True)),
        ("User-agent: *\nContent-Signal: ai-train=maybe, nonsense\n", (True, True, True)),
    ],
)
def test_robots_txt_speaks_per_use(robots: str | None, expected: tuple[bool, bool, bool]) -> None:
    assert rights(robots) == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["noai"], (False, True, True)),
        (["NoImageAI , max-snippet:-1"], (False, True, True)),
        (["noindex, nofollow"], (True, False, False)),
        (["none"], (True, False, False)),
        (["noarchive"], (True, False, False)),
        (["nosnippet"], (True, False, False)),
        (["nofollow"], (True, True, True)),
        (["noai", "noindex"], (False, False, False)),
        (["googlebot: noindex"], (True, True, True)),
        (["thresher: noindex, noai"], (False, False, False)),
        (["GPTBot: noindex, noai"], (False, True, True)),
        (["OAI-SearchBot: noindex"], (True, True, False)),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], (True, True, True)),
        (["", ":::", ","], (True, True, True)),
    ],
)
def test_a_header_speaks_per_use(tags: list[str], expected: tuple[bool, bool, bool]) -> None:
    assert rights(None, *tags) == expected


def test_what_could_not_be_asked_is_unknown_but_an_objection_counts() -> None:
    assert rights(None, settled=False) == (None, None, None)
    assert rights(None, "noai", settled=False) == (False, None, None)


def test_the_evidence_is_what_was_said_and_nothing_when_nobody_spoke() -> None:
    robots = parse(b"User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\nUser-agent: ClaudeBot\nAllow: /\n")

    said = evaluate(robots, True, URL, AGENT, ["noai, noindex"])

    assert said.evidence is not None
    assert json.loads(said.evidence) == [
        {"source": "robots.txt", "value": "GPTBot, CCBot", "use": "train", "verdict": "disallow"},
        {"source": "robots.txt", "value": "ClaudeBot", "use": "train", "verdict": "allow"},
        {"source": "x-robots-tag", "value": "noai, noindex", "use": "train", "verdict": "disallow"},
        {"source": "x-robots-tag", "value": "noai, noindex", "use": "search", "verdict": "disallow"},
        {"source": "x-robots-tag", "value": "noai, noindex", "use": "input", "verdict": "disallow"},
    ]
    assert evaluate(parse(b"User-agent: *\nDisallow: /b\n"), True, URL, AGENT).evidence is None


@pytest.mark.parametrize("agent", AI_AGENTS)
def test_every_listed_agent_can_be_named_in_a_file(agent: str) -> None:
    denied = rights(f"User-agent: {agent}\nDisallow: /\n")

    assert [use for use, allowed in zip(("train", "input", "search"), denied, strict=True) if not allowed] == sorted(
        AI_AGENTS[agent], key=("train", "input", "search").index
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], False),
        (["noindex"], False),
        (["noindex, nofollow"], True),
        (["none"], True),
        (["thresher: nofollow"], True),
        (["otherbot: nofollow"], False),
        (["noindex", "nofollow"], True),
    ],
)
def test_a_header_can_ask_not_to_follow(tags: list[str], expected: bool) -> None:
    assert forbids_following(tags, AGENT) is expected
