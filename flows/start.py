"""The console script. It stands ready for Ctrl-C before it imports anything heavy.

A KeyboardInterrupt that is raised in the middle of an import can be swallowed by what is imported. So the first thing
that Ctrl-C does is to be noted, and whoever begins long work looks at the note.
"""

import signal
import sys
import threading
from types import FrameType
from typing import Final

interrupted: Final = threading.Event()
"""Set by the first Ctrl-C of this process."""

INTERRUPTED: Final = 130
"""What the command-line library exits with after Ctrl-C; ours is 1, like any end before the end."""


def main() -> None:
    """Run the command line; Ctrl-C before a command has begun, or in one that keeps no state, ends it with 1."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from flows.cli import main as run

        run()
    except (KeyboardInterrupt, SystemExit) as stopped:
        if isinstance(stopped, SystemExit) and stopped.code != INTERRUPTED:
            raise
        sys.stderr.write("thresher: stopped; all that was acknowledged is kept, the same command goes on from there\n")
        sys.exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    interrupted.set()
    raise KeyboardInterrupt
