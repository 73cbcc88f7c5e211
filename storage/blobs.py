"""Blobs: bytes under the SHA-256 of themselves, written once, checkable by anybody with `sha256sum`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from storage.backend import Backend
from storage.canonical import is_hex64
from storage.errors import BlobMissing, Corrupt, NotFound

SUFFIXES: Final = ("warc.gz", "parquet", "json")
CHUNK: Final = 1 << 20

_HINT: Final = "run `thresher verify` to see what else is affected"


def name(digest: str, suffix: str) -> str:
    """Where a blob is; ValueError when this is no digest or no suffix of ours, so that no other path can be named."""
    if not is_hex64(digest) or suffix not in SUFFIXES:
        raise ValueError(f"no name of a blob: {digest!r}, {suffix!r}")
    return f"blobs/sha256/{digest[:2]}/{digest}.{suffix}"


def put(backend: Backend, data: bytes, suffix: str) -> str:
    """Write a blob that is in memory; returns its digest."""
    digest = hashlib.sha256(data).hexdigest()
    backend.put(name(digest, suffix), [data])
    return digest


def put_file(backend: Backend, path: Path, suffix: str, digest: str | None) -> str:
    """Copy a file into a blob; Corrupt when it is not what `digest` says, and then there is no blob."""
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    backend.put(name(digest, suffix), _verified(path, digest))
    return digest


def _verified(path: Path, digest: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            seen.update(chunk)
            yield chunk
    if seen.hexdigest() != digest:
        raise Corrupt("store", str(path), f"its SHA-256 is {seen.hexdigest()}, not {digest}")


def read(backend: Backend, digest: str, suffix: str, offset: int = 0, length: int | None = None) -> bytes:
    """Bytes of a blob as they are there, unchecked; fewer than `length` at its end. BlobMissing."""
    try:
        return backend.read(name(digest, suffix), offset, length)
    except NotFound as error:
        raise BlobMissing("read blob", f"{digest}.{suffix}", error.cause, _HINT) from error


def read_verified(backend: Backend, digest: str, suffix: str) -> bytes:
    """A whole blob whose bytes hash to its name; BlobMissing, Corrupt."""
    data = read(backend, digest, suffix)
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise Corrupt("read blob", f"{digest}.{suffix}", f"its bytes hash to {found}", _HINT)
    return data
