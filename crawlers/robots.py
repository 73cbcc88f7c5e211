"""robots.txt by RFC 9309, as Google's own tests read it: every byte string is a valid file, none raises.

Extensions that sites rely on are kept too: Crawl-delay, Sitemap, Content-Signal. Whether a file could be had at all,
and what its absence means, is the frontier's business (`crawlers/frontier/robots_state.py`).
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_BYTES: Final = 512 * 1024
"""What is parsed of a file; RFC 9309 section 2.5 asks for at least 500 KiB."""

_MAX_LINE: Final = 8 * 2083
"""Bytes of a line that are read, as in Google's parser: eight times the longest URL, for a percent-encoded one."""

# Keys are recognised by their beginning, as Google does; misspellings are those that its parser accepts.
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "user-agent": ("user-agent", "useragent", "user agent"),
    "allow": ("allow",),
    "disallow": ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"),
    "sitemap": ("sitemap", "site-map"),
    "crawl-delay": ("crawl-delay", "crawldelay"),
    "content-signal": ("content-signal",),
}
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_PRODUCT: Final = re.compile(r"[A-Za-z_-]*")
_HEX: Final = re.compile(r"%[0-9a-fA-F]{2}")
_MARKS: Final = {"%2D": "-", "%2E": ".", "%5F": "_", "%7E": "~"}
_INDEX: Final = "/index.htm"

