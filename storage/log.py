"""A log is the numbered sequence of snapshots under one name, and the only thing in a store that is contended.

Invariant: entries are created, never changed, and numbered 1, 2, 3, ... without a gap at the end; the newest is the
truth. Whoever creates entry n + 1 has seen entry n.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from storage import canonical
from storage.backend import Backend
from storage.errors import AlreadyExists, BadConfig, Corrupt, NotFound

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry: the snapshot that became the newest, the one before it (None for the first), when, by whom."""

    log: str
    number: int
    snapshot: str
    parent: str | None
    at: datetime
    by: str


def folder(log: str) -> str:
    """Where a log's entries are; BadConfig when this is no name for a log."""
    if not _NAME.fullmatch(log):
        hint = "use a-z, 0-9, dot, hyphen and underscore, a letter or digit first, at most 100"
        raise BadConfig("open log", repr(log), "not a name for a log", hint)
    return f"logs/{log}"


def entry_name(log: str, number: int) -> str:
    return f"{folder(log)}/{number:020d}.json"


def numbers(backend: Backend, log: str) -> list[int]:
    """The numbers of all entries, ascending."""
    return [
        int(stem)
        for name in backend.list(folder(log))
        if (stem := name.removesuffix(".json")).isdecimal() and len(stem) == 20
    ]


def head(backend: Backend, log: str, known: Commit | None = None) -> Commit | None:
    """The newest entry. With an older one that is `known`, only what came after it is looked for."""
    if known is None:
        found = numbers(backend, log)
        return read(backend, log, found[-1]) if found else None
    while True:
        try:
            known = read(backend, log, known.number + 1)
        except NotFound:
            return known


def read(backend: Backend, log: str, number: int) -> Commit:
    """One entry; NotFound, or Corrupt when it is not one."""
    name = entry_name(log, number)
    value = canonical.loads(backend.read(name), name)
    try:
        commit = Commit(log, number, value["snapshot"], value["parent"], canonical.parse_time(value["at"]), value["by"])
    except (KeyError, TypeError, ValueError) as error:
        raise Corrupt("read", name, f"not as the format says: {error!r}") from error
    if not canonical.is_hex64(commit.snapshot) or not (commit.parent is None or canonical.is_hex64(commit.parent)):
        raise Corrupt("read", name, "its snapshot or parent is no digest")
    return commit


def append(backend: Backend, commit: Commit) -> bool:
    """Create an entry; False when somebody else has taken its number."""
    data = canonical.dumps(
        {
            "snapshot": commit.snapshot,
            "parent": commit.parent,
            "at": canonical.format_time(commit.at),
            "by": commit.by,
        }
    )
    name = entry_name(commit.log, commit.number)
    try:
        backend.create(name, data)
    except AlreadyExists:
        # A cloud client may repeat a request whose answer was lost, and then meets its own entry.
        return backend.read(name) == data
    return True
