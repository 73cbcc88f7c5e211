"""The console script. It imports nothing heavy before it stands ready for Ctrl-C."""

import sys

INTERRUPTED = 130
"""What the command-line library exits with after Ctrl-C; ours is 1, like any end before the end."""


def main() -> None:
    """Run the command line; Ctrl-C before a command has begun, or in one that keeps no state, ends it with 1."""
    try:
        from flows.cli import main as run

        run()
    except (KeyboardInterrupt, SystemExit) as stopped:
        if isinstance(stopped, SystemExit) and stopped.code != INTERRUPTED:
            raise
        sys.stderr.write("thresher: stopped; all that was acknowledged is kept, the same command goes on from there\n")
        sys.exit(1)