Verdict = Literal["allow", "disallow"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern cut at its asterisks; `anchored` when it ended in a dollar. The longer pattern wins, then allow."""

    text: str
    allow: bool
    length: int
    pieces: tuple[str, ...]
    anchored: bool

    def matches(self, path: str) -> bool:
        if not path.startswith(self.pieces[0]):
            return False
        at = len(self.pieces[0])
        if len(self.pieces) == 1:
            return not self.anchored or at == len(path)
        for piece in self.pieces[1:-1]:
            at = path.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        last = self.pieces[-1]
        if self.anchored:
            return path.endswith(last) and len(path) - len(last) >= at
        return path.find(last, at) >= 0


@dataclass(slots=True)
class _Group:
    """What stands under one run of user-agent lines. `agents` are lower case; `*` for everybody."""

    agents: set[str] = field(default_factory=set)
    rules: list[_Rule] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)
    delays: dict[str, float] = field(default_factory=dict)  # by agent


@dataclass(frozen=True, slots=True)
class _Merged:
    """All groups that hold for one agent, rules in the order in which the first match decides."""

    rules: tuple[_Rule, ...]
    signals: tuple[str, ...]
    delay: float | None

    def deciding(self, path: str) -> _Rule | None:
        return next((rule for rule in self.rules if rule.matches(path)), None)


class Robots:
    """A parsed robots.txt. Questions name an agent by its product token or by a whole User-Agent header.

    `named` are the lower-case tokens that groups name, `sitemaps` the values of its Sitemap lines as they stand.
    """

    __slots__ = ("_groups", "_merged", "named", "sitemaps")

    def __init__(self, groups: list[_Group], sitemaps: tuple[str, ...]) -> None:
        self._groups = groups
        self.named = frozenset().union(*(group.agents for group in groups)) if groups else frozenset()
        self._merged: dict[str, _Merged] = {}
        self.sitemaps = sitemaps

    def verdict(self, url: str, agent: str) -> Verdict:
        """Whether `agent` may fetch `url`: the longest matching rule decides, allow wins a tie, no match allows."""
        return self.explain(url, agent)[0]

    def explain(self, url: str, agent: str) -> tuple[Verdict, str | None]:
        """The verdict, with the rule that decided it as `Disallow: /pattern`; None when there was none."""
        path = _path(url)
        rule = self._for(agent).deciding(path)
        if rule is None or path == "/robots.txt":  # RFC 9309 section 2.2.2: that one is implicitly allowed
            return "allow", None
        return ("allow" if rule.allow else "disallow"), rule.text

    def crawl_delay(self, agent: str) -> float | None:
        """Seconds that the site asks `agent` to leave between fetches; the largest when there are several."""
        return self._for(agent).delay

    def signals(self, agent: str) -> tuple[str, ...]:
        """The raw values of Content-Signal that hold for `agent`, those before any group included."""
        return self._for(agent).signals

    def names(self, agent: str) -> bool:
        """Whether a group names `agent` itself, not only everybody."""
        return _token(agent) in self.named

    def _for(self, agent: str) -> _Merged:
        token = _token(agent)
        wanted = token if token in self.named else "*"
        if wanted not in self._merged:
            self._merged[wanted] = self._merge(wanted)
        return self._merged[wanted]

    def _merge(self, agent: str) -> _Merged:
        groups = [group for group in self._groups if agent in group.agents]
        rules = sorted(
            (rule for group in groups for rule in group.rules), key=lambda rule: (-rule.length, not rule.allow)
        )
        delays = [group.delays[agent] for group in groups if agent in group.delays]
        orphans = [group for group in self._groups if not group.agents]
        signals = tuple(signal for group in orphans + groups for signal in group.signals)
        return _Merged(tuple(rules), signals, max(delays, default=None))


def parse(body: bytes) -> Robots:
    """Read a robots.txt of any quality; what is no directive is skipped, what is past MAX_BYTES is not read."""
    groups: list[_Group] = [_Group()]
    sitemaps: list[str] = []
    naming = False  # between the user-agent lines of one group
    for key, value in _directives(body):
        group = groups[-1]
        if key == "user-agent":
            if not naming:
                groups.append(_Group())
            naming = True
            groups[-1].agents |= _agents(value)
        elif key == "sitemap":
            sitemaps.append(value)
        elif key == "content-signal":
            group.signals.append(value)
        elif key == "crawl-delay":
            _note_delay(group, value)
        else:
            naming = False
            if group.agents:
                group.rules += _rules(value, allow=key == "allow")
    return Robots(groups, tuple(sitemaps))


def _directives(body: bytes) -> Iterator[tuple[str, str]]:
    """Known keys with their values, as text in which every byte outside ASCII is percent-encoded."""
    for line in _LINE_END.split(_utf8(body[:MAX_BYTES])):
        text = _escaped(line[:_MAX_LINE].partition(b"#")[0]).strip(" \t\v\f\x00")
        if not text:
            continue
        key, colon, value = text.partition(":")
        if not colon:
            words = text.split()
            if len(words) != 2:  # `disallow /x` is forgiven, a sentence is not a directive
                continue
            key, value = words
        known = _key(key.strip().lower())
        if known:
            yield known, value.strip()


def _utf8(body: bytes) -> bytes:
    if body.startswith(codecs.BOM_UTF8):
        return body[3:]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace").encode()
    return body


def _escaped(line: bytes) -> str:
    return line.decode("ascii") if line.isascii() else "".join(chr(c) if c < 128 else f"%{c:02X}" for c in line)


def _key(text: str) -> str | None:
    for known, spellings in _KEYS.items():
        if text.startswith(spellings):
            return known
    return None


def _agents(value: str) -> set[str]:
    """`*`, or the product token that the value begins with; the first word too, for names such as AI2Bot."""
    if value == "*" or (value.startswith("*") and value[1].isspace()):
        return {"*"}
    words = value.lower().split(maxsplit=1)
    product = _PRODUCT.match(value)
    names = {product[0].lower() if product else "", words[0].partition("/")[0] if words else ""}
    return names - {"", "*"} or {"\0"}  # a group of nobody, so that its rules bind nobody


def _token(agent: str) -> str:
    return agent.partition("/")[0].strip().lower()


def _note_delay(group: _Group, value: str) -> None:
    try:
        seconds = float(value)
    except ValueError:
        return
    if math.isfinite(seconds) and seconds >= 0:
        for agent in group.agents:
            group.delays[agent] = max(seconds, group.delays.get(agent, 0.0))


def _rules(pattern: str, *, allow: bool) -> Iterator[_Rule]:
    if not pattern:
        return  # an empty pattern has priority 0: it decides nothing
    text = f"{'Allow' if allow else 'Disallow'}: {pattern}"
    pattern = _as_in_urls(pattern)
    yield _rule(text, pattern, allow=allow)
    slash = pattern.rfind("/")
    if allow and pattern.startswith(_INDEX, slash):  # Google: who allows the index page allows its folder
        yield _rule(text, pattern[: slash + 1] + "$", allow=True)


_UNSAFE: Final = str.maketrans({c: f"%{ord(c):02X}" for c in ' "<>'})
_UNSAFE_IN_PATH: Final = str.maketrans({c: f"%{ord(c):02X}" for c in "{}`^"})
_LITERAL: Final = str.maketrans({c: f"%{ord(c):02X}" for c in "$*"})


def _as_in_urls(pattern: str) -> str:
    """The pattern with those characters encoded that a canonical URL never holds as they are."""
    path, mark, query = pattern.translate(_UNSAFE).partition("?")
    return _one_spelling(path.translate(_UNSAFE_IN_PATH) + mark + query)


def _one_spelling(text: str) -> str:
    """Percent-encodings in upper case, and none for the marks `-._~`.

    RFC 9309 would decode letters and digits too; Google's tests say that `/%62` does not match `/b`, and they decide.
    """
    return _HEX.sub(lambda found: _MARKS.get(found[0].upper(), found[0].upper()), text) if "%" in text else text


def _rule(text: str, pattern: str, *, allow: bool) -> _Rule:
    anchored = pattern.endswith("$")
    pieces = (pattern[:-1] if anchored else pattern).replace("$", "%24").split("*")
    return _Rule(text, allow, len(pattern), tuple(pieces), anchored)


_AUTHORITY: Final = re.compile(r"(?://)?(?:[^/?;]*?://)?")
_PATH_START: Final = re.compile(r"[/?;]")


def _path(url: str) -> str:
    """Path and query of any text that stands for a URL, as Google's parser cuts it; `/` when there is none.

    `$` and `*` are encoded, so that a rule can name them as RFC 9309 section 2.2.3 says, by %24 and %2A.
    """
    after = _AUTHORITY.match(url)
    start = _PATH_START.search(url, after.end() if after else 0)
    hash_at = url.find("#")
    if start is None or 0 <= hash_at < start.start():
        return "/"
    path = _one_spelling(url[start.start() : hash_at if hash_at >= 0 else None]).translate(_LITERAL)
    return path if path.startswith("/") else "/" + path
