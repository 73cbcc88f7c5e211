"""The Prefect flows against Prefect's own server, started once: the same rows as the plain functions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from crawlers.loopback import running
from crawlers.loopback.samples import write_warc
from crawlers.loopback.sites import SEEDS
from flows.config import Settings
from flows.run import run
from storage import open_store

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.timeout(400),
    # Prefect's server and its libraries warn of their own use of each other.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a Prefect server of its own, with an empty database."""
    from prefect.settings import PREFECT_API_URL
    from prefect.testing.utilities import prefect_test_harness

    import flows.deployed  # sets what Prefect must know before it is imported

    assert flows.deployed
    with prefect_test_harness(server_startup_timeout=120):
        url = PREFECT_API_URL.value()
        assert url is not None
        yield url


def settings(folder: Path, address: str = "", **more: Any) -> Settings:
    return Settings(
        store=str(folder), crawl_delay=0.0, crawl_pages=0, crawl_depth=50, crawl_connect_to=address,
        crawl_allow_private=True, crawl_user_agent="thresher-test/0.1 (+http://127.0.0.1/)", clean_workers=2, **more,
    )  # fmt: skip


def test_the_flow_run_does_what_the_function_run_does(server: str, tmp_path: Path) -> None:
    from flows import deployed

    warc = write_warc(tmp_path / "sample.warc.gz")
    by_flow = deployed.run(files=[str(warc)], settings=asdict(settings(tmp_path / "flow")))
    plain = run(open_store(str(tmp_path / "plain"), create=True), settings(tmp_path / "plain"), files=[warc])

    assert plain.published is not None
    assert by_flow["published"]["rows_id"] == plain.published.rows_id
    assert by_flow["funnel"] == asdict(plain.funnel)


def test_a_crawl_flow_and_the_steps_after_it_run_and_run_again_without_a_change(server: str, tmp_path: Path) -> None:
    from flows import deployed

    with running() as address:
        chosen = asdict(settings(tmp_path / "store", address, crawl_nodes=2))
        first = deployed.run(seeds=list(SEEDS), settings=chosen)
        second = deployed.run(seeds=list(SEEDS), settings=chosen)

    assert first["crawled"]["finished"]
    assert first["cleaned"]["batches"] >= 1
    assert first["published"]["written"]
    assert second["cleaned"]["batches"] == 0
    assert not second["published"]["written"]
    assert second["published"]["rows_id"] == first["published"]["rows_id"]


def test_one_task_for_each_batch_and_a_funnel_beside_the_run(server: str, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows import deployed

    warc = write_warc(tmp_path / "sample.warc.gz")
    result = deployed.run(files=[str(warc)], settings=asdict(settings(tmp_path / "store")))
    with get_client(sync_client=True) as client:
        names = [found.name for found in client.read_task_runs()]
        artifacts = [found.key for found in client.read_artifacts()]

    assert len([name for name in names if name.startswith("clean batch")]) >= result["cleaned"]["batches"] == 1
    assert "funnel" in artifacts


def test_every_deployment_of_prefect_yaml_is_accepted_by_the_server(server: str, tmp_path: Path) -> None:
    declared = {entry["name"] for entry in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}
    environ = {**os.environ, "PREFECT_API_URL": server, "THRESHER_HOME": str(ROOT), "PREFECT_HOME": str(tmp_path)}
    prefect = Path(sys.executable).with_name("prefect")

    for words in (("work-pool", "create", "thresher", "--type", "process"), ("--no-prompt", "deploy", "--all")):
        done = subprocess.run(
            [prefect, *words], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    listed = subprocess.run(
        [prefect, "deployment", "ls"], env=environ, capture_output=True, text=True, timeout=100, check=True
    ).stdout

    assert declared == {"run", "crawl", "clean", "publish"}
    assert all(f"{name}/{name}" in listed for name in declared)
