"""Cleaning in children that can be killed: which child has which pages, and what happens when one dies.

A child that dies took one page with it: that page is tried again alone, in a new child, and given up at its third
death. The pages around it lose nothing but time.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Self

import pyarrow as pa

from pipeline import stem, wire
from pipeline.child import Limits
from pipeline.recipe import Recipe

DEATHS: Final = 3
"""A page that was in work at so many deaths is abandoned."""

Run = Sequence[int]
"""Positions of pages in the caller's table."""


@dataclass(slots=True)
class _Child:
    """A running child and the pages that it has."""

    socket: socket.socket
    pid: int
    run: Run = ()
    begun: int = 0
    last_sign: float = field(default_factory=time.monotonic)


class Workers:
    """At most `limit` children at work on runs of pages; close it, or use it as a context."""

    def __init__(self, pages: pa.Table, recipe: Recipe, limit: int, limits: Limits) -> None:
        self._pages = pages
        self._told = json.dumps({"recipe": asdict(recipe), "limits": asdict(limits)}).encode()
        self._limit = limit
        self._limits = limits
        self._waiting: deque[Run] = deque()
        self._deaths: dict[int, int] = {}
        self._stem = stem.shared()
        self._ready = selectors.DefaultSelector()
        self._children: dict[int, _Child] = {}  # by file descriptor
        self.abandoned: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in list(self._children.values()):
            self._end(child)
        self._ready.close()

    def clean(self, runs: Sequence[Run]) -> Iterator[tuple[int, pa.Table]]:
        """Documents of runs of pages as they are done, with the position of their first page.

        Every page of `runs` is in one of them, or in `abandoned` at the end.

        Raises:
            ThresherError: no child can be started.
        """
        self._waiting.extend(runs)
        while self._waiting or self._children:
            while self._waiting and len(self._children) < self._limit:
                self._begin()
            for key, _ in self._ready.select(timeout=1.0):
                child = self._children[key.fd]
                try:
                    kind, data = wire.receive(child.socket)
                except (EOFError, OSError):
                    self._bury(child)
                    continue
                child.last_sign = time.monotonic()
                if kind == wire.BEGIN:
                    child.begun += 1
                else:
                    yield child.run[0], wire.unpacked(data)
                    self._give(child)
            for child in list(self._children.values()):
                if time.monotonic() - child.last_sign > self._limits.wall_seconds:
                    self._bury(child)

    def _begin(self) -> None:
        """Start a child and give it pages."""
        ours, pid = self._stem.start(self._told)
        ours.settimeout(self._limits.wall_seconds)
        child = _Child(ours, pid)
        self._children[ours.fileno()] = child
        self._ready.register(ours, selectors.EVENT_READ)
        self._give(child)

    def _give(self, child: _Child) -> None:
        """Give a child its next pages; end it when there are none."""
        if not self._waiting:
            self._end(child)
            return
        child.run, child.begun, child.last_sign = self._waiting.popleft(), 0, time.monotonic()
        try:
            wire.send(child.socket, wire.CHUNK, wire.packed(self._pages.take(list(child.run))))
        except OSError:
            self._bury(child)

    def _bury(self, child: _Child) -> None:
        """End a child that died or hangs. The page in its work is tried alone, those before and behind it together."""
        self._end(child)
        run, at = child.run, child.begun - 1
        if len(run) > 1 and at < 0:  # it never began: any of them, or none
            self._waiting.extend([page] for page in run)
            return
        at = max(0, at)
        self._waiting.extend(rest for rest in (run[:at], run[at + 1 :]) if rest)
        page = run[at]
        self._deaths[page] = self._deaths.get(page, 0) + 1
        if self._deaths[page] < DEATHS:
            self._waiting.append([page])
        else:
            self.abandoned.append(page)

    def _end(self, child: _Child) -> None:
        self._ready.unregister(child.socket)
        del self._children[child.socket.fileno()]
        child.socket.close()
        self._stem.stop(child.pid)
