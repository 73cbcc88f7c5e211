"""The ranges in pyproject.toml, without the pins, resolve to a set of libraries on which a flow runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from crawlers.loopback.samples import write_warc

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(600)
def test_the_ranges_resolve_to_a_set_that_runs_a_flow(tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not beside this Python: `make test` installs it")
    home = tmp_path / "home"
    home.mkdir()
    environ = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": ""}
    python = tmp_path / "venv" / "bin" / "python"

    def call(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    call(uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    call(uv, "pip", "install", "--quiet", "--python", python, ROOT)
    warc = write_warc(tmp_path / "sample.warc.gz")
    store = f"--store={tmp_path / 'store'}"
    call(python.with_name("thresher"), "import", warc, store)
    cleaned = json.loads(call(python.with_name("thresher"), "clean", store, "--prefect", "--json", "--workers", "1"))

    assert cleaned["documents"] >= 1
