"""Children that die: at a page's hands, at ours, or with the process that started them."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

import pipeline
from pipeline import Recipe, stem
from pipeline.child import Limits
from storage.schema import PAGES

ROOT = Path(__file__).parents[1]
PROSE = "The lighthouse keeper climbed the stairs every evening, and in the morning he climbed down again. "


def html(body: str) -> bytes:
    return f"<!doctype html><html><head><title>A page</title></head><body>{body}</body></html>".encode()


def article(number: int) -> bytes:
    return html(f"<article><h1>Page number {number}</h1><p>{PROSE * 3}</p><p>{number}. {PROSE}</p></article>")


def slow(rows: int = 400_000) -> bytes:
    """A page that the extractor works on for half a minute: a table of a million cells and more."""
    return html("<table>" + "<tr><td>one cell</td><td>another cell</td></tr>" * rows + "</table>")


PATIENT = Recipe(max_bytes=1 << 30, max_tags=1 << 30)
"""Lets slow pages through to the extractor."""


def pages(*payloads: bytes) -> pa.Table:
    rows = [
        {
            "capture_id": hashlib.sha256(b"%d" % at).digest(),
            "url": f"http://coast.test/{at}",
            "mime": "text/html",
            "rights_train": True,
            "payload": payload,
        }
        for at, payload in enumerate(payloads)
    ]
    return pa.Table.from_pylist(rows, schema=PAGES)


def children() -> list[int]:
    """Process ids of the children at work now."""
    root = stem.shared().pid
    return [int(pid) for pid in Path(f"/proc/{root}/task/{root}/children").read_text().split()]


@contextmanager
def harassed(harm: signal.Signals, times: int) -> Iterator[list[int]]:
    """Send `harm` to the child at work, `times` times, each time to another one that has worked for a while."""
    harmed: list[int] = []
    over = threading.Event()

    def harass() -> None:
        while len(harmed) < times and not over.wait(0.02):
            for pid in children():
                if pid not in harmed and not over.wait(0.7):
                    os.kill(pid, harm)
                    harmed.append(pid)

    stem.shared()
    thread = threading.Thread(target=harass)
    thread.start()
    try:
        yield harmed
    finally:
        over.set()
        thread.join()


def test_calls_from_several_threads_share_the_stem_and_not_their_rows() -> None:
    real = pages(*map(article, range(12)))
    expected = pipeline.clean(real, Recipe())
    found: dict[int, pa.Table] = {}

    def run(at: int) -> None:
        found[at] = pipeline.clean(real.slice(3 * at, 3), Recipe())

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pa.concat_tables([found[at] for at in range(4)]) == expected


def test_a_page_that_computes_for_ever_is_given_up_and_costs_no_other_page() -> None:
    given = pages(article(1), article(2), slow(), article(3))

    started = time.monotonic()
    found = pipeline.clean(given, PATIENT, workers=2, limits=Limits(cpu_seconds=1))

    assert found["extractor"].to_pylist() == ["trafilatura", "trafilatura", "unprocessable", "trafilatura"]
    assert found["title"].to_pylist() == ["Page number 1", "Page number 2", None, "Page number 3"]
    assert found["rights_train"].to_pylist() == [True] * 4
    assert time.monotonic() - started < 60
    assert pipeline.clean(pages(article(2)), Recipe())["text"].to_pylist() == [found["text"].to_pylist()[1]]


def test_a_child_that_gives_no_sign_of_life_is_ended_and_its_pages_are_cleaned() -> None:
    given = pages(article(1), slow(20_000), article(2))
    expected = pipeline.clean(given, Recipe())

    with harassed(signal.SIGSTOP, 1) as stopped:
        found = pipeline.clean(given, Recipe(), limits=Limits(wall_seconds=3))

    assert found == expected
    assert len(stopped) == 1
    assert stopped[0] not in children()


def test_a_child_that_is_killed_twice_loses_no_page() -> None:
    given = pages(article(1), slow(25_000), article(2))
    expected = pipeline.clean(given, Recipe())

    with harassed(signal.SIGKILL, 2) as killed:
        found = pipeline.clean(given, Recipe())

    assert found == expected
    assert len(killed) == 2


def test_a_page_at_which_three_children_die_becomes_a_document_without_text() -> None:
    given = pages(article(1), slow(), article(2))

    with harassed(signal.SIGKILL, 3) as killed:
        found = pipeline.clean(given, PATIENT, limits=Limits(cpu_seconds=60))

    assert len(killed) == 3
    assert found["extractor"].to_pylist() == ["trafilatura", "unprocessable", "trafilatura"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how large a process is")
def test_a_page_that_explodes_in_memory_is_given_up() -> None:
    given = pages(article(1), slow(60_000), article(2))

    found = pipeline.clean(given, PATIENT, limits=Limits(cpu_seconds=60, memory_bytes=96 << 20))

    assert found["extractor"].to_pylist() == ["trafilatura", "unprocessable", "trafilatura"]
    assert found["text"].to_pylist()[2] == pipeline.clean(pages(article(2)), Recipe())["text"].to_pylist()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_stem_and_children_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "import pipeline, test_workers as t\nfrom pipeline import stem\n"
        "print(stem.shared().pid, flush=True)\n"
        "pipeline.clean(t.pages(t.slow(), t.slow()), t.PATIENT, workers=2, limits=t.Limits(cpu_seconds=600))\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        root = int(process.stdout.readline())
        tasks = Path(f"/proc/{root}/task/{root}/children")
        deadline = time.monotonic() + 60
        while not (pids := tasks.read_text().split()) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.kill()
    family = [root, *map(int, pids)]

    deadline = time.monotonic() + 10
    while any(running(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert pids
    assert not [pid for pid in family if running(pid)]


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_dead_stem_is_replaced() -> None:
    first = stem.shared()
    os.kill(first.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while first.alive and time.monotonic() < deadline:
        time.sleep(0.02)

    assert pipeline.clean(pages(article(1)), Recipe())["title"].to_pylist() == ["Page number 1"]
    assert stem.shared().pid != first.pid


def test_a_fork_of_this_process_does_not_use_its_stem() -> None:
    stem.shared()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not stem._running else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert stem.shared().alive
