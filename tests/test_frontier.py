"""The frontier: what is met once, who may fetch it when, and what happens to answers that come late or twice."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from crawlers import pace
from crawlers.frontier import Frontier
from crawlers.frontier.seen import key_of
from crawlers.messages import Lease, LeaseRef
from storage.errors import BadConfig, Corrupt, InvalidUrl, NotFound, StoreFull
from tests.frontier_web import AGENT, NODE, OTHER, START, Web, failure, found, http_error, spec, urls

A = "http://a.test/"
B = "http://b.test/"


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path / "frontier.sqlite")


# leases


def test_robots_txt_is_the_first_page_of_an_origin_and_all_else_waits(web: Web) -> None:
    web.add(A, A + "x")

    robots = web.one()

    assert [(leased.url, leased.kind) for leased in robots.urls] == [(A + "robots.txt", "robots")]
    assert web.lease() == []
    web.settle(robots, found(robots, A + "robots.txt", kind="robots"))
    assert urls(web.one()) == [A, A + "x"]


def test_each_origin_of_a_host_has_its_own_robots_txt(web: Web) -> None:
    web.add("http://a.test/", "https://a.test/")

    first = web.robots("User-agent: *\nDisallow: /\n")
    second = web.robots("")

    assert {first.urls[0].url, second.urls[0].url} == {"http://a.test/robots.txt", "https://a.test/robots.txt"}
    assert [url for url, _, _ in web.decisions()] == [first.urls[0].url.removesuffix("robots.txt")]
    assert urls(web.one()) == [second.urls[0].url.removesuffix("robots.txt")]


def test_a_host_has_one_open_lease_and_every_host_its_own(web: Web) -> None:
    web.add(A, B)

    leases = web.lease(10)

    assert {lease.host for lease in leases} == {"a.test", "b.test"}
    assert web.lease(10, OTHER) == []


def test_a_node_gets_no_more_leases_than_it_wants(web: Web) -> None:
    web.add(*(f"http://h{n}.test/" for n in range(9)))

    assert [len(web.lease(want)) for want in (2, 0, 3, 10)] == [2, 0, 3, 4]


def test_a_lease_holds_what_fits_its_time_nearest_first(web: Web) -> None:
    web.add(A, delay=0.0)
    web.robots()
    web.pages(web.one(), {A: [f"{A}{n}" for n in range(250)]})

    assert [len(web.one().urls)] == [100]
    web.add(B, name="slow", delay=3.0)
    web.robots()
    web.now += 3
    slow = web.one()
    web.pages(slow, {B: [f"{B}{n}" for n in range(250)]})
    lease = web.one()

    assert lease.gap == 3.0
    assert len(lease.urls) == pace.lease_size(3.0) < 20
    assert [leased.not_before for leased in lease.urls] == [
        lease.urls[0].not_before + 3 * n for n in range(len(lease.urls))
    ]
    assert lease.urls[-1].not_before < lease.deadline


def test_fences_only_grow_also_over_a_restart(web: Web) -> None:
    web.add(A, B)
    fences = []
    for _ in range(4):
        lease = web.lease(1)[0]
        fences.append(lease.fence)
        web.frontier.renew(NODE, [], [LeaseRef(lease.lease_id, lease.fence)], web.now)
        web.reopen()

    assert fences == sorted(set(fences))


def test_an_expired_lease_returns_by_itself_and_its_late_answers_do_no_harm(web: Web) -> None:
    web.add(A)
    web.robots()
    lost = web.one()
    web.now = lost.deadline + 1

    again = web.one(OTHER)

    assert urls(again) == urls(lost)
    assert again.fence > lost.fence
    assert web.pages(lost) == ["skipped"]
    assert web.settle(again, found(again, A), node=OTHER) == ["ok"]
    assert web.pages(lost) == ["skipped"]
    assert [row["url"] for row in web.captures()] == [A + "robots.txt", A]


def test_renewing_holds_a_lease_and_nobody_else_can(web: Web) -> None:
    web.add(A)
    lease = web.one()
    ref = LeaseRef(lease.lease_id, lease.fence)
    web.now = lease.deadline - 1

    assert web.frontier.renew(OTHER, [ref], [], web.now) == {}
    assert web.frontier.renew(NODE, [LeaseRef(lease.lease_id, lease.fence + 1)], [], web.now) == {}
    assert web.frontier.renew(NODE, [ref], [], web.now) == {lease.lease_id: web.now + pace.LEASE_SECONDS}
    web.now += 30
    assert web.lease(10, OTHER) == []
    web.now += 60
    assert web.frontier.renew(NODE, [ref], [], web.now) == {}


def test_what_is_given_back_can_be_leased_at_once_but_only_its_holder_gives_it(web: Web) -> None:
    web.add(A)
    web.robots()
    lease = web.one()
    ref = LeaseRef(lease.lease_id, lease.fence)

    web.frontier.renew(OTHER, [], [ref], web.now)
    assert web.lease() == []
    web.frontier.renew(NODE, [], [ref], web.now)
    assert urls(web.one()) == [A]


def test_an_answer_from_another_node_is_skipped(web: Web) -> None:
    web.add(A)
    lease = web.one()

    assert web.settle(lease, found(lease, A + "robots.txt", kind="robots"), node=OTHER) == ["skipped"]
    assert web.captures() == []


def test_a_lease_may_be_answered_in_parts_and_done_returns_the_rest(web: Web) -> None:
    web.add(A, A + "1", A + "2")
    web.robots()
    lease = web.one()

    assert web.settle(lease, found(lease, A), done=False) == ["ok"]
    assert web.lease() == []
    assert web.settle(lease, found(lease, A), found(lease, A + "1"), done=True) == ["skipped", "ok"]
    assert urls(web.one()) == [A + "2"]


def test_what_was_not_leased_is_skipped(web: Web) -> None:
    web.add(A, A + "1")
    web.robots()
    lease = web.one()

    answers = web.settle(lease, found(lease, A + "secret"), found(lease, A + "1", kind="robots"), found(lease, A))

    assert answers == ["skipped", "skipped", "ok"]
    assert [row["url"] for row in web.captures()] == [A + "robots.txt", A]


def test_the_same_bundle_again_changes_nothing_and_gets_the_same_answers(web: Web) -> None:
    web.add(A, A + "1")
    web.robots()
    lease = web.one()
    findings = (found(lease, A, links=(A + "2",)), found(lease, A + "9"))

    first = web.settle(lease, *findings, done=False)
    web.bundles -= 1
    before = web.frontier.progress(web.now)
    web.reopen()

    assert web.settle(lease, *findings, done=False) == first == ["ok", "skipped"]
    assert web.frontier.progress(web.now) == before


# pace


def gap_after(web: Web, lease: Lease, **answer: Any) -> float:
    """Seconds until the host of `lease` gives another one, when every URL gets this answer."""
    web.settle(lease, *(found(lease, url, **answer) for url in urls(lease)))
    due = web.due()
    assert due is not None
    return due - web.now


def test_the_delay_holds_between_robots_and_pages_and_between_leases(web: Web) -> None:
    web.add(A, delay=7.0)
    web.robots()
    assert web.due() == web.now + 7
    lease = web.one()
    assert lease.urls[0].not_before == web.now

    assert gap_after(web, lease, links=(A + "1",)) == 7


def test_crawl_delay_of_the_site_wins_when_it_is_longer(web: Web) -> None:
    web.add(A, delay=1.0)
    web.robots("User-agent: *\nCrawl-delay: 20\n")
    web.now += 20

    assert web.one().gap == 20


def test_crawls_share_robots_txt_and_pace_of_a_host_and_take_turns(web: Web) -> None:
    web.add(*(f"{A}{n}" for n in range(100)), name="slow", delay=10.0)
    web.add(*(f"{A}{n}" for n in range(500)), name="fast", delay=0.0)
    web.robots()
    turns = []
    ended = web.now
    for _ in range(4):
        lease = web.one()
        turns.append(lease.crawl)
        assert lease.urls[0].not_before >= ended + (10 if lease.crawl == "slow" else 0)
        web.pages(lease)
        ended = web.now

    assert sorted(turns[:2]) == sorted(turns[2:]) == ["fast", "slow"]
    assert [row["kind"] for row in web.captures()].count("robots") == 1


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (http_error(429), 60),
        (http_error(503), 60),
        (http_error(503, retry_after="90"), 90),
        (http_error(429, retry_after="0"), 0),
        (failure("timeout"), 5),
        (failure("refused"), 5),
        (http_error(500), 0),
        (http_error(404), 0),
        (http_error(403), 0),
    ],
)
def test_a_host_that_asks_for_a_pause_gets_it(web: Web, answer: dict[str, Any], pause: float) -> None:
    web.add(A, A + "1")
    web.robots()
    lease = web.one()
    web.settle(lease, found(lease, A, **answer))
    web.reopen()

    assert urls(web.one()) == [A + "1"]
    assert web.now == START + pause


def test_back_off_doubles_and_is_forgiven_after_quiet(web: Web) -> None:
    web.add(*(f"{A}{n}" for n in range(9)), patience=1e6)
    web.robots()
    pauses = []
    for quiet in (0, 0, pace.FORGIVEN_AFTER + 1):
        web.now += quiet
        lease = web.one()
        web.settle(lease, found(lease, urls(lease)[0], **http_error(503)))
        due = web.due()
        assert due is not None
        pauses.append(due - web.now)
        web.now = due

    assert pauses == [60, 120, 60]


def test_timeouts_among_pages_that_work_do_not_add_up(web: Web) -> None:
    web.add(*(f"{A}{n}" for n in range(9)))
    web.robots()
    for _ in range(3):
        lease = web.one()
        first, second, *_ = urls(lease)
        web.settle(lease, found(lease, first), found(lease, second, **failure("timeout")))
        assert web.due() == web.now + 5


def test_a_pause_beyond_the_patience_of_a_crawl_makes_decisions_and_other_hosts_go_on(web: Web) -> None:
    web.add(A, A + "1", B, patience=100.0)
    for lease in web.lease():
        web.settle(lease, found(lease, urls(lease)[0], kind="robots"))
    for lease in web.lease():
        if lease.host == "a.test":
            web.settle(lease, found(lease, A, **http_error(503, retry_after="101")))
        else:
            web.pages(lease, {B: [B + "1"]})

    assert urls(web.one()) == [B + "1"]
    ((url, reason, evidence),) = web.decisions()
    assert (url, reason) == (A + "1", "budget")
    assert evidence is not None
    assert "status 503" in evidence


# robots


def test_denied_urls_are_decisions_with_the_rule(web: Web) -> None:
    web.add(A, A + "private/1", A + "private/2")
    web.robots("User-agent: thresher\nDisallow: /private/\n")

    assert urls(web.one()) == [A]
    assert web.decisions() == [
        (A + "private/1", "robots", "Disallow: /private/"),
        (A + "private/2", "robots", "Disallow: /private/"),
    ]
    assert web.state(A + "private/1") == "denied"


@pytest.mark.parametrize("status", [401, 403, 404, 410, 451])
def test_an_absent_file_allows_all(web: Web, status: int) -> None:
    web.add(A)
    web.robots(**http_error(status))

    web.pages(web.one())

    row = web.captures()[-1]
    assert (row["url"], row["robots_verdict"], row["robots_digest"]) == (A, None, None)
    assert row["rights_train"] is True


@pytest.mark.parametrize("answer", [http_error(500), failure("timeout"), failure("dns"), failure("refused")])
def test_an_unreachable_file_disallows_all_and_is_given_up_after_some_tries(web: Web, answer: dict[str, Any]) -> None:
    web.add(A, A + "1")
    asked = []
    for _ in range(1 + len(pace.ROBOTS_RETRIES)):
        asked.append(web.robots(**answer))
        assert web.lease() == []
        web.reopen()
    web.now += 20

    assert web.lease() == []
    said = "status 500" if answer["status"] else answer["outcome"]
    evidence = f"robots.txt unreachable: {said}"
    assert web.decisions() == [(A, "robots", evidence), (A + "1", "robots", evidence)]
    assert web.frontier.next_due() is None
    assert len({lease.fence for lease in asked}) == 3


def test_an_unreachable_file_that_comes_back_lets_the_urls_go(web: Web) -> None:
    web.add(A)
    web.robots(**failure("refused"))
    web.robots("User-agent: *\nDisallow: /x\n")

    assert urls(web.one()) == [A]


def test_an_origin_that_was_given_up_denies_what_is_met_later_and_is_asked_again_after_a_day(web: Web) -> None:
    web.add(A)
    for _ in range(3):
        web.robots(**failure("refused"))
    web.now += 100
    assert web.lease() == []
    web.add(A + "late", name="second")
    assert web.lease() == []
    assert [url for url, _, _ in web.decisions()] == [A, A + "late"]
    web.now += pace.DAY
    web.add(A + "later", name="third")

    web.robots()

    assert urls(web.one()) == [A + "later"]


def test_an_address_that_is_refused_is_not_tried_again(web: Web) -> None:
    web.add(A)
    web.robots(**failure("blocked_address"))

    assert web.lease() == []
    assert [(url, reason) for url, reason, _ in web.decisions()] == [(A, "robots")]


def test_429_defers(web: Web) -> None:
    web.add(A)
    web.robots(**http_error(429, retry_after="120"))

    assert web.due() == web.now + 120
    assert web.state(A) == "queued"
    web.robots()
    assert urls(web.one()) == [A]


def test_a_long_deferral_is_a_decision(web: Web) -> None:
    web.add(A)
    web.robots(**http_error(429, retry_after="3600"))

    assert web.due() is None
    assert [(url, reason) for url, reason, _ in web.decisions()] == [(A, "robots")]


def test_redirects_of_robots_are_followed_and_each_is_recorded(web: Web) -> None:
    web.add(A)
    lease = web.one()
    hops = [A + "robots.txt", B + "1", B + "2"]
    first, second = (
        found(lease, here, kind="robots", outcome="redirect", status=301, redirect_to=there)
        for here, there in pairwise(hops)
    )
    last = found(lease, hops[2], kind="robots", body=b"User-agent: *\nDisallow: /\n")

    assert web.settle(lease, first, done=False) == ["ok"]
    assert web.settle(lease, found(lease, B + "other", kind="robots"), done=False) == ["skipped"]
    assert web.settle(lease, second, last) == ["ok", "ok"]
    assert [row["url"] for row in web.captures()] == hops
    assert web.lease() == []
    assert [url for url, _, _ in web.decisions()] == [A]


def test_more_than_five_redirects_count_as_absent(web: Web) -> None:
    web.add(A)
    lease = web.one()
    hops = [A + "robots.txt", *(f"{A}r{n}" for n in range(6))]
    chain = [
        found(lease, here, kind="robots", outcome="redirect", status=302, redirect_to=there)
        for here, there in pairwise(hops)
    ]

    assert web.settle(lease, *chain) == ["ok"] * 6
    assert urls(web.one()) == [A]


def test_a_chain_that_broke_off_is_asked_for_anew(web: Web) -> None:
    web.add(A)
    lease = web.one()
    web.settle(
        lease, found(lease, A + "robots.txt", kind="robots", outcome="redirect", status=301, redirect_to=A + "r")
    )

    assert urls(web.one()) == [A + "robots.txt"]


def test_rules_are_asked_for_again_after_a_day_and_an_old_copy_serves_while_they_can_not_be_had(web: Web) -> None:
    web.add(A, A + "x")
    web.robots("User-agent: *\nDisallow: /x\n")
    lease = web.one()
    web.frontier.renew(NODE, [], [LeaseRef(lease.lease_id, lease.fence)], web.now)
    web.now += pace.ROBOTS_LIFE

    web.robots(**http_error(500))

    assert urls(web.one()) == [A]
    assert [url for url, _, _ in web.decisions()] == [A + "x"]


def test_a_capture_tells_which_robots_txt_allowed_it(web: Web) -> None:
    web.add(A)
    web.robots("User-agent: GPTBot\nDisallow: /\n")
    web.pages(web.one())
    robots, page = web.captures()

    assert (robots["kind"], robots["robots_verdict"], robots["page_id"], robots["depth"]) == (
        "robots",
        None,
        None,
        None,
    )
    assert (page["robots_verdict"], page["depth"], page["referrer"]) == ("allow", 0, None)
    assert (page["rights_train"], page["rights_input"], page["rights_search"]) == (False, True, True)
    assert page["robots_digest"] is not None
    assert page["page_id"] is not None


# seen, scope, depth, hops, budget


def test_a_url_is_met_once_in_a_crawl_and_again_in_another(web: Web) -> None:
    web.add(A, A, "http://A.test/#top")
    web.robots()
    web.pages(web.one(), {A: [A, A + "1", A + "1"]})
    web.pages(web.one(), {A + "1": [A]})
    assert web.frontier.next_due() is None

    web.add(A, name="second")

    assert urls(web.one()) == [A]


def test_urls_whose_keys_collide_are_all_fetched_once(tmp_path: Path) -> None:
    """Eight keys for everything: nearly every URL collides, within a batch and with what is stored."""

    def keys(crawl: int, url: str, probe: int) -> int:
        return key_of(crawl, url, probe) % 8 if probe < 20 else key_of(crawl, url, probe)

    web = Web(tmp_path / "frontier.sqlite", keys)
    links = [f"{A}{n}" for n in range(40)]
    web.add(A)
    web.add(A, name="second")
    web.robots()
    fetched: dict[str, list[str]] = {"c": [], "second": []}
    while web.frontier.next_due() is not None:
        lease = web.one()
        fetched[lease.crawl] += urls(lease)
        web.pages(lease, {A: links, A + "1": links})
        web.reopen()

    assert {crawl: sorted(found) for crawl, found in fetched.items()} == dict.fromkeys(fetched, sorted([A, *links]))
    assert all(len(web.frontier.story(url)) == 2 for url in links)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("host", ["http://www.example.com/1"]),
        ("site", ["http://www.example.com/1", "http://blog.example.com/"]),
        ("any", ["http://www.example.com/1", "http://blog.example.com/", "http://example.org/"]),
    ],
)
def test_scope(web: Web, scope: str, expected: list[str]) -> None:
    seed = "http://www.example.com/"
    web.add(seed, scope=scope)
    web.robots()
    links = ["http://www.example.com/1", "http://blog.example.com/", "http://example.org/"]
    web.pages(web.one(), {seed: links})

    assert [link for link in links if web.frontier.story(link)] == expected
    assert web.decisions() == []


def test_links_are_followed_to_the_depth_and_what_is_deeper_is_decided_at_the_end(web: Web) -> None:
    web.add(A, depth=1)
    web.robots()
    web.pages(web.one(), {A: [A + "1"]})
    assert web.pages(web.one(), {A + "1": [A + "2", A]}) == ["ok"]

    assert web.decisions() == [(A + "2", "budget", "depth 2 of 1")]
    assert web.frontier.next_due() is None


def test_what_is_met_again_on_a_shorter_way_is_nearer(web: Web) -> None:
    web.add(A, B, depth=1)
    for lease in web.lease():
        web.settle(lease, found(lease, urls(lease)[0], kind="robots"))
    by_host = {lease.host: lease for lease in web.lease()}
    web.pages(by_host["a.test"], {A: [A + "1"]})
    web.pages(web.one(), {A + "1": [B + "deep"]})
    assert web.state(B + "deep") == "beyond"

    web.pages(by_host["b.test"], {B: [B + "deep"]})

    assert urls(web.one()) == [B + "deep"]


def redirected(web: Web, lease: Lease, url: str, target: str) -> None:
    web.settle(lease, found(lease, url, outcome="redirect", status=301, mime=None, redirect_to=target))


def test_the_target_of_a_redirect_keeps_the_depth_and_is_followed_five_times(web: Web) -> None:
    web.add(A, depth=0)
    web.robots()
    for hop in range(6):
        url = A if hop == 0 else f"{A}{hop}"
        lease = web.one()
        assert urls(lease) == [url]
        redirected(web, lease, url, f"{A}{hop + 1}")

    assert web.frontier.next_due() is None
    assert web.decisions() == [(A + "6", "hops", "6 redirects")]
    assert {row["depth"] for row in web.captures() if row["kind"] == "page"} == {0}
    assert web.captures()[-1]["referrer"] == A + "4"


def test_a_redirect_out_of_scope_is_a_decision(web: Web) -> None:
    web.add(A)
    web.robots()
    redirected(web, web.one(), A, B)

    assert web.decisions() == [(B, "scope", "redirect to another host")]


def test_a_budget_of_pages_is_never_passed_and_the_rest_is_decided(web: Web) -> None:
    web.add(*(f"http://h{n}.test/" for n in range(10)), pages=4)
    for lease in web.lease(20):
        web.settle(lease, found(lease, urls(lease)[0], kind="robots"))

    leases = web.lease(20)

    assert sum(len(lease.urls) for lease in leases) == 4
    for lease in leases:
        web.pages(lease)
    assert web.frontier.next_due() is None
    assert [(reason, evidence) for _, reason, evidence in web.decisions()] == [
        ("budget", "all 4 pages were fetched")
    ] * 6
    assert web.frontier.progress(web.now).pages == 4


def test_pages_that_come_back_are_room_for_other_hosts(web: Web) -> None:
    web.add(A, B, pages=1)
    for lease in web.lease():
        web.settle(lease, found(lease, urls(lease)[0], kind="robots"))
    (lease,) = web.lease()
    assert web.lease() == []

    web.now = lease.deadline + 1
    (other,) = web.lease()

    web.pages(other)
    assert web.frontier.next_due() is None


def test_a_crawl_goes_on_with_a_larger_budget(web: Web) -> None:
    web.add(A, pages=1, depth=1)
    web.robots()
    web.pages(web.one(), {A: [A + "1", A + "2"]})
    assert web.frontier.next_due() is None
    web.add(A, pages=1, depth=1)
    assert web.frontier.next_due() is None

    web.add(A, pages=3, depth=1)

    assert sorted(urls(web.one())) == [A + "1", A + "2"]


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"name": ""}, BadConfig),
        ({"name": "a b"}, BadConfig),
        ({"name": "x" * 65}, BadConfig),
        ({"scope": "planet"}, BadConfig),
        ({"pages": -1}, BadConfig),
        ({"delay": -1.0}, BadConfig),
        ({"agent": " "}, BadConfig),
        ({"seeds": (A, "nowhere")}, InvalidUrl),
    ],
)
def test_a_crawl_that_can_not_be_is_refused_and_nothing_has_changed(
    web: Web, wishes: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        web.add(A, **wishes)

    assert web.frontier.crawls() == []


def test_only_crawls_that_were_asked_for_run(web: Web) -> None:
    web.add(A, name="old")
    web.robots()
    web.added.clear()
    web.reopen()
    assert web.due() is None

    web.add(B, name="new")
    web.robots()
    web.pages(web.one())
    assert web.due() is None
    web.add(name="old")

    assert urls(web.one()) == [A]


def test_a_crawl_keeps_its_scope(web: Web) -> None:
    web.add(A)

    with pytest.raises(BadConfig, match="scope"):
        web.add(A, scope="any")


# the whole


def test_what_is_known_of_a_url(web: Web) -> None:
    web.add(A)
    web.robots("User-agent: *\nDisallow: /x\n")
    lease = web.one()
    web.pages(lease, {A: [A + "x", A + "y"]})
    web.lease()

    (first,) = web.frontier.story(A)
    (denied,) = web.frontier.story(A + "x")
    (leased,) = web.frontier.story(A + "y")

    assert (first["state"], first["lease"], first["node"], first["robots"]) == ("done", lease.lease_id, NODE, "rules")
    assert first["bundle"]
    assert (denied["state"], denied["reason"], denied["evidence"]) == ("denied", "robots", "Disallow: /x")
    assert (leased["state"], leased["referrer"], leased["depth"]) == ("leased", A, 1)
    assert "lease_until" in leased
    assert web.frontier.story(B) == []
    with Frontier.open(web.path, read_only=True) as reader:
        assert reader.story(A) == [first]


def test_progress_counts(web: Web) -> None:
    web.add(A, A + "1", A + "2")
    web.robots()
    lease = web.one()
    web.settle(lease, found(lease, A), found(lease, A + "1", **http_error(404)), done=False)

    progress = web.frontier.progress(web.now, "c")

    assert (progress.queued, progress.leased, progress.pages, progress.captures) == (0, 1, 2, 3)
    assert progress.outcomes == {"http_error": 1, "ok": 2}
    assert progress.bytes == 30
    assert not progress.finished
    with pytest.raises(NotFound):
        web.frontier.progress(web.now, "unknown")


def test_a_file_that_is_no_frontier_is_told(tmp_path: Path) -> None:
    path = tmp_path / "frontier.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)

    with pytest.raises(Corrupt):
        Frontier.open(path)


def test_a_full_disk_is_told_and_nothing_has_changed(web: Web) -> None:
    web.add(A)
    web.robots()
    lease = web.one()
    before = web.frontier.progress(web.now)
    pages = web.frontier._con.execute("PRAGMA page_count").fetchone()[0]
    web.frontier._con.execute(f"PRAGMA max_page_count = {pages}")
    links = [f"{A}{'x' * 200}{n}" for n in range(1000)]

    with pytest.raises(StoreFull):
        web.pages(lease, {A: links})

    assert web.frontier.progress(web.now) == before
    web.frontier._con.execute("PRAGMA max_page_count = 1000000")
    web.bundles -= 1
    assert web.pages(lease, {A: links}) == ["ok"]
    assert len(web.one().urls) == 100


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_page_is_taken_once_and_no_host_is_rushed(tmp_path: Path, seed: int) -> None:
    """Two nodes that lose leases, answer late, twice and in parts, over restarts at any moment."""
    rng = random.Random(seed)
    web = Web(tmp_path / "frontier.sqlite")
    hosts = [f"http://h{n}.test/" for n in range(4)]
    site = {
        f"{host}{n}": [f"{rng.choice(hosts)}{rng.randrange(12)}" for _ in range(4)] for host in hosts for n in range(12)
    }
    web.add(*(host + "0" for host in hosts), delay=1.0)
    held: list[Lease] = []
    free_at = dict.fromkeys(hosts, 0.0)
    taken: list[str] = []
    for _ in range(3000):
        if web.frontier.next_due() is None:
            break
        web.now += rng.choice([0, 0.1, 1, 5, 70])
        if rng.random() < 0.05:
            web.reopen()
        for lease in web.lease(3, rng.choice([NODE, OTHER])):
            host = f"http://{lease.host}/"
            assert lease.urls[0].not_before >= free_at[host]
            held.append(lease)
        for lease in rng.sample(held[-12:], min(len(held), 2)):
            part = [url for url in urls(lease) if rng.random() < 0.7]
            kind = lease.urls[0].kind
            findings = [found(lease, url, kind=kind, links=tuple(site.get(url, ()))) for url in part]
            node = rng.choice([NODE, NODE, NODE, OTHER])
            done = rng.random() < 0.5
            answers = web.settle(lease, *findings, done=done, node=node)
            taken += [url for url, answer in zip(part, answers, strict=True) if answer == "ok" and kind == "page"]
            if "ok" in answers:
                free_at[f"http://{lease.host}/"] = web.now
    reachable = {host + "0" for host in hosts}
    while True:
        more = {link for url in reachable for link in site[url]} - reachable
        if not more:
            break
        reachable |= more

    assert web.frontier.next_due() is None
    assert sorted(taken) == sorted(reachable)
    rows = [row["url"] for row in web.captures() if row["kind"] == "page"]
    assert sorted(rows) == sorted(reachable)


def test_a_spec_is_a_value() -> None:
    assert spec(A) == spec(A)
    assert spec(A).agent == AGENT
