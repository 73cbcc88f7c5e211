"""What a check of a store found: counts, and problems as text that names a thing, what is wrong with it, and a cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_PROBLEMS: Final = 1000
"""Kept as text; the rest are counted."""

Progress = Callable[[int, int | None, str], object]
"""Called with (done, total or None, what is being done)."""

RESTORE: Final = "put the file back from a copy of the store: same name, same bytes"


@dataclass(slots=True)
class Findings:
    """Filled while a store is checked. Every number counts what was looked at, right or wrong."""

    logs: int = 0
    snapshots: int = 0
    blobs: int = 0
    bytes: int = 0
    rows: int = 0
    receipts: int = 0
    corpus_rows: int = 0
    signed: int = 0
    unsigned: int = 0
    problems: list[str] = field(default_factory=list)
    more: int = 0

    def problem(self, name: str, wrong: str, cure: str = RESTORE) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{name}: {wrong}; {cure}")
        else:
            self.more += 1
