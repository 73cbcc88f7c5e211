"""The whole path over thirteen real sites on loopback: what a crawl finds, what cleaning and publishing hold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from crawlers.loopback.static import find, load, running
from flows.clean import clean, clean_batch, log_of, plan
from flows.funnel import funnel, render
from flows.publish import publish
from pipeline import Policy, Recipe
from pipeline.tokens import shingles
from storage import Store, open_store, sql
from storage.verify import verify

pytestmark = pytest.mark.timeout(900)

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"


@dataclass
class Mini:
    store: Store
    sites: list[dict[str, Any]]
    crawled: dict[str, Any]
    seconds: dict[str, float]
    rerun: Any = None

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with sql.connect(self.store) as con:
            return con.execute(query).fetchall()


def crawl(folder: Path, seeds: list[str], address: str) -> dict[str, Any]:
    command = [
        Path(sys.executable).with_name("thresher"), "crawl", *seeds, "--store", folder, "--name", "mini",
        "--delay", "0", "--pages", "0", "--depth", "100", "--connect-to", address, "--allow-private",
        "--user-agent", AGENT, "--json", "--quiet",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def mini(corpus: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Mini:
    folder = tmp_path_factory.mktemp("mini") / "store"
    sites = json.loads((corpus / "miniweb" / "manifest.json").read_text(encoding="utf-8"))
    seeds = [f"http://{site['host']}{site['start']}" for site in sites]
    seconds: dict[str, float] = {}

    def timed(step: str, work: Any) -> Any:
        started = time.perf_counter()
        result = work()
        seconds[step] = round(time.perf_counter() - started, 1)
        return result

    with running(corpus / "miniweb") as address:
        crawled = timed("crawl", lambda: crawl(folder, seeds, address))
        store = open_store(str(folder))
        timed("clean", lambda: clean(store, Recipe(), workers=2, quiet=True))
        timed("publish", lambda: publish(store, Recipe(), Policy(), quiet=True))
        found = Mini(store, sites, crawled, seconds)
        heads = {log: store.head(log) for log in store.logs()}
        again = timed("second run", lambda: crawl(folder, seeds, address))
        clean(store, Recipe(), workers=2, quiet=True)
        publish(store, Recipe(), Policy(), quiet=True)
        found.rerun = (again, heads, {log: store.head(log) for log in store.logs()})
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nmini-web: {crawled['pages']} pages, seconds {seconds}\n{render(funnel(store))}")
    return found


def test_every_reachable_page_is_captured(mini: Mini, corpus: Path) -> None:
    sites = load(corpus / "miniweb")
    files: dict[str, list[str | None]] = {}

    for host, url in mini.rows(
        "SELECT host, url FROM captures WHERE kind = 'page' AND outcome = 'ok' AND mime = 'text/html'"
    ):
        files.setdefault(host, []).append(find(sites[host], urlsplit(url).path))

    expected = {site["host"]: site["reachable_pages"] for site in mini.sites}
    assert {host: len(set(found)) for host, found in files.items()} == expected


def test_every_url_is_captured_exactly_once(mini: Mini) -> None:
    assert mini.rows("SELECT url FROM captures GROUP BY url HAVING count(*) > 1") == []
    assert mini.rows("SELECT count(*) - count(DISTINCT capture_id) FROM captures") == [(0,)]


def test_only_the_thirteen_hosts_were_asked_and_each_for_its_robots_first(mini: Mini) -> None:
    hosts = {site["host"] for site in mini.sites}

    assert {host for (host,) in mini.rows("SELECT DISTINCT host FROM captures")} == hosts
    first = mini.rows("SELECT arg_min(kind, fetched_at) FROM captures GROUP BY host")
    assert first == [("robots",)] * len(hosts)


def test_outcomes_are_those_of_a_static_web(mini: Mini) -> None:
    outcomes = dict(mini.rows("SELECT outcome, count(*) FROM captures GROUP BY 1"))

    assert set(outcomes) <= {"ok", "http_error", "unwanted_type", "redirect"}
    assert mini.rows("SELECT DISTINCT status FROM captures WHERE outcome = 'http_error'") == [(404,)]


def test_the_languages_of_the_sites_are_found(mini: Mini) -> None:
    found = {lang for lang, pages in mini.rows("SELECT lang, count(*) FROM corpus GROUP BY 1") if pages >= 3}

    assert {"en", "de", "es", "fr", "ja", "zh", "ru", "it", "pt", "ko", "vi", "tr"} <= found


def test_every_page_has_one_document_and_every_document_one_fate(mini: Mini) -> None:
    cleanable = mini.rows("SELECT count(*) FROM captures WHERE page_id IS NOT NULL")
    documents = mini.rows("SELECT count(*), count(DISTINCT capture_id) FROM documents")
    corpus, removals = mini.rows("SELECT (SELECT count(*) FROM corpus), (SELECT count(*) FROM removals)")[0]
    both = mini.rows("SELECT count(*) FROM corpus SEMI JOIN removals USING (capture_id)")

    assert documents == [(cleanable[0][0], cleanable[0][0])]
    assert corpus + removals == cleanable[0][0]
    assert both == [(0,)]
    assert corpus > 1000


def test_every_near_removal_is_right_on_the_text_and_its_survivor_is_in_the_corpus(mini: Mini) -> None:
    pairs = mini.rows(
        "SELECT a.text, b.text, r.jaccard FROM removals r "
        "JOIN documents a ON a.capture_id = r.capture_id "
        "LEFT JOIN corpus b ON b.capture_id = r.survivor_capture_id WHERE r.reason = 'near'"
    )

    assert len(pairs) > 50
    for removed, survivor, jaccard in pairs:
        left, right = set(shingles(removed)), set(shingles(survivor))
        exact = len(left & right) / len(left | right)
        assert exact == pytest.approx(jaccard)
        assert exact >= Policy().near


def test_exact_removals_have_the_text_of_their_survivor(mini: Mini) -> None:
    wrong = mini.rows(
        "SELECT r.url FROM removals r JOIN documents a ON a.capture_id = r.capture_id "
        "LEFT JOIN corpus b ON b.capture_id = r.survivor_capture_id "
        "WHERE r.reason = 'exact' AND a.text IS DISTINCT FROM b.text"
    )

    assert wrong == []


def test_a_second_run_adds_nothing_and_leaves_every_head_where_it_was(mini: Mini) -> None:
    again, before, after = mini.rerun

    assert again["captures"] == mini.crawled["captures"]
    assert before == after


def test_everything_verifies(mini: Mini) -> None:
    report = verify(mini.store)

    assert report.problems == []
    assert report.corpus_rows == mini.rows("SELECT count(*) FROM corpus")[0][0]


def test_order_and_batches_leave_the_same_rows(mini: Mini, tmp_path: Path) -> None:
    """Two sites cleaned in one batch, and in ten batches from the end: the same rows_id."""
    recipe = Recipe()
    whole, pieces = (open_store(str(tmp_path / name), create=True) for name in ("whole", "pieces"))
    for store in (whole, pieces):
        _copy_captures(mini.store, store, ("debian-history.miniweb.test", "install-arm64.miniweb.test"))
    now = datetime.now(UTC)
    slices = [piece for batch in plan(whole, recipe) for piece in batch]
    clean_batch(whole, slices, recipe, workers=2, at=now)
    step = max(1, len(slices) // 10)
    for start in reversed(range(0, len(slices), step)):
        clean_batch(pieces, slices[start : start + step], recipe, workers=1, at=now)

    states = [store.snapshot(log_of(recipe)) for store in (whole, pieces)]
    assert len(slices) >= 10
    assert [state.tables["documents"].rows for state in states if state] == [226, 226]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].tables["documents"].rows_id == states[1].tables["documents"].rows_id
    published = [publish(store, recipe, Policy(), quiet=True) for store in (whole, pieces)]
    assert published[0].rows_id == published[1].rows_id


def _copy_captures(source: Store, target: Store, hosts: tuple[str, ...]) -> None:
    """Only the captures of some hosts, each bundle cut into small ones so that there are slices enough."""
    from crawlers.importer import import_warc

    wanted = "WHERE list_contains(?, host) AND page_id IS NOT NULL ORDER BY url"
    with sql.connect(source) as con:
        query = f'SELECT bundle, "offset", length FROM captures {wanted}'
        rows = con.sql(query, params=[list(hosts)]).to_arrow_table().to_pylist()
    for number, start in enumerate(range(0, len(rows), 15)):
        path = target.state_dir / f"part-{number}.warc.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"".join(
                source.read_blob(row["bundle"].hex(), "warc.gz", row["offset"], row["length"])
                for row in rows[start : start + 15]
            )
        )
        import_warc(target, path, now=datetime(2026, 11, 23, tzinfo=UTC))
