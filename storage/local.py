"""The store on a local disk, written so that a power cut loses nothing that was acknowledged.

Order of every write: temporary file beside its final place, fsync, `link()` (create-only) or `rename()`, fsync of the
folder. A temporary file that a kill leaves behind starts with a dot and is never read.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from storage.errors import AlreadyExists, NotFound, StoreFull, ThresherError

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalBackend:
    """Objects as files under `root`. See `storage.backend.Backend` for what each verb promises."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[Path] = set()  # folders whose entry in their parent this process knows to be on disk

    @property
    def url(self) -> str:
        return self.root.as_uri()

    def path(self, name: str) -> Path:
        return self.root / name

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        target = self.path(name)
        with _room("put", name):
            self._folder(target.parent)
            if target.exists():
                _sync(target.parent)  # whoever renamed it may not have come that far
                return
            with _temporary(target, chunks) as temporary:
                temporary.rename(target)
                _sync(target.parent)

    def create(self, name: str, data: bytes) -> None:
        target = self.path(name)
        with _room("create", name):
            self._folder(target.parent)
            with _temporary(target, [data]) as temporary:
                try:
                    target.hardlink_to(temporary)
                except FileExistsError as error:
                    raise AlreadyExists("create", name, "the name is taken") from error
                except OSError as error:
                    if error.errno in _NO_LINKS:
                        hint = "put the store on a file system that has them"
                        raise ThresherError("create", str(target), "no hard links here", hint) from error
                    raise
                _sync(target.parent)

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        try:
            with self.path(name).open("rb", buffering=0) as file:
                file.seek(offset)
                return file.readall() if length is None else _read(file.fileno(), length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFound("read", str(self.path(name)), "there is no such file") from error

    def list(self, folder: str) -> list[str]:
        try:
            return sorted(path.name for path in self.path(folder).iterdir() if not path.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def exists(self, name: str) -> bool:
        return self.path(name).is_file()

    def _folder(self, folder: Path) -> None:
        """Make a folder and its parents, each entry durable before anything is written below it."""
        if folder in self._durable:
            return
        if folder != self.root:
            self._folder(folder.parent)
        folder.mkdir(parents=folder == self.root, exist_ok=True)
        _sync(folder.parent)
        self._durable.add(folder)


def _read(descriptor: int, length: int) -> bytes:
    """`length` bytes or up to the end: one call of read(2) may give fewer than asked."""
    parts: list[bytes] = []
    while length > 0 and (part := os.read(descriptor, length)):
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@contextmanager
def _temporary(target: Path, chunks: Iterable[bytes]) -> Iterator[Path]:
    """A synced file beside `target` that holds the chunks; gone at the end unless it was renamed."""
    path = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    try:
        with path.open("xb", buffering=0) as file:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) :]
            os.fsync(file.fileno())
        yield path
    finally:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _room(operation: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            hint = "free some space and run the same command again: nothing acknowledged was lost"
            raise StoreFull(operation, name, f"no room: {error.strerror}", hint) from error
        raise
