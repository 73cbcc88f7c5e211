"""Our end of the stem: the process that has everything loaded and that children are forked from (pipeline.child).

One per process, started when it is first needed, shared by all threads, ended with us. Why not multiprocessing: its
children run the caller's main module again, and everybody in the process shares its one list of preloads.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from pipeline import wire
from storage.errors import ThresherError

START_SECONDS: Final = 120.0
"""For the stem to load everything; the first time on a machine it compiles."""


class Stem:
    """A running stem. Safe to share between threads."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(START_SECONDS)
        self._lock = threading.Lock()
        self._ready = False
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", f"from pipeline.child import main; main({theirs.fileno()})"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_environment()},
                process_group=0,  # Ctrl-C is for us; the stem ends when its socket closes
            )

    def start(self, told: bytes) -> tuple[socket.socket, int]:
        """Fork a child and tell it its recipe and limits; our end of its socket, and its process id.

        Raises:
            ThresherError: the stem does not start, or is gone.
        """
        ours, theirs = socket.socketpair()
        try:
            with self._lock, theirs:
                if not self._ready:
                    wire.receive(self._control)
                    self._ready = True
                wire.send(self._control, wire.START, descriptor=theirs.fileno())
                _, pid = wire.receive(self._control)
            wire.send(ours, wire.RECIPE, told)
        except BaseException as error:  # half a conversation can not be continued, whatever broke it off
            ours.close()
            self.close()
            if not isinstance(error, EOFError | OSError):
                raise
            hint = "standard error has its reason; when memory is short, use fewer workers"
            raise ThresherError("start", "cleaning process", f"it is gone or silent: {error!r}", hint) from error
        return ours, int(pid)

    def stop(self, pid: int) -> None:
        """End a child, whatever it does."""
        with self._lock:
            try:
                wire.send(self._control, wire.STOP, str(pid).encode())
                wire.receive(self._control)
            except (EOFError, OSError):
                self.close()  # and all its children with it
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the stem and with it its children."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """In a fork of our process: let go of what is not its own."""
        self._control.close()
        self._process.returncode = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


def _environment() -> dict[str, str]:
    """Our own modules first; sets that iterate in one order everywhere; no threads, which would not survive a fork."""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONHASHSEED": "0",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


_running: Final[list[Stem]] = []  # at most one
_guard: Final = threading.Lock()


def shared() -> Stem:
    """This process's stem; a new one when there is none, or it has died."""
    with _guard:
        if not _running or not _running[0].alive:
            _close_all()
            _running[:] = [Stem()]
        return _running[0]


def _forget_all() -> None:
    for stem in _running:
        stem.forget()
    _running.clear()
    _guard.release()


@atexit.register
def _close_all() -> None:
    for stem in _running:
        stem.close()


os.register_at_fork(before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_forget_all)
