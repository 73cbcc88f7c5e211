"""The console script. It imports nothing heavy before it stands ready for Ctrl-C."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C before a command has begun, or in one that changes nothing, ends it with 1."""
    try:
        from flows.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("thresher: stopped; all that was acknowledged is kept, the same command goes on from there\n")
        sys.exit(1)
