"""Sealed bundles that the coordinator has not answered for yet: one WARC and one receipt each, on the node's disk.

Invariant: the receipt is written after its bundle and removed before it, so every receipt has its whole bundle.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import StoreFull


@dataclass(frozen=True, slots=True)
class Spool:
    """A folder of unsent bundles, named by digest."""

    folder: Path

    def save(self, digest: str, bundle: bytes, receipt: bytes) -> None:
        """Durable when it returns. Raises StoreFull."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for path, data in ((self._bundle(digest), bundle), (self._receipt(digest), receipt)):
                _write(path, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StoreFull("save bundle", str(self.folder), str(error), "make room and start again") from error
            raise

    def unsent(self) -> Iterator[tuple[str, bytes, bytes]]:
        """(digest, bundle, receipt) of each, in the order of their names."""
        for receipt in sorted(self.folder.glob("*.receipt.json")):
            digest = receipt.name.removesuffix(".receipt.json")
            yield digest, self._bundle(digest).read_bytes(), receipt.read_bytes()

    def forget(self, digest: str) -> None:
        """The coordinator has answered: nothing of it is needed here any more."""
        self._receipt(digest).unlink(missing_ok=True)
        self._bundle(digest).unlink(missing_ok=True)

    def set_aside(self, digest: str) -> Path:
        """Keep a bundle that was refused whole for whoever looks into it; returns where."""
        refused = self.folder / "refused"
        refused.mkdir(exist_ok=True)
        for path in (self._receipt(digest), self._bundle(digest)):
            path.rename(refused / path.name)
        return refused

    def _bundle(self, digest: str) -> Path:
        return self.folder / f"{digest}.warc.gz"

    def _receipt(self, digest: str) -> Path:
        return self.folder / f"{digest}.receipt.json"


def _write(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
