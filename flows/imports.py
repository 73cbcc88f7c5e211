"""Anybody's WARC files into captures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from crawlers.importer import import_warc
from flows.progress import Meter
from storage import Store


@dataclass(frozen=True, slots=True)
class Imported:
    """Totals over the files of one call; `notes` says what could not be read, file by file."""

    files: int
    captures: int
    pages: int
    notes: list[str]


def import_files(store: Store, files: Sequence[Path], *, quiet: bool = False) -> Imported:
    """Import WARC files one after the other; raises BadBundle for one that is no WARC."""
    captures = pages = 0
    notes: list[str] = []
    with Meter("import", "captures", quiet=quiet) as meter:
        for path in files:
            result = import_warc(store, path, now=datetime.now(UTC), progress=_counting(meter, captures, path.name))
            captures += result.captures
            pages += result.pages
            notes += [f"{path.name}: {note}" for note in result.notes]
        meter.finish(f"{captures:,} captures, {pages:,} pages from {len(files):,} files")
    return Imported(len(files), captures, pages, notes)


def _counting(meter: Meter, before: int, name: str) -> Callable[[int], None]:
    return lambda done: meter.update(before + done, None, name)
