"""Fixtures that more than one test file needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real pages, cases and labels: $THRESHER_TEST_CORPUS, else ../shared/corpus beside the checkout."""
    folder = Path(os.environ.get("THRESHER_TEST_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
    if not (folder / "MANIFEST.json").is_file():
        pytest.skip(f"no corpus of real pages at {folder} (set THRESHER_TEST_CORPUS)")
    return folder
