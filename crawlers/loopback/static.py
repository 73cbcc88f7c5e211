"""Serves whole static sites from tar archives, each under its own host name: a web with real pages on one port.

`python -m crawlers.loopback.static FOLDER` reads FOLDER/manifest.json (a list of {host, archive, orig_hosts}), prints
the address it listens on, and stops when its standard input closes, so it never outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import os
import re
import sys
import tarfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from crawlers.loopback import process

Site = dict[str, tuple[bytes, str]]
"""Path without its leading slash to body and Content-Type."""


def load(folder: Path) -> dict[str, Site]:
    """Every site of a manifest by host name, wholly in memory."""
    return {
        entry["host"]: _site(folder / entry["archive"], entry.get("orig_hosts", ()))
        for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    }


def _site(path: Path, published_as: Sequence[str]) -> Site:
    """The files of an archive; links to the names under which the site was published lead back into it."""
    names = "|".join(map(re.escape, published_as))
    inside = re.compile(rf"https?://(?:{names})(?=/)".encode())
    bare = re.compile(rf"https?://(?:{names})(?=[\"'#?])".encode())
    site: Site = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if (opened := archive.extractfile(member)) is not None:
                name, body = member.name.removeprefix("./").lstrip("/"), opened.read()
                mime = mimetypes.guess_type(name)[0] or "application/octet-stream"
                site[name] = (bare.sub(b"/", inside.sub(b"", body)) if published_as else body, mime)
    return site


def find(site: Site, path: str) -> str | None:
    """The name of the file that answers for a path: the exact one, else the folder's index.html, else with .html."""
    name = unquote(path).lstrip("/")
    folder = f"{name.rstrip('/')}/index.html".lstrip("/")
    return next((file for file in (name, folder, f"{name}.html") if file in site), None)


async def serve(folder: Path) -> None:
    """Listen on a free port of 127.0.0.1 until standard input closes."""
    sites = load(folder)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        site = sites.get((request.host or "").partition(":")[0])
        found = find(site, request.rel_url.raw_path) if site is not None else None
        if site is None or found is None:
            return web.Response(status=404, text="not found")
        return web.Response(body=site[found][0], headers={"Content-Type": site[found][1]})

    await process.serve(answer)


def running(folder: Path, core: int | None = None) -> AbstractContextManager[str]:
    """The sites in a process of its own, on processor `core` if given: a context that gives HOST:PORT."""
    return process.started("crawlers.loopback.static", str(folder), *([] if core is None else [str(core)]))


if __name__ == "__main__":
    if len(sys.argv) > 2 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[2])})
    asyncio.run(serve(Path(sys.argv[1])))
