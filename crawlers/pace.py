"""When a host may be asked again: pure arithmetic on epoch seconds, with every constant's source.

Invariant: nothing here makes a host be asked earlier than the crawl's delay, its robots.txt, or its own answers want.
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from storage.schema import Outcome

DEFAULT_DELAY: Final = 3.0
"""Seconds between two fetches of a host when a crawl names none; the floor of Heritrix's adaptive delay."""

MAX_CRAWL_DELAY: Final = 300.0
"""Seconds of Crawl-delay that are honoured, as Heritrix does; more would never end."""

DAY: Final = 86_400.0

FIRST_BACK_OFF: Final = 60.0
"""Seconds after the first 429 or 503 without Retry-After; doubled each time, at most a day (StormCrawler #1984)."""

FIRST_PAUSE: Final = 5.0
"""Seconds after the first timeout or broken connection, doubled each time: the host may be down, not angry."""

FORGIVEN_AFTER: Final = 1800.0
"""Quiet seconds after which a host's strikes are forgotten (StormCrawler #1984)."""

JITTER: Final = 0.1
"""Share by which a back-off is lengthened at random, so that hosts blocked together do not come back together."""

LEASE_SECONDS: Final = 60.0
"""Life of a lease without renewal: what a dead node costs its host in waiting."""

LEASE_URLS: Final = 100

_TYPICAL_FETCH: Final = 0.5
"""Seconds that an exchange is assumed to take when a lease at a gap is filled."""

ROBOTS_LIFE: Final = DAY
"""RFC 9309 section 2.4: not more than 24 hours from cache."""

ROBOTS_RETRIES: Final = (2.0, 10.0)
"""Seconds until robots.txt that could not be had is asked for again; then the origin is given up for a day."""

ROBOTS_STALE_LIFE: Final = 3600.0
"""Seconds that an old copy serves on after a failed refresh (RFC 9309 section 2.4: while it is unreachable)."""


def gap(delay: float | None, crawl_delay: float | None) -> float:
    """Seconds from the end of one exchange with a host to the start of the next: the crawl's or the site's wish."""
    ours = DEFAULT_DELAY if delay is None else delay
    return max(ours, min(crawl_delay or 0.0, MAX_CRAWL_DELAY))


def lease_size(gap: float) -> int:
    """How many URLs a lease holds at most, so that they fit its time at this gap."""
    return LEASE_URLS if gap == 0 else max(1, min(LEASE_URLS, int(LEASE_SECONDS / (gap + _TYPICAL_FETCH))))


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as a date, 0 to a day; None for no sense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), DAY)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return min(max(0.0, moment - now), DAY)


def asks_for_pause(outcome: Outcome, status: int | None) -> bool:
    """Whether an exchange means that the host wants, or needs, to be left alone for a while."""
    return status in (429, 503) or outcome in ("timeout", "dns", "tls", "refused")


def pause(status: int | None, header: str | None, strikes: int, now: float, chance: float) -> float:
    """Seconds to leave a host alone after an exchange for which `asks_for_pause` is true.

    `strikes` is how many came before this one, `chance` a random number from 0 to 1.
    """
    asked = retry_after(header, now) if status in (429, 503) else None
    if asked is not None:
        return asked
    first = FIRST_BACK_OFF if status in (429, 503) else FIRST_PAUSE
    return min(math.ldexp(first, min(strikes, 20)) * (1 + JITTER * chance), DAY)
