"""One coordinator for a store at a time, and a second one that is told who the first is.

The kernel holds the lock and drops it with the process, so a crash leaves nothing to clean up; the file's text is only
for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from storage.errors import StoreBusy

NAME: Final = "coordinator.lock"


@contextmanager
def hold(state_dir: Path, *, command: str, clock: Callable[[], float] = time.time) -> Iterator[None]:
    """Be the coordinator of the store with this `state_dir` until the end of the block.

    StoreBusy, with process, machine, time and command of the holder, when there is one.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "wait until it has ended, or stop it; both can not decide what is fetched"
            raise StoreBusy("open frontier in", str(state_dir), _holder(file), hint) from error
        since = datetime.fromtimestamp(clock(), UTC).isoformat(timespec="seconds")
        _write(file, json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}))
        try:
            yield
        finally:
            _write(file, "")


def _write(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        told = json.loads(file.read(10_000))
        return f"held by process {told['pid']} on {told['host']} since {told['since']}: {told['command']}"
    except (ValueError, KeyError, TypeError):  # it is just being written
        return "held by another process"
