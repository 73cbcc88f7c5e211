"""The schedule of one host, as arithmetic: delays, Retry-After in every form, back-off, and how much a lease holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers import pace

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("delay", "crawl_delay", "expected"),
    [(0.0, None, 0.0), (0.0, 7.0, 7.0), (5.0, 2.0, 5.0), (None, None, 3.0), (None, 10.0, 10.0), (1.0, 1e9, 300.0)],
)
def test_the_longer_wish_wins_within_bounds(delay: float | None, crawl_delay: float | None, expected: float) -> None:
    assert pace.gap(delay, crawl_delay) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("86401", pace.DAY),
        ("9" * 400, pace.DAY),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Friday, 15-Jan-27 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2038 08:00:00 GMT", pace.DAY),
        ("Fri, 15 Jan 2027 08:01:00", 60.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("١٢٠", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert pace.retry_after(value, NOW) == expected


@given(st.text())
def test_no_retry_after_breaks_or_exceeds_a_day(value: str) -> None:
    found = pace.retry_after(value, NOW)

    assert found is None or 0 <= found <= pace.DAY


def test_a_headerless_429_doubles_from_a_minute_to_a_day() -> None:
    waits = [pace.pause(429, None, strikes, NOW, 0.0) for strikes in range(13)]

    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == pace.DAY
    assert waits == sorted(waits)


def test_a_timeout_pauses_for_seconds_and_a_header_on_it_means_nothing() -> None:
    assert pace.pause(None, "3600", 0, NOW, 0.0) == 5
    assert pace.pause(None, None, 3, NOW, 0.0) == 40


def test_jitter_only_lengthens() -> None:
    assert pace.pause(503, None, 0, NOW, 1.0) == pytest.approx(66)
    assert pace.pause(503, "30", 0, NOW, 1.0) == 30


@pytest.mark.parametrize("strikes", [50, 10_000])
def test_many_strikes_do_not_overflow(strikes: int) -> None:
    assert pace.pause(503, None, strikes, NOW, 1.0) == pace.DAY


@given(st.floats(0, 300))
def test_a_lease_fits_its_time(gap: float) -> None:
    urls = pace.lease_size(gap)

    assert 1 <= urls <= 100
    assert urls == 1 or urls * gap <= pace.LEASE_SECONDS


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        ("http_error", 429, True),
        ("http_error", 503, True),
        ("timeout", None, True),
        ("refused", None, True),
        ("http_error", 403, False),
        ("http_error", 500, False),
        ("http_error", 404, False),
        ("blocked_address", None, False),
        ("ok", 200, False),
    ],
)
def test_what_asks_for_a_pause(outcome: pace.Outcome, status: int | None, expected: bool) -> None:
    assert pace.asks_for_pause(outcome, status) is expected
