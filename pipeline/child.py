"""The processes that meet hostile pages: a stem that loads everything once, and children forked from it.

The stem never sees a page, so what a page does to its child is gone with the child, and a new child costs
milliseconds instead of the seconds of imports and compilation. Both end when the process that started them is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pyarrow as pa

from pipeline import wire
from storage.schema import PAGES

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Limits:
    """What one page may take.

    Attributes:
        cpu_seconds: of processor time. The 99.9th percentile of 1,646 real pages is 0.83 s, the maximum 1.2 s.
        wall_seconds: without a sign of life; for children that neither compute nor end. Far above cpu_seconds, since
            a busy machine must not change a row.
        memory_bytes: of address space, beyond what a child has when it starts.
    """

    cpu_seconds: int = 10
    wall_seconds: float = 300.0
    memory_bytes: int = 2 * 1024**3


def main(descriptor: int) -> None:
    """Be the stem: load, say so, then make and end children until the other end of the socket closes."""
    control = socket.socket(fileno=descriptor)
    from pipeline.documents import documents
    from pipeline.recipe import Recipe

    documents(_warming(), Recipe())
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every object that it shares with the stem
    wire.send(control, wire.READY)
    with contextlib.suppress(EOFError, OSError):
        while True:
            kind, data, passed = wire.receive_with_descriptor(control)
            if kind == wire.START and passed is not None:
                pid = os.fork()
                if pid == 0:
                    control.close()
                    _serve(socket.socket(fileno=passed))
                os.close(passed)
                wire.send(control, wire.START, str(pid).encode())
            elif kind == wire.STOP:
                wire.send(control, wire.STOP, str(_ended(int(data))).encode())


def _ended(pid: int) -> int:
    """End a child and wait for it; its exit code, or minus the signal that ended it."""
    os.kill(pid, signal.SIGKILL)  # a child that has ended stays until the next line: the pid is still its own
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _serve(parent: socket.socket) -> NoReturn:
    """Be a child: clean chunks until there are no more. Never returns into the stem's code."""
    try:
        _confine()
        _clean_chunks(parent)
    except (EOFError, OSError):
        os._exit(0)  # nobody wants more
    except MemoryError:
        os._exit(1)  # the page's doing
    except BaseException:  # noqa: BLE001 - a bug of ours; the caller sees a death, standard error its reason
        traceback.print_exc()
    finally:
        os._exit(1)


def _clean_chunks(parent: socket.socket) -> NoReturn:
    from pipeline.documents import documents
    from pipeline.recipe import Recipe

    _, told = wire.receive(parent)
    options = json.loads(told)
    recipe, limits = Recipe(**options["recipe"]), Limits(**options["limits"])
    near = _bound_memory(limits.memory_bytes) - limits.memory_bytes // 8

    def begin() -> None:
        _check_memory(near)
        wire.send(parent, wire.BEGIN)
        _bound_time(limits.cpu_seconds)

    while True:
        _, data = wire.receive(parent)
        table = documents(wire.unpacked(data), recipe, begin)
        _check_memory(near)
        wire.send(parent, wire.DONE, wire.packed(table))


def _confine() -> None:
    """Die with the stem, leave no core file, and be the first to go when the machine has no memory left."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _bound_memory(more: int) -> int:
    """Let the address space grow by `more` bytes; how large it may become. Only Linux says how large it is."""
    if (size := _status("VmSize")) is None:
        return sys.maxsize
    resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))
    return size + more


def _check_memory(near: int) -> None:
    """Raise MemoryError when a page came near the bound: a parser may have met it, and gone on with half a page."""
    if (_status("VmPeak") or 0) > near:
        raise MemoryError


def _status(name: str) -> int | None:
    """Bytes of address space, as /proc/self/status has them; None where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":")), None)


def _bound_time(seconds: int) -> None:
    """Let the kernel end this process (SIGXCPU) when it has computed for `seconds` more."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _warming() -> pa.Table:
    """Pages that touch every part of cleaning once: a short one is tried with all of trafilatura's extractors."""
    text = "A first page in a few words, café, mail@mysite.org 8.8.8.8. " * 8
    sources = [
        f"<html><body><h1>Warm</h1><p>{text}</p><p>{text[::-1]}</p></body></html>",
        "<html><p>Short</p><p>page</p>",
    ]
    pages = [dict.fromkeys(PAGES.names) | {"payload": source.encode()} for source in sources]
    return pa.Table.from_pylist(pages, schema=PAGES)
