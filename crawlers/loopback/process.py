"""A server in a process of its own, which never outlives who started it: it ends when its standard input closes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def started(module: str, *words: str) -> Iterator[str]:
    """Run `python -m MODULE WORDS`; yields the HOST:PORT that it prints first, and stops it at the end."""
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=10)


async def serve(answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
    """Listen on a free port of 127.0.0.1, print it, and answer until standard input closes."""
    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()
