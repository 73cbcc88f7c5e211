"""The made web: eight hosts, some 200 pages, and every kind of page that a crawl meets and a cleaner must judge.

Nothing here is random and nothing is anybody's: the same pages on every machine. `planted` says what the pages are
for, so that a test can ask whether each met the fate that it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Final

from crawlers.loopback.articles import Article, articles, changed, sentences

HOSTS: Final = (
    "gazette.test",
    "zeitung.test",
    "wenji.test",
    "maqalat.test",
    "plaza.test",
    "mirror.test",
    "odd.test",
    "down.test",
)
SEEDS: Final = tuple(f"http://{host}/" for host in HOSTS)

HTML: Final = "text/html; charset=utf-8"
MEGABYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the made web: after `delay` seconds, the body `repeat` times."""

    host: str
    path: str
    body: bytes
    mime: str = HTML
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    planted: str = ""
    repeat: int = 1
    delay: float = 0.0

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.path}"


def html(title: str, body: str, *, lang: str = "en", head: str = "", host: str = "") -> bytes:
    """A page with the navigation and the footer that all pages of a host share."""
    direction = ' dir="rtl"' if lang == "ar" else ""
    chrome = f'<header><nav><a href="/">{escape(host)}</a> <a href="/about">About this site</a></nav></header>'
    footer = (
        f"<footer><p>{escape(host)} is part of a made web. Nothing on it is true. All rights reserved.</p></footer>"
    )
    return (
        f'<!doctype html><html lang="{lang}"{direction}><head><meta charset="utf-8">{head}'
        f"<title>{escape(title)}</title></head><body>{chrome}<main>{body}</main>{footer}</body></html>"
    ).encode()


def _article_html(article: Article, host: str, links: str = "", head: str = "") -> bytes:
    paragraphs = "".join(f"<p>{escape(text)}</p>" for text in article.paragraphs)
    body = f"<article><h1>{escape(article.title)}</h1>{paragraphs}</article>{links}"
    return html(article.title, body, lang=article.lang, head=head, host=host)


def _index(host: str, links: list[tuple[str, str]], lang: str = "en") -> Page:
    items = "".join(f'<li><a href="{path}">{escape(text)}</a></li>' for path, text in links)
    return Page(host, "/", html(host, f"<h1>{host}</h1><ul>{items}</ul>", lang=lang, host=host), planted="index")


def _about(host: str) -> Page:
    text = "<p>This site belongs to a web that was made to be crawled on one machine.</p>"
    return Page(host, "/about", html("About", text, host=host), planted="short")


def _robots(host: str, text: str) -> Page:
    return Page(host, "/robots.txt", text.encode(), "text/plain", planted="robots")


def _magazine(host: str, lang: str, each: int, robots: str) -> list[Page]:
    """A host of articles, where each also links to the next one."""
    found = articles(lang, each)
    paths = [f"/{lang}/{number + 1}" for number in range(len(found))]
    pages = [
        Page(
            host,
            path,
            _article_html(article, host, f'<p><a href="{paths[(number + 1) % len(paths)]}">{number + 2}</a></p>'),
            planted="article",
        )
        for number, (path, article) in enumerate(zip(paths, found, strict=True))
    ]
    links = [(page.path, article.title) for page, article in zip(pages, found, strict=True)]
    return [_robots(host, robots), _index(host, links, lang), _about(host), *pages]


def _plaza() -> list[Page]:
    """A forum, and a shop whose owner keeps crawlers for training out."""
    host = "plaza.test"
    threads = [Page(host, f"/forum/{n}", _thread(n, host), planted="forum") for n in range(1, 21)]
    goods = [Page(host, f"/goods/{n}", _product(n, host), planted="ai-denied") for n in range(1, 25)]
    robots = "User-agent: *\nDisallow: /basket\n\nUser-agent: GPTBot\nUser-agent: CCBot\nDisallow: /goods/\n"
    links = [(page.path, f"{page.planted} {page.path}") for page in (*threads, *goods)]
    denied = Page(host, "/basket", html("Basket", "<p>Empty.</p>", host=host), planted="robots-denied")
    return [
        _robots(host, robots),
        _index(host, [*links, ("/basket", "basket")]),
        _about(host),
        *threads,
        *goods,
        denied,
    ]


def _thread(number: int, host: str) -> bytes:
    handles = ("heron", "moss_green", "tin_whistle", "ada42", "north_gate")
    posts = "".join(
        f'<div class="post comment"><span class="author">{handles[(number + turn) % 5]}</span>'
        f'<div class="message"><p>{escape(" ".join(sentences(4, f"forum/{number}/{turn}")))}</p></div></div>'
        for turn in range(4)
    )
    return html(f"Thread {number}: who knows more?", f"<h1>Thread {number}: who knows more?</h1>{posts}", host=host)


