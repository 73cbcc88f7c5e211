"""The store in a bucket or in memory, by obstore: create-only writes are `If-None-Match: *`, decided by the server.

A bucket's credentials, region and endpoint come from the environment (`AWS_*`), never from a URL.
`memory://name` is one store per name and process; it exists for tests.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import MemoryStore, ObjectStore, S3Store

from storage.errors import AlreadyExists, NotFound, ThresherError


class CloudBackend:
    """Objects under an obstore store. See `storage.backend.Backend` for what each verb promises."""

    def __init__(self, url: str, objects: ObjectStore) -> None:
        self.url: Final = url
        self._objects: Final = objects

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        if self.exists(name):
            return
        with _translated("put", name):
            obstore.put(self._objects, name, b"".join(chunks) if isinstance(chunks, list) else iter(chunks))

    def create(self, name: str, data: bytes) -> None:
        with _translated("create", name):
            obstore.put(self._objects, name, data, mode="create", use_multipart=False)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        with _translated("read", name):
            if offset == 0 and length is None:
                return bytes(obstore.get(self._objects, name).bytes())
            rest = obstore.head(self._objects, name)["size"] - offset
            length = rest if length is None else min(length, rest)
            return bytes(obstore.get_range(self._objects, name, start=offset, length=length)) if length > 0 else b""

    def list(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        with _translated("list", folder):
            found = obstore.list_with_delimiter(self._objects, prefix or None)
            names = [entry["path"] for entry in found["objects"]] + [*found["common_prefixes"]]
        return sorted(name.removeprefix(prefix).rstrip("/") for name in names)

    def exists(self, name: str) -> bool:
        try:
            with _translated("look for", name):
                obstore.head(self._objects, name)
        except NotFound:
            return False
        return True


class MemoryBackend(CloudBackend):
    """A store that ends with its process, and so does its state folder."""

    def __init__(self, url: str) -> None:
        super().__init__(url, MemoryStore())
        self.state: Final = Path(tempfile.mkdtemp(prefix="thresher-memory-"))
        atexit.register(shutil.rmtree, self.state, ignore_errors=True)


_memory: Final[dict[str, MemoryBackend]] = {}
_memory_lock: Final = threading.Lock()


def connect(url: str) -> CloudBackend:
    """The backend of an `s3://` or `memory://` URL."""
    url = url.rstrip("/")
    if url.startswith("memory:"):
        with _memory_lock:
            if url not in _memory:
                _memory[url] = MemoryBackend(url)
            return _memory[url]
    try:
        return CloudBackend(url, S3Store.from_url(url))
    except BaseError as error:
        hint = "set AWS_REGION, AWS_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise ThresherError("open store", url, _first_line(error), hint) from error


@contextmanager
def _translated(operation: str, name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(operation, name, "there is no such object") from error
    except AlreadyExistsError as error:
        raise AlreadyExists(operation, name, "the name is taken") from error
    except BaseError as error:
        hint = "nothing acknowledged was lost; try again"
        raise ThresherError(operation, name, _first_line(error), hint) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
