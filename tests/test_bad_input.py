"""The command line with bad input: a clear error, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crawlers.loopback import running
from storage import open_store, sql

THRESHER = Path(sys.executable).with_name("thresher")
AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"


def command(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([THRESHER, *words], capture_output=True, text=True, timeout=120, check=False, **options)


def crawl_words(store: Path, *more: str) -> tuple[str | Path, ...]:
    return ("--store", store, "--user-agent", AGENT, "--delay", "0", "--allow-private", *more)


@pytest.mark.parametrize("seed", ["http://", "ftp://example.org/", "not a url", "http://[::1", "javascript:alert(1)"])
def test_an_unparsable_seed_is_wrong_usage_and_leaves_no_store(tmp_path: Path, seed: str) -> None:
    done = command("crawl", seed, *crawl_words(tmp_path / "store"))

    assert done.returncode == 2
    assert seed in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("agent", ["", "thresher", "two words without a contact"])
def test_a_crawl_without_an_honest_name_is_refused(tmp_path: Path, agent: str) -> None:
    done = command("crawl", "http://a.test/", "--store", tmp_path / "store", "--user-agent", agent)

    assert done.returncode == 2
    assert "user" in done.stderr.lower()


def test_an_unreachable_host_is_a_row_not_an_error(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    store = tmp_path / "store"

    done = command("crawl", f"http://127.0.0.1:{port}/", *crawl_words(store, "--json"))

    assert done.returncode == 0, done.stderr
    with sql.connect(open_store(str(store))) as con:
        outcomes = con.execute("SELECT DISTINCT kind, outcome FROM captures").fetchall()
        decisions = con.execute("SELECT reason, evidence FROM decisions").fetchall()
    assert outcomes == [("robots", "refused")]
    assert [reason for reason, _ in decisions] == ["robots"]


def test_a_name_that_does_not_resolve_is_a_row(tmp_path: Path) -> None:
    store = tmp_path / "store"

    done = command("crawl", "http://nowhere.invalid/", *crawl_words(store, "--json"))

    assert done.returncode == 0, done.stderr
    with sql.connect(open_store(str(store))) as con:
        assert con.execute("SELECT DISTINCT outcome FROM captures").fetchall() == [("dns",)]


def test_a_private_address_is_not_asked_unless_allowed(tmp_path: Path) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.2)
        port = listening.getsockname()[1]
        store = tmp_path / "store"

        done = command("crawl", f"http://127.0.0.1:{port}/", "--store", store, "--user-agent", AGENT, "--delay", "0")

        assert done.returncode == 0, done.stderr
        with pytest.raises(TimeoutError):
            listening.accept()
    with sql.connect(open_store(str(store))) as con:
        assert con.execute("SELECT DISTINCT outcome FROM captures").fetchall() == [("blocked_address",)]


def test_a_folder_that_is_no_store_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear reader")

    for words in (("clean",), ("sql", "SELECT 1"), ("verify",), ("crawl", "http://a.test/", "--user-agent", AGENT)):
        done = command(*words, "--store", tmp_path)

        assert done.returncode == 1, done.stderr
        assert "store" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_sql_that_is_no_single_select_is_wrong_usage(tmp_path: Path) -> None:
    open_store(str(tmp_path / "store"), create=True)

    for query in ("DROP VIEW captures", "SELECT 1; SELECT 2", "COPY (SELECT 1) TO 'x'", "SELEKT 1", ""):
        done = command("sql", query, "--store", tmp_path / "store")

        assert done.returncode == 2, (query, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


def test_two_coordinators_on_one_store_the_second_says_who_holds_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running() as address:
        words = crawl_words(store, "--connect-to", address, "--name", "one")
        first = subprocess.Popen(
            [THRESHER, "crawl", *_seeds(address), *words, "--delay", "1"], stderr=subprocess.PIPE, text=True
        )
        try:
            _wait_for(lambda: list(store.glob(".thresher/*lock*")), first)
            second = command("crawl", *_seeds(address), *words)
        finally:
            first.send_signal(signal.SIGINT)
            first.communicate(timeout=30)

    assert second.returncode == 1
    assert str(first.pid) in second.stderr


@pytest.mark.parametrize("after", [0.3, 0.8, 1.5, 3.0])
def test_ctrl_c_stops_within_five_seconds_and_says_how_to_resume(tmp_path: Path, after: float) -> None:
    store = tmp_path / "store"
    with running() as address:
        words = crawl_words(store, "--connect-to", address, "--name", "held")
        process = subprocess.Popen(
            [THRESHER, "crawl", *_seeds(address), *words, "--delay", "0.2"], stderr=subprocess.PIPE, text=True
        )
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, said = process.communicate(timeout=30)
        waited = time.monotonic() - started

        assert waited < 5
        assert process.returncode == 1
        if store.exists():
            assert "--name held" in said or "the same command goes on" in said
        done = command("crawl", *_seeds(address), *words, "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["finished"] is True
    with sql.connect(open_store(str(store))) as con:
        twice = "SELECT url FROM captures WHERE kind = 'page' GROUP BY url HAVING count(*) > 1"
        assert con.execute(twice).fetchall() == []


def test_a_run_that_is_stopped_does_not_publish_half_a_crawl(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running() as address:
        words = crawl_words(store, "--connect-to", address, "--delay", "0.5")
        process = subprocess.Popen([THRESHER, "run", *_seeds(address), *words], stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert process.returncode == 1
    assert open_store(str(store)).logs() == ["captures"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_stops_with_a_clear_error_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no mount here: {mounted.stderr.decode().strip()}")
    try:
        with running() as address:
            words = crawl_words(small / "store", "--connect-to", address, "--name", "full")
            full = command("crawl", *_seeds(address), *words)
            subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
            done = command("crawl", *_seeds(address), *words, "--json")
            checked = command("verify", "--store", small / "store", "--json")
        assert full.returncode == 1
        assert "full" in full.stderr or "No space" in full.stderr or "no room" in full.stderr
        assert "Traceback" not in full.stderr
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["finished"] is True
        assert json.loads(checked.stdout)["problems"] == []
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def _seeds(address: str) -> list[str]:
    from crawlers.loopback.sites import SEEDS

    return list(SEEDS)


def _wait_for(there: Any, process: subprocess.Popen[str]) -> None:
    for _ in range(100):
        if there():
            return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.1)
    pytest.fail("the first coordinator took no lock within 10 s")
