"""From a store's URL to its backend, its state folder, and the decision whether there is a store at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from storage.backend import Backend
from storage.errors import NotAStore
from storage.local import LocalBackend

STATE_FOLDER: Final = ".thresher"
_OURS: Final = frozenset({"blobs", "logs", STATE_FOLDER})
_CLOUDS: Final = ("s3", "memory")
_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


def connect(url: str, *, create: bool) -> tuple[Backend, Path]:
    """Backend and state folder; NotAStore when nothing of ours is there, or (with `create`) something else is."""
    scheme, is_url, rest = url.partition("://")
    if is_url and scheme in _CLOUDS:
        return _cloud(url, create=create)
    if is_url and scheme != "file":
        hint = "a store is at a path, file:///path, s3://bucket/prefix or memory://name"
        raise NotAStore("open store", url, f"no scheme {scheme!r}", hint)
    root = Path(unquote(rest) if is_url else url).expanduser().resolve()
    try:
        return _local(root, create=create)
    except OSError as error:
        hint = "name a folder that you may read and write"
        raise NotAStore("open store", str(root), error.strerror or str(error), hint) from error


def _local(root: Path, *, create: bool) -> tuple[Backend, Path]:
    if root.exists() and not root.is_dir():
        raise NotAStore("open store", str(root), "that is a file", "a store is a folder")
    there = {path.name for path in root.iterdir()} if root.exists() else set()
    if not create and not there & {"blobs", "logs"}:
        cause = "the folder holds no store" if root.exists() else "there is no such folder"
        raise NotAStore("open store", str(root), cause, "`thresher crawl` or `thresher import` makes a store")
    if create and there - _OURS and not there & {"blobs", "logs"}:
        seen = ", ".join(sorted(there)[:3])
        hint = "name a folder that is empty or not there yet"
        raise NotAStore("create store", str(root), f"the folder holds other things ({seen})", hint)
    if create:
        for name in ("blobs", "logs"):
            (root / name).mkdir(parents=True, exist_ok=True)
    return LocalBackend(root), root / STATE_FOLDER


def _cloud(url: str, *, create: bool) -> tuple[Backend, Path]:
    from storage import cloud  # obstore takes 0.1 s to import

    backend = cloud.connect(url)
    there = set(backend.list(""))
    if not create and not there & {"blobs", "logs"}:
        hint = "`thresher crawl` or `thresher import` makes a store"
        raise NotAStore("open store", backend.url, "nothing of a store is there", hint)
    if create and there - _OURS and not there & {"blobs", "logs"}:
        seen = ", ".join(sorted(there)[:3])
        raise NotAStore("create store", backend.url, f"other things are there ({seen})", "name an empty prefix")
    if isinstance(backend, cloud.MemoryBackend):
        return backend, backend.state
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return backend, home / "thresher" / hashlib.sha256(backend.url.encode()).hexdigest()[:16]


def made(folder: Path) -> Path:
    """The folder, made for its owner alone if it can be made; on a read-only disk it is for its user to fail."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
    return folder
