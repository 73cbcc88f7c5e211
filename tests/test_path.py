"""The whole path over the made web: every page meets the fate that it was made for, and every row can say why."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from crawlers.loopback import requests, running
from crawlers.loopback.sites import SEEDS, pages
from flows.config import Settings
from flows.explain import explain, render
from flows.run import Ran, run
from storage import Store, open_store, sql
from storage.dataset import Reader
from storage.errors import NotFound

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"
DELAY = 0.05


def settings(store: Path, address: str) -> Settings:
    return Settings(
        store=str(store), crawl_name="made", crawl_pages=0, crawl_depth=60, crawl_delay=DELAY, crawl_nodes=2,
        crawl_user_agent=AGENT, crawl_connect_to=address, crawl_allow_private=True, clean_workers=2,
    )  # fmt: skip


class Walked:
    """What one run over the made web left behind."""

    def __init__(self, store: Store, ran: Ran, again: Ran, log: list[dict[str, Any]]) -> None:
        self.store, self.ran, self.again, self.log = store, ran, again, log

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with sql.connect(self.store) as con:
            return con.execute(query, list(parameters)).fetchall()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Walked:
    folder = tmp_path_factory.mktemp("path") / "store"
    store = open_store(str(folder), create=True)
    with running() as address:
        ran = run(store, settings(folder, address), seeds=SEEDS, quiet=True)
        log = requests(address)
        again = run(store, settings(folder, address), seeds=SEEDS, quiet=True)
        assert requests(address) == log, "a second run asked for something"
    return Walked(store, ran, again, log)


def planted(kind: str) -> list[str]:
    return [page.url for page in pages() if page.planted == kind]


def test_every_page_that_may_be_fetched_was_fetched_once_and_the_others_never(path: Walked) -> None:
    made = {page.url for page in pages() if page.planted not in ("robots", "robots-denied")}

    captured = [url for (url,) in path.rows("SELECT url FROM captures WHERE kind = 'page'")]

    assert sorted(captured) == sorted(made)
    asked = {f"http://{entry['host']}{entry['path']}" for entry in path.log}
    assert asked.isdisjoint(planted("robots-denied"))
    assert dict(path.rows("SELECT url, reason FROM decisions")) == dict.fromkeys(planted("robots-denied"), "robots")


def test_no_host_was_asked_before_its_robots_txt_or_faster_than_allowed(path: Walked) -> None:
    by_host: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in path.log:
        by_host[entry["host"]].append(entry)

    assert len(by_host) == 8
    for seen in by_host.values():
        assert seen[0]["path"] == "/robots.txt"
        assert [entry["path"] for entry in seen].count("/robots.txt") == 1
        gaps = [later["time"] - earlier["time"] for earlier, later in itertools.pairwise(seen)]
        assert min(gaps, default=1) >= DELAY * 0.9  # two clocks, read a moment apart
    assert {entry["agent"] for entry in path.log} == {AGENT}


def test_two_nodes_signed_for_everything(path: Walked) -> None:
    assert path.rows("SELECT count(DISTINCT node) BETWEEN 1 AND 2, bool_and(receipt IS NOT NULL) FROM captures") == [
        (True, True)
    ]


@pytest.mark.parametrize(
    ("kind", "outcome", "truncated"),
    [
        ("redirect", "redirect", None),
        ("gone", "http_error", None),
        ("unavailable", "http_error", None),
        ("unwanted", "unwanted_type", None),
        ("huge", "ok", "length"),
        ("empty", "ok", None),
        ("article", "ok", None),
    ],
)
def test_captures_say_what_came(path: Walked, kind: str, outcome: str, truncated: str | None) -> None:
    query = "SELECT DISTINCT outcome, truncated FROM captures WHERE list_contains(?, url)"

    assert path.rows(query, planted(kind)) == [(outcome, truncated)]


def test_languages_are_those_of_the_hosts(path: Walked) -> None:
    found = path.rows(
        "SELECT host, lang, count(*) FROM corpus WHERE list_contains(?, url) GROUP BY ALL ORDER BY 1",
        [url for url in planted("article") if "odd.test" not in url],
    )

    assert {(host, lang) for host, lang, _ in found} == {
        ("gazette.test", "en"),
        ("maqalat.test", "ar"),
        ("wenji.test", "zh"),
        ("zeitung.test", "de"),
    }
    assert {rows for host, _, rows in found if host != "gazette.test"} == {20}


def test_of_every_mirrored_page_exactly_one_copy_stays(path: Walked) -> None:
    removed = path.rows("SELECT url FROM removals WHERE reason = 'exact'")
    kept = path.rows("SELECT url FROM corpus WHERE cluster_size = 2 AND list_contains(?, url)", planted("mirror"))

    assert len(removed) == 12
    assert len({url for (url,) in removed if url in planted("mirror")}) + len(kept) == 12


def test_near_duplicates_are_removed_on_the_text_in_favour_of_one_that_stays(path: Walked) -> None:
    found = path.rows(
        "SELECT r.url, c.url, r.jaccard FROM removals r JOIN corpus c ON c.capture_id = r.survivor_capture_id "
        "WHERE r.reason = 'near'"
    )

    pairs = {frozenset((left.split("/", 3)[2], right.split("/", 3)[2])) for left, right, _ in found}
    assert frozenset(("gazette.test", "mirror.test")) in pairs
    assert len([url for left, right, _ in found for url in (left, right) if url in planted("near")]) == 12
    assert all(0.8 <= jaccard < 1 for _, _, jaccard in found)


def test_rights_travel_with_the_row_and_decide_who_may_read_it(path: Walked) -> None:
    for kind in ("noai", "ai-denied"):
        found = path.rows(
            "SELECT DISTINCT rights_train, rights_input FROM documents WHERE list_contains(?, url)", planted(kind)
        )
        assert found == [(False, True)], kind
    assert path.rows("SELECT DISTINCT rights_train FROM documents WHERE host = 'wenji.test'") == [(True,)]
    read = {url for batch in Reader(path.store, use="train", columns=("url",)) for url in batch["url"].to_pylist()}
    assert read
    assert read.isdisjoint([*planted("noai"), *planted("ai-denied")])


def test_addresses_of_people_and_machines_are_replaced(path: Walked) -> None:
    [(text, mails, ips)] = path.rows(
        "SELECT text, pii_emails, pii_ips FROM documents WHERE list_contains(?, url)", planted("pii")
    )

    assert (mails, ips) == (1, 1)
    assert "someone@office.internal" not in text
    assert "8.8.4.4" not in text


@pytest.mark.parametrize("kind", ["spam", "binary", "short"])
def test_what_is_no_text_to_learn_from_is_removed_with_a_reason(path: Walked, kind: str) -> None:
    urls = planted(kind)
    stays = path.rows("SELECT url FROM corpus WHERE list_contains(?, url)", urls)
    reasons = dict(path.rows("SELECT url, reason FROM removals WHERE list_contains(?, url)", urls))

    assert stays == []
    assert len(reasons) == len(urls)


def test_one_hostile_page_costs_nobody_else_anything(path: Walked) -> None:
    [(text,)] = path.rows("SELECT text FROM documents WHERE list_contains(?, url)", planted("colspan"))
    [(charset_text,)] = path.rows("SELECT text FROM documents WHERE list_contains(?, url)", planted("charset"))

    assert "Café crème" in text
    assert "Caf" in charset_text


def test_a_second_run_changes_nothing(path: Walked) -> None:
    first, second = path.ran, path.again

    assert first.published is not None
    assert second.published is not None
    assert second.cleaned.batches == 0
    assert (second.published.written, second.published.snapshot) == (False, first.published.snapshot)
    assert second.funnel == first.funnel


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("robots-denied", "not fetched: robots"),
        ("gone", "fetched, nothing to clean: http_error"),
        ("spam", "removed: "),
        ("near", " in favour of http://|standing for 1"),
        ("noai", "in the corpus"),
        ("binary", "removed: no_text"),
    ],
)
def test_explain_tells_the_fate_of_a_page(path: Walked, kind: str, words: str) -> None:
    story = explain(path.store, planted(kind)[0])

    told = render(story)
    assert any(part in told for part in words.split("|")), told
    assert "frontier" in told
    assert ("capture " in told) is (kind != "robots-denied")


def test_explain_finds_a_page_by_the_beginning_of_an_id_and_says_when_nobody_knows_it(path: Walked) -> None:
    [(identity,)] = path.rows("SELECT id_hex(capture_id) FROM corpus ORDER BY url LIMIT 1")

    assert explain(path.store, identity[:12])["captures"][0]["capture_id"] == identity
    for unknown in ("http://nowhere.test/", "0" * 16):
        with pytest.raises(NotFound):
            explain(path.store, unknown)
