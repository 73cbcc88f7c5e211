"""One form for every URL, from the seed to the socket.

`canonical` is the WHATWG serialisation without fragment and userinfo, and nothing more is folded: no query sorting, no
`www`, no scheme. All that follows works on canonical URLs by plain string cuts, which the serialisation makes safe:
after it the first `#` begins the fragment, and the authority ends at the first `/` after the scheme.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import ada_url

from storage.errors import InvalidUrl

if TYPE_CHECKING:
    from tldextract import TLDExtract

MAX_BYTES: Final = 2083
"""Longest canonical URL; the limit of robots.txt lines and of what most servers and archives take."""

_MAX_INPUT: Final = 16_384
"""Characters of a reference that are looked at; canonical forms of longer ones are too long in nearly every case."""

_SCHEMES: Final = ("http://", "https://")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_SITES_KEPT: Final = 65_536


def canonical(url: str) -> str:
    """The canonical form of an absolute URL.

    Raises InvalidUrl for what WHATWG refuses, what is not http or https, and what is longer than MAX_BYTES.
    """
    found, cause = _serialise(url, None)
    if found is None:
        raise InvalidUrl("read URL", url[:200], cause, "an absolute http:// or https:// URL is needed")
    return found


def resolve(base: str, href: str) -> str | None:
    """The canonical URL that `href` means on a page at `base`; None when it is none that we would fetch."""
    return _serialise(href, base)[0]


def _serialise(text: str, base: str | None) -> tuple[str | None, str]:
    """The canonical form, or None and the cause."""
    if len(text) > _MAX_INPUT:
        return None, f"it has {len(text)} characters"
    if not text.isascii():
        text = _SURROGATES.sub("\ufffd", text)  # what a browser's string conversion does to half a character
    try:
        href = ada_url.normalize_url(text) if base is None else ada_url.join_url(base, text)
    except ValueError:
        return None, "it is not a URL by the WHATWG standard"
    if not href.startswith(_SCHEMES):
        return None, "its scheme is not http or https"
    href = href.partition("#")[0]
    if "@" in href:
        href = _without_userinfo(href)
    if len(href) > MAX_BYTES:  # a serialised URL is ASCII
        return None, f"its canonical form has {len(href)} bytes, more than {MAX_BYTES}"
    return href, ""


def _without_userinfo(href: str) -> str:
    scheme, _, rest = href.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def origin(url: str) -> str:
    """`https://www.example.org` of a canonical URL; robots.txt belongs to it."""
    return url[: url.index("/", 8)]


def host(url: str) -> str:
    """`www.example.org`, with `:port` only when it is not the scheme's own; pace belongs to it."""
    return url[url.index("/") + 2 : url.index("/", 8)]


def path(url: str) -> str:
    """Path and query of a canonical URL, beginning with `/`: what robots.txt rules match."""
    return url[url.index("/", 8) :]


def site(url: str) -> str:
    """The registered domain of a canonical URL by the public suffix list, private suffixes included.

    For IP addresses and suffixes that are not listed it is the host itself.
    """
    return site_of_host(host(url))


@lru_cache(maxsize=_SITES_KEPT)
def site_of_host(name: str) -> str:
    """The same, of a host as `host` gives it."""
    hostname = name if name.startswith("[") else name.partition(":")[0]
    return _suffixes().extract_str(hostname).top_domain_under_public_suffix or name


@lru_cache(maxsize=1)
def _suffixes() -> TLDExtract:
    import tldextract  # here because reading the list takes longer than a command that needs no site

    return tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)