def _product(number: int, host: str) -> bytes:
    text = " ".join(sentences(2 if number % 3 else 7, f"goods/{number}"))
    name = ("Copper kettle", "Birch broom", "Storm lantern", "Folding chair")[number % 4]
    body = f"<article><h1>{name} no. {number}</h1><p>{escape(text)}</p><p>Price: {number * 3 + 5}.00</p></article>"
    return html(f"{name} no. {number}", body, host=host)


def _mirror() -> list[Page]:
    """Copies of the gazette: some to the letter, some with a few words exchanged."""
    host = "mirror.test"
    originals = articles("en", 4)
    exact = [Page(host, f"/copy/{n}", _article_html(originals[n], host), planted="mirror") for n in range(12)]
    near = [
        Page(host, f"/near/{n}", _article_html(changed(originals[n], 1 + n % 4), host), planted="near")
        for n in range(12, 24)
    ]
    links = [(page.path, page.planted) for page in (*exact, *near)]
    return [_robots(host, "User-agent: *\nCrawl-delay: 0\n"), _index(host, links), _about(host), *exact, *near]


def _odd() -> list[Page]:
    """One page of each kind of trouble."""
    host = "odd.test"
    plain = Article("en", "An ordinary page", tuple(" ".join(sentences(4, f"odd/{n}")) for n in range(4)))

    def one(path: str, body: bytes, planted: str, **more: object) -> Page:
        return Page(host, path, body, planted=planted, **more)  # type: ignore[arg-type]

    spam = "".join(f"<p>Buy cheap watches now, best cheap watches, click here {n % 3}.</p>" for n in range(60))
    noai = '<meta name="robots" content="noai, noimageai">'
    contact = "<p>" + " ".join(
        [*plain.paragraphs, "Write to someone@office.internal or to the machine at 198.18.0.1 and 8.8.4.4."]
    )
    pages = [
        one("/spam/1", html("Watches", spam, host=host), "spam"),
        one("/spam/2", html("Words", f"<p>{'casino bonus free spins ' * 150}</p>", host=host), "spam"),
        one("/denied/secret", html("Secret", "<p>Nobody reads this.</p>", host=host), "robots-denied"),
        one("/loop/a", b"", "redirect", status=302, headers=(("Location", "/loop/b"),)),
        one("/loop/b", b"", "redirect", status=302, headers=(("Location", "/loop/a"),)),
        one("/moved", b"", "redirect", status=301, headers=(("Location", "/ordinary"),)),
        one("/ordinary", _article_html(plain, host), "article"),
        one("/huge", b"<p>" + b"More and more of the same. " * 40_000, "huge", repeat=64),
        one("/noai", _article_html(_own("noai"), host, head=noai), "noai"),
        one("/noai-header", _article_html(_own("header"), host), "noai", headers=(("X-Robots-Tag", "noai"),)),
        one("/contact", html("Contact", contact, host=host), "pii"),
        one("/binary", bytes(range(256)) * 200, "binary"),
        one("/empty", b"", "empty"),
        one("/charset", _article_html(_own("charset"), host).decode().encode("cp1252"), "charset", mime=HTML),
        one("/table", _table(), "colspan"),
        one("/slow", _article_html(_own("slow"), host), "slow", delay=1.5),
        one("/picture", b"\x89PNG\r\n\x1a\n" + bytes(2000), "unwanted", mime="image/png"),
        one("/gone", html("Gone", "<p>Not here.</p>", host=host), "gone", status=404),
    ]
    links = [(page.path, f"{page.planted} {page.path}") for page in pages if page.path != "/loop/b"]
    mail = [("mailto:someone@office.internal", "mail"), ("javascript:void(0)", "script"), ("http://[", "broken")]
    robots = "User-agent: *\nDisallow: /denied/\n"
    return [_robots(host, robots), _index(host, [*links, *mail]), _about(host), *pages]


def _own(seed: str) -> Article:
    texts = tuple(" ".join(sentences(4, f"own/{seed}/{n}")) + " Café crème, naïve façade." for n in range(4))
    return Article("en", f"A page of its own: {seed}", texts)


def _table() -> bytes:
    cells = f'<table><tr><td colspan="{2**53}">wide</td></tr><tr><td>narrow</td></tr></table>'
    return html(
        "Table", cells + "".join(f"<p>{escape(text)}</p>" for text in _own("table").paragraphs), host="odd.test"
    )


@lru_cache(maxsize=1)
def pages() -> tuple[Page, ...]:
    """Every page of the made web."""
    return (
        *_magazine(
            "gazette.test", "en", 4, "User-agent: *\nDisallow: /private/\nSitemap: http://gazette.test/sitemap.xml\n"
        ),
        *_magazine("zeitung.test", "de", 4, ""),
        *_magazine("wenji.test", "zh", 4, "User-agent: *\nAllow: /\n"),
        *_magazine("maqalat.test", "ar", 4, "User-agent: *\nDisallow:\n"),
        *_plaza(),
        *_mirror(),
        *_odd(),
        Page("down.test", "/", b"busy", "text/plain", 503, planted="unavailable"),
    )
