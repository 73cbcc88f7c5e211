"""Where bytes live: five verbs over named objects, the same on a disk, in a bucket and in memory.

Invariant: what `put` or `create` was asked to write is whole and durable under its name when the call returns, and
never seen in part under that name by anybody. One contract suite holds for all (`tests/test_store.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Backend(Protocol):
    """Names are relative paths with `/`. Every verb may be called from any thread and raises StoreFull, OSError."""

    @property
    def url(self) -> str:
        """Where this is, normalised."""

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write unless something is there under that name already: same name means same bytes.

        When `chunks` raises, nothing is left under the name. Idempotent, so any failure may be tried again.
        """

    def create(self, name: str, data: bytes) -> None:
        """Write only if the name is free, decided atomically among all writers; AlreadyExists when it is taken.

        After any other error the write may or may not have happened: read the name before trying again.
        """

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset`, at most `length` of them and fewer at the end; NotFound when there is no such name."""

    def list(self, folder: str) -> list[str]:
        """Sorted names directly in a folder (entries and sub-folders, without the folder); [] when there is none."""

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
