"""The command line as scripts meet it: help with an example, JSON that parses, and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from crawlers.loopback.samples import write_warc

THRESHER = Path(sys.executable).with_name("thresher")
COMMANDS = ("run", "crawl", "import", "clean", "publish", "sql", "search", "explain", "verify", "config", "demo")


def call(*words: str | Path, code: int = 0) -> str:
    done = subprocess.run([THRESHER, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the corpus of one imported file."""
    folder = tmp_path_factory.mktemp("cli")
    warc = write_warc(folder / "sample.warc.gz", every=4)
    call("run", warc, "--store", folder / "store", "--workers", "1", "-q")
    return folder / "store"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    told = call(command, "--help")

    assert f"thresher {command}" in told.replace("\n", " ")
    assert "Example:" in told
    assert "--json" in told
    assert ("--store" in told) is (command != "demo")


def test_the_help_names_exactly_these_commands() -> None:
    told = call("--help")

    assert all(f" {command} " in told for command in COMMANDS)
    assert set(json.loads(call("config", "--json"))) >= {"store", "crawl.pages", "publish.policy"}


def test_a_run_again_says_that_nothing_has_changed(store: Path) -> None:
    assert json.loads(call("clean", "--store", store, "--json", "-q"))["batches"] == 0
    assert json.loads(call("publish", "--store", store, "--json", "-q"))["written"] is False


def test_every_reader_prints_json_that_parses(store: Path) -> None:
    at = ("--store", store, "--json")
    rows = json.loads(call("sql", "SELECT url, capture_id, fetched_at FROM corpus ORDER BY url LIMIT 2", *at))
    found = json.loads(call("search", "bees flowers", *at))
    story = json.loads(call("explain", rows[0]["url"], *at))
    report = json.loads(call("verify", *at))

    assert len(rows) == 2
    assert len(bytes.fromhex(rows[0]["capture_id"])) == 32
    assert found["hits"][0]["url"].startswith("http://gazette.test/")
    assert story["captures"][0]["capture_id"] == rows[0]["capture_id"]
    assert (report["problems"], report["signed"]) == ([], 0)
    assert report["unsigned"] == report["corpus_rows"] > 0


@pytest.mark.parametrize("form", ["table", "json", "csv", "parquet"])
def test_sql_writes_every_format_to_a_file(store: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / f"out.{form}"

    call("sql", "SELECT url, lang FROM corpus ORDER BY url", "--store", store, "--format", form, "-o", target)

    assert target.stat().st_size > 0
    assert (target.read_bytes()[:4] == b"PAR1") is (form == "parquet")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sql",), 2, "Missing argument"),
        (("sql", "SELECT 1", "--format", "xml"), 2, "one of table, json, csv, parquet"),
        (("publish", "--policy", "finewebb"), 2, "fineweb"),
        (("publish", "--corpus", "../escape"), 2, "escape"),
        (("publish", "--corpus", "captures"), 2, "no name for a corpus"),
        (("run", "x.warc", "--policy", "nonsense"), 2, "nonsense"),
        (("crawl", "http://a.test/", "--connect-to", "foo", "--user-agent", "a/1 (+http://b.test/)"), 2, "HOST:PORT"),
        (("search", "   "), 2, "the query is empty"),
        (("sql", "SELECT 1", "-o", "/nowhere/at/all.csv"), 1, "No such file or directory"),
        (("search", "x", "--use", "sell"), 2, "one of train, input, search"),
        (("search", "x", "--corpus", "nothing"), 1, "nothing"),
        (("explain", "http://nowhere.test/"), 1, "no room of this store knows it"),
        (("explain", "not a url"), 2, "not a url"),
        (("import", "missing.warc.gz"), 2, "no such file"),
        (("crawl", "--name", "unknown", "--user-agent", "a/1 (+http://b.test/)"), 2, "no crawl named"),
        (("clean", "--workers", "-1"), 2, "negative"),
    ],
)
def test_wrong_usage_is_2_and_a_failure_is_1_and_both_say_why(
    store: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in call(*words, "--store", store, code=code).replace("\n", " ")
