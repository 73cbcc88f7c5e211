"""The process in which hostile bytes are parsed: bounded in processor time and memory, killed when it goes over.

Invariant: whatever a page holds, its bundle is read; a page that kills the child costs its own links and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pebble import ProcessExpired, ProcessPool

from crawlers.findings import Finding
from storage.errors import BadBundle, ThresherError

T = TypeVar("T")

MEMORY: Final = 2 << 30
"""Bytes of address space of the child; a DOM takes up to seventy times its page."""

_WALL: Final = 10.0
"""Times its processor time that a task may take by the clock: only a child that sleeps needs it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds of processor time. An ordinary bundle takes about 2, the largest page that is searched 0.5."""

    bundle: float = 60.0
    page: float = 5.0


class Unreadable(Exception):
    """A parser gave up in the child, out of memory for instance."""


_OVER_LIMITS: Final = (ProcessExpired, TimeoutError, Unreadable)


class Child:
    """Reads bundles in processes of its own, which start with the first bundle and again whenever one was killed."""

    def __init__(self, *, workers: int = 1, limits: Limits = Limits()) -> None:
        self._limits = limits
        context = multiprocessing.get_context("spawn")  # a fork would copy the event loop and its threads
        self._pool = ProcessPool(max_workers=workers, context=context, initializer=_bound, initargs=[MEMORY])

    async def unpack(self, bundle: bytes, agent: str, *, links: bool = True) -> list[Finding]:
        """The findings of a bundle, with the links of its pages unless they are not wanted; BadBundle, Corrupt."""
        try:
            return await self._run(self._limits.bundle, _unpack, bundle, agent, links)
        except _OVER_LIMITS as error:
            _log.warning("a bundle killed its reader (%s); its pages are read one by one", error)
        try:
            found = await self._run(self._limits.bundle, _unpack, bundle, agent, False)
        except _OVER_LIMITS as error:
            raise BadBundle("read bundle", f"{len(bundle)} bytes", "it can not be read within limits") from error
        return [await self._with_links(bundle, finding, agent) for finding in found] if links else found

    async def _with_links(self, bundle: bytes, finding: Finding, agent: str) -> Finding:
        if not finding.may_have_links:
            return finding
        record = bundle[finding.offset : finding.offset + finding.length]
        try:
            return replace(finding, links=await self._run(self._limits.page, _links_of, record, agent))
        except _OVER_LIMITS:
            _log.warning("the links of %s can not be read within limits; it gets none", finding.url)
            return finding

    async def _run(self, seconds: float, work: Callable[..., T], *arguments: Any) -> T:
        task = self._pool.schedule(_timed, args=[seconds, work, *arguments], timeout=seconds * _WALL)
        result: T = await asyncio.wrap_future(task)
        return result

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _bound(memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _timed(seconds: float, work: Callable[..., T], *arguments: Any) -> T:
    """Run `work`; the kernel kills this process when it has used its processor time, even inside a C parser."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work(*arguments)
    except ThresherError:
        raise
    except Exception as error:
        raise Unreadable(repr(error)) from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _unpack(bundle: bytes, agent: str, links: bool) -> list[Finding]:
    from crawlers.unpack import unpack  # only the child needs the parsers

    return unpack(bundle, agent, links=links)


def _links_of(record: bytes, agent: str) -> tuple[str, ...]:
    from crawlers.unpack import links_of

    return links_of(record, agent)
