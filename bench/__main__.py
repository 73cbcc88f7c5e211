"""`python -m bench NAME [--json]`: measure ours beside its peers, in one run, on one input."""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("crawl", "clean", "signatures")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    given = parser.parse_args()
    report = importlib.import_module(f"bench.{given.name}").measure()
    print(json.dumps(report.as_json(), indent=2) if given.json else report.render())


if __name__ == "__main__":
    main()
