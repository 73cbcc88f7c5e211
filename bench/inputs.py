"""What the benchmarks run on: the shared corpus of real pages where it is there, else the made web."""

from __future__ import annotations

import json
import lzma
import os
import tarfile
from pathlib import Path

CORPUS = Path(os.environ.get("THRESHER_TEST_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


def texts() -> tuple[str, list[str]]:
    """A name and a list of documents of real text."""
    path = CORPUS / "neardup" / "docs.jsonl.xz"
    if path.is_file():
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            return "near-duplicate set", [json.loads(line)["text"] for line in lines]
    from crawlers.loopback.sites import pages as made

    return "made web", [page.body.decode("utf-8", "replace") for page in made() if page.mime == "text/html"]


def html(every: int = 10) -> tuple[str, list[tuple[str, bytes]]]:
    """A name and (url, bytes) of every n-th page of the mini-web, else of all pages of the made web."""
    folder = CORPUS / "miniweb"
    if not (folder / "manifest.json").is_file():
        from crawlers.loopback.sites import pages as made

        return "made web", [(page.url, page.body) for page in made() if page.mime == "text/html"]
    found = []
    for site in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
        with tarfile.open(folder / site["archive"]) as archive:
            found += [
                (f"http://{site['host']}/{member.name.lstrip('/')}", body.read())
                for member in archive
                if member.name.endswith((".html", ".htm")) and (body := archive.extractfile(member)) is not None
            ]
    return f"mini-web, every {every}th page", found[::every]
